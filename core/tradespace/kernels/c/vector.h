/* Vectors of LANES floats through the compiler's vector types: one source for SSE, AVX2, AVX-512 and NEON. */
#ifndef TRADESPACE_VECTOR_H
#define TRADESPACE_VECTOR_H
#include "task.h"

#if defined(TRADESPACE_AVX512)
#define LANES 16
#elif defined(TRADESPACE_AVX2)
#define LANES 8
#else
#define LANES 4
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
#define INLINE static inline __attribute__((always_inline))

/* Keeps a vector in a register, where the compiler would rather read it again for each use. */
#if defined(TRADESPACE_AVX512)
#define HOLD(v) __asm__("" : "+v"(v))
#elif defined(TRADESPACE_AVX2)
#define HOLD(v) __asm__("" : "+x"(v))
#else
#define HOLD(v) (void)0
#endif

enum element { F32, F16, BF16 };

INLINE vec load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void store(float *p, vec v) { memcpy(p, &v, sizeof v); }
INLINE vec all(float x) { return x - (vec){0}; }

/* LANES numbers of an element type from number `at` on. */
INLINE vec load_as(int type, const void *p, int64_t at) {
    if (type == F32) return load((const float *)p + at);
    const uint16_t *h = (const uint16_t *)p + at;
    vec out;
    if (type == BF16) {
        typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
        typedef uint32_t words __attribute__((vector_size(4 * LANES)));
        halves v;
        memcpy(&v, h, sizeof v);
        words w = __builtin_convertvector(v, words) << 16;
        memcpy(&out, &w, sizeof out);
        return out;
    }
#if defined(TRADESPACE_AVX512)
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)h));
#elif defined(TRADESPACE_AVX2)
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)h));
#else
    for (int i = 0; i < LANES; i++) out[i] = from_half(h[i]);
    return out;
#endif
}

INLINE float one_as(int type, const void *p, int64_t at) {
    if (type == F32) return ((const float *)p)[at];
    uint16_t h = ((const uint16_t *)p)[at];
    if (type == F16) return from_half(h);
    uint32_t bits = (uint32_t)h << 16;
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

INLINE float total(vec v) {
#if defined(TRADESPACE_AVX512)
    return _mm512_reduce_add_ps((__m512)v);
#else
    float a[LANES];
    memcpy(a, &v, sizeof v);
    for (int w = LANES / 2; w; w /= 2)
        for (int i = 0; i < w; i++) a[i] += a[i + w];
    return a[0];
#endif
}

INLINE vec pick(ivec where, vec yes, vec no) { return (vec)(((ivec)yes & where) | ((ivec)no & ~where)); }

/* e^x to about 2 ulp for x <= 88, 0 below -87: Cody-Waite reduction and the polynomial of Cephes' expf. */
INLINE vec exponential(vec x) {
    x = pick(x > 88.0f, all(88.0f), x);
    ivec gone = x < -87.0f;
    vec shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
    vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    ivec power = ((ivec)shifted << 23) + (127 << 23); /* the low bits of the shifted number are n */
    return pick(gone, all(0), p * (vec)power);
}
#endif

/* What every native kernel shares: the signature that the runner calls, and half floats.
   A kernel is one function over a range of rows; it never starts threads, allocates or synchronises. */
#ifndef TRADESPACE_TASK_H
#define TRADESPACE_TASK_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Computes rows [begin, end) of what args describes. Different ranges of one task never write to the same bytes. */
typedef void (*task_fn)(const void *args, int64_t begin, int64_t end);

/* `rows` are dealt to the threads in contiguous shares that are multiples of `grain` (but for the last). */
struct task {
    task_fn run;
    const void *args;
    int64_t rows, grain;
};

#if defined(__x86_64__) && !defined(TRADESPACE_SCALAR)
#include <immintrin.h>
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define TRADESPACE_AVX2 1
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define TRADESPACE_AVX512 1
#if defined(__AVX512VNNI__)
#define TRADESPACE_VNNI 1
#endif
#endif
#endif

/* fp16 -> fp32, exact. */
static inline float from_half(uint16_t h) {
#ifdef TRADESPACE_AVX2
    return _cvtsh_ss(h);
#else
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, bits = h & 0x7fff, out;
    if (bits >= 0x7c00) out = sign | 0x7f800000 | (bits & 0x3ff) << 13;          /* infinity, NaN */
    else if (bits >= 0x400) out = sign | ((bits << 13) + 0x38000000);             /* normal */
    else {                                                                        /* zero, subnormal: bits * 2^-24 */
        float value = (float)bits * 0x1p-24f;
        memcpy(&out, &value, 4);
        out |= sign;
    }
    float value;
    memcpy(&value, &out, 4);
    return value;
#endif
}

/* fp32 -> fp16, to nearest, ties to even. */
static inline uint16_t to_half(float value) {
#ifdef TRADESPACE_AVX2
    return (uint16_t)_cvtss_sh(value, 0);
#else
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (rest < 0x38800000) {                                                      /* subnormal in fp16 */
        float magic = 0.5f, scaled;
        memcpy(&scaled, &rest, 4);
        scaled += magic;                                                          /* rounds to multiples of 2^-24 */
        memcpy(&bits, &scaled, 4);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    rest += 0xc8000fff + (rest >> 13 & 1);
    return (uint16_t)(sign | rest >> 13);
#endif
}

static inline uint16_t load_u16(const void *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
#endif

/* Rows of blocks of 256: Q6_K, Q4_K, Q3_K, Q2_K.
   Vector code sums codes times activations pairwise in int16, then scales times these in int32, a block in one piece;
   offsets and minima multiply with the activations' sums of 16. */
#ifndef TRADESPACE_BLOCKS256_H
#define TRADESPACE_BLOCKS256_H
#include "blocks.h"
#include "blocks32.h"

#ifdef TRADESPACE_AVX2
INLINE __m256i low_bits(__m256i v, int shift, int mask) {
    return _mm256_and_si256(_mm256_srli_epi16(v, shift), _mm256_set1_epi8((char)mask));
}

INLINE __m256i load32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* Where the scales of 16 weights each (int16 in both... 16 of them) go for the `part`-th 32 weights. */
INLINE __m256i two_scales(__m256i half, int part) {
    const __m256i first = _mm256_set_epi64x(0x0302030203020302, 0x0302030203020302, 0x0100010001000100, 0x0100010001000100);
    return _mm256_shuffle_epi8(half, _mm256_add_epi8(first, _mm256_set1_epi8((char)(4 * part))));
}

/* The part-th 32 unsigned codes (0 to 7) of a block. */
INLINE __m256i codes256(int format, const uint8_t *b, int part) {
    const int half = part / 4, in = part & 3;
    if (format == Q4_K) return low_bits(load32(b + 16 + 32 * (part / 2)), part & 1 ? 4 : 0, 15);
    if (format == Q2_K) return low_bits(load32(b + 16 + 32 * half), 2 * in, 3);
    if (format == Q3_K) {
        __m256i high = load32(b);
        high = part < 2 ? _mm256_slli_epi16(high, 2 - part) : _mm256_srli_epi16(high, part - 2);
        return _mm256_or_si256(low_bits(load32(b + 32 + 32 * half), 2 * in, 3), _mm256_and_si256(high, _mm256_set1_epi8(4)));
    }
    __m256i high = load32(b + 128 + 32 * half);
    high = in < 2 ? _mm256_slli_epi16(high, 4 - 2 * in) : _mm256_srli_epi16(high, 2 * in - 4);
    return _mm256_or_si256(low_bits(load32(b + 64 * half + 32 * (in & 1)), in & 2 ? 4 : 0, 15),
                           _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
}

struct scales256 {
    __m256i s;     /* 16 int16, one for 16 weights */
    __m256i shift; /* 16 int16: what the activations' sums are multiplied with, offset * s or the minima */
    float d, dmin;
};

INLINE struct scales256 scales_of(int format, const uint8_t *b) {
    struct scales256 out;
    if (format == Q4_K) {
        uint8_t s[8], m[8];
        scales_q4_k(b + 4, s, m);
        __m128i s8, m8;
        memcpy(&s8, s, 8), memcpy(&m8, m, 8);
        s8 = _mm_unpacklo_epi8(s8, s8), m8 = _mm_unpacklo_epi8(m8, m8);
        out.s = _mm256_cvtepu8_epi16(s8), out.shift = _mm256_cvtepu8_epi16(m8);
        out.d = from_half(load_u16(b)), out.dmin = from_half(load_u16(b + 2));
    } else if (format == Q2_K) {
        __m128i both = _mm_loadu_si128((const __m128i *)b);
        out.s = _mm256_cvtepu8_epi16(_mm_and_si128(both, _mm_set1_epi8(15)));
        out.shift = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(both, 4), _mm_set1_epi8(15)));
        out.d = from_half(load_u16(b + 80)), out.dmin = from_half(load_u16(b + 82));
    } else if (format == Q3_K) {
        uint8_t s[16];
        scales_q3_k(b + 96, s);
        out.s = _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)s)), _mm256_set1_epi16(32));
        out.shift = _mm256_slli_epi16(out.s, 2);
        out.d = out.dmin = from_half(load_u16(b + 108));
    } else {
        out.s = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(b + 192)));
        out.shift = _mm256_slli_epi16(out.s, 5);
        out.d = out.dmin = from_half(load_u16(b + 208));
    }
    return out;
}

INLINE void dot256(int format, int nc, const uint8_t *w, const struct acts *x, int64_t k, float *out) {
    __m256 acc[4];
    for (int c = 0; c < nc; c++) acc[c] = _mm256_setzero_ps();
    for (int64_t at = 0; at < k / 256; at++) {
        const uint8_t *b = w + at * block_bytes(format);
        const struct scales256 t = scales_of(format, b);
        const __m256i halves[2] = {_mm256_permute2x128_si256(t.s, t.s, 0x00), _mm256_permute2x128_si256(t.s, t.s, 0x11)};
        __m256i sum[4];
        for (int c = 0; c < nc; c++) sum[c] = _mm256_setzero_si256();
        for (int part = 0; part < 8; part++) {
            const __m256i u = codes256(format, b, part), s = two_scales(halves[part / 4], part & 3);
            for (int c = 0; c < nc; c++) {
                __m256i pairs = _mm256_maddubs_epi16(u, load32(x->q + c * k + at * 256 + 32 * part));
                sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(s, pairs));
            }
        }
        for (int c = 0; c < nc; c++) {
            const float d = x->d[c * k / 256 + at];
            __m256i shift = _mm256_madd_epi16(t.shift, load32(x->sums + c * k / 16 + at * 16));
            acc[c] = _mm256_fmadd_ps(_mm256_set1_ps(t.d * d), _mm256_cvtepi32_ps(sum[c]), acc[c]);
            acc[c] = _mm256_fnmadd_ps(_mm256_set1_ps(t.dmin * d), _mm256_cvtepi32_ps(shift), acc[c]);
        }
    }
    for (int c = 0; c < nc; c++) out[c] = hsum8(acc[c]);
}

#else
INLINE void dot256(int format, int nc, const uint8_t *w, const struct acts *x, int64_t k, float *out) {
    for (int c = 0; c < nc; c++) out[c] = 0;
    for (int64_t b = 0; b < k / 256; b++) dot_plain(format, nc, w, x, k, b, out);
}
#endif
#endif

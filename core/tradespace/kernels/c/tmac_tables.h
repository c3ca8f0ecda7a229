/* The job of T-MAC's kernel, and the tables of activations: see tmac.c. */
#ifndef TRADESPACE_TMAC_TABLES_H
#define TRADESPACE_TMAC_TABLES_H
#include "task.h"
#include <math.h>
#if defined(TRADESPACE_VNNI) && defined(__AVX512VBMI__)
#define WIDE 1
#endif

#define LEAST 1e-35f /* activations below count as 0: the inverse of their scale would overflow */
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    const float *x;        /* (n, k) */
    const uint8_t *planes;
    const uint16_t *scales;
    uint8_t *tables;       /* (n, k / 4, 16) */
    float *alpha, *beta;   /* (n, chunks) */
    float *y;              /* (n, m) */
    float zero;            /* a weight is scale * (q - zero) */
    int32_t m, k, n, bits;
    int32_t group;     /* activations of one table scale; a multiple of 4 * chunk */
    int32_t rows;      /* of a tile: 32 or 64 */
    int32_t k_tile;    /* columns of a tile; a multiple of 4 * chunk */
    int32_t chunk;     /* tables summed as integers: 8, 16, 32 */
    int32_t per_scale; /* chunks of one weight scale */
    int32_t fast;      /* tables averaged as bytes in one tree, 8 or 16; 0: added up */
    int32_t natural;   /* nibbles hold neighbouring rows and are put in order while running (ablation) */
    int32_t wide;      /* the wide layout; tables have no offset */
    int32_t part;      /* 0: int8 tables; 1, 2: low and high bytes of int16 tables (2 adds to y) */
    int32_t plain;     /* the path without vectors */
    int32_t scattered; /* planes are [pair][bit][row of the whole matrix]: tiles are strided (ablation) */
} Job;

/* 16 signed sums of x[0..3], times `inverse` and rounded; entry 15 - e is the mirror of entry e. Added up pair by
   pair, as the reference does: an entry halfway between two integers must round the same way. */
#ifdef TRADESPACE_AVX2
INLINE void halves(const float *x, __m256 inverse, __m128i *lower, __m128i *upper) { /* 8 int16 each */
    const __m256 zero = _mm256_setzero_ps(), minus = _mm256_set1_ps(-0.0f);
    const __m256 s0 = _mm256_blend_ps(minus, zero, 0xAA), s1 = _mm256_blend_ps(minus, zero, 0xCC);
    const __m256 s2 = _mm256_blend_ps(minus, zero, 0xF0);
    const __m256 x0 = _mm256_xor_ps(_mm256_broadcast_ss(x), s0), x1 = _mm256_xor_ps(_mm256_broadcast_ss(x + 1), s1);
    const __m256 a = _mm256_add_ps(x0, x1);
    const __m256 b = _mm256_sub_ps(_mm256_xor_ps(_mm256_broadcast_ss(x + 2), s2), _mm256_broadcast_ss(x + 3));
    const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_add_ps(a, b), inverse));
    const __m128i back = _mm_setr_epi8(14, 15, 12, 13, 10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1);
    *lower = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    *upper = _mm_shuffle_epi8(_mm_sub_epi16(_mm_setzero_si128(), *lower), back);
}
#endif

INLINE void entries(const float *x, float inverse, int16_t out[16]) {
#ifdef TRADESPACE_AVX2
    __m128i lower, upper;
    halves(x, _mm256_set1_ps(inverse), &lower, &upper);
    _mm_storeu_si128((__m128i *)out, lower), _mm_storeu_si128((__m128i *)(out + 8), upper);
#else
    for (int e = 0; e < 8; e++) {
        float t = ((e & 1 ? x[0] : -x[0]) + (e & 2 ? x[1] : -x[1])) + ((e & 4 ? x[2] : -x[2]) - x[3]);
        out[e] = (int16_t)rintf(t * inverse), out[15 - e] = (int16_t)-out[e];
    }
#endif
}

/* The tables of `width` activations as int8, plus `offset`; returns the sum of the activations. */
INLINE float rounded(const float *x, int32_t width, float inverse, int offset, uint8_t *tables) {
    float part[8] = {0};
#ifdef TRADESPACE_AVX2
    const __m256 times = _mm256_set1_ps(inverse);
    const __m128i add = _mm_set1_epi8((char)offset);
    __m256 sum = _mm256_setzero_ps();
    for (int32_t i = 0; i < width; i += 8) {
        for (int32_t j = i; j < i + 8; j += 4) {
            __m128i lower, upper;
            halves(x + j, times, &lower, &upper);
            _mm_storeu_si128((__m128i *)(tables + 4 * j), _mm_add_epi8(_mm_packs_epi16(lower, upper), add));
        }
        sum = _mm256_add_ps(sum, _mm256_loadu_ps(x + i));
    }
    _mm256_storeu_ps(part, sum);
#else
    for (int32_t i = 0; i < width; i += 4) {
        int16_t v[16];
        entries(x + i, inverse, v);
        for (int e = 0; e < 16; e++) tables[4 * i + e] = (uint8_t)(v[e] + offset);
        part[i / 4 % 8] += (x[i] + x[i + 1]) + (x[i + 2] + x[i + 3]);
    }
#endif
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/* The tables of `width` activations rounded to int8, exact sums: their low (part 1) or high byte, low + 256 high, that
   two lookups add up again. Returns the sum of the rounded activations. */
static float split(const float *x, int32_t width, float inverse, int offset, int part, uint8_t *tables) {
    float total = 0;
    for (int32_t i = 0; i < width; i += 4) {
        float whole[4];
        int16_t v[16];
        for (int j = 0; j < 4; j++) whole[j] = rintf(x[i + j] * inverse), total += whole[j];
        entries(whole, 1.0f, v);
        for (int e = 0; e < 16; e++) {
            const int16_t low = (int8_t)(v[e] & 255), high = (int16_t)((v[e] - low) / 256);
            tables[4 * i + e] = (uint8_t)((part == 1 ? low : high) + offset);
        }
    }
    return total;
}

/* The largest sum of four magnitudes, or the largest magnitude (exact tables). */
INLINE float magnitude(const float *x, int32_t width, int exact) {
    float largest[8] = {0}, top = 0;
    int32_t i = 0;
#ifdef TRADESPACE_AVX2
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 most = _mm256_setzero_ps();
    for (; i + 16 <= width; i += 16) {
        const __m256 a = _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i));
        const __m256 b = _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i + 8));
        const __m256 pairs = _mm256_hadd_ps(a, b);
        most = _mm256_max_ps(most, exact ? _mm256_max_ps(a, b) : _mm256_hadd_ps(pairs, pairs));
    }
    _mm256_storeu_ps(largest, most);
#endif
    for (; i < width; i += 4) {
        const float a = fabsf(x[i]), b = fabsf(x[i + 1]), c = fabsf(x[i + 2]), d = fabsf(x[i + 3]);
        const float s = exact ? fmaxf(fmaxf(a, b), fmaxf(c, d)) : (a + b) + (c + d);
        largest[0] = s > largest[0] ? s : largest[0];
    }
    for (int j = 0; j < 8; j++) top = largest[j] > top ? largest[j] : top;
    return top;
}

/* Tables of one activation group; all pointers are at its start. */
static void build(const Job *job, const float *x, int32_t width, uint8_t *tables, float *alpha, float *beta) {
    const int32_t chunk = job->chunk, part = job->part, step = 4 * chunk;
    const int offset = job->wide ? 0 : 128;
    const float largest = magnitude(x, width, part), scale = largest / 127.0f;
    const float inverse = largest > LEAST ? 127.0f / largest : 0.0f;
    const float top = (float)((1 << job->bits) - 1), constant = top / 2 - job->zero;
    const float unit = part == 2 ? 256 * scale : scale;
    int levels = 0;
    while (1 << levels < job->fast) levels++;
    const float shift = (float)(offset * chunk) + (float)(chunk * levels) / 4; /* a level of averages adds a quarter */
    for (int32_t i = 0; i < width; i += step) {
        const float total = part ? scale * split(x + i, step, inverse, offset, part, tables + 4 * i)
                                 : rounded(x + i, step, inverse, offset, tables + 4 * i);
        alpha[i / step] = unit / 2 * (float)(job->fast ? job->fast : 1);
        beta[i / step] = (part == 2 ? 0 : constant * total) - shift * top * unit / 2;
    }
}

/* Task over the activation groups of all n rows of activations. */
void tmac_tables(const void *args, int64_t begin, int64_t end) {
    const Job *job = args;
    const int64_t groups = (job->k + job->group - 1) / job->group, step = 4 * job->chunk;
    for (int64_t at = begin; at < end; at++) {
        const int64_t n = at / groups, first = at % groups * job->group;
        const int64_t width = first + job->group < job->k ? job->group : job->k - first;
        const int64_t place = n * job->k + first;
        build(job, job->x + place, (int32_t)width, job->tables + 4 * place, job->alpha + place / step,
              job->beta + place / step);
    }
}
#endif

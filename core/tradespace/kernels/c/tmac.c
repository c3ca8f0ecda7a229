/* T-MAC (arXiv 2407.00088): products with 1-4 bit weights by table lookup, without dequantisation.

   Weights are bit planes. Four one-bit weights of a row are an index into a table of the 16 signed sums of the four
   activations they meet (bit 1 adds, bit 0 subtracts). Tables are bytes: int8 with one scale per activation group, kept
   with an offset of 128 by the AVX2 and scalar paths (unsigned sums need no sign extension), without by the wide path.

   Planes, one block per (tile of k, tile of rows), blocks in that order; inside a block:
     tile:  [chunk][bit, high first][pair of tables][rows] bytes: low nibble first table, high nibble second table;
            in each 32 bytes, byte 2j is row j and byte 2j+1 is row 16+j, so 16-bit halves of a sum are whole rows.
     wide:  [8 tables][bit][row][4] bytes: nibbles are tables j and 4+j of one row, next to each other, so that one
            dot-product instruction adds them up; 32 rows.
   Scales: fp16, [tile of rows][weight group][rows]. Sums of a chunk become floats as sum * alpha[c] + beta[c]. */
#include "task.h"
#include <math.h>
#if defined(TRADESPACE_VNNI) && defined(__AVX512VBMI__)
#define WIDE 1
#endif

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
    const __m256 a = _mm256_add_ps(_mm256_xor_ps(_mm256_broadcast_ss(x), s0), _mm256_xor_ps(_mm256_broadcast_ss(x + 1), s1));
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
        const __m256 a = _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)), b = _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i + 8));
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
    const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
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
        build(job, job->x + place, (int32_t)width, job->tables + 4 * place, job->alpha + place / step, job->beta + place / step);
    }
}

#ifdef TRADESPACE_AVX2
INLINE void indices(const uint8_t *p, int natural, __m256i *low, __m256i *high) {
    const __m256i nibble = _mm256_set1_epi8(15), v = _mm256_loadu_si256((const __m256i *)p);
    *low = _mm256_and_si256(v, nibble);
    *high = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
    if (natural) { /* lane: one table; nibbles: neighbouring rows */
        __m256i a = _mm256_unpacklo_epi8(*low, *high), b = _mm256_unpackhi_epi8(*low, *high);
        *low = _mm256_permute2x128_si256(a, b, 0x20), *high = _mm256_permute2x128_si256(a, b, 0x31);
    }
}

INLINE void pair(const uint8_t *t, const uint8_t *p, int natural, __m256i *v0, __m256i *v1) { /* two tables, 32 rows */
    const __m256i t0 = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)t));
    const __m256i t1 = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(t + 16)));
    __m256i i0, i1;
    indices(p, natural, &i0, &i1);
    *v0 = _mm256_shuffle_epi8(t0, i0), *v1 = _mm256_shuffle_epi8(t1, i1);
}

/* Average of 8 or 16 tables that rounds up, a tree. */
INLINE __m256i average8(const uint8_t *t, const uint8_t *p, size_t step, int natural) {
    __m256i a, b, v[4];
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) pair(t + 32 * q, p + q * step, natural, &a, &b), v[q] = _mm256_avg_epu8(a, b);
    return _mm256_avg_epu8(_mm256_avg_epu8(v[0], v[1]), _mm256_avg_epu8(v[2], v[3]));
}

INLINE __m256i average(const uint8_t *t, const uint8_t *p, size_t step, int natural, const int tree) {
    const __m256i first = average8(t, p, step, natural);
    return tree == 8 ? first : _mm256_avg_epu8(first, average8(t + 128, p + 4 * step, step, natural));
}

INLINE void finish(__m256i u, const uint16_t *d, __m256 a, __m256 b, __m256 *acc) { /* 16 rows */
    __m256 f = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(u)));
    __m256 g = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm256_extracti128_si256(u, 1)));
    const __m256 d0 = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)d));
    const __m256 d1 = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(d + 8)));
    acc[0] = _mm256_fmadd_ps(_mm256_fmadd_ps(f, a, b), d0, acc[0]);
    acc[1] = _mm256_fmadd_ps(_mm256_fmadd_ps(g, a, b), d1, acc[1]);
}

/* One tile: `chunks` chunks of 2 * pairs tables for 32 * R rows. */
INLINE void tile(const uint8_t *w, size_t pair_step, size_t bit_step, size_t chunk_step, const uint16_t *scales,
                 int group, const uint8_t *tables, const float *alpha, const float *beta, float *y, int chunks,
                 const int pairs, int bits, int per_scale, const int R, const int fast, const int natural) {
    const __m256i byte = _mm256_set1_epi16(255);
    __m256 acc[8];
    for (int j = 0; j < 4 * R; j++) acc[j] = _mm256_loadu_ps(y + 8 * j);
    for (int c = 0; c < chunks; c++) {
        const uint8_t *t = tables + (size_t)c * pairs * 32, *plane = w + c * chunk_step;
        __m256i all[2], high[2]; /* sums of 16-bit halves, and of their upper bytes */
        for (int r = 0; r < R; r++) all[r] = high[r] = _mm256_setzero_si256();
        for (int b = 0; b < bits; b++, plane += bit_step) {
            for (int r = 0; r < R; r++) all[r] = _mm256_add_epi16(all[r], all[r]), high[r] = _mm256_add_epi16(high[r], high[r]);
            if (fast) {
                for (int q = 0; q < pairs; q += fast / 2)
                    for (int r = 0; r < R; r++) {
                        const __m256i v = average(t + 32 * q, plane + q * pair_step + 32 * r, pair_step, natural, fast);
                        all[r] = _mm256_add_epi16(all[r], _mm256_and_si256(v, byte));
                        high[r] = _mm256_add_epi16(high[r], _mm256_srli_epi16(v, 8));
                    }
                continue;
            }
#pragma GCC unroll 4
            for (int q = 0; q < pairs; q++)
                for (int r = 0; r < R; r++) {
                    __m256i v0, v1;
                    pair(t + 32 * q, plane + q * pair_step + 32 * r, natural, &v0, &v1);
                    all[r] = _mm256_add_epi16(all[r], _mm256_add_epi16(v0, v1));
                    high[r] = _mm256_add_epi16(high[r], _mm256_srli_epi16(v0, 8));
                    high[r] = _mm256_add_epi16(high[r], _mm256_srli_epi16(v1, 8));
                }
        }
        const __m256 a = _mm256_broadcast_ss(alpha + c), o = _mm256_broadcast_ss(beta + c);
        const uint16_t *d = scales + (size_t)((group + c) / per_scale) * 32 * R;
        for (int r = 0; r < R; r++) {
            const __m256i low = fast ? all[r] : _mm256_sub_epi16(all[r], _mm256_slli_epi16(high[r], 8));
            finish(low, d + 32 * r, a, o, acc + 4 * r);
            finish(high[r], d + 32 * r + 16, a, o, acc + 4 * r + 2);
        }
    }
    for (int j = 0; j < 4 * R; j++) _mm256_storeu_ps(y + 8 * j, acc[j]);
}
#endif

/* The same sums one row at a time: the fallback, and what the vector paths are tested against. */
static void tile_plain(const uint8_t *w, size_t pair_step, size_t bit_step, size_t chunk_step, const uint16_t *scales,
                       int group, const uint8_t *tables, const float *alpha, const float *beta, float *y, int chunks,
                       int pairs, int bits, int per_scale, int R, int fast, int natural) {
    for (int row = 0; row < 32 * R; row++) {
        const int in = row % 32, at = row / 32 * 32;
        for (int c = 0; c < chunks; c++) {
            const uint8_t *t = tables + (size_t)c * pairs * 32, *plane = w + c * chunk_step;
            uint32_t total = 0;
            for (int b = 0; b < bits; b++, plane += bit_step) {
                uint32_t node[64], sum = 0;
                for (int q = 0; q < pairs; q++) {
                    const uint8_t *p = plane + q * pair_step + at;
                    const int spot = in < 16 ? 2 * in : 2 * in - 31; /* where the row's byte of a sum stands */
                    uint8_t i0, i1;
                    if (natural) {
                        i0 = p[spot / 2] >> spot % 2 * 4 & 15, i1 = p[16 + spot / 2] >> spot % 2 * 4 & 15;
                    } else {
                        i0 = p[spot] & 15, i1 = p[spot] >> 4;
                    }
                    node[2 * q] = t[32 * q + i0], node[2 * q + 1] = t[32 * q + 16 + i1];
                    sum += node[2 * q] + node[2 * q + 1];
                }
                if (fast) {
                    sum = 0;
                    for (int at_tree = 0; at_tree < 2 * pairs; at_tree += fast) {
                        uint32_t *leaf = node + at_tree;
                        for (int n = fast; n > 1; n /= 2)
                            for (int i = 0; i < n / 2; i++) leaf[i] = (leaf[2 * i] + leaf[2 * i + 1] + 1) >> 1;
                        sum += leaf[0];
                    }
                }
                total = 2 * total + sum;
            }
            y[row] += ((float)total * alpha[c] + beta[c]) * from_half(scales[(size_t)((group + c) / per_scale) * 32 * R + row]);
        }
    }
}

typedef void Tile(const uint8_t *, size_t, size_t, size_t, const uint16_t *, int, const uint8_t *, const float *,
                  const float *, float *, int, int, int, int, int, int, int);

#ifdef TRADESPACE_AVX2
#define VARIANT(P, R, F, N)                                                                                           \
    static void tile_##P##_##R##_##F##_##N(const uint8_t *w, size_t ps, size_t bs, size_t cs, const uint16_t *d, int g, \
                                           const uint8_t *t, const float *a, const float *b, float *y, int c, int p,  \
                                           int bits, int per, int r, int f, int n) {                                  \
        (void)p, (void)r, (void)f, (void)n;                                                                           \
        tile(w, ps, bs, cs, d, g, t, a, b, y, c, P, bits, per, R, F, N);                                              \
    }
#define VARIANTS(P) \
    VARIANT(P, 1, 0, 0) VARIANT(P, 2, 0, 0) VARIANT(P, 1, 8, 0) VARIANT(P, 2, 8, 0) VARIANT(P, 1, 0, 1) VARIANT(P, 2, 0, 1)
VARIANTS(4)
VARIANTS(8)
VARIANTS(16)
VARIANT(8, 1, 16, 0)
VARIANT(8, 2, 16, 0)
VARIANT(16, 1, 16, 0)
VARIANT(16, 2, 16, 0)
#define EXACT(P) {tile_##P##_1_0_0, tile_##P##_2_0_0}
#define NATURAL(P) {tile_##P##_1_0_1, tile_##P##_2_0_1}
#define AVERAGED(P, F) {tile_##P##_1_##F##_0, tile_##P##_2_##F##_0}
/* [pairs 4, 8, 16][exact, natural, trees of 8, trees of 16][rows] */
static Tile *const VECTOR[3][4][2] = {
    {EXACT(4), NATURAL(4), AVERAGED(4, 8), {0, 0}},
    {EXACT(8), NATURAL(8), AVERAGED(8, 8), AVERAGED(8, 16)},
    {EXACT(16), NATURAL(16), AVERAGED(16, 8), AVERAGED(16, 16)},
};
#endif

static Tile *choose(const Job *job) {
#ifdef TRADESPACE_AVX2
    const int size = job->chunk == 8 ? 0 : job->chunk == 16 ? 1 : 2;
    if (!job->plain) return VECTOR[size][job->natural ? 1 : job->fast == 0 ? 0 : job->fast == 8 ? 2 : 3][job->rows / 32 - 1];
#endif
    return tile_plain;
}

static void lookup_tiles(const Job *job, size_t first, size_t last) {
    Tile *run = choose(job);
    const int R = job->rows / 32, pairs = job->chunk / 2, step = 4 * job->chunk;
    const size_t rows = job->rows, tiles = job->m / job->rows, chunks_all = job->k / step;
    const size_t per_tile = chunks_all / job->per_scale * rows; /* scales of one row tile */
    size_t pair_step = rows, bit_step = pair_step * pairs, chunk_step = bit_step * job->bits;
    if (job->scattered) bit_step = job->m, pair_step = bit_step * job->bits, chunk_step = pair_step * pairs;
    for (int32_t start = 0; start < job->k; start += job->k_tile) {
        const int32_t width = start + job->k_tile < job->k ? job->k_tile : job->k - start;
        const int c0 = start / step, chunks = width / step;
        for (size_t at = first; at < last; at++) {
            const uint8_t *w = job->planes;
            w += job->scattered ? c0 * chunk_step + at * rows : tiles * c0 * chunk_step + at * chunks * chunk_step;
            for (size_t n = 0; n < (size_t)job->n; n++)
                run(w, pair_step, bit_step, chunk_step, job->scales + at * per_tile, c0,
                    job->tables + (n * job->k + start) * 4, job->alpha + n * chunks_all + c0,
                    job->beta + n * chunks_all + c0, job->y + n * job->m + at * rows, chunks, pairs, job->bits,
                    job->per_scale, R, job->fast, job->natural);
        }
    }
}

#ifdef WIDE
/* 64 bytes hold 16 rows of 8 tables; one permutation of 64 bytes looks 4 tables up for 16 rows, one dot product with
   the plane's weight 2^b adds the 4 up. (Ours: the publication's x86 path is AVX2.) */
INLINE __m512i four(__m512i sum, __m512i planes, __m512i power, __m512i tables) {
    const __m512i nibble = _mm512_set1_epi8(15), which = _mm512_set1_epi32(0x30201000); /* byte j of a row: table j */
    const __m512i index = _mm512_ternarylogic_epi32(planes, nibble, which, 0xEA);       /* (planes & nibble) | which */
    return _mm512_dpbusd_epi32(sum, power, _mm512_permutexvar_epi8(index, tables));
}

static void tile_wide(const Job *job, const uint8_t *w, const uint16_t *scales, int group, int chunks, const uint8_t *t,
                      const float *alpha, const float *beta, float *y) {
    const int bits = job->bits, eights = job->chunk / 8;
    __m512 y0 = _mm512_loadu_ps(y), y1 = _mm512_loadu_ps(y + 16);
    for (int c = 0; c < chunks; c++) {
        __m512i s0 = _mm512_setzero_si512(), s1 = s0, u0 = s0, u1 = s0;
        for (int e = 0; e < eights; e++, t += 128) {
            const __m512i a = _mm512_loadu_si512(t), b = _mm512_loadu_si512(t + 64);
            for (int bit = bits - 1; bit >= 0; bit--, w += 128) {
                const __m512i power = _mm512_set1_epi8((char)(1 << bit));
                const __m512i p0 = _mm512_loadu_si512(w), p1 = _mm512_loadu_si512(w + 64);
                s0 = four(s0, p0, power, a), u0 = four(u0, _mm512_srli_epi16(p0, 4), power, b);
                s1 = four(s1, p1, power, a), u1 = four(u1, _mm512_srli_epi16(p1, 4), power, b);
            }
        }
        const __m512 a = _mm512_set1_ps(alpha[c]), b = _mm512_set1_ps(beta[c]);
        const uint16_t *d = scales + (size_t)((group + c) / job->per_scale) * 32;
        const __m512 d0 = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)d));
        const __m512 d1 = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(d + 16)));
        y0 = _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(s0, u0)), a, b), d0, y0);
        y1 = _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(s1, u1)), a, b), d1, y1);
    }
    _mm512_storeu_ps(y, y0), _mm512_storeu_ps(y + 16, y1);
}

static void lookup_wide(const Job *job, size_t first, size_t last) {
    const int step = 4 * job->chunk, bits = job->bits;
    const size_t tiles = job->m / 32, chunks_all = job->k / step, scales = chunks_all / job->per_scale;
    for (int32_t start = 0; start < job->k; start += job->k_tile) {
        const int32_t width = start + job->k_tile < job->k ? job->k_tile : job->k - start;
        for (size_t at = first; at < last; at++) {
            const uint8_t *planes = job->planes + 4 * bits * (tiles * start + at * width);
            for (size_t n = 0; n < (size_t)job->n; n++) {
                const size_t c = n * chunks_all + start / step;
                tile_wide(job, planes, job->scales + at * scales * 32, start / step, width / step,
                          job->tables + (n * job->k + start) * 4, job->alpha + c, job->beta + c,
                          job->y + n * job->m + at * 32);
            }
        }
    }
}
#endif

/* Task over rows; begin and end are whole tiles (end may be m). Writes y. */
void tmac_lookup(const void *args, int64_t begin, int64_t end) {
    const Job *job = args;
    const size_t first = begin / job->rows, last = (end + job->rows - 1) / job->rows;
    for (size_t n = 0; n < (size_t)job->n && job->part < 2; n++)
        memset(job->y + n * job->m + first * job->rows, 0, (last - first) * job->rows * sizeof(float));
#ifdef WIDE
    if (job->wide) {
        lookup_wide(job, first, last);
        return;
    }
#endif
    lookup_tiles(job, first, last);
}

/* What this library was compiled for: 2 has the wide path, 1 the vector path, 0 neither. */
int32_t tmac_level(void) {
#if defined(WIDE)
    return 2;
#elif defined(TRADESPACE_AVX2)
    return 1;
#else
    return 0;
#endif
}

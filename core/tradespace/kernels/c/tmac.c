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
#include "tmac_tables.h"

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
            for (int r = 0; r < R; r++) { /* the planes so far count twice the next */
                all[r] = _mm256_add_epi16(all[r], all[r]);
                high[r] = _mm256_add_epi16(high[r], high[r]);
            }
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
            const uint16_t scale = scales[(size_t)((group + c) / per_scale) * 32 * R + row];
            y[row] += ((float)total * alpha[c] + beta[c]) * from_half(scale);
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
    const int kind = job->natural ? 1 : job->fast == 0 ? 0 : job->fast == 8 ? 2 : 3;
    if (!job->plain) return VECTOR[size][kind][job->rows / 32 - 1];
#else
    (void)job;
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

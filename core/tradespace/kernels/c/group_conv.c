/* Group convolution of maps stored plane by plane, each plane flat: rows of `stride` numbers with the padding between
   them, so a filter tap is one distance. y[o][p] = sum over taps t of w[o][t] x[first channel of o's group][p + at[t]],
   for every p, the padding included. A vector of inputs is loaded once for up to eight outputs of its group: the more
   channels a group has, the more each load is used. */
#include "vector.h"

#ifdef TRADESPACE_AVX512
#define KEEP(v) HOLD(v)
#else
#define KEEP(v) (void)0 /* sixteen registers are few: the compiler reads weights again, and that is faster */
#endif

struct group_conv {
    const void *x, *w; /* planes of inputs; one row of weights an output (int8: pairs of int16, the last one padded) */
    const int64_t *at; /* distance of each tap from the group's first plane */
    void *y;
    int64_t group, taps, in_plane, out_plane; /* out_plane is a multiple of 64 */
};

/* `outs` outputs times `vecs` vectors of positions; both are constants where this is inlined. */
INLINE void tile_fp32(int outs, int vecs, const struct group_conv *p, int64_t o) {
    const float *x = (const float *)p->x + o / p->group * p->group * p->in_plane, *w = (const float *)p->w + o * p->taps;
    float *y = (float *)p->y + o * p->out_plane;
    for (int64_t i = 0; i < p->out_plane; i += vecs * LANES) {
        vec acc[8][8];
        for (int a = 0; a < outs; a++)
            for (int v = 0; v < vecs; v++) acc[a][v] = all(0);
        for (int64_t t = 0; t < p->taps; t++) {
            vec in[8];
            for (int v = 0; v < vecs; v++) {
                in[v] = load(x + p->at[t] + i + v * LANES);
                KEEP(in[v]);
            }
            for (int a = 0; a < outs; a++) {
                vec weight = all(w[a * p->taps + t]);
                KEEP(weight);
                for (int v = 0; v < vecs; v++) acc[a][v] += weight * in[v];
            }
        }
        for (int a = 0; a < outs; a++)
            for (int v = 0; v < vecs; v++) store(y + a * p->out_plane + i + v * LANES, acc[a][v]);
    }
}

void group_conv_fp32(const void *args, int64_t begin, int64_t end) {
    const struct group_conv *p = args;
    for (int64_t o = begin; o < end;) {
#ifdef TRADESPACE_AVX512
        if (p->group % 8 == 0 && o + 8 <= end) { tile_fp32(8, 2, p, o); o += 8; continue; }
#endif
        if (p->group % 4 == 0 && o + 4 <= end) { tile_fp32(4, 2, p, o); o += 4; continue; }
        if (p->group % 2 == 0 && o + 2 <= end) { tile_fp32(2, 4, p, o); o += 2; continue; }
        tile_fp32(1, 64 / LANES > 4 ? 8 : 4, p, o);
        o++;
    }
}

#ifdef TRADESPACE_AVX2
/* Two taps at once: their bytes are interleaved and widened, then multiplied and added in pairs. */
INLINE void tile_int8(int outs, const struct group_conv *p, int64_t o) {
    const int8_t *x = (const int8_t *)p->x + o / p->group * p->group * p->in_plane;
    int64_t pairs = (p->taps + 1) / 2;
    const int32_t *w = (const int32_t *)p->w + o * pairs;
    int32_t *y = (int32_t *)p->y + o * p->out_plane;
    for (int64_t i = 0; i < p->out_plane; i += 16) {
        __m256i acc[8][2];
        for (int a = 0; a < outs; a++) acc[a][0] = acc[a][1] = _mm256_setzero_si256();
        for (int64_t t = 0; t < pairs; t++) {
            __m128i one = _mm_loadu_si128((const __m128i *)(x + p->at[2 * t] + i));
            __m128i two = _mm_loadu_si128((const __m128i *)(x + p->at[2 * t + 1] + i));
            __m256i low = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(one, two));
            __m256i high = _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(one, two));
            for (int a = 0; a < outs; a++) {
                __m256i weight = _mm256_set1_epi32(w[a * pairs + t]);
                acc[a][0] = _mm256_add_epi32(acc[a][0], _mm256_madd_epi16(low, weight));
                acc[a][1] = _mm256_add_epi32(acc[a][1], _mm256_madd_epi16(high, weight));
            }
        }
        for (int a = 0; a < outs; a++)
            for (int v = 0; v < 2; v++)
                _mm256_storeu_si256((__m256i *)(y + a * p->out_plane + i + 8 * v), acc[a][v]);
    }
}
#else
INLINE void tile_int8(int outs, const struct group_conv *p, int64_t o) {
    const int8_t *x = (const int8_t *)p->x + o / p->group * p->group * p->in_plane;
    int64_t pairs = (p->taps + 1) / 2;
    const int16_t *w = (const int16_t *)p->w + 2 * o * pairs;
    for (int a = 0; a < outs; a++) {
        int32_t *y = (int32_t *)p->y + (o + a) * p->out_plane;
        for (int64_t i = 0; i < p->out_plane; i++) y[i] = 0;
        for (int64_t t = 0; t < 2 * pairs; t++)
            for (int64_t i = 0; i < p->out_plane; i++) y[i] += w[2 * a * pairs + t] * x[p->at[t] + i];
    }
}
#endif

void group_conv_int8(const void *args, int64_t begin, int64_t end) {
    const struct group_conv *p = args;
    for (int64_t o = begin; o < end;) {
        if (p->group % 4 == 0 && o + 4 <= end) { tile_int8(4, p, o); o += 4; continue; }
        if (p->group % 2 == 0 && o + 2 <= end) { tile_int8(2, p, o); o += 2; continue; }
        tile_int8(1, p, o);
        o++;
    }
}

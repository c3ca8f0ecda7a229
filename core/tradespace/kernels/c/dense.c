/* Dense products of row-major weights (m, k) with n columns: y[j * ldy + r] = sum over i of w[r][i] x[j][i].
   Weights fp32, fp16, bf16 with fp32 activations; or int8 with one scale a row, times int8 with one a column. */
#include "vector.h"

struct dense {
    const void *w;
    const float *x; /* (n, k) */
    float *y;
    int64_t k, n, ldy;
};

#define DEPTH 1024 /* numbers of k between two visits of the same columns: their slices stay in the L2 cache */
#ifdef TRADESPACE_AVX512
#define TILE 4 /* rows held in registers, and columns */
#define COLUMNS 4
#else
#define TILE 4
#define COLUMNS 2
#endif

/* `rows` rows times `cols` columns over [from, to); both are constants where this is inlined. */
INLINE void tile(int type, int rows, int cols, const struct dense *p, int64_t r, int64_t j, int64_t from, int64_t to) {
    vec acc[4][4];
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < cols; b++) acc[a][b] = all(0);
    int64_t i = from;
    for (; i + LANES <= to; i += LANES) {
        vec x[4];
        for (int b = 0; b < cols; b++) {
            x[b] = load(p->x + (j + b) * p->k + i);
            HOLD(x[b]);
        }
        for (int a = 0; a < rows; a++) {
            vec w = load_as(type, p->w, (r + a) * p->k + i);
            HOLD(w);
            for (int b = 0; b < cols; b++) acc[a][b] += w * x[b];
        }
    }
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < cols; b++) {
            float sum = total(acc[a][b]);
            for (int64_t l = i; l < to; l++) sum += one_as(type, p->w, (r + a) * p->k + l) * p->x[(j + b) * p->k + l];
            float *y = p->y + (j + b) * p->ldy + r + a;
            *y = from ? *y + sum : sum;
        }
}

/* One row times one column, four sums at a time. */
INLINE float long_dot(int type, const void *w, int64_t at, const float *x, int64_t k) {
    vec acc[4] = {{0}, {0}, {0}, {0}};
    int64_t i = 0;
    for (; i + 4 * LANES <= k; i += 4 * LANES)
        for (int t = 0; t < 4; t++) acc[t] += load_as(type, w, at + i + LANES * t) * load(x + i + LANES * t);
    for (; i + LANES <= k; i += LANES) acc[0] += load_as(type, w, at + i) * load(x + i);
    float sum = total((acc[0] + acc[1]) + (acc[2] + acc[3]));
    for (; i < k; i++) sum += one_as(type, w, at + i) * x[i];
    return sum;
}

INLINE void dense(int type, const struct dense *p, int64_t begin, int64_t end) {
    if (p->n == 1) {
        for (int64_t r = begin; r < end; r++) p->y[r] = long_dot(type, p->w, r * p->k, p->x, p->k);
        return;
    }
    for (int64_t from = 0; from < p->k; from += DEPTH) {
        int64_t to = from + DEPTH < p->k ? from + DEPTH : p->k, r = begin;
        for (; r + TILE <= end; r += TILE) {
            int64_t j = 0;
            for (; j + COLUMNS <= p->n; j += COLUMNS) tile(type, TILE, COLUMNS, p, r, j, from, to);
            for (; j < p->n; j++) tile(type, TILE, 1, p, r, j, from, to);
        }
        for (; r < end; r++)
            for (int64_t j = 0; j < p->n; j++) tile(type, 1, 1, p, r, j, from, to);
    }
}

void mul_fp32(const void *args, int64_t begin, int64_t end) { dense(F32, args, begin, end); }
void mul_fp16(const void *args, int64_t begin, int64_t end) { dense(F16, args, begin, end); }
void mul_bf16(const void *args, int64_t begin, int64_t end) { dense(BF16, args, begin, end); }

struct bytes {
    const int8_t *w, *x;           /* (m, k), (n, k) */
    const float *w_scale, *x_scale; /* (m,), (n,) */
    float *y;
    int64_t k, n, ldy;
};

#ifdef TRADESPACE_VNNI
/* The intrinsic makes GCC 12 keep the sums in memory. */
#define DOT(sum, u, v) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(v))
#endif

/* Exact integer dot products; |w|, |x| <= 127, k < 2^17. */
INLINE void dots(int rows, int cols, const int8_t *w, const int8_t *x, int64_t k, int32_t out[4][4]) {
    int64_t i = 0;
#if defined(TRADESPACE_VNNI)
    __m512i acc[4][4], sum[4];
    const __m512i flip = _mm512_set1_epi8((char)0x80), ones = _mm512_set1_epi8(1);
    for (int b = 0; b < cols; b++) {
        sum[b] = _mm512_setzero_si512();
        for (int a = 0; a < rows; a++) acc[a][b] = _mm512_setzero_si512();
    }
    for (; i + 64 <= k; i += 64) {
        __m512i v[4];
        for (int b = 0; b < cols; b++) {
            v[b] = _mm512_loadu_si512(x + b * k + i);
            DOT(sum[b], ones, v[b]);
        }
        for (int a = 0; a < rows; a++) {
            __m512i u = _mm512_xor_si512(_mm512_loadu_si512(w + a * k + i), flip); /* w + 128, unsigned */
            for (int b = 0; b < cols; b++) DOT(acc[a][b], u, v[b]);
        }
    }
    for (int b = 0; b < cols; b++)
        for (int a = 0; a < rows; a++)
            out[a][b] = _mm512_reduce_add_epi32(_mm512_sub_epi32(acc[a][b], _mm512_slli_epi32(sum[b], 7)));
#elif defined(TRADESPACE_AVX2)
    __m256i acc[4][4];
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < cols; b++) acc[a][b] = _mm256_setzero_si256();
    for (; i + 16 <= k; i += 16) {
        __m256i v[4];
        for (int b = 0; b < cols; b++) v[b] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x + b * k + i)));
        for (int a = 0; a < rows; a++) {
            __m256i u = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + a * k + i)));
            for (int b = 0; b < cols; b++) acc[a][b] = _mm256_add_epi32(acc[a][b], _mm256_madd_epi16(u, v[b]));
        }
    }
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < cols; b++) {
            int32_t lane[8];
            memcpy(lane, &acc[a][b], 32);
            out[a][b] = lane[0] + lane[1] + lane[2] + lane[3] + lane[4] + lane[5] + lane[6] + lane[7];
        }
#else
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < cols; b++) out[a][b] = 0;
#endif
    for (; i < k; i++)
        for (int a = 0; a < rows; a++)
            for (int b = 0; b < cols; b++) out[a][b] += w[a * k + i] * x[b * k + i];
}

INLINE void small(int rows, int cols, const struct bytes *p, int64_t r, int64_t j) {
    int32_t out[4][4];
    dots(rows, cols, p->w + r * p->k, p->x + j * p->k, p->k, out);
    for (int a = 0; a < rows; a++)
        for (int b = 0; b < cols; b++)
            p->y[(j + b) * p->ldy + r + a] = (float)out[a][b] * p->w_scale[r + a] * p->x_scale[j + b];
}

void mul_int8(const void *args, int64_t begin, int64_t end) {
    const struct bytes *p = args;
    int64_t r = begin;
    for (; r + TILE <= end; r += TILE) {
        int64_t j = 0;
        for (; j + COLUMNS <= p->n; j += COLUMNS) small(TILE, COLUMNS, p, r, j);
        for (; j < p->n; j++) small(TILE, 1, p, r, j);
    }
    for (; r < end; r++)
        for (int64_t j = 0; j < p->n; j++) small(1, 1, p, r, j);
}

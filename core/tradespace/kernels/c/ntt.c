/* Number-theoretic transforms modulo X^N + 1 and a prime q < 2^31: as products of bytes, and as N log N butterflies.

   As bytes: N = R x C, X in rows. One stage multiplies by an R x R matrix from the left, the other by a C x C matrix
   from the right, and an element-wise product stands between them. A constant w becomes the bytes B[i][j] of w 2^(8j)
   mod q; a word with bytes a_j then gives sums z_i = sum B[i][j] a_j, and w a = sum z_i 2^(8i) modulo q. These are sums
   over all words of a row as well, so each needs one Montgomery reduction: constants hold a factor of 2^32. Four bytes
   of a word lie side by side in memory, which is what the dot products of VNNI want: words are never taken apart. */
#include "vector.h"

struct ntt {
    const uint32_t *x;
    uint32_t *y, *scratch; /* one polynomial each a row, R x C; polynomial p has the constants of limb p % limbs */
    const uint32_t *left;   /* (limbs, R out, R in, 4): the bytes j of B[i][.] in one word */
    const uint32_t *lower;  /* the same, each byte 128 lower: the signed bytes of VNNI */
    const uint32_t *right;  /* (limbs, C in, 4, C out) */
    const uint32_t *sums;   /* (limbs, 4, C out): all bytes of a column of `right` */
    const uint32_t *middle; /* (limbs, R, C), with a factor of 2^32 */
    const uint32_t *q, *inverse; /* primes, and -1/q modulo 2^32 */
    int64_t rows, cols, limbs, back; /* back: right, middle, left instead of left, middle, right */
};

INLINE uint32_t redc(uint64_t v, uint32_t q, uint32_t inverse) {
    uint32_t m = (uint32_t)v * inverse, t = (uint32_t)((v + (uint64_t)m * q) >> 32);
    return t >= q ? t - q : t;
}
INLINE uint32_t merged(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t q, uint32_t inverse) {
    return redc(a + ((uint64_t)b << 8) + ((uint64_t)c << 16) + ((uint64_t)d << 24), q, inverse);
}

/* sum of four products of bytes, in plain C */
INLINE uint32_t dot4(uint32_t a, uint32_t b) {
    return (a & 255) * (b & 255) + (a >> 8 & 255) * (b >> 8 & 255) + (a >> 16 & 255) * (b >> 16 & 255)
           + (a >> 24) * (b >> 24);
}

/* What a tile of sums z[4][n] becomes: merged, reduced, multiplied by the middle where there is one, and stored. */
INLINE void finish(const uint32_t *z, int64_t stride, int n, const uint32_t *middle, uint32_t *out, uint32_t q,
                   uint32_t inverse) {
    for (int i = 0; i < n; i++) out[i] = merged(z[i], z[stride + i], z[2 * stride + i], z[3 * stride + i], q, inverse);
    if (middle)
        for (int i = 0; i < n; i++) out[i] = redc((uint64_t)out[i] * middle[i], q, inverse);
}

static void left_plain(const struct ntt *p, int64_t limb, const uint32_t *x, const uint32_t *middle, uint32_t *out) {
    const uint32_t *w = p->left + limb * p->rows * p->rows * 4;
    for (int64_t k = 0; k < p->rows; k++)
        for (int64_t c = 0; c < p->cols; c++) {
            uint32_t z[4] = {0, 0, 0, 0};
            for (int64_t r = 0; r < p->rows; r++)
                for (int i = 0; i < 4; i++) z[i] += dot4(x[r * p->cols + c], w[(k * p->rows + r) * 4 + i]);
            finish(z, 1, 1, middle ? middle + k * p->cols + c : 0, out + k * p->cols + c, p->q[limb], p->inverse[limb]);
        }
}

static void right_plain(const struct ntt *p, int64_t limb, const uint32_t *x, const uint32_t *middle, uint32_t *out) {
    const uint32_t *w = p->right + limb * p->cols * p->cols * 4;
    for (int64_t r = 0; r < p->rows; r++)
        for (int64_t k = 0; k < p->cols; k++) {
            uint32_t z[4] = {0, 0, 0, 0};
            for (int64_t c = 0; c < p->cols; c++)
                for (int i = 0; i < 4; i++) z[i] += dot4(x[r * p->cols + c], w[(c * 4 + i) * p->cols + k]);
            finish(z, 1, 1, middle ? middle + r * p->cols + k : 0, out + r * p->cols + k, p->q[limb], p->inverse[limb]);
        }
}

#ifdef TRADESPACE_VNNI
#define WORDS 16
#define TILE 4
typedef __m512i bytes;
#define ZERO _mm512_setzero_si512()
#define READ(at) _mm512_loadu_si512(at)
#define EVERY(word) _mm512_set1_epi32((int)(word))
#define SAVE(at, v) _mm512_storeu_si512(at, v)
#elif defined(TRADESPACE_AVX2)
#define WORDS 8
#define TILE 2
typedef __m256i bytes;
#define ZERO _mm256_setzero_si256()
#define READ(at) _mm256_loadu_si256((const __m256i *)(at))
#define EVERY(word) _mm256_set1_epi32((int)(word))
#define SAVE(at, v) _mm256_storeu_si256((__m256i *)(at), v)
#endif

#ifdef WORDS
/* acc + dot products of unsigned bytes. VNNI multiplies unsigned by signed bytes: `s` is taken 128 lower, and whoever
   adds up puts 128 times the sum of `u` back. AVX2 widens both to 16 bits, of which no sum of two overflows. */
INLINE bytes dots(bytes acc, bytes u, bytes s) {
#ifdef TRADESPACE_VNNI
    return _mm512_dpbusd_epi32(acc, u, s);
#else
    const __m256i low = _mm256_set1_epi16(255);
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_and_si256(u, low), _mm256_and_si256(s, low)));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srli_epi16(s, 8)));
#endif
}
#ifdef TRADESPACE_VNNI
#define BIAS 0x80808080u
#define LEFT lower
#else
#define BIAS 0u
#define LEFT left
#endif

static void left_tiles(const struct ntt *p, int64_t limb, const uint32_t *x, const uint32_t *middle, uint32_t *out) {
    const uint32_t *w = p->LEFT + limb * p->rows * p->rows * 4;
    for (int64_t c = 0; c < p->cols; c += WORDS) {
        uint32_t z[TILE][4][WORDS], total[WORDS];
        bytes all_of = ZERO;
        if (BIAS)
            for (int64_t r = 0; r < p->rows; r++) all_of = dots(all_of, READ(x + r * p->cols + c), EVERY(0x01010101));
        SAVE(total, all_of);
        for (int64_t k = 0; k < p->rows; k += TILE) {
            bytes acc[TILE][4];
            for (int t = 0; t < TILE; t++)
                for (int i = 0; i < 4; i++) acc[t][i] = ZERO;
            for (int64_t r = 0; r < p->rows; r++) {
                bytes in = READ(x + r * p->cols + c);
                for (int t = 0; t < TILE; t++)
                    for (int i = 0; i < 4; i++)
                        acc[t][i] = dots(acc[t][i], in, EVERY(w[((k + t) * p->rows + r) * 4 + i]));
            }
            for (int t = 0; t < TILE; t++) {
                for (int i = 0; i < 4; i++) SAVE(z[t][i], acc[t][i]);
                if (BIAS)
                    for (int i = 0; i < 4; i++)
                        for (int n = 0; n < WORDS; n++) z[t][i][n] += 128 * total[n];
                int64_t at = (k + t) * p->cols + c;
                finish(z[t][0], WORDS, WORDS, middle ? middle + at : 0, out + at, p->q[limb], p->inverse[limb]);
            }
        }
    }
}

/* `signs`: room for x with 128 off each byte; may be x. */
static void right_tiles(const struct ntt *p, int64_t limb, const uint32_t *x, const uint32_t *middle, uint32_t *out,
                        uint32_t *signs) {
    const uint32_t *w = p->right + limb * p->cols * p->cols * 4, *sums = p->sums + limb * p->cols * 4;
    if (BIAS) {
        for (int64_t i = 0; i < p->rows * p->cols; i++) signs[i] = x[i] ^ BIAS;
        x = signs;
    }
    for (int64_t k = 0; k < p->cols; k += WORDS)
        for (int64_t r = 0; r < p->rows; r += TILE) {
            uint32_t z[TILE][4][WORDS];
            bytes acc[TILE][4];
            for (int t = 0; t < TILE; t++)
                for (int i = 0; i < 4; i++) acc[t][i] = ZERO;
            for (int64_t c = 0; c < p->cols; c++) {
                bytes b[4];
                for (int i = 0; i < 4; i++) b[i] = READ(w + (c * 4 + i) * p->cols + k);
                for (int t = 0; t < TILE; t++) {
                    bytes word = EVERY(x[(r + t) * p->cols + c]);
                    for (int i = 0; i < 4; i++) acc[t][i] = dots(acc[t][i], b[i], word);
                }
            }
            for (int t = 0; t < TILE; t++) {
                for (int i = 0; i < 4; i++) SAVE(z[t][i], acc[t][i]);
                if (BIAS)
                    for (int i = 0; i < 4; i++)
                        for (int n = 0; n < WORDS; n++) z[t][i][n] += 128 * sums[i * p->cols + k + n];
                int64_t at = (r + t) * p->cols + k;
                finish(z[t][0], WORDS, WORDS, middle ? middle + at : 0, out + at, p->q[limb], p->inverse[limb]);
            }
        }
}
#endif

static void left(const struct ntt *p, int64_t limb, const uint32_t *x, const uint32_t *middle, uint32_t *out) {
#ifdef WORDS
    if (p->rows % TILE == 0 && p->cols % WORDS == 0) { left_tiles(p, limb, x, middle, out); return; }
#endif
    left_plain(p, limb, x, middle, out);
}
static void right(const struct ntt *p, int64_t limb, const uint32_t *x, const uint32_t *middle, uint32_t *out,
                  uint32_t *signs) {
#ifdef WORDS
    if (p->rows % TILE == 0 && p->cols % WORDS == 0) { right_tiles(p, limb, x, middle, out, signs); return; }
#endif
    (void)signs;
    right_plain(p, limb, x, middle, out);
}

/* Rows are polynomials. */
void ntt_bytes(const void *args, int64_t begin, int64_t end) {
    const struct ntt *p = args;
    const int64_t n = p->rows * p->cols;
    for (int64_t row = begin; row < end; row++) {
        const int64_t limb = row % p->limbs;
        const uint32_t *x = p->x + row * n, *middle = p->middle + limb * n;
        uint32_t *between = p->scratch + row * n, *y = p->y + row * n;
        if (p->back) { right(p, limb, x, middle, between, y); left(p, limb, between, 0, y); }
        else { left(p, limb, x, middle, between); right(p, limb, between, 0, y, between); }
    }
}

struct butterflies {
    const uint32_t *x;
    uint32_t *y;
    const uint32_t *roots; /* (limbs, N): powers of a 2N-th root in bit-reversed order, with a factor of 2^32 */
    const uint32_t *scale; /* (limbs): 1 / N with a factor of 2^32; read on the way back */
    const uint32_t *q, *inverse;
    int64_t size, limbs, back;
};

/* Cooley-Tukey forth (results in bit-reversed order), Gentleman-Sande back. Rows are polynomials. */
void ntt_butterflies(const void *args, int64_t begin, int64_t end) {
    const struct butterflies *p = args;
    const int64_t n = p->size;
    for (int64_t row = begin; row < end; row++) {
        const int64_t limb = row % p->limbs;
        const uint32_t q = p->q[limb], inverse = p->inverse[limb], *roots = p->roots + limb * n;
        uint32_t *a = p->y + row * n;
        memcpy(a, p->x + row * n, (size_t)n * sizeof *a);
        int64_t blocks = p->back ? n / 2 : 1;
        for (; blocks >= 1 && blocks < n; blocks = p->back ? blocks / 2 : blocks * 2) {
            const int64_t half = n / (2 * blocks);
            for (int64_t b = 0; b < blocks; b++) {
                uint32_t *low = a + 2 * b * half, *high = low + half;
                const uint32_t root = roots[blocks + b];
                if (p->back)
                    for (int64_t i = 0; i < half; i++) {
                        uint32_t u = low[i], v = high[i], sum = u + v;
                        low[i] = sum >= q ? sum - q : sum;
                        high[i] = redc((uint64_t)(u + q - v) * root, q, inverse);
                    }
                else
                    for (int64_t i = 0; i < half; i++) {
                        uint32_t u = low[i], v = redc((uint64_t)high[i] * root, q, inverse);
                        uint32_t sum = u + v, rest = u + q - v;
                        low[i] = sum >= q ? sum - q : sum;
                        high[i] = rest >= q ? rest - q : rest;
                    }
            }
        }
        if (p->back)
            for (int64_t i = 0; i < n; i++) a[i] = redc((uint64_t)a[i] * p->scale[limb], q, inverse);
    }
}

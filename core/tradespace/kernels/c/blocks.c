/* Products of block-quantised weights with int8-quantised activations: y[j][r] = sum over i of w[r][i] x[j][i].
   Blocks of 32 multiply with one activation scale for 32, blocks of 256 with one for 256, as ggml pairs them.
   Integer sums are exact within a block; blocks are added in fp32. */
#include "blocks.h"
#include "blocks32.h"
#include "blocks256.h"

struct product {
    const uint8_t *w;   /* m rows, `stride` bytes apart */
    struct acts x;      /* n columns of k */
    float *y;           /* y[j * ldy + r] */
    int64_t k, n, stride, ldy;
};

/* nc columns from x on, for one row. nc is a constant wherever this is inlined. */
INLINE void row(int format, int nc, const uint8_t *w, const struct acts *x, int64_t k, float *out) {
    if (block_size(format) == 32) dot32(format, nc, w, x, k, out);
    else dot256(format, nc, w, x, k, out);
}

INLINE struct acts column(const struct acts *x, int64_t j, int64_t k, int64_t group) {
    return (struct acts){x->q + j * k, x->d + j * k / group, x->s + j * k / 32, x->sums + j * k / 16};
}

#define WIDE 4 /* columns that share one decoding of the weights */

INLINE void product(int format, const struct product *p, int64_t begin, int64_t end) {
    int64_t group = block_size(format);
    for (int64_t r = begin; r < end; r++) {
        const uint8_t *w = p->w + r * p->stride;
        int64_t j = 0;
        float out[WIDE];
        for (; j + WIDE <= p->n; j += WIDE) {
            struct acts x = column(&p->x, j, p->k, group);
            row(format, WIDE, w, &x, p->k, out);
            for (int c = 0; c < WIDE; c++) p->y[(j + c) * p->ldy + r] = out[c];
        }
        for (; j < p->n; j++) {
            struct acts x = column(&p->x, j, p->k, group);
            row(format, 1, w, &x, p->k, out);
            p->y[j * p->ldy + r] = out[0];
        }
    }
}

#define PRODUCT(name, format) \
    void name(const void *args, int64_t begin, int64_t end) { product(format, args, begin, end); }
PRODUCT(mul_q8_0, Q8_0)
PRODUCT(mul_q5_0, Q5_0)
PRODUCT(mul_q4_0, Q4_0)
PRODUCT(mul_iq4_nl, IQ4_NL)
PRODUCT(mul_q6_k, Q6_K)
PRODUCT(mul_q4_k, Q4_K)
PRODUCT(mul_q3_k, Q3_K)
PRODUCT(mul_q2_k, Q2_K)

struct quantise {
    const float *x; /* all columns, one after another */
    struct acts to;
    int64_t group; /* 32 or 256 */
};

/* Rows are groups, counted over all columns. */
void quantise(const void *args, int64_t begin, int64_t end) {
    const struct quantise *p = args;
    int64_t group = p->group;
    for (int64_t g = begin; g < end; g++) {
        const float *x = p->x + g * group;
        int8_t *q = p->to.q + g * group;
        float most = 0;
        for (int64_t i = 0; i < group; i++) {
            float size = __builtin_fabsf(x[i]);
            most = size > most ? size : most;
        }
        float d = most / 127.0f, inverse = most > 0 ? 127.0f / most : 0.0f;
        for (int64_t i = 0; i < group; i++) q[i] = (int8_t)__builtin_rintf(x[i] * inverse);
        p->to.d[g] = d;
        for (int64_t i = 0; i < group; i += 32) {
            int sum[2] = {0, 0};
            for (int l = 0; l < 16; l++) sum[0] += q[i + l], sum[1] += q[i + 16 + l];
            int64_t at = (g * group + i) / 16;
            p->to.sums[at] = (int16_t)sum[0], p->to.sums[at + 1] = (int16_t)sum[1];
            p->to.s[at / 2] = d * (float)(sum[0] + sum[1]);
        }
    }
}

struct decode {
    const uint8_t *w;
    float *y;
    int64_t k, stride, format;
};

/* Rows of weights as fp32: what an embedding does, and what tests hold against other decoders. */
void decode_rows(const void *args, int64_t begin, int64_t end) {
    const struct decode *p = args;
    int64_t size = block_size((int)p->format), bytes = block_bytes((int)p->format);
    struct expanded e;
    for (int64_t r = begin; r < end; r++)
        for (int64_t b = 0; b < p->k / size; b++) {
            float *y = p->y + r * p->k + b * size;
            expand((int)p->format, p->w + r * p->stride + b * bytes, &e);
            for (int64_t i = 0; i < size; i++) y[i] = e.scale[i / 16] * (float)e.q[i] - e.minimum[i / 16];
        }
}

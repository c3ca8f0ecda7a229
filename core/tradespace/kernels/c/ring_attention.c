/* Attention of one head whose keys and values lie on W ranks: a partial output and its log-sum-exp per rank (online
   softmax, Milakov and Gimelshein 2018), merged in the order in which partials return (TokenRing, arXiv 2412.20501). */
#include <math.h>

#include "task.h"

#define WIDEST 256
#define KEYS 64 /* scores kept at a time */

struct ring {
    const float *q; /* (n, d), already scaled */
    const float *k; /* (ranks * m, d) */
    const float *v; /* (ranks * m, d) */
    float *out;     /* (n, d + 1): merged output, then its log-sum-exp */
    int64_t m, d, ranks;
};

static float dot(const float *a, const float *b, int64_t n) {
    float sum[16] = {0}, total = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) sum[l] += a[i + l] * b[i + l];
    for (; i < n; i++) total += a[i] * b[i];
    for (int l = 0; l < 16; l++) total += sum[l];
    return total;
}

/* One query against the m keys of one rank: an output that is normalised, and its log-sum-exp. */
static float partial(const struct ring *r, const float *q, const float *k, const float *v, float *acc) {
    float score[KEYS], most = -INFINITY, sum = 0;
    memset(acc, 0, (size_t)r->d * sizeof(float));
    for (int64_t at = 0; at < r->m; at += KEYS) {
        const int64_t many = r->m - at < KEYS ? r->m - at : KEYS;
        float high = most;
        for (int64_t j = 0; j < many; j++) {
            score[j] = dot(q, k + (at + j) * r->d, r->d);
            high = score[j] > high ? score[j] : high;
        }
        const float keep = expf(most - high);
        sum *= keep;
        for (int64_t c = 0; c < r->d; c++) acc[c] *= keep;
        for (int64_t j = 0; j < many; j++) {
            const float p = expf(score[j] - high), *row = v + (at + j) * r->d;
            sum += p;
            for (int64_t c = 0; c < r->d; c++) acc[c] += p * row[c];
        }
        most = high;
    }
    for (int64_t c = 0; c < r->d; c++) acc[c] /= sum;
    return most + logf(sum);
}

/* Rows of queries. */
void ring_attention(const void *args, int64_t begin, int64_t end) {
    const struct ring *r = args;
    float acc[WIDEST];
    for (int64_t i = begin; i < end; i++) {
        float *out = r->out + i * (r->d + 1), lse = -INFINITY;
        memset(out, 0, (size_t)r->d * sizeof(float));
        for (int64_t rank = 0; rank < r->ranks; rank++) {
            const float *k = r->k + rank * r->m * r->d, *v = r->v + rank * r->m * r->d;
            const float part = partial(r, r->q + i * r->d, k, v, acc);
            const float high = part > lse ? part : lse, whole = high + logf(expf(lse - high) + expf(part - high));
            const float old = expf(lse - whole), fresh = expf(part - whole);
            for (int64_t c = 0; c < r->d; c++) out[c] = old * out[c] + fresh * acc[c];
            lse = whole;
        }
        out[r->d] = lse;
    }
}

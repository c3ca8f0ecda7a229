/* Probes of one core: a reduction of chosen arithmetic intensity, STREAM triad, fp32 GEMV.
   GCC vector extensions only, so the same source serves SSE, AVX2, AVX-512 and NEON; the compiler picks the width. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
#define LANES 16
#define WAYS 8 /* independent accumulators: 4 cycles of FMA latency times 2 FMA units */

/* sum over i of p_k(x_i), p_k = k times (v <- v*a + b). n is a multiple of LANES*WAYS. 2*k FLOP and 4 B an element. */
double probe_fma(const float *x, size_t n, int k, float a, float b) {
    v16 sum[WAYS], va = a - (v16){0}, vb = b - (v16){0};
    memset(sum, 0, sizeof sum);
    for (size_t i = 0; i < n; i += LANES * WAYS) {
        v16 v[WAYS];
        for (int w = 0; w < WAYS; w++) memcpy(&v[w], x + i + w * LANES, sizeof(v16));
        for (int j = 0; j < k; j++)
            for (int w = 0; w < WAYS; w++) v[w] = v[w] * va + vb;
        for (int w = 0; w < WAYS; w++) sum[w] += v[w];
    }
    double total = 0;
    for (int w = 0; w < WAYS; w++)
        for (int l = 0; l < LANES; l++) total += sum[w][l];
    return total;
}

/* Every element is read, one vector in WAYS is added: 1 FLOP in 4*WAYS bytes. The others are folded by xor, which is
   no floating-point work but cannot be skipped. Returns the sum; *fold gets the xor. */
double probe_read(const float *x, size_t n, int32_t *fold) {
    v16 sum = {0};
    i16 bits = {0};
    for (size_t i = 0; i < n; i += LANES * WAYS) {
        v16 v;
        memcpy(&v, x + i, sizeof v);
        sum += v;
        for (int w = 1; w < WAYS; w++) {
            i16 u;
            memcpy(&u, x + i + w * LANES, sizeof u);
            bits ^= u;
        }
    }
    double total = 0;
    int32_t all = 0;
    for (int l = 0; l < LANES; l++) total += sum[l], all ^= bits[l];
    *fold = all;
    return total;
}

/* STREAM triad (McCalpin): a = b + s*c; 2 FLOP and 12 B an element (16 with write-allocate). */
void triad(float *restrict a, const float *restrict b, const float *restrict c, float s, size_t n) {
    for (size_t i = 0; i < n; i++) a[i] = b[i] + s * c[i];
}

/* y = W x, row-major W (m, k). Four accumulators a row. */
void gemv(const float *restrict w, const float *restrict x, float *restrict y, size_t m, size_t k) {
    for (size_t r = 0; r < m; r++) {
        const float *row = w + r * k;
        v16 acc[4];
        memset(acc, 0, sizeof acc);
        size_t j = 0;
        for (; j + 4 * LANES <= k; j += 4 * LANES)
            for (int t = 0; t < 4; t++) {
                v16 u, v;
                memcpy(&u, row + j + t * LANES, sizeof u);
                memcpy(&v, x + j + t * LANES, sizeof v);
                acc[t] += u * v;
            }
        float total = 0;
        for (int t = 0; t < 4; t++)
            for (int l = 0; l < LANES; l++) total += acc[t][l];
        for (; j < k; j++) total += row[j] * x[j];
        y[r] = total;
    }
}

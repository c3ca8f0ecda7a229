/* Ridge regression: (X X' + lambda I) w = X y, by Cholesky (Golub, Van Loan, section 4.2). */
#include <math.h>

#include "task.h"

struct ridge {
    const double *x; /* (p, n): one row a feature */
    const double *y; /* (n,) */
    double *gram;    /* (p, p), lower triangle */
    double *w;       /* (p,) */
    int64_t p, n;
    double lambda;
};

static double dot(const double *a, const double *b, int64_t n) {
    double sum[16] = {0}, total = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++) sum[l] += a[i + l] * b[i + l];
    for (; i < n; i++) total += a[i] * b[i];
    for (int l = 0; l < 16; l++) total += sum[l];
    return total;
}

#define BLOCK 4096 /* samples that stay in the cache while a row of the matrix is formed */

/* Rows i: gram[i][0..i] and (X y)[i]. */
void ridge_gram(const void *args, int64_t begin, int64_t end) {
    const struct ridge *r = args;
    for (int64_t i = begin; i < end; i++) {
        memset(r->gram + i * r->p, 0, (size_t)(i + 1) * sizeof(double));
        r->w[i] = 0;
    }
    for (int64_t at = 0; at < r->n; at += BLOCK) {
        const int64_t many = r->n - at < BLOCK ? r->n - at : BLOCK;
        for (int64_t i = begin; i < end; i++) {
            const double *x = r->x + i * r->n + at;
            for (int64_t j = 0; j <= i; j++) r->gram[i * r->p + j] += dot(x, r->x + j * r->n + at, many);
            r->w[i] += dot(x, r->y + at, many);
        }
    }
    for (int64_t i = begin; i < end; i++) r->gram[i * r->p + i] += r->lambda;
}

/* One row: factorise in place and substitute. A matrix that is not positive gives NaN. */
void ridge_solve(const void *args, int64_t begin, int64_t end) {
    const struct ridge *r = args;
    double *a = r->gram, *w = r->w;
    (void)begin, (void)end;
    for (int64_t i = 0; i < r->p; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double rest = a[i * r->p + j] - dot(a + i * r->p, a + j * r->p, j);
            a[i * r->p + j] = i == j ? sqrt(rest) : rest / a[j * r->p + j];
        }
        w[i] = (w[i] - dot(a + i * r->p, w, i)) / a[i * r->p + i];
    }
    for (int64_t i = r->p - 1; i >= 0; i--) {
        w[i] /= a[i * r->p + i];
        for (int64_t j = 0; j < i; j++) w[j] -= a[i * r->p + j] * w[i];
    }
}

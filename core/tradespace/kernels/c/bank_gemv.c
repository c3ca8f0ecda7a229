/* A bfloat16 matrix that lies in the banks of a DRAM (tradespace.costs.dram_rows.BankMap) times a vector, in the order
   of the banks' adder trees; and the arithmetic of a chip beside it that only adds, multiplies and shifts: exponentials
   by Taylor's series, reciprocals and inverse roots by a bit trick and Newton's iteration. */
#include "vector.h"

typedef float lanes16 __attribute__((vector_size(64)));
typedef uint32_t words16 __attribute__((vector_size(64)));
typedef uint16_t halves16 __attribute__((vector_size(32)));

struct bank_gemv {
    const uint16_t *memory; /* banks of all channels, `bank` numbers each, a multiple of 16 */
    const float *x;         /* padded with zeros to a multiple of 16 */
    const int64_t *starts, *wide, *columns; /* of each chunk: first column, columns of an output, columns it takes */
    uint16_t *y;
    float *sums; /* of every output of every bank */
    int64_t bank, chunks, buffer, units, slots, outputs;
};

INLINE float as_float(uint32_t bits) {
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
INLINE uint32_t as_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
}
INLINE uint32_t to_bf16(float f) { /* to nearest, ties to even; no NaN comes here */
    uint32_t bits = as_bits(f);
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
INLINE float tree(lanes16 v) {
    float a[16];
    memcpy(a, &v, sizeof v);
    for (int w = 8; w; w /= 2)
        for (int i = 0; i < w; i++) a[i] += a[i + w];
    return a[0];
}

/* One chunk of `many` outputs of a bank at once: the products of bfloat16 numbers are exact, so fused or not is the same.
   A bank's numbers are read in the order in which they lie. */
INLINE void bank_chunk(int many, const struct bank_gemv *p, const uint16_t *w, const float *x, int64_t c, float *sums) {
    lanes16 acc[4] = {{0}};
    int64_t wide = p->wide[c], columns = p->columns[c];
    for (int64_t j = 0; j < wide; j++) {
        for (int s = 0; s < many; s += 2) /* the outputs that come next lie behind these: two columns a line */
            __builtin_prefetch(w + (many * columns + j * many + s) * 16);
        lanes16 in;
        memcpy(&in, x + 16 * j, sizeof in);
        for (int s = 0; s < many; s++) {
            halves16 h;
            memcpy(&h, w + (s * columns + j) * 16, sizeof h);
            words16 bits = __builtin_convertvector(h, words16) << 16;
            lanes16 value;
            memcpy(&value, &bits, sizeof value);
            acc[s] += value * in;
        }
    }
    for (int s = 0; s < many; s++) {
        float read = as_float(to_bf16(tree(acc[s])) << 16); /* read from the bank as bfloat16 */
        sums[s] = c ? sums[s] + read : read;
    }
}

void bank_gemv(const void *args, int64_t begin, int64_t end) {
    const struct bank_gemv *p = args;
    for (int64_t unit = begin; unit < end; unit++) {
        float *sums = p->sums + unit * p->slots;
        for (int64_t c = 0; c < p->chunks; c++) {
            const uint16_t *w = p->memory + unit * p->bank + p->starts[c] * 16;
            const float *x = p->x + c * p->buffer;
            int64_t slot = 0, each = p->columns[c] * 16;
            for (; slot + 4 <= p->slots; slot += 4) bank_chunk(4, p, w + slot * each, x, c, sums + slot);
            for (; slot < p->slots; slot++) bank_chunk(1, p, w + slot * each, x, c, sums + slot);
        }
        for (int64_t slot = 0; slot < p->slots; slot++)
            if (slot * p->units + unit < p->outputs) p->y[slot * p->units + unit] = (uint16_t)to_bf16(sums[slot]);
    }
}

/* -- the companion ------------------------------------------------------------------------------------------------ */

struct companion {
    const float *x, *scale, *shift;
    float *y;
    int64_t n, terms, steps, what;
    float epsilon;
};
enum { EXP, RECIPROCAL, RSQRT, GELU };

typedef int32_t ints16 __attribute__((vector_size(64)));

INLINE lanes16 get(const float *p) {
    lanes16 v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void put(float *p, lanes16 v) { memcpy(p, &v, sizeof v); }
INLINE ints16 bits_of(lanes16 v) {
    ints16 bits;
    memcpy(&bits, &v, sizeof v);
    return bits;
}
INLINE lanes16 floats_of(ints16 bits) {
    lanes16 v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
INLINE lanes16 either(ints16 mask, lanes16 a, lanes16 b) { return floats_of((bits_of(a) & mask) | (bits_of(b) & ~mask)); }
INLINE lanes16 every(float x) { return x - (lanes16){0}; }

static const float PARTS[17] = {0,        1.0f,     1.0f / 2, 1.0f / 3,  1.0f / 4,  1.0f / 5,  1.0f / 6,  1.0f / 7,  1.0f / 8,
                                1.0f / 9, 1.0f / 10, 1.0f / 11, 1.0f / 12, 1.0f / 13, 1.0f / 14, 1.0f / 15, 1.0f / 16};

/* e^x = 2^n e^r, |r| <= ln 2 / 2, e^r by `terms` (at most 16) terms beyond 1 (Horner); x is clipped to where the power
   of two is a normal number. */
INLINE lanes16 taylor_exp(lanes16 x, int64_t terms) {
    x = either(x < -87.0f, every(-87.0f), x);
    x = either(x > 88.0f, every(88.0f), x);
    ints16 power = __builtin_convertvector(x * 1.44269504f + 127.5f, ints16); /* positive, so this rounds down */
    lanes16 n = __builtin_convertvector(power - 127, lanes16);
    lanes16 r = x - n * 0.693145752f - n * 1.42860677e-6f, sum = every(1.0f); /* ln 2 in two parts */
    for (int64_t k = terms; k > 0; k--) sum = 1.0f + sum * r * PARTS[k];
    return sum * floats_of(power << 23);
}
/* of positive normal numbers: the bits mirrored, then y (2 - x y) */
INLINE lanes16 newton_reciprocal(lanes16 x, int64_t steps) {
    lanes16 y = floats_of(0x7ef311c7 - bits_of(x));
    for (int64_t i = 0; i < steps; i++) y = y * (2.0f - x * y);
    return y;
}
/* of positive normal numbers: the bits halved and mirrored, then y (3 - x y y) / 2 */
INLINE lanes16 newton_rsqrt(lanes16 x, int64_t steps) {
    lanes16 y = floats_of(0x5f3759df - (bits_of(x) >> 1));
    for (int64_t i = 0; i < steps; i++) y = y * (1.5f - 0.5f * x * y * y);
    return y;
}
/* x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)): the tanh form of GELU. Below -5 it is less than 2e-6, here 0. */
INLINE lanes16 gelu(lanes16 x, int64_t terms, int64_t steps) {
    lanes16 z = 1.5957691216f * (x + 0.044715f * x * x * x);
    lanes16 y = x * newton_reciprocal(1.0f + taylor_exp(-z, terms), steps);
    return either(x < -5.0f, every(0.0f), y);
}
INLINE lanes16 function_of(int what, lanes16 x, int64_t terms, int64_t steps) {
    if (what == EXP) return taylor_exp(x, terms);
    if (what == RECIPROCAL) return newton_reciprocal(x, steps);
    if (what == RSQRT) return newton_rsqrt(x, steps);
    return gelu(x, terms, steps);
}

/* y = what(x - shift) for n numbers; the last lanes are filled up with ones. */
INLINE void each_of(int what, const float *x, float *y, int64_t n, float shift, int64_t terms, int64_t steps) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) put(y + i, function_of(what, get(x + i) - shift, terms, steps));
    if (i == n) return;
    lanes16 last = every(1.0f);
    memcpy(&last, x + i, 4 * (n - i));
    last = function_of(what, last - shift, terms, steps);
    memcpy(y + i, &last, 4 * (n - i));
}

/* Sums in 16 lanes and a tree, as the banks do. `shift` is taken off first; `power` 2: of squares. */
INLINE float summed(const float *x, int64_t n, float shift, int power) {
    lanes16 acc = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        lanes16 v;
        memcpy(&v, x + i, sizeof v);
        v -= shift;
        acc += power == 2 ? v * v : v;
    }
    float rest = 0;
    for (; i < n; i++) rest += power == 2 ? (x[i] - shift) * (x[i] - shift) : x[i] - shift;
    return tree(acc) + rest;
}

INLINE void softmax_of(const float *x, float *y, int64_t n, int64_t terms, int64_t steps) {
    lanes16 tops = every(x[0]);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) tops = either(get(x + i) > tops, get(x + i), tops);
    float lanes[16], top = x[0];
    put(lanes, tops);
    for (int l = 0; l < 16; l++) top = lanes[l] > top ? lanes[l] : top;
    for (; i < n; i++) top = x[i] > top ? x[i] : top;
    each_of(EXP, x, y, n, top, terms, steps);
    float whole = newton_reciprocal(every(summed(y, n, 0, 1)), steps)[0];
    for (i = 0; i < n; i++) y[i] *= whole;
}

INLINE void layernorm_of(const struct companion *p, int64_t row, int64_t steps) {
    const float *x = p->x + row * p->n, *scale = p->scale, *shift = p->shift;
    float *y = p->y + row * p->n, each = newton_reciprocal(every((float)p->n), 4)[0];
    float mean = summed(x, p->n, 0, 1) * each;
    mean += summed(x, p->n, mean, 1) * each; /* what rounding left: it would be blown up where the variance is small */
    float factor = newton_rsqrt(every(summed(x, p->n, mean, 2) * each + p->epsilon), steps)[0];
    for (int64_t i = 0; i < p->n; i++) y[i] = (x[i] - mean) * factor * scale[i] + shift[i];
}

/* Numbers of terms and steps that are constants let the compiler unroll: the usual ones are. */
#define USUAL(p) ((p)->terms == 6 && (p)->steps == 3)
#define EACH(what) \
    if (USUAL(p)) each_of(what, p->x + begin, p->y + begin, end - begin, 0, 6, 3); \
    else each_of(what, p->x + begin, p->y + begin, end - begin, 0, p->terms, p->steps)

void companion_each(const void *args, int64_t begin, int64_t end) {
    const struct companion *p = args;
    switch (p->what) {
    case EXP: EACH(EXP); break;
    case RECIPROCAL: EACH(RECIPROCAL); break;
    case RSQRT: EACH(RSQRT); break;
    default: EACH(GELU);
    }
}

void companion_softmax(const void *args, int64_t begin, int64_t end) {
    const struct companion *p = args;
    for (int64_t row = begin; row < end; row++) {
        const float *x = p->x + row * p->n;
        if (USUAL(p)) softmax_of(x, p->y + row * p->n, p->n, 6, 3);
        else softmax_of(x, p->y + row * p->n, p->n, p->terms, p->steps);
    }
}

void companion_layernorm(const void *args, int64_t begin, int64_t end) {
    const struct companion *p = args;
    for (int64_t row = begin; row < end; row++) {
        if (USUAL(p)) layernorm_of(p, row, 3);
        else layernorm_of(p, row, p->steps);
    }
}

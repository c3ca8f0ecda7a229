/* Scores of simulated trigger events. Every object of an event has an exponential energy, drawn below or above the
   trigger's threshold; its efficiency is a piecewise cubic of that energy, cut to [0, 1]; the score is their sum.
   Random numbers are Philox4x32-10 of (seed; event, block, kind), so any range of events can be computed alone. Only
   basic operations of IEEE doubles, none fused: the result equals the reference bit for bit. */
#include "task.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#define LANES 128 /* events at a time */
#define KNOTS 64
#define MIX_BLOCK 0xffffffffu /* the block of random numbers that chooses the row of the mix */

struct trigger {
    const double *scale, *below;     /* (objects,): mean energy; share of the energies below the threshold */
    const double *knots, *cubic;     /* (objects, KNOTS), rising, inf behind; (4, objects, KNOTS) */
    const double *mix;               /* (rows,) cumulated shares of positive events */
    const uint8_t *above;            /* (rows, objects): which objects are above threshold */
    double *scores;                  /* (2, events): null, positive */
    const int64_t *last;             /* (objects,) last segment */
    int64_t objects, rows, events;
    uint64_t seed;
};

/* One block of four random words for each of LANES events. */
static void philox(uint64_t seed, int64_t event, uint32_t block, uint32_t kind, uint32_t word[4][LANES]) {
    for (int i = 0; i < LANES; i++) {
        uint32_t a = (uint32_t)(event + i), b = (uint32_t)((uint64_t)(event + i) >> 32), c = block, d = kind;
        uint32_t k = (uint32_t)seed, l = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++) {
            uint64_t p = (uint64_t)a * 0xD2511F53u, q = (uint64_t)c * 0xCD9E8D57u;
            uint32_t x = (uint32_t)(q >> 32) ^ b ^ k, y = (uint32_t)(p >> 32) ^ d ^ l;
            a = x, b = (uint32_t)q, c = y, d = (uint32_t)p;
            k += 0x9E3779B9u, l += 0xBB67AE85u;
        }
        word[0][i] = a, word[1][i] = b, word[2][i] = c, word[3][i] = d;
    }
}

/* Natural logarithm of a normal number: v = m 2^e, ln m = 2 atanh((m - 1) / (m + 1)) as a series. */
static inline double logarithm(double v) {
    uint64_t bits;
    memcpy(&bits, &v, 8);
    double e = (double)(int64_t)((int32_t)(bits >> 52) - 1022), m;
    bits = (bits & 0xfffffffffffffu) | 0x3fe0000000000000u;
    memcpy(&m, &bits, 8);
    int small = m < 0.70710678118654752;
    m = small ? m + m : m;
    e = small ? e - 1.0 : e;
    double s = (m - 1.0) / (m + 1.0), z = s * s, p = 2.0 / 23;
    p = p * z + 2.0 / 21, p = p * z + 2.0 / 19, p = p * z + 2.0 / 17, p = p * z + 2.0 / 15, p = p * z + 2.0 / 13;
    p = p * z + 2.0 / 11, p = p * z + 2.0 / 9, p = p * z + 2.0 / 7, p = p * z + 2.0 / 5, p = p * z + 2.0 / 3;
    return e * 0.69314718055994531 + s * (2.0 + z * p);
}

/* Adds the efficiency of one object to the scores. */
static void add(const struct trigger *t, int64_t o, const uint32_t *word, const uint8_t *above, double *score) {
    const double *knots = t->knots + o * KNOTS, below = t->below[o], scale = t->scale[o];
    const int64_t last = t->last[o], step = t->objects * KNOTS;
    const double *c0 = t->cubic + o * KNOTS, *c1 = c0 + step, *c2 = c1 + step, *c3 = c2 + step;
    double energy[LANES];
    int64_t at[LANES];
    for (int i = 0; i < LANES; i++) {
        double u = ((double)word[i] + 0.5) * 0x1p-32, high = u * (1.0 - below) + below, low = u * below;
        energy[i] = -logarithm(1.0 - (above[i] ? high : low)) * scale;
    }
    for (int i = 0; i < LANES; i++) at[i] = 0;
    for (int64_t jump = KNOTS / 2; jump; jump /= 2)
        for (int i = 0; i < LANES; i++) at[i] += knots[at[i] + jump] <= energy[i] ? jump : 0;
    for (int i = 0; i < LANES; i++) {
        int64_t j = at[i] < last ? at[i] : last;
        double x = energy[i] - knots[j], y = ((c3[j] * x + c2[j]) * x + c1[j]) * x + c0[j];
        y = y > 0.0 ? y : 0.0;
        score[i] += y < 1.0 ? y : 1.0;
    }
}

/* Rows are blocks of LANES events; both kinds of events of a block are scored. */
void score_events(const void *args, int64_t begin, int64_t end) {
    const struct trigger *t = args;
    uint32_t word[4][LANES];
    uint8_t above[LANES];
    int64_t row[LANES];
    double score[LANES];
    for (int64_t block = begin; block < end; block++) {
        const int64_t first = block * LANES, many = t->events - first < LANES ? t->events - first : LANES;
        for (uint32_t kind = 0; kind < 2; kind++) {
            memset(above, 0, sizeof above), memset(row, 0, sizeof row), memset(score, 0, sizeof score);
            if (kind) {
                philox(t->seed, first, MIX_BLOCK, kind, word);
                for (int64_t r = 0; r + 1 < t->rows; r++)
                    for (int i = 0; i < LANES; i++) row[i] += ((double)word[0][i] + 0.5) * 0x1p-32 >= t->mix[r];
            }
            for (int64_t o = 0; o < t->objects; o++) {
                if (o % 4 == 0) philox(t->seed, first, (uint32_t)(o / 4), kind, word);
                if (kind)
                    for (int i = 0; i < LANES; i++) above[i] = t->above[row[i] * t->objects + o];
                add(t, o, word[o % 4], above, score);
            }
            memcpy(t->scores + kind * t->events + first, score, (size_t)many * sizeof *score);
        }
    }
}

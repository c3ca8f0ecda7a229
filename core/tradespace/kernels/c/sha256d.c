/* Double SHA-256 of block headers that differ in their nonce (FIPS 180-4; header: 80 bytes, nonce last). The first 64
   bytes are hashed once by the caller (midstate); 16 nonces are hashed side by side. A search stops the second hash
   after round 61: the word that a target tests first is then known, and all but one nonce in `mask` are rejected. */
#include "task.h"

#define LANES 16
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

struct mining {
    const uint32_t *midstate, *tail; /* (8,) state after the first block; (3,) header bytes 64..75, big endian */
    uint32_t *out;                   /* (count, 8): hashes, states, or 0 and 1 in word 0 of a search */
    int64_t count;
    uint32_t first;                  /* nonce of row 0, as the header holds it: little endian */
    uint32_t limit;                  /* a search keeps nonces whose last word, byte-swapped, is at most this */
    int32_t mode;                    /* HASH, SEARCH, or STATE: the state of the second hash after `rounds` rounds */
    int32_t rounds;
};
enum { HASH, SEARCH, STATE };

static inline words rotate(words x, int n) { return x >> n | x << (32 - n); }
static inline uint32_t swap(uint32_t x) { return x >> 24 | (x >> 8 & 0xff00) | (x << 8 & 0xff0000) | x << 24; }

/* The first `end` rounds; w is a ring of 16 message words that is extended on the way. Rounds go in unrolled sixteens, so
   that places in the ring are constants. */
static __attribute__((noinline)) void run(words s[8], words w[16], int end) {
    words a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    for (int base = 0; base < end; base += 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            if (base + i == end) break;
            if (base) {
                words x = w[(i + 1) & 15], y = w[(i + 14) & 15];
                w[i] += (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[(i + 9) & 15]
                      + (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
            }
            words t = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + K[base + i] + w[i];
            words u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
            h = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + u;
        }
    }
    s[0] = a, s[1] = b, s[2] = c, s[3] = d, s[4] = e, s[5] = f, s[6] = g, s[7] = h;
}

/* The message of the second hash of 16 nonces from `nonce` on: the first hash, padded. */
static inline void first_hash(const struct mining *m, uint32_t nonce, words w[16]) {
    words s[8], x[16];
    for (int i = 0; i < 16; i++) x[i] = (words){0} + (i < 3 ? m->tail[i] : i == 4 ? 0x80000000u : i == 15 ? 640 : 0);
    for (int l = 0; l < LANES; l++) x[3][l] = swap(nonce + (uint32_t)l);
    for (int i = 0; i < 8; i++) s[i] = (words){0} + m->midstate[i];
    run(s, x, 64);
    for (int i = 0; i < 8; i++) w[i] = s[i] + m->midstate[i];
    for (int i = 8; i < 16; i++) w[i] = (words){0} + (i == 8 ? 0x80000000u : i == 15 ? 256 : 0);
}

static void store(uint32_t *out, const words s[8], int64_t many) {
    for (int64_t l = 0; l < many; l++)
        for (int i = 0; i < 8; i++) out[l * 8 + i] = s[i][l];
}

/* Rows are groups of 16 nonces. */
void double_sha256(const void *args, int64_t begin, int64_t end) {
    const struct mining *m = args;
    for (int64_t group = begin; group < end; group++) {
        const int64_t row = group * LANES, many = m->count - row < LANES ? m->count - row : LANES;
        words w[16], s[8];
        first_hash(m, m->first + (uint32_t)row, w);
        for (int i = 0; i < 8; i++) s[i] = (words){0} + START[i];
        if (m->mode == SEARCH) {
            run(s, w, 61); /* e is shifted to h by the three rounds that are left */
            words last = s[4] + START[7];
            for (int64_t l = 0; l < many; l++) m->out[row + l] = swap(last[l]) <= m->limit;
        } else if (m->mode == STATE) {
            run(s, w, m->rounds);
            store(m->out + row * 8, s, many);
        } else {
            run(s, w, 64);
            for (int i = 0; i < 8; i++) s[i] += START[i];
            store(m->out + row * 8, s, many);
        }
    }
}

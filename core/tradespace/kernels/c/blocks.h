/* The block formats of ggml (ggml-common.h), bit for bit, and activations quantised to int8.
   A row of k weights is k / 32 (or k / 256) blocks one after another. Multi-byte fields are little endian. */
#ifndef TRADESPACE_BLOCKS_H
#define TRADESPACE_BLOCKS_H
#include "task.h"

enum format { Q8_0, Q5_0, Q4_0, IQ4_NL, Q6_K, Q4_K, Q3_K, Q2_K, FORMATS };

#define INLINE static inline __attribute__((always_inline))

/*  Q8_0   d fp16, q int8[32]                                             w = d q
    Q5_0   d fp16, high bits u32, nibbles[16]                             w = d (q - 16)
    Q4_0   d fp16, nibbles[16]: i in the low, i + 16 in the high half     w = d (q - 8)
    IQ4_NL d fp16, nibbles[16]                                            w = d codebook[q]
    Q6_K   low nibbles[128], high pairs[64], scales int8[16], d fp16      w = d s (q - 32), s for 16 weights
    Q4_K   d, dmin fp16, 8 scales and minima in 6 bits[12], nibbles[128]  w = d s q - dmin m, for 32 weights
    Q3_K   high bits[32], low pairs[64], 16 scales in 6 bits[12], d fp16  w = d (s - 32)(q - 4), for 16 weights
    Q2_K   scale | minimum << 4 [16], pairs[64], d, dmin fp16             w = d s q - dmin m, for 16 weights */
INLINE int64_t block_bytes(int format) {
    return format == Q8_0 ? 34 : format == Q5_0 ? 22 : format == Q4_0 || format == IQ4_NL ? 18
         : format == Q6_K ? 210 : format == Q4_K ? 144 : format == Q3_K ? 110 : 84;
}
INLINE int64_t block_size(int format) { return format <= IQ4_NL ? 32 : 256; }

static const int8_t CODEBOOK[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* n columns of k activations: q = round(x / d), |q| <= 127, one d for each 32 (Q8_0) or 256 (Q8_K) of them.
   s = d * (sum of q) for each 32, sums = sum of q for each 16: what offsets and minima of weights are multiplied with.
   Column j starts j * k numbers behind q, j * k / group behind d, j * k / 32 behind s, j * k / 16 behind sums. */
struct acts {
    int8_t *q;
    float *d, *s;
    int16_t *sums;
};

/* The 16 scales and minima of a block of 256, or of 32 (then only [0] and [1] count): w = scale q - minimum. */
struct expanded {
    int8_t q[256];
    float scale[16], minimum[16];
};

/* Eight 6-bit scales s and minima m of Q4_K out of 12 bytes. */
INLINE void scales_q4_k(const uint8_t *p, uint8_t *s, uint8_t *m) {
    uint32_t a, b, c;
    memcpy(&a, p, 4), memcpy(&b, p + 4, 4), memcpy(&c, p + 8, 4);
    uint32_t s0 = a & 0x3f3f3f3f, m0 = b & 0x3f3f3f3f;
    uint32_t s1 = (c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4, m1 = (c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4;
    memcpy(s, &s0, 4), memcpy(s + 4, &s1, 4), memcpy(m, &m0, 4), memcpy(m + 4, &m1, 4);
}

/* Sixteen 6-bit scales of Q3_K out of 12 bytes, 32 not yet subtracted. */
INLINE void scales_q3_k(const uint8_t *p, uint8_t *s) {
    uint32_t a, b, c;
    memcpy(&a, p, 4), memcpy(&b, p + 4, 4), memcpy(&c, p + 8, 4);
    uint32_t out[4] = {(a & 0x0f0f0f0f) | (c & 0x03030303) << 4, (b & 0x0f0f0f0f) | (c >> 2 & 0x03030303) << 4,
                       (a >> 4 & 0x0f0f0f0f) | (c >> 4 & 0x03030303) << 4,
                       (b >> 4 & 0x0f0f0f0f) | (c >> 6 & 0x03030303) << 4};
    memcpy(s, out, 16);
}

/* One block in plain C: what decodes rows, and what the vector code is held to. */
static void expand(int format, const uint8_t *b, struct expanded *e) {
    int scales = format <= IQ4_NL ? 2 : 16;
    for (int i = 0; i < scales; i++) e->minimum[i] = 0;
    if (format <= IQ4_NL) {
        e->scale[0] = e->scale[1] = from_half(load_u16(b));
        const uint8_t *p = b + (format == Q5_0 ? 6 : 2);
        for (int i = 0; i < 32; i++) {
            int code = format == Q8_0 ? (int8_t)p[i] : p[i & 15] >> (i & 16 ? 4 : 0) & 15;
            if (format == Q5_0) code = (code | (b[2 + i / 8] >> (i & 7) & 1) << 4) - 16;
            e->q[i] = (int8_t)(format == Q4_0 ? code - 8 : format == IQ4_NL ? CODEBOOK[code] : code);
        }
        return;
    }
    float d = from_half(load_u16(b + (format == Q6_K ? 208 : format == Q4_K ? 0 : format == Q3_K ? 108 : 80)));
    float dmin = format == Q4_K ? from_half(load_u16(b + 2)) : format == Q2_K ? from_half(load_u16(b + 82)) : 0;
    uint8_t s[16], m[16];
    if (format == Q4_K) scales_q4_k(b + 4, s, m);
    if (format == Q3_K) scales_q3_k(b + 96, s);
    for (int i = 0; i < 16; i++) {
        int scale = format == Q6_K ? (int8_t)b[192 + i] : format == Q4_K ? s[i / 2] : format == Q3_K ? s[i] - 32 : b[i] & 15;
        e->scale[i] = d * (float)scale;
        if (format == Q4_K) e->minimum[i] = dmin * (float)m[i / 2];
        if (format == Q2_K) e->minimum[i] = dmin * (float)(b[i] >> 4);
    }
    for (int i = 0; i < 256; i++) {
        int half = i / 128, l = i & 31, part = i / 32 & 3, code; /* part: which 32 of the 128 */
        if (format == Q6_K)
            code = ((b[64 * half + 32 * (part & 1) + l] >> (part & 2 ? 4 : 0) & 15) |
                    (b[128 + 32 * half + l] >> 2 * part & 3) << 4) - 32;
        else if (format == Q4_K) code = b[16 + i / 64 * 32 + l] >> (i & 32 ? 4 : 0) & 15;
        else if (format == Q3_K) code = (b[32 + 32 * half + l] >> 2 * part & 3) + 4 * (b[l] >> i / 32 & 1) - 4;
        else code = b[16 + 32 * half + l] >> 2 * part & 3;
        e->q[i] = (int8_t)code;
    }
}
#endif

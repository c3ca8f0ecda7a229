/* Rows of blocks of 32: Q8_0, Q5_0, Q4_0, IQ4_NL.
   Vector code multiplies unsigned codes u = q + offset with signed activations and takes offset * d * s off at the
   end, once for 8 or 16 blocks. Where u does not fit the pairwise int16 sums of AVX2 (Q8_0, IQ4_NL), the sign of the
   weight is moved to the activation instead, as ggml does. */
#ifndef TRADESPACE_BLOCKS32_H
#define TRADESPACE_BLOCKS32_H
#include "blocks.h"

/* Plain C for one block of 32 or 256, added to out. */
INLINE void dot_plain(int format, int nc, const uint8_t *w, const struct acts *x, int64_t k, int64_t b, float *out) {
    struct expanded e;
    int64_t size = block_size(format);
    expand(format, w + b * block_bytes(format), &e);
    for (int c = 0; c < nc; c++) {
        const int8_t *q = x->q + c * k + b * size;
        float total = 0;
        for (int64_t g = 0; g < size / 16; g++) {
            int sum = 0, plain = 0;
            for (int i = 0; i < 16; i++) sum += e.q[16 * g + i] * q[16 * g + i], plain += q[16 * g + i];
            total += e.scale[g] * (float)sum - e.minimum[g] * (float)plain;
        }
        out[c] += total * x->d[c * k / size + b];
    }
}

#ifdef TRADESPACE_AVX2
INLINE float hsum8(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* Eight fp16 scales, `stride` bytes apart. */
INLINE __m256 scales8(const uint8_t *b, int64_t stride) {
    __m128i h = _mm_cvtsi32_si128(load_u16(b));
    h = _mm_insert_epi16(h, load_u16(b + stride), 1);
    h = _mm_insert_epi16(h, load_u16(b + 2 * stride), 2);
    h = _mm_insert_epi16(h, load_u16(b + 3 * stride), 3);
    h = _mm_insert_epi16(h, load_u16(b + 4 * stride), 4);
    h = _mm_insert_epi16(h, load_u16(b + 5 * stride), 5);
    h = _mm_insert_epi16(h, load_u16(b + 6 * stride), 6);
    h = _mm_insert_epi16(h, load_u16(b + 7 * stride), 7);
    return _mm256_cvtph_ps(h);
}

/* The fp16 scales of at most four blocks, zeros behind them. */
INLINE __m128 scales4(const uint8_t *b, int64_t stride, int blocks) {
    __m128i h = _mm_cvtsi32_si128(load_u16(b));
    if (blocks > 1) h = _mm_insert_epi16(h, load_u16(b + stride), 1);
    if (blocks > 2) h = _mm_insert_epi16(h, load_u16(b + 2 * stride), 2);
    if (blocks > 3) h = _mm_insert_epi16(h, load_u16(b + 3 * stride), 3);
    return _mm_cvtph_ps(h);
}

/* The 32 nibbles of 16 bytes in the order of the weights. */
INLINE __m256i nibbles(const uint8_t *p) {
    __m128i both = _mm_loadu_si128((const __m128i *)p);
    __m256i wide = _mm256_inserti128_si256(_mm256_castsi128_si256(both), _mm_srli_epi16(both, 4), 1);
    return _mm256_and_si256(wide, _mm256_set1_epi8(15));
}

/* 0xff where the bit of 32 is set. */
INLINE __m256i spread_bits(const uint8_t *p) {
    uint32_t bits;
    memcpy(&bits, p, 4);
    const __m256i to = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), to);
    const __m256i mask = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, mask), mask);
}

INLINE __m256i codes32(int format, const uint8_t *b) {
    if (format == Q8_0) return _mm256_loadu_si256((const __m256i *)(b + 2));
    if (format == Q4_0) return nibbles(b + 2);
    if (format == Q5_0)
        return _mm256_or_si256(nibbles(b + 6), _mm256_and_si256(spread_bits(b + 2), _mm256_set1_epi8(16)));
    const __m256i book = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)CODEBOOK));
    return _mm256_shuffle_epi8(book, nibbles(b + 2));
}
#endif

#ifdef TRADESPACE_VNNI
INLINE float offset32(int format) { return format == Q4_0 ? 8 : format == Q5_0 ? 16 : 128; }

INLINE __m512i nibbles2(const uint8_t *a, const uint8_t *b) {
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
                                           _mm_loadu_si128((const __m128i *)b), 1);
    __m512i wide = _mm512_shuffle_i64x2(_mm512_castsi256_si512(both), _mm512_castsi256_si512(both), 0x50);
    const __m512i shift = _mm512_set_epi64(0x0004000400040004, 0x0004000400040004, 0, 0, 0x0004000400040004,
                                           0x0004000400040004, 0, 0);
    return _mm512_and_si512(_mm512_srlv_epi16(wide, shift), _mm512_set1_epi8(15));
}

/* Unsigned codes of two blocks, one behind the other. */
INLINE __m512i codes64(int format, const uint8_t *a, const uint8_t *b) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    if (format == Q8_0) {
        __m512i q = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(a + 2))),
                                       _mm256_loadu_si256((const __m256i *)(b + 2)), 1);
        return _mm512_xor_si512(q, flip);
    }
    if (format == Q4_0) return nibbles2(a + 2, b + 2);
    if (format == Q5_0) {
        uint32_t low, high;
        memcpy(&low, a + 2, 4), memcpy(&high, b + 2, 4);
        __m512i n = nibbles2(a + 6, b + 6);
        return _mm512_mask_add_epi8(n, (__mmask64)low | (__mmask64)high << 32, n, _mm512_set1_epi8(16));
    }
    const __m512i book = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)CODEBOOK));
    return _mm512_shuffle_epi8(_mm512_xor_si512(book, flip), nibbles2(a + 2, b + 2));
}

/* The fp16 scales of `blocks` blocks, zeros behind them. */
INLINE __m512 scales16(const uint8_t *b, int64_t bytes, int blocks) {
    if (blocks == 16)
        return _mm512_insertf32x8(_mm512_castps256_ps512(scales8(b, bytes)), scales8(b + 8 * bytes, bytes), 1);
    if (blocks == 8) return _mm512_zextps256_ps512(scales8(b, bytes));
    return _mm512_zextps128_ps512(scales4(b, bytes, blocks));
}

/* `blocks` (16, 8, 4, 2 or 1, a constant) blocks from block `at` on. */
INLINE void group32(int format, int nc, int blocks, const uint8_t *w, const struct acts *x, int64_t k, int64_t at,
                    __m512 *acc, __m512 *fix) {
    const int64_t bytes = block_bytes(format);
    const uint8_t *b = w + at * bytes;
    const __m512 dw = scales16(b, bytes, blocks);
    const __mmask16 some = (__mmask16)((1u << blocks) - 1);
    __m512 scale[4];
    for (int c = 0; c < nc; c++) {
        scale[c] = _mm512_mul_ps(dw, _mm512_maskz_loadu_ps(some, x->d + c * k / 32 + at));
        fix[c] = _mm512_fmadd_ps(dw, _mm512_maskz_loadu_ps(some, x->s + c * k / 32 + at), fix[c]);
    }
    __m512i which = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const int pair = blocks > 1; /* a single block is read twice: the second scale and activations are 0 */
    for (int i = 0; i < blocks; i += 2) {
        __m512i u = codes64(format, b + i * bytes, b + (i + pair) * bytes);
        for (int c = 0; c < nc; c++) {
            const int8_t *q = x->q + c * k + (at + i) * 32;
            __m512i v = pair ? _mm512_loadu_si512(q) : _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)q));
            __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), u, v));
            acc[c] = _mm512_fmadd_ps(_mm512_permutexvar_ps(which, scale[c]), dot, acc[c]);
        }
        which = _mm512_add_epi32(which, _mm512_set1_epi32(2));
    }
}

INLINE void dot32(int format, int nc, const uint8_t *w, const struct acts *x, int64_t k, float *out) {
    __m512 acc[4], fix[4];
    for (int c = 0; c < nc; c++) acc[c] = fix[c] = _mm512_setzero_ps();
    int64_t at = 0, blocks = k / 32;
    for (; at + 16 <= blocks; at += 16) group32(format, nc, 16, w, x, k, at, acc, fix);
    if (blocks & 8) group32(format, nc, 8, w, x, k, at, acc, fix), at += 8;
    if (blocks & 4) group32(format, nc, 4, w, x, k, at, acc, fix), at += 4;
    if (blocks & 2) group32(format, nc, 2, w, x, k, at, acc, fix), at += 2;
    if (blocks & 1) group32(format, nc, 1, w, x, k, at, acc, fix);
    const __m512 offset = _mm512_set1_ps(-offset32(format));
    for (int c = 0; c < nc; c++) out[c] = _mm512_reduce_add_ps(_mm512_fmadd_ps(offset, fix[c], acc[c]));
}

#elif defined(TRADESPACE_AVX2)
INLINE int by_sign(int format) { return format == Q8_0 || format == IQ4_NL; }

/* The first `count` floats, zeros behind them. */
INLINE __m256 first8(const float *p, int count) {
    float out[8] __attribute__((aligned(32))) = {0};
    if (count == 8) return _mm256_loadu_ps(p);
    for (int i = 0; i < count; i++) out[i] = p[i];
    return _mm256_load_ps(out);
}

/* `blocks` (8, 4, 2 or 1, a constant) blocks from block `at` on. */
INLINE void group32(int format, int nc, int blocks, const uint8_t *w, const struct acts *x, int64_t k, int64_t at,
                    __m256 *acc, __m256 *fix) {
    const int64_t bytes = block_bytes(format);
    const uint8_t *b = w + at * bytes;
    const __m256 dw = blocks == 8 ? scales8(b, bytes) : _mm256_zextps128_ps256(scales4(b, bytes, blocks));
    float scale[4][8] __attribute__((aligned(32)));
    for (int c = 0; c < nc; c++) {
        _mm256_store_ps(scale[c], _mm256_mul_ps(dw, first8(x->d + c * k / 32 + at, blocks)));
        if (!by_sign(format)) fix[c] = _mm256_fmadd_ps(dw, first8(x->s + c * k / 32 + at, blocks), fix[c]);
    }
    for (int i = 0; i < blocks; i++) {
        __m256i u = codes32(format, b + i * bytes);
        __m256i size = by_sign(format) ? _mm256_abs_epi8(u) : u;
        for (int c = 0; c < nc; c++) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(x->q + c * k + (at + i) * 32));
            if (by_sign(format)) v = _mm256_sign_epi8(v, u);
            __m256i dot = _mm256_madd_epi16(_mm256_maddubs_epi16(size, v), _mm256_set1_epi16(1));
            acc[c] = _mm256_fmadd_ps(_mm256_broadcast_ss(&scale[c][i]), _mm256_cvtepi32_ps(dot), acc[c]);
        }
    }
}

INLINE void dot32(int format, int nc, const uint8_t *w, const struct acts *x, int64_t k, float *out) {
    __m256 acc[4], fix[4];
    for (int c = 0; c < nc; c++) acc[c] = fix[c] = _mm256_setzero_ps();
    int64_t at = 0, blocks = k / 32;
    for (; at + 8 <= blocks; at += 8) group32(format, nc, 8, w, x, k, at, acc, fix);
    if (blocks & 4) group32(format, nc, 4, w, x, k, at, acc, fix), at += 4;
    if (blocks & 2) group32(format, nc, 2, w, x, k, at, acc, fix), at += 2;
    if (blocks & 1) group32(format, nc, 1, w, x, k, at, acc, fix);
    const __m256 offset = _mm256_set1_ps(format == Q4_0 ? -8 : format == Q5_0 ? -16 : 0);
    for (int c = 0; c < nc; c++) out[c] = hsum8(_mm256_fmadd_ps(offset, fix[c], acc[c]));
}

#else
INLINE void dot32(int format, int nc, const uint8_t *w, const struct acts *x, int64_t k, float *out) {
    for (int c = 0; c < nc; c++) out[c] = 0;
    for (int64_t b = 0; b < k / 32; b++) dot_plain(format, nc, w, x, k, b, out);
}
#endif
#endif

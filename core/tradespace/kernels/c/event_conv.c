/* Convolution of 4-bit weights that skips activations which are zero, beside one that does not.
   A pixel's events are (channel, value) of its non-zero activations, padded to an even number. For an output position
   every tap adds the events of one pixel; an event reads one word of 128 bits, the weights of 32 filters. Weights are
   stored as w + 8, so that they are not negative: y = sum a (w + 8) - 8 sum a. */
#include "vector.h"

#define FILTERS 32
#define PAIRS 64 /* pairs of products of at most 2 * 15 * 15 that 16 bits hold: 72 */

struct event_conv {
    const uint8_t *x, *w; /* [pixels][channels], the border included; [block][tap][channel][16] */
    int32_t *y;           /* [block][out_height][out_width][32] */
    uint16_t *channel;    /* [pixels][channels] */
    uint8_t *value;
    int32_t *count, *sum; /* [pixels] */
    int64_t channels, in_width, out_height, out_width, kernel, stride; /* channels are even */
};

/* Rows are pixels: their events, and the sum of their values. */
void find_events(const void *args, int64_t begin, int64_t end) {
    const struct event_conv *p = args;
    for (int64_t i = begin; i < end; i++) {
        const uint8_t *x = p->x + i * p->channels;
        uint16_t *channel = p->channel + i * p->channels;
        uint8_t *value = p->value + i * p->channels;
        int32_t n = 0, sum = 0;
        for (int64_t c = 0; c < p->channels; c++) {
            channel[n] = (uint16_t)c;
            value[n] = x[c];
            sum += x[c];
            n += x[c] != 0;
        }
        if (n & 1) channel[n] = 0, value[n] = 0, n++;
        p->count[i] = n, p->sum[i] = sum;
    }
}

/* Rows are pixels: the sum of their values alone. */
void sum_pixels(const void *args, int64_t begin, int64_t end) {
    const struct event_conv *p = args;
    for (int64_t i = begin; i < end; i++) {
        int32_t sum = 0;
        for (int64_t c = 0; c < p->channels; c++) sum += p->x[i * p->channels + c];
        p->sum[i] = sum;
    }
}

#ifdef TRADESPACE_AVX2
typedef struct { __m256i low, high; } sums;
INLINE void add(sums *acc, const uint8_t *w1, const uint8_t *w2, int values) {
    const __m128i mask = _mm_set1_epi8(15);
    __m128i b1 = _mm_loadu_si128((const __m128i *)w1), b2 = _mm_loadu_si128((const __m128i *)w2);
    __m256i one = _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(b1, 4), mask), _mm_and_si128(b1, mask));
    __m256i two = _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(b2, 4), mask), _mm_and_si128(b2, mask));
    __m256i a = _mm256_set1_epi16((short)values);
    acc->low = _mm256_add_epi16(acc->low, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(one, two), a));
    acc->high = _mm256_add_epi16(acc->high, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(one, two), a));
}
INLINE void part(int32_t *y, __m128i sixteen) {
    __m256i old = _mm256_loadu_si256((const __m256i *)y);
    _mm256_storeu_si256((__m256i *)y, _mm256_add_epi32(old, _mm256_cvtepi16_epi32(sixteen)));
}
INLINE void flush(int32_t *y, sums *acc) {
    part(y, _mm256_castsi256_si128(acc->low));
    part(y + 8, _mm256_castsi256_si128(acc->high));
    part(y + 16, _mm256_extracti128_si256(acc->low, 1));
    part(y + 24, _mm256_extracti128_si256(acc->high, 1));
    acc->low = acc->high = _mm256_setzero_si256();
}
#else
typedef struct { int16_t of[FILTERS]; } sums;
INLINE void add(sums *acc, const uint8_t *w1, const uint8_t *w2, int values) {
    int a1 = values & 255, a2 = values >> 8 & 255;
    for (int f = 0; f < FILTERS / 2; f++) {
        acc->of[f] += (int16_t)(a1 * (w1[f] & 15) + a2 * (w2[f] & 15));
        acc->of[f + 16] += (int16_t)(a1 * (w1[f] >> 4) + a2 * (w2[f] >> 4));
    }
}
INLINE void flush(int32_t *y, sums *acc) {
    for (int f = 0; f < FILTERS; f++) y[f] += acc->of[f], acc->of[f] = 0;
}
#endif

/* Rows are lines of outputs of one block of filters. */
INLINE void lines(const struct event_conv *p, int64_t begin, int64_t end, int events) {
    for (int64_t row = begin; row < end; row++) {
        int64_t block = row / p->out_height, line = row % p->out_height;
        for (int64_t column = 0; column < p->out_width; column++) {
            int32_t *y = p->y + (row * p->out_width + column) * FILTERS;
            sums acc;
            memset(&acc, 0, sizeof acc);
            memset(y, 0, FILTERS * sizeof *y);
            int32_t all = 0, waiting = 0;
            for (int64_t tap = 0; tap < p->kernel * p->kernel; tap++) {
                int64_t i = line * p->stride + tap / p->kernel, j = column * p->stride + tap % p->kernel;
                int64_t pixel = i * p->in_width + j, first = pixel * p->channels;
                const uint8_t *w = p->w + (block * p->kernel * p->kernel + tap) * p->channels * 16;
                const uint8_t *values = (events ? p->value : p->x) + first;
                const uint16_t *channel = p->channel + first;
                int64_t n = events ? p->count[pixel] : p->channels;
                for (int64_t e = 0; e < n; e += 2) {
                    const uint8_t *w1 = w + 16 * (events ? channel[e] : e);
                    const uint8_t *w2 = w + 16 * (events ? channel[e + 1] : e + 1);
                    add(&acc, w1, w2, load_u16(values + e));
                    if (++waiting == PAIRS) flush(y, &acc), waiting = 0;
                }
                all += p->sum[pixel];
            }
            flush(y, &acc);
            for (int f = 0; f < FILTERS; f++) y[f] -= 8 * all;
        }
    }
}

void event_conv(const void *args, int64_t begin, int64_t end) { lines(args, begin, end, 1); }
void dense_conv(const void *args, int64_t begin, int64_t end) { lines(args, begin, end, 0); }

/* int8 convolutions as microcontroller libraries run them: HWC maps, int32 sums, per-channel requantisation.

   out = clamp(zero + round(sum * multiplier / 2^shift)), rounded half up, all in integers: any two orders of the same
   sum give the same byte. Padding adds nothing (the input's zero point is taken off before products).
   Depthwise in place (MCUNet, arXiv 2007.10319, section 3.2): one padded channel is copied aside, then its outputs
   overwrite it. Output pixel p of channel c lies at p * channels + c, where only channel c ever stood, so no other
   channel is touched, for any stride. */
#include "task.h"

struct conv {
    const int8_t *input;
    const int8_t *weights;     /* convolution: [out][k][k][in]; depthwise: [k][k][channels] */
    const int32_t *bias, *multiplier, *shift;
    int8_t *output;
    int16_t *scratch;          /* im2col: two columns of k*k*in; in place: one padded channel */
    int32_t height, inputs, outputs, kernel, stride, pad, in_zero, out_zero;
};

static inline int8_t requantise(int32_t sum, int32_t multiplier, int32_t shift, int32_t zero) {
    const int64_t half = (int64_t)1 << (shift - 1);
    int64_t value = (((int64_t)sum * multiplier + half) >> shift) + zero;
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

static inline int out_size(const struct conv *c) { return (c->height + c->stride - 1) / c->stride; }

/* Rows [begin, end) of output pixels; the sum walks the map itself. */
void conv_direct(const void *args, int64_t begin, int64_t end) {
    const struct conv *c = args;
    const int k = c->kernel, in = c->inputs, h = c->height, side = out_size(c);
    for (int64_t p = begin; p < end; p++) {
        const int y0 = (int)(p / side) * c->stride - c->pad, x0 = (int)(p % side) * c->stride - c->pad;
        for (int o = 0; o < c->outputs; o++) {
            int32_t sum = c->bias[o];
            for (int i = 0; i < k; i++) {
                if (y0 + i < 0 || y0 + i >= h) continue;
                for (int j = 0; j < k; j++) {
                    if (x0 + j < 0 || x0 + j >= h) continue;
                    const int8_t *x = c->input + ((size_t)(y0 + i) * h + x0 + j) * in;
                    const int8_t *w = c->weights + (((size_t)o * k + i) * k + j) * in;
                    for (int q = 0; q < in; q++) sum += (int32_t)(x[q] - c->in_zero) * w[q];
                }
            }
            c->output[p * c->outputs + o] = requantise(sum, c->multiplier[o], c->shift[o], c->out_zero);
        }
    }
}

static void column(const struct conv *c, int64_t p, int16_t *to) {
    const int k = c->kernel, in = c->inputs, h = c->height, side = out_size(c);
    const int y0 = (int)(p / side) * c->stride - c->pad, x0 = (int)(p % side) * c->stride - c->pad;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++, to += in) {
            const int inside = y0 + i >= 0 && y0 + i < h && x0 + j >= 0 && x0 + j < h;
            if (!inside) {
                memset(to, 0, (size_t)in * sizeof *to);
                continue;
            }
            const int8_t *x = c->input + ((size_t)(y0 + i) * h + x0 + j) * in;
            for (int q = 0; q < in; q++) to[q] = (int16_t)(x[q] - c->in_zero);
        }
}

/* The same through two columns of 16-bit inputs, as CMSIS-NN and TinyEngine do. */
void conv_im2col(const void *args, int64_t begin, int64_t end) {
    const struct conv *c = args;
    const int length = c->kernel * c->kernel * c->inputs;
    for (int64_t p = begin; p < end; p += 2) {
        const int two = p + 1 < end;
        column(c, p, c->scratch);
        if (two) column(c, p + 1, c->scratch + length);
        const int16_t *a = c->scratch, *b = c->scratch + (two ? length : 0);
        for (int o = 0; o < c->outputs; o++) {
            const int8_t *w = c->weights + (size_t)o * length;
            int32_t first = c->bias[o], second = first;
            for (int q = 0; q < length; q++) first += (int32_t)a[q] * w[q], second += (int32_t)b[q] * w[q];
            c->output[p * c->outputs + o] = requantise(first, c->multiplier[o], c->shift[o], c->out_zero);
            if (two) c->output[(p + 1) * c->outputs + o] = requantise(second, c->multiplier[o], c->shift[o], c->out_zero);
        }
    }
}

/* Depthwise over channels [begin, end). `output` may be `input`: a channel is copied before it is written. */
void depthwise_inplace(const void *args, int64_t begin, int64_t end) {
    const struct conv *c = args;
    const int k = c->kernel, n = c->inputs, h = c->height, side = out_size(c), wide = h + k - 1;
    for (int64_t q = begin; q < end; q++) {
        memset(c->scratch, 0, (size_t)wide * wide * sizeof *c->scratch);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < h; x++)
                c->scratch[(y + c->pad) * wide + x + c->pad] = (int16_t)(c->input[((size_t)y * h + x) * n + q] - c->in_zero);
        for (int y = 0; y < side; y++)
            for (int x = 0; x < side; x++) {
                int32_t sum = c->bias[q];
                for (int i = 0; i < k; i++)
                    for (int j = 0; j < k; j++)
                        sum += (int32_t)c->scratch[(y * c->stride + i) * wide + x * c->stride + j]
                               * c->weights[(size_t)(i * k + j) * n + q];
                c->output[((size_t)y * side + x) * n + q] = requantise(sum, c->multiplier[q], c->shift[q], c->out_zero);
            }
    }
}

/* Depthwise over output pixels [begin, end) into a second buffer. */
void depthwise_apart(const void *args, int64_t begin, int64_t end) {
    const struct conv *c = args;
    const int k = c->kernel, n = c->inputs, h = c->height, side = out_size(c);
    for (int64_t p = begin; p < end; p++) {
        const int y0 = (int)(p / side) * c->stride - c->pad, x0 = (int)(p % side) * c->stride - c->pad;
        for (int q = 0; q < n; q++) {
            int32_t sum = c->bias[q];
            for (int i = 0; i < k; i++) {
                if (y0 + i < 0 || y0 + i >= h) continue;
                for (int j = 0; j < k; j++) {
                    if (x0 + j < 0 || x0 + j >= h) continue;
                    sum += (int32_t)(c->input[((size_t)(y0 + i) * h + x0 + j) * n + q] - c->in_zero)
                           * c->weights[(size_t)(i * k + j) * n + q];
                }
            }
            c->output[p * n + q] = requantise(sum, c->multiplier[q], c->shift[q], c->out_zero);
        }
    }
}

/* The small operators of a transformer step in fp32: RMS norm, rotary positions, attention over a KV cache, gates. */
#include "vector.h"

struct norm {
    const float *x, *weight;
    float *y;
    int64_t width;
    float epsilon;
};

/* y = x / sqrt(mean(x^2) + epsilon) * weight, a row a token (Zhang and Sennrich 2019). */
void rms_norm(const void *args, int64_t begin, int64_t end) {
    const struct norm *p = args;
    int64_t n = p->width;
    for (int64_t r = begin; r < end; r++) {
        const float *x = p->x + r * n;
        float *y = p->y + r * n;
        vec sum[2] = {{0}, {0}};
        int64_t i = 0;
        for (; i + 2 * LANES <= n; i += 2 * LANES)
            for (int t = 0; t < 2; t++) sum[t] += load(x + i + LANES * t) * load(x + i + LANES * t);
        float squares = total(sum[0] + sum[1]);
        for (; i < n; i++) squares += x[i] * x[i];
        float scale = 1.0f / __builtin_sqrtf(squares / (float)n + p->epsilon);
        for (i = 0; i + LANES <= n; i += LANES) store(y + i, load(x + i) * scale * load(p->weight + i));
        for (; i < n; i++) y[i] = x[i] * scale * p->weight[i];
    }
}

struct rope {
    const float *x;             /* (tokens, heads, width) */
    float *y;                   /* as x, and may be x */
    const float *cosine, *sine; /* (positions, width / 2) */
    int64_t heads, width, past;
};

/* Rotates (x[i], x[i + width/2]) by the angle of its token's position (Su et al. 2021; halves as in GPT-NeoX). */
void rope(const void *args, int64_t begin, int64_t end) {
    const struct rope *p = args;
    int64_t half = p->width / 2;
    for (int64_t r = begin; r < end; r++) {
        const float *a = p->x + r * p->width, *b = a + half;
        float *y = p->y + r * p->width, *z = y + half;
        const float *c = p->cosine + (p->past + r / p->heads) * half, *s = p->sine + (p->past + r / p->heads) * half;
        int64_t i = 0;
        for (; i + LANES <= half; i += LANES) {
            vec u = load(a + i), v = load(b + i), cs = load(c + i), sn = load(s + i);
            store(y + i, u * cs - v * sn);
            store(z + i, u * sn + v * cs);
        }
        for (; i < half; i++) {
            float u = a[i], v = b[i];
            y[i] = u * c[i] - v * s[i], z[i] = u * s[i] + v * c[i];
        }
    }
}

struct cache {
    const float *k, *v;  /* (tokens, heads, width) */
    void *keys, *values; /* (heads, capacity, width), fp32 or fp16 */
    int64_t heads, width, capacity, past, type;
};

/* Appends keys and values behind `past` positions. Rows are tokens times heads. */
void store_kv(const void *args, int64_t begin, int64_t end) {
    const struct cache *p = args;
    for (int64_t r = begin; r < end; r++) {
        int64_t token = r / p->heads, head = r % p->heads, to = (head * p->capacity + p->past + token) * p->width;
        for (int64_t i = 0; i < p->width; i++) {
            float k = p->k[r * p->width + i], v = p->v[r * p->width + i];
            if (p->type == F32) ((float *)p->keys)[to + i] = k, ((float *)p->values)[to + i] = v;
            else ((uint16_t *)p->keys)[to + i] = to_half(k), ((uint16_t *)p->values)[to + i] = to_half(v);
        }
    }
}

struct attend {
    const float *q;            /* (tokens, heads, width) */
    const void *keys, *values; /* (kv_heads, capacity, width) */
    float *out;                /* (tokens, heads, width) */
    int64_t heads, kv_heads, width, capacity, past, type;
    float scale;
};

#define CHUNK 128 /* positions between two corrections of the running maximum */
#define MAX_WIDTH 512

/* Softmax(scale q K) V with a running maximum (Milakov and Gimelshein 2018): one pass over the cache, no scores kept.
   Token t sees the positions up to past + t. Rows are tokens times heads; heads share KV heads in equal groups. */
INLINE void attend(int type, int64_t width, const struct attend *p, int64_t row) {
    int64_t token = row / p->heads, head = row % p->heads, seen = p->past + token + 1;
    int64_t from = head / (p->heads / p->kv_heads) * p->capacity * width;
    const float *q = p->q + row * width;
    float *out = p->out + row * width, scores[CHUNK], most = -__builtin_inff(), sum = 0;
    for (int64_t i = 0; i < width; i += LANES) store(out + i, all(0));
    for (int64_t at = 0; at < seen; at += CHUNK) {
        int64_t count = seen - at < CHUNK ? seen - at : CHUNK;
        float high = most;
        for (int64_t t = 0; t < count; t++) {
            vec dot = {0};
            for (int64_t i = 0; i < width; i += LANES) dot += load(q + i) * load_as(type, p->keys, from + (at + t) * width + i);
            scores[t] = total(dot) * p->scale;
            high = scores[t] > high ? scores[t] : high;
        }
        float shrink = __builtin_expf(most - high);
        most = high, sum *= shrink;
        for (int64_t t = count; t < CHUNK; t++) scores[t] = -__builtin_inff();
        vec part = {0};
        for (int64_t t = 0; t < count; t += LANES) {
            vec e = exponential(load(scores + t) - most);
            part += e;
            store(scores + t, e);
        }
        sum += total(part);
        for (int64_t i = 0; i < width; i += 4 * LANES) { /* four registers of results a pass */
            int wide = width - i >= 4 * LANES ? 4 : (int)(width - i) / LANES;
            vec acc[4];
            for (int w = 0; w < wide; w++) acc[w] = load(out + i + LANES * w) * shrink;
            for (int64_t t = 0; t < count; t++)
                for (int w = 0; w < wide; w++)
                    acc[w] += scores[t] * load_as(type, p->values, from + (at + t) * width + i + LANES * w);
            for (int w = 0; w < wide; w++) store(out + i + LANES * w, acc[w]);
        }
    }
    for (int64_t i = 0; i < width; i += LANES) store(out + i, load(out + i) / sum);
}

/* width is a multiple of 16. */
void attention(const void *args, int64_t begin, int64_t end) {
    const struct attend *p = args;
    for (int64_t r = begin; r < end; r++) {
        if (p->type == F16 && p->width == 64) attend(F16, 64, p, r);
        else if (p->type == F16 && p->width == 128) attend(F16, 128, p, r);
        else if (p->type == F16) attend(F16, p->width, p, r);
        else attend(F32, p->width, p, r);
    }
}

struct pair {
    const float *a, *b;
    float *y;
};

/* y = a / (1 + e^-a) * b: the gate of SwiGLU (Shazeer 2020). Rows are numbers. */
void silu_mul(const void *args, int64_t begin, int64_t end) {
    const struct pair *p = args;
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES) {
        vec a = load(p->a + i);
        store(p->y + i, a / (1.0f + exponential(-a)) * load(p->b + i));
    }
    for (; i < end; i++) p->y[i] = p->a[i] / (1.0f + __builtin_expf(-p->a[i])) * p->b[i];
}

/* y = a + b. Rows are numbers. */
void add(const void *args, int64_t begin, int64_t end) {
    const struct pair *p = args;
    for (int64_t i = begin; i < end; i++) p->y[i] = p->a[i] + p->b[i];
}

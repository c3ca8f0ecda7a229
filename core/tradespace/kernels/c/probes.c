/* Probes of arithmetic and memory: chained multiply-adds per data type, reading, STREAM triad, pointer chase. */
#include "vector.h"

#define WAYS 8 /* independent chains: 4 cycles of latency times 2 units */

struct chain {
    const void *a, *b; /* b only where two inputs are multiplied */
    void *out;         /* one result a group */
    int64_t steps;
    float scale, shift;
};

/* `steps` times v = v * scale + shift on each of 128 floats a group, then their sum. 2 steps FLOP a float. */
void chain_fp32(const void *args, int64_t begin, int64_t end) {
    const struct chain *p = args;
    const vec scale = all(p->scale), shift = all(p->shift);
    for (int64_t g = begin; g < end; g++) {
        vec sum = {0};
        for (int64_t part = 0; part < 128; part += WAYS * LANES) {
            vec v[WAYS];
            for (int w = 0; w < WAYS; w++) v[w] = load((const float *)p->a + g * 128 + part + w * LANES);
            for (int64_t s = 0; s < p->steps; s++)
                for (int w = 0; w < WAYS; w++) v[w] = v[w] * scale + shift;
            for (int w = 0; w < WAYS; w++) sum += v[w];
        }
        ((float *)p->out)[g] = total(sum);
    }
}

/* As above on 64 doubles a group. */
void chain_fp64(const void *args, int64_t begin, int64_t end) {
    typedef double dvec __attribute__((vector_size(4 * LANES)));
    const struct chain *p = args;
    for (int64_t g = begin; g < end; g++) {
        double sum = 0;
        for (int64_t part = 0; part < 64; part += WAYS * LANES / 2) {
            dvec v[WAYS];
            memcpy(v, (const double *)p->a + g * 64 + part, sizeof v);
            for (int64_t s = 0; s < p->steps; s++)
                for (int w = 0; w < WAYS; w++) v[w] = v[w] * (double)p->scale + (double)p->shift;
            for (int w = 0; w < WAYS; w++)
                for (int l = 0; l < LANES / 2; l++) sum += v[w][l];
        }
        ((double *)p->out)[g] = sum;
    }
}

/* `steps` times the dot products of 512 unsigned (at most 127) and 512 signed bytes a group: 2 steps FLOP a byte. */
void chain_int8(const void *args, int64_t begin, int64_t end) {
    const struct chain *p = args;
    for (int64_t g = begin; g < end; g++) {
        const uint8_t *a = (const uint8_t *)p->a + g * 512;
        const int8_t *b = (const int8_t *)p->b + g * 512;
        int32_t sum = 0;
#if defined(TRADESPACE_VNNI)
        __m512i acc[8], u[8], v[8];
        for (int w = 0; w < 8; w++) {
            acc[w] = _mm512_setzero_si512();
            u[w] = _mm512_loadu_si512(a + 64 * w), v[w] = _mm512_loadu_si512(b + 64 * w);
        }
        for (int64_t s = 0; s < p->steps; s++)
            for (int w = 0; w < 8; w++) __asm__("vpdpbusd %2, %1, %0" : "+v"(acc[w]) : "v"(u[w]), "v"(v[w]));
        for (int w = 0; w < 8; w++) sum += _mm512_reduce_add_epi32(acc[w]);
#elif defined(TRADESPACE_AVX2)
        const __m256i ones = _mm256_set1_epi16(1);
        for (int part = 0; part < 512; part += 128) {
            __m256i acc[4], u[4], v[4];
            for (int w = 0; w < 4; w++) {
                acc[w] = _mm256_setzero_si256();
                u[w] = _mm256_loadu_si256((const __m256i *)(a + part + 32 * w));
                v[w] = _mm256_loadu_si256((const __m256i *)(b + part + 32 * w));
            }
            for (int64_t s = 0; s < p->steps; s++)
                for (int w = 0; w < 4; w++) {
                    HOLD(v[w]); /* the product is the same in every step: do not take it out of the loop */
                    acc[w] = _mm256_add_epi32(acc[w], _mm256_madd_epi16(_mm256_maddubs_epi16(u[w], v[w]), ones));
                }
            for (int w = 0; w < 4; w++) {
                int32_t lane[8];
                memcpy(lane, &acc[w], 32);
                for (int l = 0; l < 8; l++) sum += lane[l];
            }
        }
#else
        for (int64_t s = 0; s < p->steps; s++) {
            __asm__ volatile("" ::: "memory");
            for (int i = 0; i < 512; i++) sum += a[i] * b[i];
        }
#endif
        ((int32_t *)p->out)[g] = sum;
    }
}

#ifdef __AVX512BF16__
/* `steps` times the dot products of 256 and 256 bf16 numbers a group, in fp32: 2 steps FLOP a number. */
void chain_bf16(const void *args, int64_t begin, int64_t end) {
    const struct chain *p = args;
    for (int64_t g = begin; g < end; g++) {
        __m512 acc[8];
        __m512i u[8], v[8];
        for (int w = 0; w < 8; w++) {
            acc[w] = _mm512_setzero_ps();
            u[w] = _mm512_loadu_si512((const uint16_t *)p->a + g * 256 + 32 * w);
            v[w] = _mm512_loadu_si512((const uint16_t *)p->b + g * 256 + 32 * w);
        }
        for (int64_t s = 0; s < p->steps; s++)
            for (int w = 0; w < 8; w++) __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc[w]) : "v"(u[w]), "v"(v[w]));
        float sum = 0;
        for (int w = 0; w < 8; w++) sum += _mm512_reduce_add_ps(acc[w]);
        ((float *)p->out)[g] = sum;
    }
}
#endif

#ifdef __AVX512FP16__
/* `steps` times v = v * scale + shift on each of 256 fp16 numbers a group, then their sum in fp16. */
void chain_fp16(const void *args, int64_t begin, int64_t end) {
    const struct chain *p = args;
    const __m512h scale = _mm512_set1_ph((_Float16)p->scale), shift = _mm512_set1_ph((_Float16)p->shift);
    for (int64_t g = begin; g < end; g++) {
        __m512h v[8];
        for (int w = 0; w < 8; w++) v[w] = _mm512_loadu_ph((const uint16_t *)p->a + g * 256 + 32 * w);
        for (int64_t s = 0; s < p->steps; s++)
            for (int w = 0; w < 8; w++) v[w] = _mm512_fmadd_ph(v[w], scale, shift);
        float sum = 0;
        for (int w = 0; w < 8; w++) sum += (float)_mm512_reduce_add_ph(v[w]);
        ((float *)p->out)[g] = sum;
    }
}
#endif

#define PAGE 4096 /* floats */

struct read {
    const float *x;
    float *out; /* the sum of each PAGE */
};

/* Every float is read and added: 1 FLOP and 4 B each. */
void read_pages(const void *args, int64_t begin, int64_t end) {
    const struct read *p = args;
    for (int64_t r = begin; r < end; r++) {
        const float *x = p->x + r * PAGE;
        vec sum[WAYS];
        memset(sum, 0, sizeof sum);
        for (int64_t i = 0; i < PAGE; i += WAYS * LANES)
            for (int w = 0; w < WAYS; w++) sum[w] += load(x + i + w * LANES);
        for (int w = 1; w < WAYS; w++) sum[0] += sum[w];
        p->out[r] = total(sum[0]);
    }
}

struct triad {
    float *a;
    const float *b, *c;
    float scale;
};

/* STREAM triad (McCalpin 1995): a = b + scale * c; 2 FLOP and 12 B an element (16 with write-allocate). */
void triad(const void *args, int64_t begin, int64_t end) {
    const struct triad *p = args;
    float *restrict a = p->a;
    const float *restrict b = p->b, *restrict c = p->c;
    for (int64_t i = begin; i < end; i++) a[i] = b[i] + p->scale * c[i];
}

struct chase {
    const uint32_t *next; /* one number a cache line of 64 B: which line comes next */
    int64_t start;
    int64_t *stop; /* the line reached */
};

/* Each step reads the line the last one named. Rows are steps; meant for one thread. */
void chase(const void *args, int64_t begin, int64_t end) {
    const struct chase *p = args;
    uint64_t line = (uint64_t)p->start;
    for (int64_t i = begin; i < end; i++) line = p->next[line * 16];
    *p->stop = (int64_t)line;
}

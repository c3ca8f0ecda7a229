/* Runs a list of tasks in order on pinned threads: each task is split over all threads, then they meet at a barrier.
   A whole decode step is one call. Threads live for one call; starting them is not part of any timing. */
#define _GNU_SOURCE
#include "task.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define MAX_THREADS 256
#define SPIN 4000 /* about 10 us of waiting before the core is offered to others */

struct crew {
    const struct task *tasks;
    int64_t count, repeat;
    int threads;
    const int32_t *cpus;
    double *seconds, *busy;
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_int round;
};

struct member {
    struct crew *crew;
    int index;
};

static double at(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What looking at a clock twice takes: the least of several tries. */
static double look(clockid_t clock) {
    double least = 1;
    for (int i = 0; i < 32; i++) {
        double begin = at(clock), taken = at(clock) - begin;
        least = taken < least ? taken : least;
    }
    return least;
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The last one to arrive opens the next round; the others spin, and yield when it takes long. */
static void meet(struct crew *crew) {
    if (crew->threads == 1) return;
    int round = atomic_load_explicit(&crew->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&crew->arrived, 1, memory_order_acq_rel) == crew->threads - 1) {
        atomic_store_explicit(&crew->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&crew->round, round + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&crew->round, memory_order_acquire) == round;) {
        relax();
        if (++spins == SPIN) sched_yield(), spins = 0;
    }
}

static void pin(int cpu) {
#ifdef __linux__
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE) return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#else
    (void)cpu; /* macOS offers no pinning */
#endif
}

static void share(const struct task *task, int index, int threads) {
    int64_t grain = task->grain > 0 ? task->grain : 1, grains = (task->rows + grain - 1) / grain;
    int64_t begin = grains * index / threads * grain, end = grains * (index + 1) / threads * grain;
    if (end > task->rows) end = task->rows;
    if (begin < end) task->run(task->args, begin, end);
}

static void work(struct crew *crew, int index) {
    pin(crew->cpus[index]);
    const double cost = crew->busy ? look(CLOCK_THREAD_CPUTIME_ID) : 0;
    meet(crew);
    for (int64_t r = 0; r < crew->repeat; r++) {
        double before = index == 0 ? at(CLOCK_MONOTONIC) : 0;
        for (int64_t t = 0; t < crew->count; t++) {
            double begin = crew->busy ? at(CLOCK_THREAD_CPUTIME_ID) : 0;
            share(crew->tasks + t, index, crew->threads);
            if (crew->busy) {
                double taken = at(CLOCK_THREAD_CPUTIME_ID) - begin - cost;
                crew->busy[(index * crew->repeat + r) * crew->count + t] = taken > 1e-9 ? taken : 1e-9;
            }
            meet(crew);
            if (index == 0 && crew->seconds) {
                double after = at(CLOCK_MONOTONIC);
                crew->seconds[r * crew->count + t] = after - before;
                before = after;
            }
        }
    }
}

static void *member(void *raw) {
    struct member *one = raw;
    work(one->crew, one->index);
    return NULL;
}

/* seconds: (repeat, count), wall time of each task up to its barrier, or NULL. busy: (threads, repeat, count), time
   that each thread itself ran on a processor, waiting excluded, or NULL. cpus: (threads,), -1 is unpinned.
   Returns 0, or an errno if threads cannot be started (then nothing has run). */
int run_tasks(const struct task *tasks, int64_t count, int32_t threads, const int32_t *cpus, int64_t repeat,
              double *seconds, double *busy) {
    if (threads < 1 || threads > MAX_THREADS) return 22;
    struct crew crew = {tasks, count, repeat, threads, cpus, seconds, busy, 0, 0};
    struct member members[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    int failed = 0, started = 1;
    for (; started < threads; started++) {
        members[started] = (struct member){&crew, started};
        failed = pthread_create(&ids[started], NULL, member, &members[started]);
        if (failed) break;
    }
    if (failed) { /* those that wait at the first barrier are let go with nothing to do */
        crew.repeat = 0;
        for (int i = started; i < threads; i++) atomic_fetch_add(&crew.arrived, 1);
        if (started > 1) work(&crew, 0);
    } else
#ifdef __linux__
    {
        cpu_set_t before;
        pthread_getaffinity_np(pthread_self(), sizeof before, &before);
        work(&crew, 0);
        pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    }
#else
        work(&crew, 0);
#endif
    for (int i = 1; i < started; i++) pthread_join(ids[i], NULL);
    return failed;
}

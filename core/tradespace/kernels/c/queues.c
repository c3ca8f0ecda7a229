/* One task on two queues: the calling thread computes rows [0, cut), a second pinned thread the others, and both meet
   after every run, by polling a flag, by sleeping for a predicted time and then polling, or on a blocking barrier. */
#define _GNU_SOURCE
#include "task.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum { POLL, SLEEP, BLOCK };
#define SPINS 20000 /* looks at a flag between two offers of the core, for machines with other work */

struct queues {
    const struct task *task;
    int64_t cut, rounds;
    double predicted; /* s that a sleeping wait takes as the time of one run */
    int32_t how, cpu;
    _Alignas(64) atomic_long posted;
    _Alignas(64) atomic_long done;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pin(int cpu) {
#ifdef __linux__
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE) return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#else
    (void)cpu;
#endif
}

static void say(struct queues *q, atomic_long *flag, long value) {
    if (q->how != BLOCK) {
        atomic_store_explicit(flag, value, memory_order_release);
        return;
    }
    pthread_mutex_lock(&q->lock);
    atomic_store_explicit(flag, value, memory_order_release);
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static void hear(struct queues *q, atomic_long *flag, long value) {
    if (q->how == BLOCK) {
        pthread_mutex_lock(&q->lock);
        while (atomic_load_explicit(flag, memory_order_acquire) != value) pthread_cond_wait(&q->changed, &q->lock);
        pthread_mutex_unlock(&q->lock);
        return;
    }
    for (int spins = 0; atomic_load_explicit(flag, memory_order_acquire) != value;)
        if (++spins == SPINS) sched_yield(), spins = 0;
}

static void *second(void *raw) {
    struct queues *q = raw;
    pin(q->cpu);
    for (long r = 1; r <= q->rounds; r++) {
        hear(q, &q->posted, r);
        if (q->cut < q->task->rows) q->task->run(q->task->args, q->cut, q->task->rows);
        say(q, &q->done, r);
    }
    return NULL;
}

static void doze(double seconds) {
    if (seconds <= 0) return;
    struct timespec rest = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&rest, NULL);
}

/* seconds[rounds] of one run each, both threads pinned (-1: not); 0 or an errno. 0 <= cut <= rows. */
int run_split(const struct task *task, int64_t cut, int64_t rounds, int32_t how, double predicted, int32_t here,
              int32_t there, double *seconds) {
    struct queues q = {.task = task, .cut = cut, .rounds = rounds, .predicted = predicted, .how = how, .cpu = there,
                       .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    if (cut < 0 || cut > task->rows || how < POLL || how > BLOCK) return EINVAL;
    pthread_t other;
    int failed = pthread_create(&other, NULL, second, &q);
    if (failed) return failed;
    pin(here);
    for (long r = 1; r <= rounds; r++) {
        double before = now();
        say(&q, &q.posted, r);
        if (cut) task->run(task->args, 0, cut);
        if (how == SLEEP && q.done != r) doze(q.predicted - (now() - before));
        hear(&q, &q.done, r);
        seconds[r - 1] = now() - before;
    }
    pthread_join(other, NULL);
    return 0;
}

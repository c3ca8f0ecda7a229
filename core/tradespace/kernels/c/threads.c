/* What threads and the network stack of one machine cost: a flag passed between two spinning threads, waking a
   sleeping one, a message over the loopback. Each function fills seconds[rounds] and returns 0 or an errno. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

#define BATCH 64 /* exchanges between two looks at the clock */

struct pair {
    int64_t rounds;
    int cpu;
    _Alignas(64) atomic_long turn;
    pthread_mutex_t lock;
    pthread_cond_t called;
    long calls; /* guarded by lock */
    int server;
};

static void await(atomic_long *turn, long value) {
    for (int spins = 0; atomic_load_explicit(turn, memory_order_acquire) != value;)
        if (++spins == 100000) sched_yield(), spins = 0;
}

static void *answer_flag(void *raw) {
    struct pair *p = raw;
    pin(p->cpu);
    for (long i = 0; i < p->rounds * BATCH; i++) {
        await(&p->turn, 2 * i + 1);
        atomic_store_explicit(&p->turn, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

/* seconds of handing a flag over once (half an exchange), both threads spinning on their own cores. */
int pass_flag(double *seconds, int64_t rounds, int32_t here, int32_t there) {
    struct pair p = {.rounds = rounds, .cpu = there};
    pthread_t other;
    int failed = pthread_create(&other, NULL, answer_flag, &p);
    if (failed) return failed;
    pin(here);
    for (long r = 0; r < rounds; r++) {
        double before = now();
        for (long i = r * BATCH; i < (r + 1) * BATCH; i++) {
            atomic_store_explicit(&p.turn, 2 * i + 1, memory_order_release);
            await(&p.turn, 2 * i + 2);
        }
        seconds[r] = (now() - before) / (2 * BATCH);
    }
    pthread_join(other, NULL);
    return 0;
}

static void *sleep_until_called(void *raw) {
    struct pair *p = raw;
    pin(p->cpu);
    for (long i = 0; i < p->rounds; i++) {
        pthread_mutex_lock(&p->lock);
        while (p->calls <= i) pthread_cond_wait(&p->called, &p->lock);
        pthread_mutex_unlock(&p->lock);
        atomic_store_explicit(&p->turn, i + 1, memory_order_release);
    }
    return NULL;
}

/* seconds from signalling a sleeping thread until it has been seen to run. */
int wake_up(double *seconds, int64_t rounds, int32_t here, int32_t there) {
    struct pair p = {.rounds = rounds, .cpu = there, .lock = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER};
    pthread_t other;
    int failed = pthread_create(&other, NULL, sleep_until_called, &p);
    if (failed) return failed;
    pin(here);
    for (long r = 0; r < rounds; r++) {
        struct timespec doze = {0, 200000}; /* long enough for the other one to fall asleep */
        nanosleep(&doze, NULL);
        double before = now();
        pthread_mutex_lock(&p.lock);
        p.calls = r + 1;
        pthread_cond_signal(&p.called);
        pthread_mutex_unlock(&p.lock);
        await(&p.turn, r + 1);
        seconds[r] = now() - before;
    }
    pthread_join(other, NULL);
    return 0;
}

static int whole(int socket, char *data, long size, int out) {
    for (long done = 0; done < size;) {
        long n = out ? send(socket, data + done, (size_t)(size - done), 0) : recv(socket, data + done, (size_t)(size - done), 0);
        if (n <= 0) return n < 0 ? errno : ECONNRESET;
        done += n;
    }
    return 0;
}

#define MESSAGE 64

static void *echo(void *raw) {
    struct pair *p = raw;
    char data[MESSAGE];
    int on = 1, peer = accept(p->server, NULL, NULL);
    if (peer < 0) return NULL;
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while (!whole(peer, data, MESSAGE, 0) && !whole(peer, data, MESSAGE, 1)) {}
    close(peer);
    return NULL;
}

static int connect_to(int server, int *out) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(server, (struct sockaddr *)&address, size) || listen(server, 1)) return errno;
    if (getsockname(server, (struct sockaddr *)&address, &size)) return errno;
    int client = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (client < 0) return errno;
    if (connect(client, (struct sockaddr *)&address, size)) {
        int failed = errno;
        close(client);
        return failed;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *out = client;
    return 0;
}

/* seconds of one exchange of 64 B and back over TCP on 127.0.0.1, the two ends in two threads. */
int loopback(double *seconds, int64_t rounds) {
    struct pair p = {.server = socket(AF_INET, SOCK_STREAM, 0)};
    int client = -1;
    char data[MESSAGE] = {0};
    pthread_t other;
    if (p.server < 0) return errno;
    int failed = connect_to(p.server, &client);
    if (!failed) failed = pthread_create(&other, NULL, echo, &p);
    if (!failed) {
        for (int64_t r = 0; r < rounds && !failed; r++) {
            double before = now();
            failed = whole(client, data, MESSAGE, 1);
            if (!failed) failed = whole(client, data, MESSAGE, 0);
            seconds[r] = now() - before;
        }
        shutdown(client, SHUT_RDWR);
        pthread_join(other, NULL);
    }
    if (client >= 0) close(client);
    close(p.server);
    return failed;
}

/* Sessions of agents: graphs of stars on hosts with slots, a limit of stars at once, and a planner that edits the graph
   whenever a star ends. While it does, nothing starts on a host. Packed one graph after another; every graph is a run of
   its own, so any range of graphs can be computed alone. All events of one instant are handled in the order in which
   they were scheduled before anything starts; then the planner starts, then hosts by index, the lowest priority number
   first, among equals who asked first. Only sums and comparisons of doubles: the result equals the reference bit for
   bit. */
#include "task.h"

#define MOST 1024 /* stars of a graph */

struct agents {
    const int64_t *first;             /* (graphs + 1,) first star of each graph */
    const int64_t *next, *successor;  /* (stars + 1,) first line of each star; (lines,) its destination in the graph */
    const int64_t *waits, *host;      /* (stars,) lines that end there; where it runs */
    const double *work, *edit;        /* (stars,) s of the star and of the edit that follows it */
    const double *priority;           /* (stars,) */
    const double *creation;           /* (graphs,) s before the first star */
    const int64_t *slots;             /* (hosts,) */
    const int64_t *rules;             /* crew, edits, batching, lock */
    double *out;                      /* (4, stars): start and finish of stars, of their edits */
    int64_t graphs, stars, hosts;
};

struct event { double at; int64_t stamp; int32_t item; };

struct session {
    struct event heap[MOST + 2];
    int64_t events, stamp;
    int32_t ready[MOST], asked[MOST], left[MOST]; /* ready: by host, priority, stamp; asked: stars whose edit queues */
    int32_t n_ready, n_asked, drawn;              /* drawn: edits of the running call, the first in `asked` */
};

static void push(struct session *s, double at, int32_t item) {
    int64_t i = s->events++, stamp = s->stamp++;
    while (i > 0) {
        int64_t up = (i - 1) / 2;
        if (s->heap[up].at <= at) break; /* stamps only grow: an equal time came earlier */
        s->heap[i] = s->heap[up], i = up;
    }
    s->heap[i] = (struct event){at, stamp, item};
}

static int before(struct event a, struct event b) { return a.at < b.at || (a.at == b.at && a.stamp < b.stamp); }

static int32_t pop(struct session *s) {
    int32_t item = s->heap[0].item;
    struct event last = s->heap[--s->events];
    int64_t i = 0;
    for (int64_t c = 1; c < s->events; c = 2 * i + 1) {
        if (c + 1 < s->events && before(s->heap[c + 1], s->heap[c])) c++;
        if (before(last, s->heap[c])) break;
        s->heap[i] = s->heap[c], i = c;
    }
    s->heap[i] = last;
    return item;
}

/* The star queues at its host. */
static void queue(struct session *s, const struct agents *g, int64_t base, int32_t star) {
    const int64_t host = g->host[base + star];
    const double priority = g->priority[base + star];
    int32_t i = s->n_ready++;
    for (; i > 0; i--) {
        const int64_t other = base + s->ready[i - 1];
        if (g->host[other] < host || (g->host[other] == host && g->priority[other] <= priority)) break;
        s->ready[i] = s->ready[i - 1];
    }
    s->ready[i] = star;
}

static void one(const struct agents *g, struct session *s, int64_t graph) {
    const int64_t base = g->first[graph], n = g->first[graph + 1] - base, crew = g->rules[0];
    const int edits = g->rules[1] != 0, batching = g->rules[2] != 0, lock = g->rules[3] != 0;
    double *start = g->out + base, *finish = start + g->stars, *from = finish + g->stars, *to = from + g->stars;
    const double *work = g->work + base, *edit = g->edit + base;
    int64_t busy = 0, used[g->hosts], pending = edits ? 2 * n : n;
    memset(used, 0, sizeof used);
    s->events = s->stamp = 0, s->n_ready = s->n_asked = s->drawn = 0;
    for (int64_t i = 0; i < n; i++) s->left[i] = (int32_t)g->waits[base + i];
    push(s, g->creation[graph], (int32_t)(n + 1));
    while (pending) {
        const double now = s->heap[0].at;
        while (s->events && s->heap[0].at <= now) {
            const int32_t star = pop(s);
            if (star == n + 1) { /* the first call has ended */
                for (int32_t i = 0; i < n; i++)
                    if (g->waits[base + i] == 0) queue(s, g, base, i);
            } else if (star == n) { /* a call of the planner has ended */
                pending -= s->drawn;
                s->n_asked -= s->drawn;
                memmove(s->asked, s->asked + s->drawn, (size_t)s->n_asked * sizeof *s->asked);
                s->drawn = 0;
            } else { /* a star has ended */
                busy--, used[g->host[base + star]]--, pending--;
                finish[star] = now;
                for (int64_t e = g->next[base + star]; e < g->next[base + star + 1]; e++) {
                    const int32_t other = (int32_t)g->successor[e];
                    if (--s->left[other]) continue;
                    queue(s, g, base, other);
                }
                if (!edits) from[star] = to[star] = now;
                else s->asked[s->n_asked++] = star;
            }
        }
        if (!s->drawn && s->n_asked) {
            double longest = 0.0;
            s->drawn = batching ? s->n_asked : 1;
            for (int32_t i = 0; i < s->drawn; i++) longest = edit[s->asked[i]] > longest ? edit[s->asked[i]] : longest;
            for (int32_t i = 0; i < s->drawn; i++) from[s->asked[i]] = now, to[s->asked[i]] = now + longest;
            push(s, now + longest, (int32_t)n);
        }
        if (lock && s->drawn) continue;
        int32_t kept = 0;
        for (int32_t i = 0; i < s->n_ready; i++) {
            const int32_t star = s->ready[i];
            const int64_t host = g->host[base + star];
            if (busy == crew || used[host] == g->slots[host]) {
                s->ready[kept++] = star;
                continue;
            }
            busy++, used[host]++;
            start[star] = now;
            push(s, now + work[star], star);
        }
        s->n_ready = kept;
    }
}

/* Rows are graphs. */
void run_sessions(const void *args, int64_t begin, int64_t end) {
    struct session s;
    for (int64_t graph = begin; graph < end; graph++) one(args, &s, graph);
}

"""What happens to one task in the event loop of `timeline`, compiled: it asks, queues, finishes, is given up; the heap.

Compiled functions of several files share one cache, whose name is a digest of all of them (`compiled.cache_folder`).
"""

from __future__ import annotations

from tradespace.costs.compiled import njit_plain

WAITS, RUNS, FINISHED, LOST = 0, 1, 2, 3
MOVED, GIVEN_UP = 1, 2


@njit_plain
def push(h, base, size, k, s, x):  # type: ignore[no-untyped-def]
    """Adds (k, s, x) to the binary heap h[base : base + size], ordered by (key, stamp)."""
    i = size
    while i > 0:
        up = (i - 1) >> 1
        if h[base + up].key < k or (h[base + up].key == k and h[base + up].stamp < s):
            break
        h[base + i] = h[base + up]
        i = up
    h[base + i].key, h[base + i].stamp, h[base + i].item = k, s, x


@njit_plain
def pop(h, base, size):  # type: ignore[no-untyped-def]
    """Removes the first of the heap h[base : base + size]."""
    last = base + size - 1
    k, s, x, i = h[last].key, h[last].stamp, h[last].item, 0
    while True:
        c = 2 * i + 1
        if c >= size - 1:
            break
        a = base + c
        if c + 1 < size - 1 and (h[a + 1].key < h[a].key or (h[a + 1].key == h[a].key and h[a + 1].stamp < h[a].stamp)):
            a, c = a + 1, c + 1
        if k < h[a].key or (k == h[a].key and s < h[a].stamp):
            break
        h[base + i] = h[a]
        i = c
    h[base + i].key, h[base + i].stamp, h[base + i].item = k, s, x


@njit_plain
def schedule(w, heap, at, item):  # type: ignore[no-untyped-def]
    push(heap, 0, w[0].events, at, w[0].stamp, item)
    w[0].events += 1
    w[0].stamp += 1


@njit_plain
def wake(w, res, r):  # type: ignore[no-untyped-def]
    """Resource ``r`` may be able to start something at this instant."""
    if res[r].listed == 0:
        res[r].listed = 1
        res[w[0].n_dirty].dirty = r
        w[0].n_dirty += 1


@njit_plain
def enqueue(w, task, res, heap, t, stamp):  # type: ignore[no-untyped-def]
    r = task[t].resource
    push(heap, w[0].queue_base + res[r].base, res[r].size, task[t].priority, stamp, t)
    res[r].size += 1


@njit_plain
def give_up(w, task, heap, t):  # type: ignore[no-untyped-def]
    """Task ``t`` finishes now without having run."""
    task[t].state, task[t].start, task[t].asked, task[t].fate = RUNS, w[0].now, w[0].now, GIVEN_UP
    task[t].resource = -1
    schedule(w, heap, w[0].now, t + w[0].span * task[t].attempt)


@njit_plain
def ask(w, task, res, heap, t):  # type: ignore[no-untyped-def]
    """Task ``t`` has all that it waited for: it queues, or simply passes where it needs no resource."""
    r = task[t].resource
    task[t].asked, task[t].state = w[0].now, WAITS
    if r >= 0 and res[r].known == 0:
        enqueue(w, task, res, heap, t, w[0].stamp)
        w[0].stamp += 1
        wake(w, res, r)
    elif r == -1:
        task[t].state, task[t].start = RUNS, w[0].now
        schedule(w, heap, w[0].now + task[t].work, t + w[0].span * task[t].attempt)
    else:
        ask_elsewhere(w, task, res, heap, t, r)


@njit_plain
def ask_elsewhere(w, task, res, heap, t, r):  # type: ignore[no-untyped-def]
    """The resource of task ``t`` is known to be down, or there never was any."""
    if r >= 0 and task[t].other >= 0:
        r = task[t].other
        task[t].resource, task[t].work, task[t].other, task[t].fate = r, task[t].other_work, -1, MOVED
    if r < 0 or res[r].dead > 0:
        give_up(w, task, heap, t)
        return
    enqueue(w, task, res, heap, t, w[0].stamp)
    w[0].stamp += 1
    wake(w, res, r)


@njit_plain
def unblock(w, res):  # type: ignore[no-untyped-def]
    """Resources whose tasks were passed over for a busy lock look again."""
    for i in range(w[0].n_blocked):
        res[res[i].blocked].is_blocked = 0
        wake(w, res, res[i].blocked)
    w[0].n_blocked = 0


@njit_plain
def free(w, res, r):  # type: ignore[no-untyped-def]
    """One server of ``r`` is free; what it closed may open."""
    res[r].busy -= 1
    wake(w, res, r)
    unblock(w, res)
    if res[r].busy == 0 and res[r].closes:
        for other in range(w[0].resources):
            if res[other].gate == r:
                wake(w, res, other)


@njit_plain
def let_go(w, task, res, t):  # type: ignore[no-untyped-def]
    """Task ``t`` gives back its server, its lock and its share of the channel. The server of a batch is not its own."""
    r = task[t].resource
    if r < 0 or res[r].servers == 0:
        return
    free(w, res, r)
    if task[t].demand > 0:
        w[0].sharing -= 1
        w[0].total = w[0].total - task[t].demand if w[0].sharing > 0 else 0.0
    if task[t].lock >= 0:
        free(w, res, task[t].lock)


@njit_plain
def complete(w, task, edge, res, heap, t):  # type: ignore[no-untyped-def]
    """Task ``t`` has finished: its successors may ask, now or after a lag."""
    now = w[0].now
    task[t].state, task[t].finish = FINISHED, now
    w[0].done += 1
    lost = task[t].fate == GIVEN_UP
    for e in range(task[t].edge, task[t + 1].edge):
        other = edge[e].dest
        if lost and edge[e].strict != 0:
            miss(w, task, heap, other)
            continue
        task[other].left -= 1  # below 0 where fewer were enough
        task[other].ready = max(task[other].ready, now + edge[e].lag)
        if task[other].left == 0:
            if task[other].ready <= now:
                ask(w, task, res, heap, other)
            else:
                schedule(w, heap, task[other].ready, w[0].tasks + other)


@njit_plain
def miss(w, task, heap, t):  # type: ignore[no-untyped-def]
    """A predecessor over a strict edge was given up: task ``t`` is given up too, if too few are left."""
    if task[t].left > 0:
        task[t].slack -= 1
        if task[t].slack < 0:
            task[t].left = 0
            give_up(w, task, heap, t)

"""The compiled loops of `timeline`. Heap and loops are in one file: numba does not notice an edited helper elsewhere.

Items of the event heap are numbers below ``span``: t, task t finishes; T + t, it asks for its resource; 2T + r, the
batch on r finishes; then the batch on r has waited for others; then outages that begin, outages that end, outages that
are found out. ``span`` times the attempt is added, so that the finish of an attempt that an outage ended is recognised.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit, njit_plain

_CHUNK = 256  # designs whose finish times stay in the cache together
WAITS, RUNS, FINISHED, LOST = 0, 1, 2, 3
MOVED, GIVEN_UP = 1, 2
COLLECTS, DUE = 1, 2


@njit
def longest(order, ptr, pred, lag, release, work, out):  # type: ignore[no-untyped-def]
    """Finish times ``out`` (T, N): design axis last, so that the inner loops are vectorised."""
    n = work.shape[1]
    for lo in range(0, n, _CHUNK):
        hi = min(n, lo + _CHUNK)
        for i in range(order.shape[0]):
            t = order[i]
            row, floor = out[t, lo:hi], release[t]
            for d in range(row.shape[0]):
                row[d] = floor
            for e in range(ptr[t], ptr[t + 1]):
                before, wait = out[pred[e], lo:hi], lag[e]
                for d in range(row.shape[0]):
                    row[d] = max(row[d], before[d] + wait)
            own = work[t, lo:hi]
            for d in range(row.shape[0]):
                row[d] += own[d]


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


@njit_plain
def begin_outage(w, task, res, heap, outage, k):  # type: ignore[no-untyped-def]
    """What runs on the resource is lost and asks again after the outage."""
    r, at = np.int64(outage[k, 0]), outage[k, 2] + w[0].retry
    res[r].down += 1
    for t in range(w[0].tasks):
        if task[t].resource == r and task[t].state == RUNS:
            task[t].attempt += 1
            task[t].state = LOST
            let_go(w, task, res, t)
            if at < np.inf:
                schedule(w, heap, at, w[0].tasks + t + w[0].span * task[t].attempt)
    if res[r].servers == 0 and res[r].busy > 0:
        res[r].runs += 1
        res[r].phase = 0
        free(w, res, r)


@njit_plain
def find_out(w, task, res, heap, aside, outage, k):  # type: ignore[no-untyped-def]
    """The outage has lasted too long: what it lost, then what queues, moves or is given up, as far as it can."""
    r = np.int64(outage[k, 0])
    res[r].known += 1
    if outage[k, 2] == np.inf:
        res[r].dead += 1
    for t in range(w[0].tasks):
        if task[t].resource == r and task[t].state == LOST and (task[t].other >= 0 or res[r].dead > 0):
            task[t].attempt += 1
            ask(w, task, res, heap, t)
    base, n = w[0].queue_base + res[r].base, res[r].size
    for i in range(n):
        aside[i, 0], aside[i, 1] = heap[base].item, heap[base].stamp
        pop(heap, base, res[r].size)
        res[r].size -= 1
    for i in range(n):
        t = aside[i, 0]
        if task[t].other >= 0 or res[r].dead > 0:
            ask(w, task, res, heap, t)
        else:
            enqueue(w, task, res, heap, t, aside[i, 1])


@njit_plain
def end_outage(w, res, outage, k):  # type: ignore[no-untyped-def]
    r = np.int64(outage[k, 0])
    res[r].down -= 1
    if outage[k, 1] + w[0].patience < outage[k, 2]:
        res[r].known -= 1
    wake(w, res, r)
    unblock(w, res)  # it may be a lock


@njit_plain
def handle(w, task, edge, res, heap, aside, outage, item):  # type: ignore[no-untyped-def]
    """One event of this instant."""
    n, m, k = w[0].tasks, w[0].resources, w[0].outages
    attempt = item // w[0].span
    x = item - attempt * w[0].span
    if x < n:
        if task[x].attempt == attempt:
            w[0].handled += 1
            let_go(w, task, res, x)
            complete(w, task, edge, res, heap, x)
    elif x < 2 * n:
        if task[x - n].attempt == attempt:
            w[0].handled += 1
            ask(w, task, res, heap, x - n)
    elif x < 2 * n + m:
        end_batch(w, task, edge, res, heap, x - 2 * n, attempt)
    elif x < 2 * n + 2 * m:
        r = x - 2 * n - m
        if res[r].runs == attempt:
            res[r].phase = DUE
            wake(w, res, r)
    elif x < 2 * n + 2 * m + k:
        begin_outage(w, task, res, heap, outage, x - 2 * n - 2 * m)
    elif x < 2 * n + 2 * m + 2 * k:
        end_outage(w, res, outage, x - 2 * n - 2 * m - k)
    else:
        find_out(w, task, res, heap, aside, outage, x - 2 * n - 2 * m - 2 * k)


@njit_plain
def end_batch(w, task, edge, res, heap, r, attempt):  # type: ignore[no-untyped-def]
    if res[r].runs != attempt:
        return
    w[0].handled += 1
    res[r].runs += 1
    free(w, res, r)
    t = res[r].first
    while t >= 0:
        complete(w, task, edge, res, heap, t)
        t = task[t].follower


@njit_plain
def start_batch(w, task, res, heap, r):  # type: ignore[no-untyped-def]
    """All that queues on ``r``, in its order, as one run."""
    base, longest_work, last = w[0].queue_base + res[r].base, 0.0, -1
    res[r].first = -1
    while res[r].size > 0:
        t = heap[base].item
        pop(heap, base, res[r].size)
        res[r].size -= 1
        if last < 0:
            res[r].first = t
        else:
            task[last].follower = t
        task[t].follower, last = -1, t
        task[t].state, task[t].start = RUNS, w[0].now
        longest_work = max(longest_work, task[t].work)
    res[r].busy, res[r].phase = 1, 0
    schedule(w, heap, w[0].now + longest_work, 2 * w[0].tasks + r + w[0].span * res[r].runs)


@njit_plain
def collect(w, res, heap, r):  # type: ignore[no-untyped-def]
    """The batch on ``r`` waits for others to come before it draws the queue."""
    res[r].busy, res[r].phase = 1, COLLECTS
    at = 2 * w[0].tasks + w[0].resources + r + w[0].span * res[r].runs
    schedule(w, heap, w[0].now + res[r].window, at)


@njit_plain
def start_task(w, task, res, heap, t, r):  # type: ignore[no-untyped-def]
    task[t].state, task[t].start = RUNS, w[0].now
    res[r].busy += 1
    if task[t].lock >= 0:
        res[task[t].lock].busy += 1
    item = t + w[0].span * task[t].attempt
    if task[t].demand > 0:
        w[0].sharing += 1
        w[0].total += task[t].demand
        push(heap, w[0].share_base, w[0].shares, w[0].virtual + task[t].work, w[0].stamp, item)
        w[0].shares += 1
        w[0].stamp += 1
    else:
        schedule(w, heap, w[0].now + task[t].work, item)


@njit_plain
def start_on(w, task, res, heap, aside, r):  # type: ignore[no-untyped-def]
    """Start what resource ``r`` can start now; tasks whose lock is busy are passed over."""
    if res[r].down > 0 or (res[r].gate >= 0 and res[res[r].gate].busy > 0):
        return
    if res[r].servers == 0:
        if res[r].phase == DUE or (res[r].busy == 0 and res[r].size > 0 and res[r].window == 0):
            start_batch(w, task, res, heap, r)
        elif res[r].busy == 0 and res[r].size > 0:
            collect(w, res, heap, r)
        return
    base, kept = w[0].queue_base + res[r].base, 0
    while res[r].busy < res[r].servers and res[r].size > 0:
        t, stamp = heap[base].item, heap[base].stamp
        pop(heap, base, res[r].size)
        res[r].size -= 1
        lock = task[t].lock
        if lock >= 0 and (res[lock].busy >= res[lock].servers or res[lock].down > 0):
            aside[kept, 0], aside[kept, 1] = t, stamp
            kept += 1
        else:
            start_task(w, task, res, heap, t, r)
    for i in range(kept):
        enqueue(w, task, res, heap, aside[i, 0], aside[i, 1])
    if kept > 0 and res[r].is_blocked == 0:
        res[r].is_blocked = 1
        res[w[0].n_blocked].blocked = r
        w[0].n_blocked += 1


@njit_plain
def dispatch(w, task, res, heap, aside):  # type: ignore[no-untyped-def]
    """Start tasks on the resources that something happened to: gates before what they close, then by index."""
    n = w[0].n_dirty
    for i in range(1, n):
        r, j = res[i].dirty, i - 1
        while j >= 0:
            other = res[j].dirty
            if res[other].depth < res[r].depth or (res[other].depth == res[r].depth and other < r):
                break
            res[j + 1].dirty = other
            j -= 1
        res[j + 1].dirty = r
    for i in range(n):
        start_on(w, task, res, heap, aside, res[i].dirty)
        res[res[i].dirty].listed = 0
    w[0].n_dirty = 0


@njit_plain
def advance(w, task, heap, root):  # type: ignore[no-untyped-def]
    """Move the clocks to the next instant at which something happens; False if nothing ever does.

    ``root``: s when the next task without predecessors is released.
    """
    top, then = w[0].share_base, root
    while w[0].shares > 0:
        attempt = heap[top].item // w[0].span
        if task[heap[top].item - attempt * w[0].span].attempt == attempt:
            break
        pop(heap, top, w[0].shares)
        w[0].shares -= 1
    if w[0].events > 0:
        then = min(then, heap[0].key)
    rate = 1.0 if w[0].total <= w[0].channel else w[0].channel / w[0].total
    share = max(w[0].now, w[0].now + (heap[top].key - w[0].virtual) / rate) if w[0].shares > 0 else np.inf
    if w[0].shares > 0 and share <= then:
        then = share
        w[0].virtual = max(w[0].virtual, heap[top].key)
    elif w[0].sharing > 0:
        w[0].virtual += (then - w[0].now) * rate
    w[0].now = then
    return then < np.inf


@njit_plain
def drain(w, task, edge, res, heap, aside, outage):  # type: ignore[no-untyped-def]
    """Handle all events and ended shares of this instant, in the order in which they were scheduled."""
    while True:
        if w[0].events > 0 and heap[0].key <= w[0].now:
            item = heap[0].item
            pop(heap, 0, w[0].events)
            w[0].events -= 1
        elif w[0].shares > 0 and heap[w[0].share_base].key <= w[0].virtual:
            item = heap[w[0].share_base].item
            pop(heap, w[0].share_base, w[0].shares)
            w[0].shares -= 1
        else:
            return
        handle(w, task, edge, res, heap, aside, outage, item)


@njit_plain
def limit(w, res, servers, window, patience):  # type: ignore[no-untyped-def]
    """Servers (0: a batch) and windows of one design."""
    w[0].patience = patience
    for r in range(w[0].resources):
        res[r].servers, res[r].window = servers[r], window[r]


@njit_plain
def reset(w, task, res, heap, outage, work, resource, priority):  # type: ignore[no-untyped-def]
    """The state before anything has happened in one design."""
    n, m, k = w[0].tasks, w[0].resources, w[0].outages
    w[0].now, w[0].virtual, w[0].total = 0.0, 0.0, 0.0
    w[0].events, w[0].shares, w[0].stamp, w[0].n_dirty, w[0].n_blocked = 0, 0, 0, 0, 0
    w[0].sharing, w[0].done, w[0].handled = 0, 0, 0
    for r in range(m + 1):
        res[r].base, res[r].size, res[r].busy, res[r].down, res[r].known, res[r].dead = 0, 0, 0, 0, 0, 0
        res[r].runs, res[r].listed, res[r].is_blocked, res[r].phase = 0, 0, 0, 0
    for t in range(n):
        task[t].work, task[t].resource, task[t].priority = work[t], resource[t], priority[t]
        task[t].left, task[t].slack, task[t].ready = task[t].need, task[t].spare, task[t].release
        task[t].state, task[t].attempt, task[t].fate, task[t].other = WAITS, 0, 0, -1
        if resource[t] >= 0:
            res[resource[t] + 1].base += 1
    for i in range(k):
        if outage[i, 0] < 0:
            continue
        schedule(w, heap, outage[i, 1], 2 * n + 2 * m + i)
        if outage[i, 2] < np.inf:
            schedule(w, heap, outage[i, 2], 2 * n + 2 * m + k + i)
        if outage[i, 1] + w[0].patience < outage[i, 2]:
            schedule(w, heap, outage[i, 1] + w[0].patience, 2 * n + 2 * m + 2 * k + i)


@njit_plain
def room(w, task, res, other, other_work):  # type: ignore[no-untyped-def]
    """Alternatives, and room in the queues for those who come from elsewhere."""
    for t in range(w[0].tasks if other.shape[0] > 0 else 0):
        task[t].other, task[t].other_work = other[t], other_work[t]
        if other[t] >= 0:
            res[other[t] + 1].base += 1
    for r in range(w[0].resources):
        res[r + 1].base += res[r].base


@njit_plain
def run(  # type: ignore[no-untyped-def]
    w, task, edge, res, heap, outages, servers, windows, patience, aside, roots, work, resource, priority, others,
    other_works, start, finish, asked, fate, handled,
):  # fmt: skip
    """N runs (N, T), one after the other. ``outages`` (1 or N, K, 3), ``servers`` and ``windows`` (1 or N, R),
    ``patience`` (1 or N,), ``others`` and ``other_works`` (N, T) or (1, 0).
    ``handled`` (N,): -1 where tasks wait for what never comes."""
    n = w[0].tasks
    for d in range(work.shape[0]):
        outage = outages[min(d, outages.shape[0] - 1)]
        e = min(d, servers.shape[0] - 1)
        if d == 0 or e > 0:
            limit(w, res, servers[e], windows[e], patience[e])
        reset(w, task, res, heap, outage, work[d], resource[d], priority[d])
        a = min(d, others.shape[0] - 1)
        room(w, task, res, others[a], other_works[a])
        nxt = 0
        while w[0].done < n:
            if not advance(w, task, heap, task[roots[nxt]].release if nxt < roots.shape[0] else np.inf):
                break
            while nxt < roots.shape[0] and task[roots[nxt]].release <= w[0].now:
                w[0].handled += 1
                ask(w, task, res, heap, roots[nxt])
                nxt += 1
            drain(w, task, edge, res, heap, aside, outage)
            dispatch(w, task, res, heap, aside)
        for t in range(n):
            start[d, t], finish[d, t], asked[d, t] = task[t].start, task[t].finish, task[t].asked
            fate[d, t] = task[t].fate
        handled[d] = w[0].handled if w[0].done == n else -1

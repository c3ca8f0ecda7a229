"""The compiled loops of `timeline`: longest paths, and events.

Items of the event heap are numbers below ``span``: t, task t finishes; T + t, it asks for its resource; 2T + r, the
batch on r finishes; then the batch on r has waited for others; then outages that begin, outages that end, outages that
are found out. ``span`` times the attempt is added, so that the finish of an attempt that an outage ended is recognised.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit, njit_plain
from tradespace.costs.timeline_outages import begin_outage, end_outage, find_out
from tradespace.costs.timeline_starts import DUE, dispatch, end_batch
from tradespace.costs.timeline_tasks import WAITS, ask, complete, let_go, pop, schedule, wake

_CHUNK = 256  # designs whose finish times stay in the cache together


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

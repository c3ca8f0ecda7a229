"""How resources take up work in the event loop of `timeline`, compiled: single tasks, and batches."""

from __future__ import annotations

from tradespace.costs.compiled import njit_plain
from tradespace.costs.timeline_tasks import RUNS, complete, enqueue, free, pop, push, schedule

COLLECTS, DUE = 1, 2


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

"""Outages in the event loop of `timeline`, compiled: what they end, what is found out, and when they are over."""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit_plain
from tradespace.costs.timeline_tasks import LOST, RUNS, ask, enqueue, free, let_go, pop, schedule, unblock, wake


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

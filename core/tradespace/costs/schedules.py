"""Compiled list schedules: task graphs on nodes with cores, links, power tables and prices.

A design says where tasks run and who goes first. `decode` takes the ready task that stands first in the order, puts it
on its node at the earliest time its data is there and a core is free (in a gap between tasks already placed, or behind
them), and goes on. `place` does the same but chooses the node itself. `measure` turns start and finish times into
metrics. The plain twin is `schedules_twin`.

Arguments that repeat: ``exec`` (n, m) s; ``ready`` (n, m) s, earliest arrival of what a task brings from outside;
``latency`` (m, m) s and ``inverse`` (m, m) s/B between nodes; ``pred_ptr`` (n + 1,), ``pred``, ``size`` (E,): edges by
destination; ``succ_ptr``, ``succ``: by source; ``cores`` (m + 1,): first core of each node, then their number.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit

MAKESPAN, ENERGY, COST, RESPONSE, UTILISATION, TARDINESS, LATE, REJECTED, MEMORY, OUTPUTS = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
"""Rows of the output of `measure`."""

HOUR = 3600.0


@njit
def topological(rank, succ_ptr, succ, waiting, heap, out):  # type: ignore[no-untyped-def]
    """Writes into ``out`` (n,) the tasks as they become ready, lowest ``rank`` first. ``waiting`` is used up."""
    n, size = rank.shape[0], 0
    at = np.empty(n, np.int32)  # rank -> task
    for i in range(n):
        at[rank[i]] = i
    for i in range(n):
        if waiting[i] == 0:
            size = push(heap, size, rank[i])
    for step in range(n):
        task = at[heap[0]]
        size = pop(heap, size)
        out[step] = task
        for e in range(succ_ptr[task], succ_ptr[task + 1]):
            waiting[succ[e]] -= 1
            if waiting[succ[e]] == 0:
                size = push(heap, size, rank[succ[e]])


@njit
def push(heap, size, value):  # type: ignore[no-untyped-def]
    """Adds to a binary min-heap; returns its new size."""
    i = size
    while i > 0 and heap[(i - 1) >> 1] > value:
        heap[i] = heap[(i - 1) >> 1]
        i = (i - 1) >> 1
    heap[i] = value
    return size + 1


@njit
def pop(heap, size):  # type: ignore[no-untyped-def]
    """Removes the smallest of a binary min-heap; returns its new size."""
    size -= 1
    value, i = heap[size], 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value
    return size


@njit
def available(task, j, ready, pred_ptr, pred, size, latency, inverse, node, finish):  # type: ignore[no-untyped-def]
    """When all data of ``task`` is on node ``j``."""
    t = ready[task, j]
    for e in range(pred_ptr[task], pred_ptr[task + 1]):
        p = pred[e]
        arrival = finish[p]
        if node[p] != j:
            arrival += latency[node[p], j] + size[e] * inverse[node[p], j]
        if arrival > t:
            t = arrival
    return t


@njit
def fit(core, t, duration, insertion, head, tail, after, start, finish):  # type: ignore[no-untyped-def]
    """Earliest start from ``t`` on of ``duration`` on one core, and the task it would follow (-1: none)."""
    if not insertion:
        last = tail[core]
        return (max(t, finish[last]) if last >= 0 else t), last
    before, task = -1, head[core]
    while task >= 0 and t + duration > start[task]:
        if finish[task] > t:
            t = finish[task]
        before, task = task, after[task]
    return t, before


@njit
def best_core(j, t, duration, insertion, cores, head, tail, after, start, finish):  # type: ignore[no-untyped-def]
    """Earliest start on node ``j``, the core (lowest number among equals) and the task before it."""
    best, core, before = np.inf, -1, -1
    for c in range(cores[j], cores[j + 1]):
        s, b = fit(c, t, duration, insertion, head, tail, after, start, finish)
        if s < best:
            best, core, before = s, c, b
    return best, core, before


@njit
def insert(task, core, before, head, tail, after):  # type: ignore[no-untyped-def]
    """Puts ``task`` behind ``before`` into the list of ``core``."""
    if before < 0:
        after[task] = head[core]
        head[core] = task
    else:
        after[task] = after[before]
        after[before] = task
    if after[task] < 0:
        tail[core] = task


@njit
def decode(order, node, insertion, exec, ready, pred_ptr, pred, size, latency, inverse, cores, head, tail, after, start, finish):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Places the tasks of ``order`` (topological) on their ``node`` (n,); writes ``start`` and ``finish`` (n,)."""
    head[:] = -1
    tail[:] = -1
    for i in range(order.shape[0]):
        task = order[i]
        j = node[task]
        t = available(task, j, ready, pred_ptr, pred, size, latency, inverse, node, finish)
        s, core, before = best_core(j, t, exec[task, j], insertion, cores, head, tail, after, start, finish)
        start[task], finish[task] = s, s + exec[task, j]
        insert(task, core, before, head, tail, after)


@njit
def place(order, pinned, bias, insertion, exec, ready, pred_ptr, pred, size, latency, inverse, cores, node, start, finish):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Puts each task of ``order`` where finish + ``bias`` (n, m) is least (``pinned`` >= 0: there); writes ``node``,
    ``start`` and ``finish`` (n,). With no bias: the processor selection of HEFT."""
    n, m = exec.shape
    head, tail, after = np.full(cores[m], -1, np.int32), np.full(cores[m], -1, np.int32), np.empty(n, np.int32)
    for i in range(n):
        task = order[i]
        least, where, when, core, before = np.inf, -1, 0.0, -1, -1
        for j in range(m):
            if pinned[task] >= 0 and pinned[task] != j:
                continue
            t = available(task, j, ready, pred_ptr, pred, size, latency, inverse, node, finish)
            s, c, b = best_core(j, t, exec[task, j], insertion, cores, head, tail, after, start, finish)
            value = s + exec[task, j] + bias[task, j]
            if value < least:
                least, where, when, core, before = value, j, s, c, b
        node[task], start[task], finish[task] = where, when, when + exec[task, where]
        insert(task, core, before, head, tail, after)


@njit
def energy(j, begin, end, count, horizon, cores, power):  # type: ignore[no-untyped-def]
    """J of one node until ``horizon``: integral of the power of the number of busy cores. ``begin`` and ``end``
    (count,) are sorted; ``power`` (cores + m,) holds a row of cores + 1 levels a node."""
    joule, t, level, a, b = 0.0, 0.0, 0, 0, 0
    row = cores[j] + j
    while b < count:
        busy = power[row + max(level, 0)]  # a task of no length ends before it begins: below 0 for no time
        if a < count and begin[a] < end[b]:
            joule += busy * (begin[a] - t)
            t = begin[a]
            level += 1
            a += 1
        else:
            joule += busy * (end[b] - t)
            t = end[b]
            level -= 1
            b += 1
    return joule + power[row] * (horizon - t)


@njit
def measure(node, start, finish, release, deadline, weight, memory, exec, cores, speed, power, price, ram, out):  # type: ignore[no-untyped-def] # fmt: skip
    """Metrics of one schedule into ``out`` (OUTPUTS,); tasks with ``node`` -1 were rejected (they are late)."""
    n, m = exec.shape
    makespan, response, tardiness, late, done, fill = 0.0, 0.0, 0.0, 0, 0, 0.0
    for i in range(n):
        if node[i] < 0:
            late += 1
            continue
        done += 1
        makespan = max(makespan, finish[i])
        response += finish[i] - release[i]
        fill = max(fill, memory[i] / ram[node[i]])
        if finish[i] > deadline[i]:
            late += 1
            tardiness += weight[i] * (finish[i] - deadline[i])
    begin, end = np.empty(n), np.empty(n)
    joule, cost, useful, whole = 0.0, 0.0, 0.0, 0.0
    for j in range(m):
        count, busy = 0, 0.0
        for i in range(n):
            if node[i] == j:
                begin[count], end[count] = start[i], finish[i]
                busy += exec[i, j]
                count += 1
        begin[:count].sort()
        end[:count].sort()
        joule += energy(j, begin, end, count, makespan, cores, power)
        if count:
            cost += price[j] * (end[count - 1] - begin[0]) / HOUR
        useful += busy * speed[j]
        whole += speed[j] * (cores[j + 1] - cores[j])
    out[MAKESPAN], out[ENERGY], out[COST] = makespan, joule, cost
    out[RESPONSE] = response / done if done else 0.0
    out[UTILISATION] = useful / (whole * makespan) if makespan > 0.0 else 0.0
    out[TARDINESS], out[LATE], out[REJECTED] = tardiness, late / n, (n - done) / n
    out[MEMORY] = fill - 1.0


@njit
def price_schedules(orders, nodes, insertion, exec, ready, pred_ptr, pred, size, succ_ptr, succ, latency, inverse, cores, release, deadline, weight, memory, speed, power, price, ram, out, lo, hi):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Prices designs lo..hi-1: ``orders`` and ``nodes`` (N, n) int32 into ``out`` (OUTPUTS, N)."""
    n, m = exec.shape
    rank, waiting, heap, order = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)  # fmt: skip # noqa: E501
    head, tail, after = np.empty(cores[m], np.int32), np.empty(cores[m], np.int32), np.empty(n, np.int32)
    start, finish, row = np.empty(n), np.empty(n), np.empty(OUTPUTS)
    for d in range(lo, hi):
        for i in range(n):
            rank[orders[d, i]] = i
            waiting[i] = pred_ptr[i + 1] - pred_ptr[i]
        topological(rank, succ_ptr, succ, waiting, heap, order)
        decode(order, nodes[d], insertion, exec, ready, pred_ptr, pred, size, latency, inverse, cores, head, tail, after, start, finish)  # fmt: skip # noqa: E501
        measure(nodes[d], start, finish, release, deadline, weight, memory, exec, cores, speed, power, price, ram, row)
        for k in range(OUTPUTS):
            out[k, d] = row[k]


@njit
def order_schedules(orders, pred_ptr, succ_ptr, succ, out, lo, hi):  # type: ignore[no-untyped-def]
    """Rows lo..hi-1 of ``orders`` (N, n) as the topological orders in which `decode` meets the tasks."""
    n = orders.shape[1]
    rank, waiting, heap = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    for d in range(lo, hi):
        for i in range(n):
            rank[orders[d, i]] = i
            waiting[i] = pred_ptr[i + 1] - pred_ptr[i]
        topological(rank, succ_ptr, succ, waiting, heap, out[d])


@njit
def rank_up(order, mean, pred_ptr, pred, cost, out):  # type: ignore[no-untyped-def]
    """HEFT's upward rank: mean time plus the longest way to an exit, with mean transfer ``cost`` (E,) per edge."""
    out[:] = 0.0
    for i in range(order.shape[0] - 1, -1, -1):
        task = order[i]
        out[task] += mean[task]
        for e in range(pred_ptr[task], pred_ptr[task + 1]):
            out[pred[e]] = max(out[pred[e]], cost[e] + out[task])


@njit
def rank_down(order, mean, pred_ptr, pred, cost, out):  # type: ignore[no-untyped-def]
    """CPOP's downward rank: the longest way from an entry, the task itself excluded."""
    out[:] = 0.0
    for i in range(order.shape[0]):
        task = order[i]
        for e in range(pred_ptr[task], pred_ptr[task + 1]):
            out[task] = max(out[task], out[pred[e]] + mean[pred[e]] + cost[e])


@njit
def optimistic(order, exec, pred_ptr, pred, cost, out):  # type: ignore[no-untyped-def]
    """PEFT's optimistic cost table (n, m): OCT(i, p) = max over successors j of min over q of OCT(j, q) + w(j, q) +
    c(i, j) if p != q (Arabnejad and Barbosa 2014, eq. 3)."""
    out[:] = 0.0
    m = exec.shape[1]
    for i in range(order.shape[0] - 1, -1, -1):
        task = order[i]
        for e in range(pred_ptr[task], pred_ptr[task + 1]):
            for p in range(m):
                least = np.inf
                for q in range(m):
                    value = out[task, q] + exec[task, q] + (cost[e] if p != q else 0.0)
                    least = min(least, value)
                out[pred[e], p] = max(out[pred[e], p], least)


@njit
def batch_mode(rule, insertion, pinned, exec, ready, pred_ptr, pred, size, succ_ptr, succ, latency, inverse, cores, node, order, start, finish):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Min-Min (``rule`` 0), Max-Min (1), Sufferage (2) over the ready tasks (Maheswaran et al. 1999; Ibarra and Kim
    1977). Writes ``node``, ``order``, ``start``, ``finish`` (n,)."""
    n, m = exec.shape
    head, tail, after = np.full(cores[m], -1, np.int32), np.full(cores[m], -1, np.int32), np.empty(n, np.int32)
    waiting, alive, count = np.empty(n, np.int32), np.empty(n, np.int32), 0
    eft, arrival = np.full((n, m), np.inf), np.zeros((n, m))
    node[:] = -1
    for i in range(n):
        waiting[i] = pred_ptr[i + 1] - pred_ptr[i]
    fresh = 0
    for i in range(n):
        if waiting[i] == 0:
            alive[count] = i
            count += 1
    changed = -1
    for step in range(n):
        for a in range(count):  # new tasks on all nodes, the others on the node that changed
            i = alive[a]
            for j in range(m):
                if pinned[i] >= 0 and pinned[i] != j:
                    continue
                if a >= fresh:
                    arrival[i, j] = available(i, j, ready, pred_ptr, pred, size, latency, inverse, node, finish)
                elif j != changed:
                    continue
                s, _, _ = best_core(j, arrival[i, j], exec[i, j], insertion, cores, head, tail, after, start, finish)
                eft[i, j] = s + exec[i, j]
        best, pick, where = -np.inf, -1, -1
        for a in range(count):
            i, first, second, at = alive[a], np.inf, np.inf, -1
            for j in range(m):
                if eft[i, j] < first:
                    first, second, at = eft[i, j], first, j
                elif eft[i, j] < second:
                    second = eft[i, j]
            if rule == 0:
                key = -first
            elif rule == 1:
                key = first
            else:
                key = min(second - first, 1e300)
            if key > best:
                best, pick, where = key, a, at
        task = alive[pick]
        s, core, before = best_core(where, arrival[task, where], exec[task, where], insertion, cores, head, tail, after, start, finish)  # fmt: skip # noqa: E501
        node[task], start[task], finish[task], order[step] = where, s, s + exec[task, where], task
        insert(task, core, before, head, tail, after)
        count -= 1
        for a in range(pick, count):
            alive[a] = alive[a + 1]
        fresh, changed = count, where
        for e in range(succ_ptr[task], succ_ptr[task + 1]):
            waiting[succ[e]] -= 1
            if waiting[succ[e]] == 0:
                alive[count] = succ[e]
                count += 1

"""A compiled search over list schedules: reassign, shift, and rebuild stretches of the order around the critical path.

A state is a topological order and a node for each task; a move changes it, the schedule is decoded anew, and simulated
annealing decides (Kirkpatrick et al. 1983). The moves are those of list scheduling itself (ours in this combination):

* shift: a task goes to another place in the order, between its last predecessor and its first successor;
* reassign: a task goes to another node, alone, with a stretch of the critical path or of the order, or also to another
  place in the order;
* rebuild: the tasks of a stretch of the order choose the node of their earliest finish again (iterated greedy, Ruiz and
  Stützle 2007), a bias towards some nodes thrown in.

Half of the tasks to move are taken from the critical path, traced back from the task that ends last through the
predecessor, or the neighbour on the core, that it waited for. No loop draws numbers: uniforms are arguments. Arrays are
those of `schedules`.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit
from tradespace.costs.schedules import MAKESPAN, OUTPUTS, measure

UNIFORMS = 7
"""Numbers that one step uses."""
SPREAD = 0.2
"""By how much a rebuilt stretch may prefer or avoid one node."""
SUM = 0.05
"""Share of the sum beside the largest part of a weighted objective (augmented Tchebycheff, Steuer and Choo 1983)."""


@njit
def arrival(task, j, ready, pred_ptr, pred, size, latency, inverse, node, finish):  # type: ignore[no-untyped-def]
    """When all data of ``task`` is on node ``j``, and the predecessor it waits for (-1: none)."""
    t, last = ready[task, j], -1
    for e in range(pred_ptr[task], pred_ptr[task + 1]):
        p = pred[e]
        when = finish[p]
        if node[p] != j:
            when += latency[node[p], j] + size[e] * inverse[node[p], j]
        if when > t:
            t, last = when, p
    return t, last


@njit
def gap(core, t, duration, insertion, tail, prior, after, start, finish):  # type: ignore[no-untyped-def]
    """Earliest start from ``t`` on of ``duration`` on one core, and the task it would follow (-1: none). Walks back
    from the end to the last task that is over at ``t``, then forward to the first gap."""
    before = tail[core]
    if not insertion:
        return (max(t, finish[before]) if before >= 0 else t), before
    task = -1
    while before >= 0 and finish[before] > t:
        task, before = before, prior[before]
    while task >= 0 and t + duration > start[task]:
        if finish[task] > t:
            t = finish[task]
        before, task = task, after[task]
    return t, before


@njit
def decode(order, node, loose, bias, insertion, exec, ready, pred_ptr, pred, size, latency, inverse, cores, allowed, tail, head, prior, after, waits, start, finish):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Places the tasks of ``order``; those that are ``loose`` choose the node of least finish x ``bias`` (m,). Writes
    ``node``, ``start``, ``finish`` and ``waits`` (n,): the predecessor a task waited for, -1 without. Returns the
    makespan."""
    tail[:] = -1
    head[:] = -1
    m = exec.shape[1]
    makespan = 0.0
    for i in range(order.shape[0]):
        task = order[i]
        least, where, when, core, before, wait = np.inf, -1, 0.0, -1, -1, -1
        for j in range(m):
            if loose[task]:
                if not allowed[task, j]:
                    continue
            elif node[task] != j:
                continue
            t, last = arrival(task, j, ready, pred_ptr, pred, size, latency, inverse, node, finish)
            if (t + exec[task, j]) * bias[j] >= least:
                continue
            for c in range(cores[j], cores[j + 1]):
                s, b = gap(c, t, exec[task, j], insertion, tail, prior, after, start, finish)
                value = (s + exec[task, j]) * bias[j]
                if value < least:
                    least, where, when, core, before, wait = value, j, s, c, b, last
        node[task], start[task], finish[task], waits[task] = where, when, when + exec[task, where], wait
        if before < 0:
            after[task] = head[core]
            head[core] = task
        else:
            after[task] = after[before]
            after[before] = task
        prior[task] = before
        if after[task] < 0:
            tail[core] = task
        else:
            prior[after[task]] = task
        makespan = max(makespan, finish[task])
    return makespan


@njit
def trace(order, waits, prior, start, finish, path):  # type: ignore[no-untyped-def]
    """Writes a critical path into ``path`` (n,), last task first; returns its length."""
    task = order[0]
    for i in range(order.shape[0]):
        if finish[order[i]] > finish[task]:
            task = order[i]
    count = 0
    while task >= 0 and count < path.shape[0]:
        path[count] = task
        count += 1
        before = prior[task]
        task = before if before >= 0 and finish[before] >= start[task] else waits[task]
    return count


@njit
def shift(order, a, b):  # type: ignore[no-untyped-def]
    """Takes the task at position ``a`` out and puts it at ``b``."""
    task = order[a]
    if a < b:
        for i in range(a, b):
            order[i] = order[i + 1]
    else:
        for i in range(a, b, -1):
            order[i] = order[i - 1]
    order[b] = task


@njit
def span(order, place, a, pred_ptr, pred, succ_ptr, succ):  # type: ignore[no-untyped-def]
    """Positions that the task at ``a`` may take: first and last."""
    task, low, high = order[a], 0, order.shape[0] - 1
    for e in range(pred_ptr[task], pred_ptr[task + 1]):
        low = max(low, place[pred[e]] + 1)
    for e in range(succ_ptr[task], succ_ptr[task + 1]):
        high = min(high, place[succ[e]] - 1)
    return low, high


@njit
def judged(row, weights, ideal, scale):  # type: ignore[no-untyped-def]
    """The weighted distance of the metrics ``row`` from ``ideal``, in units of ``scale``, (OUTPUTS,) each."""
    worst, total = -np.inf, 0.0
    for k in range(OUTPUTS):
        if weights[k] > 0.0:
            part = weights[k] * (row[k] - ideal[k]) / scale[k]
            worst = max(worst, part)
            total += part
    return worst + SUM * total


@njit
def improve(order, node, best_order, best_node, weights, ideal, scale, heat, uniform, insertion, allowed, succ_ptr, succ, ready, pred_ptr, pred, size, latency, inverse, release, deadline, weight, memory, exec, cores, speed, power, price, ram):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Anneals one schedule for ``len(uniform)`` steps and returns the best value of `judged` that it met.

    ``order`` (topological) and ``node`` (n,) int32 are where it stands, changed in place; ``best_order``, ``best_node``
    become the best met, the start left out. ``allowed`` (n, m) bool; ``heat`` (steps,) in units of `judged`;
    ``uniform`` (steps, UNIFORMS). The other arguments are those of `schedules`.
    """
    n, m = exec.shape
    tail, head = np.empty(cores[m], np.int32), np.empty(cores[m], np.int32)
    prior, after, waits = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    start, finish, path, place = np.empty(n), np.empty(n), np.empty(n, np.int32), np.empty(n, np.int32)
    loose, bias, row = np.zeros(n, np.bool_), np.ones(m), np.zeros(OUTPUTS)
    new_order, new_node, now, best, length = order.copy(), node.copy(), np.inf, np.inf, 1
    plain = True
    for k in range(OUTPUTS):
        plain = plain and (k == MAKESPAN or weights[k] <= 0.0)
    for step in range(-1, uniform.shape[0]):
        if step >= 0:
            u = uniform[step]
            a = place[path[int(u[1] * length)]] if u[0] < 0.6 else int(u[1] * n)
            task = order[a]
            new_order[:] = order
            new_node[:] = node
            bias[:] = 1.0
            if u[2] < 0.35:  # rebuild a stretch
                many = 1 + int((n - 1) ** u[3])
                first = max(0, min(a - int(u[4] * many), n - many))
                for i in range(first, min(n, first + many)):
                    loose[order[i]] = True
                if u[5] < 0.5:
                    bias[int(u[5] * 2.0 * m)] = 1.0 + SPREAD * (u[6] - 0.5)
            if u[2] < 0.1 or 0.35 <= u[2] < 0.75:  # shift, half of the time by a few places
                low, high = span(order, place, a, pred_ptr, pred, succ_ptr, succ)
                b = low + int(u[4] * (high - low + 1))
                if u[3] < 0.5:
                    b = max(low, min(high, a + int((u[4] - 0.5) * 12.0)))
                shift(new_order, a, b)
            if u[2] >= 0.6 and m > 1:  # reassign
                j = int(u[5] * (m - 1))
                j = j if j < node[task] else j + 1
                many = 1 if u[2] < 0.8 else 2 + int(n**0.5 * u[3])
                at = int(u[1] * length)
                for i in range(many):  # alone, or with those before it on the critical path, or behind it in the order
                    if many > 1 and u[4] < 0.5 and at + i < length:
                        task = path[at + i]
                    elif i:
                        if u[4] < 0.5 or a + i >= n:
                            break
                        task = order[a + i]
                    if allowed[task, j]:
                        new_node[task] = j
        row[MAKESPAN] = decode(new_order, new_node, loose, bias, insertion, exec, ready, pred_ptr, pred, size, latency, inverse, cores, allowed, tail, head, prior, after, waits, start, finish)  # fmt: skip # noqa: E501
        loose[:] = False
        if not plain:
            measure(new_node, start, finish, release, deadline, weight, memory, exec, cores, speed, power, price, ram, row)  # fmt: skip # noqa: E501
        new = judged(row, weights, ideal, scale)
        if step >= 0 and new < best:
            best = new
            best_order[:] = new_order
            best_node[:] = new_node
        if step < 0 or new <= now or uniform[step, 6] < np.exp((now - new) / max(heat[step], 1e-300)):
            now = new
            order[:] = new_order
            node[:] = new_node
            for i in range(n):
                place[order[i]] = i
            length = trace(order, waits, prior, start, finish, path)
    return best

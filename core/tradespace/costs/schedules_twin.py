"""Plain twins of the compiled schedules and queues: one design at a time, lists and a heap, nothing shared.

Slow on purpose. They must give the same floats; tests compare them on thousands of random instances.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from tradespace.costs.schedules_tables import ScheduleTables

Slot = tuple[float, float]


def decode(tables: ScheduleTables, order: Sequence[int], node: Sequence[int], insertion: bool) -> list[Slot]:
    """(start, finish) of each task: the ready task that stands first in ``order`` is placed next."""
    graph, n = tables.graph, len(tables.graph.tasks)
    parents: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    children: list[list[int]] = [[] for _ in range(n)]
    for a, b, size in zip(graph.edges.source, graph.edges.dest, graph.edges.size, strict=True):
        parents[b].append((int(a), float(size)))
        children[a].append(int(b))
    place = {int(task): i for i, task in enumerate(order)}
    missing = [len(p) for p in parents]
    heap = [(place[i], i) for i in range(n) if not missing[i]]
    heapq.heapify(heap)
    times: list[Slot] = [(0.0, 0.0)] * n
    cores: list[list[list[Slot]]] = [[[] for _ in range(int(c))] for c in tables.nodes.cores]
    while heap:
        _, task = heapq.heappop(heap)
        j = int(node[task])
        ready = max(
            [float(tables.ready[task, j]), *(_arrival(tables, p, size, node, j, times) for p, size in parents[task])]
        )
        length = float(tables.exec[task, j])
        starts = [_gap(core, ready, length) if insertion else _end(core, ready) for core in cores[j]]
        begin = min(starts)
        times[task] = (begin, begin + length)
        core = cores[j][starts.index(begin)]
        core.append(times[task])
        if insertion:
            core.sort()
        for child in children[task]:
            missing[child] -= 1
            if not missing[child]:
                heapq.heappush(heap, (place[child], child))
    return times


def _arrival(
    tables: ScheduleTables, parent: int, size: float, node: Sequence[int], j: int, times: Sequence[Slot]
) -> float:
    a = int(node[parent])
    if a == j:
        return times[parent][1]
    return times[parent][1] + float(tables.latency[a, j] + size * tables.inverse[a, j])


def _gap(core: Sequence[Slot], ready: float, length: float) -> float:
    """Earliest start in a gap of the slots (sorted), or behind them."""
    t = ready
    for begin, end in core:
        if t + length <= begin:
            break
        t = max(t, end)
    return t


def _end(core: Sequence[Slot], ready: float) -> float:
    return max(ready, core[-1][1]) if core else ready


def serve(
    tables: ScheduleTables, node: Sequence[int], rank: Sequence[int], discipline: str, refuse: bool
) -> list[Slot | None]:
    """(start, finish) of each task of a stream, None where it was refused."""
    tasks = tables.graph.tasks
    times: list[Slot | None] = [None] * len(tasks)
    for j in range(len(tables.nodes)):
        coming = sorted((float(tables.ready[i, j]), i) for i in range(len(tasks)) if int(node[i]) == j)
        free = [0.0] * int(tables.nodes.cores[j])
        waiting: list[tuple[float, int]] = []
        now = 0.0
        while coming or waiting:
            now = max(now, min(free))
            if not waiting:
                now = max(now, coming[0][0])
            while coming and coming[0][0] <= now:
                waiting.append(coming.pop(0))
            chosen = min(waiting, key=lambda item: _turn(tables, item, j, now, rank, discipline))
            waiting.remove(chosen)
            i = chosen[1]
            end = now + float(tables.exec[i, j])
            if not (refuse and end > float(tasks.deadline[i])):
                times[i] = (now, end)
                free[free.index(min(free))] = end
    return times


def _turn(
    tables: ScheduleTables, item: tuple[float, int], j: int, now: float, rank: Sequence[int], discipline: str
) -> tuple[float, float, int]:
    """What is least goes first; equals in order of arrival."""
    arrived, i = item
    if discipline == "priority":
        return float(rank[i]), arrived, i
    if discipline == "deadline":
        tasks = tables.graph.tasks
        slack = float(tasks.deadline[i]) - now - float(tables.exec[i, j])
        urgency = 0.0 if slack == float("inf") else float(tasks.weight[i]) / max(1e-9, slack)
        return -urgency, arrived, i
    return 0.0, arrived, i


def measure(tables: ScheduleTables, node: Sequence[int], times: Sequence[Slot | None]) -> Mapping[str, float]:
    """The metrics of `schedules.measure` by name."""
    tasks, nodes = tables.graph.tasks, tables.nodes
    done = [(i, t) for i, t in enumerate(times) if t is not None]
    makespan = max([0.0, *(t[1] for _, t in done)])
    out = {"makespan": makespan, "rejected": (len(times) - len(done)) / len(times)}
    response, tardiness, late = 0.0, 0.0, len(times) - len(done)
    for i, (_, end) in done:
        response += end - float(tasks.release[i])
        if end > float(tasks.deadline[i]):
            tardiness += float(tasks.weight[i]) * (end - float(tasks.deadline[i]))
            late += 1
    out |= {"response": response / len(done) if done else 0.0, "tardiness": tardiness, "late": late / len(times)}
    joule = cost = useful = whole = 0.0
    for j in range(len(nodes)):
        mine = [(i, t) for i, t in done if int(node[i]) == j]
        joule += _joule(tables, j, [t for _, t in mine], makespan)
        if mine:
            lease = max(t[1] for _, t in mine) - min(t[0] for _, t in mine)
            cost += float(nodes.price[j]) * lease / 3600.0
        busy = 0.0
        for i, _ in mine:
            busy += float(tables.exec[i, j])
        useful += busy * float(nodes.rate[j])
        whole += float(nodes.rate[j]) * int(nodes.cores[j])
    out |= {"energy": joule, "cost": cost}
    out["utilisation"] = useful / (whole * makespan) if makespan > 0 else 0.0
    return out


def _joule(tables: ScheduleTables, j: int, slots: Sequence[Slot], horizon: float) -> float:
    """Power of the number of busy cores, from one change to the next."""
    first = int(tables.cores[j]) + j
    changes = sorted([(begin, 1) for begin, _ in slots] + [(end, -1) for _, end in slots])
    joule, t, level = 0.0, 0.0, 0
    for when, change in changes:
        if when > t:
            joule += float(tables.power[first + level]) * (when - t)
        t, level = when, level + change
    return joule + float(tables.power[first]) * (horizon - t)

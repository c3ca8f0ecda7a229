"""List schedulers as named plans: HEFT, CPOP, PEFT, Min-Min, Max-Min, Sufferage, EDF, WSPT, round robin.

Each gives (order, node): who goes first, and where each task runs. The decoder of `tradespace.costs.schedules` turns
that into exactly the schedule the heuristic built, because both place a task in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tradespace.costs import schedules as loops
from tradespace.costs.schedules_tables import Floats, Ints, ScheduleTables

Plan = tuple[Ints, Ints]


def heft(tables: ScheduleTables, insertion: bool) -> Plan:
    """Upward rank, then the node of earliest finish (Topcuoglu, Hariri, Wu 2002, fig. 2)."""
    order = by_rank(tables, -upward(tables))
    return order, tables.place(order, insertion)


def cpop(tables: ScheduleTables, insertion: bool) -> Plan:
    """Upward + downward rank; tasks of the critical path all on the node that is fastest for the whole path
    (Topcuoglu, Hariri, Wu 2002, fig. 3)."""
    up, down = upward(tables), downward(tables)
    priority = up + down
    order = by_rank(tables, -priority)
    path = critical_path(tables, priority)
    pinned = tables.graph.tasks.pinned.copy()
    if (pinned[path] < 0).all():
        pinned[path] = int(np.argmin(tables.exec[path].sum(axis=0)))
    return order, tables.place(order, insertion, pinned=pinned)


def peft(tables: ScheduleTables, insertion: bool) -> Plan:
    """Rank by the mean of the optimistic cost table, then the node of least finish + its entry (Arabnejad and Barbosa
    2014)."""
    table = np.zeros_like(tables.exec)
    ptr, pred, _ = tables.by_dest
    loops.optimistic(tables.graph.order, tables.exec, ptr, pred, tables.transfer, table)
    order = by_rank(tables, -table.mean(axis=1))
    return order, tables.place(order, insertion, bias=table)


def min_min(tables: ScheduleTables, insertion: bool) -> Plan:
    """Of the ready tasks the one that can finish first goes first (Ibarra and Kim 1977)."""
    return _batch_mode(0, tables, insertion)


def max_min(tables: ScheduleTables, insertion: bool) -> Plan:
    """Of the ready tasks the one whose best finish is latest goes first (Maheswaran et al. 1999)."""
    return _batch_mode(1, tables, insertion)


def sufferage(tables: ScheduleTables, insertion: bool) -> Plan:
    """Of the ready tasks the one that would lose most on its second-best node goes first (Maheswaran et al. 1999)."""
    return _batch_mode(2, tables, insertion)


def edf(tables: ScheduleTables, insertion: bool) -> Plan:
    """Earliest deadline first, each task to the node of earliest finish; EDD on one machine (Jackson 1955)."""
    order = by_rank(tables, tables.graph.tasks.deadline)
    return order, tables.place(order, insertion)


def wspt(tables: ScheduleTables, insertion: bool) -> Plan:
    """Shortest weighted processing time first (Smith 1956), each task to the node of earliest finish."""
    order = by_rank(tables, tables.exec.mean(axis=1) / np.maximum(tables.graph.tasks.weight, 1e-12))
    return order, tables.place(order, insertion)


def arrival(tables: ScheduleTables, insertion: bool) -> Plan:
    """First come first served, each task to the node of earliest finish (minimum completion time)."""
    order = by_rank(tables, tables.graph.tasks.release)
    return order, tables.place(order, insertion)


def round_robin(tables: ScheduleTables, insertion: bool) -> Plan:
    """In order of arrival, one node after the other."""
    order = by_rank(tables, tables.graph.tasks.release)
    node = np.empty(len(order), np.int32)
    node[order] = np.arange(len(order)) % len(tables.nodes)
    pinned = tables.graph.tasks.pinned
    return order, np.where(pinned >= 0, pinned, node).astype(np.int32)


SCHEDULERS: Mapping[str, Callable[[ScheduleTables, bool], Plan]] = {
    "heft": heft,
    "cpop": cpop,
    "peft": peft,
    "min_min": min_min,
    "max_min": max_min,
    "sufferage": sufferage,
    "edf": edf,
    "wspt": wspt,
    "arrival": arrival,
    "round_robin": round_robin,
}


def _batch_mode(rule: int, tables: ScheduleTables, insertion: bool) -> Plan:
    n = len(tables.graph.tasks)
    node, order = np.zeros(n, np.int32), np.zeros(n, np.int32)
    loops.batch_mode(
        rule, insertion, tables.graph.tasks.pinned, tables.exec, tables.ready, *tables.by_dest, *tables.by_source,
        tables.latency, tables.inverse, tables.cores, node, order, np.zeros(n), np.zeros(n),
    )  # fmt: skip
    return order, node


def upward(tables: ScheduleTables) -> Floats:
    """(n,) HEFT's upward rank in s."""
    ptr, pred, _ = tables.by_dest
    out = np.empty(len(tables.graph.tasks))
    loops.rank_up(tables.graph.order, tables.exec.mean(axis=1), ptr, pred, tables.transfer, out)
    return out


def downward(tables: ScheduleTables) -> Floats:
    """(n,) CPOP's downward rank in s."""
    ptr, pred, _ = tables.by_dest
    out = np.empty(len(tables.graph.tasks))
    loops.rank_down(tables.graph.order, tables.exec.mean(axis=1), ptr, pred, tables.transfer, out)
    return out


def by_rank(tables: ScheduleTables, rank: Floats) -> Ints:
    """(n,) the ready task of least ``rank`` first (lowest number among equals)."""
    return np.asarray(tables.canonical(np.argsort(rank, kind="stable").astype(np.int32)[None])[0], np.int32)


def critical_path(tables: ScheduleTables, priority: Floats) -> list[int]:
    """From the entry of highest priority, always on to a successor of that priority."""
    ptr, succ = tables.by_source
    entries = np.flatnonzero(np.diff(tables.by_dest[0]) == 0)
    task = int(entries[np.argmax(priority[entries])])
    path = [task]
    while ptr[task] < ptr[task + 1]:
        later = succ[ptr[task] : ptr[task + 1]]
        task = int(later[np.argmax(priority[later])])
        path.append(task)
    return path

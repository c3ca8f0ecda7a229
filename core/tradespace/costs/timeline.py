"""One task table, two compiled loops: `ordered` where each resource's order is known, `events` where time decides.

`ordered` is a longest path with lags. `events` adds queues with priorities, a second resource held as a lock, gates,
batches that drain a queue, one bandwidth that running tasks share, outages and where to go when one is found out. With
the tasks of each resource chained by edges both give equal times. No loop draws random numbers: durations, attempts and
outages arrive as arrays. The plain twin is `timeline_twin`. docs/timeline.md writes three published systems as such
tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradespace.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

NOBODY = -1
"""No resource (a pure delay), no lock, no gate, no alternative."""
NEVER = -2
"""The resource of a task that is given up as soon as it asks: a report of something that failed."""
ALL = -1


@dataclass(frozen=True, slots=True)
class Resource:
    """What tasks queue for.

    Args:
        servers: tasks that run at once.
        batch: drains its whole queue into one run, as long as the longest of its tasks; ``servers`` is then 1.
        gate: name of a resource; nothing starts here while anything runs there.
        window: s that a batch waits, busy, from the first of its tasks on, before it draws the queue.
    """

    name: str
    servers: int = 1
    batch: bool = False
    gate: str | None = None
    window: float = 0.0


@dataclass(frozen=True, eq=False)
class TaskTable:
    """T tasks, E edges, R resources. Times are seconds.

    Args:
        tasks: T, their number.
        edges: (E, 2) source and destination; a destination may start ``lag`` (E,) s after its source finished.
        resources: what tasks run on.
        release: (T,) s before which a task does not start.
        lock: (T,) index of a second resource that a task holds while it runs, or -1. Both or neither are taken; a task
            whose lock is busy is passed over.
        demand: (T,) share of ``channel`` that a running task asks for; 0: it needs none. Where the sum of demands
            exceeds the channel all of them slow down alike, to channel / sum.
        outages: (K, 3) resource (-1: none), start, end (inf: never). What runs there at the start is lost and asks
            again ``retry`` s after the end; nothing starts there between the two.
        patience: s from the start of an outage until it is found out, if it lasts longer. What it lost, what queues
            there and what asks until it ends then moves to its alternative, if `events` gives one; without one it
            waits for the end, and is given up if there is none.
        need: (T,) predecessors that suffice, or -1: all.
        strict: (E,) whether a source that was given up cannot serve its destination, which is given up in turn as soon
            as fewer than it needs can.

    Raises:
        InputError: a cycle, an index that does not exist, negative or infinite times.
    """

    tasks: int
    edges: ArrayLike = ()
    resources: tuple[Resource, ...] = ()
    lag: ArrayLike = 0.0
    release: ArrayLike = 0.0
    lock: ArrayLike = NOBODY
    demand: ArrayLike = 0.0
    channel: float = 1.0
    outages: ArrayLike = field(default=())
    retry: float = 0.0
    patience: float = np.inf
    need: ArrayLike = ALL
    strict: ArrayLike = False

    def __post_init__(self) -> None:
        put = object.__setattr__
        edges = np.asarray(self.edges, np.int32).reshape(-1, 2)
        put(self, "edges", edges)
        put(self, "lag", _spread(self.lag, len(edges), "lag"))
        put(self, "release", _spread(self.release, self.tasks, "release"))
        put(self, "demand", _spread(self.demand, self.tasks, "demand"))
        put(self, "lock", np.broadcast_to(np.asarray(self.lock, np.int32), (self.tasks,)).copy())
        put(self, "outages", np.asarray(self.outages, np.float64).reshape(-1, 3))
        put(self, "need", np.broadcast_to(np.asarray(self.need, np.int32), (self.tasks,)).copy())
        put(self, "strict", np.broadcast_to(np.asarray(self.strict, bool), (len(edges),)).copy())
        self._check(edges)

    def _check(self, edges: Ints) -> None:
        count = len(self.resources)
        if len(edges) and not (edges.min() >= 0 and edges.max() < self.tasks):
            raise InputError(f"an edge joins two of the {self.tasks} tasks", where="edges")
        if len(self.locks) and not (self.locks.min() >= NOBODY and self.locks.max() < count):
            raise InputError(f"a lock is one of the {count} resources, or -1", where="lock")
        names = [r.name for r in self.resources]
        for resource in self.resources:
            if resource.servers < 1 or (resource.batch and resource.servers != 1):
                raise InputError("a resource has one server or more, a batch exactly one", value=resource)
            if resource.gate is not None and resource.gate not in names:
                raise InputError("a gate is another resource", value=resource.gate, where=resource.name)
            if not (np.isfinite(resource.window) and resource.window >= 0) or (resource.window and not resource.batch):
                raise InputError("a window is not negative, and a batch's", value=resource.window, where=resource.name)
        if self.locked_batches:
            raise InputError("a batch runs many tasks at once and cannot be a lock", where="lock")
        if not (np.isfinite(self.channel) and self.channel > 0 and np.isfinite(self.retry) and self.retry >= 0):
            raise InputError("channel is positive and retry not negative", value=(self.channel, self.retry))
        if not self.patience >= 0:
            raise InputError("patience is not negative", value=self.patience)
        _check_outages(np.asarray(self.outages), count)
        waits, need = np.diff(self.predecessors[0]), np.asarray(self.need)
        if ((need < ALL) | (need > waits) | ((need == 0) & (waits > 0))).any():
            raise InputError("a task needs one of its predecessors or more, up to all (-1)", where="need")
        _ = self.order, self.depth

    @property
    def locks(self) -> Ints:
        return np.asarray(self.lock, np.int32)

    @cached_property
    def needs(self) -> Ints:
        """(T,) predecessors that suffice."""
        need = np.asarray(self.need, np.int32)
        return np.where(need == ALL, np.diff(self.predecessors[0]), need).astype(np.int32)

    @cached_property
    def strict_by_source(self) -> NDArray[np.bool_]:
        """(E,) `strict` in the order of `successors`."""
        by = np.argsort(np.asarray(self.edges, np.int32)[:, 0], kind="stable")
        return np.asarray(np.asarray(self.strict, bool)[by])

    @property
    def locked_batches(self) -> bool:
        return any(self.resources[i].batch for i in np.unique(self.locks[self.locks >= 0]).tolist())

    @cached_property
    def gates(self) -> Ints:
        """(R,) index of the gate, or -1."""
        at = {r.name: i for i, r in enumerate(self.resources)}
        return np.array([NOBODY if r.gate is None else at[r.gate] for r in self.resources], np.int32)

    @cached_property
    def depth(self) -> Ints:
        """(R,) gates above a resource: at one instant those with none start first. Raises `InputError` on a cycle."""
        out = np.zeros(len(self.resources), np.int32)
        for start in range(len(out)):
            at = start
            while self.gates[at] >= 0:
                at, out[start] = int(self.gates[at]), out[start] + 1
                if out[start] > len(out):
                    raise InputError("gates do not form a circle", value=self.resources[start].name)
        return out

    @cached_property
    def predecessors(self) -> tuple[Ints, Ints, Floats]:
        """(T + 1,) pointers, (E,) sources and (E,) lags by destination."""
        return self._rows(1)

    @cached_property
    def successors(self) -> tuple[Ints, Ints, Floats]:
        """(T + 1,) pointers, (E,) destinations and (E,) lags by source."""
        return self._rows(0)

    def _rows(self, key: int) -> tuple[Ints, Ints, Floats]:
        edges = np.asarray(self.edges, np.int32)
        by = np.argsort(edges[:, key], kind="stable")
        pointers = np.searchsorted(edges[by, key], np.arange(self.tasks + 1)).astype(np.int32)
        return pointers, np.ascontiguousarray(edges[by, 1 - key]), np.asarray(self.lag, np.float64)[by]

    @cached_property
    def order(self) -> Ints:
        """(T,) every task after its predecessors. Raises `InputError` on a cycle."""
        pointers, succ, _ = self.successors
        waiting = np.diff(self.predecessors[0]).tolist()
        ready = [t for t in range(self.tasks) if not waiting[t]]
        for task in ready:  # grows while it is read
            for other in succ[pointers[task] : pointers[task + 1]].tolist():
                waiting[other] -= 1
                if not waiting[other]:
                    ready.append(other)
        if len(ready) < self.tasks:
            stuck = next(t for t in range(self.tasks) if waiting[t])
            raise InputError("tasks wait for each other in a circle", value=f"task {stuck}", where="edges")
        return np.array(ready, np.int32)

    def chained(self, queues: Sequence[Sequence[int]]) -> TaskTable:
        """The same tasks with edges that keep each of ``queues`` in the order given (one resource a queue)."""
        chains = [np.column_stack([q[:-1], q[1:]]) for q in map(np.asarray, queues) if len(q) > 1]
        edges = np.concatenate([np.asarray(self.edges, np.int32), *chains]) if chains else self.edges
        more = sum(len(c) for c in chains)
        lag = np.concatenate([np.asarray(self.lag, np.float64), np.zeros(more)])
        strict = np.concatenate([np.asarray(self.strict, bool), np.zeros(more, bool)])
        if (np.asarray(self.need) != ALL).any():
            raise InputError("tasks in a chain wait for all their predecessors", where="need")
        return TaskTable(self.tasks, edges, self.resources, lag, self.release, self.lock, self.demand, self.channel,
                         self.outages, self.retry, self.patience, ALL, strict)  # fmt: skip


def ordered(table: TaskTable, duration: ArrayLike) -> Floats:
    """Finish times (T, N) for ``duration`` (T, N) or (T,): a task starts when its predecessors' lags have passed.

    Resources are not looked at: chain the tasks of each (`TaskTable.chained`).
    """
    from tradespace.costs.timeline_loops import longest

    work = _times(np.asarray(duration, np.float64), "duration")
    single = work.ndim == 1
    work = np.ascontiguousarray(work.reshape(table.tasks, -1))
    out = np.empty_like(work)
    longest(table.order, *table.predecessors, np.asarray(table.release), work, out)
    return out[:, 0] if single else out


@dataclass(frozen=True, eq=False)
class Limits:
    """What may differ between designs of one table: ``servers`` (N, R), those of batches ignored, ``window`` (N, R) s
    and ``patience`` (N,) s."""

    servers: ArrayLike
    window: ArrayLike
    patience: ArrayLike

    @classmethod
    def of(cls, table: TaskTable) -> Limits:
        """The table's own, for any number of designs."""
        servers = [[r.servers for r in table.resources]]
        return cls(servers, [[r.window for r in table.resources]], [table.patience])

    def arrays(self, table: TaskTable, designs: int) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Servers (0: a batch), window and patience as the loop reads them. Raises `InputError` where they make no
        sense."""
        count = len(table.resources)
        servers = np.array(self.servers, np.int64).reshape(-1, count)
        window = np.array(self.window, np.float64).reshape(-1, count)
        patience = np.array(self.patience, np.float64).reshape(-1)
        if {len(servers), len(window), len(patience)} not in ({1}, {designs}):
            raise InputError(f"limits of {designs} designs are (N, R)", value=servers.shape, where="limits")
        batches = np.array([r.batch for r in table.resources], bool)
        if (servers < 1).any() or not (patience >= 0).all():
            raise InputError("a resource has one server or more, and patience is not negative", where="limits")
        if not (np.isfinite(window) & (window >= 0)).all() or window[:, ~batches].any():
            raise InputError("a window is not negative, and a batch's", where="limits")
        servers[:, batches] = 0
        return servers, window, patience


MOVED, GIVEN_UP = 1, 2
"""Fates of tasks that did not run where they were meant to."""


@dataclass(frozen=True)
class Times:
    """``start`` and ``asked`` (of the last attempt) and ``finish`` (N, T) s, ``events`` (N,) handled, ``fate`` (N, T):
    0, `MOVED` to the alternative, or `GIVEN_UP`."""

    start: Floats
    finish: Floats
    asked: Floats
    fate: NDArray[np.int8]
    events: NDArray[np.int64]


def events(
    table: TaskTable,
    work: ArrayLike,
    resource: ArrayLike,
    priority: ArrayLike = 0.0,
    *,
    outages: ArrayLike | None = None,
    alternative: tuple[ArrayLike, ArrayLike] | None = None,
    limits: Limits | None = None,
) -> Times:
    """Run N designs of one table.

    Args:
        work: (N, T) or (T,) s that a task takes alone.
        resource: (N, T) or (T,) index of the resource, -1: a pure delay, `NEVER`: given up when it asks.
        priority: (N, T) or (T,), the lowest first; among equals who asked first.
        outages: (N, K, 3) instead of the table's, resource -1 where a design has fewer.
        alternative: resource (-1: none) and s of work there, (N, T) or (T,) each.
        limits: servers, windows and patience of each design instead of the table's.

    Ties: all events of one instant are handled, in the order in which they were scheduled, before anything starts;
    then resources start tasks, gates before what they close, then by index.
    """
    from tradespace.costs.timeline_loops import run
    from tradespace.costs.timeline_state import state_of

    w = _times(np.atleast_2d(np.asarray(work, np.float64)), "work")
    r, p = np.atleast_2d(np.asarray(resource, np.int32)), np.atleast_2d(np.asarray(priority, np.float64))
    down = np.asarray(table.outages if outages is None else outages, np.float64)
    down = np.ascontiguousarray(down if down.ndim == 3 else down[None])
    other, other_work = (np.zeros((1, 0), np.int32), np.zeros((1, 0)))
    if alternative is not None:
        other = np.ascontiguousarray(np.atleast_2d(np.asarray(alternative[0], np.int32)))
        other_work = _times(np.ascontiguousarray(np.atleast_2d(np.asarray(alternative[1], np.float64))), "alternative")
        _check_designs(table, other, p)
    limits = limits or Limits.of(table)
    designs = max(len(w), len(r), len(p), len(down), len(other), len(np.atleast_2d(limits.servers)))
    if {len(w), len(r), len(p), len(other)} - {1, designs}:
        raise InputError("work, resource and priority are (N, T) or (T,)", value=(len(w), len(r), len(p), designs))
    shape = (designs, table.tasks)
    w, r, p = (np.ascontiguousarray(np.broadcast_to(a, shape)) for a in (w, r, p))
    if alternative is not None:
        other, other_work = (np.ascontiguousarray(np.broadcast_to(a, shape)) for a in (other, other_work))
    _check_designs(table, r, p)
    if len(down) not in (1, designs) or down.shape[2:] != (3,):
        raise InputError(f"outages of {designs} designs are (N, K, 3)", value=down.shape, where="outages")
    _check_outages(down.reshape(-1, 3), len(table.resources))
    out = Times(
        np.zeros(shape), np.zeros(shape), np.zeros(shape), np.empty(shape, np.int8), np.zeros(designs, np.int64)
    )
    s = state_of(table, down.shape[1])
    bounds = limits.arrays(table, designs)
    run(
        s.world, s.task, s.edge, s.resource, s.heap, down, *bounds, s.aside, s.roots, w, r, p, other, other_work,
        out.start, out.finish, out.asked, out.fate, out.events,
    )  # fmt: skip
    if (out.events < 0).any():
        raise InputError("every task gets what it waits for", value=f"design {int(np.argmin(out.events))}")
    return out


def _check_outages(down: Floats, count: int) -> None:
    good = (down[:, 0] < count) & (down[:, 0] >= NOBODY) & (down[:, 2] >= down[:, 1]) & (down[:, 1] >= 0)
    if not (good & (down[:, 0] % 1 == 0) & np.isfinite(down[:, 1])).all():
        raise InputError("an outage is (resource, start, end) with 0 <= start <= end", where="outages")


def _check_designs(table: TaskTable, resource: Ints, priority: Floats) -> None:
    if resource.size and not (resource.min() >= NEVER and resource.max() < len(table.resources)):
        raise InputError(f"a task runs on one of the {len(table.resources)} resources, or -1", where="resource")
    if np.isnan(priority).any():
        raise InputError("priorities are numbers", where="priority")
    if ((resource == table.locks) & (table.locks >= 0)).any():
        raise InputError("a lock is another resource than the one a task runs on", where="lock")
    batches = np.array([*(x.batch for x in table.resources), False])
    special = (table.locks >= 0) | (np.asarray(table.demand) > 0)
    if (batches[np.maximum(resource, NOBODY)] & special).any():
        raise InputError("tasks of a batch hold no lock and no share of the channel", where="resource")


def _spread(value: ArrayLike, n: int, where: str) -> Floats:
    return _times(np.broadcast_to(np.asarray(value, np.float64), (n,)).copy(), where)


def _times(value: Floats, where: str) -> Floats:
    if value.size and not (np.isfinite(value).all() and value.min() >= 0):
        raise InputError("times and demands are finite and not negative", value=value.min(), where=where)
    return value

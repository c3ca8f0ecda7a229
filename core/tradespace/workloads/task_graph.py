"""Tasks with precedences, data, release times and deadlines: workflows, IoT streams, job shops, jobs on one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

MAX_TASKS = 20_000
MAX_EDGES = 400_000
MAX_VALUE = 1e18


@dataclass(frozen=True)
class Tasks:
    """Struct of arrays, one row a task (n,).

    Args:
        name: unique.
        work: operations (instructions) a core executes for it.
        release: s at which it arrives; it cannot start before.
        deadline: s by which it should be finished; inf where there is none.
        weight: what a second of tardiness costs (priority class, job weight).
        memory: B it needs on its node.
        input: B it brings from outside (a sensor, a storage), beside what its predecessors send.
        group: index into `TaskGraph.groups`: the priority class, or the job of a job shop.
        pinned: number of the only machine that can run it, -1 where any can.
    """

    name: tuple[str, ...]
    work: Floats
    release: Floats
    deadline: Floats
    weight: Floats
    memory: Floats
    input: Floats
    group: Ints
    pinned: Ints

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True)
class TaskEdges:
    """``dest`` waits for ``source`` and for ``size`` B that it sends, (E,) each."""

    source: Ints
    dest: Ints
    size: Floats

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True, eq=False)
class TaskGraph:
    """A workload of kind "task-graph". Build with `task_graph`, which checks it.

    Args:
        factor: machine name -> (n,) relative effort of each task on that machine (1 where a machine is not named):
            seconds there are work x factor / rate.
        machines: how many machines `Tasks.pinned` counts (0 where nothing is pinned).
    """

    name: str
    tasks: Tasks
    edges: TaskEdges
    groups: tuple[str, ...]
    sources: Mapping[str, str]
    factor: Mapping[str, Floats] = field(default_factory=dict)
    machines: int = 0
    facts: Mapping[str, float | str] = field(default_factory=dict)
    kind: ClassVar[str] = "task-graph"

    @cached_property
    def order(self) -> Ints:
        """One topological order: by level, then by number."""
        return np.lexsort((np.arange(len(self.tasks)), self.level)).astype(np.int32)

    @cached_property
    def level(self) -> Ints:
        """(n,) edges on the longest way to each task."""
        found = levels(len(self.tasks), self.edges)
        assert found is not None  # checked when it was built
        return found

    @property
    def timed(self) -> bool:
        """Whether any task arrives after time zero."""
        return bool((self.tasks.release > 0).any())


def task_graph(
    name: str,
    work: Any,
    *,
    edges: Sequence[tuple[int, int, float]] | TaskEdges = (),
    sources: Mapping[str, str],
    names: Sequence[str] | None = None,
    groups: Sequence[str] = ("task",),
    factor: Mapping[str, Any] | None = None,
    machines: int = 0,
    facts: Mapping[str, float | str] | None = None,
    **columns: Any,
) -> TaskGraph:
    """A checked task graph; ``columns`` are those of `Tasks`, (n,) or one number, by default 0 (deadline inf, weight 1,
    pinned -1).

    Raises:
        InputError: no tasks or too many, numbers that are negative or not finite, edges that leave the graph, repeat
            or form a circle.
    """
    where = f"workload {name}"
    load = np.atleast_1d(np.asarray(work, np.float64))
    n = len(load)
    if not 1 <= n <= MAX_TASKS or load.ndim != 1:
        raise InputError(f"a task graph has 1 to {MAX_TASKS} tasks", value=n, where=where)
    default: Mapping[str, float] = {"deadline": np.inf, "weight": 1.0, "pinned": -1}
    filled = {f.name: columns.pop(f.name, default.get(f.name, 0.0)) for f in fields(Tasks)[2:]}
    assert not columns, columns
    tasks = Tasks(
        tuple(names) if names is not None else tuple(f"t{i}" for i in range(n)),
        load,
        **{key: _column(value, n, key, where) for key, value in filled.items()},
    )
    graph = TaskGraph(
        name,
        tasks,
        edges if isinstance(edges, TaskEdges) else _edges(edges, where),
        tuple(groups),
        dict(sources),
        {key: _column(value, n, f"factor.{key}", where) for key, value in (factor or {}).items()},
        machines,
        dict(facts or {}),
    )
    _check(graph, where)
    return graph


def levels(n: int, edges: TaskEdges) -> Ints | None:
    """(n,) longest way to each task in edges; None if the edges form a circle. Kahn's algorithm, level by level."""
    waiting = np.bincount(edges.dest, minlength=n)
    order = np.argsort(edges.source, kind="stable")
    start = np.searchsorted(edges.source[order], np.arange(n + 1))
    level, front, depth, seen = np.zeros(n, np.int32), np.flatnonzero(waiting == 0), 0, 0
    while len(front):
        level[front] = depth
        seen += len(front)
        rows = [order[start[i] : start[i + 1]] for i in front.tolist()]
        dest = edges.dest[np.concatenate(rows)] if rows else np.empty(0, np.int32)
        np.subtract.at(waiting, dest, 1)
        front = np.unique(dest[waiting[dest] == 0])
        depth += 1
    return level if seen == n else None


def _column(value: Any, n: int, key: str, where: str) -> NDArray[Any]:
    dtype = np.int32 if key in ("group", "pinned") else np.float64
    try:
        array = np.asarray(value, dtype)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"'{key}' holds numbers", value=repr(value)[:80], where=where) from None
    if array.ndim > 1 or (array.ndim == 1 and len(array) != n):
        raise InputError(f"'{key}' has one number for each of the {n} tasks", value=array.shape, where=where)
    return np.array(np.broadcast_to(array, (n,)))


def _edges(rows: Sequence[tuple[int, int, float]], where: str) -> TaskEdges:
    if len(rows) > MAX_EDGES:
        raise InputError(f"a task graph has at most {MAX_EDGES} edges", value=len(rows), where=where)
    try:
        table = np.array([(float(a), float(b), float(size)) for a, b, size in rows], np.float64).reshape(-1, 3)
    except (TypeError, ValueError):
        raise InputError("an edge is [source, destination, bytes]", where=where) from None
    if not np.isfinite(table).all() or (np.abs(table[:, :2]) > MAX_TASKS).any() or (table[:, :2] % 1 != 0).any():
        raise InputError("an edge joins tasks by their numbers", where=where)
    return TaskEdges(table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2].copy())


def _check(graph: TaskGraph, where: str) -> None:
    tasks, edges, n = graph.tasks, graph.edges, len(graph.tasks)
    if len(tasks.name) != n or len(set(tasks.name)) != n or n != len(tasks.work):
        raise InputError("tasks have different names", where=where)
    columns = {f.name: getattr(tasks, f.name) for f in fields(Tasks)[1:7]} | {"edge bytes": edges.size}
    columns |= {f"factor.{key}": column for key, column in graph.factor.items()}
    for key, column in columns.items():
        good = (column >= 0) & (column <= MAX_VALUE)
        good |= (column == np.inf) if key == "deadline" else False
        good &= (column > 0) if key.startswith("factor") else True
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise InputError(
                f"'{key}' is a number from 0 to {MAX_VALUE:g}", value=f"{column[row]} at {row}", where=where
            )
    if (tasks.group < 0).any() or (tasks.group >= len(graph.groups)).any():
        raise InputError("each task belongs to one of the groups", value=int(tasks.group.max()), where=where)
    if (tasks.pinned < -1).any() or (tasks.pinned >= max(graph.machines, 0)).any():
        raise InputError(f"a pinned task names one of {graph.machines} machines", where=where)
    if len(edges) > MAX_EDGES:
        raise InputError(f"a task graph has at most {MAX_EDGES} edges", value=len(edges), where=where)
    if len(edges):
        ends = np.stack([edges.source, edges.dest], axis=1)
        if ends.min() < 0 or ends.max() >= n or (edges.source == edges.dest).any():
            raise InputError("an edge joins two different tasks of the graph", where=where)
        if len(np.unique(ends, axis=0)) != len(ends):
            raise InputError("two tasks are joined once", where=where)
    if levels(n, edges) is None:
        raise InputError("tasks do not wait for each other in a circle", where=where)

"""Sessions of agents over packed graphs: the native event loop, and its reference, a heap simulator in plain Python.

It is the part of `ufo3_sessions` that a Monte-Carlo run over durations needs: hosts with slots, stars at once,
priorities, the planner's batched edits and their lock. Faults, retries and replicas are the timeline engine's.
"""

from __future__ import annotations

import ctypes
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError
from tradespace.kernels.build import load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

MOST = 1024
"""Stars of one graph."""
KEYS = (
    "first",
    "next",
    "successor",
    "waits",
    "host",
    "work",
    "edit",
    "priority",
    "creation",
    "slots",
    "rules",
)
Graph = tuple[int, Sequence[Sequence[int]]]
"""Stars, and lines (source, destination)."""
STAR, CALL, CREATED = range(3)


class _Agents(ctypes.Structure):
    _fields_ = (
        *((key, ctypes.c_void_p) for key in (*KEYS, "out")),
        *((key, ctypes.c_int64) for key in ("graphs", "stars", "hosts")),
    )


def pack(
    graphs: Sequence[Graph],
    work: Any,
    edit: Any,
    host: Any,
    slots: Any,
    *,
    creation: Any = 0.0,
    priority: Any = 0.0,
    crew: int = 6,
    edits: bool = True,
    batching: bool = True,
    lock: bool = True,
) -> dict[str, NDArray[Any]]:
    """Arrays of many graphs: (stars, lines) each; ``work``, ``edit``, ``priority`` s and ``host`` of all stars.

    Raises:
        InputError: too many stars, a circle, a host that does not exist, times that are negative or not finite.
    """
    first = np.concatenate([[0], np.cumsum([n for n, _ in graphs])]).astype(np.int64)
    stars = int(first[-1])
    lines = np.array(
        [(first[k] + a, first[k] + b, b) for k, (_, rows) in enumerate(graphs) for a, b in rows], np.int64
    ).reshape(-1, 3)
    lines = lines[np.argsort(lines[:, 0], kind="stable")]
    found = {
        "first": first,
        "next": np.searchsorted(lines[:, 0], np.arange(stars + 1)).astype(np.int64),
        "successor": np.ascontiguousarray(lines[:, 2]),
        "waits": np.bincount(lines[:, 1], minlength=stars).astype(np.int64),
        "host": _column(host, stars, np.int64),
        "work": _column(work, stars, np.float64),
        "edit": _column(edit, stars, np.float64),
        "priority": _column(priority, stars, np.float64),
        "creation": _column(creation, len(graphs), np.float64),
        "slots": np.atleast_1d(np.array(slots, np.int64)),
        "rules": np.array([crew, edits, batching, lock], np.int64),
        "out": zeros((4, stars), np.float64),
    }
    _check(found, lines, graphs)
    return found


def _column(value: Any, n: int, dtype: Any) -> NDArray[Any]:
    return np.broadcast_to(np.asarray(value, dtype), (n,)).copy()


def _check(found: Arrays, lines: NDArray[np.int64], graphs: Sequence[Graph]) -> None:
    if not all(0 < n <= MOST for n, _ in graphs):
        raise InputError(f"a graph has 1 to {MOST} stars", value=[n for n, _ in graphs][:8])
    sizes = np.repeat([n for n, _ in graphs], [len(rows) for _, rows in graphs])
    flat = np.array([pair for _, rows in graphs for pair in rows], np.int64).reshape(-1, 2)
    if len(flat) and not ((flat[:, 0] >= 0) & (flat[:, 0] < flat[:, 1]) & (flat[:, 1] < sizes)).all():
        raise InputError("lines lead forwards between stars of their graph")
    if not ((found["host"] >= 0) & (found["host"] < len(found["slots"]))).all():
        raise InputError("a star runs on one of the hosts", value=int(found["host"].max(initial=0)))
    if found["slots"].min() < 1 or found["rules"][0] < 1:
        raise InputError("hosts have slots, and one star or more may run at once")
    times = np.concatenate([found[key] for key in ("work", "edit", "creation")])
    if not (np.isfinite(times) & (times >= 0)).all() or np.isnan(found["priority"]).any():
        raise InputError("times are finite and not negative, priorities numbers")


def sessions_task(inputs: Arrays, isa: str = "native") -> Task:
    """Writes ``inputs["out"]``. Graphs are dealt to threads."""
    arrays = tuple(inputs[key] for key in (*KEYS, "out"))
    graphs, stars = len(inputs["first"]) - 1, inputs["out"].shape[1]
    args = _Agents(*(a.ctypes.data for a in arrays), graphs, stars, len(inputs["slots"]))
    return Task(task_function(load_shipped("agents", isa), "run_sessions"), args, graphs, 1, arrays, "agent sessions")


def reference_sessions(inputs: Arrays) -> NDArray[np.float64]:
    """(4, stars) start and finish of stars and of their edits, by heaps of plain Python."""
    out = np.zeros_like(inputs["out"])
    for graph in range(len(inputs["first"]) - 1):
        low, high = int(inputs["first"][graph]), int(inputs["first"][graph + 1])
        out[:, low:high] = np.array(_session(inputs, graph, low, high)).T
    return out


def _session(inputs: Arrays, graph: int, low: int, high: int) -> list[list[float]]:
    """One graph; rows of start, finish, start and finish of the edit."""
    crew, edits, batching, lock = (int(x) for x in inputs["rules"])
    n = high - low
    rows = {key: inputs[key][low:high].tolist() for key in ("waits", "host", "work", "edit", "priority")}
    next_, successor = inputs["next"][low : high + 1].tolist(), inputs["successor"].tolist()
    left, free = list(rows["waits"]), inputs["slots"].tolist()
    out = [[0.0] * 4 for _ in range(n)]
    calendar: list[tuple[float, int, int, int]] = [(float(inputs["creation"][graph]), 0, CREATED, 0)]
    ready: list[tuple[int, float, int, int]] = []
    asked: list[int] = []
    call: list[int] = []
    stamp, running, pending = 1, 0, n * (2 if edits else 1)
    while pending:
        now = calendar[0][0]
        while calendar and calendar[0][0] <= now:
            _, _, kind, star = heapq.heappop(calendar)
            asks: list[int] = []
            if kind == CREATED:
                asks = [i for i in range(n) if not rows["waits"][i]]
            elif kind == CALL:
                pending, call = pending - len(call), []
            else:
                running, pending, free[rows["host"][star]] = running - 1, pending - 1, free[rows["host"][star]] + 1
                out[star][1] = out[star][2] = out[star][3] = now
                for other in successor[next_[star] : next_[star + 1]]:
                    left[other] -= 1
                    if not left[other]:
                        asks.append(other)
                if edits:
                    asked.append(star)
            for other in asks:
                ready.append((rows["host"][other], rows["priority"][other], stamp := stamp + 1, other))
        if asked and not call:
            call, asked = (asked, []) if batching else (asked[:1], asked[1:])
            end = now + max(rows["edit"][star] for star in call)
            for star in call:
                out[star][2:] = [now, end]
            heapq.heappush(calendar, (end, stamp := stamp + 1, CALL, 0))
        if lock and call:
            continue
        for entry in sorted(ready):
            host, star = entry[0], entry[3]
            if running < crew and free[host]:
                ready.remove(entry)
                running, free[host] = running + 1, free[host] - 1
                out[star][0] = now
                heapq.heappush(calendar, (now + rows["work"][star], stamp := stamp + 1, STAR, star))
    return out


@dataclass(frozen=True)
class AgentSessions:
    """Event-driven sessions of many graphs of stars under a planner that edits them."""

    name: ClassVar[str] = "agent-sessions"
    tolerance: ClassVar[float] = 1e-300  # equal bits
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return self.shaped(max(1, size // 300), 12, rng)

    def shaped(
        self, graphs: int, stars: int, rng: np.random.Generator, *, ties: bool = False, hosts: int = 5, **rules: Any
    ) -> Arrays:
        """Random graphs of up to ``stars`` stars. ``ties``: times are small whole numbers."""
        sizes = rng.integers(max(1, stars // 2), stars + 1, graphs).tolist()
        shape = [(n, np.argwhere(np.triu(rng.random((n, n)) < 1.5 / n, 1)).tolist()) for n in sizes]
        total = sum(sizes)
        work = rng.integers(0, 5, total) if ties else 90.0 * np.exp(0.5 * rng.standard_normal(total))
        edit = rng.integers(0, 3, total) if ties else 20.0 * np.exp(0.2 * rng.standard_normal(total))
        found = pack(
            shape, work, edit, rng.integers(0, hosts, total), rng.integers(1, 3, hosts),
            creation=rng.integers(0, 3, graphs), priority=rng.integers(0, 4, total),
            **rules,
        )  # fmt: skip
        return {key: aligned(array) for key, array in found.items()}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """Ties, one star, many stars, each rule off, one star at once."""
        for name, rules in (("all rules", {}), ("no lock", {"lock": False}), ("one by one", {"batching": False}),
                            ("no edits", {"edits": False}), ("one at once", {"crew": 1})):  # fmt: skip
            yield f"ties, {name}", self.shaped(60, 14, rng, ties=True, **rules)
        yield "one star each", self.shaped(50, 1, rng)
        yield "large graphs", self.shaped(3, 300, rng, hosts=9)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return reference_sessions(inputs)

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [sessions_task(inputs, self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["out"]

    def work(self, inputs: Arrays) -> Work:
        """About 60 sums and comparisons a star (two events through a heap of some eight); inputs are read once."""
        stars = inputs["out"].shape[1]
        return Work(60.0 * stars, float(sum(array.nbytes for array in inputs.values())))

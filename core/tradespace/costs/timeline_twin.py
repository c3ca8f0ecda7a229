"""`timeline.events` and `timeline.ordered` in plain Python: the rules in words that can be read, for tests.

Written from the rules and not from the loop: sorted lists instead of heaps, sets instead of counters, remaining work
instead of virtual time. Where tasks share the channel times agree to rounding, elsewhere exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tradespace.costs.timeline import NEVER, TaskTable


def ordered_twin(table: TaskTable, duration: Sequence[float]) -> list[float]:
    """Finish times of one design, by recursion over the edges in topological order."""
    finish = [0.0] * table.tasks
    edges = list(zip(np.asarray(table.edges).tolist(), np.asarray(table.lag).tolist(), strict=True))
    for task in table.order.tolist():
        starts = [finish[a] + lag for (a, b), lag in edges if b == task]
        finish[task] = max([float(np.asarray(table.release)[task]), *starts]) + duration[task]
    return finish


NOTHING = -1
"""Stands for the tasks of an empty batch."""


@dataclass
class _Run:
    """A running task: its end (alone), or what is left of its work where it shares the channel."""

    task: int
    stamp: int
    end: float
    left: float


@dataclass
class _World:
    table: TaskTable
    work: list[float]
    resource: list[int]
    priority: Sequence[float]
    now: float = 0.0
    stamp: int = 0
    calendar: list[tuple[float, int, str, int]] = field(default_factory=list)
    queue: dict[int, list[tuple[float, int, int]]] = field(default_factory=dict)
    running: dict[int, list[_Run]] = field(default_factory=dict)  # by resource; -1: pure delays
    held: dict[int, int] = field(default_factory=dict)  # lock -> holders
    down: dict[int, int] = field(default_factory=dict)
    other: list[tuple[int, float]] = field(default_factory=list)  # alternative resource and work there
    found: dict[int, set[int]] = field(default_factory=dict)  # resource -> outages that go on and were found out
    lost: set[int] = field(default_factory=set)  # tasks that an outage ended and that have not asked again
    hopeless: dict[int, int] = field(default_factory=dict)  # task -> strict predecessors that were given up
    collecting: dict[int, float] = field(default_factory=dict)  # batch -> when it draws its queue
    asked: dict[int, float] = field(default_factory=dict)
    fate: dict[int, int] = field(default_factory=dict)
    start: dict[int, float] = field(default_factory=dict)
    finish: dict[int, float] = field(default_factory=dict)
    ready: dict[int, float] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)  # finished predecessors

    def tick(self) -> int:
        self.stamp += 1
        return self.stamp

    def used(self, r: int) -> int:
        return len(self.running.get(r, [])) + self.held.get(r, 0) + (r in self.collecting)

    def demand(self, task: int) -> float:
        return 0.0 if task == NOTHING else float(np.asarray(self.table.demand)[task])

    def rate(self) -> float:
        total = sum(self.demand(x.task) for r, xs in self.running.items() if r >= 0 for x in xs)
        return 1.0 if total <= self.table.channel else self.table.channel / total


@dataclass(frozen=True)
class Story:
    """What became of the tasks of one design."""

    start: list[float]
    finish: list[float]
    asked: list[float]
    fate: list[int]


def events_twin(
    table: TaskTable,
    work: Sequence[float],
    resource: Sequence[int],
    priority: Sequence[float],
    alternative: Sequence[tuple[int, float]] | None = None,
) -> Story:
    """Times and fates of one design. ``alternative``: of each task, resource (-1: none) and work there."""
    w = _World(table, list(work), list(resource), priority)
    w.other = list(alternative) if alternative is not None else [(-1, 0.0)] * table.tasks
    edges = np.asarray(table.edges).tolist()
    waiting = {t: {a for a, b in edges if b == t} for t in range(table.tasks)}
    roots = sorted((float(np.asarray(table.release)[t]), t) for t in range(table.tasks) if not waiting[t])
    for k, (r, begin, end) in enumerate(np.asarray(table.outages).tolist()):
        if r >= 0:
            w.calendar += [(begin, w.tick(), "down", k), (end, w.tick(), "up", k)]
            w.calendar += [(begin + table.patience, w.tick(), "found", k)] if begin + table.patience < end else []
    while len(w.finish) < table.tasks:
        w.now = _next(w, roots)
        while roots and roots[0][0] <= w.now:
            _ask(w, roots.pop(0)[1])
        while _one(w, edges):
            pass
        _start_all(w)
    n = range(table.tasks)
    return Story(
        [w.start[t] for t in n], [w.finish[t] for t in n], [w.asked[t] for t in n], [w.fate.get(t, 0) for t in n]
    )


def _next(w: _World, roots: list[tuple[float, int]]) -> float:
    """Pass to the next instant, working off what shares the channel on the way."""
    rate, shared = w.rate(), [x for r, xs in w.running.items() if r >= 0 for x in xs if w.demand(x.task) > 0]
    share = min((w.now + x.left / rate for x in shared), default=math.inf)
    alone = min((x.end for xs in w.running.values() for x in xs if x not in shared), default=math.inf)
    draws = min((at for at in w.collecting.values() if at > w.now), default=math.inf)
    then = min(share, alone, draws, min(w.calendar)[0] if w.calendar else math.inf, roots[0][0] if roots else math.inf)
    least = min((x.left for x in shared), default=0.0)
    for x in shared:
        x.left = max(0.0, x.left - (least if then == share else (then - w.now) * rate))
    return then


def _one(w: _World, edges: list[list[int]]) -> bool:
    """Handle the event of this instant that was scheduled first; False if there is none."""
    due: list[tuple[int, str, int]] = [(s, what, k) for t, s, what, k in w.calendar if t <= w.now]
    batches = {r for r, x in enumerate(w.table.resources) if x.batch}
    ends: list[tuple[int, str, int]] = []
    for r, xs in w.running.items():
        for x in xs:
            shares = r >= 0 and w.demand(x.task) > 0
            if not shares and x.end <= w.now:
                ends.append((x.stamp, "batch", r) if r in batches else (x.stamp, "end", x.task))
            elif shares and x.left <= 0:
                ends.append((x.stamp + 10**9, "end", x.task))
    pick = min([*due, *ends], default=None)
    if pick is None:
        return False
    _, what, k = pick
    if what in ("ask", "down", "up", "found"):
        w.calendar = [c for c in w.calendar if (c[1], c[2]) != (pick[0], what)]
    if what == "ask":
        _ask(w, k)
    elif what == "end":
        _leave(w, k)
        _done(w, k, edges)
    elif what == "batch":
        tasks = [x.task for x in w.running.pop(k) if x.task != NOTHING]
        for task in tasks:
            _done(w, task, edges)
    else:
        _outage(w, what, k)
    return True


def _outage(w: _World, what: str, k: int) -> None:
    r, _, end = np.asarray(w.table.outages)[k].tolist()
    r = int(r)
    if what == "up":
        w.down[r] -= 1
        w.found.get(r, set()).discard(k)
        return
    if what == "found":
        w.found.setdefault(r, set()).add(k)
        for task in sorted(t for t in w.lost if w.resource[t] == r):
            if w.other[task][0] >= 0 or _dead(w, r):
                w.calendar = [c for c in w.calendar if (c[2], c[3]) != ("ask", task)]
                _ask(w, task)
        for entry in sorted(w.queue.get(r, [])):
            if w.other[entry[2]][0] >= 0 or _dead(w, r):
                w.queue[r].remove(entry)
                _ask(w, entry[2])
        return
    w.down[r] = w.down.get(r, 0) + 1
    w.collecting.pop(r, None)
    for task in sorted(x.task for x in w.running.get(r, []) if x.task != NOTHING):
        _leave(w, task)
        w.lost.add(task)
        if end < math.inf:
            w.calendar.append((end + w.table.retry, w.tick(), "ask", task))


def _dead(w: _World, r: int) -> bool:
    return any(np.asarray(w.table.outages)[k, 2] == math.inf for k in w.found.get(r, ()))


def _leave(w: _World, task: int) -> None:
    r = w.resource[task]
    w.running[r] = [x for x in w.running[r] if x.task != task]
    if w.table.locks[task] >= 0 and r >= 0:
        w.held[int(w.table.locks[task])] -= 1


def _done(w: _World, task: int, edges: list[list[int]]) -> None:
    w.finish[task] = w.now
    rows = zip(edges, np.asarray(w.table.lag).tolist(), np.asarray(w.table.strict).tolist(), strict=True)
    for (a, b), lag, strict in rows:
        need, before = int(w.table.needs[b]), sum(1 for _, y in edges if y == b)
        if a != task or w.seen.get(b, 0) >= need or w.hopeless.get(b, 0) > before - need:
            continue
        if strict and w.fate.get(task) == 2:
            w.hopeless[b] = w.hopeless.get(b, 0) + 1
            if w.hopeless[b] > before - need:
                _give_up(w, b)
            continue
        w.ready[b] = max(w.ready.get(b, float(np.asarray(w.table.release)[b])), w.now + lag)
        w.seen[b] = w.seen.get(b, 0) + 1
        if w.seen[b] < need:
            continue
        if w.ready[b] <= w.now:
            _ask(w, b)
        else:
            w.calendar.append((w.ready[b], w.tick(), "ask", b))


def _give_up(w: _World, task: int) -> None:
    w.resource[task], w.fate[task], w.start[task], w.asked[task] = -1, 2, w.now, w.now
    w.running.setdefault(-1, []).append(_Run(task, w.tick(), w.now, 0.0))


def _ask(w: _World, task: int) -> None:
    w.lost.discard(task)
    w.asked[task] = w.now
    if w.found.get(w.resource[task]):
        if w.other[task][0] >= 0:
            w.resource[task], w.work[task] = w.other[task]
            w.other[task], w.fate[task] = (-1, 0.0), 1
        if _dead(w, w.resource[task]):
            _give_up(w, task)
            return
    r = w.resource[task]
    if r == NEVER:
        _give_up(w, task)
    elif r < 0:
        w.start[task] = w.now
        w.running.setdefault(r, []).append(_Run(task, w.tick(), w.now + w.work[task], 0.0))
    else:
        w.queue.setdefault(r, []).append((w.priority[task], w.tick(), task))


def _start_all(w: _World) -> None:
    at = {x.name: r for r, x in enumerate(w.table.resources)}
    for r in sorted(range(len(w.table.resources)), key=lambda r: (w.table.depth[r], r)):
        own = w.table.resources[r]
        if w.down.get(r, 0) or (own.gate and w.used(at[own.gate])):
            continue
        waiting = sorted(w.queue.get(r, []))
        if own.batch:
            if own.window > 0 and waiting and not w.used(r):
                w.collecting[r] = w.now + own.window
                continue
            if w.collecting.get(r, math.inf) <= w.now:
                del w.collecting[r]
                if not waiting:  # all have moved elsewhere: an empty run
                    w.running[r] = [_Run(NOTHING, w.tick(), w.now, 0.0)]
            if waiting and not w.used(r):
                end, stamp = w.now + max(w.work[t] for _, _, t in waiting), w.tick()
                w.running[r] = [_Run(t, stamp, end, 0.0) for _, _, t in waiting]
                w.start |= {t: w.now for _, _, t in waiting}
                w.queue[r] = []
            continue
        for entry in waiting:
            task, lock = entry[2], int(w.table.locks[entry[2]])
            if w.used(r) >= own.servers:
                break
            if lock >= 0 and (w.used(lock) >= w.table.resources[lock].servers or w.down.get(lock, 0)):
                continue
            w.queue[r].remove(entry)
            w.held[lock] = w.held.get(lock, 0) + 1
            w.start[task] = w.now
            w.running.setdefault(r, []).append(_Run(task, w.tick(), w.now + w.work[task], w.work[task]))

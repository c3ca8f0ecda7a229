"""Sessions of one request as a task table of the timeline engine: attempts, replicas, edits, faults.

The planner's first call is task 0. Every star has A attempts of R replicas; the attempts that a draw needs are the last
ones, so that what follows a star waits for one known task; attempts that are not needed pass in no time. A failed or
finished attempt is followed by an edit on the planner, which drains all that queues for it and closes the hosts while
it runs. A star of several replicas ends with the first that succeeds. Every fault of a host is followed by an edit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tradespace.costs.timeline import NEVER, Limits, Resource, TaskTable, Times, events
from tradespace_fleet.ufo3_config import Config
from tradespace_fleet.ufo3_host import Hosts
from tradespace_fleet.ufo3_workload import AgentDag, Floats, Request

Ints = NDArray[np.int64]
PLANNER, CREW, FIRST = 0, 1, 2
FAILS = NEVER
"""Resource of a report that never comes: the task is given up as soon as it asks."""
RAN, CANCELLED, SKIPPED = 0, 1, 2


@dataclass(frozen=True)
class Mode:
    """What gives a request its tasks: attempts and replicas of every star."""

    attempts: int
    replicas: int


@dataclass(frozen=True, eq=False)
class Policy:
    """(N,) each: stars at once, s that the planner waits for others, and whether lost stars wait for their host."""

    concurrency: Ints
    window: Floats
    waits: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Draws:
    """Random numbers of ``reps`` sessions of a request, the same for every design (common random numbers)."""

    dag: AgentDag
    index: int
    reps: int
    seed: int
    hosts: Hosts

    @property
    def request(self) -> Request:
        return self.dag.requests[self.index]

    def rng(self, *entity: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, self.index, *entity))))

    def work(self, attempt: int, replica: int) -> Floats:
        """(reps, n) s on a host of unit speed."""
        stars = self.request.stars
        noise = self.rng(1, attempt, replica).standard_normal((self.reps, len(stars)))
        return np.array([s.median for s in stars]) * np.exp(np.array([s.spread for s in stars]) * noise)

    def success(self, attempt: int, replica: int) -> NDArray[np.bool_]:
        """(reps, n) whether an attempt succeeds; one factor of the whole session correlates them."""
        stars, rho = self.request.stars, self.dag.correlation
        common = self.rng(2).standard_normal((self.reps, 1))
        own = self.rng(3, attempt, replica).standard_normal((self.reps, len(stars)))
        limit = ndtri(np.array([s.success for s in stars]))
        return np.asarray(np.sqrt(rho) * common + np.sqrt(1.0 - rho) * own < limit)

    def call(self, kind: int, law: tuple[float, float], *entity: int) -> Floats:
        """(reps,) s of a call of the planner."""
        return np.asarray(law[0] * np.exp(law[1] * self.rng(kind, *entity).standard_normal(self.reps)))

    def holds(self) -> NDArray[np.bool_]:
        """(reps, lines) whether the predicates are true."""
        chance = np.array([line.holds for line in self.request.lines])
        return np.asarray(self.rng(4).random((self.reps, len(chance))) < chance)

    def faults(self, config: Config) -> Floats:
        """(reps, K, 3) host, start, end as the orchestrator sees it."""
        at = {name: j for j, name in enumerate(self.hosts.name)}
        rows = [np.tile([[at[f.host], f.at, f.lasts]], (self.reps, 1)) for f in config.faults]
        for j in np.flatnonzero(self.hosts.mtbf > 0).tolist():
            draw = self.rng(5, j).standard_exponential((self.reps, 2))
            begins, lasts = draw[:, 0] * self.hosts.mtbf[j], draw[:, 1] * self.hosts.repair[j]
            rows.append(np.stack([np.full(self.reps, float(j)), begins, lasts], axis=1))
        if not rows:
            return np.zeros((self.reps, 0, 3))
        found = np.stack(rows, axis=1)
        found[:, :, 2] = found[:, :, 1] + config.back(found[:, :, 2])
        return found


@dataclass(frozen=True, eq=False)
class Outcome:
    """What happens of A attempts of R replicas of each star: (reps, n), (reps, n, A) or (reps, n, A, R)."""

    state: Ints  # RAN, CANCELLED (a failed star before it), SKIPPED (a predicate was false)
    success: NDArray[np.bool_]
    runs: NDArray[np.bool_]  # (reps, n, A)
    reports: NDArray[np.bool_]  # (reps, n, A, R) whether a replica succeeds
    work: Floats  # (reps, n, A, R) s at unit speed
    edit: Floats  # (reps, n, A) s of the planner's calls
    creation: Floats  # (reps,)


def outcome_of(draws: Draws, attempts: int, replicas: int) -> Outcome:
    """Draw the attempts of all stars and follow the lines."""
    n, reps = len(draws.request.stars), draws.reps
    shape = (reps, n, attempts, replicas)
    work: Floats = np.empty(shape)
    good: NDArray[np.bool_] = np.empty(shape, bool)
    for a in range(attempts):
        for r in range(replicas):
            work[:, :, a, r], good[:, :, a, r] = draws.work(a, r), draws.success(a, r)
    any_good = np.asarray(good.any(axis=3), bool)
    used = np.where(any_good.any(axis=2), np.argmax(any_good, axis=2) + 1, attempts)
    # the attempts that are needed become the last ones
    at = (np.arange(attempts)[None, None, :] - attempts + used[:, :, None]).clip(0)[..., None]
    work, good = np.take_along_axis(work, at, 2), np.take_along_axis(good, at, 2)
    success = np.asarray(any_good.any(axis=2), bool)
    state = _states(draws, success)
    runs = (np.arange(attempts)[None, None, :] >= attempts - used[:, :, None]) & (state == RAN)[:, :, None]
    edit = np.array([[draws.call(7, draws.dag.edit, i, k) for k in range(attempts)] for i in range(n)]).transpose(
        2, 0, 1
    )
    return Outcome(state, success & (state == RAN), runs, good, work, edit, draws.call(6, draws.dag.creation))


def _states(draws: Draws, success: NDArray[np.bool_]) -> Ints:
    """(reps, n) what the lines make of each star."""
    state, holds = np.zeros(success.shape, np.int64), draws.holds()
    for row, line in enumerate(draws.request.lines):  # by destination, and lines lead forwards
        skipped = (state[:, line.source] == SKIPPED) | ~holds[:, row]
        failed = (state[:, line.source] == CANCELLED) | ~success[:, line.source]
        found = np.where(skipped, SKIPPED, np.where(failed & line.strict, CANCELLED, RAN))
        state[:, line.dest] = np.maximum(state[:, line.dest], found)
    return state


@dataclass(frozen=True, eq=False)
class Layout:
    """The task table of one request in one mode, and where its tasks are."""

    request: Request
    mode: Mode
    config: Config
    hosts: Hosts
    faults: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.request.stars), self.mode.attempts, self.mode.replicas

    @cached_property
    def run(self) -> Ints:
        """(n, A, R) tasks on hosts; task 0 is the planner's first call."""
        n, a, r = self.shape
        return 1 + np.arange(n * a * r).reshape(n, a, r)

    @cached_property
    def report(self) -> Ints:
        """(n, A, R); the runs themselves where there is one replica."""
        return self.run if self.mode.replicas == 1 else self.run + self.run.size

    @cached_property
    def end(self) -> Ints:
        """(n, A) ends of attempts."""
        n, a, r = self.shape
        return self.run[:, :, 0] if r == 1 else 1 + 2 * n * a * r + np.arange(n * a).reshape(n, a)

    @cached_property
    def edit(self) -> Ints:
        """(n, A)"""
        n, a, _ = self.shape
        return 1 + int(max(self.end.max(), self.report.max())) + np.arange(n * a).reshape(n, a)

    @cached_property
    def fault(self) -> Ints:
        """(K, 2) when a fault is found out, and the edit that follows."""
        return 1 + int(self.edit.max()) + np.arange(2 * self.faults).reshape(self.faults, 2)

    @property
    def tasks(self) -> int:
        return int(self.edit.max()) + 1 + 2 * self.faults

    @cached_property
    def table(self) -> TaskTable:
        """Edges, resources and locks."""
        config, (n, a, r) = self.config, self.shape
        rows: list[tuple[int, int, bool]] = []
        for star in range(n):
            if not self.request.before[star]:
                rows += [(0, int(t), False) for t in self.run[star, 0]]
            for line in self.request.before[star]:
                source = self.end[line.source, -1] if config.overlap else self.edit[line.source, -1]
                rows += [(int(source), int(t), line.strict and config.overlap) for t in self.run[star].ravel()]
            for k in range(a):
                if r > 1:
                    rows += [(int(self.run[star, k, j]), int(self.report[star, k, j]), True) for j in range(r)]
                    rows += [(int(self.report[star, k, j]), int(self.end[star, k]), True) for j in range(r)]
                rows.append((int(self.end[star, k]), int(self.edit[star, k]), False))
                if k + 1 < a:
                    rows += [(int(self.edit[star, k]), int(t), False) for t in self.run[star, k + 1]]
        rows += [(int(found), int(edit), False) for found, edit in self.fault]
        need, lock = np.full(self.tasks, -1), np.full(self.tasks, -1)
        lock[self.run] = CREW
        if r > 1:
            need[self.end] = 1
        edges = np.array([row[:2] for row in rows], np.int32).reshape(-1, 2)
        return TaskTable(
            self.tasks, edges, self._resources, lock=lock, need=need,
            strict=[row[2] for row in rows],
        )  # fmt: skip

    @property
    def _resources(self) -> tuple[Resource, ...]:
        config, many = self.config, int(self.run.size)
        planner = Resource("planner", 1, config.batching, None if config.overlap else "crew")
        gate = "planner" if config.lock else None
        slots = [many if config.unlimited else int(k) for k in self.hosts.slots]
        hosts = (Resource(f"host {j}", k, gate=gate) for j, k in enumerate(slots))
        return planner, Resource("crew"), *hosts


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the event loop reads: N designs times ``reps`` draws, design first; (N reps, T) unless said otherwise."""

    work: Floats
    resource: NDArray[np.int32]
    priority: Floats
    other: NDArray[np.int32]
    other_work: Floats
    outages: Floats  # (N reps, K, 3)
    host: Ints  # (N reps, n, A, R) where an attempt was meant to run
    spare: Ints  # the same, its alternative, or -1


@dataclass(frozen=True, eq=False)
class Sessions:
    """Simulated sessions. ``outcome`` is of the draws, not repeated for the designs."""

    layout: Layout
    outcome: Outcome
    inputs: Inputs
    times: Times
    patience: Floats  # (N reps,)

    @property
    def host(self) -> Ints:
        return self.inputs.host

    @property
    def faults(self) -> Floats:
        """(N reps, K, 3) host, start, end."""
        return np.asarray(self.inputs.outages - np.array([FIRST, 0.0, 0.0]))


def simulate(
    layout: Layout, draws: Draws, outcome: Outcome, policy: Policy, places: Ints, priority: Floats
) -> Sessions:
    """Run sessions; arguments as in `prepare`."""
    i = prepare(layout, draws, outcome, places, priority)
    away, limits = (i.other, i.other_work), limits_of(layout, policy, draws.reps)
    return Sessions(
        layout,
        outcome,
        i,
        events(layout.table, i.work, i.resource, i.priority, outages=i.outages, alternative=away, limits=limits),
        np.asarray(limits.patience),
    )


def limits_of(layout: Layout, policy: Policy, reps: int) -> Limits:
    """Servers, windows and patience of designs, each repeated for its draws."""
    config, resources = layout.config, layout.table.resources
    servers = np.tile([r.servers for r in resources], (len(policy.window), 1))
    windows = np.zeros(servers.shape)
    servers[:, CREW] = policy.concurrency
    windows[:, PLANNER] = policy.window if config.batching else 0.0
    patience = config.heartbeat + np.where(policy.waits, config.budget, 0.0)
    return Limits(*(np.repeat(column, reps, axis=0) for column in (servers, windows, patience)))


def prepare(layout: Layout, draws: Draws, outcome: Outcome, places: Ints, priority: Floats) -> Inputs:
    """Work and resource of every task.

    Args:
        places: (N, n, m) hosts of each star in the order in which attempts and replicas take them, -1 padded.
        priority: (N, n), the lowest first.
    """
    config, (_, a, r) = layout.config, layout.shape
    many, reps = len(priority), draws.reps
    shape = (many * reps, layout.tasks)
    work, resource, ranks = np.zeros(shape), np.full(shape, -1, np.int32), np.zeros(shape)
    other, other_work = np.full(shape, -1, np.int32), np.zeros(shape)
    runs, wanted = np.tile(outcome.runs, (many, 1, 1)), np.tile(outcome.work, (many, 1, 1, 1))
    host, spare = _places(places, outcome, layout.shape, reps)
    on, flat = runs[..., None] & (host >= 0), layout.run.ravel()
    resource[:, flat], work[:, flat] = _at(layout, host, on, wanted)
    other[:, flat], other_work[:, flat] = _at(layout, spare, on & (spare >= 0), wanted)
    if r > 1:
        lost = runs[..., None] & ~(np.tile(outcome.reports, (many, 1, 1, 1)) & (host >= 0))
        resource[:, layout.report.ravel()] = np.where(lost, FAILS, -1).reshape(len(work), -1)
    work[:, 0] = np.tile(outcome.creation, many)
    edits = (runs & config.edits).reshape(len(work), -1)
    resource[:, layout.edit.ravel()] = np.where(edits, PLANNER, -1)
    cost = np.tile(config.edit_time(outcome.edit), (many, 1, 1)).reshape(len(work), -1)
    work[:, layout.edit.ravel()] = np.where(edits, cost, 0.0)
    faults = np.tile(draws.faults(config), (many, 1, 1))
    _fault_edits(layout, draws, faults, resource, work, many)
    ranks[:, flat] = np.repeat(np.repeat(priority, a * r, axis=1), reps, axis=0)
    return Inputs(work, resource, ranks, other, other_work, faults + np.array([FIRST, 0.0, 0.0]), host, spare)


def _at(layout: Layout, host: Ints, on: NDArray[np.bool_], wanted: Floats) -> tuple[Any, Floats]:
    """(N reps, n A R) resources and s of attempts on hosts; a slot is taken until the orchestrator knows of the end."""
    config, hosts = layout.config, layout.hosts
    extra = config.dispatch + 2.0 * hosts.latency + config.detect
    resource = np.where(on, host + FIRST, -1)
    work = np.where(on, extra[host] + wanted / hosts.speed[host], 0.0)
    return resource.reshape(len(host), -1), work.reshape(len(host), -1)


def _places(places: Ints, outcome: Outcome, shape: tuple[int, int, int], reps: int) -> tuple[Ints, Ints]:
    """(N reps, n, A, R) host of each attempt, -1 where there are fewer hosts than replicas, and its alternative.

    A first attempt runs on the first place, a retry on the next (planners move a star that failed), replicas on those
    that follow; the alternative is the place after the attempt's own, or none.
    """
    n, a, r = shape
    count = (places >= 0).sum(axis=2)  # (N, n)
    number = outcome.runs.cumsum(axis=2) - 1  # (reps, n, A) which attempt this is
    slot = number.clip(0)[None, :, :, :, None] + np.arange(r)  # (1, reps, n, A, R)
    many = count[:, None, :, None, None]
    host = np.take_along_axis(places[:, None, :, None, :], slot % many, axis=4)
    host = np.where(np.arange(r) < many, host, -1)
    spare = np.take_along_axis(places[:, None, :, None, :], (slot + 1) % many, axis=4)
    spare = np.where(many > 1, spare, -1)
    size = (len(places) * reps, n, a, r)
    return host.reshape(size), spare.reshape(size)


def _fault_edits(layout: Layout, draws: Draws, faults: Floats, resource: Any, work: Floats, many: int) -> None:
    """An edit follows every fault that is noticed, where some star was meant to run on the host."""
    config, first = layout.config, resource[:, layout.run.ravel()] - FIRST
    for k in range(layout.faults):
        noticed = (faults[:, k, 2] - faults[:, k, 1] > config.heartbeat) & (first == faults[:, k, :1]).any(axis=1)
        found, edit = layout.fault[k]
        cost = config.edit_time(draws.call(8, draws.dag.edit, k))
        work[:, found] = np.where(noticed, faults[:, k, 1] + config.heartbeat, 0.0)
        on = noticed & config.edits
        resource[:, edit], work[:, edit] = np.where(on, PLANNER, -1), np.where(on, np.tile(cost, many), 0.0)

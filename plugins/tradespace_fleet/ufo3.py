"""The evaluator of agents under an orchestrator (UFO3, arXiv 2511.11332): sessions simulated on the event loop.

Loop, lock, batched edits, heartbeat and backoff are those of the authors' documentation; see `ufo3_sessions` for the
task table and `ufo3_config` for the numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from tradespace.costs.schedules_nodes import POINTS, Nodes
from tradespace.costs.schedules_tables import ScheduleTables
from tradespace.costs.timeline import MOVED
from tradespace.designs import Choice, Designs, Space, Variable
from tradespace.errors import InputError
from tradespace.plans import Plan, PlanRow, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Sourced, Target
from tradespace.workloads.task_graph import task_graph
from tradespace_fleet.list_schedulers import SCHEDULERS
from tradespace_fleet.named_plans import NamedPlans
from tradespace_fleet.ufo3_config import Config, read_config
from tradespace_fleet.ufo3_host import Hosts, hosts_of
from tradespace_fleet.ufo3_measures import LONGEST, METRICS, measure
from tradespace_fleet.ufo3_sessions import Draws, Layout, Mode, Outcome, Policy, Sessions, outcome_of, simulate
from tradespace_fleet.ufo3_workload import PRIORITIES, AgentDag, Floats

PLANNED, GIVEN = "planned", "given"
SCHEDULES = ("heft", "cpop", "peft", "min_min", "max_min", "sufferage")
_CELLS = 4_000_000  # tasks simulated together
_FAR = 1e6  # effort of a star on a host that cannot run it, for list schedulers


class AgentsFactory:
    """Takes agent graphs on targets with hosts.

    Options, times in s: ``heartbeat``, ``backoff`` (the first wait; it doubles up to ``backoff_cap``, ``reconnects``
    times), ``dispatch``, ``detect``, ``sync`` (what an edit takes beside the planner's call), ``edit_timeout``,
    ``pause`` (after it).
    Choices of a design, as lists: ``concurrency``, ``window``, ``retries``, ``replicas``, ``recovery`` ("migrate": a
    star moves when a heartbeat is missed; "wait": when all reconnections failed). Switches: ``edits``, ``batching``
    (one edit for all that waits), ``lock`` (nothing starts while an edit runs), ``overlap`` (edits run beside stars),
    ``unlimited`` (slots of hosts). ``faults``: rows {host, at, lasts: s or forever}. ``replications`` and ``seed`` of
    the Monte-Carlo draws. ``plan``: "scheduler" only chooses among the planner's assignment, list schedulers, and one
    star at a time.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, AgentDag):
            kind = getattr(workload, "kind", type(workload).__name__)
            return Declined(f"prices graphs of agents, not {kind}", other_kind=True)
        try:
            hosts = hosts_of(target)
        except InputError as error:
            return Declined(str(error))
        missing = next((star.on for _, star in workload.stars if not hosts.able(star.on)), None)
        if missing is not None:
            return Declined(
                f"needs hosts of {' or '.join(missing)}, the target has {', '.join(dict.fromkeys(hosts.group))}"
            )
        return True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> AgentsEvaluator | NamedPlans:
        """Raises `InputError`, `UnitError` or `UnknownName` for options that do not fit."""
        hosts = hosts_of(target)
        config = read_config(options, hosts.name)
        evaluator = AgentsEvaluator(workload, target, hosts, config)
        return NamedPlans(evaluator) if config.plan == "scheduler" else evaluator


@dataclass(frozen=True, eq=False)
class AgentsEvaluator:
    """Prices assignments, priorities and policies by simulated sessions: means over requests and replications. Pure:
    all designs meet the same draws."""

    dag: AgentDag
    target: Target
    hosts: Hosts
    config: Config
    _layouts: dict[tuple[int, Mode], Layout] = field(default_factory=dict)
    _outcomes: dict[tuple[int, int, int], Outcome] = field(default_factory=dict)

    default_objectives = ("makespan", "success", "energy", "calls")

    @cached_property
    def space(self) -> Space:
        names, config = tuple(name for name, _ in self.dag.stars), self.config
        found: list[Variable] = []
        if len(self.hosts) > 1:
            found.append(Choice("device", (PLANNED, *self.hosts.name), len(names), names))
        found.append(Choice("priority", (GIVEN, *PRIORITIES), len(names), names))
        lists: dict[str, tuple[Any, ...]] = {
            "concurrency": config.concurrency,
            "window": config.window,
            "retries": config.retries,
        }
        lists |= {"recovery": config.recovery, "replicas": config.replicas}
        return Space(*found, *(Choice(name, values) for name, values in lists.items()))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(name, *rest) for name, rest in METRICS.items())  # type: ignore[arg-type]

    @cached_property
    def _idle(self) -> tuple[str, ...]:
        """Variables that change nothing here."""
        config = self.config
        matters = {
            "window": config.batching and config.edits,
            "retries": self._may_fail,
            "recovery": self._breaks,
            "replicas": (self._random or self._breaks) and len(self.hosts) > 1,
        }
        return tuple(name for name, does in matters.items() if not does)

    @property
    def _may_fail(self) -> bool:
        return any(star.success < 1 for _, star in self.dag.stars)

    @property
    def _breaks(self) -> bool:
        return bool(self.config.faults) or self.hosts.fails

    @property
    def _random(self) -> bool:
        """Whether two sessions can differ."""
        spread = self.dag.creation[1] + self.dag.edit[1] + sum(star.spread for _, star in self.dag.stars)
        holds = any(line.holds < 1 for request in self.dag.requests for line in request.lines)
        return spread > 0 or self._may_fail or holds or self.hosts.fails

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        shape = self.dag.sources.get("shape", "")
        mine = Sourced(f"workload.{self.dag.name}", shape, "1", shape, "substitute")
        own = (mine,) if self.dag.sources.get("kind") == "substitute" else ()
        return (*self.target.substitutes, *own, *self.config.substitutes)

    @cached_property
    def _draws(self) -> tuple[Draws, ...]:
        reps = self.config.replications if self._random else 1
        many = range(len(self.dag.requests))
        return tuple(Draws(self.dag, i, reps, self.config.seed, self.hosts) for i in many)

    @cached_property
    def _able(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.hosts.able(star.on) for _, star in self.dag.stars)

    @cached_property
    def planned(self) -> tuple[int, ...]:
        """Host of each star where nothing is decided: the able ones in turn (ours; the authors' planner is an LLM)."""
        return tuple(able[i % len(able)] for i, able in enumerate(self._able))

    # -- designs ------------------------------------------------------------------------------------------------------

    def repair(self, designs: Designs) -> Designs:
        """Stars on the planned host or on one that cannot run them are "planned", priorities as given are "given"; what
        changes nothing has its first value."""
        columns = dict(designs.columns)
        columns |= {name: np.zeros_like(columns[name]) for name in self._idle}
        if "device" in self.space:
            device = np.array(columns["device"])
            for i, able in enumerate(self._able):
                device[~np.isin(device[:, i], np.array(able) + 1), i] = 0
                device[device[:, i] == self.planned[i] + 1, i] = 0
            columns["device"] = device
        own = np.array([star.priority + 1 for _, star in self.dag.stars])
        columns["priority"] = np.where(columns["priority"] == own, 0, columns["priority"]).astype(np.int8)
        return Designs(self.space, columns)

    def suggest(self) -> dict[str, Designs]:
        """Named plans: the planner's; list schedulers by expected times; one star at a time, if that is a choice."""
        found = {"planner": self.space.parse({})}
        if 1 in self.config.concurrency:
            found["sequential"] = self.space.parse({"concurrency": 1})
        if "device" in self.space:
            for name in SCHEDULES:
                found[name] = self.repair(self._scheduled(name))
        return found

    def _scheduled(self, name: str) -> Designs:
        """Hosts of a list scheduler; its order in four priorities of equal size."""
        device, priority, first = [], [], 0
        for request in self.dag.requests:
            n, m = len(request.stars), len(self.hosts)
            able = np.array([[j in able for j in range(m)] for able in self._able[first : first + n]])
            graph = task_graph(
                request.name,
                [s.median * np.exp(s.spread**2 / 2) for s in request.stars],
                edges=[(line.source, line.dest, 0.0) for line in request.lines],
                sources=self.dag.sources,
                factor={h: np.where(able[:, j], 1.0, _FAR) for j, h in enumerate(self.hosts.name)},
            )
            order, node = SCHEDULERS[name](ScheduleTables(graph, self._nodes), False)
            rank = np.empty(n, np.int64)
            rank[order] = np.arange(n) * len(PRIORITIES) // n
            device.append(node + 1)
            priority.append(rank + 1)
            first += n
        return self.space.designs({"device": np.concatenate(device)[None], "priority": np.concatenate(priority)[None]})

    @cached_property
    def _nodes(self) -> Nodes:
        hosts, m = self.hosts, len(self.hosts)
        wide = np.full(m, 1e12)
        return Nodes(hosts.name, hosts.speed, hosts.slots.astype(np.int32), wide, hosts.latency, wide,
                     np.zeros((m, POINTS)), np.zeros(m), 1e12)  # fmt: skip

    # -- prices -------------------------------------------------------------------------------------------------------

    def price(self, designs: Designs) -> Prices:
        columns = {name: np.zeros(len(designs)) for name in METRICS}
        for rows, mode in self._groups(designs):
            for index, draws in enumerate(self._draws):
                cells = max(1, _CELLS // (draws.reps * self._layout(index, mode).tasks))
                for low in range(0, len(rows), cells):
                    some = rows[low : low + cells]
                    found = measure(self._simulate(index, mode, designs.take(some)), draws, self.hosts)
                    for name, values in found.items():
                        each = values.reshape(len(some), -1)
                        if name in LONGEST:
                            columns[name][some] = np.maximum(columns[name][some], each.max(axis=1))
                        else:
                            columns[name][some] += each.mean(axis=1)
        many = len(self._draws)
        return Prices({k: v if k in LONGEST else v / many for k, v in columns.items()})

    def _groups(self, designs: Designs) -> Iterator[tuple[Any, Mode]]:
        codes = np.stack([designs[name] for name in ("retries", "replicas")], axis=1).astype(np.int64)
        unique, index = np.unique(codes, axis=0, return_inverse=True)
        for i, (retries, replicas) in enumerate(unique.tolist()):
            mode = Mode(1 + self.config.retries[retries], self.config.replicas[replicas])
            yield np.flatnonzero(index.reshape(-1) == i), mode

    def _policy(self, designs: Designs) -> Policy:
        config = self.config
        return Policy(
            np.array(config.concurrency)[designs["concurrency"]],
            np.array(config.window, np.float64)[designs["window"]],
            np.array([name == "wait" for name in config.recovery])[designs["recovery"]],
        )

    def _layout(self, index: int, mode: Mode) -> Layout:
        if (index, mode) not in self._layouts:
            draws = self._draws[index]
            faults = draws.faults(self.config).shape[1]
            self._layouts[index, mode] = Layout(draws.request, mode, self.config, self.hosts, faults)
        return self._layouts[index, mode]

    def _outcome(self, index: int, mode: Mode) -> Outcome:
        key = (index, mode.attempts, mode.replicas)
        if key not in self._outcomes:
            self._outcomes[key] = outcome_of(self._draws[index], mode.attempts, mode.replicas)
        return self._outcomes[key]

    def _simulate(self, index: int, mode: Mode, designs: Designs) -> Sessions:
        first = sum(len(r.stars) for r in self.dag.requests[:index])
        span = slice(first, first + len(self.dag.requests[index].stars))
        own = np.array([star.priority for star in self.dag.requests[index].stars])
        priority = designs["priority"][:, span].astype(np.int64) - 1
        return simulate(
            self._layout(index, mode),
            self._draws[index],
            self._outcome(index, mode),
            self._policy(designs),
            self._places(designs, span),
            np.where(priority < 0, own, priority).astype(np.float64),
        )

    def _places(self, designs: Designs, span: slice) -> Any:
        """(N, n, m) able hosts of each star, the decided one first, then the others in turn; -1 padded."""
        able = self._able[span]
        planned = np.array(self.planned[span])
        device = (
            designs["device"][:, span].astype(np.int64) - 1
            if "device" in self.space
            else np.full((len(designs), 1), -1)
        )
        chosen = np.where(device < 0, planned, device)
        out = np.full((len(designs), len(able), len(self.hosts)), -1)
        for i, hosts in enumerate(able):
            at = np.searchsorted(hosts, chosen[:, i])
            out[:, i, : len(hosts)] = np.array(hosts)[(at[:, None] + np.arange(len(hosts))) % len(hosts)]
        return out

    def explain(self, design: Designs) -> Plan:
        design = self.repair(design.take(slice(0, 1)))
        prices = self.price(design)
        ((_, mode),) = self._groups(design)
        plan = plan_of_prices(self, design, prices, (self.dag.name, self.target.name, "agents"), self.config.given)
        rows = (row for i in range(len(self.dag.requests)) for row in self._rows(i, mode, design))
        return replace(plan, rows=tuple(rows))

    def _rows(self, index: int, mode: Mode, design: Designs) -> Iterator[PlanRow]:
        """What each star does: means over the sessions in which it runs."""
        s = self._simulate(index, mode, design)
        request, names = self.dag.requests[index], self.hosts.name
        many = len(self.dag.requests) > 1
        for i, star in enumerate(request.stars):
            tasks = s.layout.run[i, :, 0]
            runs = s.outcome.runs[:, i, :] & (s.host[:, i, :, 0] >= 0)
            start, finish = (_mean(getattr(s.times, key)[:, tasks], runs) for key in ("start", "finish"))
            moved = _mean((s.times.fate[:, tasks] == MOVED).astype(np.float64), runs)
            chosen = {"device": names[int(s.host[0, i, -1, 0])]} | ({"moved": f"{moved:.0%}"} if moved else {})
            yield PlanRow(
                f"{request.name}.{star.name}" if many else star.name,
                chosen,
                {"start": start, "finish": finish},
            )


def _mean(values: Floats, where: Any) -> float:
    return float(values[where].mean()) if where.any() else 0.0

"""The evaluator of streams: tasks arrive over time at the nodes they are sent to and queue there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from tradespace.costs import queues as loops
from tradespace.costs.compiled import in_two
from tradespace.costs.option_numbers import check_words
from tradespace.costs.schedules import OUTPUTS
from tradespace.costs.schedules_tables import Floats, Ints
from tradespace.designs import Designs, Space
from tradespace.errors import ProblemError
from tradespace.plans import Plan
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Sourced
from tradespace_fleet.binding import FleetBinding, accepts
from tradespace_fleet.list_schedulers import SCHEDULERS
from tradespace_fleet.named_plans import NamedPlans

DISCIPLINES: Mapping[str, int] = {"fcfs": loops.FCFS, "priority": loops.PRIORITY, "deadline": loops.DEADLINE}
ADMISSION = ("all", "reject")
ONLINE = ("min_min", "max_min", "sufferage", "edf", "wspt", "arrival", "round_robin")


class QueueFactory:
    """Takes independent tasks with arrival times on targets of nodes.

    Options: ``discipline``: "fcfs"; "priority" (a fixed order, which is a decision); "deadline" (dynamic: class weight
    over the slack left). ``admission``: "reject" refuses a task that cannot make its deadline any more when its turn
    comes; it counts as late. ``plan``: "free" decides the assignment, "scheduler" only chooses among heuristics.
    """

    fidelity = 30

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        refusal = accepts(workload, target)
        if refusal is not None:
            return refusal
        if len(workload.edges):
            return Declined("prices independent tasks; this graph has precedences")
        if not workload.timed:
            return Declined("prices tasks that arrive over time; all of these are there from the start")
        return True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> QueueEvaluator | NamedPlans:
        """Raises `UnknownName` or `ProblemError` for options that do not fit."""
        known: Mapping[str, tuple[str, ...]] = {
            "discipline": tuple(DISCIPLINES),
            "admission": ADMISSION,
            "plan": ("free", "scheduler"),
        }
        check_words(options, known)
        discipline = DISCIPLINES[options.get("discipline") or "fcfs"]
        binding = FleetBinding.of(workload, target, ordered=discipline == loops.PRIORITY)
        if not len(binding.free) and discipline != loops.PRIORITY:
            raise ProblemError(
                "one node leaves nothing to decide",
                value=target.name,
                where="evaluator queue",
                remedy="Take discipline: priority.",
            )
        evaluator = QueueEvaluator(binding, discipline, options.get("admission", "all") == "reject", dict(options))
        return NamedPlans(evaluator) if options.get("plan") == "scheduler" else evaluator


@dataclass(frozen=True, eq=False)
class QueueEvaluator:
    """Prices assignments of a stream of tasks. Pure.

    Args:
        binding: tasks and nodes.
        discipline: of `tradespace.costs.queues`.
        refuse: whether tasks that cannot make their deadline are refused.
        given: options as the user wrote them, for plans.
    """

    binding: FleetBinding
    discipline: int
    refuse: bool
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        return self.binding.space

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(m for m in self.binding.metrics if self.refuse or m.name != "rejected")

    @property
    def default_objectives(self) -> tuple[str, ...]:
        names = {metric.name for metric in self.metrics}
        return ("response", *(name for name in ("energy", "late") if name in names))

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        return self.binding.substitutes

    @cached_property
    def coming(self) -> Ints:
        """(m, n) tasks in order of arrival at each node, the lower number first among equals."""
        return np.ascontiguousarray(np.argsort(self.binding.tables.ready.T, axis=1, kind="stable"), np.int32)

    def price(self, designs: Designs) -> Prices:
        nodes, ranks = self.binding.assignment(designs), self._ranks(designs)
        out = np.empty((OUTPUTS, len(designs)))
        tables = self.binding.tables
        release, deadline, weight, memory, exec, cores, speed, power, price, ram = tables.facts

        def run(lo: int, hi: int) -> None:
            loops.price_queues(
                nodes, ranks, self.discipline, self.refuse, self.coming, exec, tables.ready, cores, release, deadline,
                weight, memory, speed, power, price, ram, out, lo, hi,
            )  # fmt: skip

        in_two(run, len(designs))
        return self.binding.prices(out, self.metrics)

    def suggest(self) -> dict[str, Designs]:
        """The assignments of the batch-mode and on-line heuristics, one design each."""
        plans = {name: SCHEDULERS[name](self.binding.tables, False) for name in ONLINE}
        return {name: self.binding.designs(*plan) for name, plan in plans.items()}

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        times = self.schedule(design)
        return self.binding.plan(design, self.price(design), "queue", self.given, times)

    def schedule(self, design: Designs) -> tuple[Ints, Floats, Floats]:
        """(node or -1 if refused, start, finish) of the tasks of one design, (n,) each."""
        tables, node = self.binding.tables, self.binding.assignment(design)[0]
        start, finish = np.zeros(len(node)), np.zeros(len(node))
        tasks = tables.graph.tasks
        loops.run_queues(
            node, self._ranks(design)[0], self.discipline, self.refuse, self.coming, tables.exec, tables.ready,
            tables.cores, tasks.deadline, tasks.weight, start, finish,
        )  # fmt: skip
        return node, start, finish

    def _ranks(self, designs: Designs) -> Ints:
        """(N, n) position of each task in the order that decides; for the others the order of arrival."""
        if "order" in self.space:
            return np.ascontiguousarray(np.argsort(designs["order"], axis=1), np.int32)
        arrival = np.argsort(np.argsort(self.binding.tables.graph.tasks.release, kind="stable"))
        return np.tile(arrival.astype(np.int32), (len(designs), 1))

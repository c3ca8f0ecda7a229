"""The evaluator of static schedules: where each task runs and who goes first, decoded by a list scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from tradespace.costs.option_numbers import check_words
from tradespace.costs.schedules_structure import TaskStructure
from tradespace.costs.schedules_tables import Floats, Ints
from tradespace.designs import Designs, Space
from tradespace.plans import Plan
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices, Structure
from tradespace.targets.model import Sourced
from tradespace_fleet.binding import FleetBinding, accepts
from tradespace_fleet.bounds import lower_bounds
from tradespace_fleet.list_schedulers import SCHEDULERS, by_rank, upward
from tradespace_fleet.named_plans import NamedPlans

PLACING = ("insertion", "append")
PLANS = ("free", "rank", "scheduler")


class ScheduleFactory:
    """Takes task graphs on targets of nodes. Offline: all tasks are known when the plan is made.

    Options: ``placing``: "insertion" lets a task fill a gap between tasks placed before it, "append" never does (a
    semi-active schedule; the default where every task's node is given, as in a job shop); ``plan``: "free" decides
    nodes and order, "rank" fixes the order to HEFT's upward rank, "scheduler" only chooses among the list schedulers.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        refusal = accepts(workload, target)
        return True if refusal is None else refusal

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> ScheduleEvaluator | NamedPlans:
        """Raises `UnknownName` for options that do not fit."""
        check_words(options, {"placing": PLACING, "plan": PLANS})
        binding = FleetBinding.of(workload, target, ordered=options.get("plan") != "rank")
        placing = options.get("placing") or ("insertion" if len(binding.free) else "append")
        evaluator = ScheduleEvaluator(binding, placing == "insertion", dict(options))
        return NamedPlans(evaluator) if options.get("plan") == "scheduler" else evaluator


@dataclass(frozen=True, eq=False)
class ScheduleEvaluator:
    """Prices list schedules. Pure.

    Args:
        binding: task graph and nodes.
        insertion: whether gaps are filled.
        given: options as the user wrote them, for plans.
    """

    binding: FleetBinding
    insertion: bool
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        return self.binding.space

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(metric for metric in self.binding.metrics if metric.name != "rejected")

    @property
    def default_objectives(self) -> tuple[str, ...]:
        names = {metric.name for metric in self.metrics}
        first = "tardiness" if "tardiness" in names and not self.binding.tables.graph.timed else "makespan"
        first = "response" if self.binding.tables.graph.timed else first
        return (first, *(name for name in ("energy", "cost") if name in names))

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        return self.binding.substitutes

    def price(self, designs: Designs) -> Prices:
        out = self.binding.tables.price(self._orders(designs), self.binding.assignment(designs), self.insertion)
        return self.binding.prices(out, self.metrics)

    def repair(self, designs: Designs) -> Designs:
        """Orders become the topological ones in which tasks are placed, so equal schedules are equal designs."""
        if "order" not in self.space:
            return designs
        return Designs(self.space, {**designs.columns, "order": self.binding.tables.canonical(designs["order"])})

    def suggest(self) -> dict[str, Designs]:
        """The plans of the list schedulers, one design each."""
        plans = {name: make(self.binding.tables, self.insertion) for name, make in SCHEDULERS.items()}
        return {name: self.repair(self.binding.designs(*plan)) for name, plan in plans.items()}

    def structure(self) -> Structure | None:
        """The task graph itself, where designs decide the order; else None."""
        return Structure(tasks=self._tasks) if "order" in self.space else None

    @cached_property
    def _tasks(self) -> TaskStructure:
        free = self.binding.free
        name = "assignment" if len(free) else ""
        bound = lower_bounds(self.binding.tables)
        return TaskStructure(self.binding.tables, self.insertion, "order", name, free, bound)

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        times = (self.binding.assignment(design)[0], *self.schedule(design))
        return self.binding.plan(design, self.price(design), "schedule", self.given, times)

    def schedule(self, design: Designs) -> tuple[Floats, Floats]:
        """(start, finish) of the tasks of one design, (n,) s each."""
        return self.binding.tables.decode(self._orders(design)[0], self.binding.assignment(design)[0], self.insertion)

    @cached_property
    def _ranked(self) -> Ints:
        return by_rank(self.binding.tables, -upward(self.binding.tables))

    def _orders(self, designs: Designs) -> Ints:
        if "order" in self.space:
            return np.asarray(designs["order"], np.int32)
        return np.tile(self._ranked, (len(designs), 1))

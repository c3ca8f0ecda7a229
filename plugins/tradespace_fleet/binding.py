"""What both evaluators of task graphs share: whom they accept, metrics, designs as arrays, plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tradespace.costs import schedules as loops
from tradespace.costs.schedules_tables import Floats, Ints, ScheduleTables
from tradespace.designs import Choice, Designs, Permutation, Space
from tradespace.errors import InputError
from tradespace.plans import Plan, PlanRow
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Sourced, Target
from tradespace.workloads.task_graph import TaskGraph
from tradespace_fleet.node import MODEL, nodes_of

METRICS: Mapping[str, tuple[int, Metric]] = {
    name: (row, Metric(name, unit, direction, meaning))  # type: ignore[arg-type]
    for row, name, unit, direction, meaning in (
        (loops.MAKESPAN, "makespan", "s", "min", "when the last task finishes"),
        (loops.ENERGY, "energy", "J", "min", "energy of all nodes until the makespan, idle ones included"),
        (loops.COST, "cost", "1", "min", "price of each used node from its first start to its last finish"),
        (loops.RESPONSE, "response", "s", "min", "mean time from arrival to finish, rejected tasks left out"),
        (loops.UTILISATION, "utilisation", "1", "max", "work done over what all cores could do until the makespan"),
        (loops.TARDINESS, "tardiness", "s", "min", "weighted sum of how late tasks finish"),
        (loops.LATE, "late", "1", "min", "share of tasks that finish late or are rejected (missed SLAs)"),
        (loops.REJECTED, "rejected", "1", "min", "share of tasks that are rejected"),
    )
}


Times = tuple[Ints, Floats, Floats]


def accepts(workload: Any, target: Any) -> Declined | None:
    """Why a pair is declined; None if it is not."""
    if getattr(workload, "kind", None) != "task-graph":
        kind = getattr(workload, "kind", type(workload).__name__)
        return Declined(f"prices task graphs, not {kind}", other_kind=True)
    other = sorted({device.model for device in target.devices if device.model != MODEL})
    if other:
        return Declined(f"needs devices of model '{MODEL}', the target has {', '.join(other)}")
    try:
        nodes = nodes_of(target)
    except InputError as error:
        return Declined(str(error))
    if workload.machines > len(nodes):
        return Declined(f"tasks are pinned to {workload.machines} machines, the target has {len(nodes)}")
    if workload.factor and not set(workload.factor) & set(nodes.names):
        machines = ", ".join(sorted(workload.factor)[:6])
        return Declined(f"efforts are stated for {machines}, none of which the target has")
    return None


@dataclass(frozen=True, eq=False)
class FleetBinding:
    """A task graph on nodes, and the decisions about it.

    Args:
        tables: what the loops read.
        target: for sources.
        ordered: whether the order of tasks is a decision.
    """

    tables: ScheduleTables
    target: Target
    ordered: bool

    @classmethod
    def of(cls, workload: TaskGraph, target: Target, *, ordered: bool) -> FleetBinding:
        return cls(ScheduleTables(workload, nodes_of(target)), target, ordered)

    @cached_property
    def free(self) -> Ints:
        """Numbers of the tasks whose node is a decision."""
        if len(self.tables.nodes) == 1:
            return np.empty(0, np.int32)
        return np.flatnonzero(self.tables.graph.tasks.pinned < 0).astype(np.int32)

    @cached_property
    def space(self) -> Space:
        names, variables = self.tables.graph.tasks.name, []
        if len(self.free):
            entries = tuple(names[i] for i in self.free.tolist())
            variables.append(Choice("assignment", self.tables.nodes.names, len(self.free), entries))
        order = [Permutation("order", len(names))] if self.ordered or not variables else []
        return Space(*variables, *order)

    def assignment(self, designs: Designs) -> Ints:
        """(N, n) node of each task."""
        node = np.tile(np.maximum(self.tables.graph.tasks.pinned, 0), (len(designs), 1)).astype(np.int32)
        if len(self.free):
            node[:, self.free] = designs.columns["assignment"]
        return node

    def designs(self, order: Ints, node: Ints) -> Designs:
        """One design from an order and the node of each task."""
        columns: dict[str, Any] = {}
        if "assignment" in self.space:
            columns["assignment"] = node[self.free][None]
        if "order" in self.space:
            columns["order"] = order[None]
        return self.space.designs(columns)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What makes a difference on these nodes: energy where there are power tables, cost where there are prices."""
        tasks, nodes = self.tables.graph.tasks, self.tables.nodes
        absent = {"energy"} if not nodes.power.any() else set()
        absent |= {"cost"} if not nodes.price.any() else set()
        absent |= {"tardiness", "late", "rejected"} if np.isinf(tasks.deadline).all() else set()
        return tuple(metric for name, (_, metric) in METRICS.items() if name not in absent)

    def prices(self, out: Floats, metrics: tuple[Metric, ...]) -> Prices:
        """Rows of the loops' output by name."""
        columns = {metric.name: out[METRICS[metric.name][0]] for metric in metrics}
        full = {"memory": out[loops.MEMORY]} if self.tables.graph.tasks.memory.any() else {}
        return Prices(columns, full)

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        graph = self.tables.graph
        own = graph.sources.get("shape", "")
        mine = (Sourced(f"workload.{graph.name}", own, "1", own, "substitute"),)
        return (*self.target.substitutes, *(mine if graph.sources.get("kind") == "substitute" else ()))

    def plan(self, design: Designs, prices: Prices, name: str, given: Mapping[str, Any], times: Times) -> Plan:
        """One priced design with its ``times``: (node, start, finish) of the tasks."""
        return Plan(
            id=design.ids[0],
            design=design.show(0),
            values={key: float(column[0]) for key, column in prices.columns.items()},
            units={key: METRICS[key][1].unit for key in prices.columns},
            violations={key: float(column[0]) for key, column in prices.violations.items()},
            workload=self.tables.graph.name,
            target=self.target.name,
            evaluator=name,
            options=dict(given),
            rows=self._rows(*times),
            devices=self._device_rows(*times),
            substitutes=tuple(f"{s.path}: {s.source}" for s in self.substitutes),
        )

    def _rows(self, node: Ints, start: Floats, finish: Floats) -> tuple[PlanRow, ...]:
        """What each task does, in order of its start."""
        names, nodes = self.tables.graph.tasks.name, self.tables.nodes.names
        order = np.lexsort((np.arange(len(names)), start)).tolist()
        return tuple(
            PlanRow(
                names[i],
                {"node": nodes[node[i]] if node[i] >= 0 else "rejected"},
                {"start": float(start[i]), "finish": float(finish[i])},
            )
            for i in order
        )

    def _device_rows(self, node: Ints, start: Floats, finish: Floats) -> tuple[PlanRow, ...]:
        """What each node does."""
        rows = []
        for j, name in enumerate(self.tables.nodes.names):
            mine = np.flatnonzero(node == j)
            busy = float(self.tables.exec[mine, j].sum())
            last = float(finish[mine].max()) if len(mine) else 0.0
            rows.append(PlanRow(name, {"entries": len(mine)}, {"busy": busy, "finish": last}))
        return tuple(rows)

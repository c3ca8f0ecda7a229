"""What an evaluator of list schedules tells optimizers: the task graph itself, and how designs name its schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tradespace.costs import schedules as loops
from tradespace.costs.schedules_tables import Floats, Ints, ScheduleTables
from tradespace.designs import Designs, Space

MINIMISED: Mapping[str, int] = {
    "makespan": loops.MAKESPAN,
    "energy": loops.ENERGY,
    "cost": loops.COST,
    "response": loops.RESPONSE,
    "tardiness": loops.TARDINESS,
    "late": loops.LATE,
}
"""Metrics of schedules that are to be small -> row of `schedules.measure`."""


@dataclass(frozen=True, eq=False)
class TaskStructure:
    """A design is an order (Permutation over the n tasks) and a node for each of the free tasks (Choice), priced by
    `ScheduleTables.price`.

    Args:
        tables: task graph and nodes. insertion: whether gaps are filled.
        order, assignment: names of the variables; ``assignment`` is empty where no task is free.
        free: (F,) tasks whose node is a decision; the others run where they are pinned, or on the only node.
        bound: metric -> a number that no design is below; -inf where none is known. May take a second.
    """

    tables: ScheduleTables
    insertion: bool
    order: str
    assignment: str
    free: Ints
    bound: Callable[[str], float]

    def arrays(self, designs: Designs) -> tuple[Ints, Ints]:
        """(orders, nodes): (N, n) each; orders are topological."""
        node = np.tile(np.maximum(self.tables.graph.tasks.pinned, 0), (len(designs), 1)).astype(np.int32)
        if self.assignment:
            node[:, self.free] = designs.columns[self.assignment]
        return self.tables.canonical(designs.columns[self.order]), node

    def designs(self, space: Space, orders: Ints, nodes: Ints) -> Designs:
        """Designs of orders and nodes, (N, n) each."""
        columns = {self.order: orders}
        if self.assignment:
            columns[self.assignment] = nodes[:, self.free]
        return space.designs(columns)

    def values(self, orders: Ints, nodes: Ints) -> Floats:
        """(N, OUTPUTS) metrics of `schedules`."""
        return np.asarray(self.tables.price(orders, nodes, self.insertion).T)

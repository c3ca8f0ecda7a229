"""What a target says the measured rows should take: every row as a weighted sum of distinct operators.

Rows are priced exactly as the tables engine prices plans (`tradespace.costs.bind.tabulate`), through the device model's
own `table`, so any registered device model can be fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.bind import tabulate
from tradespace.costs.columns import BROKEN, ENERGY, MEMORY_ENERGY, TIME
from tradespace.costs.entries import by_block
from tradespace.costs.fitting_rows import ELEMENTS, SHAPE, Row
from tradespace.costs.tables import COMPUTE_SHARE
from tradespace.errors import InputError, UnknownName
from tradespace.plugins import Registry
from tradespace.precisions import Precision
from tradespace.targets.model import Target
from tradespace.workloads import load_workload
from tradespace.workloads.operators import KINDS, PRICED, Edges, OperatorGraph, Operators

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Rows:
    """Measured rows ready to be priced on any version of the target.

    Args:
        graph: the distinct operators of all rows, one a block.
        owner, operator, repeat: (E,) row, operator and executions: a row is a weighted sum.
        device, precision: (N,) indices.
        measured: (N,) SI; throughput is turned into time.
        energy: (N,) True where `measured` is J.
    """

    graph: OperatorGraph
    owner: Ints
    operator: Ints
    repeat: Floats
    device: Ints
    precision: Ints
    measured: Floats
    energy: NDArray[np.bool_]
    precisions: tuple[Precision, ...]
    kv: Precision
    registry: Registry

    def predict(self, target: Target) -> Floats:
        """(N,) s or J of each row on `target`, which has the devices of the target the rows were read for."""
        share = float(COMPUTE_SHARE.value)
        table = tabulate(
            self.graph, by_block(self.graph), target, self.precisions, self.kv, self.registry, compute_share=share
        )
        device, precision = self.device[self.owner], self.precision[self.owner]
        costs = table.costs[self.operator, device, precision]
        both = costs[:, ENERGY] + costs[:, MEMORY_ENERGY]
        chosen = np.where(self.energy[self.owner], both, costs[:, TIME]) * self.repeat
        return np.asarray(np.bincount(self.owner, chosen, minlength=len(self.measured)), np.float64)

    def broken(self, target: Target) -> Ints:
        """Rows that the target cannot run."""
        share = float(COMPUTE_SHARE.value)
        table = tabulate(
            self.graph, by_block(self.graph), target, self.precisions, self.kv, self.registry, compute_share=share
        )
        bad = table.costs[self.operator, self.device[self.owner], self.precision[self.owner], BROKEN] > 0
        return np.unique(self.owner[bad])


def prepare(rows: Sequence[Row], target: Target, registry: Registry) -> Rows:
    """Load the workloads, gather the distinct operators.

    Raises:
        InputError, UnknownName: a workload that is no operator graph, a kind that does not exist, a row that the target
            cannot run.
    """
    parts: list[Operators] = []
    repeat: list[Floats] = []
    measured: list[float] = []
    graphs: dict[str, OperatorGraph] = {}
    for row in rows:
        value = row.value
        if row.is_job:
            graph = graphs.setdefault(repr(row.subject), _graph(row, registry))
            parts.append(graph.operators)
            repeat.append(graph.operators.repeat)
            value = graph.tokens / value if row.quantity == "throughput" else value
        else:
            parts.append(_operator(row))
            repeat.append(np.ones(1))
        measured.append(value)
    operators = _concatenated(parts)
    unique, index = _distinct(operators)
    names = [device.name for device in target.devices]
    used = tuple(dict.fromkeys(row.precision for row in rows))
    found = Rows(
        graph=unique,
        owner=np.repeat(np.arange(len(rows)), [len(part) for part in parts]),
        operator=index,
        repeat=np.concatenate(repeat),
        device=np.array([names.index(row.device) for row in rows], np.intp),
        precision=np.array([used.index(row.precision) for row in rows], np.intp),
        measured=np.array(measured),
        energy=np.array([row.quantity == "energy" for row in rows]),
        precisions=tuple(registry.load("precisions", name) for name in used),
        kv=registry.load("precisions", "fp16"),
        registry=registry,
    )
    bad = found.broken(target)
    if bad.size:
        row = rows[int(bad[0])]
        raise InputError(
            f"device '{row.device}' of target '{target.name}' runs what was measured on it",
            value=f"{row.label} in {row.precision}", where=f"line {row.line}",
            remedy="Name another device or precision, or extend the device's 'runs' and peaks.",
        )  # fmt: skip
    return found


def _graph(row: Row, registry: Registry) -> OperatorGraph:
    workload = load_workload(dict(row.subject), registry)
    if not isinstance(workload, OperatorGraph):
        raise InputError("only operator graphs are fitted", value=workload.kind, where=f"line {row.line}")
    return workload


def _operator(row: Row) -> Operators:
    """One operator as a struct of arrays of length 1."""
    kind = row.subject["kind"]
    if kind not in KINDS:
        raise UnknownName("operator kind", str(kind)[:80], KINDS, where=f"line {row.line}")
    columns = {name: np.array([row.subject[name]]) for name in (*SHAPE, *ELEMENTS)}
    zero, one = np.zeros(1), np.ones(1)
    return Operators(
        name=("operator",), kind=(kind,), block=np.zeros(1, np.int32), repeat=one, weights_resident=zero,
        kv_resident=zero, **columns,
    )  # fmt: skip


def _concatenated(parts: Sequence[Operators]) -> Operators:
    columns: dict[str, Any] = {}
    for field in fields(Operators):
        values = [getattr(part, field.name) for part in parts]
        columns[field.name] = sum(values, ()) if isinstance(values[0], tuple) else np.concatenate(values)
    return Operators(**columns)


def _distinct(operators: Operators) -> tuple[OperatorGraph, Ints]:
    """The graph of distinct operators, one a block and executed once, and which of them each row of `operators` is."""
    kinds = np.array([KINDS.index(kind) for kind in operators.kind], np.float64)
    table = np.column_stack([kinds, *(getattr(operators, column) for column in PRICED)])
    _, first, index = np.unique(table, axis=0, return_index=True, return_inverse=True)
    rows = operators.take(first)
    count = len(first)
    names = tuple(f"operator{i}" for i in range(count))
    own = {field.name: getattr(rows, field.name) for field in fields(Operators)}
    own |= {"name": names, "block": np.arange(count, dtype=np.int32), "repeat": np.ones(count)}
    nothing = np.zeros(0, np.int32)
    edges = Edges(nothing, nothing, np.zeros(0), np.zeros(0))
    return OperatorGraph("measurements", Operators(**own), names, edges), index.reshape(-1)

"""A workload tied to a target: entries, formats, dense tables for every number of samples, and the design space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.bind import EntryTables, tabulate
from tradespace.costs.columns import BROKEN, RESIDENT, TIME
from tradespace.costs.entries import Entries, by_block, by_operator
from tradespace.costs.options import TableOptions, choose_precisions
from tradespace.costs.samples import with_samples
from tradespace.designs import Choice, Composition, Designs, Space, Variable
from tradespace.plugins import Registry
from tradespace.precisions import Precision
from tradespace.problem import Declined
from tradespace.targets.model import Target
from tradespace.workloads.operators import OperatorGraph

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Binding:
    """Everything about a pair that does not depend on a design. ``tables`` holds one `EntryTables` per sample count."""

    graph: OperatorGraph
    target: Target
    options: TableOptions
    entries: Entries
    precisions: tuple[Precision, ...]
    samples: tuple[int, ...]
    tables: tuple[EntryTables, ...]

    @cached_property
    def space(self) -> Space:
        names, n = tuple(d.name for d in self.target.devices), len(self.entries.names)
        placement: Variable = Choice("placement", names, n, self.entries.names)
        if self.options.placement == "contiguous":
            placement = Composition("placement", n, len(names), entries=names)
        variables = [placement, Choice("precision", tuple(p.name for p in self.precisions), n, self.entries.names)]
        if len(self.samples) > 1:
            variables.append(Choice("k", self.samples))
        return Space(*variables)

    @cached_property
    def costs(self) -> Floats:
        """(K, n, D, P, COLUMNS)."""
        return np.stack([t.costs for t in self.tables])

    @property
    def broken(self) -> NDArray[np.bool_]:
        """(n, D, P) pairs that cannot run."""
        return np.asarray(self.tables[0].costs[..., BROKEN] > 0)

    def codes(self, designs: Designs) -> tuple[Codes, Codes, NDArray[np.int64]]:
        """placement and precision (N, n) int8 device and format indices, and (N,) the row of `tables`."""
        placement = designs["placement"]
        if self.options.placement == "contiguous":
            ends = np.cumsum(placement, axis=1)
            placement = (np.arange(len(self.entries.names))[None, None, :] >= ends[:, :, None]).sum(axis=1)
        variant = designs["k"].astype(np.int64) if len(self.samples) > 1 else np.zeros(len(designs), np.int64)
        precision = np.ascontiguousarray(designs["precision"], dtype=np.int8)
        return np.ascontiguousarray(placement, dtype=np.int8), precision, variant

    @cached_property
    def _moves(self) -> NDArray[np.int8] | None:
        """(n, D, P) the device a block goes to; None if everything runs everywhere."""
        broken = np.asarray(self.broken)
        if not broken.any() or self.options.placement == "contiguous":
            return None
        n, d, p = broken.shape
        fastest = np.where(broken, np.inf, self.costs[0, ..., TIME]).argmin(axis=1)  # (n, P); 0 where none runs
        own = np.broadcast_to(np.arange(d)[None, :, None], (n, d, p))
        nowhere = np.all(broken, axis=1, keepdims=True)
        return np.where(broken & ~nowhere, fastest[:, None, :], own).astype(np.int8)

    def repair(self, designs: Designs) -> Designs:
        """What a device cannot run in its precision moves to the fastest device that can; if none can, it stays."""
        moves = self._moves
        if moves is None:
            return designs
        placement, precision = designs.columns["placement"], designs.columns["precision"]
        moved = moves[np.arange(placement.shape[1])[None, :], placement, precision]
        return Designs(designs.space, {**designs.columns, "placement": moved.astype(placement.dtype)})


def bind(
    graph: OperatorGraph, target: Target, options: TableOptions, registry: Registry, *, compute_share: float
) -> Binding:
    """Tabulate. Never fails for a pair that `accepts` took.

    Formats that no device runs are not offered, unless the user asked for them; if none of the usual ones is left,
    every known format that some device runs is.
    """
    for precisions in choose_precisions(options, graph.native_precision, registry):
        bound = _bind(graph, target, options, registry, precisions, compute_share)
        dead = np.all(bound.broken, axis=(0, 1)).tolist()
        able = [p for p, nowhere in zip(precisions, dead, strict=True) if not nowhere]
        if options.precisions is not None or len(able) == len(precisions):
            return bound
        if able:
            return _bind(graph, target, options, registry, tuple(able), compute_share)
    return bound


def _bind(
    graph: OperatorGraph,
    target: Target,
    options: TableOptions,
    registry: Registry,
    precisions: tuple[Precision, ...],
    compute_share: float,
) -> Binding:
    samples = options.samples or (graph.samples,)
    kv = registry.load("precisions", options.kv_precision)
    graphs = [with_samples(graph, k) for k in samples]
    entries = [_entries(g, target, options.per) for g in graphs]
    tables = tuple(
        tabulate(g, e, target, precisions, kv, registry, compute_share=compute_share, dasi=options.dasi)
        for g, e in zip(graphs, entries, strict=True)
    )
    return Binding(graph, target, options, entries[0], precisions, samples, tables)


def accepts(workload: object, target: Target) -> bool | Declined:
    """True, or which operator kinds no device of the target runs."""
    if getattr(workload, "kind", None) != OperatorGraph.kind or not isinstance(workload, OperatorGraph):
        kind = getattr(workload, "kind", type(workload).__name__)
        return Declined(f"prices operator graphs, not {kind}", other_kind=True)
    if not 1 <= len(target.devices) <= 127:
        return Declined(f"places on 1 to 127 devices; the target has {len(target.devices)}")
    runs = {kind for device in target.devices for kind in device.runs}
    ops = workload.operators
    missing = sorted(set(ops.kind) - runs)
    if missing:
        first = next(name for name, kind in zip(ops.name, ops.kind, strict=True) if kind in missing)
        return Declined(f"no device of the target runs {missing} (first: '{first}'); devices run {sorted(runs)}")
    return True


def _entries(graph: OperatorGraph, target: Target, per: str | None) -> Entries:
    """Blocks by default; operators if some block has kinds that no single device runs."""
    if per is None:
        kinds = [set() for _ in graph.blocks]  # type: list[set[str]]
        for block, kind in zip(graph.operators.block.tolist(), graph.operators.kind, strict=True):
            kinds[block].add(kind)
        whole = all(any(k <= set(d.runs) for d in target.devices) for k in kinds)
        per = "block" if whole else "operator"
    return by_block(graph) if per == "block" else by_operator(graph)


def lowest(binding: Binding, column: int) -> Floats:
    """(n, D * P) of a cost column, at the sample count where it is smallest."""
    table = binding.costs[..., column].min(axis=0)
    return np.asarray(table.reshape(len(table), -1))


def resident_minorant(binding: Binding) -> Floats:
    """(n, D, P) bytes whose sum never exceeds what is resident: a tied table is taken off its second entry."""
    table = np.array(binding.costs[..., RESIDENT].min(axis=0))
    first = binding.tables[0]
    for (_, b), saved in zip(first.tie_entries.tolist(), first.tie_bytes, strict=True):
        table[b] -= saved[None, :]
    return table

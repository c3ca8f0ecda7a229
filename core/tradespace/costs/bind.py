"""An operator graph on a target as dense arrays: what each entry costs on each device in each precision.

Everything is per job: an operator's cost per execution times its repeats. Formulas:

- bytes = weights in their format + activations (`activation_bits`) + KV in the KV precision + what a model refetches
  - activations that it keeps on the chip
- time  = max(device model's time, bytes / bandwidth) + launch overhead, bandwidth = min(device, memory)
- DASI  = device model's time / max(...) per operator; a block's is the mean weighted by time (ours, see `qeil`)
- energy = idle power * time + dynamic power * (a * arithmetic time + (1 - a) * memory time): the device's maximum
  dynamic power split by which of its halves is busy (ours). A model's own `energy` column replaces the second part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.columns import BROKEN, COLUMNS, ENERGY, LOSS, MEMORY_ENERGY, MOVED, RESIDENT, TIME, USEFUL
from tradespace.costs.contract import Column, CostTable, Part, Run
from tradespace.costs.entries import Entries
from tradespace.plugins import Registry
from tradespace.precisions import Precision
from tradespace.targets.model import Device, Target
from tradespace.workloads.operators import OperatorGraph, Operators

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

FILLER = 10.0
"""A pair that cannot run costs this many times the worst one that can: finite, and never attractive."""


@dataclass(frozen=True)
class EntryTables:
    """Costs of n entries on D devices in P precisions, and of moving data between them.

    Args:
        costs: (n, D, P, COLUMNS).
        edge_source, edge_dest: (E,) entries.
        edge_time, edge_energy: (E, P, D, D) s and J per job: source's precision, source device, destination device.
        ties: (entry a, entry b) rows and (T, P) bytes saved when both are in one memory in that precision.
        extra: further columns of the device models, (n, D, P) each, 0 on devices without them.
        tokens: tokens per job.
        described: what the models say of their further columns.
    """

    costs: Floats
    edge_source: Ints
    edge_dest: Ints
    edge_time: Floats
    edge_energy: Floats
    tie_entries: Ints  # (T, 2)
    tie_bytes: Floats  # (T, P)
    tokens: float
    extra: dict[str, Floats] = field(default_factory=dict)
    described: dict[str, Column] = field(default_factory=dict)


def tabulate(
    graph: OperatorGraph,
    entries: Entries,
    target: Target,
    precisions: Sequence[Precision],
    kv: Precision,
    registry: Registry,
    *,
    compute_share: float,
    dasi: bool = True,
) -> EntryTables:
    """Price each distinct operator once per device and add up per entry.

    Args:
        compute_share: `a`, the share of dynamic power that arithmetic draws at peak; memory traffic draws the rest.
        dasi: False counts every busy device as fully utilised (ablation).
    """
    distinct, index = graph.distinct()
    pricing = _Pricing(target, precisions, kv, registry, compute_share, dasi)
    n, count = len(entries.names), len(precisions)
    costs = np.zeros((n, len(target.devices), count, COLUMNS))
    extra, copies = dict[str, Floats](), np.ones(len(target.devices))
    for d, device in enumerate(target.devices):
        table, columns = pricing.of(distinct, device)
        copies[d] = table.copies
        per_job = columns[index] * graph.operators.repeat[:, None, None]
        np.add.at(costs[:, d], entries.owner, per_job)
        for name, column in table.columns.items():
            extra.setdefault(name, np.zeros(costs.shape[:3]))
            np.add.at(extra[name][:, d], entries.owner, column[index] * graph.operators.repeat[:, None])
    models = [registry.load("device_models", device.model) for device in target.devices]
    costs[..., RESIDENT] = resident_bytes(graph, entries, precisions, kv)[:, None, :] / copies[None, :, None]
    costs[..., LOSS] = loss_shares(graph, entries, precisions)[:, None, :]
    _fill_broken(costs)
    for column in extra.values():
        _fill(column, costs[..., BROKEN] > 0)
    time, energy = _transfers(entries, target, precisions)
    ties = entries.ties
    saved = np.array([[float(p.bytes(t[2])) for p in precisions] for t in ties]).reshape(len(ties), count)
    return EntryTables(
        costs,
        entries.edges.source.astype(np.int32),
        entries.edges.dest.astype(np.int32),
        time,
        energy,
        np.array([t[:2] for t in ties], np.int32).reshape(len(ties), 2),
        saved,
        graph.tokens,
        extra,
        {name: column for model in models for name, column in getattr(model, "columns", {}).items()},
    )


def operator_times(
    operators: Operators,
    device: Device,
    target: Target,
    precisions: Sequence[Precision],
    kv: Precision,
    registry: Registry,
) -> Floats:
    """(n, P) s of one execution of each operator, as `tabulate` counts it."""
    _, columns = _Pricing(target, precisions, kv, registry, 0.5, True).of(operators, device)
    return np.asarray(columns[..., TIME])


def operator_bytes(operators: Operators, precisions: Sequence[Precision], kv: Precision) -> Floats:
    """(n, P) bytes between memory and device per execution."""
    cached = kv.bytes(operators.kv_read) + kv.bytes(operators.kv_write)
    active = operators.act_in + operators.act_out
    return np.stack(
        [p.bytes(operators.weights) + active * (p.activation_bits / 8) + cached for p in precisions], axis=1
    )


def resident_bytes(graph: OperatorGraph, entries: Entries, precisions: Sequence[Precision], kv: Precision) -> Floats:
    """(entries, P) bytes that stay in memory: weights and KV cache. Activations reuse one small buffer, not counted."""
    ops = graph.operators
    cached = kv.bytes(ops.kv_resident)
    rows = np.stack([p.bytes(ops.weights_resident) + cached for p in precisions], axis=1)
    out = np.zeros((len(entries.names), len(precisions)))
    np.add.at(out, entries.owner, rows)
    return out


def loss_shares(graph: OperatorGraph, entries: Entries, precisions: Sequence[Precision]) -> Floats:
    """(entries, P) what each entry adds to `loss`: its share of the stored weights times the format's NMSE (ours)."""
    weights = np.zeros(len(entries.names))
    np.add.at(weights, entries.owner, graph.operators.weights_resident)
    share = weights / (weights.sum() or 1.0)
    return np.asarray(share[:, None] * np.array([p.nmse for p in precisions])[None, :])


@dataclass(frozen=True)
class _Pricing:
    """What pricing operators on any device of a target needs."""

    target: Target
    precisions: Sequence[Precision]
    kv: Precision
    registry: Registry
    share: float
    dasi: bool

    def of(self, ops: Operators, device: Device) -> tuple[CostTable, Floats]:
        """The model's dense table, and (n, P, COLUMNS) per execution."""
        memory, where = self.target.memories[device.memory], f"device model '{device.model}'"
        moved = operator_bytes(ops, self.precisions, self.kv)
        model = self.registry.load("device_models", device.model)()
        parts = tuple(self.part(name) for name in device.of)
        given = model.table(ops, device, self.precisions, *([parts] if parts else []))
        table = given.dense(len(ops), len(self.precisions), where)
        moved = moved + table.refetched if table.refetched is not None else moved
        moved = np.maximum(moved - table.kept, 0.0) if table.kept is not None else moved
        arithmetic, share = table.time, self.share
        traffic = moved / (min(device.bandwidth, memory.bandwidth) * table.copies)
        work = np.maximum(arithmetic, traffic)
        overhead = device.launch_overhead + (table.overhead if table.overhead is not None else 0.0)
        time = work + overhead
        power = device.dynamic_power * table.copies
        if table.energy is not None:
            dynamic = table.energy
        elif self.dasi:
            dynamic = power * (share * arithmetic + (1 - share) * traffic)
        else:
            dynamic = power * work
        kinds = ~np.isin(np.array(ops.kind), device.runs)
        broken = (table.unsupported if table.unsupported is not None else False) | kinds[:, None]
        columns = np.zeros((*time.shape, COLUMNS))
        columns[..., TIME] = time
        columns[..., ENERGY] = device.idle_power * table.copies * time + dynamic
        columns[..., USEFUL] = arithmetic if self.dasi else work
        columns[..., MOVED] = moved / table.copies  # what each of the memories sees
        columns[..., MEMORY_ENERGY] = moved * memory.energy_per_byte
        columns[..., BROKEN] = broken
        return table, columns

    def part(self, name: str) -> Part:
        """A device as a part of a composite one."""
        device = self.target.device(name)

        def run(ops: Operators) -> Run:
            table, columns = self.of(ops, device)
            time, moved = columns[..., TIME], columns[..., MOVED]
            overhead = np.zeros_like(time) + device.launch_overhead
            overhead += table.overhead if table.overhead is not None else 0.0
            energy = columns[..., ENERGY] - device.idle_power * table.copies * time
            return Run(time - overhead, overhead, energy, moved, columns[..., BROKEN] > 0)

        return Part(device, self.target.memories[device.memory].handoff, run)


def _fill_broken(costs: Floats) -> None:
    """Mark entries that cannot run somewhere (0 or 1) and give them finite, bad prices."""
    broken = costs[..., BROKEN] > 0
    costs[..., BROKEN] = broken
    for column in (TIME, ENERGY):
        _fill(costs[..., column], broken)
    costs[..., USEFUL] = np.where(broken, 0.0, costs[..., USEFUL])


def _fill(column: Floats, broken: NDArray[np.bool_]) -> None:
    worst = np.where(broken, 0.0, column).max(axis=(1, 2), keepdims=True)
    column[...] = np.where(broken, FILLER * np.maximum(worst, column.max(initial=0.0) * 1e-6), column)


def _transfers(entries: Entries, target: Target, precisions: Sequence[Precision]) -> tuple[Floats, Floats]:
    """(E, P, D, D) s and J per job for each edge: `count` times the latency, plus all bytes over the bandwidth."""
    edges, names = entries.edges, [d.name for d in target.devices]
    paths = [[target.path(a, b) for b in names] for a in names]
    inverse = np.array([[1.0 / p.bandwidth if np.isfinite(p.bandwidth) else 0.0 for p in row] for row in paths])
    latency = np.array([[p.latency for p in row] for row in paths])
    joule = np.array([[p.energy_per_byte for p in row] for row in paths])
    width = np.array([p.activation_bits / 8 for p in precisions])
    size = (edges.elements * edges.count)[:, None] * width[None, :]  # (E, P) bytes per job
    time = edges.count[:, None, None, None] * latency + size[:, :, None, None] * inverse
    return time, size[:, :, None, None] * joule

"""Dense tables packed for the compiled loop: entries that cost the same share rows, so the tables stay in cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs import kernel, thermal
from tradespace.costs.binding import Binding
from tradespace.costs.columns import COLUMNS
from tradespace.costs.compiled import in_two

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Packed:
    """Arguments of `kernel.price`; shapes are given there."""

    costs: Floats
    cls: Ints
    edge_source: Ints
    edge_dest: Ints
    edge_cls: Ints
    edge_time: Floats
    edge_energy: Floats
    ties: Ints
    saved: Floats
    home: Ints
    devices: Floats
    memories: Floats
    tokens: Floats
    rules: Floats

    @property
    def rows(self) -> int:
        return kernel.GLOBALS + kernel.PER_DEVICE * len(self.devices) + len(self.memories)

    def run(self, placement: NDArray[np.int8], precision: NDArray[np.int8], variant: NDArray[np.int64]) -> Floats:
        """(rows, N) of the kernel's output."""
        out = np.empty((self.rows, len(placement)))
        fixed = (
            placement, precision, variant, self.costs, self.cls, self.edge_source, self.edge_dest, self.edge_cls,
            self.edge_time, self.edge_energy, self.ties, self.saved, self.home, self.devices, self.memories,
            self.tokens, self.rules, out,
        )  # fmt: skip
        in_two(lambda lo, hi: kernel.price(*fixed, lo, hi), len(placement))
        return out


def pack(binding: Binding, rules: Floats) -> Packed:
    costs, target, first = binding.costs, binding.target, binding.tables[0]
    k, n, d, p, _ = costs.shape
    rows, cls = _classes(np.moveaxis(costs, 1, 0).reshape(n, -1))
    packed = np.moveaxis(rows.reshape(-1, k, d * p, COLUMNS), 0, 1)
    times = np.stack([t.edge_time for t in binding.tables], axis=1)  # (E, K, P, D, D)
    joules = np.stack([t.edge_energy for t in binding.tables], axis=1)
    edges = len(times)
    both, edge_cls = _classes(
        np.concatenate([times.reshape(edges, k * p * d * d), joules.reshape(edges, k * p * d * d)], axis=1)
    )
    split = np.moveaxis(both.reshape(len(both), 2, k, p, d, d), 0, 2)  # (2, K, classes, P, D, D)
    names = list(target.memories)
    return Packed(
        costs=_solid(packed),
        cls=cls,
        edge_source=first.edge_source,
        edge_dest=first.edge_dest,
        edge_cls=edge_cls,
        edge_time=_solid(split[0]),
        edge_energy=_solid(split[1]),
        ties=first.tie_entries,
        saved=_solid(first.tie_bytes),
        home=np.array([names.index(device.memory) for device in target.devices], np.int32),
        devices=_solid(np.stack([device_row(device) for device in target.devices])),
        memories=np.array([[m.capacity, m.bandwidth] for m in target.memories.values()], np.float64),
        tokens=np.array([t.tokens for t in binding.tables], np.float64),
        rules=rules,
    )


def device_row(device: Any) -> Floats:
    """(DEVICE_COLUMNS,) constants of one device as the kernel reads them."""
    heat = thermal.constants(
        device.ambient,
        device.thermal_resistance,
        device.max_temperature,
        device.leakage_power,
        device.reference_temperature,
        device.leakage_scale,
    )
    return np.concatenate([heat, [device.idle_power, device.capacity]])


def _solid(array: Floats) -> Floats:
    return np.ascontiguousarray(array, dtype=np.float64)


def _classes(table: Floats) -> tuple[Floats, Ints]:
    """Distinct rows in order of first appearance, and (n,) which of them each row is."""
    if not len(table):
        return table, np.zeros(0, np.int32)
    _, first, index = np.unique(table, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return table[first[order]], rank[index.reshape(-1)].astype(np.int32)

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
Longs = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Packed:
    """Arguments of `kernel.price`; shapes are given there."""

    costs: Floats
    offset: Longs
    links: Floats
    edges: Longs
    ties: Ints
    saved: Floats
    home: Ints
    devices: Floats
    memories: Floats
    tokens: Floats
    rules: Floats

    @property
    def rows(self) -> int:
        return kernel.GLOBALS + kernel.GROUPS * len(self.devices) + len(self.memories)

    def run(self, placement: NDArray[np.int8], precision: NDArray[np.int8], variant: NDArray[np.int64]) -> Floats:
        """(rows, N) of the kernel's output. Rows lie one cache line off a multiple of 4096 B apart."""
        n = len(placement)
        out = np.empty((self.rows, -(-n // 512) * 512 + 8))
        fixed = (
            placement, precision, variant, self.costs, self.offset, self.links, self.edges, self.ties, self.saved,
            self.home, self.devices, self.memories, self.tokens, self.rules, out,
        )  # fmt: skip
        in_two(lambda lo, hi: kernel.price(*fixed, lo, hi), n)
        return out[:, :n]


def pack(binding: Binding, rules: Floats) -> Packed:
    costs, target, first = binding.costs, binding.target, binding.tables[0]
    k, n, d, p, _ = costs.shape
    rows, cls = _classes(np.moveaxis(costs, 1, 0).reshape(n, -1))
    packed = np.moveaxis(rows.reshape(-1, k, d * p, COLUMNS), 0, 1)
    both = np.stack([np.stack([t.edge_time, t.edge_energy], axis=-1) for t in binding.tables], axis=1)
    ends, both = _merged(np.column_stack([first.edge_source, first.edge_dest]), both)  # both: (E, K, P, D, D, 2)
    links, edge_cls = _classes(both.reshape(len(both), k * p * d * d * 2))
    names = list(target.memories)
    edges = np.column_stack([ends, edge_cls * (p * d * d * 2)])
    return Packed(
        costs=_solid(packed).reshape(-1),
        offset=cls.astype(np.int64) * (d * p * COLUMNS),
        links=_solid(np.moveaxis(links.reshape(len(links), k, p * d * d * 2), 0, 1)).reshape(-1),
        edges=np.ascontiguousarray(edges, dtype=np.int64),
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


def _merged(ends: Ints, tables: Floats) -> tuple[Ints, Floats]:
    """One edge for each pair of entries: tensors between the same two (both phases of a request) add up."""
    if not len(ends):
        return ends, tables
    unique, index = np.unique(ends, axis=0, return_inverse=True)
    out = np.zeros((len(unique), *tables.shape[1:]))
    np.add.at(out, index.reshape(-1), tables)
    return unique, out


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

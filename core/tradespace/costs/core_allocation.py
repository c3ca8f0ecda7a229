"""Layers on cores of limited memory: how many cores a layer needs, and how many passes a chip that is too small takes.

Ours, checked against the core counts that a vendor's mapper gives for its model zoo (study `snn-neuromorphic`): a
layer whose filters exceed a core's weight memory is split by filters, one whose map exceeds its map memory by regions
of the map; both splits multiply. Layers are laid down in their order; the layer that no longer fits opens a new pass,
for which the cores are loaded anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from tradespace.workloads.operators import OperatorGraph, Operators

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_PASSES = 1e9


@dataclass(frozen=True, slots=True)
class CoreLimits:
    """What one core holds.

    Args:
        weights, maps: B of weights, and of one region of a map.
        neurons, fan_in: most outputs of a core and inputs of an output; 0: no limit.
        shared: a convolution stores its filters once a core; False: every synapse.
        streams: dense layers that do not fit take one core and stream their weights.
    """

    weights: float
    maps: float
    neurons: float = 0.0
    fan_in: float = 0.0
    shared: bool = True
    streams: bool = False


def splits(weights: ArrayLike, maps: ArrayLike, neurons: ArrayLike, fan_in: ArrayLike, limits: CoreLimits) -> Floats:
    """(n,) cores of layers of so many B of weights and of their larger map, outputs, and inputs an output."""
    by_filter = np.maximum(np.ceil(np.asarray(weights, np.float64) / limits.weights), 1.0)
    by_region = np.maximum(np.ceil(np.asarray(maps, np.float64) / limits.maps), 1.0)
    cores = by_filter * by_region if limits.shared else np.maximum(by_filter, by_region)
    if limits.neurons > 0:
        cores = np.maximum(cores, np.ceil(np.asarray(neurons, np.float64) / limits.neurons))
    if limits.fan_in > 0:
        cores = cores * np.maximum(np.ceil(np.asarray(fan_in, np.float64) / limits.fan_in), 1.0)
    return np.asarray(cores)


def cores_of(ops: Operators, bits: float, limits: CoreLimits) -> Floats:
    """(n,) cores of each operator on its own; activations have the bits of the weights."""
    return unit_cores(ops, [np.array([row]) for row in range(len(ops))], bits, limits)


def units_of(graph: OperatorGraph) -> list[NDArray[np.intp]]:
    """Operators that share cores: every product, with the depthwise convolution that feeds it before (a separable
    layer), and what is no product (pooling, additions) with the product before it, where its results leave the core.

    Operators in front of the first product belong to it.
    """
    ops = graph.operators
    found: list[list[int]] = []
    waits = True  # the last unit still lacks the product that completes it
    for row in range(len(ops)):
        product = ops.macs[row] > 0
        if found and (waits or not product):
            found[-1].append(row)
        else:
            found.append([row])
        if product:
            waits = bool(ops.count[row] > 1 and ops.n[row] == 1)
    return [np.array(rows, np.intp) for rows in found]


def images_of(ops: Operators) -> Floats:
    """(n,) independent inputs of each operator: pictures of a convolution, rows of a product; at least 1."""
    positions = np.maximum(ops.out_height * ops.out_width, 1.0)
    return np.maximum(np.where(ops.m > 0, ops.m / positions, 1.0), 1.0)


def unit_cores(ops: Operators, units: list[NDArray[np.intp]], bits: float, limits: CoreLimits) -> Floats:
    """(U,) cores of units of operators: all their weights, and the larger of the map that enters
    and the one that leaves, which is pooled already where pooling follows."""
    wide, images = bits / 8, images_of(ops)
    stored = ops.weights if limits.shared else np.where(ops.macs > 0, ops.macs / images, ops.weights)
    weights, maps, neurons, fan_in = (np.zeros(len(units)) for _ in range(4))
    dense = np.zeros(len(units), bool)
    for at, rows in enumerate(units):
        own = [row for row in rows.tolist() if ops.macs[row] > 0] or rows.tolist()
        first, last = own[0], own[-1]
        weights[at] = float(stored[own].sum()) * wide
        leaves = ops.act_out[rows[-1]] / images[last]
        maps[at] = max(ops.act_in[first] / images[first], leaves) * wide
        neurons[at], fan_in[at] = ops.act_out[last] / images[last], float(ops.k[own].max())
        dense[at] = ops.kind[last] == "matmul"
    cores = splits(weights, maps, neurons, fan_in, limits)
    return np.where(dense & limits.streams, 1.0, cores)


def passes(cores: ArrayLike, available: float) -> tuple[Ints, Ints]:
    """(N,) passes and (N, U) the pass in which each unit ends, for (N, U) cores of units in order.

    A unit that no longer fits beside those before it opens a new pass; one that the whole chip cannot hold takes as
    many passes as it needs, and the next unit may use what its last one leaves.
    """
    need = np.atleast_2d(np.asarray(cores, np.float64))
    used, now = np.zeros(len(need)), np.zeros(len(need), np.int64)
    ends = np.zeros(need.shape, np.int64)
    for unit in range(need.shape[1]):
        ask = need[:, unit]
        opens = (used > 0) & (used + ask > available)
        now = now + opens
        total = np.where(opens, 0.0, used) + ask
        more = np.minimum(np.maximum(np.ceil(total / available) - 1.0, 0.0), MAX_PASSES)
        now = now + more.astype(np.int64)
        used = np.maximum(total - more * available, 0.0)
        ends[:, unit] = now
    return now + 1, ends

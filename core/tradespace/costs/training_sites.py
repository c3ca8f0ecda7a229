"""What a training step runs on, and how: sites, rules that hold for every design, and the designs as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.collectives import Transport

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OPTIMIZERS = ("sharded", "replicated", "zero-1")
"""sharded: reduce-scatter of gradients, all-gather of parameters (distributed optimizer); replicated: all-reduce of
gradients; zero-1: all-reduce of gradients, then all-gather of the parameters that each rank updated."""


@dataclass(frozen=True)
class Sites:
    """C sites, all arrays (C,) unless said otherwise.

    Args:
        ranks: accelerators of a site; node: of one of its nodes.
        rate: FLOP/s one accelerator attains in training; bandwidth: B/s of its memory; capacity: B of it.
        fabric: between accelerators of a node, a port each; network: between nodes, a port a node.
        between: (C, C) from a node of one site to a node of another.
        idle, dynamic: W of one accelerator.
        shared: (C,) number of the memory, equal where devices share one.
    """

    names: tuple[str, ...]
    ranks: Ints
    node: Ints
    rate: Floats
    bandwidth: Floats
    capacity: Floats
    fabric: Transport
    network: Transport
    between: Transport
    idle: Floats
    dynamic: Floats
    shared: Ints

    def __len__(self) -> int:
        return len(self.names)

    def alike(self, site: int) -> Sites:
        """Every site with the rates and the network of one, joined by that network: what a homogeneous run would be."""
        size = len(self)

        def of(values: NDArray[np.float64]) -> Floats:
            return np.full(size, values[site])

        network = Transport(of(self.network.bandwidth), of(self.network.latency))
        joined = Transport(np.full((size, size), network.bandwidth[0]), np.full((size, size), network.latency[0]))
        fabric = Transport(of(self.fabric.bandwidth), of(self.fabric.latency))
        return Sites(
            self.names, self.ranks, self.node, of(self.rate), of(self.bandwidth), self.capacity, fabric, network,
            joined, self.idle, self.dynamic, self.shared,
        )  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """What holds for every design.

    Args:
        optimizer: one of `OPTIMIZERS`.
        gradient_bytes: of a gradient element that is exchanged.
        sequence_parallel: norms and additions are split over the tensor-parallel group.
        aware: communicators keep to the sites of their members; else all traffic between nodes uses the slowest
            transport of all sites in use.
        hierarchical: data-parallel collectives run inside nodes first; else in one ring through all ranks (NCCL).
    """

    optimizer: str
    gradient_bytes: float
    sequence_parallel: bool
    aware: bool
    hierarchical: bool = False


@dataclass(frozen=True)
class Layout:
    """N designs as arrays: ``stages`` and ``layers`` (N, C) of each site; tensor, expert, micro, chunks, recompute
    (N,); overlap (N,) bool. Every site in use has at least as many layers as stages, and layers add up to the job's."""

    stages: Ints
    layers: Ints
    tensor: Ints
    expert: Ints
    micro: Ints
    chunks: Ints
    recompute: Ints
    overlap: NDArray[np.bool_]

    def take(self, rows: Ints) -> Layout:
        return Layout(*(getattr(self, name)[rows] for name in Layout.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.tensor)

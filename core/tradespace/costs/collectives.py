"""Collective communication by the alpha-beta model, on any topology of levels.

A communicator is a sequence of levels, innermost first: ranks inside a node, then nodes, then clusters. At each level
``ranks`` members exchange through ports that carry ``bandwidth`` B/s after ``latency`` s. A communicator uses one
transport at a level, the slowest that two of its members have in common (`slowest`): NCCL falls back as a whole.
Everything broadcasts over arrays of designs. Formulas: Thakur, Rabenseifner, Gropp, "Optimization of collective
communication operations in MPICH", IJHPCA 19(1), 2005; trees: Sanders, Speck, Traeff, Parallel Computing 35, 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Transport:
    """A way between two ranks. Numbers, or arrays over designs: B/s of one port in one direction, s a message."""

    bandwidth: Any
    latency: Any = 0.0

    def time(self, size: Any) -> Floats:
        """s for ``size`` bytes from one port to another."""
        return np.asarray(self.latency + np.asarray(size, np.float64) / self.bandwidth)


@dataclass(frozen=True)
class Level:
    """``ranks`` members that exchange through ``transport``; ``sharing`` communicators use one port at a time."""

    ranks: Any
    transport: Transport
    sharing: Any = 1.0


def slowest(transports: Sequence[Transport]) -> Transport:
    """What a communicator whose members are joined by several transports uses for all of its traffic.

    Raises:
        InputError: no transport at all.
    """
    if not transports:
        raise InputError("a communicator has at least one transport")
    bandwidth, latency = transports[0].bandwidth, transports[0].latency
    for transport in transports[1:]:
        bandwidth, latency = np.minimum(bandwidth, transport.bandwidth), np.maximum(latency, transport.latency)
    return Transport(bandwidth, latency)


def point_to_point(size: Any, transport: Transport, sharing: Any = 1.0) -> Floats:
    """s for one message of ``size`` bytes while ``sharing`` of them leave through one port."""
    return transport.time(np.asarray(size, np.float64) * sharing)


def ring(size: Any, level: Level) -> Floats:
    """s of a ring reduce-scatter, or of a ring all-gather, of ``size`` bytes: p - 1 steps of size / p each."""
    p = np.maximum(np.asarray(level.ranks, np.float64), 1.0)
    share = np.asarray(size, np.float64) * level.sharing / p
    return np.asarray((p - 1.0) * (level.transport.latency + share / level.transport.bandwidth))


def reduce_scatter(size: Any, levels: Sequence[Level]) -> Floats:
    """s until each rank holds its share of the sum of ``size`` bytes: rings level by level, innermost first; what is
    left for the next level is the share of one rank."""
    rest, total = np.asarray(size, np.float64), np.zeros(())
    for level in levels:
        total = total + ring(rest, level)
        rest = rest / np.maximum(np.asarray(level.ranks, np.float64), 1.0)
    return np.asarray(total)


def all_gather(size: Any, levels: Sequence[Level]) -> Floats:
    """s until each rank holds all ``size`` bytes, of which it had one share: the same steps in reverse."""
    return reduce_scatter(size, levels)


def all_reduce(size: Any, levels: Sequence[Level], algorithm: str = "ring") -> Floats:
    """s until each rank holds the sum. "ring" is reduce-scatter and all-gather; "tree" scatters inside the inner
    levels and goes through a pipelined double binary tree at the outermost.

    Raises:
        InputError: another algorithm.
    """
    if algorithm == "ring":
        return 2.0 * reduce_scatter(size, levels)
    if algorithm != "tree":
        raise InputError("an all-reduce is 'ring' or 'tree'", value=algorithm)
    inner = 2.0 * reduce_scatter(size, levels[:-1])
    rest = np.asarray(size, np.float64)
    for level in levels[:-1]:
        rest = rest / np.maximum(np.asarray(level.ranks, np.float64), 1.0)
    return np.asarray(inner + tree(rest, levels[-1]))


def tree(size: Any, level: Level) -> Floats:
    """s of an all-reduce over a pipelined double binary tree: 2 log2(p) messages deep, each rank sends all bytes up and
    down once; nothing for a single rank."""
    p = np.maximum(np.asarray(level.ranks, np.float64), 1.0)
    depth = np.ceil(np.log2(p))
    wire = np.asarray(size, np.float64) * level.sharing / level.transport.bandwidth
    return np.asarray(np.where(p > 1.0, 2.0 * depth * level.transport.latency + 2.0 * wire, 0.0))


def all_to_all(size: Any, level: Level) -> Floats:
    """s until each rank has sent a different share of its ``size`` bytes to every other (pairwise exchange)."""
    return ring(size, level)

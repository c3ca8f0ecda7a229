"""The tensors of any operator graph as a memory planner sees them: what a network file needs, operator by operator.

A graph keeps, per operator, what it reads and writes, and edges between operators. Every operator has one output tensor
here; what it reads beyond its edges is an input of the network. One element is one byte (int8 networks).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.memory_planner import TensorOp
from tradespace.workloads.operators import OperatorGraph

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """A graph as steps over tensors.

    Args:
        sizes: bytes per tensor; the inputs of the network come first.
        ops: one step each, in the graph's order.
        rows: the graph's operator behind each step.
        given: (n,) bytes each operator of the graph reads from its producers, padding left out where it is fused.
    """

    sizes: list[int]
    ops: list[TensorOp]
    rows: list[int]
    given: Ints


def depthwise(graph: OperatorGraph) -> NDArray[np.bool_]:
    """(n,) whether an operator is a convolution of single channels."""
    o = graph.operators
    return np.asarray((np.array(o.kind) == "conv") & (o.n == 1) & (o.count > 1))


def paddings(graph: OperatorGraph) -> NDArray[np.bool_]:
    """(n,) whether an operator only copies its one input, between zeros or in another order: no arithmetic, and it
    writes no less than it reads. Compilers leave such copies to the operator that reads them."""
    o = graph.operators
    moves = (np.array(o.kind) == "elementwise") & (o.flop == 0) & (o.act_in > 0) & (o.weights == 0)
    producers = np.bincount(graph.edges.dest, minlength=len(o))
    return np.asarray(moves & (o.act_out >= o.act_in) & (producers <= 1))


def steps_of(graph: OperatorGraph, *, in_place: bool, fused_pads: bool) -> Steps:
    """The steps of one inference.

    Args:
        in_place: depthwise convolutions may overwrite their input (one that was itself made in place is kept).
        fused_pads: padding is done by the operator that reads it: the padded tensor does not exist.
    """
    o = graph.operators
    pads = paddings(graph) if fused_pads else np.zeros(len(o), bool)
    channelwise, runs = depthwise(graph) & in_place, o.repeat > 0
    incoming: list[list[int]] = [[] for _ in range(len(o))]
    for source, dest in zip(graph.edges.source.tolist(), graph.edges.dest.tolist(), strict=True):
        incoming[dest].append(source)
    sizes, inputs = _inputs(graph)
    given = np.rint(o.act_in).astype(np.int64)
    made: dict[int, tuple[int, ...]] = {}
    shared: set[int] = set()
    ops, rows = [], []
    for row in range(len(o)):
        reads = tuple(t for source in incoming[row] for t in made[source]) + inputs[row]
        if pads[row] or not runs[row]:
            made[row] = reads if pads[row] else ()
            continue
        if pads[incoming[row]].any():
            given[row] = sum(sizes[t] for t in reads)
        sizes.append(round(float(o.act_out[row])))
        made[row] = (len(sizes) - 1,)
        alone = bool(channelwise[row]) and len(reads) == 1 and reads[0] not in shared
        if alone:
            shared.add(len(sizes) - 1)
        ops.append(TensorOp(reads, len(sizes) - 1, alone))
        rows.append(row)
    return Steps(sizes, ops, rows, given)


def _inputs(graph: OperatorGraph) -> tuple[list[int], list[tuple[int, ...]]]:
    """Bytes of the network's inputs, and which of them each operator reads: what no edge brings. Operators that lack
    equally much read the same input."""
    o, brought = graph.operators, np.zeros(len(graph.operators))
    np.add.at(brought, graph.edges.dest, graph.edges.elements)
    sizes: list[int] = []
    reads: list[tuple[int, ...]] = []
    for missing, runs in zip(
        np.rint(o.act_in - brought).astype(np.int64).tolist(), (o.repeat > 0).tolist(), strict=True
    ):
        if missing <= 0 or not runs:
            reads.append(())
            continue
        if missing not in sizes:
            sizes.append(missing)
        reads.append((sizes.index(missing),))
    return sizes, reads

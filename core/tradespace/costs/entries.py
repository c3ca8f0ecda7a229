"""What is placed as one unit: blocks of a graph, or single operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.workloads.operators import Edges, OperatorGraph

SECOND_PHASE = "/decode"


@dataclass(frozen=True)
class Entries:
    """The units a plan decides about.

    Args:
        names: (n,) shown in plans.
        owner: (operators,) int32, the entry of each operator.
        edges: tensors between entries, one row for each (source operator, destination entry).
        ties: (entry a, entry b, elements) stored once where both are in one memory and precision.
    """

    names: tuple[str, ...]
    owner: NDArray[np.int32]
    edges: Edges
    ties: tuple[tuple[int, int, float], ...]

    @property
    def is_chain(self) -> bool:
        """True if data flows from each entry to the next and nowhere else."""
        return bool((self.edges.dest == self.edges.source + 1).all())


def by_block(graph: OperatorGraph) -> Entries:
    return Entries(graph.blocks, graph.operators.block, graph.block_edges(), graph.ties)


def by_operator(graph: OperatorGraph) -> Entries:
    """One entry an operator; both phases of a request share it, as they share its weights.

    A tensor that two operators of another device read crosses twice: sums over pairs cannot know that they are
    neighbours. Blocks do not have this, as a tensor enters a block once.
    """
    names = tuple(dict.fromkeys(name.removesuffix(SECOND_PHASE) for name in graph.operators.name))
    index = {name: i for i, name in enumerate(names)}
    owner = np.array([index[name.removesuffix(SECOND_PHASE)] for name in graph.operators.name], np.int32)
    source, dest = owner[graph.edges.source], owner[graph.edges.dest]
    keys = np.column_stack([graph.edges.source, dest])[source != dest]
    unique, first = np.unique(keys, axis=0, return_index=True)
    rows = np.flatnonzero(source != dest)[first]
    edges = Edges(
        owner[unique[:, 0]], unique[:, 1].astype(np.int32), graph.edges.elements[rows], graph.edges.count[rows]
    )
    return Entries(names, owner, edges, _operator_ties(graph, owner))


def _operator_ties(graph: OperatorGraph, owner: NDArray[np.int32]) -> tuple[tuple[int, int, float], ...]:
    """A tie of two blocks belongs to the operators with the largest resident weights in each."""
    resident, block = graph.operators.weights_resident, graph.operators.block
    out = []
    for a, b, elements in graph.ties:
        ends = [int(owner[max(np.flatnonzero(block == x), key=lambda row: resident[row])]) for x in (a, b)]
        out.append((ends[0], ends[1], elements))
    return tuple(out)

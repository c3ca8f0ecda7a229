"""What a workload holds, in the numbers people ask for first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tradespace.precisions import Precision
from tradespace.workloads.operators import OperatorGraph


@dataclass(frozen=True)
class KindTotal:
    """Totals of one kind of operator over a job."""

    operators: int
    executions: float
    macs: float
    flop: float
    weights: float


@dataclass(frozen=True)
class Summary:
    """Totals of a job.

    Args:
        by_kind: kind of operator -> totals, largest FLOP first.
        macs, flop: multiply-adds of the products, and all floating-point operations, per job.
        kv_elements: elements of the KV cache at its largest.
        peak_activation_elements: most activation elements alive at once, see `peak_activations`.
        weight_bytes: precision -> exact bytes of the weights, block scales included, tied tables once.
    """

    by_kind: Mapping[str, KindTotal]
    macs: float
    flop: float
    kv_elements: float
    peak_activation_elements: float
    weight_bytes: Mapping[str, float]


def summarise(graph: OperatorGraph, precisions: Sequence[Precision]) -> Summary:
    """Add the graph up, with the weights in each of `precisions`."""
    rows, kinds = graph.operators, np.array(graph.operators.kind)
    macs, flop, weights = (column * rows.repeat for column in (rows.macs, rows.flop, rows.weights))
    by_kind = {
        kind: KindTotal(
            int((kinds == kind).sum()), *(float(c[kinds == kind].sum()) for c in (rows.repeat, macs, flop, weights))
        )
        for kind in dict.fromkeys(rows.kind)
    }
    return Summary(
        by_kind=dict(sorted(by_kind.items(), key=lambda item: -item[1].flop)),
        macs=float(macs.sum()),
        flop=float(flop.sum()),
        kv_elements=float(rows.kv_resident.sum()),
        peak_activation_elements=peak_activations(graph),
        weight_bytes={precision.name: weight_bytes(graph, precision) for precision in precisions},
    )


def weight_bytes(graph: OperatorGraph, precision: Precision) -> float:
    """Exact bytes of all weights in one precision: an operator fills whole blocks, tied tables count once."""
    tied = sum(float(precision.bytes(elements)) for _, _, elements in graph.ties)
    return float(np.sum(precision.bytes(graph.operators.weights_resident))) - tied


def peak_activations(graph: OperatorGraph) -> float:
    """Most activation elements alive at once if operators execute in row order and a tensor dies after its last use.

    A tensor is an operator's output; keys and values are cache, fused scores stay on chip, so neither counts. (Ours.)
    """
    rows, edges = graph.operators, graph.edges
    last = np.arange(len(rows))
    np.maximum.at(last, edges.source, edges.dest)
    change = np.zeros(len(rows) + 1)
    np.add.at(change, np.arange(len(rows)), rows.act_out)
    np.add.at(change, last + 1, -rows.act_out)
    return float(np.cumsum(change)[:-1].max())

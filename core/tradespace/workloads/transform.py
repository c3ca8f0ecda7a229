"""Changes to operator graphs that hold for any of them: parts of a network, batches, how active it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from tradespace.errors import InputError, UnknownName
from tradespace.workloads.operators import KINDS, Edges, OperatorGraph


def only(graph: OperatorGraph, kinds: Sequence[str], where: str) -> OperatorGraph:
    """The operators of some kinds, with the edges between them; blocks without any are gone, and so are ties.

    Raises:
        UnknownName: no operator kind.
        InputError: nothing is left.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownName("operator kind", str(kind)[:80], KINDS, where=where)
    ops, edges = graph.operators, graph.edges
    rows = np.flatnonzero(np.isin(np.array(ops.kind), tuple(kinds)))
    if not len(rows):
        raise InputError("some operators are kept", value=list(kinds), where=where)
    new = np.full(len(ops), -1, np.int32)
    new[rows] = np.arange(len(rows))
    inside = np.flatnonzero((new[edges.source] >= 0) & (new[edges.dest] >= 0))
    blocks, block = np.unique(ops.block[rows], return_inverse=True)
    kept = replace(ops.take(rows), block=block.reshape(-1).astype(np.int32))
    ends = Edges(new[edges.source[inside]], new[edges.dest[inside]], edges.elements[inside], edges.count[inside])
    return OperatorGraph(
        name=graph.name, operators=kept, blocks=tuple(graph.blocks[b] for b in blocks.tolist()), edges=ends,
        tokens=graph.tokens, samples=graph.samples, parameters=float(kept.weights_resident.sum()),
        sources=graph.sources, native_precision=graph.native_precision,
        facts={**graph.facts, "kept": ", ".join(kinds), "macs": float((kept.macs * kept.repeat).sum())},
    )  # fmt: skip


def batched(graph: OperatorGraph, batch: int, where: str) -> OperatorGraph:
    """The job for a batch of inputs: rows of products and activations grow, weights are read once.

    1 is the graph itself. For graphs without attention and state: those of a decoder depend on its own options.

    Raises:
        InputError: the graph keeps a cache or has attention.
    """
    if batch == 1:
        return graph
    ops = graph.operators
    if "attention" in ops.kind or (ops.kv_read + ops.kv_write).any():
        raise InputError("a batch of this network is an option of its own type", value=batch, where=where)
    more = replace(ops, m=ops.m * batch, flop=ops.flop * batch, act_in=ops.act_in * batch, act_out=ops.act_out * batch)
    return OperatorGraph(
        name=graph.name, operators=more, blocks=graph.blocks, ties=graph.ties,
        edges=replace(graph.edges, elements=graph.edges.elements * batch), tokens=graph.tokens * batch,
        samples=graph.samples, parameters=graph.parameters, sources=graph.sources,
        native_precision=graph.native_precision,
        facts={**graph.facts, "batch": batch, "macs": float((more.macs * more.repeat).sum())},
    )  # fmt: skip


def with_activity(graph: OperatorGraph, activity: Any, where: str) -> OperatorGraph:
    """The graph with a stated share of non-zero elements among what its operators read.

    Args:
        activity: a share from 0 to 1 for all operators but those that read the input from outside (a picture has no
            zeros to skip), or {pattern of operator names: share}; the last match holds.

    Raises:
        InputError: no share. UnknownName: a pattern that matches no operator.
    """
    ops = graph.operators
    sparsity = np.array(ops.sparsity)
    fed = np.isin(np.arange(len(ops)), graph.edges.dest)
    for pattern, value in activity.items() if isinstance(activity, Mapping) else [(None, activity)]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            raise InputError("an activity is a share from 0 to 1", value=repr(value)[:80], where=where)
        hits = fed if pattern is None else np.array([fnmatchcase(name, str(pattern)) for name in ops.name])
        if pattern is not None and not hits.any():
            raise UnknownName("operator", str(pattern)[:80], ops.name, where=where)
        sparsity[hits] = 1.0 - value
    read = float((ops.act_in * ops.repeat).sum()) or 1.0
    share = float((ops.act_in * ops.repeat * (1.0 - sparsity)).sum()) / read
    return replace(graph, operators=replace(ops, sparsity=sparsity), facts={**graph.facts, "activity": share})

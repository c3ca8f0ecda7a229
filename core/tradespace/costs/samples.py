"""A decoder's job for another number of samples, from the graph of one. Exact: samples are drawn one after another."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import ProblemError
from tradespace.workloads.operators import OperatorGraph


def with_samples(graph: OperatorGraph, samples: int) -> OperatorGraph:
    """The same job with ``samples`` answers per sequence: decode rows repeat in proportion, the prefill and the weights
    stay, the KV cache holds the shared prompt once and what each sample generated.

    Raises:
        ProblemError: the job draws no samples, as it has no decode steps.
    """
    if samples == graph.samples:
        return graph
    phase = str(graph.facts.get("phase", "decode"))
    ops, ratio = graph.operators, samples / graph.samples
    if phase == "prefill":
        raise ProblemError(
            "samples multiply decode steps, and the workload is a prefill",
            where=f"workload {graph.name}",
            remedy="Take phase: request or phase: decode.",
        )
    decode = np.array([phase != "request" or name.endswith("/decode") for name in ops.name])
    operators = replace(
        ops, repeat=np.where(decode, ops.repeat * ratio, ops.repeat), kv_resident=_cached(graph, phase, samples)
    )
    edges = replace(graph.edges, count=graph.edges.count * np.where(decode[graph.edges.source], ratio, 1.0))
    return replace(graph, operators=operators, edges=edges, samples=samples, tokens=graph.tokens * ratio)


def _cached(graph: OperatorGraph, phase: str, samples: int) -> NDArray[np.float64]:
    """(n,) elements that stay cached. State other than attention's (a convolution's) is kept for one sample only."""
    ops = graph.operators
    out = np.array(ops.kv_resident)
    attention = np.array([kind == "attention" for kind in ops.kind])
    if phase != "request":
        out[attention] *= samples / graph.samples
        return out
    prompt, own = int(graph.facts["prompt"]), int(graph.facts["generate"])
    index = {name: row for row, name in enumerate(ops.name)}
    for row in np.flatnonzero(attention & (out > 0)):
        each = ops.kv_read[row] / prompt  # elements of one position: the prefill reads each position once
        seen = ops.kv_read[index[f"{ops.name[row]}/decode"]] / each
        out[row] = each * kept(prompt, own, window_of(prompt, own, round(seen, 6)), samples)
    return out


def kept(shared: int, own: int, window: int, copies: int) -> int:
    """Positions that stay cached: shared ones once and own ones of every copy, or one window for every copy."""
    together = min(shared, window) + copies * min(own, window)
    return min(together, copies * min(shared + own, window))


@functools.cache
def window_of(shared: int, own: int, seen: float) -> int:
    """The sliding window under which decode steps see that many positions on average; all of them: no window."""
    places = np.arange(shared + 1, shared + own + 1, dtype=np.float64)
    low, high = 1, shared + own
    while low < high:
        middle = (low + high) // 2
        if np.minimum(places, middle).mean() >= seen - 1e-5:
            high = middle
        else:
            low = middle + 1
    return low

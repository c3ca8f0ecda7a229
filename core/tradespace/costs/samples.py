"""A decoder's job for another number of samples, from the graph of one. Exact: samples are drawn one after another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tradespace.workloads.operators import OperatorGraph


def with_samples(graph: OperatorGraph, samples: int) -> OperatorGraph:
    """The same job with ``samples`` answers per sequence.

    Decode rows repeat in proportion; the prefill and the weights stay. The KV cache of a request holds the shared
    prompt once and what each sample generated, so it is linear in samples (for a sliding window that is an upper
    bound, as the window may forget a part of the prompt).
    """
    if samples == graph.samples:
        return graph
    phase = str(graph.facts.get("phase", "decode"))
    ratio = samples / graph.samples
    ops = graph.operators
    if phase == "prefill":
        decode = np.zeros(len(ops), bool)
    elif phase == "request":
        decode = np.array([name.endswith("/decode") for name in ops.name])
    else:
        decode = np.ones(len(ops), bool)
    kept = _kept(graph, samples) / _kept(graph, graph.samples) if phase == "request" else ratio
    operators = replace(
        ops,
        repeat=np.where(decode, ops.repeat * ratio, ops.repeat),
        kv_resident=ops.kv_resident * (kept if phase != "prefill" else 1.0),
    )
    edges = replace(graph.edges, count=graph.edges.count * np.where(decode[graph.edges.source], ratio, 1.0))
    tokens = graph.tokens * (1.0 if phase == "prefill" else ratio)
    return replace(graph, operators=operators, edges=edges, samples=samples, tokens=tokens)


def _kept(graph: OperatorGraph, samples: int) -> float:
    return float(graph.facts.get("prompt", 0.0)) + samples * float(graph.facts.get("generate", 0.0))

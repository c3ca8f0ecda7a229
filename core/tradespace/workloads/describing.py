"""Any workload as one document of plain numbers: what `tradespace inspect` shows, and prints as JSON.

Every document has the keys `kind operators macs parameters weight_bytes peak_activation_bytes precisions`; those that
mean nothing for a kind are null or empty. Traces add counts, rates, tokens and burstiness; task graphs counts, work
and critical path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradespace.precisions import Precision
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.readers import Workload
from tradespace.workloads.request_trace import RequestTrace, describe_requests
from tradespace.workloads.summary import Summary, summarise
from tradespace.workloads.task_graph import TaskGraph

FALLBACK = "fp16"
"""Precision of the byte counts where a workload does not say what its weights are shipped in."""
SHOWN = ("fp32", "fp16", "bf16", "int8", "int4")
"""Formats whose weight bytes are shown side by side."""


def describe_workload(workload: Workload, precisions: Mapping[str, Precision]) -> dict[str, Any]:
    """The document of any workload; kinds that nobody here knows have their facts only."""
    document: dict[str, Any] = {
        "name": workload.name, "kind": workload.kind, "operators": {}, "macs": None, "parameters": None,
        "weight_bytes": None, "peak_activation_bytes": None, "precisions": {},
    }  # fmt: skip
    if isinstance(workload, OperatorGraph):
        document |= describe_graph(workload, precisions)
    elif isinstance(workload, TaskGraph):
        document |= describe_tasks(workload)
    elif isinstance(workload, RequestTrace):
        document |= describe_requests(workload)
    return document | {"facts": dict(getattr(workload, "facts", {})), "sources": dict(workload.sources)}


def totals(graph: OperatorGraph, precisions: Mapping[str, Precision]) -> Summary:
    """Totals of a graph, with its weights in the usual formats and in its own."""
    native = graph.native_precision or FALLBACK
    return summarise(graph, [precisions[name] for name in dict.fromkeys((*SHOWN, native)) if name in precisions])


def describe_graph(graph: OperatorGraph, precisions: Mapping[str, Precision]) -> dict[str, Any]:
    """Totals of an operator graph. `precisions` are those found: in the file's tensors, else the one it is shipped in
    (the fallback where nothing is stated, with `stated` false); `weight_bytes_in`: the same model in other formats."""
    summary = totals(graph, precisions)
    native = precisions[graph.native_precision or FALLBACK]
    element = native.activation_bits / 8
    weight_bytes = graph.facts.get("weight_bytes", summary.weight_bytes[native.name])
    peak = graph.facts.get("peak_activation_bytes", summary.peak_activation_elements * element)
    return {
        "operators": {kind: total.operators for kind, total in summary.by_kind.items()},
        "distinct_operators": len(graph.distinct()[0]),
        "blocks": len(graph.blocks),
        "macs": summary.macs,
        "flop": summary.flop,
        "tokens": graph.tokens,
        "parameters": graph.parameters,
        "native_precision": graph.native_precision,
        "weight_bytes": weight_bytes,
        "kv_cache_bytes": summary.kv_elements * element,
        "peak_activation_bytes": peak,
        "precisions": found_precisions(graph, native, float(weight_bytes)),
        "weight_bytes_in": dict(summary.weight_bytes),
        "substitutes": list(graph.substitutes),
        "tensors": [{"name": t.name, "type": t.type, "shape": list(t.shape), "bytes": t.bytes} for t in graph.tensors],
    }


def found_precisions(graph: OperatorGraph, native: Precision, weight_bytes: float) -> dict[str, dict[str, Any]]:
    """Format -> tensors, weights and bytes in it."""
    if graph.stored:
        return {
            kind: {"weight_bytes": row.bytes, "parameters": row.elements, "tensors": row.tensors}
            for kind, row in graph.stored.items()
        }
    stated = graph.native_precision is not None
    return {native.name: {"weight_bytes": weight_bytes, "parameters": graph.parameters, "stated": stated}}


def describe_tasks(graph: TaskGraph) -> dict[str, Any]:
    """Counts, work and critical path of a task graph.

    Work is in operations; where the file gave measured run times (`serial_seconds`), seconds are beside it. The
    critical path is the largest sum of work along precedences, without transfers.
    """
    work, edges = graph.tasks.work, graph.edges
    finish, longest = work.copy(), graph.level
    order = np.argsort(longest[edges.dest], kind="stable")
    bounds = np.searchsorted(longest[edges.dest][order], np.arange(int(longest.max(initial=0)) + 2))
    for level in range(1, len(bounds) - 1):
        rows = order[bounds[level] : bounds[level + 1]]
        ready = np.zeros(len(work))
        np.maximum.at(ready, edges.dest[rows], finish[edges.source[rows]])
        here = np.unique(edges.dest[rows])
        finish[here] = ready[here] + work[here]
    total, critical = float(work.sum()), float(finish.max())
    serial = graph.facts.get("serial_seconds")
    seconds = {}
    if isinstance(serial, int | float) and total > 0:
        seconds = {"work_seconds": float(serial), "critical_path_seconds": critical * float(serial) / total}
    width = np.bincount(longest)
    return {
        "counts": {
            "tasks": len(work), "edges": len(edges), "groups": len(graph.groups), "levels": len(width),
            "widest_level": int(width.max()), "input_bytes": float(graph.tasks.input.sum()),
            "edge_bytes": float(edges.size.sum()),
        },
        "work": total,
        "critical_path": critical,
        "parallelism": total / critical if critical > 0 else None,
        **seconds,
    }  # fmt: skip

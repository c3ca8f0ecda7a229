"""What `tradespace inspect` shows to people: a few lines and a table, by kind of workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from tradespace.precisions import Precision
    from tradespace.workloads import Workload
    from tradespace.workloads.operators import OperatorGraph

_JOB = ("phase", "prompt", "generate", "context", "batch", "samples")
_SKIPPED = ("title", "note", "weight_bytes", "peak_activation_bytes", "active_parameters", *_JOB)


def show(document: Mapping[str, Any], workload: Workload, precisions: Mapping[str, Precision]) -> None:
    """Print a document that `describe_workload` made."""
    from rich.console import Console

    from tradespace.workloads.operators import OperatorGraph

    console = Console()
    title = document["facts"].get("title", document["kind"])
    console.print(f"{document['name']}: {title}", style="bold", markup=False, highlight=False)
    if isinstance(workload, OperatorGraph):
        _show_graph(console, document, workload, precisions)
    elif document["kind"] == "request_trace":
        _show_requests(console, document)
    elif document["kind"] == "task-graph":
        _show_tasks(console, document)
    else:
        _lines(console, {"kind": document["kind"], "source": _source(document), "facts": _facts(document)})


def _show_graph(
    console: Console, document: Mapping[str, Any], graph: OperatorGraph, precisions: Mapping[str, Precision]
) -> None:
    from tradespace.workloads.describing import totals

    facts, count = graph.facts, len(graph.operators)
    sizes = document["weight_bytes_in"]
    active = facts.get("active_parameters")
    lines = {
        "kind": f"{graph.kind}, {count} operators ({document['distinct_operators']} distinct) "
        f"in {len(graph.blocks)} blocks",
        "job": ", ".join(f"{key} {facts[key]}" for key in _JOB if key in facts),
        "parameters": f"{graph.parameters:,.0f}"
        + (f", {active:,.0f} of them active for a token" if isinstance(active, int | float) else ""),
        "work": f"{document['macs'] / 1e9:,.3f} GMAC, {document['flop'] / 1e9:,.3f} GFLOP "
        f"for {graph.tokens:,.0f} tokens",
        "weights": ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in sizes.items()),
        "shipped in": f"{graph.native_precision or 'not stated'} ({document['weight_bytes'] / 1e6:,.1f} MB)",
        "KV cache": f"{document['kv_cache_bytes'] / 1e6:,.3f} MB" if document["kv_cache_bytes"] else "",
        "activations": f"{document['peak_activation_bytes'] / 1e6:,.3f} MB at most",
        "facts": _facts(document),
        "note": str(facts.get("note", "")),
        "source": _source(document),
    }
    _lines(console, lines)
    rows = [
        (kind, f"{row.operators:,}", f"{row.executions:,.0f}", f"{row.macs / 1e9:,.3f}", f"{row.flop / 1e9:,.3f}",
         f"{row.weights / 1e6:,.1f}")
        for kind, row in totals(graph, precisions).by_kind.items()
    ]  # fmt: skip
    _table(console, ("kind", "operators", "executions", "GMAC", "GFLOP", "weights read (M)"), rows)
    if graph.stored:
        stored = [
            (
                kind,
                f"{row.tensors:,}",
                f"{row.elements:,.0f}",
                f"{row.bytes / 1e6:,.1f}",
                _bits(row.bytes, row.elements),
            )
            for kind, row in graph.stored.items()
        ]
        _table(console, ("stored as", "tensors", "weights", "MB", "bits per weight"), stored)


def _bits(size: float, elements: float) -> str:
    return f"{8 * size / elements:.4g}" if elements else "scales"


def _show_requests(console: Console, document: Mapping[str, Any]) -> None:
    counts, rates, bursts = document["counts"], document["rates"], document["burstiness"]
    lines = {
        "kind": "request_trace",
        "requests": f"{counts['requests']:,} in {document['duration']:,.1f} s",
        "tokens": f"{counts['prompt_tokens']:,.0f} in prompts, {counts['generated_tokens']:,.0f} generated",
        "rates": f"{rates['requests']:.4g} requests/s, {rates['prompt_tokens']:,.4g} prompt tokens/s, "
        f"{rates['generated_tokens']:,.4g} generated tokens/s"
        if rates["requests"] is not None
        else "",
        "burstiness": f"gaps vary by {bursts['gap_variation']:.3g} of their mean (Poisson 1), busiest "
        f"{bursts['window']:.3g} s has {bursts['peak_to_mean']:.3g} times the mean, "
        f"variance of such counts {bursts['dispersion']:.3g} times their mean (Poisson 1)"
        if bursts["gap_variation"] is not None
        else "",
        "note": str(document["facts"].get("note", "")),
        "source": document["sources"].get("requests", ""),
    }
    _lines(console, lines)
    keys = ("mean", "min", "p50", "p90", "p99", "max")
    rows = [(kind, *(f"{values[key]:,.0f}" for key in keys)) for kind, values in document["tokens"].items()]
    _table(console, ("tokens", *keys), rows)


def _show_tasks(console: Console, document: Mapping[str, Any]) -> None:
    counts = document["counts"]
    seconds = "work_seconds" in document
    lines = {
        "kind": f"task-graph, {counts['tasks']:,} tasks and {counts['edges']:,} edges in {counts['levels']:,} levels, "
        f"at most {counts['widest_level']:,} side by side",
        "work": f"{document['work']:,.4g} operations"
        + (f" ({document['work_seconds']:,.1f} s one after another)" if seconds else ""),
        "critical path": f"{document['critical_path']:,.4g} operations"
        + (f" ({document['critical_path_seconds']:,.1f} s)" if seconds else ""),
        "parallelism": f"{document['parallelism']:.2f} tasks on average at most" if document["parallelism"] else "",
        "data": f"{counts['edge_bytes'] / 1e6:,.1f} MB between tasks, "
        f"{counts['input_bytes'] / 1e6:,.1f} MB from outside",
        "facts": _facts(document),
        "source": _source(document),
    }
    _lines(console, lines)


def _facts(document: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in document["facts"].items() if key not in _SKIPPED and value not in ("", None)}
    return ", ".join(
        f"{key} {value:,.6g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items()
    )


def _source(document: Mapping[str, Any]) -> str:
    sources = {key: value for key, value in document["sources"].items() if key != "kind"}
    kind = document["sources"].get("kind", "")
    return "; ".join(dict.fromkeys(sources.values())) + (f" ({kind})" if kind else "")


def _lines(console: Console, lines: Mapping[str, str]) -> None:
    for key, value in lines.items():
        if value:
            console.print(f"{key:>13}  {value}", markup=False, highlight=False, soft_wrap=True)


def _table(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*names, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)

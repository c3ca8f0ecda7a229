"""`tradespace inspect`: what a model file or a catalogue workload holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.workloads.operators import OperatorGraph
    from tradespace.workloads.summary import Summary

FALLBACK = "fp16"
"""Precision of the byte counts where a workload does not say what its weights are shipped in."""


def inspect(
    ref: str = typer.Argument(metavar="WORKLOAD", help="Name of the catalogue, config.json or its folder, GGUF, YAML."),
    changes: list[str] = typer.Argument(None, metavar="[KEY=VALUE]...", help="phase=decode context=256 batch=4 ..."),  # noqa: B008 - typer's way
) -> None:
    """Show what a workload holds: operators, FLOP, parameters, bytes per precision."""
    registry = registry_from_context()
    document, graph, summary = describe(ref, changes or [], registry)
    if json_wanted():
        print_json(document)
    else:
        _show(document, graph, summary)


def describe(ref: str, changes: list[str], registry: Registry) -> tuple[dict[str, Any], OperatorGraph, Summary]:
    """The JSON document of a workload, and what it was made from.

    Raises:
        TradespaceError: as `load_workload`; a workload that is no operator graph; a change that is no KEY=VALUE.
    """
    from tradespace.errors import InputError
    from tradespace.workloads import OperatorGraph, load_workload
    from tradespace.workloads.summary import summarise

    graph = load_workload({"extends": ref, **_parse(changes)}, registry)
    if not isinstance(graph, OperatorGraph):
        raise InputError("inspect shows operator graphs", value=graph.kind, where=f"workload {graph.name}")
    precisions = dict(registry.each("precisions"))
    summary = summarise(graph, list(precisions.values()))
    native = precisions[graph.native_precision or FALLBACK]
    element = native.activation_bits / 8
    stored = graph.facts.get("weight_bytes")
    document = {
        "name": graph.name,
        "kind": graph.kind,
        "operators": {kind: total.operators for kind, total in summary.by_kind.items()},
        "distinct_operators": len(graph.distinct()[0]),
        "blocks": len(graph.blocks),
        "macs": summary.macs,
        "flop": summary.flop,
        "tokens": graph.tokens,
        "parameters": graph.parameters,
        "native_precision": graph.native_precision,
        "weight_bytes": stored if isinstance(stored, float) else summary.weight_bytes[native.name],
        "kv_cache_bytes": summary.kv_elements * element,
        "peak_activation_bytes": summary.peak_activation_elements * element,
        "precisions": {name: {"weight_bytes": size} for name, size in summary.weight_bytes.items()},
        "facts": dict(graph.facts),
        "sources": dict(graph.sources),
        "substitutes": list(graph.substitutes),
    }
    return document, graph, summary


def _parse(changes: list[str]) -> dict[str, Any]:
    """KEY=VALUE words; values as YAML reads them."""
    import yaml

    from tradespace.errors import InputError

    parsed: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key or len(change) > 1000:
            raise InputError("a change is written KEY=VALUE", value=change, where="inspect")
        try:
            parsed[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise InputError("the value of a change is valid YAML", value=change, where="inspect") from None
    return parsed


def _show(document: dict[str, Any], graph: OperatorGraph, summary: Summary) -> None:
    from rich.console import Console
    from rich.table import Table

    console, facts = Console(), graph.facts
    job = ", ".join(
        f"{key} {facts[key]}" for key in ("phase", "prompt", "generate", "context", "batch", "samples") if key in facts
    )
    console.print(f"{graph.name}: {facts.get('title', graph.kind)}", style="bold", markup=False, highlight=False)
    lines = {
        "kind": f"{graph.kind}, {len(graph.operators)} operators ({document['distinct_operators']} distinct) "
        f"in {len(graph.blocks)} blocks",
        "job": job,
        "parameters": f"{graph.parameters:,.0f}",
        "work": f"{summary.macs / 1e9:,.3f} GMAC, {summary.flop / 1e9:,.3f} GFLOP for {graph.tokens:,.0f} tokens",
        "weights": ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in summary.weight_bytes.items()),
        "shipped in": f"{graph.native_precision or 'not stated'} ({document['weight_bytes'] / 1e6:,.1f} MB)",
        "KV cache": f"{document['kv_cache_bytes'] / 1e6:,.3f} MB",
        "activations": f"{document['peak_activation_bytes'] / 1e6:,.3f} MB at most",
        "source": f"{graph.sources.get('shape', '')} ({graph.sources.get('kind', '')})",
    }
    for key, value in lines.items():
        console.print(f"{key:>12}  {value}", markup=False, highlight=False, soft_wrap=True)
    table = Table("kind", *(("operators", "executions", "GMAC", "GFLOP", "weights read (M)")), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, total in summary.by_kind.items():
        numbers = (f"{total.macs / 1e9:,.3f}", f"{total.flop / 1e9:,.3f}", f"{total.weights / 1e6:,.1f}")
        table.add_row(kind, f"{total.operators:,}", f"{total.executions:,.0f}", *numbers)
    console.print(table)

"""`tradespace list`: the names of one kind, or how many there are of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.plugins import Registry

_MORE: Mapping[str, str] = {
    "optimizers": "What one supports: tradespace show optimizer NAME\n"
    "All in one table: python -m tradespace_optimizers.supports"
}


def list_(
    kind: str = typer.Argument("", help="targets, workloads, metrics, optimizers, evaluators, precisions, ..."),
    workload: str = typer.Option("", help="For metrics: the workload they are about."),
    target: str = typer.Option("", help="For metrics: the target they are about."),
) -> None:
    """List the names of one kind with a line of meaning; without a kind, every kind and its names."""
    from tradespace.cli import catalogue

    registry = registry_from_context()
    if not kind:
        _overview(registry)
    elif catalogue.kind_named(kind) == "metrics":
        usual = catalogue.default_pair(registry)
        _metrics(workload or usual[0], target or usual[1], registry)
    else:
        _names(catalogue.kind_named(kind), registry)


def _overview(registry: Registry) -> None:
    from tradespace.cli import catalogue
    from tradespace.cli.printing import print_table

    found = {kind: catalogue.names_of(kind, registry) for kind in catalogue.KINDS if kind != "metrics"}
    if json_wanted():
        print_json({"kinds": found})
        return
    rows = [(kind, str(len(names)), ", ".join(names) or "none") for kind, names in found.items()]
    rows.insert(2, ("metrics", "", f"{catalogue.KINDS['metrics']}: `tradespace list metrics`"))
    print_table(("kind", "names", "which"), rows, numeric=("names",))


def _names(kind: str, registry: Registry) -> None:
    from tradespace.cli import catalogue
    from tradespace.cli.printing import print_heading, print_pairs, print_table

    found = list(catalogue.entries(kind, registry))
    if json_wanted():
        fields = ("name", "plugin", "path", "meaning", "error")
        print_json({"kind": kind, "names": [{key: getattr(entry, key) for key in fields} for entry in found]})
        return
    if not found:
        print_heading(f"no {kind.replace('-', ' ')} ({catalogue.KINDS[kind]}) are known")
        return
    print_table(("name", "plugin", "meaning"), ((e.name, e.plugin, e.meaning or "-") for e in found if not e.error))
    if kind in _MORE:
        print_heading(f"\n{_MORE[kind]}")
    broken = [entry for entry in found if entry.error]
    if broken:
        print_heading("\ncannot be used")
        print_pairs((entry.name, entry.error) for entry in broken)


def _metrics(workload: str, target: str, registry: Registry) -> None:
    from tradespace.cli import catalogue
    from tradespace.cli.printing import print_heading, print_pairs, print_table

    found, without = catalogue.metrics(workload, target, registry)
    if json_wanted():
        print_json(_metrics_document(workload, target, found, without))
        return
    print_heading(f"{workload} on {target} (change with --workload, --target)")
    for evaluator, metrics in found.items():
        print_heading(f"\nevaluator {evaluator}")
        print_table(
            ("metric", "unit", "better", "meaning"), ((m.name, m.unit, m.direction, m.meaning) for m in metrics)
        )
    if without:
        print_heading("\ndeclined")
        print_pairs(without.items())


def _metrics_document(workload: str, target: str, found: Any, without: Any) -> dict[str, Any]:
    fields = ("name", "unit", "direction", "meaning")
    return {
        "kind": "metrics",
        "workload": workload,
        "target": target,
        "evaluators": {name: [{k: getattr(m, k) for k in fields} for m in metrics] for name, metrics in found.items()},
        "declined": without,
    }

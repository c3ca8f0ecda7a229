"""`tradespace inspect`: what a model file, trace, task graph or catalogue workload holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.workloads import Workload


def inspect(
    ref: str = typer.Argument(
        metavar="FILE_OR_FOLDER",
        help="Hugging Face folder or config.json, GGUF, ONNX, TFLite, request trace, workflow, layer table, YAML, "
        "or a name of the catalogue.",
    ),
    changes: list[str] = typer.Argument(None, metavar="[KEY=VALUE]...", help="phase=decode context=256 batch=4 ..."),  # noqa: B008 - typer's way
) -> None:
    """Show what a workload holds: operators, MACs, parameters, bytes; of traces and task graphs counts and rates."""
    registry = registry_from_context()
    document, workload = describe(ref, changes or [], registry)
    if json_wanted():
        print_json(document)
    else:
        from tradespace.cli.inspect_tables import show

        show(document, workload, dict(registry.each("precisions")))


def describe(ref: str, changes: list[str], registry: Registry) -> tuple[dict[str, Any], Workload]:
    """The JSON document of a workload, and what it was made from.

    Raises:
        TradespaceError: as `load_workload`; a change that is no KEY=VALUE.
    """
    from tradespace.workloads import load_workload
    from tradespace.workloads.describing import describe_workload

    workload = load_workload({"extends": ref, **_parse(changes)}, registry)
    return describe_workload(workload, dict(registry.each("precisions"))), workload


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

"""`tradespace show`: one name with its numbers and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.plugins import Registry


def show(
    words: list[str] = typer.Argument(  # noqa: B008 - typer's way
        metavar="[KIND] NAME",
        help="A name; with a kind (target, workload, metric, optimizer, ...) where it has several.",
    ),
    workload: str = typer.Option("", help="For metrics: the workload they are about."),
    target: str = typer.Option("", help="For metrics: the target they are about."),
) -> None:
    """Show one name: what it is, its numbers in readable units, and the source of each of them."""
    from tradespace.cli import describe

    registry = registry_from_context()
    kind, name = _resolve(words, registry)
    document = describe.document(kind, name, registry, workload or None, target or None)
    if json_wanted():
        print_json(document)
    else:
        describe.print_document(document)


def _resolve(words: list[str], registry: Registry) -> tuple[str, str]:
    """(kind, name). A single word is looked for among all names, then among metrics and plugins."""
    from tradespace.cli import catalogue
    from tradespace.errors import TradespaceError, UnknownName

    if len(words) > 2:
        raise TradespaceError("a kind and a name, or a name alone", value=" ".join(words), where="show")
    first = words[0]
    if len(words) == 2:
        return ("plugins" if first in ("plugin", "plugins") else catalogue.kind_named(first)), words[1]
    try:
        return catalogue.find_kind(first, registry), first
    except UnknownName:
        if first in {plugin.name for plugin in registry.plugins}:
            return "plugins", first
        if _is_metric(first, registry):
            return "metrics", first
        raise


def _is_metric(name: str, registry: Registry) -> bool:
    from tradespace.cli import catalogue
    from tradespace.errors import TradespaceError

    try:
        found: Any = catalogue.metrics(*catalogue.default_pair(registry), registry)[0]
    except TradespaceError:
        return False
    return any(metric.name == name for metrics in found.values() for metric in metrics)

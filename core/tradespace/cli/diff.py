"""`tradespace diff`: two plans side by side."""

from __future__ import annotations

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context


def diff(
    a: str = typer.Argument(metavar="PLAN", help="plan.yaml or STUDY:ID."),
    b: str = typer.Argument(metavar="PLAN", help="plan.yaml or STUDY:ID."),
    storage: str = typer.Option(None, help="Study database, a path or URL. Default: out/tradespace.db"),
) -> None:
    """Compare two plans: what was decided differently, and what that changes."""
    from tradespace.reports.difference import show_difference, to_json
    from tradespace.reports.recall import find

    registry = registry_from_context()
    left, right = find(a, registry, storage).plan, find(b, registry, storage).plan
    if json_wanted():
        print_json(to_json(left, right))
    else:
        show_difference(left, right)

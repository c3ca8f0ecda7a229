"""`tradespace explain`: what a plan does and what it costs."""

from __future__ import annotations

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context


def explain(
    ref: str = typer.Argument(metavar="PLAN", help="plan.yaml, or STUDY:ID (any beginning of the id, or STUDY:knee)."),
    storage: str = typer.Option(None, help="Study database, a path or URL. Default: out/tradespace.db"),
    output: str = typer.Option(None, help="Also write the plan as a file that 'price' and 'diff' take."),
) -> None:
    """Say in words what a plan does and what it costs."""
    from tradespace.reports.files import write_atomic
    from tradespace.reports.plan import show_plan, to_json
    from tradespace.reports.recall import find

    plan = find(ref, registry_from_context(), storage).plan
    if output:
        write_atomic(output, plan.to_yaml())
    if json_wanted():
        print_json(to_json(plan) | ({"files": {"plan": output}} if output else {}))
        return
    show_plan(plan)
    if output:
        typer.echo(f"\nwritten to {output}")

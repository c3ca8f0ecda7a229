"""`tradespace export`: a plan as another tool's configuration."""

from __future__ import annotations

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

_SET = typer.Option(None, "--set", help="What the plan does not say: NAME=VALUE (repeatable). --to NAME lists them.")


def export(
    ref: str = typer.Argument(metavar="PLAN", help="plan.yaml, or STUDY:ID (any beginning of the id, or STUDY:knee)."),
    to: str = typer.Option(..., "--to", help="The tool: see 'tradespace list exporters'."),
    settings: list[str] = _SET,
    output: str = typer.Option(None, help="Write to this file instead of the terminal."),
    storage: str = typer.Option(None, help="Study database, a path or URL. Default: out/tradespace.db"),
) -> None:
    """Write a plan as another tool's configuration; refuse what that tool cannot express."""
    from tradespace.exporters import export_plan, parse_settings
    from tradespace.reports.files import write_atomic
    from tradespace.reports.recall import find

    registry = registry_from_context()
    registry.claim("exporters", to)  # an unknown tool is told before a plan is priced
    options = parse_settings(settings or [])
    found = export_plan(to, find(ref, registry, storage), options, registry)
    if output:
        write_atomic(output, found.text)
    if json_wanted():
        document = {"to": to, "document": found.document, "notes": list(found.notes)}
        print_json(document | ({"files": {"export": output}} if output else {"text": found.text}))
        return
    if output:
        typer.echo(f"written to {output}")
    else:
        typer.echo(found.text.rstrip("\n"))
    for note in found.notes:
        if output or note not in found.text:
            typer.echo(f"note: {note}", err=True)

"""`tradespace report`: write the HTML report of a study again, from its database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.studies.log import Store


def report(
    study: str = typer.Argument(metavar="STUDY", help="Name of a study; 'tradespace studies' lists them."),
    output: str = typer.Option(None, help="File to write. Default: STUDY/report.html beside the database."),
    storage: str = typer.Option(None, help="Study database, a path or URL. Default: out/tradespace.db"),
) -> None:
    """Write the HTML report of a study: its plans priced again, sources included."""
    from dataclasses import replace

    from tradespace.reports.html import write_report
    from tradespace.reports.recall import command_of, front_of_study, open_store
    from tradespace.reports.summary import Files, Start, summarise
    from tradespace.reports.terminal import show

    with open_store(storage) as store:
        record = store.load(study)
        place = store.shown
        path = Path(output) if output else _beside(store, study)
    front, bound = front_of_study(record, registry_from_context())
    plan = path.parent / "plan.yaml"
    files = Files(place, str(path), str(plan) if plan.is_file() else None)
    start = Start(len(record.spec.start)) if record.spec.start else None
    summary = summarise(front, bound, study=study, files=files, start=start, command=command_of(record.spec))
    if record.summary.get("diagnosis"):
        summary = replace(summary, diagnosis=str(record.summary["diagnosis"]))
    write_report(summary, front, bound, path)
    if json_wanted():
        print_json(summary.to_json())
    else:
        show(summary)


def _beside(store: Store, study: str) -> Path:
    """``out/STUDY/report.html`` for a database in ``out``; ``STUDY/report.html`` here for one on a server."""
    database = store.engine.url.database
    local = store.engine.url.get_backend_name() == "sqlite" and database
    return (Path(str(database)).parent if local else Path()) / study / "report.html"

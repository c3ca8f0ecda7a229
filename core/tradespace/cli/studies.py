"""`tradespace studies`: the studies of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json

if TYPE_CHECKING:
    from tradespace.studies.log import Listed

STORAGE = "sqlite:///out/tradespace.db"
STORAGE_HELP = "Study database: a SQLite file, sqlite:///PATH or postgresql://..."


def studies(storage: str = typer.Option(STORAGE, help=STORAGE_HELP)) -> None:
    """List studies: what was searched, how far it came."""
    from tradespace.studies import Store

    with Store.open(storage, create=False) as store:
        listed, place = store.list(), store.shown
    if json_wanted():
        print_json({"storage": place, "studies": [_document(row) for row in listed]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("study", "status", "workload", "target", "optimizer", "seed", "evaluations", "created", box=None)
    for row in listed:
        document = _document(row)
        table.add_row(*(str(document[c.header]) if document[c.header] is not None else "" for c in table.columns))  # type: ignore[index]
    console = Console()
    console.print(table)
    console.print(f"{len(listed)} studies in {place}", markup=False, highlight=False)


def _document(row: Listed) -> dict[str, Any]:
    setting = row.spec.setting
    return {
        "study": row.name,
        "status": row.status,
        "workload": setting and setting.workload,
        "target": setting and setting.target,
        "objectives": list(row.spec.objectives),
        "optimizer": row.spec.optimizer,
        "seed": row.spec.seed,
        "evaluations": row.evaluations,
        "seconds": row.seconds,
        "hypervolume": row.hypervolume,
        "created": row.created,
    }

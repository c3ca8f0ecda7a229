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
    from tradespace.cli.printing import print_table

    headers = ("created (UTC)", "status", "evaluations", "hypervolume", "study")
    print_table(headers, [_cells(row) for row in listed], numeric=("evaluations", "hypervolume"))
    typer.echo(f"{len(listed)} {'study' if len(listed) == 1 else 'studies'} in {place}")


def _cells(row: Listed) -> tuple[str, ...]:
    setting, when = row.spec.setting, row.created[:16].replace("T", " ")
    what = f"{_short(setting.workload)} on {_short(setting.target)}, " if setting is not None else ""
    numbers = (f"{row.evaluations:,}", f"{row.hypervolume:.4f}")
    return (when, row.status, *numbers, f"{row.name} ({what}{row.spec.optimizer}, seed {row.spec.seed})")


def _short(reference: Any) -> str:
    """A reference in a word or two: what it extends, and that it changes something."""
    if isinstance(reference, dict):
        return f"{reference.get('extends', 'inline')} (changed)"
    return str(reference)


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

"""`tradespace compare`: studies of one question side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import json_wanted, print_json
from tradespace.cli.studies import STORAGE, STORAGE_HELP

if TYPE_CHECKING:
    from tradespace.studies.compare import Comparison

_COVERAGE_COLUMNS = 8


def compare(
    names: list[str] = typer.Argument(metavar="STUDY...", help="Names of studies; * and ? match."),  # noqa: B008 - typer's way
    storage: str = typer.Option(STORAGE, help=STORAGE_HELP),
) -> None:
    """Compare studies that have the same objectives: hypervolume in a common box, coverage, cost of the search."""
    from tradespace.studies import Store
    from tradespace.studies.compare import compare as compared

    with Store.open(storage, create=False) as store:
        comparison = compared([store.load(name) for name in store.matching(names)])
    if json_wanted():
        print_json(comparison.document())
    else:
        show_comparison(comparison)


def show_comparison(comparison: Comparison) -> None:
    """The comparison as tables on the terminal, best hypervolume first."""
    from rich.console import Console
    from rich.table import Table

    from tradespace import units

    console = Console()
    best = [f"best {o.name}" for o in comparison.objectives]
    table = Table("study", "optimizer", "seed", "hypervolume", "plans", "evaluations", "seconds", *best, box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    for study in sorted(comparison.studies, key=lambda s: -s.hypervolume):
        numbers = [units.format(study.best[o.name], o.unit) if study.best else "" for o in comparison.objectives]
        cells = (study.name, study.optimizer, str(study.seed), f"{study.hypervolume:.4f}", str(study.plans))
        table.add_row(*cells, f"{study.evaluations:,}", f"{study.seconds:.2f}", *numbers)
    console.print(table)
    if 1 < len(comparison.studies) <= _COVERAGE_COLUMNS:
        console.print("\nShare of the column's front that the row's front equals or beats:", highlight=False)
        cover = Table("", *(s.name for s in comparison.studies), box=None)
        for study, row in zip(comparison.studies, comparison.coverage.tolist(), strict=True):
            cover.add_row(study.name, *("" if value != value else f"{value:.0%}" for value in row))
        console.print(cover)
    for note in comparison.notes:
        console.print(f"Note: {note}.", markup=False, highlight=False)

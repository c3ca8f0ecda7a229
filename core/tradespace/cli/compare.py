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
    from tradespace import units
    from tradespace.cli.printing import print_table, safe

    order = sorted(range(len(comparison.studies)), key=lambda i: -comparison.studies[i].hypervolume)
    studies = [comparison.studies[i] for i in order]
    numbers = [str(n + 1) for n in range(len(studies))]
    numeric = ("hypervolume", "plans", "evaluations", "seconds")
    rows = []
    for number, study in zip(numbers, studies, strict=True):
        cost = (f"{study.hypervolume:.4f}", f"{study.plans:,}", f"{study.evaluations:,}", f"{study.seconds:.2f}")
        rows.append((number, *cost, f"{study.name} ({study.optimizer}, seed {study.seed})"))
    print_table(("", *numeric, "study"), rows, numeric)
    best = [f"best {o.name}" for o in comparison.objectives]
    values = [
        (n, *(units.format(s.best[o.name], o.unit) if s.best else "" for o in comparison.objectives))
        for n, s in zip(numbers, studies, strict=True)
    ]
    typer.echo()
    print_table(("", *best), values, best)
    if 1 < len(studies) <= _COVERAGE_COLUMNS:
        typer.echo("\nShare of the column's front that the row's front equals or beats:")
        share = comparison.coverage[order][:, order].tolist()
        cells = [["" if value != value else f"{value:.0%}" for value in row] for row in share]
        print_table(("", *numbers), [(n, *row) for n, row in zip(numbers, cells, strict=True)], numbers)
    for note in comparison.notes:
        typer.echo(safe(f"Note: {note}."))

"""`tradespace fit`: refine a target's numbers from the user's own measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.costs.fitting import Fit
    from tradespace.costs.fitting_rows import Measurements

_WORST = 10


def fit(
    target: str = typer.Argument(metavar="TARGET", help="A target: its name or file."),
    measurements: str = typer.Argument(metavar="MEASUREMENTS.csv", help="What was measured; see docs/export.md."),
    output: str = typer.Option(None, help="The target file to write. Default: TARGET-fitted.yaml"),
    by: str = typer.Option(None, help="Hold rows with one value of this column out together (workload, kind ...)."),
) -> None:
    """Fit a target's numbers to measurements, say which moved and how well unseen rows are predicted."""
    from pathlib import Path

    from tradespace.costs import fitting
    from tradespace.costs.fitting_output import document, fitted_yaml
    from tradespace.costs.fitting_prices import prepare
    from tradespace.costs.fitting_rows import read_measurements
    from tradespace.errors import UnknownName
    from tradespace.reports.files import write_atomic
    from tradespace.targets import load_target

    registry = registry_from_context()
    loaded = load_target(target, registry)
    read = read_measurements(measurements, loaded, registry.names("precisions"))
    groups = None
    if by is not None:
        if not any(by in row.cells for row in read.rows):
            raise UnknownName("column", by, {c for row in read.rows for c in row.cells}, where=measurements)
        groups = [row.cells.get(by, "") for row in read.rows]
    found = fitting.fit(prepare(read.rows, loaded, registry), loaded, groups=groups)
    path = Path(output or f"{Path(target).stem}-fitted.yaml")
    write_atomic(path, fitted_yaml(found, read, target, path))
    if json_wanted():
        print_json(document(found, read) | {"files": {"target": str(path)}})
    else:
        _show(found, read, str(path))


def _show(found: Fit, read: Measurements, path: str) -> None:
    from tradespace.cli.printing import print_heading, print_table
    from tradespace.costs.fitting_output import errors
    from tradespace.units import format as show

    print_heading(f"{len(read.rows)} measured values of {read.name}")
    table: list[tuple[Any, ...]] = []
    told = {
        "before": found.before, "after, on the same rows": found.after,
        f"held out, {found.folding}": found.held_out, "held out, one common factor": found.naive,
    }  # fmt: skip
    for label, error in told.items():
        own = errors(error)
        table.append((label, *(f"{own[k]:.1%}" for k in ("median", "mean", "p90", "worst"))))
    numeric = ("median", "mean", "p90", "worst")
    print_table(("error of a row", *numeric), table, numeric=numeric)
    print_heading("\nnumbers")
    rows = []
    for n in found.numbers:
        what = f"x {n.factor:.3g}" if n.moved and n.number.value else ("moved" if n.moved else "stays")
        unit = n.number.unit
        rows.append((n.number.path, show(n.number.value, unit), show(n.value, unit) if n.moved else "",
                     what if n.seen else "not seen by these rows", n.number.kind))  # fmt: skip
    print_table(("number", "before", "after", "", "source was"), rows, numeric=("before", "after"))
    print_heading(f"\nlargest residuals of {len(read.rows)}")
    order = sorted(range(len(read.rows)), key=lambda i: -abs(float(found.held_out[i])))[:_WORST]
    print_table(
        ("line", "measured", "before", "after", "held out", "what"),
        [
            (read.rows[i].line, show(read.rows[i].value, _UNITS[read.rows[i].quantity]), f"{found.before[i]:+.1%}",
             f"{found.after[i]:+.1%}", f"{found.held_out[i]:+.1%}", read.rows[i].label)
            for i in order
        ],
        numeric=("line", "measured", "before", "after", "held out"),
    )  # fmt: skip
    moved = sum(n.moved for n in found.numbers)
    typer.echo(f"\n{moved} numbers moved, written to {path}")


_UNITS = {"time": "s", "energy": "J", "throughput": "token/s"}

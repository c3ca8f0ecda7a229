"""The comparison at the end of a sweep: one line a run, best hypervolume first within each problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradespace.reports.summary import Summary


def comparison(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """One row a run: what was varied, what was found. ``best``: the least (or most) of each objective, SI."""
    return [
        {
            "study": s.study,
            "workload": s.workload,
            "target": s.target,
            "optimizer": s.optimizer,
            "seed": s.seed,
            "evaluations": s.evaluations,
            "seconds": round(s.seconds, 3),
            "plans": len(s.rows),
            "hypervolume": s.hypervolume,
            "gap": s.certificate.gap,
            "best": {m.name: _best(s, m.name, m.direction) for m in s.objectives},
        }
        for s in sorted(summaries, key=lambda s: (s.workload, s.target, -s.hypervolume, s.study or ""))
    ]


def show_comparison(summaries: Sequence[Summary]) -> None:
    """Print the rows as a table."""
    from rich.table import Table

    from tradespace import units
    from tradespace.reports.terminal import make_console

    table = Table(box=None, pad_edge=False)
    objectives = {m.name: m.unit for s in summaries for m in s.objectives}
    names = ("optimizer", "seed", "plans", "hypervolume", "gap", *(f"best {o}" for o in objectives), "time", "study")
    for name in names:
        left = name in ("study", "optimizer")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "study", overflow="fold")
    for row in comparison(summaries):
        best = row["best"]
        table.add_row(
            row["optimizer"],
            str(row["seed"]),
            str(row["plans"]),
            f"{row['hypervolume']:.5f}",
            "-" if row["gap"] is None else f"{row['gap']:.2%}",
            *("-" if best.get(o) is None else units.format(best[o], unit) for o, unit in objectives.items()),
            units.format(row["seconds"], "s", digits=3),
            row["study"] or "",
        )
    make_console().print(table)


def _best(summary: Summary, name: str, direction: str) -> float | None:
    values = [row.values[name] for row in summary.rows]
    return (max if direction == "max" else min)(values) if values else None

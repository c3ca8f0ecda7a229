"""All systems side by side: how many rows are inside their bands, on the terminal, in studies/README.md, as a page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradespace.studies.reproduction.run import Result, SystemResult

COLUMNS = ("system", "inside", "outside", "fitted", "context", "identity", "not reproducible", "inside of checkable")
BEGIN, END = "<!-- scoreboard: written by `tradespace reproduce --all` -->", "<!-- end of the scoreboard -->"


@dataclass(frozen=True)
class Score:
    """Rows of one system by verdict. ``checkable``: published values that could have been predicted."""

    system: str
    title: str
    counts: dict[str, int]
    inside: int
    checkable: int

    @classmethod
    def of(cls, result: SystemResult) -> Score:
        published = [r for r in result.results if r.published is not None or r.verdict == "error"]
        names = ("inside", "outside", "fitted", "context", "identity", "not reproducible", "error")
        counts = {name: sum(r.verdict == name for r in published) for name in names}
        return cls(result.published.system, result.published.title, counts, result.inside, result.checkable)

    @property
    def cells(self) -> tuple[str, ...]:
        c = self.counts
        middle = (
            c["inside"],
            c["outside"] + c["error"],
            c["fitted"],
            c["context"],
            c["identity"],
            c["not reproducible"],
        )
        return (self.system, *map(str, middle), share(self.inside, self.checkable))

    def to_json(self) -> dict[str, Any]:
        return {"system": self.system, **self.counts, "checkable": self.checkable}


def share(inside: int, checkable: int) -> str:
    return f"{inside}/{checkable} ({inside / checkable:.0%})" if checkable else "-"


def total(scores: Sequence[Score]) -> Score:
    counts = {name: sum(s.counts[name] for s in scores) for name in (scores[0].counts if scores else {})}
    return Score("all", "", counts, sum(s.inside for s in scores), sum(s.checkable for s in scores))


def print_scoreboard(results: Sequence[SystemResult]) -> None:
    from rich.table import Table

    from tradespace.reports.terminal import make_console

    scores = [Score.of(r) for r in results]
    table = Table(box=None, pad_edge=False, title="rows by verdict", title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "system" else "right")
    for score in (*scores, total(scores)):
        table.add_row(*score.cells)
    make_console().print(table)


def markdown(results: Sequence[SystemResult]) -> str:
    """The table between the marks of studies/README.md."""
    scores = [Score.of(r) for r in results]
    lines = [BEGIN, "", f"| {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * (len(COLUMNS) - 1)}"]
    for score in scores:
        lines.append(f"| [{score.system}]({score.system}/README.md) | {' | '.join(score.cells[1:])} |")
    lines.append(f"| **all** | {' | '.join(total(scores).cells[1:])} |")
    return "\n".join([*lines, "", END])


def in_readme(text: str, results: Sequence[SystemResult]) -> str:
    """``text`` with the scoreboard put between its marks, or at its end."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before.rstrip()}\n\n{markdown(results)}\n\n{after.strip()}".rstrip() + "\n"


def page(results: Sequence[SystemResult]) -> str:
    """One HTML file: the scoreboard and published against ours on logarithmic axes, overall and per system."""
    from tradespace import reports as html_pages
    from tradespace.reports.html import plotly_source

    scores = [Score.of(r) for r in results]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in s.cells)}</tr>" for s in (*scores, total(scores))
    )
    points = json.dumps([p for r in results for p in _points(r)]).replace("<", "\\u003c")
    parts = {"head": head, "body": body, "data": points, "plotly": plotly_source()}
    template = (Path(html_pages.__file__).parent / "page" / "scoreboard.html").read_text(encoding="utf-8")
    pieces = re.split(r"\{\{(\w+)\}\}", template)  # split once: a mark inside of what is filled in stays what it is
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _points(system: SystemResult) -> Iterator[dict[str, Any]]:
    for r in system.results:
        if _drawn(r):
            yield {
                "system": system.published.system,
                "id": r.id,
                "published": r.published,
                "ours": r.ours,
                "verdict": r.verdict,
                "unit": r.unit,
                "band": r.band,
            }


def _drawn(r: Result) -> bool:
    numbers = [v for v in (r.published, r.ours) if isinstance(v, float)]
    return len(numbers) == 2 and min(numbers) > 0 and 1e-6 < numbers[0] / numbers[1] < 1e6  # the rest is rounding

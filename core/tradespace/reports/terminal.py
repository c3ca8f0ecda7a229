"""A summary on the terminal: the front as a table, what runs where, the gap, what the result rests on, the files."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from tradespace import units
from tradespace.reports.columns import Column, amount, column, percent
from tradespace.reports.summary import Origin, Row, Summary

if TYPE_CHECKING:
    from rich.console import Console

    from tradespace.baseline import Baseline, Change

WIDTH = 100
"""Columns when the output is not a terminal and ``COLUMNS`` says nothing."""
SUBSTITUTES = 3
_ASCII = str.maketrans(
    {"−": "-", "–": "-", "…": "...", "→": "->", "·": "|", "≤": "<=", "≥": ">=", "°": "", "µ": "u", "μ": "u", "×": "x"}
)


def make_console(file: TextIO | None = None, width: int | None = None) -> Console:
    """A console on stdout; without colour, and `WIDTH` wide, where it is not a terminal."""
    from rich.console import Console

    stream = file or sys.stdout
    if width is None and not stream.isatty() and "COLUMNS" not in os.environ:
        width = WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


@contextlib.contextmanager
def tidy(console: Console) -> Iterator[None]:
    """Where the output goes into a file or a pipe, lines end where their text ends: tables are padded otherwise."""
    if console.is_terminal:
        yield
        return
    with console.capture() as captured:
        yield
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show(summary: Summary, console: Console | None = None) -> None:
    """Print a summary. Names from files are printed as they are: they cannot style or move anything."""
    console = console or make_console()
    with tidy(console):
        _show(summary, console, is_unicode(console))


def _show(summary: Summary, console: Console, unicode: bool) -> None:
    console.print(safe(headline(summary), unicode), style="bold")
    if summary.diagnosis is not None:
        console.print(safe(summary.diagnosis, unicode), style="yellow")
    if summary.rows:
        console.print(_front_table(summary, console.width, unicode))
        console.print()
        console.print(grid([(r.short_id, r.text) for r in _shown(summary)], unicode, "cyan"))
    elif summary.nearest:
        console.print(grid([("nearest" if i == 0 else "", t) for i, t in enumerate(nearest_lines(summary))], unicode))
    console.print()
    console.print(grid([*_notes(summary)], unicode))


def headline(summary: Summary) -> str:
    """ "llama-3.2-1b on laptop: 143 plans worth having (10,000 designs in 1.9 s, pgsam, seed 0)"."""
    subject = f"{summary.workload} on {summary.target}: " if summary.workload else ""
    plans = len(summary.rows)
    nothing = "no plan meets the constraints" if summary.diagnosis is not None else "no plan was found"
    found = f"{plans:,} plan{'' if plans == 1 else 's'} worth having" if plans else nothing
    effort = f"{summary.evaluations:,} designs in {units.format(summary.seconds, 's', digits=2)}"
    ended = " interrupted," if summary.interrupted else ""
    return f"{subject}{found} ({effort},{ended} {summary.optimizer}, seed {summary.seed})"


def _shown(summary: Summary) -> list[Row]:
    return [summary.rows[i] for i in summary.picked]


def columns(summary: Summary, rows: Sequence[Row]) -> tuple[Column, ...]:
    """One column an objective, scaled for the rows it shows."""
    return tuple(column(m.name, m.unit, (r.values[m.name] for r in rows)) for m in summary.objectives)


def _front_table(summary: Summary, width: int, unicode: bool) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = _shown(summary)
    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("plan", style="cyan", no_wrap=True)
    shown = columns(summary, rows)
    for c, m in zip(shown, summary.objectives, strict=True):
        table.add_column(Text(safe(_title(c, m.direction), unicode), justify="right"), justify="right")
    table.add_column("why", style="dim", max_width=max(16, width // 3))
    best = [_best(rows, m.name, m.direction) for m in summary.objectives]
    for row in rows:
        cells = []
        for c, m, top in zip(shown, summary.objectives, best, strict=True):
            value = row.values[m.name]
            cells.append(Text(c.text(value), style="bold green" if value == top else ""))
        style = "bold" if "knee" in row.why else None
        table.add_row(Text(row.short_id), *cells, Text(safe(row.why, unicode)), style=style)
    return table


def _title(c: Column, direction: str) -> str:
    """Name above unit, so that narrow terminals keep the numbers; "larger is better" where that is so."""
    name = f"{c.name} ↑" if direction == "max" else c.name
    return f"{name}\n{c.label}" if c.label else name


def _best(rows: Sequence[Row], name: str, direction: str) -> float:
    return (max if direction == "max" else min)(r.values[name] for r in rows)


def grid(pairs: Sequence[tuple[str, str]], unicode: bool, style: str = "dim") -> Any:
    """Labels and texts in two columns without lines."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=style, no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in pairs:
        grid.add_row(Text(safe(label, unicode)), Text(safe(text, unicode)))
    return grid


def _notes(summary: Summary) -> Iterator[tuple[str, str]]:
    """What stands below the table, as label and text."""
    if summary.constraints:
        yield "subject to", ", ".join(summary.constraints)
    if summary.rows:
        yield "certified gap", gap_line(summary)
    if summary.baseline is not None:
        yield from (("baseline" if i == 0 else "", line) for i, line in enumerate(baseline_lines(summary.baseline)))
    if summary.start is not None:
        yield "started from", summary.start.text
    yield from (("rests on" if i == 0 else "", line) for i, line in enumerate(substitute_lines(summary)))
    if summary.note:
        yield "optimizer", summary.note
    if summary.stopped:
        yield "stopped", summary.stopped
    files = summary.files
    for label, path in (("study", files.database), ("report", files.report), ("plan", files.plan)):
        if path:
            yield label, path + (f" (study {summary.study})" if label == "study" and summary.study else "")
    if summary.rows and summary.study:
        knee = next((r for r in _shown(summary) if "knee" in r.why), summary.rows[0])
        yield "next", f"tradespace explain {shlex.quote(f'{summary.study}:{knee.short_id}')}"


def nearest_lines(summary: Summary, most: int = 3) -> list[str]:
    """The plans that break least when nothing is feasible: what they are, what they cost, what they break."""
    lines = []
    for r in summary.nearest[:most]:
        values = ", ".join(f"{m.name} {units.format(r.values[m.name], m.unit)}" for m in summary.objectives)
        over = ", ".join(f"{name} by {amount(v)}" for name, v in r.violations.items() if v > 0)
        lines += [f"{r.short_id} {r.text}", f"  {values}; exceeds {over}"]
    return lines


def gap_line(summary: Summary) -> str:
    """The certified gap in a sentence, or why there is no bound."""
    proof = summary.certificate
    text = f"hypervolume {summary.hypervolume:.4f}"
    if proof.gap is None:
        return f"no bound: {proof.method}; {text}"
    return f"at most {max(proof.gap, 0.0) * 100:.2g} % of the possible hypervolume is missing ({proof.method}); {text}"


def substitute_lines(summary: Summary, most: int = SUBSTITUTES) -> list[str]:
    """How many numbers stand in for unknown ones, the first few, and how to see them all."""
    found = summary.substitutes
    if not found:
        return ["no substitute numbers" if summary.sources else "numbers whose sources are not recorded"]
    noun = "substitute number" if len(found) == 1 else "substitute numbers"
    lines = [f"{len(found)} {noun} (stand-ins for what nobody published):"]
    lines += [f"{path} {text}" for path, text in _grouped(found)[:most]]
    rest = len(found) - most
    if rest > 0:
        where = f"tradespace show {shlex.quote(summary.target)}" if summary.target else "the report"
        lines.append(f"… and {rest} more: {where}")
    return lines


def _grouped(found: Sequence[Origin]) -> list[tuple[str, str]]:
    return [(o.path, f"= {quantity(o)} ({o.source})" if o.source else f"= {quantity(o)}") for o in found]


def quantity(origin: Origin) -> str:
    """The value of a sourced number with its unit."""
    return origin.value if isinstance(origin.value, str) else units.format(origin.value, origin.unit)


def baseline_lines(baseline: Baseline) -> list[str]:
    """The user's plan beside the front: its price, what dominates it, the best single change."""
    lines = [f"{baseline.name} ({baseline.id[:8]})"]
    broken = {k: v for k, v in baseline.violations.items() if v > 0}
    if broken:
        lines.append("breaks " + ", ".join(f"{k} by {amount(v)}" for k, v in broken.items()))
    if baseline.on_front:
        lines.append("is on the front")
    elif baseline.dominated_by:
        noun = "plan is" if baseline.dominated_by == 1 else "plans are"
        lines.append(f"{baseline.dominated_by} {noun} at least as good in everything, first:")
        lines += [f"{b.short_id}: {changes_text(b.changes)}" for b in baseline.better[:2]]
    elif baseline.dominated_by == 0:
        lines.append("no plan of the front is better in everything")
    for label, change in (("best single change", baseline.entry), ("best wider change", baseline.whole)):
        if change is not None:
            lines.append(f"{label}: {change_line(change)}")
    if baseline.entry is None:
        lines.append("no single change improves it")
    return lines


def change_line(change: Change) -> str:
    """ "precision of 3: fp16 → int4: energy −12 %, latency +0 %"."""
    return f"{change.text}: {changes_text(change.changes)}{'' if change.improves else ' (a trade)'}"


def changes_text(changes: Any) -> str:
    return ", ".join(f"{name} {percent(value)}" for name, value in changes.items())


def is_unicode(console: Console) -> bool:
    """Whether the stream can show more than ASCII."""
    return console.encoding.lower().replace("-", "") in ("utf8", "utf16", "utf32")


def safe(text: str, unicode: bool) -> str:
    """Text without control characters (names come from files), and in ASCII where the stream has no more."""
    clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return clean if unicode else clean.translate(_ASCII).replace("↑", "(max)").encode("ascii", "replace").decode()

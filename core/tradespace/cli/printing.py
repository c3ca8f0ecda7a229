"""Plain tables and paragraphs on the terminal. Texts of strangers are printed, never interpreted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
"""Columns where the output is no terminal and ``COLUMNS`` says nothing."""

_LAST = 30  # columns that the last column of a table has at least


def safe(text: object) -> str:
    """Text without control characters, so that a name cannot move the cursor or colour the screen."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], numeric: Sequence[str] = ()) -> None:
    """A borderless table; columns named in `numeric` are right-aligned, the last column wraps."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    cells = [[safe(cell) for cell in row] for row in rows]
    cut = _cut([[header, *(row[at] for row in cells)] for at, header in enumerate(headers)], console.width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for at, header in enumerate(headers):
        last = at == len(headers) - 1
        table.add_column(
            header,
            justify="right" if header in numeric else "left",
            no_wrap=not last,
            overflow="fold" if last else "ellipsis",
            max_width=cut.get(at),
        )
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def _cut(columns: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """{the widest column but the last: how wide it may be}, if the last would have no room: it says what matters."""
    widths = [max(len(line) for text in column for line in text.split("\n")) + 2 for column in columns]
    excess = sum(widths[:-1]) + min(widths[-1], _LAST) - width
    widest = max(range(len(widths) - 1), key=widths.__getitem__, default=0)
    return {widest: max(widths[widest] - 2 - excess, 1)} if excess > 0 else {}


def print_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Labels and values, one a line; empty values are left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in pairs:
        if value not in (None, "", (), [], {}):
            grid.add_row(Text(safe(label)), Text(safe(value)))
    _console().print(grid)


def print_heading(text: str) -> None:
    """A bold line."""
    from rich.text import Text

    _console().print(Text(safe(text), style="bold"))


def _console() -> Console:
    """As `tradespace.reports.terminal.make_console`, which needs numpy for its tables of plans."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)

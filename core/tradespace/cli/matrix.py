"""`tradespace matrix`: every workload on every target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradespace.matrix import Pair
    from tradespace.plugins import Registry


def matrix(
    workloads: str = typer.Option("*", "--workloads", "-w", help="Pattern of workload names: 'llama*'."),
    targets: str = typer.Option("*", "--targets", "-t", help="Pattern of target names: 'stm32*'."),
    reasons: bool = typer.Option(True, help="List why pairs decline."),
) -> int:
    """Try every workload on every target: which pairs can be priced, and why the others decline."""
    from tradespace.matrix import matrix as try_all

    registry = registry_from_context()
    rows, columns = _matching("workloads", workloads, registry), _matching("targets", targets, registry)
    with _Bar(len(rows) * len(columns)) as bar:
        pairs = try_all(rows, columns, registry, bar.step)
    if json_wanted():
        print_json({"pairs": [pair.document for pair in pairs]})
    else:
        _show(pairs, columns, reasons=reasons)
    return 1 if any(pair.failed for pair in pairs) else 0


def _matching(kind: str, pattern: str, registry: Registry) -> list[str]:
    from fnmatch import fnmatchcase

    from tradespace.cli.catalogue import names_of
    from tradespace.errors import UnknownName

    known = names_of(kind, registry)
    found = [name for name in known if fnmatchcase(name, pattern)]
    if not found:
        raise UnknownName(kind.removesuffix("s"), pattern, known)
    return found


def _show(pairs: Sequence[Pair], columns: Sequence[str], *, reasons: bool) -> None:
    from tradespace.cli.printing import print_heading, print_pairs, print_table

    rows: dict[str, dict[str, str]] = {}
    for pair in pairs:
        rows.setdefault(pair.workload, {})[pair.target] = "●" if pair.prices else "✗" if pair.failed else "·"
    letters = [chr(ord("a") + i // 26 - 1) * (i >= 26) + chr(ord("a") + i % 26) for i in range(len(columns))]
    print_table(("workload", *letters), ((name, *(cells[c] for c in columns)) for name, cells in rows.items()))
    print_heading("")
    print_pairs(zip(letters, columns, strict=True))
    priced = sum(pair.prices for pair in pairs)
    print_heading(f"\n● {priced} of {len(pairs)} pairs are priced; · declined")
    if reasons:
        declined: dict[str, list[str]] = {}
        for pair in pairs:
            if not pair.prices:
                declined.setdefault(pair.reason, []).append(f"{pair.workload} on {pair.target}")
        often = sorted(declined.items(), key=lambda item: -len(item[1]))
        print_pairs((f"{len(which)}x", f"{reason} (as {which[0]})") for reason, which in often)


class _Bar:
    """A progress bar on stderr where a person looks."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._progress = Progress(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("pairs", total=total)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, pair: Pair) -> None:
        self._progress.update(self._task, advance=1, description=f"{pair.workload} on {pair.target}")

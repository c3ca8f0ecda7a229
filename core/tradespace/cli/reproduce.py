"""`tradespace reproduce`: published rows beside ours."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context
from tradespace.errors import InputError, UnknownName

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.studies.reproduction.run import SystemResult


def reproduce(
    systems: list[str] = typer.Argument(None, metavar="[SYSTEM]...", help="Names of studies."),  # noqa: B008 - typer's way
    every: bool = typer.Option(False, "--all", help="All studies that have published rows."),
    keys: bool = typer.Option(False, "--keys", help="Show every key a row may have, and the names its settings offer."),
    rows: list[Path] = typer.Option([], "--rows", metavar="FILE", help="A file of rows, like published.yaml."),  # noqa: B008
    write: bool = typer.Option(False, "--write", help="Write the README of each study from its rows."),
    fresh: bool = typer.Option(False, "--fresh", help="Price and measure all again; forget earlier prices."),
    out: Path = typer.Option(Path("out"), help="Folder of the page that --all writes."),  # noqa: B008
) -> int:
    """Price the published rows of a system and say which are met.

    What the same code has priced or measured before is not done again, except with --fresh. With --all a scoreboard
    follows, goes into studies/README.md (in a checkout) and becomes a page. Exits with 1 if a row is outside its band
    or broken.
    """
    from tradespace.studies.reproduction.document import read_published
    from tradespace.studies.reproduction.memory import Memory
    from tradespace.studies.reproduction.run import reproduce as price_rows
    from tradespace.studies.reproduction.show import keys_text, print_keys, print_system

    registry = registry_from_context()
    paths = _paths(systems or [], every, rows, registry, optional=keys)
    files = [read_published(path) for path in paths]
    if keys:
        documents = [print_keys(published, registry) for published in files] or [print_keys(None, registry)]
        if json_wanted():
            print_json(documents[0] if len(documents) == 1 else documents)
        else:
            print("\n\n".join(keys_text(document) for document in documents))
        return 0
    results, memory = [], Memory.of(registry, fresh=fresh)
    for published in files:
        with _progress(published.system, len(published.rows)) as tell:
            results.append(price_rows(published, registry, tell, memory))
        if not json_wanted():
            print_system(results[-1])
    if write:
        _write(results)
    board = _scoreboard(results, out) if every else {}
    if json_wanted():
        print_json({"systems": [result.to_json() for result in results], **board})
    return int(any(result.wrong for result in results))


@contextlib.contextmanager
def _progress(system: str, rows: int) -> Iterator[Callable[[str], None] | None]:
    """A bar after two seconds, on stderr, and only where a person looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from tradespace.reports.progress import PATIENCE

    begin = time.monotonic()
    columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
    with contextlib.ExitStack() as stack:
        bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
        task = bar.add_task(system, total=rows)

        def tell(row: str) -> None:
            if not bar.live.is_started and time.monotonic() - begin > PATIENCE:
                stack.enter_context(bar)
            bar.update(task, advance=1, description=f"{system}: {row}")

        yield tell


def _paths(systems: list[str], every: bool, rows: list[Path], registry: Registry, *, optional: bool) -> list[Path]:
    from tradespace.studies.catalogue import study_folders

    folders = {name: folder for name, folder in study_folders(registry).items() if (folder / "published.yaml").exists()}
    for name in systems:
        if name not in folders:
            raise UnknownName("system", name, folders, where="reproduce")
    chosen = list(folders) if every else list(dict.fromkeys(systems))
    paths = [folders[name] / "published.yaml" for name in chosen] + list(rows)
    if not paths and not optional:
        known = ", ".join(folders) or "none here"
        raise InputError("name a system, --all or --rows FILE", where="reproduce", remedy=f"Systems: {known}.")
    return paths


def _scoreboard(results: list[SystemResult], out: Path) -> dict[str, object]:
    """Print it, write the page, and the table in the README beside the studies of a checkout."""
    from tradespace.reports.files import write_atomic
    from tradespace.studies.reproduction import scoreboard

    if not json_wanted():
        scoreboard.print_scoreboard(results)
    page = write_atomic(out / "scoreboard.html", scoreboard.page(results))
    readme = results[0].published.path.parent.parent / "README.md" if results else None
    if readme is not None and readme.is_file() and scoreboard.BEGIN in readme.read_text(encoding="utf-8"):
        write_atomic(readme, scoreboard.in_readme(readme.read_text(encoding="utf-8"), results))
    if not json_wanted():
        print(f"page  {page}")
    scores = [scoreboard.Score.of(result) for result in results]
    return {"scoreboard": [score.to_json() for score in (*scores, scoreboard.total(scores))]}


def _write(results: list[SystemResult]) -> None:
    from tradespace.reports.files import write_atomic
    from tradespace.studies.reproduction.show import readme

    for result in results:
        write_atomic(result.published.path.parent / "README.md", readme(result))

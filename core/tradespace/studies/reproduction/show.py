"""A reproduced system as text, as keys to write more rows with, and as the README of its study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tradespace import units
from tradespace.errors import TradespaceError
from tradespace.studies.reproduction import grammar
from tradespace.studies.reproduction.document import Published, Row
from tradespace.studies.reproduction.pricing import Pricer, facts_of
from tradespace.studies.reproduction.run import Result, SystemResult

if TYPE_CHECKING:
    from tradespace.plugins import Registry

MARKS: Mapping[str, str] = {"inside": "green", "outside": "red", "error": "red", "identity": "cyan", "fitted": "yellow"}


def number(value: Any, unit: str) -> str:
    """A value in the row's unit with four digits; text as it is."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value)
    return f"{units.format(float(value), '')}{f' {unit}' if unit not in ('', '1') else ''}"


def cells(result: Result) -> tuple[str, str, str, str, str, str]:
    """id, published, ours, ratio, band, verdict."""
    ratio = "-" if result.ratio is None else f"{result.ratio:.3g}"
    published, ours = number(result.published, result.unit), number(result.ours, result.unit)
    return result.id, published, ours, ratio, result.band, result.verdict


def headline(system: SystemResult) -> str:
    """ "qeil-v2: 12 of 14 checkable rows inside their bands"."""
    return f"{system.published.system}: {system.inside} of {system.checkable} checkable rows inside their bands"


def print_system(system: SystemResult) -> None:
    """The table on stdout."""
    from rich.table import Table
    from rich.text import Text

    from tradespace.reports.terminal import make_console

    console = make_console()
    table = Table(box=None, pad_edge=False, title=None)
    for name in ("row", "published", "ours", "ratio", "band", "verdict", "why"):
        right = name in ("published", "ours", "ratio")
        table.add_column(name, justify="right" if right else "left", no_wrap=right or name == "row", overflow="fold")
    for result in system.results:
        *values, verdict = cells(result)
        styled = Text(verdict, style=MARKS.get(verdict, ""))
        table.add_row(*values, styled, result.reason)
    console.print(Text(headline(system), style="bold"))
    console.print(table)


def print_keys(published: Published | None, registry: Registry) -> dict[str, Any]:
    """Every key and word of the grammar, and the names of the system's settings, as one document."""
    document: dict[str, Any] = {kind: dict(table) for kind, table in grammar.TABLES.items()}
    if published is not None:
        document["names"] = list(_names(published, registry))
    return document


def keys_text(document: Mapping[str, Any]) -> str:
    lines: list[str] = []
    for kind, table in document.items():
        if kind == "names":
            continue
        lines += [f"{kind}:"] + [f"  {key:18} {meaning}" for key, meaning in table.items()]
    for names in document.get("names", ()):
        lines += [f"{names['workload']} on {names['target']}:"]
        lines += [f"  {key:18} {', '.join(map(str, names[key]))}" for key in ("metrics", "counts")]
        lines += [f"  design.{key:11} {', '.join(map(str, values))}" for key, values in names["design"].items()]
        if names.get("error"):
            lines += [f"  {names['error']}"]
    return "\n".join(lines)


def _names(published: Published, registry: Registry) -> Iterator[dict[str, Any]]:
    """Metrics and design variables of each pair of workload and target that the file names."""
    pricer, seen = Pricer(registry), set()
    for row in published.rows:
        if not isinstance(row, Row) or not {"workload", "target"} <= set(row.setting):
            continue
        pair = {"workload": row.setting["workload"], "target": row.setting["target"]}
        if str(pair) in seen:
            continue
        seen.add(str(pair))
        names: dict[str, Any] = {**pair, "metrics": [], "counts": [], "design": {}}
        try:
            bound = pricer.bind(pair)
            names["metrics"] = [f"{m.name} ({m.unit})" for m in bound.evaluator.metrics]
            names["counts"] = sorted(facts_of(bound.workload))
            for v in bound.evaluator.space.variables:
                options = getattr(v, "options", None)
                names["design"][v.name] = list(options) if options else [str(b[0]) for b in v.bounds()]
        except TradespaceError as error:
            names["error"] = str(error)
        yield names


def readme(system: SystemResult) -> str:
    """The study's README: generated, so that it never says what the rows do not."""
    published = system.published
    lines = [
        f"# {published.system}",
        "",
        f"<!-- Written by `tradespace reproduce {published.system} --write`; edit published.yaml instead. -->",
        "",
        f"{published.title}{'. ' if published.title else ''}{published.source}.",
        "",
        *([published.question, ""] if published.question else []),
        f"**{headline(system)}.** Identities are arithmetic of the publication's own numbers and are not counted.",
        "",
        "| row | what | published | ours | ratio | band | verdict |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
        *(_markdown_row(result) for result in system.results if result.verdict != "not reproducible"),
        "",
    ]
    lines += _section("What is ours", [f"- {text}" for text in published.ours])
    lines += _section("Outside their bands", [_paragraph(r) for r in system.results if r.verdict == "outside"])
    lines += _section("Broken rows", [f"- **{r.id}**: {r.reason}" for r in system.results if r.verdict == "error"])
    noted = [r for r in system.results if r.row is not None and r.row.note and r.verdict not in ("outside", "error")]
    lines += _section("Notes", list(dict.fromkeys(f"- **{r.row.id}**: {r.row.note}" for r in noted if r.row)))
    missing = [r for r in system.results if r.verdict == "not reproducible"]
    lines += _section("Not reproducible", [f"- **{_title(r)}**: {r.reason}" for r in missing])
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []


def _markdown_row(result: Result) -> str:
    name, published, ours, ratio, band, verdict = (text.replace("|", "\\|") for text in cells(result))
    return f"| {name} | {_what(result)} | {published} | {ours} | {ratio} | {band} | {verdict} |"


def _what(result: Result) -> str:
    row = result.row
    if row is None:
        return "-"
    text = row.what[1].replace("|", "\\|")
    if row.compare is not None:
        text = f"{row.compare} of {text}"
    return f"{row.reduce} {text}" if row.reduce else text


def _title(result: Result) -> str:
    return f"{result.id} ({number(result.published, result.unit)})"


def _paragraph(result: Result) -> str:
    note = result.row.note if result.row is not None else ""
    shown = f"published {number(result.published, result.unit)}, ours {number(result.ours, result.unit)}"
    return f"- **{result.id}**: {shown}. {note or result.reason}".rstrip()

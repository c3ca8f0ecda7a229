"""A reproduced system as text, as keys to write more rows with, and as the README of its study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tradespace import units
from tradespace.errors import TradespaceError
from tradespace.plans import in_runs
from tradespace.studies.reproduction import grammar
from tradespace.studies.reproduction.document import Published, Row
from tradespace.studies.reproduction.pricing import Pricer, facts_of
from tradespace.studies.reproduction.run import Result, SystemResult
from tradespace.studies.reproduction.settings import merge, step

if TYPE_CHECKING:
    from tradespace.plugins import Registry

MARKS: Mapping[str, str] = {"inside": "green", "outside": "red", "error": "red", "identity": "cyan", "fitted": "yellow"}

_WIDEST = 24  # columns of a value in the table; JSON has all of it


def number(value: Any, unit: str) -> str:
    """A value in the row's unit with four digits; text as it is, lists in runs, as "10× cpu, npu"."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return in_runs(value)
    return f"{units.format(float(value), '')}{f' {unit}' if unit not in ('', '1') else ''}"


def cells(result: Result) -> tuple[str, str, str, str, str, str]:
    """id, published, ours, ratio, band, verdict."""
    ratio = "-" if result.ratio is None else f"{result.ratio:.3g}"
    published, ours = number(result.published, result.unit), number(result.ours, result.unit)
    return result.id, published, ours, ratio, result.band, result.verdict


def headline(system: SystemResult) -> str:
    """ "qeil-v2: 12 of 14 checkable rows inside their bands"."""
    return f"{system.published.system}: {system.inside} of {system.checkable} checkable rows inside their bands"


def what(result: Result) -> str:
    """What a line prices, in few words: the step of a sweep, else the reading, else the metric."""
    row = result.row
    if row is None:
        return ""
    if result.step:
        return result.step
    text = row.what[1] if row.compare is None else f"{row.compare} of {row.what[1]}"
    text = f"{row.reduce} {text}" if row.reduce else text
    return text if row.what[0] != "expr" else f"{text}: {row.reading}" if row.reading else text


def print_system(system: SystemResult) -> None:
    """The table on stdout, then why rows are outside, broken or not reproducible."""
    from rich.table import Table
    from rich.text import Text

    from tradespace.reports.terminal import make_console

    console = make_console()
    table = Table(box=None, pad_edge=False)
    for name in ("row", "what", "published", "ours", "ratio", "band", "verdict"):
        right = name in ("published", "ours", "ratio")
        wide = name in ("published", "ours")
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=name != "what",
            overflow="ellipsis" if wide else "fold",
            max_width=_WIDEST if wide else None,
        )
    for result in published_results(system):
        name, *values, verdict = cells(result)
        table.add_row(name, what(result), *values, Text(verdict, style=MARKS.get(verdict, "")))
    console.print(Text(headline(system), style="bold"))
    console.print(table)
    for name, text in beside(system):
        console.print(f"{name} beside: {text}")
    for line in dict.fromkeys(_why(system)):
        console.print(line)


def published_results(system: SystemResult) -> list[Result]:
    """Lines with a published value, and broken ones."""
    return [r for r in system.results if r.published is not None or r.verdict == "error"]


def beside(system: SystemResult) -> Iterator[tuple[str, str]]:
    """Rows without a published value, one line each: what it is, then every step with ours."""
    groups: dict[str, list[Result]] = {}
    for result in system.results:
        if result.published is None and result.verdict != "error" and result.row is not None:
            groups.setdefault(result.row.id, []).append(result)
    for name, results in groups.items():
        row = results[0].row
        assert row is not None
        values = [f"{_short_step(r)}{number(r.ours, r.unit)}" for r in results]
        yield name, f"{row.reason} ({what(replace(results[0], step=''))}): {', '.join(values)}"


def _short_step(result: Result) -> str:
    """ "gpt2: " or "bandwidth 161 GB/s: "."""
    parts = []
    for part in result.step.split(", ") if result.step else ():
        key, _, value = part.partition(" ")
        parts.append(value if key in ("workload", "target", "evaluator") else f"{key.rpartition('.')[2]} {value}")
    return f"{' '.join(parts)}: " if parts else ""


def _why(system: SystemResult) -> Iterator[str]:
    for result in published_results(system):
        if result.verdict in ("inside", "identity"):
            continue
        note = result.row.note if result.row is not None and result.verdict == "outside" else ""
        name = result.row.id if result.row is not None else result.id
        if text := " ".join(part for part in (note, result.reason) if part):
            yield f"{name} {result.verdict}: {text}"


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
        setting = step(merge(row.setting, row.each[0]), row.sweep or {}, 0) if isinstance(row, Row) else {}
        if not {"workload", "target"} <= set(setting):
            continue
        pair = {"workload": setting["workload"], "target": setting["target"]}
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
        *(_markdown_row(r) for r in published_results(system) if r.verdict != "not reproducible"),
        "",
    ]
    lines += _section("Beside the publication", [f"- **{name}**: {text}" for name, text in beside(system)])
    lines += _section("What is ours", [f"- {text}" for text in published.ours])
    lines += _section("How the publication is read", list(_readings(system)))
    lines += _section("Outside their bands", [_paragraph(r) for r in system.results if r.verdict == "outside"])
    lines += _section("Broken rows", [f"- **{r.id}**: {r.reason}" for r in system.results if r.verdict == "error"])
    noted = [r for r in system.results if r.row is not None and r.row.note and r.verdict not in ("outside", "error")]
    lines += _section("Notes", list(dict.fromkeys(f"- **{r.row.id}**: {r.row.note}" for r in noted if r.row)))
    missing = [r for r in system.results if r.verdict == "not reproducible"]
    lines += _section("Not reproducible", [f"- **{_title(r)}**: {r.reason}" for r in missing])
    return "\n".join(lines).rstrip() + "\n"


def _readings(system: SystemResult) -> Iterator[str]:
    """What rows say where the source is ambiguous, unless the page has it elsewhere; equal readings once."""
    found: dict[str, list[str]] = {}
    for result in system.results:
        row = result.row
        told = row is None or row.what[0] == "expr" or result.verdict in ("error", "not reproducible")
        if row is not None and row.reading and not told and (result.verdict != "outside" or row.note):
            found.setdefault(row.reading, []).append(row.id)
    for reading, rows in found.items():
        yield f"- **{', '.join(dict.fromkeys(rows))}**: {reading}"


def _section(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []


def _markdown_row(result: Result) -> str:
    name, published, ours, ratio, band, verdict = cells(result)
    text = what(result).replace("|", "\\|")
    return f"| {name} | {text} | {published} | {ours} | {ratio} | {band} | {verdict} |"


def _title(result: Result) -> str:
    return f"{result.id} ({number(result.published, result.unit)})"


def _paragraph(result: Result) -> str:
    note = result.row.note if result.row is not None else ""
    shown = f"published {number(result.published, result.unit)}, ours {number(result.ours, result.unit)}"
    return f"- **{result.id}**: {shown}. {note or result.reason}".rstrip()

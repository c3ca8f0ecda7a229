"""`report.html`: one file that needs nothing else, neither a server nor a network."""

from __future__ import annotations

import contextlib
import html
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace.errors import TradespaceError
from tradespace.plans import Plan
from tradespace.plugins import foreign
from tradespace.reports.breakdown import explained_rows
from tradespace.reports.files import write_atomic
from tradespace.reports.payload import payload
from tradespace.reports.summary import Summary

if TYPE_CHECKING:
    from tradespace.search import Front
    from tradespace.settings import Bound

_PAGE = Path(__file__).parent / "page"


def explained(front: Front, summary: Summary) -> dict[str, Plan]:
    """The plans that a report breaks down, by full id. Empty if the evaluator explains nothing.

    Raises:
        PluginError: the evaluator's ``explain`` raised.
    """
    explain = getattr(front.problem.evaluator, "explain", None)
    if explain is None:
        return {}
    with foreign(f"explain of {type(front.problem.evaluator).__name__}"):
        if front.diagnosis is not None and not summary.rows:
            nearest = front.diagnosis.nearest.take(slice(0, len(summary.nearest)))
            return {design.ids[0]: explain(design) for design in nearest}
        return {front.ids[i]: front.point(i).plan for i in explained_rows(summary)}


def render(summary: Summary, plans: Mapping[str, Plan], facts: Sequence[tuple[str, str]] = ()) -> str:
    """The whole page. Data goes in as JSON that no name in it can break out of."""
    document = payload(summary, plans, facts)
    parts = {
        "title": html.escape(document["title"]),
        "css": _part("report.css"),
        "data": embedded(document),
        "plotly": plotly_source(),
        "js": _part("page.js") + _part("charts.js"),
    }
    # split once: a mark inside of what is filled in stays what it is
    pieces = re.split(r"\{\{(\w+)\}\}", _part("report.html"))
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def write(path: str | Path, summary: Summary, plans: Mapping[str, Plan], facts: Sequence[tuple[str, str]] = ()) -> Path:
    """Render and write in one step. Raises `TradespaceError` if the place cannot be written."""
    return write_atomic(path, render(summary, plans, facts))


def write_report(summary: Summary, front: Front, bound: Bound | None, path: str | Path) -> Path:
    """The report of a front: plans explained, versions stated, written in one step."""
    return write(path, summary, explained(front, summary), _facts(bound))


def _facts(bound: Bound | None) -> list[tuple[str, str]]:
    """What else it takes to repeat the run: evaluator, options, versions."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    facts = []
    if bound is not None:
        facts.append(("evaluator", bound.evaluator_name))
        facts += [("option", f"{k}={v}") for k, v in bound.setting.options.items()]
    with contextlib.suppress(PackageNotFoundError):
        facts.append(("tradespace", version("tradespace")))
    return [*facts, ("Python", python_version())]


def embedded(document: Any) -> str:
    """JSON for a script element: no "<", so neither "</script>" nor "<!--" can occur; U+2028 and U+2029 escaped."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@cache
def _part(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


@cache
def plotly_source() -> str:
    """plotly.js as the Python package ships it. The package itself is not imported: that takes long."""
    found = importlib.util.find_spec("plotly")
    for folder in (found.submodule_search_locations or ()) if found else ():
        script = Path(folder) / "package_data" / "plotly.min.js"
        if script.is_file():
            return script.read_text(encoding="utf-8")
    raise TradespaceError("a report needs plotly.js", remedy="Install it with 'pip install plotly'.")

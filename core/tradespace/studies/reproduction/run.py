"""Pricing rows: ours beside the published value, and a verdict. A broken row costs only itself."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace import expressions, units
from tradespace.data_files import MissingData
from tradespace.errors import InputError, PluginError, ProblemError, TradespaceError, UnitError
from tradespace.studies.reproduction.bands import WHOLE
from tradespace.studies.reproduction.document import BrokenRow, Published, Row, find_row_names
from tradespace.studies.reproduction.priced import Priced
from tradespace.studies.reproduction.pricing import Pricer
from tradespace.studies.reproduction.settings import merge, step

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.studies.reproduction.memory import Memory

_NEUTRAL: Mapping[str | None, float] = {"ratio": 1.0, "speedup": 1.0, "relative_to_first": 1.0}


@dataclass(frozen=True)
class Result:
    """One line of the table. ``published`` and ``ours`` in the row's unit; ``verdict``: inside, outside, fitted,
    identity, context, "not reproducible" or error."""

    id: str
    role: str
    published: float | str | None
    ours: float | str | None
    ratio: float | None
    unit: str
    band: str
    verdict: str
    reason: str
    row: Row | None = None
    found: str = ""  # how the plan was found, where it was searched
    step: str = ""  # of a sweep: "options.batch 2"
    broken: bool = False  # the row breaks the grammar

    @property
    def checkable(self) -> bool:
        """Counts in the summary: every published value that could have been predicted, however it is labelled."""
        if self.role == "identity" or self.verdict == "not reproducible":
            return False
        return self.broken or self.published is not None

    def to_json(self) -> dict[str, Any]:
        keys = ("id", "role", "published", "ours", "ratio", "unit", "band", "verdict", "reason")
        band = self.row.band if self.row is not None else None
        return {**{key: getattr(self, key) for key in keys}, "band": {band.rule: band.given} if band else None}


@dataclass(frozen=True)
class SystemResult:
    """All rows of one system."""

    published: Published
    results: tuple[Result, ...]

    @property
    def inside(self) -> int:
        return sum(r.verdict == "inside" for r in self.results)

    @property
    def checkable(self) -> int:
        return sum(r.checkable for r in self.results)

    @property
    def wrong(self) -> bool:
        """Something is outside its band, or broken."""
        return any(r.verdict in ("outside", "error") for r in self.results)

    def to_json(self) -> dict[str, Any]:
        return {
            "system": self.published.system,
            "inside": self.inside,
            "checkable": self.checkable,
            "rows": [r.to_json() for r in self.results],
        }


def reproduce(
    published: Published,
    registry: Registry,
    tell: Callable[[str], None] | None = None,
    memory: Memory | None = None,
) -> SystemResult:
    """Price every row of a file. ``tell`` hears the id of each row before it is priced; ``memory`` spares settings
    that the same code has priced before."""
    pricer = Pricer(registry, memory)
    names = find_row_names(published.rows)
    values = {r.id: r.published[0] for r in published.rows if isinstance(r, Row) and r.id in names}
    results: list[Result] = []
    for row in published.rows:
        if tell is not None:
            tell(row.id)
        results += [_placed(result, published.path) for result in _row(row, pricer, values)]
    return SystemResult(published, tuple(results))


def _placed(result: Result, file: Path) -> Result:
    """An error says in which file and row it stands."""
    if result.verdict != "error" or result.reason.startswith(file.name):
        return result
    reason = result.reason.removeprefix(f"{result.id}: ").removeprefix(f"{result.id}.")
    return replace(result, reason=f"{file.name} row {result.id}: {reason}")


def _row(row: Row | BrokenRow, pricer: Pricer, known: Mapping[str, Any]) -> list[Result]:
    if isinstance(row, BrokenRow):
        return [Result(row.id, row.role, None, None, None, "", "", "error", row.error, broken=True)]
    try:
        if row.what[0] == "none":
            return [_line(row, row.id, row.published[0], None, "not reproducible", row.reason)]
        if row.what[0] == "expr":
            return [_identity(row, known)]
        return list(_priced(row, pricer))
    except MissingData as error:
        return [_line(row, row.id, row.published[0], None, "not reproducible", str(error))]
    except TradespaceError as error:
        return [_line(row, row.id, row.published[0], None, "error", str(error))]
    except Exception as error:  # a plugin's mechanism raised: the row says so, the others go on
        wrapped = PluginError("a plugin must not raise", value=f"{type(error).__name__}: {error}")
        return [_line(row, row.id, row.published[0], None, "error", str(wrapped))]


def _identity(row: Row, known: Mapping[str, Any]) -> Result:
    others = {name: value for name, value in known.items() if name != row.id}
    ours = float(expressions.parse(row.what[1], others, kind="row", where=row.id)(others))
    assert row.band is not None
    if not math.isfinite(ours):
        raise InputError("an expression of published numbers is finite", value=row.what[1], where=f"{row.id}.expr")
    inside = row.band.holds(ours, row.published[0])
    return _line(row, row.id, row.published[0], ours, "identity" if inside else "outside", row.reading)


def _priced(row: Row, pricer: Pricer) -> Iterator[Result]:
    steps = range(len(row.published)) if row.sweep is not None else (None,)
    found: list[str] = []
    many_values = [_values(row, pricer, at, found) for at in steps]
    if row.compare == "relative_to_first":
        first = many_values[0]
        many_values = [[_divide(v, f) for v, f in zip(many, first, strict=True)] for many in many_values]
    how = found[0] if found else ""
    if row.band is not None and row.band.rule in WHOLE:
        yield _whole(row, many_values, how)
        return
    for at, many in enumerate(many_values):
        ours = _reduce(many, row.reduce)
        name = row.id if row.sweep is None else f"{row.id}[{at + 1}]"
        label = "" if row.sweep is None else ", ".join(f"{key} {values[at]}" for key, values in row.sweep.items())
        yield replace(_judged(row, name, row.published[at], ours, how), step=label)


def _whole(row: Row, values: Sequence[Sequence[float]], how: str) -> Result:
    assert row.band is not None
    if row.band.rule == "sign_test":
        ours = [v for many in values for v in many]
        published = [float(row.published[0] or 0.0)]
    else:
        ours, published = (
            [float(_reduce(many, row.reduce)) for many in values],
            [float(p or 0.0) for p in row.published],
        )
    inside, statistic = row.band.holds_for_all(ours, published, _NEUTRAL.get(row.compare, 0.0))
    text = f"{'rank correlation' if row.band.rule == 'spearman_at_least' else 'p'} {statistic:.3g}"
    shown = statistics.median(ours)
    return _verdict(row, row.id, published[0], shown, inside, how, text)


def _judged(row: Row, name: str, published: float | str | None, ours: Any, how: str) -> Result:
    inside = row.band.holds(ours, published) if row.band is not None and published is not None else True
    return _verdict(row, name, published, ours, inside, how, "")


def _verdict(row: Row, name: str, published: Any, ours: Any, inside: bool, how: str, extra: str) -> Result:
    verdict = {"fitted": "fitted", "context": "context"}.get(row.role, "inside" if inside else "outside")
    reason = "; ".join(text for text in (extra, row.reason, row.reading) if text)
    return _line(row, name, published, ours, verdict, reason, how)


def _values(row: Row, pricer: Pricer, at: int | None, found: list[str]) -> list[Any]:
    """One value per entry of ``each`` and seed, compared with ``over`` where there is one."""
    values = []
    for overlay in row.each:
        for seed in range(row.seeds) if row.seeds is not None else (None,):
            setting = _setting(row, overlay, {}, at, seed)
            ours = pricer.price(setting)
            if ours.found:
                found.append(ours.found)
            if row.over is None:
                values.append(_value(row, ours))
                continue
            other = _setting(row, overlay, row.over, at, seed)
            values.append(_compared(row, ours, pricer.price(other, same=ours)))
    return values


def _setting(
    row: Row, overlay: Mapping[str, Any], over: Mapping[str, Any], at: int | None, seed: int | None
) -> dict[str, Any]:
    """Setting, then ``each``, the step of the sweep, ``over``, the seed: what stands later wins."""
    merged = merge(row.setting, overlay)
    if at is not None and row.sweep is not None:
        merged = step(merged, row.sweep, at)
    merged = merge(merged, over)
    if seed is None:
        return merged
    design = merged.get("design")
    if isinstance(design, Mapping) and "search" in design:
        return {**merged, "design": {"search": {**(design["search"] or {}), "seed": seed}}}
    searched = merge(row.setting, overlay).get("design")
    if isinstance(searched, Mapping) and "search" in searched:
        return merged  # seeds are the search's; what is not searched stays as it is
    return merge(merged, {"options": {"seed": seed}})


def _value(row: Row, priced: Priced) -> Any:
    kind, text = row.what
    if kind == "report":
        return _number(row, priced.report(text))
    expression = expressions.parse(text, priced.values, where=row.id)
    _check_unit(row, priced.units.get(expression.single or ""))
    value = float(expression(priced.values))
    if not math.isfinite(value):
        raise ProblemError("a metric of a row is finite", value=value, where=text)
    return value


def _number(row: Row, shown: Any) -> Any:
    """Values of open numbers are decided by name: "0.4" or "64 us" is compared with a published number as one."""
    if not isinstance(shown, str) or not any(isinstance(value, float) for value in row.published):
        return shown
    try:
        return row.scale.si(shown, row.id)
    except TradespaceError:
        return shown


def _check_unit(row: Row, metric: str | None) -> None:
    """A row's unit fits its metric; a comparison has none. Expressions and units that only a plugin knows pass."""
    needed = "1" if row.compare is not None else metric
    if needed is None or not row.scale.unit:
        return
    try:
        fits = units.dimension(row.scale.unit) == units.dimension(needed)
    except UnitError:
        fits = row.scale.unit == needed
    if not fits:
        what = "a comparison is a plain number" if row.compare is not None else f"{row.what[1]} is in {needed}"
        raise UnitError(what, value=row.scale.unit, where=f"{row.id}.unit")


def _compared(row: Row, ours: Priced, over: Priced) -> float:
    a, b = _value(row, ours), _value(row, over)
    if isinstance(a, str) or isinstance(b, str):
        raise InputError("text cannot be compared", value=f"{a} and {b}", where=row.id)
    ratio = _divide(b, a) if row.compare == "speedup" else _divide(a, b)
    return {"gain": ratio - 1.0, "saving": 1.0 - ratio}.get(row.compare or "", ratio)


def _divide(a: float, b: float) -> float:
    if b == 0:
        raise ProblemError("a ratio needs a value other than 0", value=f"{a:g} / 0")
    return float(a) / float(b)


def _reduce(values: Sequence[Any], how: str | None) -> Any:
    if len(values) == 1:
        return values[0]
    if how == "geomean":
        if min(values) <= 0:
            raise ProblemError("a geometric mean needs positive values", value=min(values))
        return math.exp(statistics.fmean(math.log(v) for v in values))
    table: dict[str, Callable[[Sequence[Any]], Any]] = {
        "mean": statistics.fmean,
        "median": statistics.median,
        "min": min,
        "max": max,
    }
    return table[how or "mean"](values)


def _line(row: Row, name: str, published: Any, ours: Any, verdict: str, reason: str, found: str = "") -> Result:
    def shown(value: Any) -> Any:
        return row.scale.shown(value) if isinstance(value, float) else value

    if isinstance(ours, int) and not isinstance(ours, bool):
        ours = float(ours)
    ratio = None
    if isinstance(published, float) and isinstance(ours, float) and published != 0:
        ratio = ours / published
    band = row.band.text if row.band is not None else ""
    return Result(
        name, row.role, shown(published), shown(ours), ratio, row.scale.unit, band, verdict, reason, row, found
    )

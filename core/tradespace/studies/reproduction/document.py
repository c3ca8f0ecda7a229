"""Reading ``published.yaml``: strict keys, and a broken row costs only itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradespace.errors import InputError, TradespaceError, UnknownName
from tradespace.studies.reproduction import grammar
from tradespace.studies.reproduction.bands import WHOLE, Band, Scale, published_value
from tradespace.studies.reproduction.settings import check_setting, check_sweep

_UNIT = re.compile(r"\s*[+-]?[0-9.]++(?:[eE][+-]?[0-9]+)?+\s*(\S.*)")  # possessive: "7e9" has no unit "e9"
_MAX_ROWS = 2000
_MAX_PRICES = 10_000


@dataclass(frozen=True)
class Row:
    """One published row, checked. Values in SI; ``setting`` and ``over`` are plain mappings of the grammar."""

    id: str
    role: str
    scale: Scale
    what: tuple[str, str]  # ("metric" | "report" | "expr" | "none", text)
    published: tuple[float | str | None, ...]  # one, or one a step of the sweep; None: nothing was published
    band: Band | None
    setting: Mapping[str, Any] = field(default_factory=dict)
    over: Mapping[str, Any] | None = None
    compare: str | None = None
    each: tuple[Mapping[str, Any], ...] = ({},)
    seeds: int | None = None
    reduce: str | None = None
    sweep: Mapping[str, Sequence[Any]] | None = None
    evidence: str = "simulated"
    reason: str = ""
    reading: str = ""
    note: str = ""
    source: str = ""
    kind: str = "paper"


@dataclass(frozen=True)
class BrokenRow:
    """A row that breaks the grammar, and how."""

    id: str
    error: str
    role: str = "predicted"


@dataclass(frozen=True)
class Published:
    """A file of rows."""

    system: str
    path: Path
    title: str
    source: str
    question: str
    ours: tuple[str, ...]
    rows: tuple[Row | BrokenRow, ...]


def read_published(path: Path) -> Published:
    """Read a file of rows.

    Raises:
        InputError, UnknownName: the file as a whole breaks the grammar (a row alone only breaks itself).
    """
    from tradespace.documents import read_document

    document = grammar.check_keys(read_document(path), grammar.FILE, str(path))
    raw = document.get("rows")
    if not isinstance(raw, list) or not raw or len(raw) > _MAX_ROWS:
        raise InputError(f"'rows' is a list of 1 to {_MAX_ROWS} rows", where=str(path))
    if "${" in path.read_text(encoding="utf-8"):
        raise InputError("rows hold plain values, no ${...}", where=str(path))
    ours = document.get("ours") or []
    if not isinstance(ours, list):
        raise InputError("'ours' is a list of sentences", value=type(ours).__name__, where=str(path))
    system = str(document.get("system") or (path.resolve().parent.name if path.stem == "published" else path.stem))
    texts = {key: " ".join(str(document.get(key) or "").split()) for key in ("title", "source", "question")}
    rows = tuple(_row_or_broken(item, document, f"{path.name} row {at + 1}") for at, item in enumerate(raw))
    return Published(system, path, ours=tuple(str(s) for s in ours), rows=_distinct(rows), **texts)


def _row_or_broken(raw: Any, document: Mapping[str, Any], where: str) -> Row | BrokenRow:
    name = str(raw.get("id", "?")) if isinstance(raw, Mapping) else "?"
    try:
        return parse_row(raw, document, f"{where} ({name})")
    except TradespaceError as error:
        role = raw.get("role", "predicted") if isinstance(raw, Mapping) else "predicted"
        return BrokenRow(name, str(error), role if role in grammar.ROLE else "predicted")


def _distinct(rows: tuple[Row | BrokenRow, ...]) -> tuple[Row | BrokenRow, ...]:
    seen: set[str] = set()
    kept: list[Row | BrokenRow] = []
    for row in rows:
        kept.append(BrokenRow(row.id, f"the id '{row.id}' stands twice") if row.id in seen else row)
        seen.add(row.id)
    return tuple(kept)


def parse_row(raw: Any, document: Mapping[str, Any], where: str) -> Row:
    """One row. Raises `UnknownName` for keys and words of no meaning, `InputError` for what does not fit together."""
    body = grammar.check_keys(raw, grammar.ROW, where)
    name = body.get("id")
    if not isinstance(name, str | int) or isinstance(name, bool) or not re.fullmatch(r"[A-Za-z][\w.\-]*", str(name)):
        raise InputError("a row has an 'id' that starts with a letter: letters, digits, . - _", value=name, where=where)
    role = grammar.check_word(body.get("role", "predicted"), grammar.ROLE, "role", f"{where}.role")
    reason = str(body.get("reason") or "")
    what = _what(body, role, reason, where)
    scale = _scale(body, where)
    published, facts = _published(body, scale, what, where)
    band = Band.parse(body["band"], scale, f"{where}.band") if body.get("band") is not None else None
    row = Row(
        id=str(name),
        role=role,
        scale=scale,
        what=what,
        published=published,
        band=band,
        setting=check_setting(body.get("setting") or {}, f"{where}.setting"),
        over=check_setting(body["over"], f"{where}.over", partial=True) if body.get("over") is not None else None,
        compare=_word(body, "as", grammar.AS, where),
        each=_each(body.get("each"), where),
        seeds=_seeds(body.get("seeds"), where),
        reduce=_word(body, "reduce", grammar.REDUCE, where),
        sweep=check_sweep(body["sweep"], f"{where}.sweep") if body.get("sweep") is not None else None,
        evidence=_word(body, "evidence", grammar.EVIDENCE, where)
        or ("arithmetic" if role == "identity" else "simulated"),
        reason=reason,
        reading=str(body.get("reading") or ""),
        note=" ".join(str(body.get("note") or "").split()),
        source=str(facts.get("source") or body.get("source") or document.get("source") or ""),
        kind=grammar.check_word(
            facts.get("kind") or body.get("kind") or document.get("kind") or "paper", grammar.KIND, "kind", where
        ),
    )
    _check_together(row, where)
    return row


def _word(body: Mapping[str, Any], key: str, known: Mapping[str, str], where: str) -> str | None:
    return None if body.get(key) is None else grammar.check_word(body[key], known, f"'{key}'", f"{where}.{key}")


def _what(body: Mapping[str, Any], role: str, reason: str, where: str) -> tuple[str, str]:
    given = [key for key in ("metric", "report", "expr") if body.get(key) is not None]
    if len(given) > 1:
        raise InputError("a row has one of metric, report and expr", value=", ".join(given), where=where)
    if not given:
        if role == "context" and reason:
            return "none", ""
        raise InputError(
            "a row needs 'metric' and 'setting', 'report' or 'expr'",
            where=where,
            remedy="A row that cannot be priced has 'role: context' and a 'reason'.",
        )
    kind, text = given[0], body[given[0]]
    if (kind == "expr") != (role == "identity"):
        raise InputError("role identity and 'expr' belong together", value=f"role {role}, {kind}", where=where)
    if kind == "report" and not re.fullmatch(r"design\.[\w.\[\]\- ]+", str(text)):
        raise InputError("a report is design.NAME or design.NAME.ENTRY", value=text, where=f"{where}.report")
    return kind, str(text)


def _scale(body: Mapping[str, Any], where: str) -> Scale:
    unit, value = body.get("unit"), body.get("value")
    value = value.get("value") if isinstance(value, Mapping) else value
    if unit is None and isinstance(value, str) and (match := _UNIT.fullmatch(value)):
        unit = match[1]
    return Scale.of(str(unit), f"{where}.unit") if unit is not None else Scale("")


def _published(
    body: Mapping[str, Any], scale: Scale, what: tuple[str, str], where: str
) -> tuple[tuple[float | str | None, ...], Mapping[str, Any]]:
    if body.get("value") is None and "values" not in body and body.get("role") == "context" and what[0] != "none":
        steps = body["sweep"].values() if isinstance(body.get("sweep"), Mapping) else ()
        return (None,) * max((len(v) for v in steps if isinstance(v, list)), default=1), {}
    if body.get("sweep") is not None or "values" in body:
        values = body.get("values")
        if not isinstance(values, list) or not values:
            raise InputError("a sweep needs 'values', the published ones in order", where=where)
        pairs = [published_value(value, scale, f"{where}.values") for value in values]
        return tuple(pair[0] for pair in pairs), pairs[0][1]
    if body.get("value") is None:
        raise InputError("a row needs 'value', the published one", where=where)
    value, facts = published_value(body["value"], scale, f"{where}.value")
    if isinstance(value, str) and what[0] not in ("report", "none"):
        raise InputError("the value of a metric is a number", value=value, where=where)
    return (value,), facts


def _each(raw: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    if raw is None:
        return ({},)
    if not isinstance(raw, list) or not 1 <= len(raw) <= 200:
        raise InputError("'each' is a list of 1 to 200 partial settings", value=repr(raw)[:80], where=where)
    return tuple(check_setting(item, f"{where}.each[{i}]", partial=True) for i, item in enumerate(raw))


def _seeds(raw: Any, where: str) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= 1000:
        raise InputError("'seeds' is a number from 1 to 1000", value=raw, where=where)
    return raw


def _check_together(row: Row, where: str) -> None:
    """What the keys of a row must satisfy together."""
    if row.role in ("context", "fitted") and not row.reason:
        raise InputError(f"a row of role {row.role} says why in 'reason'", where=where)
    if row.role in ("predicted", "identity") and row.band is None:
        raise InputError("a row that counts needs a 'band'", where=where)
    named = {*row.setting, *(row.sweep or ())}
    if row.what[0] in ("metric", "report") and not {"workload", "target"} <= named and row.each == ({},):
        raise InputError(
            "setting or sweep name workload and target", value=", ".join(row.setting), where=f"{where}.setting"
        )
    if (row.over is not None) != (row.compare in ("ratio", "speedup", "gain", "saving")):
        known = [word for word in grammar.AS if word != "relative_to_first"]
        raise InputError("'over' and 'as' belong together", where=where, remedy=f"as: {', '.join(known)}.")
    if row.compare == "relative_to_first" and row.sweep is None:
        raise InputError("relative_to_first compares the steps of a sweep", where=where)
    if row.sweep is not None and {len(v) for v in row.sweep.values()} != {len(row.published)}:
        raise InputError("a sweep has as many steps as 'values'", value=len(row.published), where=where)
    many = len(row.each) * (row.seeds or 1) > 1
    if len(row.each) * (row.seeds or 1) * len(row.published) > _MAX_PRICES:
        raise InputError(f"each, seeds and sweep give at most {_MAX_PRICES} prices", where=where)
    whole = row.band is not None and row.band.rule == "sign_test"
    if many and row.reduce is None and not whole:
        raise InputError("'each' and 'seeds' give several values", where=where, remedy="Say 'reduce: median'.")
    if row.band is not None and row.band.rule in WHOLE and not (row.sweep or many):
        raise InputError(f"{row.band.rule} judges several values", where=where, remedy="Use sweep, each or seeds.")


def find_row_names(rows: Sequence[Row | BrokenRow]) -> tuple[str, ...]:
    """Ids that an identity may read: rows with one published number."""
    return tuple(
        r.id for r in rows if isinstance(r, Row) and len(r.published) == 1 and not isinstance(r.published[0], str)
    )


__all__ = ["BrokenRow", "Published", "Row", "UnknownName", "find_row_names", "parse_row", "read_published"]

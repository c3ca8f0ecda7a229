"""Request traces from CSV or JSONL files: the Azure traces of 2023, Mooncake, BurstGPT, or any with a column map."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.options import check_keys, integer, text, word
from tradespace.workloads.request_trace import MAX_REQUESTS, RequestTrace, request_trace
from tradespace.workloads.tables_read import SUFFIXES, base_suffix, csv_rows, first_line, json_rows, lines_of

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "arrival": (
        "timestamp", "arrival", "arrivaltime", "arrivedat", "arrivalts", "time", "ts", "starttime", "arrivaltimestamp",
        "arrivaltimens", "arrivalns", "timestampns", "arrivaltimems", "arrivalms", "timestampms",
    ),
    "prompt": (
        "contexttokens", "prompt", "prompttokens", "promptlen", "promptlength", "inputtokens", "inputlength",
        "inputlen", "numprefilltokens", "requesttokens", "promptsize", "inputtoks",
    ),
    "generate": (
        "generatedtokens", "generate", "outputtokens", "outputlength", "outputlen", "numdecodetokens", "responsetokens",
        "completiontokens", "tokensize", "generationtokens", "outputtoks",
    ),
}  # fmt: skip
"""What each column may be called; case, blanks and underscores do not count."""

UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
KEYS = ("name", "columns", "time_unit", "rows", "source")


class TraceReader:
    """Reads one request a row. Options: `columns` (a map for unusual names), `time_unit`, `rows` (the first n)."""

    name = "request-trace"
    reads = "request trace: .csv, .tsv or .jsonl (or .gz) with columns of arrival, prompt and generated tokens"
    priority = -10  # takes any table: formats with a sign of their own go first

    def recognises(self, path: Path) -> bool:
        """A table with at least three columns, or lines of JSON."""
        head = first_line(path)
        if base_suffix(path) in (".jsonl", ".ndjson"):
            return head.startswith("{")
        return max(head.count(mark) for mark in ",\t;") >= 2 and not head.startswith(("{", "["))

    def read(self, path: Path, options: Mapping[str, Any]) -> RequestTrace:
        """The trace.

        Raises:
            InputError, UnknownName: an unreadable table, columns that are not there, cells that are no numbers.
        """
        where = str(path)
        check_keys(options, KEYS, f"workload {path.name}")
        name = text(options, "name", where, default=path.name.removesuffix(".gz").rsplit(".", 1)[0])
        unit = word(options, "time_unit", where, known=tuple(UNITS), default="")
        asked = integer(options, "rows", where, high=MAX_REQUESTS, default=0, low=0)
        if base_suffix(path) not in SUFFIXES:
            raise InputError(f"a trace ends in {', '.join(SUFFIXES)} (or .gz behind it)", where=where)
        with lines_of(path) as lines:
            reading = _json if base_suffix(path) in (".jsonl", ".ndjson") else _csv
            rows, names = reading(lines, _column_map(options.get("columns"), where), where)
            scale = UNITS[unit or _unit_of(names[0])]
            columns = _columns(islice(rows, asked) if asked else rows, scale, where)
        source = text(options, "source", where, default=f"{path.name}, columns {', '.join(names)}")
        return request_trace(name, *columns, sources={"requests": source, "kind": "measured"})


def _unit_of(name: str) -> str:
    """The unit that the name of a column ends in, seconds where it tells none."""
    return next((unit for unit in ("ms", "us", "ns") if re.search(f"[_ (]{unit}\\)?$", name.lower())), "s")


def _column_map(given: object, where: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given.values()):
        raise InputError("'columns' maps arrival, prompt and generate to column names", value=given, where=where)
    check_keys(given, COLUMNS, f"{where}: columns")
    return {str(key): str(name) for key, name in given.items()}


def _find(present: list[str], given: Mapping[str, str], where: str) -> list[int]:
    """Position of each of our columns among those present."""
    plain = [name.lower().replace(" ", "").replace("_", "").replace("-", "") for name in present]
    found: list[int] = []
    for key, usual in COLUMNS.items():
        if key in given:
            at = present.index(given[key]) if given[key] in present else -1
        else:
            at = next((plain.index(name) for name in usual if name in plain), -1)
        if at < 0:
            shown = ", ".join(name[:40] for name in present[:12])
            raise InputError(
                f"a trace has a column for '{key}'", value=f"columns {shown}", where=where,
                remedy=f"Name it: columns.{key}=<column>.",
            )  # fmt: skip
        found.append(at)
    return found


Rows = Iterator[tuple[Any, Any, Any]]


def _csv(lines: Iterator[str], given: Mapping[str, str], where: str) -> tuple[Rows, list[str]]:
    rows = csv_rows(lines, where)
    header = next(rows, None)
    if header is None:
        raise InputError("a trace has a row of column names", where=where)
    at = _find(header, given, where)
    width = max(at)

    def cells() -> Rows:
        for number, row in enumerate(rows, 2):
            if len(row) <= width:
                raise InputError(
                    f"a row has the {len(header)} columns of the first", value=len(row), where=f"{where}:{number}"
                )
            yield row[at[0]], row[at[1]], row[at[2]]

    return cells(), [header[i] for i in at]


def _json(lines: Iterator[str], given: Mapping[str, str], where: str) -> tuple[Rows, list[str]]:
    rows = json_rows(lines, where)
    first = next(rows, None)
    if first is None:
        raise InputError("a trace has requests", where=where)
    present = list(first)
    names = [present[i] for i in _find(present, given, where)]
    return ((row.get(names[0]), row.get(names[1]), row.get(names[2])) for row in chain([first], rows)), names


def _columns(rows: Rows, scale: float, where: str) -> tuple[array[float], array[float], array[float]]:
    columns = (array("d"), array("d"), array("d"))
    for number, (arrival, prompt, generate) in enumerate(rows, 1):
        if number > MAX_REQUESTS:
            raise InputError(
                f"a trace has at most {MAX_REQUESTS} requests", where=where, remedy="rows=100000 reads the first."
            )
        place = f"{where}: request {number}"
        columns[0].append(_time(arrival, scale, place))
        columns[1].append(_number(prompt, "prompt", place))
        columns[2].append(_number(generate, "generate", place))
    if not columns[0]:
        raise InputError("a trace has requests", where=where)
    return columns


def _number(value: Any, key: str, where: str) -> float:
    if isinstance(value, str) and len(value) <= 64:
        try:
            return float(value)
        except ValueError:
            pass
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    raise InputError(f"'{key}' is a number", value=repr(value)[:60], where=where)


def _time(value: Any, scale: float, where: str) -> float:
    """Seconds: a number in the trace's unit, or a date and time (without a zone: UTC)."""
    if isinstance(value, str) and len(value) <= 64 and value.count("-") >= 2 and ":" in value:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise InputError("'arrival' is a number or a date and time", value=value, where=where) from None
        try:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (OverflowError, ValueError, OSError):  # year 1 with a zone
            raise InputError("'arrival' is a time that can be", value=value, where=where) from None
    return scale * _number(value, "arrival", where)

"""A user's measurements as rows: operators or whole jobs on one device in one format, with a measured time or energy.

A CSV file with a header. Two kinds of rows, told apart by the column ``workload``:

- operators: ``kind`` (matmul by default), ``m k n count`` for products, or ``flop weights act_in act_out kv_read
  kv_write`` (elements) for anything else;
- jobs: ``workload`` (name or path) and any of its options as further columns (phase, context, batch, prompt ...).

Both: ``device``, ``precision`` (where the target leaves a choice), and at least one measured column: ``time`` (of one
execution or one job; ``latency`` is the same), ``energy``, for jobs also ``throughput`` (tokens per second). A measured
column states its unit in the header, ``time [ms]``, or in its cells, or is SI.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradespace.documents import read_bytes
from tradespace.errors import InputError, UnknownName
from tradespace.targets.model import Target
from tradespace.units import parse

MAX_BYTES, MAX_ROWS, MAX_COLUMNS, MAX_CELL = 4 << 20, 5_000, 64, 200
MEASURED: Mapping[str, str] = {"time": "s", "latency": "s", "energy": "J", "throughput": "token/s"}
SHAPE = ("m", "k", "n", "count")
ELEMENTS = ("flop", "weights", "act_in", "act_out", "kv_read", "kv_write")
OPERATOR_COLUMNS = ("kind", *SHAPE, *ELEMENTS)
COMMON = ("device", "precision")


@dataclass(frozen=True)
class Row:
    """One measured number: the subject, where and in which format it ran, what was measured (SI)."""

    line: int
    device: str
    precision: str
    quantity: str  # time, energy or throughput
    value: float
    subject: Mapping[str, Any]  # operator columns as numbers, or a workload reference
    is_job: bool
    cells: Mapping[str, str]

    @property
    def label(self) -> str:
        """Short words for the table of residuals."""
        if self.is_job:
            options = " ".join(f"{k}={v}" for k, v in self.subject.items() if k != "extends")
            return f"{self.subject['extends']} {options}".strip()
        shape = "x".join(f"{self.subject[c]:g}" for c in ("m", "k", "n")) if self.subject["m"] else ""
        return f"{self.subject['kind']} {shape}".strip()


@dataclass(frozen=True)
class Measurements:
    """All rows of a file, and what it is."""

    name: str
    digest: str
    rows: tuple[Row, ...]


def read_measurements(path: str | Path, target: Target, precisions: Sequence[str]) -> Measurements:
    """Read a file of measurements.

    Args:
        target: whose devices the rows name; its only device where they name none.
        precisions: known formats.

    Raises:
        InputError, UnknownName, UnitError: with file, line and column.
    """
    raw = read_bytes(Path(path), MAX_BYTES)
    try:
        text = raw.decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("the file is CSV in UTF-8", value=str(error)[:120], where=str(path)) from None
    table = [(line, cells) for line, cells in enumerate(lines, 1) if any(cell.strip() for cell in cells)]
    if len(table) < 2 or len(table) > MAX_ROWS + 1:
        raise InputError(f"a header and 1 to {MAX_ROWS} rows", value=f"{max(len(table) - 1, 0)} rows", where=str(path))
    header = _header([cell.strip() for cell in table[0][1]], str(path))
    names = [name for name, _ in header]
    rows: list[Row] = []
    for line, cells in table[1:]:
        where = f"{path}:{line}"
        if len(cells) != len(names):
            raise InputError(f"a row has {len(names)} cells, as the header", value=len(cells), where=where)
        if any(len(cell) > MAX_CELL or not cell.strip().isprintable() for cell in cells):
            raise InputError(f"a cell is printable text of at most {MAX_CELL} characters", where=where)
        found = {name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()}
        rows += _rows(found, dict(header), line, where, target, precisions)
    return Measurements(Path(path).name, hashlib.sha256(raw).hexdigest()[:12], tuple(rows))


def _header(cells: list[str], where: str) -> list[tuple[str, str]]:
    """(name, unit) of each column; the unit is "" where the header gives none."""
    if len(cells) > MAX_COLUMNS:
        raise InputError(f"at most {MAX_COLUMNS} columns", value=len(cells), where=where)
    found = []
    for cell in cells:
        name, bracket, unit = cell.partition("[")
        found.append((name.strip().lower() if bracket else cell.lower(), unit.rstrip("] ").strip()))
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not all(names):
        raise InputError("every column has a name of its own", value=twice or "an empty one", where=f"{where}:1")
    if not set(MEASURED) & set(names):
        raise InputError(
            "a column holds what was measured", value=", ".join(names)[:120], where=f"{where}:1",
            remedy=f"Name it {', '.join(MEASURED)}, with its unit: 'time [ms]'.",
        )  # fmt: skip
    if "workload" not in names:
        for name in names:
            known = (*OPERATOR_COLUMNS, *COMMON, *MEASURED, "note")
            if name not in known:
                raise UnknownName("column", name[:80], known, where=f"{where}:1")
    return found


def _rows(
    cells: Mapping[str, str], units: Mapping[str, str], line: int, where: str, target: Target, precisions: Sequence[str]
) -> list[Row]:
    """One row for each measured column that is filled."""
    device = cells.get("device") or _only([d.name for d in target.devices], "device", where)
    target.device(device)
    precision = cells.get("precision", "fp16")
    if precision not in precisions:
        raise UnknownName("precision", precision, precisions, where=where)
    is_job = "workload" in cells
    subject = _job(cells) if is_job else _operator(cells, where)
    found = []
    for quantity in MEASURED:
        if quantity not in cells:
            continue
        value = _number(cells[quantity], units[quantity], MEASURED[quantity], f"{where}: {quantity}")
        if value <= 0:
            raise InputError("what is measured is above 0", value=cells[quantity], where=f"{where}: {quantity}")
        if quantity == "throughput" and not is_job:
            raise InputError("throughput is measured of a workload", where=where)
        name = "time" if quantity == "latency" else quantity
        found.append(Row(line, device, precision, name, value, subject, is_job, dict(cells)))
    return found


def _job(cells: Mapping[str, str]) -> dict[str, Any]:
    own = {k: _plain(v) for k, v in cells.items() if k not in (*COMMON, *MEASURED, "workload", "note")}
    return {"extends": cells["workload"], **own}


def _operator(cells: Mapping[str, str], where: str) -> dict[str, Any]:
    """All operator columns, those of a product computed from its shape."""
    given = {c: _number(cells[c], "", "", f"{where}: {c}") for c in (*SHAPE, *ELEMENTS) if c in cells}
    negative = next((c for c, v in given.items() if v < 0), None)
    if negative is not None:
        raise InputError("a shape is not negative", value=given[negative], where=f"{where}: {negative}")
    kind = cells.get("kind", "matmul")
    shape = {c: given.get(c, 0.0) for c in SHAPE}
    if shape["m"] and shape["k"] and shape["n"]:
        shape["count"] = given.get("count", 1.0)
        m, k, n, count = shape.values()
        made = {"flop": 2 * m * k * n * count, "weights": k * n * count, "act_in": m * k * count}
        made |= {"act_out": m * n * count, "kv_read": 0.0, "kv_write": 0.0}
    else:
        made = dict.fromkeys(ELEMENTS, 0.0)
        if not any(given.get(c) for c in ELEMENTS):
            raise InputError("an operator has m, k, n, or its flop and elements", where=where)
    return {"kind": kind, **shape, **made, **{c: given[c] for c in ELEMENTS if c in given}}


def _only(names: Sequence[str], noun: str, where: str) -> str:
    if len(names) == 1:
        return names[0]
    raise InputError(f"a row names its {noun}", where=where, remedy=f"One of {', '.join(names)}.")


def _number(text: str, unit: str, si: str, where: str) -> float:
    """A number with the header's unit, its own, or none (SI)."""
    try:
        value = float(text)
    except ValueError:
        if not si:
            raise InputError("a number is needed", value=text, where=where) from None
        return parse(text, si, where=where)
    if not math.isfinite(value):
        raise InputError("a finite number is needed", value=text, where=where)
    return parse(f"{value!r} {unit}", si, where=where) if unit and si else value


def _plain(text: str) -> Any:
    """A cell as YAML would read a scalar: 256, 0.5, true, decode."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)

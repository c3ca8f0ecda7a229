"""Rows of a stranger's CSV or JSONL file, plain or gzipped, one at a time and within bounds."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any

from tradespace.errors import InputError

MAX_LINE = 1 << 16
MAX_TEXT = 1 << 30
MAX_COLUMNS = 1_000
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
HEAD = 8192


def base_suffix(path: Path) -> str:
    """The suffix without .gz."""
    return Path(path.name.removesuffix(".gz")).suffix


def first_line(path: Path) -> str:
    """The first line that is not empty, "" where there is none or it cannot be read. Never raises."""
    try:
        if not path.is_file() or base_suffix(path) not in SUFFIXES:
            return ""
        with path.open("rb") as file:
            head = file.read(HEAD)
        if path.suffix == ".gz":
            head = zlib.decompressobj(31).decompress(head, HEAD)
    except (OSError, zlib.error):
        return ""
    lines = [line.strip() for line in head.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    return lines[0] if lines and "\0" not in lines[0] else ""


@contextmanager
def lines_of(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a file as text.

    Raises:
        InputError: unreadable, a line longer than `MAX_LINE`, more text than `MAX_TEXT`, no UTF-8, damaged gzip.
    """
    where = str(path)
    try:
        with path.open("rb") as plain, gzip.GzipFile(fileobj=plain, mode="rb") as unpacked:
            yield _lines(unpacked if path.suffix == ".gz" else plain, where)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("the file can be read", value=str(error)[:120], where=where) from None


def _lines(file: BufferedReader | gzip.GzipFile, where: str) -> Iterator[str]:
    total, number = 0, 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        total += len(line)
        if len(line) > MAX_LINE or total > MAX_TEXT:
            rule = f"a line has at most {MAX_LINE} bytes, and a file {MAX_TEXT >> 20} MiB of text"
            raise InputError(rule, where=f"{where}:{number}")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputError("the file is UTF-8 text", where=f"{where}:{number}") from None


def csv_rows(lines: Iterator[str], where: str, delimiter: str | None = None) -> Iterator[list[str]]:
    """Rows of cells, stripped; lines that are empty or hold only commas are left out.

    Raises:
        InputError: no CSV, or more than `MAX_COLUMNS` cells in a row.
    """
    first = next(lines, None)
    if first is None:
        return
    delimiter = delimiter or max(",\t;", key=first.count)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, skipinitialspace=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError("the file is CSV", value=error, where=f"{where}:{reader.line_num}") from None
        if row is None:
            return
        if len(row) > MAX_COLUMNS:
            raise InputError(
                f"a row has at most {MAX_COLUMNS} cells", value=len(row), where=f"{where}:{reader.line_num}"
            )
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield cells


def json_rows(lines: Iterator[str], where: str) -> Iterator[dict[str, Any]]:
    """One object a line.

    Raises:
        InputError: a line that is no JSON object.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError("a line holds one JSON object", value=reason, where=f"{where}:{number}") from None
        if not isinstance(row, dict):
            raise InputError("a line holds one JSON object", value=type(row).__name__, where=f"{where}:{number}")
        yield row

"""Networks from TFLite files, through the format's own flatbuffer classes (package `tflite`, no TensorFlow)."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.networks.graph import Origin, build
from tradespace.workloads.networks.network import Network
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.options import check_keys, integer, text

KEYS = ("name", "title", "subgraph", "trips")
IDENTIFIER = b"TFL3"
SUFFIXES = (".tflite", ".lite")
MAX_FILE = 64 * 2**30
DAMAGE = (struct.error, IndexError, TypeError, ValueError, AssertionError, OverflowError, KeyError, AttributeError)
"""What the flatbuffer classes raise when an offset leads nowhere."""


class TFLiteReader:
    """Reads TFLite networks: shapes, operators and sizes; weights are never loaded."""

    name = "tflite"
    reads = "TFLite network ('TFL3' in bytes 4 to 8, or .tflite)"
    priority = 10

    def recognises(self, path: Path) -> bool:
        """The identifier in bytes 4 to 8, or the suffix."""
        try:
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return file.read(8)[4:] == IDENTIFIER or path.suffix in SUFFIXES
        except OSError:
            return path.suffix in SUFFIXES

    def read(self, path: Path, options: Mapping[str, Any]) -> OperatorGraph:
        """One inference of the network. `subgraph` picks an entry (0), `trips` says how often a WHILE loops (1).

        Raises:
            InputError, UnknownName: a damaged or hostile file, an unknown option.
        """
        where = str(path)
        check_keys(options, KEYS, f"workload {path.name}")
        subgraph = integer(options, "subgraph", where, low=0, high=1000, default=0)
        trips = integer(options, "trips", where, high=10**9, default=1)
        network = _read(path, where, subgraph, trips)
        name = text(options, "name", where, default=path.stem[:200])
        title = text(options, "title", where, default=path.name[:200])
        return build(network, Origin(name, title, f"TFLite file {path.name}"[:300], where))


def _read(path: Path, where: str, subgraph: int, trips: int) -> Network:
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head[4:] != IDENTIFIER:
                rule = "a TFLite file has the identifier 'TFL3' in bytes 4 to 8"
                raise InputError(rule, value=repr(head[4:]), where=where)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # closed when its last view goes
            return _parse(data, where, subgraph, trips)
    except OSError as error:
        raise InputError("the file cannot be read", value=error.strerror or error, where=where) from None


def _parse(data: mmap.mmap, where: str, subgraph: int, trips: int) -> Network:
    try:
        import tflite
    except ImportError:
        raise InputError(
            "reading TFLite files needs the package 'tflite'", where=where,
            remedy="Install it: pip install tradespace[tflite].",
        ) from None  # fmt: skip
    from tradespace.workloads.networks.tflite_file import read_network

    if len(data) > MAX_FILE:
        raise InputError(f"a TFLite file is at most {MAX_FILE} bytes", value=len(data), where=where)
    view = memoryview(data)
    try:
        model = tflite.Model.GetRootAs(view, 0)
        return read_network(model, len(view), where, subgraph=subgraph, trips=trips)
    except DAMAGE as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        remedy = "Download or convert it again."
        raise InputError(
            "the flatbuffer is whole; it is truncated or damaged", value=reason, where=where, remedy=remedy
        ) from None

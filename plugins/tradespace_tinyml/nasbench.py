"""NAS-Bench-201 on real devices: measured latencies of all 15,625 cells, read from a table one design at a time.

Cells have six edges, each with one of five operations (Dong and Yang 2020, arXiv 2001.00326). The latencies are those
of HELP (Lee et al. 2021, arXiv 2106.08630, MIT): a csv with a column `architecture` (the benchmark's own numbering) and
one column of milliseconds a device. The numbering is the benchmark's shuffle of all cells with Python's seed 88; tests
hold it to three cells that the benchmark's authors assert, and to the latencies, which it makes additive.
"""

from __future__ import annotations

import csv
import functools
import gzip
import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Space
from tradespace.errors import InputError, UnknownName
from tradespace.problem import Metric, Prices

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ("1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2")
CELLS = len(OPERATIONS) ** len(EDGES)
MAX_BYTES = 64_000_000

CELL_MACS = {"nor_conv_1x1": 262_144, "nor_conv_3x3": 2_359_296}
"""Multiply-adds of an operation in one cell on CIFAR: C^2 H^2 (k^2 of it), equal in all three stages."""
FIXED_MACS = 442_368 + 2 * 3_670_016 + 640
"""Stem, two residual reductions, classifier: 7.783 M (the benchmark gives 7.78 M for the empty cell)."""
REPEATS = 15
SEED = 88


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """Measured seconds of every cell, in the benchmark's numbering, ``(15625,)`` per device."""

    devices: tuple[str, ...]
    seconds: NDArray[np.float64]  # (D, 15625)


def read_table(path: str | Path) -> LatencyTable:
    """Read HELP's table (csv, or csv.gz). Raises `InputError` for a file that is missing or not of that form."""
    where, rows = str(path), []
    try:
        opened: Any = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            lines = csv.reader(_bounded(file, where))
            header = next(lines, [])
            for row in lines:
                rows.append([float(value) for value in row])
    except (OSError, EOFError) as error:
        raise InputError("the latency table must be readable", value=error, where=where) from None
    except (ValueError, csv.Error) as error:
        raise InputError("the latency table holds numbers", value=error, where=where) from None
    if header[:1] != ["architecture"] or len(header) < 2 or len(set(header)) != len(header):
        raise InputError("the table has a column 'architecture', then one a device", value=header[:4], where=where)
    if len(rows) != CELLS or any(len(row) != len(header) for row in rows):
        raise InputError(f"the table has {CELLS} rows of {len(header)} numbers", value=len(rows), where=where)
    table = np.array(rows)
    if not np.array_equal(table[:, 0], np.arange(CELLS)) or not (np.isfinite(table).all() and (table[:, 1:] > 0).all()):
        raise InputError("rows are numbered from 0 and latencies are positive milliseconds", where=where)
    return LatencyTable(tuple(header[1:]), np.ascontiguousarray(table[:, 1:].T) / 1e3)


def _bounded(file: Any, where: str) -> Any:
    """Lines of a file, at most `MAX_BYTES` characters of them."""
    total = 0
    while line := file.readline(100_000):
        total += len(line)
        if total > MAX_BYTES:
            raise InputError(f"a latency table has at most {MAX_BYTES} characters", where=where)
        yield line


@functools.cache
def numbering() -> NDArray[np.int64]:
    """(15625,) the benchmark's number of cell i, where i counts cells with the last edge fastest."""
    order = list(range(CELLS))
    random.Random(SEED).shuffle(order)
    number = np.empty(CELLS, np.int64)
    number[order] = np.arange(CELLS)
    return number


def cell(number: int) -> tuple[str, ...]:
    """Operations of the benchmark's cell `number`, one an edge."""
    index = int(np.flatnonzero(numbering() == number)[0])
    return next(itertools.islice(itertools.product(OPERATIONS, repeat=len(EDGES)), index, None))


@dataclass(frozen=True, eq=False)
class NasBench201:
    """Latency of a device against multiply-adds (the proxy of accuracy, to be made large). Pure: a table is read.

    `latency` is measured by HELP; `macs` follows from the cell. No accuracy is in it.
    """

    table: LatencyTable
    device: str

    def __post_init__(self) -> None:
        if self.device not in self.table.devices:
            raise UnknownName("device of the latency table", self.device, self.table.devices)

    space = Space(Choice("edge", OPERATIONS, len(EDGES), EDGES))
    metrics = (
        Metric("latency", "s", "min", "measured time of one inference on the device"),
        Metric("macs", "1", "max", "multiply-adds of the network, the proxy of accuracy; not an accuracy"),
    )

    def price(self, designs: Designs) -> Prices:
        codes = designs["edge"].astype(np.int64)
        index = codes @ (len(OPERATIONS) ** np.arange(len(EDGES) - 1, -1, -1))
        seconds = self.table.seconds[self.table.devices.index(self.device)]
        per_edge = np.array([CELL_MACS.get(name, 0) for name in OPERATIONS], np.float64)
        return Prices(
            {"latency": seconds[numbering()[index]], "macs": FIXED_MACS + REPEATS * per_edge[codes].sum(axis=1)}
        )

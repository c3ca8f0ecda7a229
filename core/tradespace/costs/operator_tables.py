"""A chip of which products were timed: a small table of measured times, and how to read between its points.

The table maps (rows, columns, tokens) of a product with a weight matrix of rows x columns to s. Reading it (ours):

- tokens: straight lines between the levels that were measured; below the first a product takes as long as there (the
  weights are read anyway); beyond the last the last line goes on.
- rows: straight lines between measured matrices of one width, in proportion outside of them.
- columns: time per weight on straight lines between measured widths, constant outside of them.
- a width that one level lacks has, against the matrix measured most often, the ratio of the nearest level that has it.
  Single tokens stand apart: a product with one token reads its weights, with more it computes.

A compiled graph has fixed sizes: with `shortest` > 0 tokens are padded to standard lengths, which double from
`shortest` to `longest`; rows and columns to multiples of `tile`. One token has a graph of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import CostTable
from tradespace.costs.roofline import PRODUCTS, Roofline
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]
Points = tuple[tuple[tuple[int, ...], float], ...]


class OperatorTable:
    """Products are read from a measured table, never faster than at peak; everything else runs at peak (`Roofline`).

    Constants:
        times: of products, by rows x columns x tokens.
        peak: of everything.
        shortest, longest: standard lengths of compiled graphs; shortest 0: any length.
        pipe: 1: a length may also be covered by several standard graphs, one after another.
        tile: rows and columns are padded to multiples of it.
        order_penalty: factor on matrices with more rows than columns while `transposed` is 0, when the larger operand
            stays in the array.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "times": "s by point",
        "peak": "FLOP/s by precision",
        "shortest": "1 or zero",
        "longest": "1",
        "pipe": "1 or zero",
        "tile": "1",
        "order_penalty": "1",
        "transposed": "1 or zero",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "shortest": 0.0,
        "longest": 1024.0,
        "pipe": 1.0,
        "tile": 1.0,
        "order_penalty": 1.0,
        "transposed": 1.0,
    }
    runs: ClassVar[tuple[str, ...]] = Roofline.runs

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for a table that cannot be read, or lengths that are none."""
        reader(tuple(device.points["times"].items()))
        standard_lengths(device)
        if device.order_penalty < 1 or device.tile < 1:
            raise InputError("'order_penalty' and 'tile' are 1 or more", value=(device.order_penalty, device.tile))

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        base = Roofline().table(operators, device, precisions)
        m, k, n, count = operators.gemm
        product = np.isin(np.array(operators.kind), PRODUCTS) & (m > 0) & (k > 0) & (n > 0)
        read = reader(tuple(device.points["times"].items()))
        lengths = standard_lengths(device)
        times = np.zeros(len(operators))
        for row in np.flatnonzero(product):
            rows, columns = (math.ceil(x / device.tile) * device.tile for x in (n[row], k[row]))
            covered = cover(float(m[row]), lengths, bool(device.pipe))
            turned = 1.0 if device.transposed or n[row] <= k[row] else device.order_penalty
            times[row] = count[row] * turned * min(sum(x * read(rows, columns, t) for t, x in way) for way in covered)
        time = np.maximum(base.time, times[:, None])
        return CostTable(time=time, unsupported=base.unsupported)


def standard_lengths(device: Device) -> tuple[float, ...]:
    """Tokens of the compiled graphs, () if any length runs. Raises `InputError` if there are none, or far too many."""
    if device.shortest <= 0:
        return ()
    steps = math.log2(device.longest / device.shortest)
    if not 0 <= steps <= 32:
        rule = "standard lengths double from 'shortest' to 'longest'"
        raise InputError(rule, value=(device.shortest, device.longest))
    return tuple(device.shortest * 2.0**step for step in range(math.floor(steps) + 1))


Way = tuple[tuple[float, float], ...]
"""(tokens, times it runs) of the graphs that cover a length."""


def cover(tokens: float, lengths: Sequence[float], pipe: bool) -> tuple[Way, ...]:
    """The ways to run a length on graphs of standard lengths: padded to one, and in several pieces if ``pipe``.

    More than the longest take as many of the longest as fit first.
    """
    if not lengths or tokens <= 1.0:
        return (((max(tokens, 1.0), 1.0),),)
    whole, longest = math.floor(tokens / lengths[-1]), lengths[-1]
    rest = max(tokens - whole * longest, 0.0)
    head: Way = ((longest, float(whole)),) if whole else ()
    if rest <= 0.0:
        return (head,)
    padded = next(length for length in lengths if length >= rest)
    if not pipe:
        return ((*head, (padded, 1.0)),)
    pieces: list[tuple[float, float]] = []
    for length in lengths[::-1]:
        fits = math.floor(rest / length)
        if fits:
            pieces.append((length, float(fits)))
            rest -= fits * length
    if rest > 0.0:
        pieces.append((lengths[0], 1.0))
    return ((*head, (padded, 1.0)), (*head, *pieces))


class Reader:
    """Seconds of a product at any (rows, columns, tokens)."""

    def __init__(self, points: Mapping[tuple[int, ...], float]) -> None:
        if any(len(point) != 3 for point in points):
            raise InputError("a point is rows x columns x tokens", value=next(iter(points)))
        levels: dict[int, dict[tuple[int, int], float]] = {}
        for (rows, columns, tokens), time in points.items():
            levels.setdefault(tokens, {})[rows, columns] = time
        self.levels = dict(sorted(levels.items()))
        often = [shape for level in self.levels.values() for shape in level]
        self.reference = max(often, key=often.count)
        if any(self.reference not in level for level in self.levels.values()):
            rule = "one matrix is measured at every number of tokens of the table"
            raise InputError(rule, value=sorted(self.levels))
        filled = {tokens: self._filled(tokens) for tokens in self.levels}
        self.widths = {tokens: _by_width(level) for tokens, level in filled.items()}

    def _filled(self, tokens: int) -> dict[tuple[int, int], float]:
        """A level with the matrices of other widths that only other levels have."""
        own = self.levels[tokens]
        if tokens == 1:
            return own
        others = sorted((t for t in self.levels if t not in (1, tokens)), key=lambda t: abs(math.log(t / tokens)))
        out = dict(own)
        for other in others:
            level = self.levels[other]
            for shape, time in level.items():
                if shape[1] not in {columns for _, columns in out}:
                    out[shape] = own[self.reference] * time / level[self.reference]
        return out

    def __call__(self, rows: float, columns: float, tokens: float) -> float:
        known = list(self.widths)
        if tokens <= known[0]:
            return self._level(known[0], rows, columns)
        if len(known) == 1:
            return self._level(known[0], rows, columns) * tokens / known[0]
        high = next((i for i, level in enumerate(known) if level >= tokens), len(known) - 1)
        a, b = known[high - 1], known[high]
        first, last = self._level(a, rows, columns), self._level(b, rows, columns)
        return first + max(last - first, 0.0) * (tokens - a) / (b - a)

    def _level(self, tokens: int, rows: float, columns: float) -> float:
        widths = self.widths[tokens]
        known = list(widths)
        per_weight = [_along(widths[width], rows) / (rows * width) for width in known]
        return rows * columns * float(np.interp(columns, known, per_weight))


@cache
def reader(points: Points) -> Reader:
    """The reader of a table, built once. Raises `InputError` for points that do not fit together."""
    return Reader(dict(points))


def _by_width(level: Mapping[tuple[int, int], float]) -> dict[int, tuple[list[int], list[float]]]:
    """columns -> (rows, s), both sorted."""
    out: dict[int, tuple[list[int], list[float]]] = {}
    for (rows, columns), time in sorted(level.items(), key=lambda item: (item[0][1], item[0][0])):
        xs, ys = out.setdefault(columns, ([], []))
        xs.append(rows)
        ys.append(time)
    return out


def _along(line: tuple[list[int], list[float]], at: float) -> float:
    xs, ys = line
    if at <= xs[0]:
        return ys[0] * at / xs[0]
    if at >= xs[-1]:
        return ys[-1] * at / xs[-1]
    return float(np.interp(at, xs, ys))

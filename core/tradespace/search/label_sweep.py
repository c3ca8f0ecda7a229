"""Non-dominated labels of several shifted lists: a compiled sweep for up to three quantities, moocore beyond.

Lists that are sorted by their first quantity stay so when one vector is added to all of their rows. Merged in that
order, a label is dominated exactly if one before it is at most as large in the second and third quantity: a staircase
of those pairs answers in O(log n) (Kung, Luccio, Preparata 1975). No label is copied before it is known to survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.compiled import njit
from tradespace.search.indicators import nondominated

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

SWEPT = 3
"""Quantities up to which labels are swept; fewer are padded with zeros."""


@dataclass(frozen=True)
class Survivors:
    """``values`` (L, Q), the ``list`` each comes from, and its ``row`` there, (L,) each."""

    values: Array
    list: Rows
    row: Rows


def surviving(
    lists: Sequence[Array],
    shifts: Array,
    floor: Array | None = None,
    rest: Array | None = None,
    ceiling: Array | None = None,
    known: Array | None = None,
) -> Survivors:
    """The rows of ``max(list, floor) + shift`` that neither break a ceiling nor are dominated.

    Args:
        lists: B arrays (L_b, Q); with Q = 3 sorted lexicographically. shifts: (B, Q). floor: (Q,), -inf for the first.
        rest: (Q,) what a row costs later at least; with it, it must be at most ``ceiling`` (Q,).
        known: (K, Q) rows that count with ``rest`` taken off; what they dominate or equal is dropped.
    """
    q = shifts.shape[1]
    rest = np.zeros(q) if rest is None else rest
    floor = np.full(q, -np.inf) if floor is None else floor
    ceiling = np.full(q, np.inf) if ceiling is None else ceiling
    ahead = np.empty((0, q)) if known is None else known - rest
    if q != SWEPT:
        return _filtered(lists, shifts, floor, rest, ceiling, ahead)
    start = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
    total = int(start[-1])
    out, block, row = np.empty((total, q)), np.empty(total, np.int64), np.empty(total, np.int64)
    ahead = ahead[np.lexsort(ahead.T[::-1])]
    values = np.ascontiguousarray(np.concatenate(lists))
    stairs = np.empty((2, total + len(ahead)))
    count = sweep(values, start, np.ascontiguousarray(shifts), floor, rest, ceiling, ahead, stairs, out, block, row)
    return Survivors(out[:count].copy(), block[:count], row[:count])


def _filtered(
    lists: Sequence[Array], shifts: Array, floor: Array, rest: Array, ceiling: Array, ahead: Array
) -> Survivors:
    """`surviving` for any number of quantities."""
    sizes = [len(each) for each in lists]
    values = np.maximum(np.concatenate(lists), floor) + np.repeat(shifts, sizes, axis=0)
    block = np.repeat(np.arange(len(lists)), sizes)
    row = np.concatenate([np.arange(size) for size in sizes])
    keep = np.flatnonzero((values + rest <= ceiling).all(axis=1))
    mask = nondominated(np.concatenate([ahead, values[keep]]))[len(ahead) :]  # first: equal rows are dropped too
    keep = keep[mask]
    return Survivors(values[keep], block[keep], row[keep])


@njit
def sweep(values, start, shifts, floor, rest, ceiling, ahead, stairs, out, block, row):  # type: ignore[no-untyped-def]
    """Writes what survives into ``out``, ``block``, ``row``; returns how many. ``stairs`` (2, capacity): second
    quantity rising, third falling."""
    lists, known = len(start) - 1, len(ahead)
    at, head = start[:-1].copy(), np.empty((lists, 3))
    for b in range(lists):
        if at[b] < start[b + 1]:
            for k in range(3):
                head[b, k] = max(values[at[b], k], floor[k]) + shifts[b, k]
    count, size, seen = 0, 0, 0
    while True:
        pick = -1
        for b in range(lists):
            if at[b] < start[b + 1] and (pick < 0 or before(head[b], head[pick])):
                pick = b
        if pick < 0:
            break
        while seen < known and not before(head[pick], ahead[seen]):
            size = climb(stairs, size, ahead[seen, 1], ahead[seen, 2])[0]
            seen += 1
        x, y, z = head[pick, 0], head[pick, 1], head[pick, 2]
        if x + rest[0] <= ceiling[0] and y + rest[1] <= ceiling[1] and z + rest[2] <= ceiling[2]:
            size, fresh = climb(stairs, size, y, z)
            if fresh:
                out[count, 0], out[count, 1], out[count, 2] = x, y, z
                block[count], row[count] = pick, at[pick] - start[pick]
                count += 1
        at[pick] += 1
        if at[pick] < start[pick + 1]:
            for k in range(3):
                head[pick, k] = max(values[at[pick], k], floor[k]) + shifts[pick, k]
    return count


@njit
def before(a, b):  # type: ignore[no-untyped-def]
    """Whether ``a`` (3,) comes before ``b`` in lexicographic order."""
    if a[0] != b[0]:
        return a[0] < b[0]
    if a[1] != b[1]:
        return a[1] < b[1]
    return a[2] < b[2]


@njit
def climb(stairs, size, y, z):  # type: ignore[no-untyped-def]
    """(size, whether the pair is on no step's upper side): a new pair becomes a step, those it covers go."""
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if stairs[0, middle] > y:
            high = middle
        else:
            low = middle + 1
    if low > 0 and stairs[1, low - 1] <= z:
        return size, False
    if low > 0 and stairs[0, low - 1] == y:
        low -= 1
    last = low
    while last < size and stairs[1, last] >= z:
        last += 1
    gone = last - low
    if gone == 0:
        for i in range(size, low, -1):
            stairs[0, i], stairs[1, i] = stairs[0, i - 1], stairs[1, i - 1]
    elif gone > 1:
        for i in range(last, size):
            stairs[0, i - gone + 1], stairs[1, i - gone + 1] = stairs[0, i], stairs[1, i]
    stairs[0, low], stairs[1, low] = y, z
    return size + 1 - gone, True

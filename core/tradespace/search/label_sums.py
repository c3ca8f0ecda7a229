"""Non-dominated sums of two sets of labels, several such pairs at once: a compiled merge for up to three quantities.

A list that is sorted by its first quantity stays so when a label is added to all of its rows, so all sums of two lists
are as many sorted runs as the shorter list has rows. A heap walks the runs in order; a staircase tells what is
dominated (`label_sweep`). No sum is stored before it is known to survive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.compiled import njit
from tradespace.search.indicators import nondominated
from tradespace.search.label_sweep import SWEPT, before, climb

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_AT_ONCE = 200_000  # sums that are filtered together where there is no compiled merge


@dataclass(frozen=True)
class Around:
    """What surrounds a set of labels: ``rest`` (Q,) costs at least, ``floor`` (Q,) below which sums need not be told
    apart, ``ceiling`` (Q,) that nothing may exceed, ``known`` (K, Q) whole designs; what they dominate is dropped."""

    rest: Array
    floor: Array
    ceiling: Array
    known: Array | None


def surviving_sums(left: Array, right: Array, pairs: Rows, around: Around) -> tuple[Array, Rows, Rows]:
    """``(values (L, Q), rows of left (L,), rows of right (L,))`` of sums that break no ceiling and are not dominated.

    Args:
        left, right: labels; with Q = 3 sorted lexicographically within each list.
        pairs: (B, 4) lists by their ends: left[from:to] with right[from:to].
    """
    sizes = np.stack([pairs[:, 1] - pairs[:, 0], pairs[:, 3] - pairs[:, 2]], axis=1)
    pairs, sizes = pairs[sizes.all(axis=1)], sizes[sizes.all(axis=1)]
    ahead = np.empty((0, left.shape[1])) if around.known is None else around.known - around.rest
    if left.shape[1] != SWEPT:
        return _filtered(left, right, pairs, around, ahead)
    total, runs = int(sizes.prod(axis=1).sum()), int(sizes.min(axis=1).sum())
    ahead = ahead[np.lexsort(ahead.T[::-1])]
    out, where = np.empty((total, SWEPT)), np.empty((total, 2), np.int64)
    stairs = np.empty((2, total + len(ahead)))
    count = merge_sums(
        left, right, pairs, runs, around.floor, around.rest, around.ceiling, ahead, stairs, out, where
    )  # fmt: skip
    return out[:count].copy(), where[:count, 0].copy(), where[:count, 1].copy()


def _filtered(left: Array, right: Array, pairs: Rows, around: Around, ahead: Array) -> tuple[Array, Rows, Rows]:
    """`surviving_sums` for any number of quantities, in portions."""
    kept = np.empty((0, left.shape[1])), np.empty(0, np.intp), np.empty(0, np.intp)
    for a, b, c, d in pairs.tolist():
        step = max(_AT_ONCE // (d - c), 1)
        for at in range(a, b, step):
            i, j = np.repeat(np.arange(at, min(at + step, b)), d - c), np.tile(np.arange(c, d), min(step, b - at))
            values = np.maximum(left[i] + right[j], around.floor)
            keep = np.flatnonzero((values + around.rest <= around.ceiling).all(axis=1))
            joined = [np.concatenate(each) for each in zip(kept, (values[keep], i[keep], j[keep]), strict=True)]
            mask = nondominated(np.concatenate([ahead, joined[0]]))[len(ahead) :]
            kept = joined[0][mask], joined[1][mask], joined[2][mask]
    return kept


@njit
def merge_sums(left, right, pairs, runs, floor, rest, ceiling, ahead, stairs, out, where):  # type: ignore[no-untyped-def]
    """Writes the sums that survive into ``out`` and their rows into ``where``; returns how many.

    ``runs``: how many sorted runs there are. ``stairs`` (2, capacity): see `label_sweep.sweep`.
    """
    at, end, by = np.empty(runs, np.int64), np.empty(runs, np.int64), np.empty(runs, np.int64)
    flip = np.empty(runs, np.bool_)  # whether the run goes along the right list
    head, heap = np.empty((runs, 3)), np.empty(runs, np.int64)
    count, size, seen, filled, r = 0, 0, 0, 0, 0
    for b in range(len(pairs)):
        along_right = pairs[b, 1] - pairs[b, 0] < pairs[b, 3] - pairs[b, 2]
        first = 0 if along_right else 2
        for row in range(pairs[b, first], pairs[b, first + 1]):
            at[r], end[r] = pairs[b, 2 - first], pairs[b, 3 - first]
            by[r], flip[r] = row, along_right
            add(left, right, at[r], row, along_right, floor, head[r])
            heap[filled] = r
            filled += 1
            r += 1
    for i in range(filled // 2 - 1, -1, -1):
        sink(heap, head, i, filled)
    while filled > 0:
        pick = heap[0]
        while seen < len(ahead) and not before(head[pick], ahead[seen]):
            size = climb(stairs, size, ahead[seen, 1], ahead[seen, 2])[0]
            seen += 1
        x, y, z = head[pick, 0], head[pick, 1], head[pick, 2]
        if x + rest[0] <= ceiling[0] and y + rest[1] <= ceiling[1] and z + rest[2] <= ceiling[2]:
            size, fresh = climb(stairs, size, y, z)
            if fresh:
                out[count, 0], out[count, 1], out[count, 2] = x, y, z
                where[count, 0] = by[pick] if flip[pick] else at[pick]
                where[count, 1] = at[pick] if flip[pick] else by[pick]
                count += 1
        at[pick] += 1
        if at[pick] < end[pick]:
            add(left, right, at[pick], by[pick], flip[pick], floor, head[pick])
        else:
            filled -= 1
            heap[0] = heap[filled]
        sink(heap, head, 0, filled)
    return count


@njit
def add(left, right, along, by, flip, floor, out):  # type: ignore[no-untyped-def]
    """The sum of two labels into ``out`` (3,)."""
    for k in range(3):
        value = left[by, k] + right[along, k] if flip else left[along, k] + right[by, k]
        out[k] = max(value, floor[k])


@njit
def sink(heap, head, i, size):  # type: ignore[no-untyped-def]
    """Restores the order of a heap of runs below place i."""
    while True:
        least, child = i, 2 * i + 1
        if child < size and before(head[heap[child]], head[heap[least]]):
            least = child
        if child + 1 < size and before(head[heap[child + 1]], head[heap[least]]):
            least = child + 1
        if least == i:
            return
        heap[i], heap[least] = heap[least], heap[i]
        i = least

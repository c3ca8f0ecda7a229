"""Who is non-dominated among all that was told: numbers and digests alone, no designs.

The archive and optimizers keep what else they know of members in step with the index that `Members.add` returns. The
loop and its optimizer are told the same batches, so the second to take a batch in finds with its scores what the first
one made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import Scores
from tradespace.search import dominance
from tradespace.search.indicators import nondominated

Array = NDArray[np.float64]
Digests = NDArray[np.uint64]
Index = NDArray[np.int64]
Corners = tuple[Array, Array, Array]

NEAREST = 64
"""Least violating designs kept while nothing is feasible."""

NO_CORNERS: Corners = (np.zeros(2), np.zeros(2), np.empty((0, 0)))

_CELLS = 128  # along an axis of the table that rejects most of a batch
_DRIFT = 0.125  # of the table's range, by which the front's may differ before the table is made anew
_SCANNED = 4_000_000  # comparisons of candidates with members and each other; beyond, a sorting algorithm is faster
_NOTE = "members"


@dataclass(frozen=True, eq=False)
class Standing:
    """The members at one time, in the order of their digests.

    columns (M, K), violation (K,), digest (K,); low, high (M,): their range; grid (2, 2): low and high of the first
    two objectives that the table of `Members.corners` spans; index: where each came from, see `Members.add`.
    """

    columns: Array
    violation: Array
    digest: Digests
    feasible: bool
    low: Array
    high: Array
    grid: Array
    index: Index

    @cached_property
    def objectives(self) -> Array:
        return np.ascontiguousarray(self.columns.T)


class Members:
    """The non-dominated members of all batches, at most ``limit``."""

    def __init__(self, objectives: int, limit: int) -> None:
        nothing = np.empty(0, np.int64)
        low = np.full(objectives, np.inf)
        self.now = Standing(
            np.empty((objectives, 0)), np.empty(0), np.empty(0, np.uint64), False, low, -low, np.zeros((2, 2)), nothing
        )
        self._limit = limit
        self._corners: Corners | None = None  # of what is now

    def __len__(self) -> int:
        return len(self.now.digest)

    @property
    def objectives(self) -> Array:
        return self.now.objectives

    @property
    def violation(self) -> Array:
        return self.now.violation

    @property
    def digest(self) -> Digests:
        return self.now.digest

    @property
    def feasible(self) -> bool:
        return self.now.feasible

    @property
    def corners(self) -> Corners:
        """What the members surely dominate: low (2,), scale (2,) from the first two objectives to cells, and the table
        of `dominance.corner_table`. Empty but for feasible members of two or three objectives."""
        now = self.now
        if not now.feasible or len(now.digest) < 2 or len(now.columns) not in (2, 3):
            return NO_CORNERS
        if self._corners is None:
            span = now.grid[1] - now.grid[0]
            scale = np.where(span > 0, _CELLS / np.where(span > 0, span * (1.0 + 1e-9), 1.0), 0.0)
            table = np.empty((_CELLS + 1, (_CELLS if len(now.columns) == 3 else 1) + 1))
            self._corners = now.grid[0], scale, table
            dominance.corner_table(now.columns, *self._corners)
        return self._corners

    def add(self, scores: Scores, digest: Digests) -> Index | None:
        """Take a batch in; None where no member changed, else where each member now comes from: the position it had
        before, or -1 - r for row r of the batch."""
        before = self.now
        after = self._noted(scores)
        if after is None:
            after = self._after(np.ascontiguousarray(scores.objectives, np.float64), scores, digest)
            scores.__dict__[_NOTE] = (self._limit, ref(before) if len(self) else None, ref(after))
        elif after is not before:
            self._corners = None
        self.now = after
        return None if after is before else after.index

    def _noted(self, scores: Scores) -> Standing | None:
        """What others that stood where this stands made of the batch, if they still stand there. All begin alike."""
        limit, before, after = scores.__dict__.get(_NOTE, (0, None, None))
        if limit != self._limit or (before is None) != (len(self) == 0) or (before and before() is not self.now):
            return None
        known: Standing | None = after()
        return known

    def _after(self, objectives: Array, scores: Scores, digest: Digests) -> Standing:
        before, some = self.now, bool(scores.feasible.any())
        if some:
            index = self._nondominated(objectives, scores.feasible, digest)
        else:
            index = None if before.feasible else self._nearest(scores.violation, digest)
        if index is None:
            return before
        low, high = np.empty(len(before.columns)), np.empty(len(before.columns))
        columns = dominance.gather_columns(before.columns, objectives, index, low, high)
        grid = np.stack([low[:2], high[:2]])
        drift = np.abs(grid - before.grid) > _DRIFT * (before.grid[1] - before.grid[0])
        if before.feasible != (some or before.feasible) or drift.any() or len(index) == 1:
            self._corners = None
        else:
            grid = before.grid
        return Standing(
            columns,
            dominance.gather(before.violation, np.ascontiguousarray(scores.violation, np.float64), index),
            dominance.gather(before.digest, digest, index),
            some or before.feasible,
            low,
            high,
            grid,
            index,
        )

    def _nondominated(self, objectives: Array, feasible: NDArray[np.bool_], digest: Digests) -> Index | None:
        before = self.now if self.now.feasible else Members(objectives.shape[1], self._limit).now
        places = np.full(1 << (2 * len(digest)).bit_length(), -1)
        rows = dominance.candidates(objectives, digest, feasible, before.digest, places, *self.corners)
        if not len(rows):
            return None
        old = np.arange(len(before.digest))
        if len(rows) * (len(rows) + len(old)) <= _SCANNED:
            keep_old, keep_new = np.empty(len(old), np.uint8), np.empty(len(rows), np.uint8)
            dominance.sift(before.columns, before.digest, objectives, digest, rows, keep_old, keep_new)
            rows = rows[keep_new.view(bool)]
            old = old[keep_old.view(bool)]
        else:
            both, nothing = dominance.merged(old, before.digest, rows, digest), np.empty(before.columns.shape[0])
            columns = dominance.gather_columns(before.columns, objectives, both, nothing, nothing.copy())
            both = both[nondominated(columns.T)]
            old, rows = both[both >= 0], -1 - both[both < 0]
        if not len(rows) and self.feasible:
            return None
        index = np.asarray(dominance.merged(old, before.digest, rows, digest))
        if len(index) > self._limit:
            self._corners = None
            chosen = thin(
                np.ascontiguousarray(
                    dominance.gather_columns(before.columns, objectives, index, *np.empty((2, objectives.shape[1]))).T
                ),
                self._limit // 2,
            )
            index = index[np.sort(chosen)]
        return index

    def _nearest(self, violation: Array, digest: Digests) -> Index | None:
        rows = np.sort(np.unique(digest, return_index=True)[1])
        rows = rows[~contains(self.digest, digest[rows])]
        index = np.concatenate([np.arange(len(self)), -1 - rows])
        both = np.concatenate([self.digest, digest[rows]])
        chosen = np.lexsort((both, np.concatenate([self.violation, violation[rows]])))[:NEAREST]
        if (chosen < len(self)).all():
            return None
        return np.asarray(index[chosen[np.argsort(both[chosen], kind="stable")]])


def contains(known: Digests, digests: Digests) -> NDArray[np.bool_]:
    """Which digests are in the sorted array ``known``."""
    if not len(known):
        return np.zeros(len(digests), bool)
    place = np.minimum(np.searchsorted(known, digests), len(known) - 1)
    return np.asarray(known[place] == digests)


def thin(objectives: Array, target: int) -> NDArray[np.intp]:
    """At most about ``target`` rows: one per cell of the finest grid that has so few, plus the extremes."""
    low, span = objectives.min(axis=0), np.ptp(objectives, axis=0)
    scaled = (objectives - low) / np.where(span > 0, span, 1.0)
    cells = 2 ** np.arange(12, 0, -1)
    for k in cells:
        first = np.unique((scaled * k).astype(np.int64), axis=0, return_index=True)[1]
        if len(first) <= target or k == 2:
            return np.union1d(first, objectives.argmin(axis=0))
    raise AssertionError("the coarsest grid always returns")

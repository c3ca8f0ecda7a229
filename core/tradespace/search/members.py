"""Who is non-dominated among all that was told: numbers and digests alone, no designs.

The archive and optimizers keep what else they know of members in step with the index that `Members.add` returns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.search import dominance
from tradespace.search.indicators import nondominated

Array = NDArray[np.float64]
Digests = NDArray[np.uint64]
Index = NDArray[np.int64]

NEAREST = 64
"""Least violating designs kept while nothing is feasible."""

_CELLS = (16, 256)  # cells along an axis of the table that rejects most of a batch: least and most
_SCANNED = 400  # comparisons a row that a plain scan may take before a sorting algorithm is faster


class Members:
    """Objectives (K, M), violation (K,) and digests (K,) of the members, in the order of their digests."""

    def __init__(self, objectives: int, limit: int) -> None:
        self.objectives: Array = np.empty((0, objectives))
        self.violation: Array = np.empty(0)
        self.digest: Digests = np.empty(0, np.uint64)
        self.feasible = False
        self._limit = limit

    def __len__(self) -> int:
        return len(self.digest)

    def add(self, objectives: Array, violation: Array, feasible: NDArray[np.bool_], digest: Digests) -> Index | None:
        """Take a batch in; None where no member changed, else where each member now comes from: the position it had
        before, or -1 - r for row r of the batch."""
        objectives = np.ascontiguousarray(objectives, np.float64)
        if not feasible.any():
            index = None if self.feasible else self._nearest(violation, digest)
        else:
            index = self._nondominated(objectives, feasible, digest)
        if index is None:
            return None
        merged = (
            dominance.gather_rows(self.objectives, objectives, index),
            dominance.gather(self.violation, np.ascontiguousarray(violation, np.float64), index),
            dominance.gather(self.digest, digest, index),
        )
        self.objectives, self.violation, self.digest = merged
        self.feasible = bool(feasible.any()) or self.feasible
        return index

    def _nondominated(self, objectives: Array, feasible: NDArray[np.bool_], digest: Digests) -> Index | None:
        old = np.arange(len(self) if self.feasible else 0)
        open_ = np.empty(len(digest), bool)
        places = np.full(1 << (2 * len(digest)).bit_length(), -1)
        dominance.first_of_each(digest, feasible, places, open_)
        front, front_digest = self.objectives[: len(old)], self.digest[: len(old)]
        if len(old) > 1 and front.shape[1] in (2, 3):
            _reject(front, objectives, open_)
        rows = np.flatnonzero(open_)
        rows = rows[np.argsort(digest[rows])]
        rows = rows[~contains(front_digest, digest[rows])]
        if not len(rows):
            return None
        new, new_digest = objectives[rows], digest[rows]
        work = len(rows) * (len(rows) + len(old))
        if work <= _SCANNED * (len(rows) + len(old)) or work < 20_000:
            keep_old, keep_new = np.empty(len(old), bool), np.empty(len(rows), bool)
            dominance.sift(front, front_digest, new, new_digest, keep_old, keep_new)
            old, rows = old[keep_old], rows[keep_new]
        else:
            both = dominance.merged(old, front_digest, np.arange(len(rows)), new_digest)
            both = both[nondominated(dominance.gather_rows(front, new, both))]
            old, rows = both[both >= 0], rows[-1 - both[both < 0]]
        if not len(rows) and self.feasible:
            return None
        index = dominance.merged(old, front_digest, rows, digest)
        if len(index) > self._limit:
            index = index[np.sort(thin(dominance.gather_rows(front, objectives, index), self._limit // 2))]
        return np.asarray(index)

    def _nearest(self, violation: Array, digest: Digests) -> Index | None:
        rows = np.sort(np.unique(digest, return_index=True)[1])
        rows = rows[~contains(self.digest, digest[rows])]
        index = np.concatenate([np.arange(len(self)), -1 - rows])
        both = np.concatenate([self.digest, digest[rows]])
        chosen = np.lexsort((both, np.concatenate([self.violation, violation[rows]])))[:NEAREST]
        if (chosen < len(self)).all():
            return None
        return np.asarray(index[chosen[np.argsort(both[chosen], kind="stable")]])


def _reject(front: Array, objectives: Array, open_: NDArray[np.bool_]) -> None:
    cells = int(np.clip(1 << int(np.sqrt(len(objectives))).bit_length(), *_CELLS))
    dominance.beaten(objectives, *corners(front, cells), open_)


def corners(front: Array, cells: int) -> tuple[Array, Array, Array]:
    """For a front (F, 2) or (F, 3): low (2,), scale (2,) from the first two objectives to ``cells`` cells each, and the
    table of `dominance.corner_table`."""
    low = front[:, :2].min(axis=0)
    span = front[:, :2].max(axis=0) - low
    scale = np.where(span > 0, cells / np.where(span > 0, span * (1.0 + 1e-9), 1.0), 0.0)
    table = np.empty((cells + 1, (cells if front.shape[1] == 3 else 1) + 1))
    dominance.corner_table(front, low, scale, table)
    return low, scale, table


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

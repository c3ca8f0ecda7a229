"""All non-dominated designs seen so far; feasible ones first, the least violating ones while there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.problem import Prices, Scores
from tradespace.search.indicators import nondominated

Array = NDArray[np.float64]

_LIMIT = 50_000  # members; 10,000 evaluations of six objectives stay far below
_NEAREST = 64  # least violating designs kept while nothing is feasible


class Archive:
    """Non-dominated designs with their scores, in the order of their digests, so the insertion order leaves no trace.

    One design is kept per objective vector (the one of the smallest digest), one score per design (the first).
    Above ``limit`` members a grid over the objectives thins the set; extremes always stay.
    """

    def __init__(self, space: Space, objectives: int, limit: int = _LIMIT) -> None:
        self.designs: Designs = space.concat([space.homogeneous().take(slice(0, 0))])
        self.objectives: Array = np.empty((0, objectives))
        self.violation: Array = np.empty(0)
        self.scores: Scores | None = None
        self.feasible = False
        self._limit = limit

    def __len__(self) -> int:
        return len(self.designs)

    def add(self, designs: Designs, scores: Scores) -> bool:
        """Take a batch in; True if the set changed. All or nothing: an interrupt leaves the old set."""
        ok = scores.feasible
        if not ok.any():
            return not self.feasible and self._add_infeasible(designs, scores)
        rows = np.flatnonzero(ok)
        keep_old = slice(None) if self.feasible else slice(0, 0)
        rows = self._new(designs, rows, self.designs.digest[keep_old])
        rows = rows[np.argsort(designs.digest[rows], kind="stable")]
        rows = rows[nondominated(scores.objectives[rows])]
        old = self.objectives[keep_old]
        objectives = np.concatenate([old, scores.objectives[rows]])
        digest = np.concatenate([self.designs.digest[keep_old], designs.digest[rows]])
        order = np.argsort(digest, kind="stable")
        chosen = order[nondominated(objectives[order])]
        if len(chosen) > self._limit:
            chosen = chosen[_thin(objectives[chosen], self._limit // 2)]
        if self.feasible and len(chosen) == len(old) and (chosen < len(old)).all():
            return False
        self._keep(designs, scores, rows, keep_old, chosen, feasible=True)
        return True

    def _add_infeasible(self, designs: Designs, scores: Scores) -> bool:
        rows = self._new(designs, np.arange(len(designs)), self.designs.digest)
        violation = np.concatenate([self.violation, scores.violation[rows]])
        digest = np.concatenate([self.designs.digest, designs.digest[rows]])
        chosen = np.lexsort((digest, violation))[:_NEAREST]
        changed = bool((chosen >= len(self)).any())
        if changed:
            self._keep(designs, scores, rows, slice(None), chosen, feasible=False)
        return changed

    @staticmethod
    def _new(designs: Designs, rows: NDArray[np.intp], known: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Rows whose designs are not known yet, each design once."""
        digest = designs.digest[rows]
        first = np.sort(np.unique(digest, return_index=True)[1])
        return np.asarray(rows[first][~contains(known, digest[first])])

    def _keep(
        self,
        designs: Designs,
        scores: Scores,
        rows: NDArray[np.intp],
        keep_old: slice,
        chosen: NDArray[np.intp],
        *,
        feasible: bool,
    ) -> None:
        """Make members ``chosen`` of old[keep_old] followed by new[rows]."""
        n_old = len(range(*keep_old.indices(len(self))))
        old, new = chosen[chosen < n_old], rows[chosen[chosen >= n_old] - n_old]
        both = self.designs.space.concat([self.designs.take(old), designs.take(new)])
        merged = scores.take(new) if self.scores is None else concat_scores(self.scores.take(old), scores.take(new))
        order = np.argsort(both.digest, kind="stable")
        kept, merged = both.take(order), merged.take(order)
        objectives, violation = merged.objectives, merged.violation
        self.designs, self.scores, self.objectives, self.violation, self.feasible = (
            kept,
            merged,
            objectives,
            violation,
            feasible,
        )


def contains(known: NDArray[np.uint64], digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which digests are in the sorted array ``known``."""
    if not len(known):
        return np.zeros(len(digests), bool)
    place = np.minimum(np.searchsorted(known, digests), len(known) - 1)
    return np.asarray(known[place] == digests)


def concat_scores(a: Scores, b: Scores) -> Scores:
    """Rows of ``a``, then rows of ``b``, of one problem."""
    values = {k: np.concatenate([v, b.prices.columns[k]]) for k, v in a.prices.columns.items()}
    violations = {k: np.concatenate([v, b.prices.violations[k]]) for k, v in a.prices.violations.items()}
    return Scores(
        np.concatenate([a.objectives, b.objectives]),
        np.concatenate([a.violations, b.violations]),
        Prices(values, violations),
    )


def _thin(objectives: Array, target: int) -> NDArray[np.intp]:
    """At most about ``target`` rows: one per cell of the finest grid that has so few, plus the extremes."""
    low, span = objectives.min(axis=0), np.ptp(objectives, axis=0)
    scaled = (objectives - low) / np.where(span > 0, span, 1.0)
    cells = 2 ** np.arange(12, 0, -1)
    for k in cells:
        first = np.unique((scaled * k).astype(np.int64), axis=0, return_index=True)[1]
        if len(first) <= target or k == 2:
            return np.union1d(first, objectives.argmin(axis=0))
    raise AssertionError("the coarsest grid always returns")

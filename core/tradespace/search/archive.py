"""All non-dominated designs seen so far; feasible ones first, the least violating ones while there is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.problem import Prices, Scores
from tradespace.search.members import Index, Members, contains

__all__ = ["Archive", "concat_scores", "contains"]

Array = NDArray[np.float64]

_LIMIT = 50_000  # members; 10,000 evaluations of six objectives stay far below
_HELD = 65_536  # rows of told batches that are held for the members among them before these are copied out


class Archive:
    """Non-dominated designs with their scores, in the order of their digests, so the insertion order leaves no trace.

    One design is kept per objective vector (the one of the smallest digest), one score per design (the first).
    Above ``limit`` members a grid over the objectives thins the set; extremes always stay. Told batches are held, and
    members copied out of them when they are asked for.
    """

    def __init__(self, space: Space, objectives: int, limit: int = _LIMIT) -> None:
        self._members = Members(objectives, limit)
        self._nothing = space.concat([space.homogeneous().take(slice(0, 0))])
        self._batches: list[tuple[Designs, Scores]] = []
        self._batch: Index = np.empty(0, np.int64)  # of each member, and its row there
        self._row: Index = np.empty(0, np.int64)
        self._held = 0  # rows of the held batches
        self._copied = True  # there is one batch, and it is the members

    def __len__(self) -> int:
        return len(self._members)

    @property
    def objectives(self) -> Array:
        return self._members.objectives

    @property
    def violation(self) -> Array:
        return self._members.violation

    @property
    def feasible(self) -> bool:
        return self._members.feasible

    @property
    def designs(self) -> Designs:
        self._copy_out()
        return self._batches[0][0] if self._batches else self._nothing

    @property
    def scores(self) -> Scores | None:
        self._copy_out()
        return self._batches[0][1] if self._batches else None

    def add(self, designs: Designs, scores: Scores) -> bool:
        """Take a batch in; True if the set changed."""
        index = self._members.add(scores, designs.digest)
        if index is None:
            return False
        old = index >= 0
        own, row = np.full(len(index), len(self._batches)), -1 - index
        own[old], row[old] = self._batch[index[old]], self._row[index[old]]
        self._batch, self._row = own, row
        self._batches.append((designs, scores))
        self._copied = False
        self._held += len(designs)
        if self._held > _HELD + 4 * len(index):
            self._copy_out()
        return True

    def _copy_out(self) -> None:
        """Make one batch of the members alone, in their order."""
        if self._copied:
            return
        order, parts = [], []
        for number, (designs, scores) in enumerate(self._batches):
            at = np.flatnonzero(self._batch == number)
            if len(at):
                order.append(at)
                parts.append((designs.take(self._row[at]), scores.take(self._row[at])))
        place = np.argsort(np.concatenate(order))
        designs = self._nothing.space.concat([d for d, _ in parts]).take(place)
        scores = parts[0][1]
        for _, more in parts[1:]:
            scores = concat_scores(scores, more)
        self._batches = [(designs, scores.take(place))]
        self._batch, self._row, self._copied = np.zeros(len(place), np.int64), np.arange(len(place)), True
        self._held = len(place)


def concat_scores(a: Scores, b: Scores) -> Scores:
    """Rows of ``a``, then rows of ``b``, of one problem."""
    values = {k: np.concatenate([v, b.prices.columns[k]]) for k, v in a.prices.columns.items()}
    violations = {k: np.concatenate([v, b.prices.violations[k]]) for k, v in a.prices.violations.items()}
    return Scores(
        np.concatenate([a.objectives, b.objectives]),
        np.concatenate([a.violations, b.violations]),
        Prices(values, violations),
    )

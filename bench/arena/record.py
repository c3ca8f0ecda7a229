"""What a run priced and when: the same account for every optimizer, ours or a library's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.problem import Problem, Scores
from tradespace.search.indicators import nondominated

Array = NDArray[np.float64]


_TOGETHER = 20_000
"""Rows that wait to be merged into a front: thousands of small merges would take longer than some searches."""


class Spent(Exception):
    """The budget of a run is used up."""


@dataclass
class Record:
    """Feasible minimised objectives of everything that was priced within the budget, in order."""

    problem: Problem
    evaluations: int | None = None
    seconds: float | None = None
    started: float = field(default_factory=time.perf_counter)
    counts: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    batches: list[tuple[Array, NDArray[np.bool_]]] = field(default_factory=list)  # objectives and feasibility
    total: int = 0

    def add(self, scores: Scores) -> None:
        """Rows beyond the budget are cut off."""
        now = time.perf_counter() - self.started
        room = np.inf if self.evaluations is None else self.evaluations - self.total
        if room <= 0 or (self.seconds is not None and now > self.seconds):
            return
        rows = slice(0, int(min(room, len(scores.objectives))))
        self.total += len(scores.objectives[rows])
        self.counts.append(self.total)
        self.times.append(now)
        self.batches.append((scores.objectives[rows], scores.feasible[rows]))

    def price(self, designs: Designs) -> Scores:
        """For peers: repair, price and note a batch. Raises Spent once nothing of it would count."""
        if self.evaluations is not None and self.total >= self.evaluations:
            raise Spent
        if self.seconds is not None and time.perf_counter() - self.started > self.seconds:
            raise Spent
        scores = self.problem.score(self.problem.repair(designs))
        self.add(scores)
        return scores

    def batch(self, batch: object) -> None:
        """For ours: an observer of `tradespace.search`."""
        self.add(batch.scores)  # type: ignore[attr-defined]

    def archives(self, checkpoints: list[int]) -> dict[int, Array]:
        """The non-dominated feasible objectives after each checkpoint that was reached, and at the end (key -1): what
        a run would have that was cut off there, in the middle of a batch if need be."""
        front, out, before = np.empty((0, len(self.problem.objectives))), {}, 0
        ends = sorted({c for c in checkpoints if c <= self.total})
        waiting: list[Array] = []

        def merged() -> Array:
            every = np.concatenate([front, *waiting])
            waiting.clear()
            return np.asarray(every[nondominated(every)])

        for count, (objectives, feasible) in zip(self.counts, self.batches, strict=True):
            low = 0
            for end in [e for e in ends if before < e <= count]:
                waiting.append(objectives[low : end - before][feasible[low : end - before]])
                out[end] = front = merged()
                low = end - before
            waiting.append(objectives[low:][feasible[low:]])
            if sum(map(len, waiting)) > _TOGETHER:
                front = merged()
            before = count
        out[-1] = merged()
        return out

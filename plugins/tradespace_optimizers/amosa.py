"""AMOSA: archived multi-objective simulated annealing (Bandyopadhyay, Saha, Maulik, Deb 2008).

Acceptance rests on the amount of domination, D(a, b) = product over the objectives in which they differ of
|a_k - b_k| / R_k. The article prints exp(D * T) where its authors' code divides by T; only the division is hot at high
temperatures, so that is what stands here. Ours: many chains anneal at once against one archive that changes between
their moves (chains = 1 is the article), and where violations differ, the smaller one dominates by their difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace.search.indicators import nondominated
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rng = np.random.Generator
_BUDGET = 10_000  # designs that cooling spans where the budget is not a number of designs


@dataclass(frozen=True)
class AMOSAOptions:
    """chains: moves per batch. soft, hard: an archive above ``soft`` members is clustered to ``hard``. gamma: random
    designs at the start, in units of ``soft`` (at most a tenth of the budget). climb: first moves of each chain that
    only improve. start_temperature, end_temperature: in amounts of domination (1 is the whole range of every
    objective). alpha: factor between two levels of temperature."""

    chains: int = 20
    soft: int = 150
    hard: int = 100
    gamma: float = 2.0
    climb: int = 5
    start_temperature: float = 1e-3
    end_temperature: float = 1e-7
    alpha: float = 0.8


@dataclass(frozen=True)
class Points:
    """Designs as codes (N, width), with minimised objectives (N, M) and total violations (N,)."""

    codes: Array
    values: Array
    violation: Array

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: NDArray[np.intp] | Mask) -> Points:
        return Points(self.codes[rows], self.values[rows], self.violation[rows])

    def join(self, other: Points) -> Points:
        parts = (
            (self.codes, other.codes),
            (self.values, other.values),
            (self.violation, other.violation),
        )
        return Points(*(np.concatenate(p) for p in parts))

    def replaced(self, rows: NDArray[np.intp], by: Points) -> Points:
        codes, values, violation = self.codes.copy(), self.values.copy(), self.violation.copy()
        codes[rows], values[rows], violation[rows] = by.codes, by.values, by.violation
        return Points(codes, values, violation)

    def best(self) -> Points:
        """The non-dominated ones, feasible first: of infeasible ones only the least violating."""
        least = self.take(self.violation <= self.violation.min())
        return least.take(nondominated(least.values))


class AMOSA:
    """AMOSA, archived multi-objective simulated annealing (Bandyopadhyay and others 2008)."""

    Options: ClassVar[type] = AMOSAOptions
    supports: ClassVar[Supports] = Supports(batch="one move of every chain")

    def __init__(self, view: SearchView, options: AMOSAOptions) -> None:
        _check(options)
        self._space, self._options, self.batch = view.space, options, options.chains
        self._budget = view.evaluations or _BUDGET
        self._first = max(options.chains, min(int(options.gamma * options.soft), self._budget // 10))
        width, m = view.space.width, len(view.objectives)
        self._archive = self._chains = Points(np.empty((0, width)), np.empty((0, m)), np.empty(0))
        self._told = self._turn = 0

    def ask(self, n: int, rng: Rng) -> Designs:
        if self._told < self._first:
            return self._space.sample(n, rng)
        which = (self._turn + np.arange(n)) % self._options.chains
        return self._space.mutate(self._space.unflatten(self._chains.codes[which]), rng)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        told = Points(self._space.flatten(designs), scores.objectives.copy(), scores.violation)
        started = self._told >= self._first
        self._told += len(designs)
        if started:
            for begin in range(0, len(told), self._options.chains):
                self._anneal(told.take(np.arange(begin, min(begin + self._options.chains, len(told)))), rng)
            return
        self._archive = self._archive.join(told)
        if self._told >= self._first:
            self._archive = clustered(self._archive.best(), self._options.soft, self._options.hard)
            self._chains = self._archive.take(rng.integers(0, len(self._archive), self._options.chains))

    @property
    def _temperature(self) -> float:
        o = self._options
        if self._told <= self._first + o.climb * o.chains:
            return 0.0
        levels = max(1, ceil(log(o.end_temperature / o.start_temperature) / log(o.alpha)))
        done = min(self._told / self._budget, 1.0)
        return float(max(o.start_temperature * o.alpha ** int(done * levels), o.end_temperature))

    def _anneal(self, new: Points, rng: Rng) -> None:
        """One move of as many chains as there are rows: cases 1 to 3 of the article, section III-C."""
        which = (self._turn + np.arange(len(new))) % self._options.chains
        self._turn += len(new)
        now, archive = self._chains.take(which), self._archive
        span = Spans.of(archive, now, new)
        above, amounts = dominating(archive, new, span)  # (A, n)
        count = above.sum(axis=0)
        worse, loss = _pairs(now, new, span)
        better, _ = _pairs(new, now, span)
        total = np.where(above, amounts, 0.0).sum(axis=0)
        mean = (total + np.where(worse, loss, 0.0)) / np.maximum(count + worse, 1)
        free = ~worse & (count == 0)  # cases 2b, 3b, 3c: to the archive
        lucky = rng.random(len(new)) < acceptance(mean, self._temperature)
        take = free | (better & (count > 0)) | lucky
        nearest = np.where(above, amounts, np.inf)
        jump = better & (count > 0)
        least = np.where(jump, nearest.min(axis=0, initial=np.inf), 0.0)
        jump &= rng.random(len(new)) < 1.0 / (1.0 + np.exp(-least))  # case 3a: to the archive member just above
        rows = np.flatnonzero(take & ~jump)
        self._chains = self._chains.replaced(which[rows], new.take(rows))
        rows = np.flatnonzero(jump)
        if len(rows):
            self._chains = self._chains.replaced(which[rows], archive.take(nearest[:, rows].argmin(axis=0)))
        if free.any():
            self._archive = clustered(archive.join(new.take(free)).best(), self._options.soft, self._options.hard)


@dataclass(frozen=True)
class Spans:
    """Ranges that amounts of domination are measured in: of each objective (M,) and of the violation."""

    values: Array
    violation: float

    @classmethod
    def of(cls, *parts: Points) -> Spans:
        values = np.ptp(np.concatenate([p.values for p in parts]), axis=0)
        violation = float(np.ptp(np.concatenate([p.violation for p in parts])))
        return cls(np.where(values > 0, values, 1.0), violation or 1.0)


def dominating(a: Points, b: Points, span: Spans) -> tuple[Mask, Array]:
    """Whether each of ``a`` dominates each of ``b``, and by how much: ``(A, B)`` both."""
    return _compare(a.values[:, None], a.violation[:, None], b.values[None], b.violation[None], span)


def _pairs(a: Points, b: Points, span: Spans) -> tuple[Mask, Array]:
    """Row by row."""
    return _compare(a.values, a.violation, b.values, b.violation, span)


def _compare(a: Array, a_violation: Array, b: Array, b_violation: Array, span: Spans) -> tuple[Mask, Array]:
    change = (b - a) / span.values
    pareto = (change >= 0).all(axis=-1) & (change > 0).any(axis=-1)
    amount = np.where(change == 0, 1.0, np.abs(change)).prod(axis=-1)
    gap = (b_violation - a_violation) / span.violation
    return np.where(gap == 0, pareto, gap > 0), np.where(gap == 0, amount, np.abs(gap))


def acceptance(amount: Array, temperature: float) -> Array:
    """Probability to take a new point that is dominated by ``amount``: a half when hot, none when cold."""
    ratio = np.minimum(np.asarray(amount) / max(temperature, 1e-300), 700.0)
    return np.where(ratio >= 700.0, 0.0, 1.0 / (1.0 + np.exp(ratio)))


def clustered(points: Points, soft: int, hard: int) -> Points:
    """At most ``hard`` members where there are more than ``soft``: single linkage, the most central of each."""
    if len(points) <= soft:
        return points
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform

    scaled = (points.values - points.values.min(axis=0)) / Spans.of(points).values
    distances = pdist(scaled)
    labels, square = fcluster(linkage(distances, "single"), hard, "maxclust"), squareform(distances)
    central = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        central.append(members[square[np.ix_(members, members)].sum(axis=1).argmin()])
    return points.take(np.sort(np.asarray(central)))


def _check(o: AMOSAOptions) -> None:
    where = "options of amosa"
    if o.chains < 1 or not 1 <= o.hard <= o.soft or o.gamma <= 0 or o.climb < 0:
        raise ProblemError("chains >= 1, 1 <= hard <= soft, gamma > 0, climb >= 0", value=o, where=where)
    if not 0.0 < o.end_temperature <= o.start_temperature or not 0.0 < o.alpha < 1.0:
        raise ProblemError("0 < end_temperature <= start_temperature, 0 < alpha < 1", value=o, where=where)

"""MOSA: multi-objective simulated annealing with one temperature per objective (Suppapitnarm, Seffen, Parks, Clarkson
2000, Engineering Optimization 33).

A new design is taken with probability prod_k min(1, exp(-df_k / T_k)), or always when the archive takes it in.
Temperatures are infinite for a first stretch, then the spread of what was accepted, then cool after Huang's rule.
Chains return to isolated members of the archive, ever more often and ever more isolated ones. Ours: many chains share
temperatures and archive, and a violation is one more objective here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import SearchView
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
Rng = np.random.Generator
_BUDGET = 10_000
_LIMIT = 2000  # members of the archive


@dataclass(frozen=True)
class MOSAOptions:
    """chains: moves per batch. warm: share of the budget at infinite temperature. level: share of the budget between
    two coolings. return_every: moves of a chain before it returns to the archive, at first; each return makes it
    ``return_rate`` times as many (at least ``return_least``). isolation_rate: factor on the share of the archive that
    is isolated enough to return to."""

    chains: int = 20
    warm: float = 0.05
    level: float = 0.025
    return_every: int = 5
    return_least: int = 2
    return_rate: float = 0.9
    isolation_rate: float = 0.95


class MOSA:
    """MOSA, annealing with a temperature per objective, returns to isolated designs (Suppapitnarm and others 2000)."""

    Options: ClassVar[type] = MOSAOptions
    supports: ClassVar[Supports] = Supports(batch="one move of every chain")

    def __init__(self, view: SearchView, options: MOSAOptions) -> None:
        _check(options)
        self._space, self._options, self.batch = view.space, options, options.chains
        self._budget = view.evaluations or _BUDGET
        m = len(view.objectives)
        self._archive = Archive(view.space, m, limit=_LIMIT)
        self._codes: Array = np.empty((0, view.space.width))
        self._values: Array = np.empty((0, m + 1))  # objectives, then the violation
        self._temperature = np.full(m + 1, np.inf)
        self._accepted: list[Array] = []  # values since the last cooling
        self._told = self._turn = 0
        self._next = max(options.chains, int(options.warm * self._budget))  # told designs at the next cooling
        self._every, self._share = float(options.return_every), 1.0
        self._return = options.return_every * options.chains

    def ask(self, n: int, rng: Rng) -> Designs:
        if len(self._codes) < self._options.chains:
            return self._space.sample(n, rng)
        which = (self._turn + np.arange(n)) % self._options.chains
        return self._space.mutate(self._space.unflatten(self._codes[which]), rng)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        codes, c = self._space.flatten(designs), self._options.chains
        values = np.concatenate([scores.objectives, scores.violation[:, None]], axis=1)
        self._archive.add(designs, scores)
        kept = np.isin(designs.digest, self._archive.designs.digest)
        room = min(len(codes), c - len(self._codes))
        self._codes = np.concatenate([self._codes, codes[:room]])
        self._values = np.concatenate([self._values, values[:room]])
        self._told += len(designs)
        for begin in range(room, len(codes), c):
            rows = slice(begin, min(begin + c, len(codes)))
            self._anneal(codes[rows], values[rows], kept[rows], rng)
        if self._told >= self._next:
            self._cool()
        if self._told >= self._return and len(self._codes) == c:
            self._to_base(rng)

    def _anneal(self, codes: Array, values: Array, kept: NDArray[np.bool_], rng: Rng) -> None:
        which = (self._turn + np.arange(len(codes))) % self._options.chains
        self._turn += len(codes)
        ok = kept | (rng.random(len(codes)) < acceptance(values - self._values[which], self._temperature))
        self._codes, self._values = self._codes.copy(), self._values.copy()
        self._codes[which[ok]], self._values[which[ok]] = codes[ok], values[ok]
        self._accepted.append(values[ok])

    def _cool(self) -> None:
        """Huang's rule: by at most a half, less where the temperature is far above the spread."""
        self._next = self._told + max(1, int(self._options.level * self._budget))
        accepted = np.concatenate([*self._accepted, self._values])
        spread = accepted.std(axis=0)
        if np.isinf(self._temperature).all():
            self._temperature = spread
        else:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                factor = np.exp(-0.7 * self._temperature / spread)
            self._temperature = self._temperature * np.maximum(0.5, np.nan_to_num(factor, nan=0.5))
        self._accepted = []

    def _to_base(self, rng: Rng) -> None:
        """All chains go to isolated members of the archive, the extremes among them."""
        o, members = self._options, self._archive
        order = np.argsort(-isolation(members.objectives), kind="stable")
        order = order[: max(members.objectives.shape[1], int(np.ceil(self._share * len(members))))]
        rows = order[rng.integers(0, len(order), o.chains)]
        self._codes = self._space.flatten(members.designs.take(rows))
        self._values = np.concatenate([members.objectives, members.violation[:, None]], axis=1)[rows]
        self._every = max(float(o.return_least), self._every * o.return_rate)
        self._share = max(0.1, self._share * o.isolation_rate)
        self._return = self._told + int(self._every * o.chains)


def acceptance(change: Array, temperature: Array) -> Array:
    """``prod_k min(1, exp(-change_k / T_k))`` for ``change`` (N, K) and ``temperature`` (K,): 1 hot, 0 cold."""
    rise = np.maximum(change, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(rise > 0, rise / temperature, 0.0)
    total = ratio.sum(axis=1)
    return np.asarray(np.where(total < 745.0, np.exp(-np.minimum(total, 745.0)), 0.0))


def isolation(values: Array) -> Array:
    """Sum over the objectives of the distance between the two neighbours, in units of the range; infinite at ends."""
    total = np.zeros(len(values))
    for column in values.T:
        order, span = np.argsort(column, kind="stable"), np.ptp(column)
        ends = np.full(len(values), np.inf)
        if len(values) > 2:
            ends[1:-1] = (column[order][2:] - column[order][:-2]) / (span if span > 0 else 1.0)
        total[order] += ends
    return total


def _check(o: MOSAOptions) -> None:
    where = "options of mosa"
    if o.chains < 1 or o.return_every < 1 or o.return_least < 1:
        raise ProblemError("chains, return_every, return_least are at least 1", value=o, where=where)
    if not (0.0 < o.warm < 1.0 and 0.0 < o.level < 1.0 and 0.0 < o.return_rate <= 1.0 and 0.0 < o.isolation_rate <= 1):
        raise ProblemError("warm, level, return_rate, isolation_rate are shares", value=o, where=where)

"""Stage 1 of TinyNAS: which part of a space is worth searching, decided by statistics of what fits.

MCUNet (arXiv 2007.10319, section 3.1) draws 1,000 networks in each of 12 x 9 spaces (resolution x width), keeps those
that fit and takes the space whose survivors have most FLOPs on average. Ours: any variables may span the spaces;
samples are spent by successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943) because here every sample
counts, and an additive model, once it predicts what it has not seen, adds networks that nobody prices to a space's
statistics (a space where one network in five fits is not lost to five unlucky samples); halving goes on while stage 2
evolves in the spaces that are left, now by the best design found; with several objectives a space is as good as its
rank in the direction where it ranks best.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Integer, Space, Variable
from tradespace.errors import ProblemError, UnknownName
from tradespace_optimizers.nas_evolution_model import Additive

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

MOST = 4096  # spaces
DIRECTIONS = 16
IMAGINED = 48  # networks a space that are predicted, not priced
TRUSTED = 0.5  # correlation on held-out designs above which predictions count
DEFAULT = ("width", "resolution")


def outer_variables(space: Space, names: Any) -> tuple[Variable, ...]:
    """The variables that span the spaces: those named, else width and resolution where they exist.

    Raises:
        UnknownName: no such variable.
        ProblemError: not a list of names, or a variable that cannot be enumerated, or too many spaces.
    """
    where = "options of tinynas: outer"
    if names is None:
        names = [name for name in DEFAULT if name in space]
    names = [part.strip() for part in names.split(",")] if isinstance(names, str) else names
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ProblemError("is a list of variables", value=names, where=where)
    for name in names:
        if name not in space:
            raise UnknownName("design variable", name, [v.name for v in space.variables], where=where)
    found = tuple(v for v in space.variables if v.name in names)
    for v in found:
        if not isinstance(v, Choice | Integer) or v.when or v.prefix:
            raise ProblemError(
                "an outer variable is a Choice or an Integer that always counts", value=v.name, where=where
            )
    if math.prod(v.count or 1 for v in found) > MOST:
        raise ProblemError(f"there are at most {MOST} spaces", value=[v.name for v in found], where=where)
    return found


class Spaces:
    """The candidate spaces, what was seen of each, and which are still in the running. Changes by tells alone.

    Args:
        space: of the problem.
        outer: the variables that span the spaces.
        keep: spaces that stage 2 begins with.
        end: spaces that it ends with.
        limit, budget: designs that stage 1 may see, and both stages.
        top: share of a space's survivors whose mean decides in stage 1 (1: all of them, as in the paper).
        model: of the problem, told before the spaces are; None: priced networks alone decide.
    """

    def __init__(
        self,
        space: Space,
        outer: Sequence[Variable],
        keep: int,
        end: int,
        limit: int,
        budget: int,
        top: float,
        model: Additive | None = None,
    ) -> None:
        self._model = model
        self._space, self._outer, self._limit, self._top = space, tuple(outer), limit, top
        rows = [range(v.count or 1) for v in outer]
        picks = np.array(list(itertools.product(*rows)), np.int64).reshape(math.prod(map(len, rows)), len(outer))
        self._codes = {v.name: v.at(picks[:, i]) for i, v in enumerate(outer)}
        self.count = len(picks)
        self._keep = max(1, min(keep, self.count))
        self._end = max(1, min(end, self._keep))
        self.alive: Rows = np.arange(self.count)
        self._rounds = max(1, math.ceil(math.log2(self.count / self._keep))) if self.count > self._keep else 0
        later = math.ceil(math.log2(self._keep / self._end))
        left = max(budget - limit, 0)
        self._narrow_at = [limit + left * (i + 1) // (later + 2) for i in range(later)]
        self._told = 0
        self._cell: Rows = np.empty(0, np.intp)
        self._values: Array = np.empty((0, 0))
        self._violation: Array = np.empty(0)
        self._target = self._share()

    @property
    def chosen(self) -> bool:
        """Whether stage 1 is over."""
        return len(self.alive) <= self._keep

    def _share(self) -> int:
        """Samples that each space in the running gets in a round: rounds cost the same."""
        return max(1, self._limit // max(self._rounds, 1) // len(self.alive))

    def cell_of(self, designs: Designs) -> Rows:
        """(N,) the space each design lies in."""
        index = np.zeros(len(designs), np.intp)
        for v in self._outer:
            codes = designs.columns[v.name][:, 0].astype(np.intp)
            low = int(v.bounds()[0][0])
            index = index * (v.count or 1) + codes - low
        return index

    def into(self, designs: Designs, cells: Rows) -> Designs:
        """The designs moved into the given spaces."""
        columns = dict(designs.columns)
        for v in self._outer:
            columns[v.name] = self._codes[v.name][cells].astype(v.dtype)
        return self._space.repair(Designs(self._space, columns))

    def wanting(self, n: int) -> Rows:
        """The spaces that the next ``n`` samples go to: those with the fewest, each of the round's share at most."""
        counts = np.bincount(self._cell, minlength=self.count)[self.alive]
        need = np.maximum(self._target - counts, 0)
        order = np.repeat(self.alive, need)
        rank = np.concatenate([np.arange(k) for k in need]) if len(order) else np.empty(0)
        order = order[np.argsort(rank, kind="stable")]
        return order[:n] if len(order) else self.alive[np.arange(n) % len(self.alive)]

    def tell(self, designs: Designs, objectives: Array, violation: Array) -> None:
        if self.chosen and not self._narrow_at:
            return
        cells = self.cell_of(designs)
        first = not len(self._cell)
        self._cell = np.concatenate([self._cell, cells])
        self._values = objectives if first else np.concatenate([self._values, objectives])
        self._violation = np.concatenate([self._violation, violation])
        self._told += len(designs)
        if self.chosen:
            while self._narrow_at and self._told >= self._narrow_at[0]:
                self._narrow_at.pop(0)
                self._halve(self._end, 0.0)
            return
        counts = np.bincount(self._cell, minlength=self.count)
        while not self.chosen and (counts[self.alive] >= self._target).all():
            self._halve(self._keep, self._top)
            self._target += self._share()
        if not self.chosen and self._told >= 2 * self._limit:  # a repair that moves designs to other spaces
            self.alive = self.alive[np.argsort(self._scores(self._top), kind="stable")[: self._keep]]

    def _halve(self, least: int, top: float) -> None:
        left = max(least, -(-len(self.alive) // 2))
        order = np.argsort(self._scores(top), kind="stable")
        self.alive = np.sort(self.alive[order[:left]])

    def _scores(self, top: float) -> Array:
        """(A,) rank of each space in the running where it does best, smaller is better."""
        m = self._values.shape[1]
        directions = np.ones((1, 1)) if m == 1 else _directions(m)
        low, span = self._values.min(axis=0), np.ptp(self._values, axis=0)
        values, violation, cells = self._statistics(top)
        scaled = (values - low) / np.where((span > 0) & np.isfinite(span), span, 1.0)
        ranks = []
        for w in directions:
            value = 0.7 * (w * scaled).max(axis=1) + 0.3 * (w * scaled).sum(axis=1)
            means = np.array([_mean(value[cells == c], violation[cells == c], top) for c in self.alive])
            ranks.append(np.argsort(np.argsort(means, kind="stable"), kind="stable"))
        best = np.min(ranks, axis=0)
        return np.asarray(best + np.mean(ranks, axis=0) / (10.0 * self.count))

    def _statistics(self, top: float) -> tuple[Array, Array, Rows]:
        """Objectives, violation and space of what was priced and, in stage 1, of what the model expects."""
        priced = (self._values, self._violation, self._cell)
        m = self._values.shape[1]
        if self._model is None or top == 0.0 or not (self._model.trust[:m] > TRUSTED).all():
            return priced
        cells = np.repeat(self.alive, IMAGINED)
        always = np.random.Generator(np.random.Philox(0))  # the same networks in every space and run
        drawn = self._space.sample(IMAGINED, always)
        drawn = drawn.take(np.tile(np.arange(IMAGINED), len(self.alive)))
        expected = self._model.predict(self.into(drawn, cells), always)
        if expected is None:
            return priced
        return (
            np.concatenate([self._values, expected[0]]),
            np.concatenate([self._violation, expected[1]]),
            np.concatenate([self._cell, cells]),
        )


def _mean(value: Array, violation: Array, top: float) -> float:
    """Mean of the survivors (of their best share); a space without any comes last, by violation."""
    if not len(value):
        return np.inf
    fits = violation <= 0
    if not fits.any():
        return 1e6 + float(np.clip(violation.mean(), 0.0, 1e6))
    best = np.sort(value[fits])
    return float(best[: max(1, math.ceil(top * len(best)))].mean())


def _directions(m: int) -> Array:
    """Fixed weights over the objectives: the axes, then random ones (equal in every run)."""
    random = np.random.Generator(np.random.Philox(0)).dirichlet(np.ones(m), DIRECTIONS)
    return np.concatenate([np.eye(m), random])

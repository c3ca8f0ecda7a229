"""TinyNAS: first choose the search space, then evolve inside it (MCUNet, arXiv 2007.10319, section 3.1, appendix D).

Stage 1 is `tinynas_spaces`. Stage 2 keeps the best designs as parents and makes half of a generation by crossover, half
by mutation; children inherit the space of a parent. Feasibility is inherited too: parents fit, and a child that an
additive model of the limits expects not to fit is bred again (the paper asks its scheduler and resamples; here a price
is what costs). Options turn each ingredient off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.abilities import Supports
from tradespace.search.contract import SearchView
from tradespace_optimizers.nas_evolution_pool import Array, Pool, Rows
from tradespace_optimizers.tinynas_spaces import Spaces, outer_variables


@dataclass(frozen=True)
class TinyNASOptions:
    """outer: variables that span the spaces (a list, or text with commas); default width and resolution if present.
    share: of the budget that stage 1 may spend. keep: spaces that stage 2 begins with, 0 takes 16 for one objective
    and an eighth of them for several. end: spaces it ends with, 0 takes 2 for one objective, one to fall back on where
    the other is soon searched out, and all kept ones for several (keep=1 is the paper).
    top: share of a space's survivors whose mean decides (the paper: 1).
    population, parents: of stage 2 (appendix D). crossover, rate: share of children with two parents, chance of each
    entry to change; 0 takes 1 / entries. The paper has 0.5 and 0.1: with dozens of entries that changes several at once
    and ends lower on two boards (ours). wander: share of children moved to another kept space.
    children: bred for each one proposed, 1 trusts no model."""

    outer: Any = None
    share: float = 0.25
    keep: int = 0
    end: int = 0
    top: float = 1.0
    population: int = 100
    parents: int = 20
    crossover: float = 0.25
    rate: float = 0.0
    wander: float = 0.1
    children: int = 8

    def __post_init__(self) -> None:
        for name in ("share", "top", "crossover", "rate", "wander"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ProblemError(f"'{name}' is from 0 to 1", value=getattr(self, name), where="options of tinynas")
        for name, low in (("keep", 0), ("end", 0), ("population", 1), ("parents", 1), ("children", 1)):
            if not low <= getattr(self, name) <= 100_000:
                raise ProblemError(
                    f"'{name}' is from {low} to 100000", value=getattr(self, name), where="options of tinynas"
                )


class TinyNAS:
    """Two-stage search: statistics choose the space, evolution searches it."""

    Options: ClassVar[type] = TinyNASOptions
    supports: ClassVar[Supports] = Supports(batch="children of a population")

    def __init__(self, view: SearchView, options: TinyNASOptions) -> None:
        self._view, self._space, self._options = view, view.space, options
        budget = view.evaluations or 10_000
        outer = outer_variables(view.space, options.outer)
        count = int(np.prod([v.count or 1 for v in outer])) if outer else 1
        single = len(view.objectives) == 1
        keep = options.keep or (16 if single else max(1, count // 8))
        end = options.end or (2 if single else keep)
        limit = max(1, int(options.share * budget))
        self._pool = Pool(view)
        model = self._pool.model if options.children > 1 else None
        self._spaces = Spaces(view.space, outer, keep, end, limit, budget, options.top, model)
        self._islands = single
        self.batch = max(1, min(options.population // 4, budget // 30))

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        pool, spaces = self._pool, self._spaces
        if not spaces.chosen:
            cells = spaces.wanting(n)
            return self._view.repair(spaces.into(self._space.sample(len(cells), rng), cells))
        homes = self._homes(n, rng)
        weights = pool.directions(n, rng)
        parents = self._parents(weights, homes)
        if parents is None:
            return self._view.repair(spaces.into(self._space.sample(n, rng), homes))

        def breed(count: int) -> Designs:
            return self._children(np.tile(parents, (count // n, 1)), np.tile(homes, count // n), rng)

        return pool.fresh(n, rng, breed, weights, self._options.children)

    def _homes(self, n: int, rng: np.random.Generator) -> Rows:
        """(n,) the space each slot breeds in: all in turn."""
        alive = self._spaces.alive
        return np.asarray(alive[(rng.integers(0, len(alive)) + np.arange(n)) % len(alive)])

    def _parents(self, weights: Array, homes: Rows) -> Rows | None:
        """(n, parents) rows of the best told designs in each slot's direction: of its own space for one objective, of
        all kept ones for several. None if nothing was told there yet."""
        cells = self._spaces.cell_of(self._space.unflatten(self._pool.codes)) if len(self._pool.codes) else homes[:0]
        out = np.empty((len(homes), self._options.parents), np.intp)
        groups = [np.array([home]) for home in np.unique(homes)] if self._islands else [self._spaces.alive]
        for group in groups:
            slots = np.flatnonzero(np.isin(homes, group))
            inside = np.flatnonzero(np.isin(cells, group))
            if not len(inside):
                return None
            out[slots] = self._best(weights[slots], inside)
        return out

    def _best(self, weights: Array, inside: Rows) -> Rows:
        """(n, parents) of `inside`, the best in each direction; repeated where there are fewer."""
        pool, count = self._pool, min(self._options.parents, len(inside))
        single = weights.shape[1] == 1
        values = pool.value(weights[:1] if single else weights, pool.objectives[inside], pool.violation[inside])
        best = np.argpartition(values, count - 1, axis=1)[:, :count]
        columns = np.arange(self._options.parents) % count
        return np.asarray(inside[np.broadcast_to(best, (len(weights), count))][:, columns])

    def _children(self, parents: Rows, homes: Rows, rng: np.random.Generator) -> Designs:
        """One child a slot: of two parents, or a mutation of one; in its own space, or moved to another kept one."""
        pool, o, n = self._pool, self._options, len(parents)
        pick = rng.integers(0, parents.shape[1], (2, n))
        mothers, fathers = (pool.codes[parents[np.arange(n), pick[i]]] for i in range(2))
        mixed = np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)
        crossed = (rng.random(n) < o.crossover)[:, None]
        mutated = self._space.flatten(self._space.mutate(self._space.unflatten(mothers), rng, o.rate or None))
        born = self._space.unflatten(np.where(crossed, mixed, mutated))
        if not self._islands:
            homes = self._spaces.cell_of(self._space.unflatten(mothers))
        alive = self._spaces.alive
        away = rng.random(n) < o.wander
        homes = np.where(away, alive[rng.integers(0, len(alive), n)], homes)
        return self._spaces.into(born, homes)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._pool.tell(designs, scores)
        self._spaces.tell(designs, scores.objectives, scores.violation)

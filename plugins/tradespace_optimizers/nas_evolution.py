"""Regularised evolution: the oldest dies, not the worst (Real et al. 2019, "Regularized Evolution for Image Classifier
Architecture Search", arXiv 1802.01548, algorithm 1), for any number of objectives.

Ours: every child has a direction over the objectives in which its tournament is held; a share of the parents comes from
the front (`elite`, 0 is the published algorithm); no design is proposed twice; of several children the one that an
additive model expects most of is proposed (`children`, 1 switches the model off).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.abilities import Supports
from tradespace.search.contract import SearchView
from tradespace_optimizers.nas_evolution_pool import Array, Pool, Rows, start


@dataclass(frozen=True)
class NASEvolutionOptions:
    """population, tournament: of Real et al.; 0 takes a population of a thirtieth of the budget, 50 to 100.
    elite: share of parents from the front, once that has several designs. patience: populations without a better design
    after which a new population starts, 0 never. rate: chance of each entry to change, 0 takes 1 / entries.
    crossover: share of children with two parents. children: bred for each one proposed."""

    population: int = 0
    tournament: int = 5
    elite: float = 0.2
    patience: int = 3
    rate: float = 0.0
    crossover: float = 0.25
    children: int = 8

    def __post_init__(self) -> None:
        for name in ("elite", "rate", "crossover"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ProblemError(f"'{name}' is from 0 to 1", value=getattr(self, name), where="nas_evolution")
        for name, low, high in (
            ("population", 0, 100_000),
            ("patience", 0, 100_000),
            ("tournament", 1, 100_000),
            ("children", 1, 1000),
        ):
            if not low <= getattr(self, name) <= high:
                raise ProblemError(
                    f"'{name}' is from {low} to {high}", value=getattr(self, name), where="nas_evolution"
                )


class NASEvolution:
    """Regularised (aging) evolution."""

    Options: ClassVar[type] = NASEvolutionOptions
    supports: ClassVar[Supports] = Supports(batch="children of a population")

    def __init__(self, view: SearchView, options: NASEvolutionOptions) -> None:
        self._options = options
        budget = view.evaluations or 10_000
        self._population = options.population or int(np.clip(budget // 30, 50, 100))
        self.batch = max(1, self._population // 4)  # larger batches would let a whole population die at once
        self._pool = Pool(view)
        self._born = 0  # designs told when the living population began
        self._still = 0  # designs told since the front last changed

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        pool, o = self._pool, self._options
        if pool.told < self._population:
            return pool.view.repair(start(pool, n, self._population, rng))
        if pool.told - self._born < self._population:
            return pool.fresh(n, rng, lambda count: pool.space.sample(count, rng), None, 1)
        weights = pool.directions(n, rng)

        best = self._best(weights)

        def breed(count: int) -> Designs:
            slots = np.tile(np.arange(n), count // n)
            mothers = self._winners(weights[slots], best[slots], rng)
            fathers = self._winners(weights[slots], best[slots], rng)
            mixed = rng.random((count, 1)) < o.crossover
            codes = np.where(mixed & (rng.random(mothers.shape) < 0.5), fathers, mothers)
            return pool.space.mutate(pool.space.unflatten(codes), rng, o.rate or None)

        return pool.fresh(n, rng, breed, weights, o.children)

    def _best(self, weights: Array) -> Array:
        """(n, width) codes of the front's best in each direction; nothing while the front is one design."""
        archive = self._pool.archive
        if len(archive) < 2:
            return np.empty((len(weights), 0))
        values = self._pool.value(weights, archive.objectives, archive.violation)
        return np.asarray(self._pool.space.flatten(archive.designs.take(values.argmin(axis=1))))

    def _winners(self, weights: Array, best: Array, rng: np.random.Generator) -> Array:
        """(n, width) codes of the winner of each direction's tournament among the living, or `best` of the front."""
        pool, o, n = self._pool, self._options, len(weights)
        living = min(self._population, len(pool.codes), pool.told - self._born)
        first = len(pool.codes) - living
        players: Rows = first + rng.integers(0, living, (n, min(o.tournament, living)))
        values = pool.value(weights, pool.objectives[players], pool.violation[players])
        winners = pool.codes[players[np.arange(n), values.argmin(axis=1)]]
        from_front = rng.random(n) < o.elite
        if best.shape[1]:
            winners[from_front] = best[from_front]
        return np.asarray(winners)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        changed = self._pool.tell(designs, scores)
        self._still = 0 if changed else self._still + len(designs)
        if self._options.patience and self._still >= self._options.patience * self._population:
            self._born, self._still = self._pool.told, 0

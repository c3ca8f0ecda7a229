"""MOEA/D (Zhang and Li 2007): one weight vector a member, children among neighbours. Decomposition by pymoo.

pymoo's own class proposes one design at a time, refuses constraints and does not normalise. Here a batch serves as
many weight vectors as it has rows, in an order that the last tell drew; objectives are divided by the population's
range (an option), and a feasible design beats an infeasible one (ours, as pymoo leaves in a comment).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pymoo.decomposition.pbi import PBI
from pymoo.decomposition.tchebicheff import Tchebicheff
from pymoo.util.misc import cdist

from tradespace.designs import Designs
from tradespace.errors import UnknownName
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace_optimizers.pymoo_directions import directions
from tradespace_optimizers.pymoo_family import DirectionOptions
from tradespace_optimizers.pymoo_operators import BlockCrossover, BlockMutation, Codes, blocks_of
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Rng = np.random.Generator
_DECOMPOSITIONS = ("auto", "tchebicheff", "pbi")


@dataclass(frozen=True)
class MOEADOptions(DirectionOptions):
    """pop_size: at most so many weight vectors, each with one member. neighbours, neighbour_prob: parents come from
    that many nearest vectors with that probability. decomposition: "tchebicheff", "pbi", or "auto" (the latter beyond
    two objectives). normalise: by the population's range. rows: designs per batch; fewer learn sooner."""

    crossover_eta: float = 20.0
    neighbours: int = 20
    neighbour_prob: float = 0.9
    decomposition: str = "auto"
    normalise: bool = True
    rows: int = 4


class MOEAD:
    """MOEA/D (Zhang and Li 2007), one weighted sub-problem per member; fast on smooth fronts (pymoo)."""

    Options: ClassVar[type] = MOEADOptions
    supports: ClassVar[Supports] = Supports(objectives=(2, None), batch="any number of sub-problems")

    def __init__(self, view: SearchView, options: MOEADOptions) -> None:
        self.supports.check("moead", view.space, len(view.objectives))
        if options.decomposition not in _DECOMPOSITIONS:
            raise UnknownName("decomposition", options.decomposition, _DECOMPOSITIONS, where="optimizer moead")
        m = len(view.objectives)
        self._space, self._options, self._codes = view.space, options, Codes(view.space)
        self._weights = directions(m, max(options.pop_size, 2))
        self._size, self.batch = len(self._weights), max(1, options.rows)
        tchebicheff = options.decomposition == "tchebicheff" or (options.decomposition == "auto" and m <= 2)
        self._decomposition = Tchebicheff() if tchebicheff else PBI()
        self._neighbours = np.argsort(cdist(self._weights, self._weights), axis=1, kind="stable")[
            :, : options.neighbours
        ]
        blocks = blocks_of(self._codes, options.spread)
        self._crossover = BlockCrossover(blocks, 1.0)
        self._mutation = BlockMutation(blocks, 1.0)
        self._start = view.space.homogeneous().take(slice(None if options.homogeneous else 0))
        self._x: Array = np.empty((0, view.space.width))
        self._f: Array = np.empty((0, m))
        self._violation: Array = np.empty(0)
        self._ideal = np.full(m, np.inf)
        self._order: Rows = np.arange(self._size)  # sub-problems still to be served in this round
        self._told = 0

    def ask(self, n: int, rng: Rng) -> Designs:
        if len(self._x) < self._size:
            plain = self._start.take(slice(self._told, self._told + n))
            return self._space.concat([plain, self._space.sample(n - len(plain), rng)])
        parents = self._x[self._parents(self._served(n), rng)].swapaxes(0, 1)  # (2, n, width)
        with np.errstate(all="ignore"):
            crossed = self._crossover._do(None, parents, random_state=rng)
            apart = rng.random(n) >= self._options.crossover_prob
            crossed[:, apart] = parents[:, apart]
            one = crossed[rng.integers(0, 2, n), np.arange(n)]
            moved = self._mutation._do(None, one, random_state=rng)
        still = rng.random(n) > self._options.mutation_prob
        moved[still] = one[still]
        return self._codes.decode(moved)

    def _served(self, n: int) -> Rows:
        """The sub-problem of each row of the coming batch, known from tells alone."""
        return np.asarray(np.resize(self._order, n))

    def _parents(self, which: Rows, rng: Rng) -> Rows:
        """Two different members for each sub-problem, ``(n, 2)``."""
        pool = self._neighbours[which]
        a, b = rng.integers(0, pool.shape[1], len(which)), rng.integers(0, pool.shape[1] - 1, len(which))
        near = np.stack([pool[np.arange(len(which)), a], pool[np.arange(len(which)), b + (b >= a)]], axis=1)
        c, d = rng.integers(0, self._size, len(which)), rng.integers(0, self._size - 1, len(which))
        anywhere = np.stack([c, d + (d >= c)], axis=1)
        return np.where(rng.random((len(which), 1)) < self._options.neighbour_prob, near, anywhere)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        codes, violation = self._codes.encode(designs), scores.violation
        self._told += len(designs)
        self._ideal = np.minimum(self._ideal, scores.objectives.min(axis=0))
        room = min(len(designs), self._size - len(self._x))
        self._x = np.concatenate([self._x, codes[:room]])
        self._f = np.concatenate([self._f, scores.objectives[:room]])
        self._violation = np.concatenate([self._violation, violation[:room]])
        which = self._served(len(designs) - room)
        for k, row in zip(which, range(room, len(designs)), strict=True):
            self._replace(int(k), codes[row], scores.objectives[row], float(violation[row]))
        self._order = self._order[len(which) :]
        if not len(self._order):
            self._order = rng.permutation(self._size)

    def _replace(self, k: int, code: Array, objectives: Array, violation: float) -> None:
        """The new design takes the place of every neighbour whose sub-problem it solves better."""
        near = self._neighbours[k]
        scale = np.ones(len(objectives))
        if self._options.normalise:
            span = self._f.max(axis=0) - self._ideal
            scale = np.where(span > 0, span, 1.0)
        values = (np.concatenate([self._f[near], objectives[None]]) - self._ideal) / scale
        weights, origin = self._weights[near], np.zeros(len(objectives))
        old = self._decomposition.do(values[:-1], weights, _type="one_to_one", ideal_point=origin)
        new = self._decomposition.do(values[-1:], weights, _type="one_to_many", ideal_point=origin)
        held = self._violation[near]
        better = near[(violation < held) | ((violation == held) & (new < old))]
        self._x[better], self._f[better], self._violation[better] = code, objectives, violation

"""pymoo's population algorithms behind one adapter: NSGA-II, NSGA-III, U-NSGA-III, SMS-EMOA, AGE-MOEA-II, RVEA.

pymoo's algorithm objects draw from a generator of their own when asked, and change. Here their parts are used (mating,
tournament, survival) with the generator of each call; the population and the survival's memory change in ``tell``
alone. With equal generators every class proposes what pymoo's own loop proposes (a test compares them design by
design). Objectives whose range is far from 1 are divided by a power of 64 once, since NSGA-III and AGE-MOEA-II compare
with absolute amounts (1e-3, 1e-6), which objectives of milliseconds would never reach.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import RankAndCrowding, binary_tournament
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival, comp_by_cv_then_random
from pymoo.algorithms.moo.rvea import APDSurvival
from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival, cv_and_dom_tournament
from pymoo.algorithms.moo.unsga3 import comp_by_rank_and_ref_line_dist
from pymoo.core.duplicate import DefaultDuplicateElimination
from pymoo.core.mating import Mating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.rnd import RandomSelection
from pymoo.operators.selection.tournament import TournamentSelection

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace_optimizers.pymoo_directions import directions
from tradespace_optimizers.pymoo_operators import BlockCrossover, BlockMutation, Codes, Snap, Spread, blocks_of
from tradespace_optimizers.supports import Supports

Rng = np.random.Generator
_GENERATIONS = 100  # that RVEA plans for where the budget is not a number of designs


@dataclass(frozen=True)
class GeneticOptions:
    """pop_size: survivors and offspring per generation. crossover_eta, mutation_eta: closeness of children of Real
    variables; whole_eta: of whole numbers. homogeneous: start from the plain designs too (pymoo would not)."""

    pop_size: int = 100
    crossover_prob: float = 0.9
    crossover_eta: float = 15.0
    mutation_prob: float = 0.9
    mutation_eta: float = 20.0
    whole_eta: float = 3.0
    homogeneous: bool = False

    @property
    def spread(self) -> Spread:
        return Spread(
            self.crossover_prob, self.crossover_eta, self.mutation_prob, self.mutation_eta, whole=self.whole_eta
        )


@dataclass(frozen=True)
class DirectionOptions(GeneticOptions):
    """Reference directions are as many as fit into the population."""

    crossover_prob: float = 1.0
    crossover_eta: float = 30.0


@dataclass(frozen=True)
class RVEAOptions(DirectionOptions):
    """alpha: exponent of the angle's penalty over generations. adapt_freq: share of the generations between two
    adaptations of the directions. The population is as large as there are directions."""

    alpha: float = 2.0
    adapt_freq: float = 0.1


class Genetic:
    """State: the population (pymoo `Population` with X, F, G and what survival notes), changed by `tell` alone."""

    Options: ClassVar[type] = GeneticOptions
    supports: ClassVar[Supports] = Supports()
    tournament: ClassVar[str] = ""
    compare: ClassVar[Callable[..., Any] | None] = None
    names: ClassVar[str] = "nsga2"

    def __init__(self, view: SearchView, options: Any) -> None:
        self.supports.check(self.names, view.space, len(view.objectives))
        if options.pop_size < 2:
            raise ProblemError("a population has at least two members", value=options.pop_size, where="pop_size")
        self._space, self._options, self._codes = view.space, options, Codes(view.space)
        self._start = view.space.homogeneous().take(slice(None if options.homogeneous else 0))
        self._objectives, self._evaluations = len(view.objectives), view.evaluations
        self.batch = self._size = self._set_up(options)
        low, high = self._codes.low, self._codes.high
        self._problem = Problem(n_var=view.space.width, n_obj=self._objectives, n_ieq_constr=1, xl=low, xu=high)
        self._mating = self._make_mating(options.spread)
        self._population, self._told = Population.empty(), 0
        self._scale: NDArray[np.float64] | None = None

    def _set_up(self, options: Any) -> int:
        """Make the survival; returns the size of the population."""
        raise NotImplementedError

    def _make_mating(self, spread: Spread) -> Mating:
        blocks = blocks_of(self._codes, spread)
        compare = type(self).compare
        return Mating(
            RandomSelection() if compare is None else TournamentSelection(func_comp=_seeded(compare)),
            BlockCrossover(blocks, spread.crossover_prob),
            BlockMutation(blocks, spread.mutation_prob),
            repair=Snap(self._codes),
            eliminate_duplicates=DefaultDuplicateElimination(),
            n_max_iterations=10,
        )

    # -- ask ----------------------------------------------------------------------------------------------------------

    def ask(self, n: int, rng: Rng) -> Designs:
        if self._told < self._size:
            plain = self._start.take(slice(self._told, self._told + n))
            return self._space.concat([plain, self._space.sample(n - len(plain), rng)])
        algorithm = SimpleNamespace(tournament_type=self.tournament, random_state=rng)
        with np.errstate(all="ignore"):
            children = self._mating.do(self._problem, self._population, n, algorithm=algorithm, random_state=rng)
        if not len(children):  # every neighbour is in the population: a small space
            return self._space.sample(n, rng)
        return self._codes.decode(children.get("X"))

    # -- tell ---------------------------------------------------------------------------------------------------------

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        told = self._population_of(designs, scores)
        merged = Population.merge(self._population, told)
        starts = self._told < self._size
        self._told += len(designs)
        if self._told < self._size:
            self._population = merged
            return
        if starts:
            self._scale = scale_of(merged)
            merged.set("F", merged.get("F") / self._scale)
        # pymoo's NSGA-III silences all warnings of the process for good; and equal objectives divide by zero
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            self._population = self._first(merged, rng) if starts else self._survive(merged, rng)

    def _population_of(self, designs: Designs, scores: Scores) -> Population:
        values = scores.objectives if self._scale is None else scores.objectives / self._scale
        return Population.new("X", self._codes.encode(designs), "F", values.copy(), "G", scores.violation[:, None])

    def _first(self, population: Population, rng: Rng) -> Population:
        return self._survive(population, rng)

    def _survive(self, population: Population, rng: Rng) -> Population:
        return self._survival.do(self._problem, population, n_survive=self._size, random_state=rng)

    _survival: Any


class NSGA2(Genetic):
    """NSGA-II (Deb and others 2002), the usual first choice for two or three objectives (pymoo)."""

    tournament = "comp_by_dom_and_crowding"
    compare = staticmethod(binary_tournament)
    names = "nsga2"

    def _set_up(self, options: Any) -> int:
        self._survival = RankAndCrowding()
        return int(options.pop_size)


class NSGA3(Genetic):
    """NSGA-III (Deb and Jain 2014), spreads designs over reference directions: three objectives or more (pymoo)."""

    Options = DirectionOptions
    supports = Supports(objectives=(2, None))
    compare = staticmethod(comp_by_cv_then_random)
    names = "nsga3"

    def _set_up(self, options: Any) -> int:
        lines = directions(self._objectives, options.pop_size)
        self._survival = ReferenceDirectionSurvival(lines)
        return max(int(options.pop_size), len(lines))


class UNSGA3(NSGA3):
    """U-NSGA-III (Seada and Deb 2016), NSGA-III with selection pressure, good from one objective to many (pymoo)."""

    supports = Supports()
    compare = staticmethod(comp_by_rank_and_ref_line_dist)
    names = "unsga3"


class SMSEMOA(Genetic):
    """SMS-EMOA (Beume and others 2007), keeps what adds most hypervolume; slow beyond four objectives (pymoo)."""

    compare = staticmethod(cv_and_dom_tournament)
    names = "sms_emoa"

    def _set_up(self, options: Any) -> int:
        self._survival = LeastHypervolumeContributionSurvival()
        return int(options.pop_size)

    def _first(self, population: Population, rng: Rng) -> Population:
        return super()._survive(population, rng)

    def _survive(self, population: Population, rng: Rng) -> Population:
        known = self._population.get("F")  # sturdier than the limits of the merged population, says pymoo
        limits = {"ideal": known.min(axis=0), "nadir": known.max(axis=0) + 1e-32}
        return self._survival.do(self._problem, population, n_survive=self._size, random_state=rng, **limits)


class AGEMOEA2(Genetic):
    """AGE-MOEA-II (Panichella 2022), learns the curvature of the front as it goes (pymoo)."""

    supports = Supports(objectives=(2, None))
    tournament = "comp_by_rank_and_crowding"
    compare = staticmethod(binary_tournament)
    names = "age_moea2"

    def _set_up(self, options: Any) -> int:
        from pymoo.algorithms.moo import age, age2  # numba: not for the other algorithms

        own, base = age2.AGEMOEA2Survival, age.AGEMOEASurvival
        compiled = (own.pairwise_distances, base.minkowski_distances, age2.project_on_manifold)
        for function in (*compiled, age.find_corner_solutions, age.point_2_line_distance):
            function.enable_caching()  # pymoo compiles them again in every process: about seven seconds
        self._survival, self._plain = own(), RankAndCrowding()
        return int(options.pop_size)

    def _survive(self, population: Population, rng: Rng) -> Population:
        try:
            return super()._survive(population, rng)
        except ZeroDivisionError:  # all of the front is one point, which has no geometry
            return self._plain.do(self._problem, population, n_survive=self._size, random_state=rng)


class RVEA(Genetic):
    """RVEA (Cheng and others 2016), reference vectors that tighten over the budget: many objectives (pymoo)."""

    Options = RVEAOptions
    supports = Supports(objectives=(2, None), note="plans over the budget in evaluations")
    names = "rvea"

    def _set_up(self, options: Any) -> int:
        lines = directions(self._objectives, options.pop_size)
        self._survival = APDSurvival(lines, alpha=options.alpha)
        size = len(lines)
        planned = (self._evaluations or _GENERATIONS * size) - size
        self._last = max(1, -(-planned // size))
        self._period = int(np.ceil(self._last * options.adapt_freq)) or 1
        self._generation = 1
        return size

    def _first(self, population: Population, rng: Rng) -> Population:
        return population

    def _survive(self, population: Population, rng: Rng) -> Population:
        now, self._generation = self._generation, self._told // self._size
        kept = self._survival.do(
            self._problem,
            population,
            n_survive=self._size,
            random_state=rng,
            n_gen=min(now, self._last),
            n_max_gen=self._last,
        )
        if self._generation > now and self._generation % self._period == 0:
            self._survival.adapt()
        return kept


def scale_of(population: Population) -> NDArray[np.float64]:
    """The power of 64 nearest to each objective's range, ``(M,)``: 1 for ranges from 1/8 to 8, as pymoo expects them.
    Dividing by it changes no digit."""
    values, feasible = population.get("F"), population.get("G")[:, 0] <= 0
    values = values[feasible] if feasible.sum() > 1 else values
    span = np.ptp(values, axis=0)
    exponent = 6 * np.rint(np.log2(np.where(span > 0, span, 1.0)) / 6)
    return np.asarray(np.ldexp(1.0, np.clip(exponent, -1000, 1000).astype(int)), np.float64)


def _seeded(compare: Callable[..., Any]) -> Callable[..., Any]:
    """pymoo's NSGA-III decides between equally infeasible members by a generator it seeds from the system."""

    def seeded(pop: Any, P: Any, random_state: Rng, **context: Any) -> Any:
        winners = compare(pop, P, random_state=random_state, **context)
        violation = pop.get("CV")[:, 0][P]
        tied = np.flatnonzero((violation[:, 0] == violation[:, 1]) & (violation[:, 0] > 0))
        winners[tied, 0] = P[tied, random_state.integers(0, 2, len(tied))]
        return winners

    return seeded

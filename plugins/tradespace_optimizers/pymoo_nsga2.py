"""NSGA-II (Deb et al. 2002) with pymoo's own operators on the flat codes of any space.

pymoo's algorithm object draws from a generator of its own when asked; here only its operators are used, with the
generator of each call, and the population changes in ``tell`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from pymoo.algorithms.moo.nsga2 import RankAndCrowding, binary_tournament
from pymoo.core.duplicate import DefaultDuplicateElimination
from pymoo.core.mating import Mating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.selection.tournament import TournamentSelection

from tradespace.designs import Designs, Space
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.contract import SearchView


@dataclass(frozen=True)
class NSGA2Options:
    """pop_size: survivors and offspring per generation. eta: spread of crossover and mutation; 3 is what pymoo's
    documentation gives for whole numbers. homogeneous: start from the plain designs too (pymoo would not)."""

    pop_size: int = 100
    crossover_prob: float = 1.0
    crossover_eta: float = 3.0
    mutation_eta: float = 3.0
    homogeneous: bool = False


class _Snap(Repair):  # type: ignore[misc]  # pymoo is untyped
    """Codes of valid designs, so that duplicates are seen as such."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Any, X: Any, **_: Any) -> Any:
        return self._space.flatten(self._space.unflatten(X))


class NSGA2:
    """State: the population (pymoo `Population` with X, F, G, rank, crowding), changed by `tell` alone."""

    Options: ClassVar[type] = NSGA2Options

    def __init__(self, view: SearchView, options: NSGA2Options) -> None:
        if options.pop_size < 2:
            raise ProblemError("a population has at least two members", value=options.pop_size, where="pop_size")
        self._space, self._options, self.batch = view.space, options, options.pop_size
        self._start = view.space.homogeneous().take(slice(None if options.homogeneous else 0))
        low, high = view.space.bounds()
        self._problem = Problem(n_var=view.space.width, n_obj=len(view.objectives), n_ieq_constr=1, xl=low, xu=high)
        self._population = Population.empty()
        self._survival = RankAndCrowding()
        self._mating = Mating(
            TournamentSelection(func_comp=binary_tournament),
            SBX(prob=options.crossover_prob, eta=options.crossover_eta),
            PM(eta=options.mutation_eta),
            repair=_Snap(view.space),
            eliminate_duplicates=DefaultDuplicateElimination(),
            n_max_iterations=10,
        )

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        told, size = len(self._population), self._options.pop_size
        if told < size:
            plain = self._start.take(slice(told, told + n))
            return self._space.concat([plain, self._space.sample(n - len(plain), rng)])
        algorithm = SimpleNamespace(tournament_type="comp_by_dom_and_crowding", random_state=rng)
        children = self._mating.do(self._problem, self._population, n, algorithm=algorithm, random_state=rng)
        if not len(children):  # every neighbour is in the population: a small space
            return self._space.sample(n, rng)
        return self._space.unflatten(children.get("X"))

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        violation = scores.violation[:, None]
        codes = self._space.flatten(designs)
        told = Population.new("X", codes, "F", scores.objectives.copy(), "G", violation)
        merged = Population.merge(self._population, told)
        self._population = self._survival.do(self._problem, merged, n_survive=self._options.pop_size, random_state=rng)

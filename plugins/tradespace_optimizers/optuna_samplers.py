"""Optuna's samplers: TPE, NSGA-II, NSGA-III, Gaussian processes, CMA-ES, quasi-random and random designs."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from tradespace.designs import Designs
from tradespace.errors import ProblemError, UnknownName
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace_optimizers.optuna_study import Knows, OptunaSearch, violations
from tradespace_optimizers.supports import Supports

_CODES = "orders and shares as one number an entry"


@dataclass(frozen=True)
class TPEOptions:
    """startup: random trials first. candidates: samples from which the best is taken. multivariate: one model of all
    parameters, which sorts the trials once a proposal; else one model a parameter, which sorts them for each."""

    startup: int = 20
    candidates: int = 24
    multivariate: bool = True
    homogeneous: bool = True


@dataclass(frozen=True)
class OptunaNSGA2Options:
    population: int = 50
    mutation_prob: float = 0.0
    """0: Optuna's default, one over the number of parameters."""
    crossover_prob: float = 0.9
    swapping_prob: float = 0.5
    homogeneous: bool = False


@dataclass(frozen=True)
class OptunaNSGA3Options(OptunaNSGA2Options):
    dividing_parameter: int = 0
    """Divisions of the simplex of reference points; 0: as many points as fit into the population (Optuna: 3)."""


@dataclass(frozen=True)
class GPOptions:
    """startup: random trials first. noisy: whether equal designs may have different prices."""

    startup: int = 10
    noisy: bool = False
    homogeneous: bool = True


@dataclass(frozen=True)
class CMAESOptions:
    """population: 0 takes 4 + 3 ln(variables), as Hansen's tutorial and Optuna do."""

    population: int = 0
    separable: bool = False
    homogeneous: bool = False


@dataclass(frozen=True)
class QMCOptions:
    """sequence: "sobol" or "halton", scrambled by the seed."""

    sequence: str = "sobol"
    homogeneous: bool = False


@dataclass(frozen=True)
class OptunaRandomOptions:
    homogeneous: bool = False


class TPE(OptunaSearch):
    """Tree-structured Parzen estimator, multi-objective (Ozaki and others 2022): expensive evaluations (Optuna)."""

    Options: ClassVar[type] = TPEOptions
    supports = Supports(batch="16 trials that see each other", note=_CODES)
    name = "optuna_tpe"
    batch = 16

    def __init__(self, view: SearchView, options: TPEOptions) -> None:
        self._options = options
        super().__init__(view, options.homogeneous)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        return _TPE(
            self._distributions if proposes else {},
            seed=seed,
            n_startup_trials=self._options.startup,
            n_ei_candidates=self._options.candidates,
            multivariate=self._options.multivariate,
            constant_liar=True,  # the trials of one batch see each other
            constraints_func=violations,
        )


class OptunaNSGA2(OptunaSearch):
    """NSGA-II with uniform crossover and resampling mutation on all variables (Optuna)."""

    Options: ClassVar[type] = OptunaNSGA2Options
    supports = Supports(note=_CODES)
    name = "optuna_nsga2"

    def __init__(self, view: SearchView, options: OptunaNSGA2Options) -> None:
        if options.population < 2:
            raise ProblemError("a population has at least two members", value=options.population, where="population")
        self._options = options
        self.batch = options.population
        super().__init__(view, options.homogeneous)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        return _NSGAII(self._distributions if proposes else {}, seed=seed, **self._shared())

    def _shared(self) -> dict[str, Any]:
        o = self._options
        return {
            "population_size": o.population,
            "mutation_prob": o.mutation_prob or None,
            "crossover_prob": o.crossover_prob,
            "swapping_prob": o.swapping_prob,
            "constraints_func": violations,
        }


class OptunaNSGA3(OptunaNSGA2):
    """NSGA-III, spreads designs over reference points: three objectives or more (Optuna)."""

    Options: ClassVar[type] = OptunaNSGA3Options
    supports = Supports(objectives=(2, None), note=_CODES)
    name = "optuna_nsga3"

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        known = self._distributions if proposes else {}
        return _NSGAIII(known, seed=seed, dividing_parameter=self._divisions(), **self._shared())

    def _divisions(self) -> int:
        options, m, h = self._options, len(self._directions), 1
        assert isinstance(options, OptunaNSGA3Options)
        if options.dividing_parameter > 0:
            return options.dividing_parameter
        while comb(h + m, m - 1) <= options.population:
            h += 1
        return h


class GP(OptunaSearch):
    """Gaussian processes with expected (hypervolume) improvement: tens to hundreds of evaluations (Optuna)."""

    Options: ClassVar[type] = GPOptions
    supports = Supports(batch="4 trials, seconds each", extra=("torch", "gp"), note=_CODES)
    name = "optuna_gp"
    batch = 4

    def __init__(self, view: SearchView, options: GPOptions) -> None:
        self._options = options
        super().__init__(view, options.homogeneous)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        return _GP(
            self._distributions if proposes else {},
            seed=seed,
            n_startup_trials=self._options.startup,
            deterministic_objective=not self._options.noisy,
            constraints_func=violations,
        )


class CMAES(OptunaSearch):
    """CMA-ES (Hansen 2001) for one objective over numbers, whole ones rounded (Optuna)."""

    Options: ClassVar[type] = CMAESOptions
    supports = Supports(
        variables=("Integer", "Real"), constraints="penalty", objectives=(1, 1), extra=("cmaes", "cmaes")
    )
    name = "optuna_cmaes"

    def __init__(self, view: SearchView, options: CMAESOptions) -> None:
        self._options, self._worst = options, -np.inf
        self.batch = options.population or 4 + int(3 * np.log(view.space.width))
        super().__init__(view, options.homogeneous)
        free = [kind for kind in self._distributions.values() if not kind.single()]
        self._known = self._distributions if len(free) > 1 else {}  # of one number there is no covariance

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        # also when telling: Optuna's CMA-ES takes its step when a trial of the next generation begins
        return _CMAES(
            self._known,
            seed=seed,
            popsize=self.batch,
            use_separable_cma=self._options.separable,
            warn_independent_sampling=False,
        )

    def _values(self, scores: Scores) -> NDArray[np.float64]:
        """Infeasible designs are worse than all that was seen, by their violation (ours; Optuna ignores limits)."""
        self._worst = max(self._worst, float(scores.objectives.max()))
        scale = max(abs(self._worst), 1e-300)
        penalty = self._worst + scale * scores.violation[:, None]
        return np.where(scores.violation[:, None] > 0, np.minimum(penalty, 1e300), scores.objectives)


class QMC(OptunaSearch):
    """Quasi-random designs that cover the space evenly, blind to prices (Optuna)."""

    Options: ClassVar[type] = QMCOptions
    supports = Supports(constraints="", batch="any", note=_CODES)
    name, remembers = "optuna_qmc", False
    batch = 64

    def __init__(self, view: SearchView, options: QMCOptions) -> None:
        if options.sequence not in ("sobol", "halton"):
            raise UnknownName("sequence", options.sequence, ("sobol", "halton"), where="optimizer optuna_qmc")
        self._options = options
        self._sequence: int | None = None  # one scrambling from the second batch on: the sequence goes on
        super().__init__(view, options.homogeneous)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        scrambling = seed if self._sequence is None else self._sequence
        options = {"qmc_type": self._options.sequence, "scramble": True, "warn_independent_sampling": False}
        return _QMC(self._distributions, self._told, seed=scrambling, **options)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        super().tell(designs, scores, rng)
        if self._sequence is None:
            self._sequence = int(rng.integers(0, 2**32))


class OptunaRandom(OptunaSearch):
    """Independent random designs, the baseline of Optuna's samplers (Optuna)."""

    Options: ClassVar[type] = OptunaRandomOptions
    supports = Supports(constraints="", batch="any", note=_CODES)
    name, remembers = "optuna_random", False

    def __init__(self, view: SearchView, options: OptunaRandomOptions) -> None:
        super().__init__(view, options.homogeneous)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        return RandomSampler(seed=seed)


class _NSGAII(Knows, NSGAIISampler):  # type: ignore[misc]  # optuna is not followed by the type checker
    pass


class _NSGAIII(Knows, NSGAIIISampler):  # type: ignore[misc]
    pass


class _TPE(Knows, TPESampler):  # type: ignore[misc]
    """Knows its parameters where it models them together; one by one, Optuna asks for each."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return self._known if self._multivariate else {}


class _GP(Knows, GPSampler):  # type: ignore[misc]
    pass


class _CMAES(Knows, CmaEsSampler):  # type: ignore[misc]
    pass


class _QMC(Knows, QMCSampler):  # type: ignore[misc]
    """Goes on in the sequence where the told designs end; Optuna counts in the study, of which each ask has a copy."""

    def __init__(self, known: dict[str, Any], first: int, **options: Any) -> None:
        super().__init__(known, **options)
        self._next = first

    def _find_sample_id(self, study: Any, search_space: Any) -> int:
        self._next += 1
        return self._next - 1

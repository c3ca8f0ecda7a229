"""Optuna's samplers behind the ask/tell contract: TPE and NSGA-II, through Optuna's public interface.

Told designs enter an in-memory study as enqueued trials (asked, answered with the told values, told), so a study that
only tells ends in the same state. What is proposed comes from a copy of that study, which is then dropped. Every call
gives the sampler a new seed from its own generator. Optuna takes milliseconds a trial: use it for small budgets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler

from tradespace.designs import Choice, Designs, Integer, Real, Space
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.contract import SearchView

_VIOLATION = "violation"


@dataclass(frozen=True)
class TPEOptions:
    """startup: random trials first. candidates: samples per parameter from which the best is taken."""

    startup: int = 20
    candidates: int = 24
    homogeneous: bool = True


@dataclass(frozen=True)
class OptunaNSGA2Options:
    population: int = 50
    mutation_prob: float = 0.0
    """0: Optuna's default, one over the number of parameters."""
    crossover_prob: float = 0.9
    swapping_prob: float = 0.5
    homogeneous: bool = False


class _Sampler:
    """A study whose finished trials are the told designs. Subclasses make the sampler for a seed."""

    batch = 50

    def __init__(self, view: SearchView, homogeneous: bool) -> None:
        self._space = view.space
        self._distributions = dict(_distributions(view.space))
        self._plain = view.space.homogeneous().take(slice(None if homogeneous else 0))
        self._told = 0
        self._directions = ["minimize"] * len(view.objectives)
        with _quiet():
            self._study = optuna.create_study(directions=self._directions)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        raise NotImplementedError

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        plain = self._plain.take(slice(self._told, self._told + n))
        with _quiet():
            study = optuna.create_study(directions=self._directions, sampler=self._sampler(_seed(rng), proposes=True))
            study.add_trials(self._study.get_trials(deepcopy=False))
            asked = [study.ask(self._distributions).params for _ in range(n - len(plain))]
        codes = np.asarray([[float(params[name]) for name in self._distributions] for params in asked])
        parts = [plain, self._space.unflatten(codes)] if asked else [plain]
        return self._space.concat(parts)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        codes, violation = self._space.flatten(designs), scores.violation
        names = list(self._distributions.items())
        with _quiet():
            self._study.sampler = self._sampler(_seed(rng), proposes=False)
            for row, values, broken in zip(codes, scores.objectives, violation, strict=True):
                self._study.enqueue_trial({name: _value(kind, x) for (name, kind), x in zip(names, row, strict=True)})
                trial = self._study.ask(self._distributions)
                trial.set_user_attr(_VIOLATION, float(broken))
                self._study.tell(trial, [float(v) for v in values])
        self._told += len(designs)


class TPE(_Sampler):
    """Tree-structured Parzen estimator, multi-objective (Ozaki et al. 2022), as Optuna has it."""

    Options: ClassVar[type] = TPEOptions
    batch = 16

    def __init__(self, view: SearchView, options: TPEOptions) -> None:
        self._options = options
        super().__init__(view, options.homogeneous)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        return TPESampler(
            seed=seed,
            n_startup_trials=self._options.startup,
            n_ei_candidates=self._options.candidates,
            constant_liar=True,  # the trials of one batch see each other
            constraints_func=_violations,
        )


class OptunaNSGA2(_Sampler):
    """Optuna's NSGA-II: uniform crossover on categories, resampling mutation."""

    Options: ClassVar[type] = OptunaNSGA2Options

    def __init__(self, view: SearchView, options: OptunaNSGA2Options) -> None:
        if options.population < 2:
            raise ProblemError("a population has at least two members", value=options.population, where="population")
        self._options = options
        self.batch = options.population
        super().__init__(view, options.homogeneous)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        o = self._options
        return _NSGAII(
            self._distributions if proposes else {},  # a told trial needs no child
            seed=seed,
            population_size=o.population,
            mutation_prob=o.mutation_prob or None,
            crossover_prob=o.crossover_prob,
            swapping_prob=o.swapping_prob,
            constraints_func=_violations,
        )


class _NSGAII(NSGAIISampler):  # type: ignore[misc]  # optuna is not followed by the type checker
    """Knows its parameters, which Optuna's would infer again from all trials at every ask."""

    def __init__(self, distributions: dict[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**options)
        self._known = {name: kind for name, kind in distributions.items() if not kind.single()}

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return self._known


def _distributions(space: Space) -> Iterator[tuple[str, BaseDistribution]]:
    """One parameter per flat column: codes of a choice as categories, numbers as they are, others as floats."""
    low, high = space.bounds()
    column = 0
    for v in space.variables:
        for i in range(v.width):
            a, b, name = float(low[column]), float(high[column]), f"{v.name}[{i}]"
            if isinstance(v, Choice):
                yield name, CategoricalDistribution(list(range(len(v.options))))
            elif isinstance(v, Integer):
                yield name, IntDistribution(int(a), int(b), log=v.log)
            else:
                yield name, FloatDistribution(a, b, log=isinstance(v, Real) and v.log)
            column += 1


def _value(kind: BaseDistribution, code: float) -> Any:
    """A told code as the parameter's value; entries that do not count (0) move to the nearest value."""
    if isinstance(kind, CategoricalDistribution):
        return int(code)
    if isinstance(kind, IntDistribution):
        return int(np.clip(code, kind.low, kind.high))
    assert isinstance(kind, FloatDistribution)
    return float(np.clip(code, kind.low, kind.high))


def _violations(trial: Any) -> tuple[float]:
    return (float(trial.user_attrs[_VIOLATION]),)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**32))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna logs every trial; here it says warnings only, and its level is as before afterwards."""
    import warnings

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constraints_func and others are still marked experimental
            yield
    finally:
        optuna.logging.set_verbosity(level)

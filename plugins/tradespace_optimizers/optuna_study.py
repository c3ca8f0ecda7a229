"""An Optuna sampler behind the ask/tell contract, through Optuna's public interface.

Told designs enter an in-memory study as enqueued trials (asked, answered with the told values, told), so a study that
only tells ends in the same state. What is proposed comes from a copy of that study, which is then dropped. Every call
gives the sampler a new seed from its own generator. Optuna takes milliseconds a trial: use it for small budgets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from tradespace.designs import Choice, Designs, Integer, Real, Space
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace_optimizers.supports import Supports

Array = np.ndarray[Any, np.dtype[np.float64]]
_VIOLATION = "violation"


class OptunaSearch:
    """A study whose finished trials are the told designs. Subclasses make the sampler for a seed."""

    supports: ClassVar[Supports]
    name: ClassVar[str]
    remembers: ClassVar[bool] = True  # whether what was told changes what is proposed
    batch = 50

    def __init__(self, view: SearchView, homogeneous: bool) -> None:
        self.supports.check(self.name, view.space, len(view.objectives))
        self._space = view.space
        self._distributions = dict(distributions(view.space))
        self._plain = view.space.homogeneous().take(slice(None if homogeneous else 0))
        self._told = 0
        self._directions = ["minimize"] * len(view.objectives)
        with quiet():
            self._study = optuna.create_study(directions=self._directions)

    def _sampler(self, seed: int, *, proposes: bool) -> BaseSampler:
        raise NotImplementedError

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        plain = self._plain.take(slice(self._told, self._told + n))
        with quiet():
            study = optuna.create_study(directions=self._directions, sampler=self._sampler(_seed(rng), proposes=True))
            study.add_trials(self._study.get_trials(deepcopy=False))
            asked = [study.ask(self._distributions).params for _ in range(n - len(plain))]
        codes = np.asarray([[float(params[name]) for name in self._distributions] for params in asked])
        parts = [plain, self._space.unflatten(codes)] if asked else [plain]
        return self._space.concat(parts)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._told += len(designs)
        if not self.remembers:
            return
        codes, violation = self._space.flatten(designs), scores.violation
        names = list(self._distributions.items())
        with quiet():
            self._study.sampler = self._sampler(_seed(rng), proposes=False)
            for row, values, broken in zip(codes, self._values(scores), violation, strict=True):
                self._study.enqueue_trial({name: _value(kind, x) for (name, kind), x in zip(names, row, strict=True)})
                trial = self._study.ask(self._distributions)
                _ = trial.relative_params  # where samplers note a trial's generation; fixed values alone skip it
                trial.set_user_attr(_VIOLATION, float(broken))
                self._study.tell(trial, [float(v) for v in values])

    def _values(self, scores: Scores) -> Array:
        """What the sampler is told, ``(N, M)``."""
        return scores.objectives


class Knows:
    """A sampler that knows its parameters, which Optuna's would infer again from all trials at every ask."""

    def __init__(self, known: dict[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**options)
        self._known = {name: kind for name, kind in known.items() if not kind.single()}

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return self._known


def distributions(space: Space) -> Iterator[tuple[str, BaseDistribution]]:
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


def violations(trial: Any) -> tuple[float]:
    return (float(trial.user_attrs[_VIOLATION]),)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 2**32))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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

"""The optimizer kit passes an honest optimizer and catches each way of breaking the contract."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace.testing.optimizers import check_optimizer
from tradespace.testing.problems import Distances, mixed_space, problem_of

Rng = np.random.Generator


@dataclass(frozen=True)
class Options:
    rate: float = 0.3


class Climber:
    """Mutates the best design it was told of: honest, adaptive, small."""

    Options: ClassVar[type] = Options

    def __init__(self, view: SearchView, options: Any) -> None:
        self.view, self.options, self.batch = view, options, 8
        self.best: Designs | None = None
        self.value = np.inf

    def ask(self, n: int, rng: Rng) -> Designs:
        if self.best is None:
            return self.view.space.sample(n, rng)
        parents = self.best.take(np.zeros(n, np.int64))
        return self.view.space.mutate(parents, rng, self.options.rate)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        merit = scores.objectives.sum(axis=1) + 1e3 * scores.violation
        first = int(np.argmin(merit))
        if merit[first] < self.value:
            self.best, self.value = designs.take(slice(first, first + 1)), float(merit[first])


def test_an_honest_optimizer_passes() -> None:
    report = check_optimizer(Climber)
    assert report.passed, str(report)
    assert all(check.outcome == "passed" for check in report.checks), str(report)
    assert len(report.checks) == 20


class OutOfRange(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        good = super().ask(n, rng)
        columns = dict(good.columns)
        name = next(iter(columns))
        columns[name] = columns[name] + np.ones_like(columns[name]) * 5
        return Designs(good.space, columns)


class WrongType(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        good = super().ask(n, rng)
        return Designs(good.space, {name: block.astype(np.float32) for name, block in good.columns.items()})


class TooMany(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        return super().ask(n + 1, rng)


class OwnRandomness(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        return super().ask(n, np.random.default_rng())


class GlobalNumpy(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        return super().ask(n, np.random.default_rng(np.random.randint(2**31)))  # noqa: NPY002 - the fault under test


class GlobalPython(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        random.random()
        return super().ask(n, rng)


class AskCounts(Climber):
    asked = 0

    def ask(self, n: int, rng: Rng) -> Designs:
        self.asked += 1
        rng.random(self.asked)
        return super().ask(n, rng)


class Shelf(Climber):
    """Keeps what it asked, and believes only in that."""

    def ask(self, n: int, rng: Rng) -> Designs:
        self.pending = super().ask(n, rng)
        return self.pending

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        super().tell(getattr(self, "pending", designs.take(slice(0, 0))), scores, rng)


class OnlyOwn(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        designs = super().ask(n, rng)
        self.known = set(designs.ids)
        return designs

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        if not set(designs.ids) <= getattr(self, "known", set()):
            raise KeyError("a design that was never asked")
        super().tell(designs, scores, rng)


class Scribbler(Climber):
    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        super().tell(designs, scores, rng)
        scores.objectives[:] = 0.0


class DesignScribbler(Climber):
    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        super().tell(designs, scores, rng)
        for block in designs.columns.values():
            block[:] = 0


class NeedsFeasible(Climber):
    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        good = designs.take(scores.feasible)
        if not len(good):
            raise ValueError("zero-size array to reduction operation")
        super().tell(designs, scores, rng)


class Normaliser(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        designs = super().ask(n, rng)
        return designs if np.isfinite(getattr(self, "spread", 1.0)) else designs.take(slice(0, 0))

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        with np.errstate(all="ignore"):
            extent = np.ptp(scores.objectives, axis=0)
            self.spread = float((scores.objectives / extent).max())
        super().tell(designs, scores, rng)


class FixedBatch(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        if n % 8:
            raise ValueError("population must be a multiple of 8")
        return super().ask(n, rng)


class SmallBatches(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        designs = super().ask(min(n, 20), rng)
        return designs if n <= 20 else designs.take(slice(0, 0))


class ComesBack(Climber):
    told = 0

    def ask(self, n: int, rng: Rng) -> Designs:
        ended = self.told == 2 and n == 4 and not getattr(self, "said", False)
        self.said = ended
        return super().ask(n, rng).take(slice(0, 0 if ended else n))

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        self.told += 1
        super().tell(designs, scores, rng)


class NothingToSay(Climber):
    def ask(self, n: int, rng: Rng) -> Designs:
        return super().ask(n, rng).take(slice(0, 0))


class TwoObjectives(Climber):
    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        super().tell(designs, replace(scores, objectives=scores.objectives[:, [0, 1]]), rng)


class OnlyChoices(Climber):
    def __init__(self, view: SearchView, options: Any) -> None:
        super().__init__(view, options)
        self.tables = [np.arange(len(v.options)) for v in view.space.variables]  # type: ignore[attr-defined]


class BareOptions(Climber):
    @dataclass(frozen=True)
    class Options:
        rate: float


class LooseOptions(Climber):
    @dataclass
    class Options:
        rate: float = 0.3


class ZeroBatch(Climber):
    def __init__(self, view: SearchView, options: Any) -> None:
        super().__init__(view, options)
        self.batch = 0


MUTANTS = {
    "asks_valid_designs": (OutOfRange, WrongType, TooMany, NothingToSay),
    "same_seed_same_designs": (OwnRandomness,),
    "global_randomness_is_untouched": (GlobalNumpy, GlobalPython),
    "asking_changes_nothing": (AskCounts, Shelf),
    "state_comes_from_tells_alone": (Shelf, OnlyOwn),
    "told_arrays_stay_as_they_are": (Scribbler, DesignScribbler),
    "accepts_designs_it_did_not_ask": (OnlyOwn,),
    "survives_infeasible_batches": (NeedsFeasible,),
    "survives_equal_and_huge_scores": (Normaliser,),
    "takes_any_batch_size": (FixedBatch,),
    "takes_a_large_batch": (SmallBatches,),
    "stays_at_its_end": (ComesBack,),
    "searches_one_objective": (TwoObjectives,),
    "searches_mixed": (OnlyChoices,),
    "searches_conditional": (OnlyChoices,),
    "options_have_defaults": (BareOptions, LooseOptions),
    "states_its_batch": (ZeroBatch,),
}


@pytest.mark.parametrize(
    ("check", "mutant"), [(check, mutant) for check, mutants in MUTANTS.items() for mutant in mutants]
)
def test_a_wrong_optimizer_fails(check: str, mutant: Any) -> None:
    report = check_optimizer(mutant)
    assert check in [failure.name for failure in report.failures], str(report)
    assert all(failure.reason for failure in report.failures)


def test_a_clean_refusal_does_not_apply() -> None:
    class Refuses(Climber):
        def __init__(self, view: SearchView, options: Any) -> None:
            super().__init__(view, options)
            if not all(hasattr(variable, "options") for variable in view.space.variables):
                raise ProblemError("searches spaces of choices only")

    report = check_optimizer(Refuses)
    assert report.passed, str(report)
    refused = {check.name: check.reason for check in report.checks if check.outcome == "not applicable"}
    assert set(refused) == {"searches_mixed", "searches_conditional"}
    assert all("searches spaces of choices only" in reason for reason in refused.values())


class OnlyMixed(Climber):
    """Searches nothing but spaces with a permutation."""

    def __init__(self, view: SearchView, options: Any) -> None:
        super().__init__(view, options)
        if "order" not in view.space:
            raise ProblemError("needs an order")


def test_a_special_optimizer_is_checked_on_a_problem_of_its_own() -> None:
    assert not check_optimizer(OnlyMixed).passed
    report = check_optimizer(OnlyMixed, problem=problem_of(Distances(mixed_space())))
    assert report.passed, str(report)
    applied = {check.name for check in report.checks if check.outcome == "passed"}
    assert {"asks_valid_designs", "state_comes_from_tells_alone", "searches_mixed"} <= applied


def test_a_wrong_special_optimizer_fails() -> None:
    class Wrong(OnlyMixed):
        def ask(self, n: int, rng: Rng) -> Designs:
            return super().ask(n, np.random.default_rng())

    report = check_optimizer(Wrong, problem=problem_of(Distances(mixed_space())))
    assert "same_seed_same_designs" in [failure.name for failure in report.failures]


def test_refusing_everything_is_a_failure() -> None:
    class Refuses(Climber):
        def __init__(self, view: SearchView, options: Any) -> None:
            raise ProblemError("no")

    assert not check_optimizer(Refuses).passed

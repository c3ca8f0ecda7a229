"""Promotion up a ladder of evaluators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tradespace.designs import Choice, Designs, Space
from tradespace.errors import ProblemError
from tradespace.problem import Metric, Prices, Problem
from tradespace.search.promotion import promote

SPACE = Space(Choice("x", tuple(range(6)), 5))


@dataclass(frozen=True)
class Model:
    """`latency` is a sum; a rung multiplies it and adds noise that depends on the design alone."""

    factor: float = 1.0
    noise: float = 0.0
    limit: float = 1e9
    space: Space = SPACE
    metrics = (Metric("latency", "s", "min", "time"), Metric("gain", "1", "max", "what it buys"))

    def price(self, designs: Designs) -> Prices:
        x = designs["x"].astype(float)
        hashed = (designs.digest % np.uint64(1000)).astype(float) / 1000.0 - 0.5
        latency = self.factor * (1.0 + x.sum(axis=1)) * (1.0 + self.noise * hashed)
        return Prices({"latency": latency, "gain": (x**2).sum(axis=1)}, {"time": latency / self.limit - 1.0})


def problem(**changes: Any) -> Problem:
    return Problem.of(Model(**changes), ["latency", "gain"])


def test_a_rung_that_only_scales_keeps_the_front() -> None:
    designs = SPACE.sample(200, np.random.default_rng(0))
    cheap, true = promote(designs, [problem(), problem(factor=3.0)])
    assert len(true.designs) == 67
    told = true.disagreement["latency"]
    assert (told.rank, told.spread) == (pytest.approx(1.0), pytest.approx(0.0))
    assert told.ratio == pytest.approx(3.0)
    low = set(cheap.designs.take(cheap.front).ids)
    assert low == set(true.designs.take(true.front).ids)


def test_disagreement_is_measured() -> None:
    designs = SPACE.sample(300, np.random.default_rng(1))
    spread = []
    for noise in (0.05, 0.2, 0.8):
        told = promote(designs, [problem(), problem(noise=noise)], keep=1.0)[1].disagreement["latency"]
        assert told.rank < 1.0
        spread.append(told.spread)
    assert spread == sorted(spread) and spread[-1] > 4 * spread[0]


def test_each_rung_is_smaller_and_the_feasible_go_first() -> None:
    designs = SPACE.sample(90, np.random.default_rng(2))
    rungs = promote(designs, [problem(limit=12.0), problem(limit=12.0), problem(limit=12.0)], keep=0.5)
    assert [len(r.designs) for r in rungs] == [90, 45, 23]
    feasible = int(rungs[0].scores.feasible.sum())
    assert 0 < feasible < 90
    assert int(rungs[1].scores.feasible.sum()) == min(feasible, 45)


def test_what_a_rung_does_not_know_is_not_compared() -> None:
    @dataclass(frozen=True)
    class Poor:
        space: Space = SPACE
        metrics = (Metric("latency", "s", "min", "time"),)

        def price(self, designs: Designs) -> Mapping[str, Any]:
            return {"latency": designs["x"].sum(axis=1) + 1.0}

    designs = SPACE.sample(40, np.random.default_rng(3))
    rungs = promote(designs, [Problem.of(Poor(), ["latency"]), problem()])
    assert set(rungs[1].disagreement) == {"latency"}


@pytest.mark.parametrize("keep", [0.0, -1.0, 1.5, float("nan")])
def test_bad_shares_are_refused(keep: float) -> None:
    with pytest.raises(ProblemError):
        promote(SPACE.sample(5, np.random.default_rng(0)), [problem()], keep=keep)


def test_ladders_that_do_not_fit_are_refused() -> None:
    designs = SPACE.sample(5, np.random.default_rng(0))
    with pytest.raises(ProblemError, match="same variables"):
        promote(designs, [problem(), Problem.of(Model(space=Space(Choice("x", "ab", 5))), ["latency"])])
    with pytest.raises(ProblemError, match="at least one"):
        promote(designs, [])

"""Infeasible problems: what binds, and relaxations that really make the shown design feasible."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import Plain, RandomChain, everything
from tests.support.chains import Chain

from tradespace.problem import Problem
from tradespace.search.api import search

GOALS = ["latency", "energy", "loss"]


def _infeasible(constraints, evaluator=None, goals=GOALS):  # type: ignore[no-untyped-def]
    evaluator = evaluator or Chain(0, 10)
    front = search(evaluator, goals, constraints, evaluations=600)
    assert front.diagnosis is not None and len(front) == 0
    return evaluator, front.diagnosis


@pytest.mark.parametrize(
    "constraints",
    [
        ["latency<=1 ms"],
        ["mem0<=0.01", "mem1<=0.01", "mem2<=0.01"],
        ["loss<=1e-4", "latency<=10 ms"],
        ["loss * 2<=1e-4", "latency<=10 ms", "energy>=1 uJ"],
    ],
)
def test_pasted_relaxations_are_feasible(constraints: list[str]) -> None:
    evaluator, found = _infeasible(constraints)
    for relaxation in (*found.alone, found.together):
        left = [text.split("<=")[0].split(">=")[0].strip() for text in relaxation.changes]
        kept = [c for c in constraints if c.split("<=")[0].split(">=")[0].strip() not in left]
        problem = Problem.of(evaluator, GOALS, [*kept, *relaxation.changes])
        assert problem.score(relaxation.design).feasible.all(), relaxation.changes


def test_a_single_bound_is_relaxed_to_the_true_minimum() -> None:
    evaluator = RandomChain(4, n=6)
    _, scores = everything(Problem.of(evaluator, ["cost0", "cost1"]))
    _, found = _infeasible(["cost0<=1"], evaluator, ["cost0", "cost1"])
    least = scores.objectives[:, 0].min()
    assert found.binding == "cost0<=1"
    assert [r.changes for r in found.alone] == [(f"cost0<={least:g}",)]
    assert found.together.amount == pytest.approx(least - 1.0)
    assert "Enough on its own" in found.text and f"cost0<={least:g}" in found.text


def test_relaxations_alone_are_the_smallest_there_are() -> None:
    """Compared with all designs of a small space."""
    evaluator, constraints = RandomChain(7, n=6), ["cost0<=150", "cost1<=60"]
    problem = Problem.of(evaluator, ["cost0", "cost1"], constraints)
    _, scores = everything(problem)
    if scores.feasible.any():
        pytest.skip("the instance is feasible")
    _, found = _infeasible(constraints, evaluator, ["cost0", "cost1"])
    assert found.together.amount == pytest.approx(scores.violation.min(), rel=1e-6)
    for k in range(2):
        others = np.delete(scores.violations, k, axis=1).max(axis=1) <= 0
        truly = scores.violations[others, k].min() if others.any() else None
        amounts = [r.amount for r in found.alone if r.changes[0].startswith(f"cost{k}")]
        assert amounts == ([] if truly is None else [pytest.approx(truly)])


def test_the_evaluators_own_limits_are_named() -> None:
    class Full(Plain):
        def price(self, designs):  # type: ignore[no-untyped-def]
            from tradespace.problem import Prices

            return Prices(super().price(designs), {"memory": 0.25 + designs["device"].mean(axis=1)})

    _, found = _infeasible([], Full(), ["latency", "energy"])
    assert found.binding == "memory" and found.together.changes == ("memory must give way by 25.00%",)
    assert found.nearest["device"][0].tolist() == [0] * 8


def test_feasible_problems_have_no_diagnosis() -> None:
    assert search(Plain(), ["latency"], ["energy<=40 J"], evaluations=50).diagnosis is None

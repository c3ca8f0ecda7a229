"""Guarantees from half-spaces hold for every design of small chains with capacities and maxima."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import everything
from tests.support.chains import Chain

from tradespace.problem import Problem
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget
from tradespace.search.indicators import nondominated
from tradespace.search.reach import reach, upper_bounds
from tradespace.search.supports import Supports
from tradespace_optimizers.chain_exact import ChainExact, ChainExactOptions

GOALS = ["latency", "energy", "loss"]


@pytest.mark.parametrize("seed", range(20))
def test_upper_bounds_enclose_exactly_what_no_point_dominates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = 2 + seed % 2
    points, highest = rng.integers(0, 6, (8, m)).astype(float), np.full(m, 6.5)
    corners = upper_bounds(points, highest)
    tried = np.stack(np.meshgrid(*[np.arange(0, 6.01, 0.5)] * m), axis=-1).reshape(-1, m)
    dominated = (points[None] <= tried[:, None]).all(axis=2).any(axis=1)
    below = (tried[:, None] < corners[None]).all(axis=2).any(axis=1)
    assert np.array_equal(below, ~dominated)


@pytest.mark.parametrize("kind", ["capped", "bottleneck"])
@pytest.mark.parametrize("seed", range(4))
def test_the_stated_guarantee_holds_for_every_design(kind: str, seed: int) -> None:
    """Label sets are kept far too small, so that only half-spaces are left; every design is priced beside."""
    chain = Chain(seed, 6, m=3, p=2, kind=kind)
    problem = Problem.of(chain, GOALS)
    _, scores = everything(problem)
    feasible = scores.objectives[scores.feasible]
    exact = feasible[nondominated(feasible)]
    solver = ChainExact(view_of(problem, Budget()), ChainExactOptions(labels=4))
    front = search(chain, GOALS, optimizer=solver, evaluations=None, stagnation=1000)
    near = solver.reach
    assert near is not None and near.share < 1.0
    span = front.minimised.max(axis=0) - front.minimised.min(axis=0)
    shifted = (front.minimised[None] <= exact[:, None] + near.share * span + 1e-12).all(axis=2).any(axis=1)
    assert shifted.all()
    if np.isfinite(near.factor):
        assert (front.minimised[None] <= exact[:, None] * (1 + near.factor) + 1e-12).all(axis=2).any(axis=1).all()


def test_a_guarantee_is_nothing_without_half_spaces_and_all_where_the_set_is_optimal() -> None:
    values = np.array([[1.0, 2.0], [2.0, 1.0]])
    trivial = Supports(np.eye(2), np.zeros(2), np.empty((0, 1), np.intp), np.empty((2, 0)))
    assert reach(values, np.full(2, 3.0), np.ones(2), trivial).factor == np.inf
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    tight = Supports(weights, np.array([1.0, 1.0, 2.0]), trivial.states, np.empty((3, 0)))
    assert reach(values, np.full(2, 3.0), np.ones(2), tight).share == 0.0

"""Lagrangian bounds against all designs of small chains; gaps never below what exact fronts reach."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import RandomChain, everything
from tests.support.chains import Chain

from tradespace.problem import Problem
from tradespace.search.gap import certified_gap
from tradespace.search.indicators import hypervolume, nondominated, reference_box
from tradespace.search.labels import limits_of
from tradespace.search.supports import Supports, directions, priced_terms, supports, upper_volume

GOALS = ("latency", "energy", "loss")
KINDS = ("sum", "capped", "bottleneck", "coupled")


def bounds_of(problem: Problem, known: np.ndarray | None = None, steps: int = 40) -> tuple[Supports, np.ndarray]:
    structure, box = problem.structure(), reference_box(problem)
    assert structure is not None
    groups = [structure.groups(name) for name in problem.names]
    scale = box.reference - box.ideal
    limits = [limit for limit in limits_of(structure).values() if limit.open]
    return supports(groups, limits, scale, directions(len(groups), 6), known, steps=steps), scale


def test_directions_are_das_and_dennis() -> None:
    assert len(directions(3, 12)) == 91 and len(directions(2, 5)) == 6 and directions(1, 3).tolist() == [[1.0]]
    assert np.allclose(directions(3, 12).sum(axis=1), 1.0) and (directions(3, 12) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_no_feasible_design_lies_below_a_bound(kind: str, seed: int) -> None:
    problem = Problem.of(Chain(seed, 5, p=2, kind=kind), GOALS)
    _, scores = everything(problem)
    feasible = scores.objectives[scores.feasible]
    found, scale = bounds_of(problem, feasible[nondominated(feasible)])
    least = (found.weights @ (feasible / scale).T).min(axis=1)
    assert (found.bounds <= least).all()
    if kind == "sum":
        assert np.allclose(found.bounds, least, atol=1e-8)  # a shortest path is the bound


@pytest.mark.parametrize("kind", ["capped", "bottleneck"])
def test_multipliers_raise_the_bounds_and_are_close(kind: str) -> None:
    problem = Problem.of(Chain(3, 6, p=2, kind=kind), GOALS)
    _, scores = everything(problem)
    feasible = scores.objectives[scores.feasible]
    first, _ = bounds_of(problem, feasible, steps=1)
    found, scale = bounds_of(problem, feasible)
    least = (found.weights @ (feasible / scale).T).min(axis=1)
    assert (found.bounds >= first.bounds - 1e-8).all() and (found.bounds > first.bounds + 1e-4).any()
    assert (least - found.bounds).mean() < 0.7 * (least - first.bounds).mean()


def test_paths_found_on_the_way_keep_the_limits() -> None:
    problem = Problem.of(Chain(3, 8, kind="capped"), GOALS)
    found, _ = bounds_of(problem)
    structure = problem.structure()
    assert structure is not None and len(found.states)
    i = np.arange(8)
    for unary, cap in structure.limits.values():
        assert (unary[i, found.states].sum(axis=1) <= cap * (1 + 1e-9)).all()


def test_priced_sums_have_the_bound_as_their_least_weighted_sum() -> None:
    problem = Problem.of(Chain(4, 6, kind="capped"), GOALS)
    structure = problem.structure()
    assert structure is not None
    found, scale = bounds_of(problem)
    groups = [structure.groups(name) for name in GOALS]
    limits = [limit for limit in limits_of(structure).values() if limit.open]
    for row in np.flatnonzero((found.weights > 0).all(axis=1))[:4].tolist():
        terms = priced_terms(groups, limits, scale, found, row)
        weighted = supports([[term] for term in terms], [], np.ones(3), found.weights[[row]])
        price = found.multipliers[row, len(groups) :].sum()
        assert weighted.bounds[0] - price == pytest.approx(found.bounds[row], abs=1e-6)


@pytest.mark.parametrize("m", [2, 3])
def test_the_volume_is_never_underestimated(m: int) -> None:
    rng = np.random.default_rng(m)
    points = rng.random((200, m)) ** 2
    weights = directions(m, 8)
    true = Supports(weights, (weights @ points.T).min(axis=1), np.empty((0, 1), np.intp), weights)
    box = reference_box(Problem.of(Chain(0, 3), GOALS[:m]))
    unit = type(box)(np.zeros(m), np.full(m, 1 / 1.1), "unit")
    volume = hypervolume(points, unit)
    loose = np.zeros((1, m))
    both = upper_volume([points, loose], true, np.zeros(m))
    assert volume <= both <= volume + 0.03  # the set itself: only the grid's cells are lost
    halves = upper_volume([loose], true, np.zeros(m))
    assert both <= halves < 1.0
    assert upper_volume([loose], Supports(weights, np.zeros(len(weights)), true.states, weights), np.zeros(m)) == 1.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("goals", [GOALS, GOALS[:2]])
def test_a_certified_gap_covers_the_exact_front(kind: str, seed: int, goals: tuple[str, ...]) -> None:
    problem = Problem.of(Chain(seed, 6, p=2, kind=kind), goals)
    _, scores = everything(problem)
    exact = scores.objectives[scores.feasible]
    exact = exact[nondominated(exact)]
    box = reference_box(problem)
    for rows in (slice(None), slice(0, None, 3), slice(0, 1)):
        gap = certified_gap(problem, exact[rows], box)
        assert gap is not None
        assert gap.hypervolume_bound >= hypervolume(exact, box) - 1e-9


def test_supports_make_the_gap_of_maxima_much_smaller() -> None:
    problem = Problem.of(Chain(1, 7, p=2, kind="bottleneck"), GOALS)
    _, scores = everything(problem)
    exact = scores.objectives[nondominated(scores.objectives)]
    box = reference_box(problem)
    gap = certified_gap(problem, exact, box)

    class Bare:
        space, metrics = problem.evaluator.space, problem.evaluator.metrics
        price = staticmethod(problem.evaluator.price)

        def structure(self) -> object:
            import dataclasses

            found = problem.structure()
            assert found is not None
            return dataclasses.replace(found, maxima={})

    without = certified_gap(Problem.of(Bare(), GOALS), exact, box)
    assert gap is not None and without is not None and "Lagrangian" in gap.method
    assert gap.gap < 0.6 * without.gap


def test_four_objectives_are_left_to_labels() -> None:
    evaluator = RandomChain(0, m=4, limited=True)
    problem = Problem.of(evaluator, [f"cost{k}" for k in range(4)])
    _, scores = everything(problem)
    gap = certified_gap(problem, scores.objectives[scores.feasible][:3], reference_box(problem))
    assert gap is not None and "Lagrangian" not in gap.method

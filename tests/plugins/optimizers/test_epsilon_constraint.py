"""milp and cpsat against brute force and chain_exact; the search zones they share."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
from tests.core.search.toys import Plain, RandomChain, brute_front, everything
from tests.support.chains import Chain

from tradespace.errors import PluginError, ProblemError
from tradespace.problem import Problem
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget
from tradespace_optimizers.chain_epsilon import EpsilonConstraint, EpsilonOptions
from tradespace_optimizers.chain_milp import MILP
from tradespace_optimizers.zones import Answer, Point, Zones

GOALS = ["latency", "energy", "loss"]


def solvers() -> list[Any]:
    missing = pytest.mark.skipif(not _ortools(), reason="needs the package 'ortools'")
    return ["milp", pytest.param("cpsat", marks=missing)]


def _ortools() -> bool:
    import importlib.util

    return importlib.util.find_spec("ortools") is not None


def built(name: str, evaluator: Any, objectives: list[str], **options: Any) -> EpsilonConstraint:
    from tradespace_optimizers.chain_cpsat import CPSAT

    view = view_of(Problem.of(evaluator, objectives), Budget())
    return {"milp": MILP, "cpsat": CPSAT}[name](view, EpsilonOptions(**options))


@pytest.mark.parametrize("name", solvers())
@pytest.mark.parametrize("seed", range(6))
def test_whole_costs_give_the_exhaustive_front_in_at_most_its_size_plus_one_solves(name: str, seed: int) -> None:
    evaluator = RandomChain(seed, m=2, pairs=seed % 3 > 0, limited=seed % 2 > 0)
    objectives = ["cost0", "cost1"]
    _, scores = everything(Problem.of(evaluator, objectives))
    expected = brute_front(scores.objectives[scores.feasible])
    solver = built(name, evaluator, objectives)
    front = search(evaluator, objectives, optimizer=solver, evaluations=None, stagnation=1000)
    assert np.array_equal(np.unique(front.minimised, axis=0), expected)
    assert front.note == "exact" and front.stopped == "nothing left to propose"
    assert len(expected) <= solver.solves <= len(expected) + 1  # the last is spared at the least second objective


@pytest.mark.parametrize("name", solvers())
def test_three_whole_objectives_give_the_exhaustive_front(name: str) -> None:
    evaluator = RandomChain(7, m=3, limited=True)
    objectives = ["cost0", "cost1", "cost2"]
    _, scores = everything(Problem.of(evaluator, objectives))
    front = search(evaluator, objectives, optimizer=name, evaluations=None, stagnation=1000)
    assert np.array_equal(np.unique(front.minimised, axis=0), brute_front(scores.objectives[scores.feasible]))


@pytest.mark.parametrize("name", solvers())
def test_real_costs_miss_nothing_that_is_better_by_a_step(name: str) -> None:
    evaluator, objectives = Chain(1, 10), ["latency", "loss"]
    exact = search(evaluator, objectives, optimizer="chain_exact").minimised
    solver = built(name, evaluator, objectives, resolution=0.02)
    front = search(evaluator, objectives, optimizer=solver)
    step = solver._model.step
    assert "better by 0.02" in front.note and len(front) < len(exact)
    assert (front.minimised[None] <= exact[:, None] + step).all(axis=2).any(axis=1).all()
    assert not (front.minimised[None] <= exact[:, None] + step / 4).all(axis=2).any(axis=1).all()


def test_capacities_hold_in_what_is_asked() -> None:
    evaluator = Chain(2, 8, kind="capped")
    front = search(evaluator, ["latency", "loss"], optimizer="milp", options={"resolution": 0.02})
    assert len(front) == front.evaluations > 3


def test_a_number_of_solves_ends_it_and_the_note_says_what_is_left() -> None:
    front = search(Chain(1, 10), GOALS, optimizer="milp", options={"solves": 5})
    assert len(front) <= 5 and "zones left open after 5 solves" in front.note
    again = search(Chain(1, 10), GOALS, optimizer="milp", options={"solves": 5}, batch=2)
    assert np.array_equal(front.minimised, again.minimised)


def test_minorants_are_said_to_be_lower_bounds() -> None:
    front = search(Chain(1, 6, kind="coupled"), GOALS, optimizer="milp", options={"solves": 3})
    assert front.note.startswith("lower bounds stand for latency, energy")


@pytest.mark.parametrize(
    ("evaluator", "objectives", "options", "reason"),
    [
        (Plain(), ["latency"], {}, "states its chain structure"),
        (Chain(0, 4), ["latency", "mem0"], {}, "none for mem0"),
        (Chain(0, 4), GOALS, {"resolution": 0.0}, "0 < resolution < 1"),
    ],
)
def test_it_refuses_with_a_reason(
    evaluator: Any, objectives: list[str], options: dict[str, float], reason: str
) -> None:
    with pytest.raises(ProblemError, match=reason):
        search(evaluator, objectives, optimizer="milp", options=options)


def test_cpsat_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "ortools", None)
    with pytest.raises(PluginError, match=r"tradespace\[exact\]"):
        search(Chain(0, 4), GOALS, optimizer="cpsat")


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_zones_find_every_efficient_point_of_a_list(m: int) -> None:
    points = np.random.default_rng(m).integers(0, 12, (60, m)).astype(float)

    def solve(below: np.ndarray) -> Point | Answer:
        fits = points[(points[:, 1:] <= below[1:]).all(axis=1)]
        if not len(fits):
            return Answer.EMPTY
        best = fits[np.lexsort((fits.sum(axis=1), fits[:, 0]))[0]]
        return Point(best, np.zeros(1, np.intp), best[0])

    zones = Zones(np.full(m, 13.0), np.zeros(m), np.ones(m))
    found = [p.values for p in zones.search(solve) if p is not None]
    assert np.array_equal(np.unique(found, axis=0), brute_front(points)) and zones.left == 0


def test_a_solve_that_proved_nothing_is_counted() -> None:
    point = Point(np.array([3.0, 3.0]), np.zeros(1, np.intp), bound=1.0, proved=False)
    answers = iter([point, *[Answer.UNKNOWN] * 9])
    zones = Zones(np.full(2, 9.0), np.zeros(2), np.ones(2))
    assert [p for p in zones.search(lambda below: next(answers)) if p is not None] == [point]
    assert zones.given_up >= 1


def test_options_are_plain_numbers() -> None:
    assert all(isinstance(f.default, int | float) for f in dataclasses.fields(EpsilonOptions))


@pytest.mark.parametrize("name", solvers())
def test_the_largest_of_several_sums_alone_is_least(name: str) -> None:
    """A maximum is a whole number of quanta, which must not lose its price."""
    evaluator = Chain(2, 6, p=2, kind="bottleneck")
    _, scores = everything(Problem.of(evaluator, ["latency"]))
    front = search(evaluator, ["latency"], optimizer=name, evaluations=10)
    assert front.minimised.min() == pytest.approx(scores.objectives.min(), rel=0.005)

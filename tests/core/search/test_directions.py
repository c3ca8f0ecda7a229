"""Objectives to be made large, where the evaluator declares a form of their metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.core.search.toys import RandomChain, brute_front, everything
from tests.core.test_structures import Network
from tests.plugins.optimizers.test_schedule_search import bound, workflow

from tradespace.problem import ChainTerm, MaxTerm, Metric, Problem, Structure
from tradespace.search import Budget, search, view_of
from tradespace.studies.reproduction.decide import choose

GOALS = ["max:cost0", "cost1"]


def structure_of(evaluator: object, goals: list[str]) -> Structure:
    found = view_of(Problem.of(evaluator, goals), Budget(400)).structure  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("optimizer", ["auto", "chain_exact", "milp"])
@pytest.mark.parametrize("limited", [False, True])
def test_solvers_make_large_what_is_to_be_large(optimizer: str, limited: bool) -> None:
    chain = RandomChain(3, n=5, limited=limited)
    problem = Problem.of(chain, GOALS)
    _, scores = everything(problem)
    best = brute_front(scores.objectives[scores.feasible])
    options = {"resolution": 0.001} if optimizer == "milp" else {}
    front = search(chain, GOALS, optimizer=optimizer, options=options, evaluations=600)
    assert front.values[:, 0].max() == -best[:, 0].min()
    assert np.array_equal(front.minimised, best)


def test_one_objective_alone_and_capped() -> None:
    chain = RandomChain(5, n=5, pairs=False)
    _, scores = everything(Problem.of(chain, ["max:cost0"]))
    assert search(chain, ["max:cost0"], evaluations=300).values.item() == -scores.objectives.min()
    _, scores = everything(Problem.of(chain, ["max:cost0"], ["cost1<=90"]))
    most = -scores.objectives[scores.feasible].min()
    assert search(chain, ["max:cost0"], ["cost1<=90"], optimizer="chain_exact").values.item() == most


def test_a_metric_that_is_better_large_is_turned_too() -> None:
    chain = RandomChain(3, n=5)
    chain.metrics = (Metric("cost0", "1", "max", "sum"), chain.metrics[1])
    assert np.array_equal(structure_of(chain, ["cost0", "cost1"]).terms["cost0"].unary, -chain.unary[0])
    assert np.array_equal(structure_of(chain, ["min:cost0", "cost1"]).terms["cost0"].unary, chain.unary[0])


def test_what_has_no_negative_is_left_out() -> None:
    """The largest of sums turned is no largest of sums; a lower bound turned is none."""

    class Largest(RandomChain):
        def structure(self) -> Structure:
            own = super().structure()
            return replace(own, maxima={"cost0": MaxTerm((own.terms["cost0"], own.terms["cost1"]))})

    assert not structure_of(Largest(3), GOALS).groups("cost0")
    assert not structure_of(RandomChain(3, minorant=True), GOALS).groups("cost0")
    assert structure_of(RandomChain(3, minorant=True), ["cost0"]).groups("cost0")
    untouched = structure_of(RandomChain(3), GOALS).terms["cost1"]
    assert isinstance(untouched, ChainTerm) and untouched.exact and (untouched.unary > 0).all()


def test_fronts_of_undeclared_forms_agree() -> None:
    """A lower bound that once stood for the metric itself: the search must find the large end all the same."""
    chain = RandomChain(3, n=5, minorant=True)
    _, scores = everything(Problem.of(chain, GOALS))
    front = search(chain, GOALS, optimizer="pgsam", evaluations=900)
    assert front.values[:, 0].max() == pytest.approx(-scores.objectives[:, 0].min())


def test_published_rows_are_decided_by_what_the_search_sees() -> None:
    chain = RandomChain(3, n=8)
    assert choose(Problem.of(chain, ["max:cost0"])) == "chain_exact"
    assert choose(Problem.of(RandomChain(3, n=8, minorant=True), ["max:cost0"])) == "pgsam"


@pytest.mark.parametrize("goals", [["max:cost0", "cost1"], ["cost0", "max:cost1", "max:cost2"]])
def test_graphs_are_turned_too(goals: list[str]) -> None:
    _, scores = everything(Problem.of(Network(1, full=True), goals))
    best = brute_front(scores.objectives[scores.feasible])
    front = search(Network(1, full=True), goals, optimizer="chain_exact")
    assert front.note == "exact" and np.array_equal(np.unique(front.minimised, axis=0), best)
    assert not structure_of(Network(1, worst=True), ["max:cost0", "cost1"]).graph.groups("cost0")  # type: ignore[union-attr]


def test_schedules_are_not_made_small_where_they_are_to_be_large() -> None:
    evaluator = bound(workflow(5, 0), "processors-3")
    assert structure_of(evaluator, ["makespan"]).tasks is not None
    assert structure_of(evaluator, ["utilisation"]).tasks is not None  # large is good: solvers refuse it themselves
    assert structure_of(evaluator, ["max:makespan"]).tasks is None
    front = search(evaluator, ["max:makespan"], evaluations=200)
    assert front.values[0, 0] > search(evaluator, ["makespan"], evaluations=200).values[0, 0]

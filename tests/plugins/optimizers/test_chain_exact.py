"""chain_exact against brute force, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.core.search.toys import Plain, RandomChain, brute_front, everything
from tests.support.chains import Chain

from tradespace.designs import Choice, Designs, Integer, Space
from tradespace.errors import ProblemError
from tradespace.problem import Problem, Structure
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget
from tradespace_optimizers.chain_exact import ChainExact, ChainExactOptions

GOALS = ["latency", "energy", "loss"]


@pytest.mark.parametrize("seed", range(20))
def test_its_front_is_the_exhaustive_one(seed: int) -> None:
    m = 2 + seed % 2
    evaluator = RandomChain(seed, m=m, pairs=seed % 3 > 0, limited=seed % 4 > 1)
    objectives = [f"cost{k}" for k in range(m)]
    _, scores = everything(Problem.of(evaluator, objectives))
    front = search(evaluator, objectives, optimizer="chain_exact", evaluations=None, stagnation=1000)
    assert np.array_equal(np.unique(front.minimised, axis=0), brute_front(scores.objectives[scores.feasible]))
    assert front.evaluations == len(front) and front.note == "exact"
    assert front.stopped == "nothing left to propose"


def test_user_constraints_on_terms_and_objectives_are_exact_too() -> None:
    evaluator = RandomChain(5, m=3, pairs=False)
    constraints = ["cost2<=130", "cost0<=150"]
    _, scores = everything(Problem.of(evaluator, ["cost0", "cost1"], constraints))
    front = search(evaluator, ["cost0", "cost1"], constraints, optimizer="chain_exact")
    assert len(front) and np.array_equal(
        np.unique(front.minimised, axis=0), brute_front(scores.objectives[scores.feasible])
    )


def test_constraints_it_cannot_know_are_named() -> None:
    front = search(Chain(0, 8), GOALS, ["mem0<=0.9", "latency<=1 s"], optimizer="chain_exact")
    assert front.note == "exact; constraints left to the archive: mem0<=0.9"


def test_a_long_chain_is_solved_to_a_zero_gap() -> None:
    front = search(Chain(1, 24), GOALS, optimizer="chain_exact")
    assert front.note == "exact" and front.gap is not None and front.gap.gap < 1e-9


def test_minorants_are_said_to_be_lower_bounds() -> None:
    front = search(Chain(1, 8, kind="coupled"), GOALS, optimizer="chain_exact")
    assert front.note == "lower bounds stand for latency, energy"


def test_relaxed_limits_are_said() -> None:
    front = search(Chain(0, 8, kind="capped"), GOALS, optimizer="chain_exact", options={"relax_limits": True})
    assert front.note.startswith("limits left to the archive: full")


def test_epsilon_asks_fewer_designs_and_says_so() -> None:
    exact, coarse = (search(Chain(1, 16), GOALS, optimizer="chain_exact", options={"epsilon": e}) for e in (0.0, 0.2))
    assert coarse.evaluations < exact.evaluations
    assert coarse.note.startswith("within a factor 1.") and coarse.hypervolume > 0.7 * exact.hypervolume
    near = (coarse.minimised[None] <= exact.minimised[:, None] * 1.2 + 1e-12).all(axis=2).any(axis=1)
    assert near.all()


def test_nothing_that_fits_still_gives_a_diagnosis() -> None:
    evaluator = RandomChain(0, limited=True)
    evaluator.limit = 1.0
    front = search(evaluator, ["cost0", "cost1"], optimizer="chain_exact")
    assert len(front) == 0 and front.diagnosis is not None and front.diagnosis.binding == "memory"


@pytest.mark.parametrize(
    ("evaluator", "objectives", "reason"),
    [
        (Plain(), ["latency"], "states its chain structure"),
        (RandomChain(0), ["cost0", "cost1 * 2"], "none for cost1"),
        (Chain(0, 4), ["latency", "mem0"], "none for mem0"),
    ],
)
def test_it_refuses_with_a_reason_and_a_remedy(evaluator: object, objectives: list[str], reason: str) -> None:
    with pytest.raises(ProblemError, match=reason) as caught:
        search(evaluator, objectives, optimizer="chain_exact")  # type: ignore[arg-type]
    assert "pgsam" in str(caught.value)


def test_variables_outside_the_structure_take_their_first_value() -> None:
    class More(RandomChain):
        def __init__(self) -> None:
            super().__init__(0)
            self.space = Space(
                Integer("copies", 2, 9), Choice("device", ("a", "b"), 5), Choice("precision", ("x", "y"), 5)
            )

        def price(self, designs: Designs):  # type: ignore[no-untyped-def]
            prices = super().price(designs)
            return type(prices)({k: v + designs["copies"] for k, v in prices.items()})

    front = search(More(), ["cost0", "cost1"], optimizer="chain_exact")
    assert set(front.designs["copies"].tolist()) == {2}


@pytest.mark.parametrize("kind", ["capped", "bottleneck"])
@pytest.mark.parametrize("seed", range(3))
def test_capacities_and_maxima_are_exact_on_small_chains(kind: str, seed: int) -> None:
    evaluator = Chain(seed, 4, p=2, kind=kind)
    _, scores = everything(Problem.of(evaluator, GOALS))
    front = search(evaluator, GOALS, optimizer="chain_exact")
    assert front.note == "exact"
    expected = brute_front(scores.objectives[scores.feasible])
    assert np.allclose(np.unique(front.minimised.round(12), axis=0), np.unique(expected.round(12), axis=0))


@pytest.mark.parametrize("name", ["milp", "cpsat"])
def test_solvers_agree_on_a_maximum(name: str) -> None:
    if name == "cpsat":
        pytest.importorskip("ortools", reason="needs the package 'ortools'")
    evaluator, goals = Chain(1, 6, p=2, kind="bottleneck"), ["latency", "loss"]
    exact = search(evaluator, goals, optimizer="chain_exact").minimised
    front = search(evaluator, goals, optimizer=name, options={"resolution": 1e-3})
    assert np.allclose(front.minimised, exact)


def test_a_limit_that_no_design_of_the_front_breaks_is_not_carried() -> None:
    evaluator = RandomChain(1, m=2, limited=True)
    evaluator.limit = float(evaluator.weight.max(axis=1).sum()) - 0.5  # only the worst path breaks it
    front = search(evaluator, ["cost0", "cost1"], optimizer="chain_exact")
    _, scores = everything(Problem.of(evaluator, ["cost0", "cost1"]))
    assert front.note == "exact"
    assert np.array_equal(np.unique(front.minimised, axis=0), brute_front(scores.objectives[scores.feasible]))


def test_where_label_sets_are_too_large_priced_sums_still_give_a_good_front() -> None:
    front = search(Chain(1, 16, kind="capped"), GOALS, optimizer="chain_exact", options={"labels": 200})
    assert "within" in front.note
    assert len(front) > 60 and front.gap is not None and front.gap.gap < 0.05


@pytest.mark.parametrize("optimizer", ["chain_exact", "milp"])
def test_states_that_are_not_allowed_are_never_taken(optimizer: str) -> None:
    class Partial(RandomChain):
        allowed = np.random.default_rng(0).random((5, 4)) < 0.6

        def price(self, designs: Designs):  # type: ignore[no-untyped-def]
            state = designs["device"].astype(int) * 2 + designs["precision"]
            prices, wrong = super().price(designs), ~self.allowed[np.arange(5), state].all(axis=1)
            return type(prices)(prices.columns, {"allowed": wrong.astype(float)})

        def structure(self) -> Structure:
            return dataclasses.replace(super().structure(), allowed=self.allowed)

    Partial.allowed[:, 1] = True
    evaluator = Partial(2)
    _, scores = everything(Problem.of(evaluator, ["cost0", "cost1"]))
    front = search(evaluator, ["cost0", "cost1"], optimizer=optimizer)
    assert front.note == "exact" and front.evaluations == len(front)
    assert np.array_equal(np.unique(front.minimised, axis=0), brute_front(scores.objectives[scores.feasible]))


def test_budgets_of_time_and_memory_report_what_they_cost() -> None:
    view = view_of(Problem.of(Chain(1, 24), GOALS), Budget(evaluations=None))
    exact = search(Chain(1, 24), GOALS, optimizer="chain_exact", evaluations=None, stagnation=1000)
    for options in ({"megabytes": 0.5}, {"seconds": 0.02}):
        solver = ChainExact(view, ChainExactOptions(**options))
        front = search(Chain(1, 24), GOALS, optimizer=solver, evaluations=None, stagnation=1000)
        assert solver.epsilon < np.inf and (front.note == "exact" or front.note.startswith("within "))
        near = (front.minimised[None] <= exact.minimised[:, None] * (1 + solver.epsilon) + 1e-12).all(axis=2)
        assert near.any(axis=1).all()
    with pytest.raises(ProblemError, match="at least 0"):
        ChainExactOptions(seconds=-1.0)


def test_merged_labels_promise_no_factor_where_limits_bind() -> None:
    """The cheaper of two labels in a cell uses a little more of the limit, which only the other one keeps."""
    evaluator = RandomChain(0, n=3, m=1, pairs=False, limited=True)
    evaluator.unary = np.tile([[0.0, 0.0], [10.0, 9.8], [10.0, 110.0]], (1, 1, 2))
    evaluator.weight, evaluator.limit = np.tile([[0.0, 0.0], [10.0, 10.05], [10.0, 0.0]], 2), 20.0
    view = view_of(Problem.of(evaluator, ["cost0"]), Budget())
    solved = ChainExact(view, ChainExactOptions(epsilon=0.3))
    found = evaluator.price(solved.ask(1, np.random.default_rng(0)))["cost0"][0]
    assert found <= 20.0 * (1.0 + solved.epsilon)

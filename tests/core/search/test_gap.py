"""Certified gaps: never smaller than the truth, zero where the front is exact."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import RandomChain, brute_front, everything
from tests.support.chains import KINDS, Chain

from tradespace.problem import Problem
from tradespace.search.api import search
from tradespace.search.front import Front
from tradespace.search.gap import bound_set, certified_gap, chain_objectives, with_constraints
from tradespace.search.indicators import hypervolume, reference_box


def _objectives(m: int) -> list[str]:
    return [f"cost{k}" for k in range(m)]


@pytest.mark.parametrize("seed", range(40))
def test_the_bound_is_valid(seed: int) -> None:
    """Exact terms and true minorants, limits, user constraints, pair terms, negative sums; 2 and 3 objectives."""
    m = 2 + seed % 2
    chain = RandomChain(
        seed, n=5, m=m, limited=seed % 3 == 0, minorant=seed % 2 == 0, pairs=seed % 4 > 0, shift=-30.0 * (seed % 5 == 0)
    )
    problem = Problem.of(chain, _objectives(m), ["cost1<=140"] if seed % 7 == 0 else [])
    _, scores = everything(problem)
    feasible = scores.objectives[scores.feasible]
    if not len(feasible):
        pytest.skip("nothing is feasible")
    box, rng = reference_box(problem), np.random.default_rng(seed)
    best = hypervolume(feasible, box)
    some = feasible[rng.choice(len(feasible), min(12, len(feasible)), replace=False)]
    for known in (some, brute_front(feasible)):
        gap = certified_gap(problem, known, box)
        assert gap is not None
        assert gap.hypervolume_bound >= best - 1e-12
        assert 0.0 <= gap.gap <= 1.0
        assert gap.gap >= 1.0 - hypervolume(known, box) / best - 1e-9
        structure = problem.structure()
        names = chain_objectives(problem, structure)
        assert structure is not None and names is not None
        points, _ = bound_set(problem, structure, names, known, box)
        inside = feasible[(feasible < box.reference).all(axis=1)]
        both = np.concatenate([known, points])
        assert (both[None] <= inside[:, None] + 1e-9).all(axis=2).any(axis=1).all()


def test_the_gap_of_an_exact_front_is_zero() -> None:
    front = search(RandomChain(1, n=6, m=3), _objectives(3), optimizer="exhaustive", evaluations=10_000)
    assert front.gap is not None and front.gap.gap < 1e-9 and front.gap.epsilon == 0.0
    assert "exact" in front.gap.method


def test_a_worse_front_has_a_larger_gap() -> None:
    def found(evaluations: int) -> Front:
        options = {"warm_start": "none"}
        goals = ["latency", "energy", "loss"]
        return search(Chain(0, 16), goals, optimizer="pgsam", options=options, evaluations=evaluations)

    small, large = found(100), found(2000)
    assert small.gap is not None and large.gap is not None
    assert small.gap.gap > large.gap.gap > 0.0


def test_a_limit_that_binds_tightens_the_bound() -> None:
    capped = search(Chain(0, 16, kind="capped"), ["latency", "energy", "loss"], evaluations=2000)
    assert capped.gap is not None and "within full" in capped.gap.method
    problem = capped.problem
    structure = problem.structure()
    assert structure is not None
    points, _ = bound_set(problem, structure, ("latency", "energy", "loss"), capped.minimised, capped.box)
    without = hypervolume(np.concatenate([capped.minimised, points]), capped.box)
    assert capped.gap.hypervolume_bound < without


def test_minorants_bound_a_coupled_chain() -> None:
    front = search(Chain(1, 16, kind="coupled"), ["latency", "energy", "loss"], evaluations=2000)
    assert front.gap is not None and "minorant" in front.gap.method
    assert 0.0 < front.gap.gap < 0.2


@pytest.mark.parametrize("objectives", [["max:cost0", "cost1"], ["cost0 + cost1"], ["cost0 * 2", "cost1"]])
def test_objectives_without_a_term_have_no_bound(objectives: list[str]) -> None:
    assert search(RandomChain(0), objectives, evaluations=100).gap is None


def test_user_constraints_of_the_right_form_join_the_structure() -> None:
    problem = Problem.of(Chain(0, 6), ["latency", "energy"], ["loss<=0.5", "energy<=1 J", "loss>=0", "mem0<=1"])
    structure = with_constraints(problem)
    assert structure is not None and set(structure.limits) == {"loss<=0.5"}
    assert structure.limits["loss<=0.5"][1] == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_no_gap_is_smaller_than_what_the_best_known_front_shows(kind: str) -> None:
    """The bound must not be below the union of long searches and the solver that knows the structure; and the gap of a
    short search must cover what it is missing of that union."""
    goals = ["latency", "energy", "loss"]
    chain = Chain(5, 12, kind=kind)
    fronts = [search(chain, goals, optimizer="pgsam", evaluations=2000)]
    fronts.append(search(chain, goals, optimizer="chain_exact", evaluations=2000, options={"labels": 200}))
    short = search(chain, goals, optimizer="pgsam", evaluations=300)
    box = reference_box(short.problem)
    best = hypervolume(np.concatenate([front.minimised for front in fronts]), box)
    for front in (short, *fronts):
        assert front.gap is not None
        assert front.gap.hypervolume_bound >= best * (1 - 1e-9)
    assert short.gap is not None and short.gap.gap >= 1 - hypervolume(short.minimised, box) / best - 1e-9


def test_the_largest_of_sums_alone_is_bounded_by_multipliers() -> None:
    """One objective, a maximum: multipliers say more than the mean of its groups, and never too much."""
    chain = Chain(3, 8, kind="bottleneck")
    front, exact = (search(chain, ["latency"], optimizer=o, evaluations=2000) for o in ("pgsam", "chain_exact"))
    assert exact.note == "exact" and front.gap is not None and "Lagrangian" in front.gap.method
    box = reference_box(front.problem)
    mean, _ = bound_set(front.problem, chain.structure(), ("latency",), front.minimised, box)
    assert hypervolume(exact.minimised, box) <= front.gap.hypervolume_bound <= hypervolume(mean, box) + 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_one_largest_sum_is_proved_by_branch_and_bound(seed: int) -> None:
    """The period of a pipeline alone: found and certified, where multipliers leave a duality gap."""
    evaluator = Chain(seed, 6, p=2, kind="bottleneck")
    _, scores = everything(Problem.of(evaluator, ["latency"]))
    front = search(evaluator, ["latency"], evaluations=1000)
    assert front.minimised.min() == pytest.approx(scores.objectives.min(), rel=1e-3)
    assert front.gap is not None and front.gap.gap < 2e-3
    poor = search(evaluator, ["latency"], optimizer="random", evaluations=20)
    assert poor.gap is not None and poor.gap.gap >= 1 - poor.hypervolume / front.hypervolume - 1e-9

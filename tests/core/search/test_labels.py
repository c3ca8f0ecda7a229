"""Label dynamic programming against brute force, and what merging labels may and may not do."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import RandomChain, brute_front, everything
from tests.support.chains import Chain

from tradespace.problem import Problem
from tradespace.search.labels import chain_of, label_front, limits_of, spread_order


def _front(chain: RandomChain, m: int, *, budget: int = 100_000, merge: str = "design", **options):  # type: ignore[no-untyped-def]
    structure = chain.structure()
    arrays = chain_of(structure, [f"cost{k}" for k in range(m)], list(limits_of(structure).values()))
    scale = np.full(arrays.unary.shape[2], 50.0)
    return label_front(arrays, merge=merge, scale=scale, budget=budget, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(50))
def test_the_front_equals_brute_force(seed: int) -> None:
    """50 random instances: 2 and 3 objectives, with and without pair terms and limits, some with negative sums."""
    m = 2 + seed % 2
    chain = RandomChain(seed, m=m, pairs=seed % 3 > 0, limited=seed % 5 > 1, shift=-30.0 * (seed % 7 == 0))
    problem = Problem.of(chain, [f"cost{k}" for k in range(m)])
    _, scores = everything(problem)
    found = _front(chain, m)
    exact = brute_front(scores.objectives[scores.feasible])
    assert found.epsilon == 0.0
    assert np.allclose(np.unique(found.values[:, :m], axis=0), exact, rtol=0, atol=1e-9)
    columns = {"device": found.states // 2, "precision": found.states % 2}
    priced = problem.score(problem.space.designs(columns))
    assert priced.feasible.all() and np.allclose(priced.objectives, found.values[:, :m])


@pytest.mark.parametrize("seed", range(12))
def test_merged_minima_dominate_every_design(seed: int) -> None:
    chain = RandomChain(seed, n=6, m=3, shift=-30.0 * (seed % 2))
    _, scores = everything(Problem.of(chain, ["cost0", "cost1", "cost2"]))
    found = _front(chain, 3, budget=6, merge="least")
    assert found.epsilon > 0
    covered = (found.values[None] <= scores.objectives[:, None] + 1e-9).all(axis=2).any(axis=1)
    assert covered.all()


@pytest.mark.parametrize("epsilon", [0.05, 0.5])
def test_the_epsilon_guarantee_holds(epsilon: float) -> None:
    sizes = np.zeros(2)
    for seed in range(10):
        chain = RandomChain(seed, n=5, m=3)
        _, scores = everything(Problem.of(chain, ["cost0", "cost1", "cost2"]))
        found = _front(chain, 3, epsilon=epsilon)
        exact = brute_front(scores.objectives)
        assert found.epsilon <= epsilon * 1.001
        near = (found.values[None] <= exact[:, None] * (1 + found.epsilon) + 1e-9).all(axis=2).any(axis=1)
        assert near.all()
        sizes += len(found.values), len(exact)
    assert sizes[0] < sizes[1] * (1.0 if epsilon > 0.1 else 1.001)


def test_a_small_label_budget_reports_its_epsilon_and_keeps_it() -> None:
    chain = RandomChain(1, n=5, m=2)
    _, scores = everything(Problem.of(chain, ["cost0", "cost1"]))
    found = _front(chain, 2, budget=5)
    assert found.epsilon > 0
    exact = brute_front(scores.objectives)
    assert (found.values[None] <= exact[:, None] * (1 + found.epsilon) + 1e-9).all(axis=2).any(axis=1).all()


def test_known_designs_and_a_reference_drop_only_what_they_cover() -> None:
    chain = RandomChain(2, n=5, m=2)
    _, scores = everything(Problem.of(chain, ["cost0", "cost1"]))
    exact = brute_front(scores.objectives)
    reference = np.quantile(exact, 0.8, axis=0)
    known = exact[::3]
    found = _front(chain, 2, reference=reference, known=known)
    wanted = exact[(exact <= reference).all(axis=1)]
    both = np.concatenate([known, found.values])
    assert (both[None] <= wanted[:, None] + 1e-9).all(axis=2).any(axis=1).all()
    assert len(found.values) <= len(wanted) - len([k for k in known if (k <= reference).all()])


def test_limits_that_cannot_bind_do_not_multiply_labels() -> None:
    """A capacity that every path respects merges into the labels without it."""
    chain = RandomChain(3, n=6, m=2, limited=True)
    chain.limit = float(chain.weight.max(axis=1).sum())
    free = RandomChain(3, n=6, m=2)
    assert np.array_equal(np.unique(_front(chain, 2).values[:, :2], axis=0), np.unique(_front(free, 2).values, axis=0))
    assert not limits_of(chain.structure())["memory"].open


def test_long_chains_stay_within_the_budget() -> None:
    structure = Chain(0, 48).structure()
    arrays = chain_of(structure, ("latency", "energy", "loss"))
    scale = np.array([0.05, 0.5, 1.0])
    found = label_front(arrays, merge="design", scale=scale, budget=50)
    assert 0 < len(found.values) <= 50 * arrays.unary.shape[1] and found.states.shape[1] == 48


def test_every_beginning_of_a_spread_order_covers_the_range() -> None:
    values = np.random.default_rng(0).permutation(100)[:, None].astype(float)
    order = spread_order(values)
    assert sorted(order.tolist()) == list(range(100))
    start = np.sort(values[order[:9], 0])
    assert np.diff(start).max() <= 16 and start[0] == 0

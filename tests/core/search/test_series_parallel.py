"""Fronts of series-parallel graphs by label sets, against brute force."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tradespace.problem import ChainTerm, Graph
from tradespace.search.graph_labels import (
    Effort,
    graph_front,
    graph_least,
    graph_of_terms,
    graph_sums,
    labels_within,
    shape_of,
)
from tradespace.search.graph_program import program
from tradespace.search.indicators import nondominated
from tradespace.search.labels import Limit
from tradespace.search.series_parallel import reduced

SQUARE_WITH_DIAGONALS = tuple(itertools.combinations(range(4), 2))


def partial_two_tree(rng: np.random.Generator, n: int) -> tuple[tuple[int, int], ...]:
    """Edges of a random graph of treewidth two at most: any direction, some twice, not always connected."""
    edges = [(0, 1)]
    for v in range(2, n):
        a, b = edges[rng.integers(len(edges))]
        edges += [(a, v), (b, v)]
    place = rng.permutation(n)
    kept = [(int(place[a]), int(place[b])) for a, b in edges if rng.random() < 0.8]
    kept = [edge if rng.random() < 0.5 else edge[::-1] for edge in kept]
    return tuple(kept + kept[: int(rng.random() < 0.2)])


class Case:
    """A random graph with integer terms, limits that two in five designs keep, and states and pairs that are barred."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = np.random.default_rng(seed)
        n, states = int(rng.integers(2, 8)), int(rng.integers(2, 4))
        edges = partial_two_tree(rng, n)
        low = -5 if seed % 5 == 0 else 0

        def term(pairs: bool) -> ChainTerm:
            unary, pair = rng.integers(low, 10, (n, states)), rng.integers(low, 10, (len(edges), states, states))
            return ChainTerm(unary.astype(float), pair.astype(float) if pairs else None)

        self.terms = [term(rng.random() < 0.85) for _ in range(int(rng.integers(1, 5)))]
        allowed = rng.random((n, states)) < 0.9
        allowed[:, 0] = True
        links = rng.random((len(edges), states, states)) < 0.9 if seed % 2 else None
        self.graph = Graph(edges, {f"cost{k}": t for k, t in enumerate(self.terms)}, allowed=allowed, links=links)
        self.designs = np.asarray(list(itertools.product(range(states), repeat=n)))
        self.limits = []
        for _ in range(int(rng.integers(0, 3)) if len(self.terms) < 4 else 0):
            use = term(rng.random() < 0.3)
            self.limits.append(Limit(use, float(np.quantile(graph_sums(self.graph, use, self.designs), 0.4))))
        self.values = np.stack([graph_sums(self.graph, t, self.designs) for t in self.terms], axis=1)
        self.fits = self._fits()
        rows = np.unique(self.values[self.fits], axis=0)
        self.front = rows[nondominated(rows)]
        self.arrays = graph_of_terms(self.graph, self.terms, self.limits)
        self.scale = np.full(len(self.terms) + len(self.limits), 10.0)

    def _fits(self) -> np.ndarray:
        graph, x = self.graph, self.designs
        assert graph.allowed is not None
        fits = graph.allowed[np.arange(x.shape[1]), x].all(axis=1)
        for e, (a, b) in enumerate(graph.edges):
            fits &= True if graph.links is None else graph.links[e][x[:, a], x[:, b]]
        for limit in self.limits:
            fits &= graph_sums(graph, limit.term, x) <= limit.cap
        return np.asarray(fits)

    def solve(self, **options: Any) -> Any:
        options = {"merge": "design", "effort": Effort.of(self.arrays)} | options
        return graph_front(self.arrays, scale=self.scale, **options)


@pytest.mark.parametrize("block", range(10))
def test_fronts_are_those_of_brute_force(block: int) -> None:
    for seed in range(30 * block, 30 * block + 30):
        case = Case(seed)
        found, m = case.solve(), len(case.terms)
        assert found.epsilon == 0.0
        assert np.array_equal(np.unique(found.values[:, :m], axis=0), case.front), f"seed {seed}"
        for k, term in enumerate(case.terms):  # the designs have the sums that their labels say
            assert np.array_equal(graph_sums(case.graph, term, found.states), found.values[:, k])
        for limit in case.limits:
            assert (graph_sums(case.graph, limit.term, found.states) <= limit.cap).all()


@pytest.mark.parametrize("block", range(5))
def test_merged_labels_keep_their_guarantees(block: int) -> None:
    """A factor for designs, a bound for minima; both also where hardly any label may be kept, or sums are few."""
    merged = 0
    for seed in range(30 * block, 30 * block + 30):
        case = Case(seed)
        m = len(case.terms)
        for effort in (Effort(1e9, labels=4), Effort(200.0)):
            found = case.solve(effort=effort)
            merged += found.epsilon > 0
            if np.isfinite(found.epsilon):
                near = found.values[None, :, :m] <= case.front[:, None] * (1 + found.epsilon) + 1e-9
                assert near.all(axis=2).any(axis=1).all(), f"seed {seed}"
            bound = case.solve(merge="least", effort=effort)
            assert (bound.values[None, :, :m] <= case.front[:, None] + 1e-9).all(axis=2).any(axis=1).all()
    assert merged > 10


def test_an_epsilon_that_is_asked_for_is_kept() -> None:
    tried = 0
    for seed in range(60):
        case = Case(seed)
        found = case.solve(epsilon=0.1)
        if seed % 5 and len(case.limits) < 2:
            assert found.epsilon <= 0.1 + 1e-9
            near = found.values[None, :, : len(case.terms)] <= case.front[:, None] * 1.1 + 1e-9
            assert near.all(axis=2).any(axis=1).all()
            tried += found.epsilon > 0
    assert tried > 5


def test_known_designs_leave_nothing_out_that_they_do_not_dominate() -> None:
    for seed in range(60):
        case = Case(seed)
        m, rows = len(case.terms), case.values[case.fits]
        if not len(rows):
            continue
        known = rows[case.rng.choice(len(rows), min(3, len(rows)), replace=False)]
        reference = np.quantile(rows, 0.9, axis=0) + 0.5
        found = case.solve(merge="least", known=known, reference=reference)
        both = np.concatenate([known, found.values[:, :m]])
        inside = rows[(rows < reference).all(axis=1)]
        assert (both[None] <= inside[:, None]).all(axis=2).any(axis=1).all()


def test_the_least_sum_alone() -> None:
    for seed in range(60):
        case = Case(seed)
        barred = Case(seed)
        barred.limits = []
        rows = case.values[barred._fits()]
        least = graph_least(case.graph, case.terms[0])
        assert least == (rows[:, 0].min() if len(rows) else np.inf)


def test_what_is_series_parallel() -> None:
    assert reduced(4, SQUARE_WITH_DIAGONALS) is None
    assert reduced(4, SQUARE_WITH_DIAGONALS[1:]) is not None
    ladder = [(i, i + 2) for i in range(18)] + [(i, i + 1) for i in range(0, 20, 2)]
    assert reduced(20, ladder) is not None
    grid = [(3 * r + c, 3 * r + c + 1) for r in range(3) for c in range(2)] + [(v, v + 3) for v in range(6)]
    assert reduced(9, grid) is None
    assert reduced(5000, [(i, i + 1) for i in range(4999)]) is not None
    assert reduced(3, []) is not None
    unary = ChainTerm(np.zeros((4, 2)), np.zeros((6, 2, 2)))
    assert "not series-parallel" in shape_of(Graph(SQUARE_WITH_DIAGONALS, {"cost": unary}))
    assert "no term" in shape_of(Graph((), {}))
    with pytest.raises(ValueError, match="not series-parallel"):
        graph_of_terms(Graph(SQUARE_WITH_DIAGONALS, {"cost": unary}), [unary])


def test_memory_bounds_labels() -> None:
    items = program(Case(3).arrays)
    assert labels_within(items, 1e-9) == 1 < labels_within(items, 10.0)

"""Graphs with skipping edges and contiguous placement, solved as chains: against brute force."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core.search.toys import RandomChain, brute_front, everything

from tradespace.costs.held import kept, lifted
from tradespace.costs.tables import TablesFactory
from tradespace.designs import Designs
from tradespace.plugins import registry
from tradespace.problem import ChainTerm, MaxTerm, Prices, Problem, Structure
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget
from tradespace.search.indicators import hypervolume
from tradespace.targets import load_target
from tradespace.workloads import load_workload
from tradespace_optimizers.chain_exact import ChainExact, ChainExactOptions

NETWORK = Path(__file__).parents[4] / "shared" / "data" / "mlperf-tiny" / "pretrainedResnet_quant.tflite"


class Skipping(RandomChain):
    """A random chain with edges that skip entries; ``worst``: metric 0 is the larger of two such sums."""

    def __init__(self, seed: int, edges: tuple[tuple[int, int], ...], *, worst: bool = False, **options: Any) -> None:
        super().__init__(seed, **options)
        self.edges, self.worst = edges, worst
        self.far = np.random.default_rng(seed + 99).integers(0, 40, (len(self.metrics), len(edges), 4, 4)).astype(float)

    def price(self, designs: Designs) -> Prices:
        prices, state = super().price(designs), designs["device"].astype(int) * 2 + designs["precision"]
        for k, metric in enumerate(self.metrics):
            for e, (a, b) in enumerate(self.edges):
                prices.columns[metric.name][:] += self.far[k, e][state[:, a], state[:, b]]
        if self.worst:
            np.maximum(prices["cost0"], prices["cost1"], out=prices.columns["cost0"])  # type: ignore[call-overload]
        return prices

    def structure(self) -> Structure:
        plain, edges = super().structure(), kept(self.edges, self.n, 4)
        rows = [self.edges.index(edge) for edge in edges]
        whole = len(edges) == len(self.edges)
        terms = {
            name: ChainTerm(t.unary, np.concatenate([t.pair, self.far[k][rows]]), whole)
            for k, (name, t) in enumerate(plain.terms.items())
        }
        maxima = {}
        if self.worst:
            maxima["cost0"] = MaxTerm((terms["cost0"], terms["cost1"]), whole)
            terms["cost0"] = dataclasses.replace(terms["cost0"], exact=False)
        return lifted(dataclasses.replace(plain, terms=terms, maxima=maxima), edges)


@pytest.mark.parametrize(
    ("edges", "worst", "limited"),
    [
        (((0, 2), (2, 4)), False, False),
        (((0, 2), (0, 4)), True, False),
        (((1, 4),), False, True),
        (((0, 3), (3, 5)), False, False),
    ],
)
def test_residual_graphs_have_the_exhaustive_front(edges: Any, worst: bool, limited: bool) -> None:
    evaluator = Skipping(len(edges) + edges[0][1], edges, n=6, limited=limited, worst=worst)
    goals = ["cost0", "cost1"]
    _, scores = everything(Problem.of(evaluator, goals))
    front = search(evaluator, goals, optimizer="chain_exact")
    assert np.array_equal(np.unique(front.minimised, axis=0), brute_front(scores.objectives[scores.feasible]))
    assert front.note == "exact" and front.gap is not None
    auto = search(evaluator, goals, evaluations=2000)
    assert "declared_chain" in auto.note and auto.hypervolume == pytest.approx(front.hypervolume)


def test_a_gap_is_tight_and_never_too_small() -> None:
    evaluator = Skipping(3, ((0, 2), (2, 5)), n=6, m=3)
    goals = ["cost0", "cost1", "cost2"]
    exact = search(evaluator, goals, optimizer="chain_exact")
    poor = search(evaluator, goals, optimizer="random", evaluations=60)
    assert exact.gap is not None and exact.gap.gap < 1e-9
    assert poor.gap is not None and poor.gap.gap >= 1 - poor.hypervolume / exact.hypervolume - 1e-9


def test_edges_that_cross_are_left_to_a_lower_bound() -> None:
    assert kept([(0, 2), (2, 4), (0, 4)], 5, 4) == ((0, 2), (2, 4))
    assert kept([(0, 3), (1, 4)], 5, 4) == ((0, 3),)
    assert kept([(0, 2)], 5, 100) == ()
    evaluator = Skipping(2, ((0, 3), (1, 4)), n=5)
    designs, scores = everything(Problem.of(evaluator, ["cost0"]))
    term = evaluator.structure().terms["cost0"]
    state = designs["device"].astype(int) * 2 + designs["precision"]
    memory = np.concatenate(
        [np.zeros((len(state), 1), int), state[:, :1], state[:, :1], np.zeros((len(state), 2), int)], 1
    )
    path, i = memory * 4 + state, np.arange(5)
    assert term.pair is not None and not term.exact
    total = term.unary[i, path].sum(axis=1) + term.pair[i[:-1], path[:, :-1], path[:, 1:]].sum(axis=1)
    assert (total <= scores.objectives[:, 0]).all() and (total < scores.objectives[:, 0]).any()


def contiguous(**options: Any) -> Any:
    names = registry()
    options |= {"placement": "contiguous", "precisions": ["int8"]}
    return TablesFactory().bind(load_workload("smollm-135m", names), load_target("laptop", names), options)


def test_contiguous_placement_has_the_exhaustive_front() -> None:
    evaluator, goals = contiguous(), ["latency", "energy"]
    _, scores = everything(Problem.of(evaluator, goals))
    front = search(evaluator, goals, optimizer="chain_exact")
    unit = scores.objectives.min(axis=0)
    brute = brute_front(np.round(scores.objectives[scores.feasible] / unit, 12))
    assert front.note == "exact" and front.gap is not None and front.gap.gap < 1e-9
    assert np.array_equal(np.unique(np.round(front.minimised / unit, 12), axis=0), brute)


def test_contiguous_pipelines_keep_their_guarantee() -> None:
    evaluator, goals = contiguous(schedule="pipeline"), ["period", "energy"]
    _, scores = everything(Problem.of(evaluator, goals))
    solved = ChainExact(view_of(Problem.of(evaluator, goals), Budget()), ChainExactOptions())
    front = search(evaluator, goals, optimizer="chain_exact")
    brute = brute_front(scores.objectives[scores.feasible])
    near = (front.minimised[None] <= brute[:, None] * (1 + solved.epsilon) + 1e-12).all(axis=2).any(axis=1)
    assert near.all() and solved.epsilon < 0.5
    best = hypervolume(brute, front.box)
    assert front.gap is not None and front.gap.gap >= 1 - front.hypervolume / best - 1e-9


def test_milp_keeps_what_may_follow() -> None:
    evaluator = Skipping(5, ((0, 2),), n=5)
    exact = search(evaluator, ["cost0"], optimizer="chain_exact")
    front = search(evaluator, ["cost0"], optimizer="milp", evaluations=50)
    assert front.minimised.min() == exact.minimised.min()


def test_a_residual_network_is_priced_exactly_by_its_chain() -> None:
    names = registry()
    if not NETWORK.exists():
        pytest.skip("the data folder with MLPerf Tiny's networks is not here")
    graph = load_workload(str(NETWORK), names)
    evaluator = TablesFactory().bind(graph, load_target("laptop", names), {})
    structure = evaluator.structure()
    assert structure is not None and structure.links is not None
    designs = evaluator.space.sample(500, np.random.default_rng(0))
    prices = evaluator.price(designs)
    own = designs["placement"].astype(int) * len(evaluator.binding.precisions) + designs["precision"]
    path = _remembering(own, structure, evaluator.binding.entries.edges)
    i = np.arange(own.shape[1])
    for name in ("latency", "energy"):
        term = structure.terms[name]
        assert term.exact and term.pair is not None
        total = term.unary[i, path].sum(axis=1) + term.pair[i[:-1], path[:, :-1], path[:, 1:]].sum(axis=1)
        np.testing.assert_allclose(total, prices[name], rtol=1e-11)
        assert structure.links[i[:-1], path[:, :-1], path[:, 1:]].all()


def _remembering(own: Any, structure: Structure, edges: Any) -> Any:
    """(N, n) states with what they remember."""
    size = round(next(iter(structure.terms.values())).unary.shape[1] ** 0.5)
    memory = np.zeros_like(own)
    for a, b in itertools.product(range(own.shape[1]), repeat=2):
        if b > a + 1 and ((edges.source == a) & (edges.dest == b)).any():
            memory[:, a + 1 : b] = own[:, [a]]
    return memory * size + own

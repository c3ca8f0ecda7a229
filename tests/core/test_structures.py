"""Structures that authors declare: graphs with branches, and what each option of a variable adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core.search.toys import brute_front, everything

from tradespace.costs.tables import TablesFactory
from tradespace.designs import Choice, Designs, Real, Space
from tradespace.errors import PluginError
from tradespace.plugins import registry
from tradespace.problem import ChainTerm, Graph, MaxTerm, Metric, Prices, Problem, Structure
from tradespace.search.api import search
from tradespace.search.gap import certified_gap
from tradespace.search.graph_labels import graph_sums
from tradespace.search.indicators import hypervolume, least_values, reference_box
from tradespace.structures import graph_structure, per_variable
from tradespace.targets import load_target
from tradespace.testing.evaluators import check_evaluator
from tradespace.workloads import load_workload

BRANCHES = ((0, 1), (0, 2), (2, 3), (0, 4), (1, 5), (3, 5), (4, 5))  # one node, two nodes, one node, then a join
CROSSED = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4), (4, 5))


class Network:
    """Six entries on two devices in two formats; edges cost. ``worst``: cost0 is the larger of two sums; ``full``:
    capacities of both devices."""

    def __init__(
        self, seed: int, edges: tuple[tuple[int, int], ...] = BRANCHES, *, worst: bool = False, full: bool = False
    ) -> None:
        rng = np.random.default_rng(seed)
        self.space = Space(Choice("device", ("a", "b"), 6), Choice("precision", ("x", "y"), 6))
        self.metrics = tuple(Metric(f"cost{k}", "1", "min", "a sum") for k in range(3))
        unary = rng.integers(1, 60, (3, 6, 4)).astype(float)
        pair = rng.integers(0, 20, (3, len(edges), 4, 4)).astype(float)
        terms = {m.name: ChainTerm(unary[k], pair[k]) for k, m in enumerate(self.metrics)}
        maxima = {"cost0": MaxTerm((terms["cost0"], terms["cost1"]))} if worst else {}
        size, on = rng.integers(1, 10, (6, 4)).astype(float), np.asarray([0, 0, 1, 1])
        limits = {f"full{d}": (size * (on == d), 14.0) for d in range(2)} if full else {}
        if worst:
            terms["cost0"] = ChainTerm(unary[0], pair[0], exact=False)
        self.graph = Graph(edges, terms, limits, maxima)

    def price(self, designs: Designs) -> Prices:
        state = (designs["device"] * 2 + designs["precision"]).astype(np.intp)
        columns = {}
        for metric in self.metrics:
            columns[metric.name] = np.max([graph_sums(self.graph, t, state) for t in self.graph.groups(metric.name)], 0)
        limits = self.graph.limits.items()
        over = {name: graph_sums(self.graph, ChainTerm(use), state) / cap - 1.0 for name, (use, cap) in limits}
        return Prices(columns, over)

    def structure(self) -> Structure:
        return graph_structure(("device", "precision"), self.graph)


@pytest.mark.parametrize(("worst", "full"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("seed", range(3))
def test_branching_networks_are_solved_exactly(seed: int, worst: bool, full: bool) -> None:
    evaluator, goals = Network(seed, worst=worst, full=full), ["cost0", "cost1"]
    assert check_evaluator(evaluator).passed
    _, scores = everything(Problem.of(evaluator, goals))
    brute = brute_front(scores.objectives[scores.feasible])
    front = search(evaluator, goals, optimizer="chain_exact")
    assert front.note == "exact" and np.array_equal(np.unique(front.minimised, axis=0), brute)
    assert front.gap is not None and "exact series-parallel" in front.gap.method.replace("minorant", "exact")
    assert worst or full or front.gap.gap < 1e-9
    auto = search(evaluator, goals, evaluations=2000)
    assert "declared_chain" in auto.note
    if worst and full:  # two sums, one sum and two capacities are more than are swept
        assert "pgsam from lower bounds" in auto.note and auto.hypervolume > 0.95 * front.hypervolume
    else:
        assert auto.hypervolume == pytest.approx(front.hypervolume)
        assert full or "exact" in auto.note


@pytest.mark.parametrize("seed", range(6))
def test_gaps_of_branching_networks_are_never_too_small(seed: int) -> None:
    evaluator = Network(seed, worst=seed % 2 == 1, full=seed % 3 == 1)
    goals = ["cost0", "cost1", "cost2"][: 2 + seed % 2]
    problem = Problem.of(evaluator, goals, ["cost1<=220"] if seed == 4 else [])
    _, scores = everything(problem)
    feasible, box = scores.objectives[scores.feasible], reference_box(problem)
    best = hypervolume(feasible, box)
    few = feasible[np.random.default_rng(seed).choice(len(feasible), 5)]
    for known in (few, brute_front(feasible)):
        gap = certified_gap(problem, known, box)
        assert gap is not None and gap.hypervolume_bound >= best - 1e-12
    assert (least_values(problem) <= scores.objectives.min(axis=0)).all()
    if seed in (0, 2):  # sums without limits: the bounds are the truth
        assert np.array_equal(least_values(problem), scores.objectives.min(axis=0)) and gap.gap < 1e-9


def test_a_users_limit_on_a_graph_is_kept() -> None:
    evaluator = Network(1)
    weight = ChainTerm(evaluator.graph.terms["cost2"].unary)
    evaluator.graph = Graph(BRANCHES, {**evaluator.graph.terms, "cost2": weight})
    problem = Problem.of(evaluator, ["cost0", "cost1"], ["cost2<=150"])
    _, scores = everything(problem)
    brute = brute_front(scores.objectives[scores.feasible])
    front = search(evaluator, ["cost0", "cost1"], ["cost2<=150"], optimizer="chain_exact")
    assert front.note == "exact" and np.array_equal(np.unique(front.minimised, axis=0), brute)
    assert len(brute) and scores.feasible.mean() < 0.5


def test_other_graphs_are_bounded_and_say_why() -> None:
    evaluator = Network(0, CROSSED)
    front = search(evaluator, ["cost0", "cost1"], optimizer="chain_exact")
    assert "lower bounds" in front.note and "not series-parallel" in front.note
    auto = search(evaluator, ["cost0", "cost1"], evaluations=300)
    assert "pgsam" in auto.note and "not series-parallel" in auto.note
    assert auto.gap is not None and "minorant chain" in auto.gap.method
    assert check_evaluator(evaluator).passed


def test_graphs_that_chains_hold_become_chains() -> None:
    evaluator = Network(0, ((0, 1), (1, 2), (3, 2), (3, 4), (4, 5), (1, 3)))
    structure = evaluator.structure()
    assert structure.graph is None and structure.terms["cost0"].exact
    _, scores = everything(Problem.of(evaluator, ["cost0", "cost1"]))
    front = search(evaluator, ["cost0", "cost1"], optimizer="chain_exact")
    assert front.note == "exact" and np.array_equal(np.unique(front.minimised, axis=0), brute_front(scores.objectives))


def test_a_graph_is_checked() -> None:
    with pytest.raises(PluginError, match="two different entries"):
        Graph(((1, 1),), {})
    evaluator = Network(0)
    wrong = ChainTerm(evaluator.graph.terms["cost0"].unary + 1.0, evaluator.graph.terms["cost0"].pair)
    honest = evaluator.graph
    evaluator.structure = lambda: graph_structure(  # type: ignore[method-assign]
        ("device", "precision"), Graph(BRANCHES, {**honest.terms, "cost0": wrong})
    )
    assert not check_evaluator(evaluator).passed


@pytest.fixture(scope="module")
def inception() -> Any:
    """GoogLeNet as ONNX ships it, on a laptop in three precisions."""
    onnx = pytest.importorskip("onnx")
    file = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_inception_v1.onnx"
    if not file.exists():
        pytest.skip("this release of onnx comes without its light networks")
    names = registry()
    options = {"precisions": ["fp16", "int8", "int4"]}
    return TablesFactory().bind(load_workload(str(file), names), load_target("laptop", names), options)


def test_an_inception_network_is_priced_exactly_by_its_graph(inception: Any) -> None:
    structure = inception.structure()
    assert structure.graph is not None and not structure.terms["latency"].exact
    designs = inception.space.sample(200, np.random.default_rng(0))
    prices = inception.price(designs)
    state = designs["placement"].astype(int) * len(inception.binding.precisions) + designs["precision"]
    for name in ("latency", "energy", "loss"):
        assert structure.graph.exact(name)
        np.testing.assert_allclose(graph_sums(structure.graph, structure.graph.terms[name], state), prices[name], 1e-11)


def test_an_inception_network_has_its_fastest_design_proved(inception: Any) -> None:
    front = search(inception, ["latency"], evaluations=500)
    assert "declared_chain" in front.note and "exact" in front.note
    assert front.gap is not None and front.gap.gap < 1e-9
    searched = search(inception, ["latency"], optimizer="pgsam", evaluations=2000)
    assert front.values[0, 0] <= searched.values[0, 0]


class Cells:
    """A network of three cells, a width and a clock: nothing adds up, but every option adds something at least."""

    def __init__(self, adds: dict[str, dict[str, Any]] | None = None) -> None:
        self.space = Space(
            Choice("cell", ("skip", "conv3", "conv5"), 3), Choice("width", (8, 16)), Real("clock", 0.5, 1.0)
        )
        self.metrics = (Metric("latency", "s", "min", "time"), Metric("loss", "1", "min", "error"))
        self.adds = adds or {
            "latency": {"cell": [0.0, 1.0, 2.5], "width": [1.0, 2.0]},
            "loss": {"cell": [[0.9, 0.3, 0.1], [0.6, 0.3, 0.1], [0.4, 0.2, 0.1]], "width": [0.2, 0.0]},
        }

    def price(self, designs: Designs) -> dict[str, np.ndarray]:
        cell, wide = designs["cell"].astype(int), designs["width"].astype(int)
        same = (cell[:, 1:] == cell[:, :-1]).sum(axis=1)
        latency = np.asarray([0.0, 1.0, 2.5])[cell].sum(axis=1) + 1.0 + wide
        loss = np.asarray([[0.9, 0.3, 0.1], [0.6, 0.3, 0.1], [0.4, 0.2, 0.1]])[np.arange(3), cell].sum(axis=1)
        loss = loss + np.where(wide, 0.0, 0.2)
        return {"latency": latency * (1.0 + 0.1 * same) / designs["clock"], "loss": loss * (1.0 + 0.05 * same)}

    def structure(self) -> Structure:
        return per_variable(self.space, self.adds)


def test_bounds_per_variable_certify_a_gap() -> None:
    evaluator, goals = Cells(), ["latency", "loss"]
    assert check_evaluator(evaluator).passed
    problem = Problem.of(evaluator, goals)
    box = reference_box(problem)
    grid = [(*cells, w) for cells in np.ndindex(3, 3, 3) for w in range(2)]
    best_clock = {"cell": np.asarray([g[:3] for g in grid]), "width": np.asarray([[g[3]] for g in grid])}
    every = evaluator.space.designs({**best_clock, "clock": np.ones((len(grid), 1))})
    truth = problem.score(every).objectives  # a slower clock is never better
    for found in (search(evaluator, goals, evaluations=30, optimizer="random"), search(evaluator, goals)):
        gap = certified_gap(problem, found.minimised, box)
        assert gap is not None and "minorant" in gap.method
        missing = 1.0 - hypervolume(found.minimised, box) / hypervolume(np.concatenate([truth, found.minimised]), box)
        assert missing - 1e-9 <= gap.gap < 1.0
    assert gap.gap < 0.3


def test_sums_of_single_variables_are_solved_exactly() -> None:
    class Additive(Cells):
        def __init__(self) -> None:
            super().__init__()
            self.space = Space(Choice("cell", ("skip", "conv3", "conv5"), 3), Choice("width", (8, 16)))

        def price(self, designs: Designs) -> Any:
            cell, wide = designs["cell"].astype(int), designs["width"].astype(int)
            tables = {k: np.broadcast_to(np.asarray(v["cell"]), (3, 3)) for k, v in self.adds.items()}
            sums = {
                k: t[np.arange(3), cell].sum(axis=1) + np.asarray(self.adds[k]["width"])[wide]
                for k, t in tables.items()
            }
            return Prices(sums, {"memory": sums["latency"] / 6.0 - 1.0})

        def structure(self) -> Structure:
            return per_variable(
                self.space, self.adds, exact=("latency", "loss"), limits={"memory": (self.adds["latency"], 6.0)}
            )

    evaluator, goals = Additive(), ["latency", "loss"]
    assert check_evaluator(evaluator).passed
    _, scores = everything(Problem.of(evaluator, goals))
    brute = brute_front(np.round(scores.objectives[scores.feasible], 9))
    for optimizer in ("chain_exact", "milp"):
        front = search(evaluator, goals, optimizer=optimizer)
        assert np.array_equal(np.unique(np.round(front.minimised, 9), axis=0), brute)
    assert front.gap is not None and front.gap.gap < 1e-9
    auto = search(evaluator, goals, evaluations=40)
    assert "declared_chain" in auto.note and np.array_equal(np.unique(np.round(auto.minimised, 9), axis=0), brute)


@pytest.mark.parametrize(
    ("adds", "words"),
    [
        ({"latency": {"clock": [0.0, 1.0]}}, "choices of the space"),
        ({"latency": {"cell": [0.0, 1.0]}}, "has shape"),
        ({"latency": {"cell": [0.0, 1.0, np.nan]}}, "finite"),
        ({"latency": {}}, "name a metric and a variable"),
    ],
)
def test_bounds_per_variable_are_checked(adds: Any, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        per_variable(Cells().space, adds)


def test_a_bound_that_is_too_high_is_found_by_the_kit() -> None:
    assert not check_evaluator(Cells({"latency": {"cell": [0.0, 1.0, 9.0]}})).passed


def test_the_example_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    source = next(part for part in page.split("```python")[1:] if "per_variable" in part).split("```")[0]
    known: dict[str, Any] = {}
    exec(compile(source, "docs/plugins.md", "exec"), known)
    evaluator, goals = known["Cells"](), ["latency", "loss"]
    assert check_evaluator(evaluator).passed
    problem = Problem.of(evaluator, goals)
    _, scores = everything(problem)
    box = reference_box(problem)
    for front in (search(evaluator, goals, optimizer="random", evaluations=8), search(evaluator, goals)):
        gap = certified_gap(problem, front.minimised, box)
        assert gap is not None
        assert gap.gap >= 1.0 - hypervolume(front.minimised, box) / hypervolume(scores.objectives, box) - 1e-9
    assert 0.0 < gap.gap < 0.1

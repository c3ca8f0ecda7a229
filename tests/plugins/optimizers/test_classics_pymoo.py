"""pymoo's family: equal to pymoo by hand design by design, seeded everywhere, and at home on every kind of variable."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from pymoo.algorithms.moo.age2 import AGEMOEA2
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.rvea import RVEA
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.moo.unsga3 import UNSGA3
from pymoo.core.evaluator import Evaluator
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.problems.static import StaticProblem
from pymoo.util.ref_dirs import get_reference_directions

from tradespace.designs import Choice, Designs, Integer, Permutation, Real, Space
from tradespace.errors import ProblemError, UnknownName
from tradespace.plugins import registry
from tradespace.problem import Metric, Prices, Problem
from tradespace.search.api import search
from tradespace.search.contract import SearchView, rng
from tradespace.search.indicators import Box, hypervolume
from tradespace.testing import problems
from tradespace.testing.optimizers import check_optimizer
from tradespace_optimizers import pymoo_family, pymoo_operators
from tradespace_optimizers.pymoo_directions import directions

GENETIC = ("nsga2", "nsga3", "unsga3", "sms_emoa", "age_moea2", "rvea")
FAMILY = (*GENETIC, "moead")
SEVERAL = ("nsga3", "age_moea2", "rvea", "moead")
UNIT = Box(np.zeros(2), np.ones(2), "")  # reference 1.1


class ZDT1:
    """Zitzler, Deb, Thiele (2000); ``factor`` scales both objectives."""

    metrics = (Metric("f1", "1", "min"), Metric("f2", "1", "min"))

    def __init__(self, n: int = 30, factor: float = 1.0) -> None:
        self.space, self.factor = Space(Real("x", 0.0, 1.0, length=n)), factor

    def price(self, designs: Designs) -> dict[str, Any]:
        x = designs["x"]
        g = 1 + 9 * x[:, 1:].mean(axis=1)
        return {"f1": self.factor * x[:, 0], "f2": self.factor * g * (1 - np.sqrt(x[:, 0] / g))}


class Stuck:
    """Nothing is feasible, and all designs are equally far from it."""

    space = problems.mixed_space()
    metrics = (Metric("a", "1", "min"), Metric("b", "1", "min"))

    def price(self, designs: Designs) -> Prices:
        share = designs["share"]
        return Prices({"a": share, "b": 1 - share}, {"limit": np.full(len(designs), 0.5)})


class Order:
    """How far an order is from two sorted ones that disagree: ascending, and with the first half last."""

    space = Space(Permutation("order", 12), Choice("side", ("left", "right"), 3))
    metrics = (Metric("a", "1", "min"), Metric("b", "1", "min"))

    def price(self, designs: Designs) -> dict[str, Any]:
        order, waste = designs["order"], designs["side"].sum(axis=1)
        other = np.roll(np.arange(12), 6)
        return {
            "a": np.abs(order - np.arange(12)).sum(axis=1) + waste,
            "b": np.abs(order - other).sum(axis=1) + waste,
        }


def built(name: str, problem: Problem, evaluations: int = 600, **options: Any) -> Any:
    cls = registry().load("optimizers", name)
    view = SearchView(problem.space, problem.names, problem.repair, evaluations=evaluations)
    return cls(view, cls.Options(**options))


def batches(optimizer: Any, problem: Problem, count: int, n: int = 12) -> list[Designs]:
    asked = []
    for b in range(count):
        asked.append(optimizer.ask(n, rng(3, b, "ask")))
        optimizer.tell(asked[-1], problem.score(asked[-1]), rng(3, b, "tell"))
    return asked


def by_hand(name: str, start: np.ndarray) -> Any:
    lines = get_reference_directions("das-dennis", 2, n_partitions=19)
    made = {
        "nsga2": lambda: NSGA2(pop_size=20, sampling=start),
        "nsga3": lambda: NSGA3(lines, sampling=start),
        "unsga3": lambda: UNSGA3(lines, sampling=start),
        "sms_emoa": lambda: SMSEMOA(pop_size=20, sampling=start),
        "age_moea2": lambda: AGEMOEA2(pop_size=20, sampling=start),
        "rvea": lambda: RVEA(lines, sampling=start),
    }
    return made[name]()


@pytest.mark.parametrize("name", GENETIC)
def test_the_adapter_proposes_what_pymoo_proposes(name: str) -> None:
    """Same start, same generators, 20 generations: the same designs to the last bit as pymoo's own ask and tell."""
    problem = Problem.of(ZDT1(), ["f1", "f2"])
    ours = built(name, problem, evaluations=400, pop_size=20)
    theirs = by_hand(name, problem.space.sample(20, rng(0, 0, "ask"))["x"])
    inner = PymooProblem(n_var=30, n_obj=2, n_ieq_constr=1, xl=np.zeros(30), xu=np.ones(30))
    theirs.setup(inner, termination=("n_eval", 400), seed=1, verbose=False)
    for batch in range(20):
        designs = ours.ask(20, rng(0, batch, "ask"))
        theirs.random_state = rng(0, batch, "ask")
        infills = theirs.ask()
        assert np.array_equal(infills.get("X"), designs["x"]), f"generation {batch}"
        scores = problem.score(designs)
        Evaluator().eval(StaticProblem(inner, F=scores.objectives, G=np.zeros((20, 1))), infills)
        theirs.random_state = rng(0, batch, "tell")
        theirs.tell(infills=infills)
        ours.tell(designs, scores, rng(0, batch, "tell"))


class Switches:
    """Switches that are on, and switches that differ from the one before."""

    space = Space(Choice("x", ("off", "on"), 40))
    metrics = (Metric("on", "1", "min"), Metric("plain", "1", "min"))

    def price(self, designs: Designs) -> dict[str, Any]:
        x = designs["x"]
        return {"on": 1.0 * x.sum(axis=1), "plain": 40.0 - (x[:, 1:] != x[:, :-1]).sum(axis=1)}


def test_strings_of_bits_are_crossed_and_flipped_as_pymoo_does() -> None:
    """Two-point crossover and bit flips on booleans, as in pymoo's guide: the same designs over 20 generations."""
    problem = Problem.of(Switches(), ["on", "plain"])
    ours = built("nsga2", problem, evaluations=400, pop_size=20, mutation_prob=1.0)
    start = problem.space.sample(20, rng(0, 0, "ask"))["x"] > 0
    theirs = NSGA2(pop_size=20, sampling=start, crossover=TwoPointCrossover(), mutation=BitflipMutation())
    inner = PymooProblem(n_var=40, n_obj=2, n_ieq_constr=1, xl=np.zeros(40), xu=np.ones(40))
    theirs.setup(inner, termination=("n_eval", 400), seed=1, verbose=False)
    for batch in range(20):
        designs = ours.ask(20, rng(0, batch, "ask"))
        theirs.random_state = rng(0, batch, "ask")
        infills = theirs.ask()
        assert np.array_equal(infills.get("X"), designs["x"] > 0), f"generation {batch}"
        scores = problem.score(designs)
        Evaluator().eval(StaticProblem(inner, F=scores.objectives, G=np.zeros((20, 1))), infills)
        theirs.random_state = rng(0, batch, "tell")
        theirs.tell(infills=infills)
        ours.tell(designs, scores, rng(0, batch, "tell"))


@pytest.mark.parametrize("name", FAMILY)
def test_units_of_objectives_do_not_matter(name: str) -> None:
    """pymoo's NSGA-III compares with 1e-3 and 1e-6: below them it sees no difference between designs."""
    runs = [
        batches(built(name, p, pop_size=12), p, 12)
        for p in (Problem.of(ZDT1(8, factor), ["f1", "f2"]) for factor in (1.0, 2.0**-24))
    ]
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(*runs, strict=True))


def test_without_scaling_units_would_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pymoo_family, "scale_of", lambda population: np.ones(2))
    with pytest.raises(AssertionError):
        test_units_of_objectives_do_not_matter("nsga3")


@pytest.mark.parametrize("name", FAMILY)
def test_equal_seeds_equal_designs_even_where_nothing_is_feasible(name: str) -> None:
    """Ties among infeasible members are where pymoo's own generators come in."""
    problem = Problem.of(Stuck(), ["a", "b"])
    a, b = (batches(built(name, problem, pop_size=12), problem, 5) for _ in range(2))
    assert all(np.array_equal(x.digest, y.digest) for x, y in zip(a, b, strict=True))


def test_pymoo_alone_breaks_those_ties_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pymoo_family, "_seeded", lambda compare: compare)
    with pytest.raises(AssertionError):
        test_equal_seeds_equal_designs_even_where_nothing_is_feasible("nsga3")


@pytest.mark.parametrize("name", FAMILY)
def test_the_kit_passes_over_many_generations(name: str) -> None:
    """The kit's batches are small; so are the populations here, so that mating and survival are what is tested."""
    cls = registry().load("optimizers", name)
    options = dataclasses.make_dataclass("Few", [("pop_size", int, 6)], bases=(cls.Options,), frozen=True)
    report = check_optimizer(type(cls.__name__, (cls,), {"Options": options}), name)
    assert report.passed, report


@pytest.mark.parametrize("name", FAMILY)
def test_limits_lead_to_feasible_fronts(name: str) -> None:
    """A twentieth of the space is feasible; every algorithm gets there and stays."""
    front = search(ZDT1(4), ["f1", "f2"], ["f2<=0.8", "f1<=0.3"], optimizer=name, options={"pop_size": 20},
                   evaluations=800)  # fmt: skip
    assert len(front) > 5 and (front.values <= [0.3 + 1e-12, 0.8 + 1e-12]).all()


@pytest.mark.parametrize("name", FAMILY)
def test_orders_are_sorted(name: str) -> None:
    """Order crossover and inversion come far nearer to both sorted orders than as many random designs."""
    found, random = (
        search(Order(), ["a", "b"], optimizer=o, options={"homogeneous": False}, evaluations=3000).minimised
        for o in (name, "random")
    )
    assert found.min(axis=0).sum() <= 0.7 * random.min(axis=0).sum()


@pytest.mark.parametrize("name", SEVERAL)
def test_one_objective_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(ProblemError, match=f"{name} needs 2 objectives or more; got 1. Use nsga2"):
        search(ZDT1(), ["f1"], optimizer=name, evaluations=10)


def test_an_unknown_decomposition_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="tchebicheff"):
        search(ZDT1(), ["f1", "f2"], optimizer="moead", options={"decomposition": "tchebychef"})


@pytest.mark.slow
def test_moead_descends_zdt1() -> None:
    """At 5,000 evaluations pymoo's MOEA/D by hand reaches 0.54 to 0.79, median 0.61 to 0.70; random search nothing."""
    front = search(ZDT1(), ["f1", "f2"], optimizer="moead", evaluations=5000)
    assert hypervolume(front.minimised, UNIT) * 1.21 >= 0.55


@pytest.mark.parametrize(("objectives", "most", "count"), [(1, 100, 1), (2, 100, 100), (3, 100, 91), (4, 100, 84),
                                                            (5, 100, 85), (6, 100, 77), (6, 2, 6)])  # fmt: skip
def test_directions_for_any_number_of_objectives(objectives: int, most: int, count: int) -> None:
    """Das-Dennis counts; two layers where one would leave the inside empty."""
    lines = directions(objectives, most)
    assert lines.shape == (count, objectives) and np.allclose(lines.sum(axis=1), 1.0) and (lines >= 0).all()
    assert len(np.unique(lines.round(9), axis=0)) == count
    if most > objectives:
        assert (lines > 0).all(axis=1).any()


def test_each_kind_of_variable_has_its_own_crossover() -> None:
    """Categories come from a parent, orders stay orders, numbers may lie between: before anything is repaired."""
    space = Space(Choice("c", tuple("abcdefgh"), 6), Integer("k", 1, 512, log=True), Real("r", 0.0, 1.0, length=4),
                  Permutation("order", 7))  # fmt: skip
    codes = pymoo_operators.Codes(space)
    spread = pymoo_operators.Spread(1.0, 15.0, 1.0, 20.0)
    crossover = pymoo_operators.BlockCrossover(pymoo_operators.blocks_of(codes, spread), 1.0)
    parents = np.stack([codes.encode(space.sample(200, rng(s, 0, "ask"))) for s in (1, 2)])
    children = crossover._do(None, parents, random_state=rng(0, 0, "ask"))
    c, k, r, order = codes.spans
    assert np.array_equal(np.sort(children[:, :, c], axis=0), np.sort(parents[:, :, c], axis=0))
    assert (np.sort(children[:, :, order], axis=2) == np.arange(7)).all()
    between = (children[0] > parents.min(axis=0)) & (children[0] < parents.max(axis=0))
    assert between[:, r].any() and between[:, k].any() and not np.array_equal(children, parents)
    assert np.exp(children[:, :, k]).max() <= 512 + 1e-6


def test_codes_come_back() -> None:
    for space in (problems.mixed_space(), problems.conditional_space()):
        codes, designs = pymoo_operators.Codes(space), space.sample(100, rng(0, 0, "ask"))
        encoded = codes.encode(designs)
        assert np.array_equal(codes.decode(encoded).digest, designs.digest)
        assert (encoded >= codes.low).all() and (encoded <= codes.high).all()

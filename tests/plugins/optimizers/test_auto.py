"""auto: which rule fits where, that it says why, and that it does what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from tests.support.chains import Chain

from tradespace.designs import Choice, Designs, Integer, Permutation, Real, Space
from tradespace.problem import Metric, Prices, Problem, Scores
from tradespace.search.api import search, view_of
from tradespace.search.archive import Archive
from tradespace.search.contract import Budget
from tradespace.search.indicators import hypervolume
from tradespace.testing.optimizers import check_optimizer
from tradespace.testing.problems import Distances
from tradespace_optimizers.auto import Auto, choose
from tradespace_optimizers.relay import Neighbours

GOALS = ["latency", "energy", "loss"]


class BlackBox:
    def __init__(self, inner: Chain) -> None:
        self.space, self.metrics, self.price = inner.space, inner.metrics, inner.price


@dataclass(frozen=True)
class Spheres:
    """Real variables, any number of objectives."""

    objectives: int

    @property
    def space(self) -> Space:
        return Space(*(Real(f"x{i}", -1.0, 1.0) for i in range(6)))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(f"f{m}", "1", "min", "distance") for m in range(self.objectives))

    def price(self, designs: Designs) -> dict[str, np.ndarray]:
        x = self.space.flatten(designs)
        return {m.name: ((x - 0.1 * k) ** 2).sum(axis=1) for k, m in enumerate(self.metrics)}


@dataclass(frozen=True)
class Blocks:
    """Blocks of five bits, every second one turned round. One objective counts blocks that are all 1, the other those
    that are all 0; in a mixed block each falls as bits leave its own way, so that single steps lead into a trap."""

    count: int = 12

    @property
    def space(self) -> Space:
        return Space(Choice("x", (False, True), 5 * self.count))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(name, "1", "min", "short of the best") for name in ("ones", "zeros"))

    def price(self, designs: Designs) -> dict[str, np.ndarray]:
        turned = np.arange(5 * self.count) % 2
        ones = (designs["x"] ^ turned).reshape(len(designs), self.count, 5).sum(axis=2)
        short = [np.where(u == 5, 0, 1 + u).sum(axis=1) for u in (ones, 5 - ones)]
        return {"ones": short[0].astype(float), "zeros": short[1].astype(float)}


def _choice(
    evaluator: object, goals: list[str], evaluations: int | None = 2000, seconds: float | None = None
) -> tuple[str, str]:
    chosen = choose(view_of(Problem.of(evaluator, goals), Budget(evaluations, seconds)))  # type: ignore[arg-type]
    return chosen.name, chosen.why


def test_the_kit_passes() -> None:
    report = check_optimizer(Auto)
    assert report.passed, report


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        ("sum", "declared_chain", "exact form"),
        ("capped", "declared_chain", "exact form"),
        ("bottleneck", "declared_chain", "exact form"),
        ("coupled", "pgsam", "lower bounds are declared for latency, energy"),
    ],
)
def test_declared_structure_decides_first(kind: str, name: str, why: str) -> None:
    assert _choice(Chain(7, 24, kind=kind), GOALS)[0] == name
    assert why in _choice(Chain(7, 24, kind=kind), GOALS)[1]


def test_a_declared_task_graph_is_searched_as_one() -> None:
    from tradespace.plugins import registry
    from tradespace.settings import Setting, bind

    evaluator = bind(Setting("topcuoglu-10", "three-processors"), registry()).evaluator
    assert _choice(evaluator, ["makespan"]) == ("schedule_search", "the task graph is declared")
    found = search(evaluator, ["makespan"], optimizer="auto", evaluations=500)
    assert found.minimised.min() == 73 and "schedule_search" in found.note  # the proven optimum


def test_an_objective_without_a_term_leaves_the_black_box_rule() -> None:
    name, why = _choice(Chain(7, 24), ["latency", "mem0"])
    assert name == "learned_chain" and "mem0" in why


def test_black_boxes_go_by_their_variables() -> None:
    assert _choice(BlackBox(Chain(7, 24)), GOALS)[0] == "learned_chain"
    for count in (1, 2, 3, 5):
        name, why = _choice(Spheres(count), [f"f{m}" for m in range(count)])
        assert "relay" in name and f"{count} objective" in why
    by_clock = [_choice(Spheres(m), [f"f{k}" for k in range(m)], None, 1.0)[0] for m in (2, 3, 4)]
    assert by_clock == ["pgsam", "sms_emoa", "nsga3"]
    orders = Distances(Space(Choice("a", ("x", "y"), 4), Permutation("order", 30)))
    assert _choice(orders, ["distance0", "distance1"])[0] == "rl_aco"
    assert _choice(orders, ["distance0", "distance1"], 500) == ("pgsam", "variables of kind Choice, Permutation")
    assert _choice(orders, ["distance0"])[0] == "pgsam"  # an order alone, or a front, is what ants are better at
    assert _choice(Distances(Space(Permutation("order", 30))), ["distance0"])[0] == "rl_aco"


def test_strings_of_bits_have_a_population_in_reserve() -> None:
    """A search that follows its front walks into the traps; a population begun afresh still holds the blocks."""
    assert _choice(Blocks(), ["ones", "zeros"]) == ("learned_chain and nsga2 in relay", "choices of two options")
    single = Distances(Space(*(Choice(f"bit{i}", (0, 1)) for i in range(30))))
    assert "nsga2" in _choice(single, ["distance0", "distance1"])[0]
    assert _choice(Blocks(), ["ones"])[0] == "learned_chain"
    run = search(Blocks(), ["ones", "zeros"], optimizer="auto", evaluations=4000, seed=1)
    alone = search(Blocks(), ["ones", "zeros"], optimizer="learned_chain", evaluations=4000, seed=1)
    assert "the front stood still after" in run.note and "by the reserve" in run.note
    assert hypervolume(run.minimised, alone.box) > 1.05 * hypervolume(alone.minimised, alone.box)
    assert run.ids == search(Blocks(), ["ones", "zeros"], optimizer="auto", evaluations=4000, seed=1).ids


def test_bits_whose_prices_are_learnt_need_no_reserve() -> None:
    run = search(BlackBox(Chain(7, 24, m=2, p=2)), GOALS, optimizer="auto", evaluations=2000)
    assert "chain learnt from" in run.note and "reserve" not in run.note


def test_neighbours_of_three_objectives_start_from_what_is_good_in_all() -> None:
    """Many members with one good objective, one that is good in all: it is the parent of many."""
    space = Spheres(3).space
    rng = np.random.default_rng(0)
    objectives = np.concatenate([np.full((1, 3), 0.1), 1.0 + rng.random((60, 3))])
    objectives[1:, 0] = rng.random(60) * 0.09
    front = Archive(space, 3)
    front.add(space.sample(61, rng), Scores(objectives, np.zeros((61, 0)), Prices({})))
    middle = front.designs.digest[np.argmin(front.objectives.max(axis=1))]
    for ahead, least, most in ((True, 0.3, 0.6), (False, 0.0, 0.2)):
        parents: list[np.ndarray] = []
        near = Neighbours(_Watched(space, parents), front, 20, ahead=ahead)  # type: ignore[arg-type]
        near.ask(400, np.random.default_rng(1))
        assert least <= np.mean(parents[0] == middle) <= most


@dataclass(frozen=True)
class _Watched:
    """A space that notes whom it was asked to change."""

    space: Space
    parents: list[np.ndarray]

    def mutate(self, designs: Designs, rng: np.random.Generator) -> Designs:
        self.parents.append(designs.digest)
        return self.space.mutate(designs, rng)


def test_choices_among_numbers_are_evolved() -> None:
    knobs = Distances(Space(*(Choice(f"knob{i}", (1, 2, 4, 8)) for i in range(12))))
    assert _choice(knobs, ["distance0", "distance1"], evaluations=4000)[0] == "nas_evolution"
    named = Distances(Space(*(Choice(f"knob{i}", ("a", "b", "c", "d")) for i in range(12))))
    assert _choice(named, ["distance0", "distance1"])[0] == "pgsam"


def test_long_searches_of_choices_among_numbers_get_a_population_in_reserve() -> None:
    knobs = Distances(Space(*(Choice(f"knob{i}", (1, 2, 4, 8)) for i in range(12))))
    assert _choice(knobs, ["distance0", "distance1"], evaluations=10_000)[0] == "nas_evolution and nsga2 in relay"
    runs = [search(knobs, ["distance0", "distance1"], optimizer="auto", evaluations=10_000, seed=1) for _ in range(2)]
    assert "of the rest by the reserve" in runs[0].note and runs[0].ids == runs[1].ids
    assert _choice(knobs, ["distance0"], evaluations=10_000)[0] == "nas_evolution"


def test_a_space_no_larger_than_the_budget_is_priced_whole() -> None:
    small = Distances(Space(Choice("a", ("x", "y"), 5), Integer("n", 1, 4)))
    assert _choice(small, ["distance0"], 128)[0] == "exhaustive"
    assert _choice(small, ["distance0"], 127)[0] == "pgsam"
    front = search(small, ["distance0", "distance1"], optimizer="auto", evaluations=500)
    assert front.evaluations == 128 and front.note == "auto: exhaustive, the space has 128 designs"


def test_a_declared_sum_ends_exact_and_says_so() -> None:
    chain = Chain(7, 8)
    exact = search(chain, GOALS, optimizer="chain_exact", evaluations=10_000)
    found = search(chain, GOALS, optimizer="auto", evaluations=10_000)
    assert found.note.endswith("; exact") and found.stopped == "nothing left to propose"
    np.testing.assert_allclose(found.values, exact.values, rtol=1e-12)


def test_a_front_larger_than_the_budget_is_covered_and_said_to_be_cut() -> None:
    found = search(Chain(7, 24), GOALS, optimizer="auto", evaluations=300)
    every = search(Chain(7, 24), GOALS, optimizer="auto", evaluations=5000)
    assert found.evaluations == 300 and "300 of" in found.note
    assert found.hypervolume > 0.99 * every.hypervolume


def test_declared_limits_are_met_before_anything_is_priced() -> None:
    chain = Chain(7, 24, kind="capped")
    declared = search(chain, GOALS, optimizer="auto", evaluations=300)
    blind = search(BlackBox(chain), GOALS, optimizer="pgsam", evaluations=300)
    box = blind.box
    assert hypervolume(declared.minimised, box) > 1.2 * hypervolume(blind.minimised, box)


def test_maxima_are_searched_on_the_declared_sums_first() -> None:
    chain = Chain(7, 24, kind="bottleneck")
    declared = search(chain, GOALS, optimizer="auto", evaluations=500)
    seeded = search(chain, GOALS, optimizer="pgsam", evaluations=500)
    assert "largest of several sums" in declared.note
    assert hypervolume(declared.minimised, seeded.box) > 1.02 * seeded.hypervolume


def test_constraints_outside_the_structure_do_not_end_the_search_early() -> None:
    chain = Chain(7, 24)
    goal = ["latency", "energy", "loss"]
    front = search(chain, goal, ["mem1>=0.5"], optimizer="auto", evaluations=3000)
    assert front.evaluations == 3000 and len(front)
    assert "went on as pgsam" in front.note


@pytest.mark.parametrize(("objectives", "member"), [(1, "unsga3"), (2, "sms_emoa of 20"), (3, "100"), (4, "nsga3")])
def test_numbers_are_searched_in_relay_and_the_turns_follow_from_tells(objectives: int, member: str) -> None:
    goals = [f"f{m}" for m in range(objectives)]
    run = search(Spheres(objectives), goals, optimizer="auto", evaluations=600, seed=1)
    assert member in run.note and "near the front" in run.note
    assert run.ids == search(Spheres(objectives), goals, optimizer="auto", evaluations=600, seed=1).ids
    rough = search(Spheres(objectives), goals, optimizer="random", evaluations=600, seed=1)
    assert hypervolume(run.minimised, rough.box) > rough.hypervolume
    if objectives == 1:
        assert run.minimised.min() < 1e-3


def test_equal_seeds_equal_fronts() -> None:
    runs = [search(BlackBox(Chain(7, 12)), GOALS, optimizer="auto", evaluations=800, seed=5) for _ in range(2)]
    assert runs[0].ids == runs[1].ids

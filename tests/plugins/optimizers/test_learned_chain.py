"""Learned chains: the tests for structure, the fit, and the way back to pgsam."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.support.chains import Chain

from tradespace.designs import Choice, Designs, Integer, Space
from tradespace.errors import ProblemError
from tradespace.problem import Prices, Problem
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget, rng
from tradespace.search.indicators import nondominated
from tradespace.testing.optimizers import check_optimizer
from tradespace_optimizers import learned_chain_model as model
from tradespace_optimizers.learned_chain import LearnedChain, LearnedChainOptions
from tradespace_optimizers.spread import thinned

GOALS = ["latency", "energy", "loss"]


class BlackBox:
    """Prices alone, optionally with an error on top."""

    def __init__(self, inner: Any, noise: float = 0.0) -> None:
        self.inner, self.noise = inner, noise
        self.space, self.metrics = inner.space, inner.metrics

    def price(self, designs: Designs) -> Prices:
        prices = self.inner.price(designs)
        wobble = 1.0 + self.noise * np.sin(designs.digest.astype(np.float64) % 1000.0)
        return Prices({k: v * wobble for k, v in prices.columns.items()}, prices.violations)


def _entries(space: Space) -> model.Entries:
    entries = model.entries_of(space)
    assert not isinstance(entries, str)
    return entries


def _values(chain: Any, designs: Designs) -> np.ndarray:
    prices = chain.price(designs)
    return np.stack([prices[name] for name in GOALS], axis=1)


def test_the_kit_passes() -> None:
    report = check_optimizer(LearnedChain)
    assert report.passed, report


def test_crossings_leave_sums_alone_and_no_maximum() -> None:
    for kind, holds in (
        ("sum", [True, True, True]),
        ("bottleneck", [False, True, True]),
        ("coupled", [False, False, True]),
    ):
        chain = Chain(7, 24, kind=kind)
        entries = _entries(chain.space)
        designs = model.crossings(entries, 12, rng(0, 0, "ask"))
        errors = model.crossing_errors(entries, designs, _values(chain, designs))
        assert len(errors) == 12
        assert (errors.max(axis=0) < 1e-9).tolist() == holds


def test_rows_that_are_no_crossing_are_passed_over() -> None:
    chain = Chain(7, 12)
    entries = _entries(chain.space)
    random = chain.space.sample(40, rng(0, 0, "probe"))
    mixed = chain.space.concat([random.take(slice(0, 3)), model.crossings(entries, 2, rng(0, 0, "ask")), random])
    assert len(model.crossing_errors(entries, random, _values(chain, random))) == 0
    assert len(model.crossing_errors(entries, mixed, _values(chain, mixed))) == 2


def test_a_fit_predicts_every_design_and_the_smallest_form_suffices() -> None:
    chain = Chain(5, 10)
    entries = _entries(chain.space)
    forms = model.forms_of(entries)
    assert [f.parameters for f in forms] == sorted(f.parameters for f in forms)
    assert forms[0].pairs == () and forms[0].parameters == 1 + 10 * 8
    designs = chain.space.sample(400, rng(0, 0, "probe"))
    state, values = entries.state(entries.codes(designs)), _values(chain, designs)
    flat = model.fit(entries, forms[0], state, values, 32)
    assert flat is not None and flat.errors[0] > 1e-3  # transfers need pairs
    device = next(f for f in forms if f.pairs == ((0,),))
    found = model.fit(entries, device, state, values, 32)
    assert found is not None and found.errors.max() < 1e-9
    fresh = chain.space.sample(200, rng(1, 0, "probe"))
    predicted = found.predict(entries.state(entries.codes(fresh)))
    np.testing.assert_allclose(predicted, _values(chain, fresh), rtol=1e-9)


def test_too_few_rows_determine_nothing() -> None:
    chain = Chain(5, 10)
    entries = _entries(chain.space)
    designs = chain.space.sample(100, rng(0, 0, "probe"))
    state = entries.state(entries.codes(designs))
    assert model.fit(entries, model.forms_of(entries)[0], state, _values(chain, designs), 32) is None


def test_a_black_box_that_adds_up_is_solved() -> None:
    chain = Chain(7, 12)
    exact = search(chain, GOALS, optimizer="chain_exact", evaluations=5000)
    learnt = search(BlackBox(chain), GOALS, optimizer=LearnedChain, evaluations=1500, seed=3)
    blind = search(BlackBox(chain), GOALS, optimizer="pgsam", evaluations=1500, seed=3)
    assert "tested, not certified" in learnt.note and "certified" not in learnt.note.replace("not certified", "")
    assert learnt.hypervolume > blind.hypervolume
    box = exact.box
    assert learnt.box.ideal[0] >= box.ideal[0]  # without structure the ideal comes from the sample
    lost = [row for row in exact.minimised if not (learnt.minimised <= row + 1e-9 * np.abs(row)).all(axis=1).any()]
    assert len(lost) == 0


def test_limits_that_bind_are_learnt_too() -> None:
    chain = Chain(7, 12, kind="capped")
    learnt = search(BlackBox(chain), GOALS, optimizer=LearnedChain, evaluations=800, seed=1)
    blind = search(BlackBox(chain), GOALS, optimizer="pgsam", evaluations=800, seed=1)
    assert "learnt" in learnt.note and len(learnt)
    assert learnt.hypervolume > blind.hypervolume


def test_where_nothing_adds_up_it_goes_on_as_pgsam_after_a_few_designs() -> None:
    problem = Problem.of(BlackBox(Chain(7, 24, kind="coupled")), GOALS)
    optimizer = LearnedChain(view_of(problem, Budget(2000)), LearnedChainOptions())
    told = 0
    while optimizer.holds is None:
        designs = optimizer.ask(optimizer.batch, rng(0, told, "ask"))
        optimizer.tell(designs, problem.score(designs), rng(0, told, "tell"))
        told += len(designs)
    assert optimizer.holds is False and told <= 64
    assert "latency" in optimizer.note and "loss" not in optimizer.note


def test_a_small_error_is_not_taken_for_structure() -> None:
    front = search(BlackBox(Chain(7, 12), noise=1e-4), GOALS, optimizer=LearnedChain, evaluations=600)
    assert "searched as pgsam" in front.note


class Late(BlackBox):
    """Adds up everywhere but near the front: the loss of the cheapest designs doubles."""

    def price(self, designs: Designs) -> Prices:
        prices = self.inner.price(designs)
        few = prices["latency"] < self.limit
        return Prices({**prices.columns, "loss": np.where(few, 2.0, 1.0) * prices["loss"] + few}, prices.violations)

    limit = 0.0


def test_a_front_that_is_not_as_predicted_ends_the_belief() -> None:
    chain = Chain(7, 12)
    box = Late(chain)
    box.limit = float(search(chain, GOALS, optimizer="chain_exact", evaluations=100).values[:, 0].min() * 1.005)
    front = search(box, GOALS, optimizer=LearnedChain, evaluations=1000)
    assert "failed on designs of its front" in front.note
    assert front.evaluations == 1000


@pytest.mark.parametrize(
    ("space", "why"),
    [
        (Space(Choice("a", ("x", "y"), 4), Choice("b", ("x", "y"), 5)), "length"),
        (Space(Choice("a", ("x", "y"), 4), Integer("n", 1, 4)), "choices"),
        (Space(Choice("a", ("x", "y"), 2)), "three entries"),
    ],
)
def test_other_spaces_are_pgsams(space: Space, why: str) -> None:
    assert why in str(model.entries_of(space))


def test_a_budget_below_the_parameters_is_pgsams() -> None:
    front = search(BlackBox(Chain(7, 24)), GOALS, optimizer=LearnedChain, evaluations=200)
    assert "too small" in front.note


def test_repairs_that_change_every_design_end_the_tests() -> None:
    class Repairing(BlackBox):
        def repair(self, designs: Designs) -> Designs:
            columns = {name: block.copy() for name, block in designs.columns.items()}
            columns["device"][:, 5:8] = (designs.digest[:, None] >> np.arange(3, dtype=np.uint64)).astype(np.int64) % 3
            return replace(designs, columns=columns)

    front = search(Repairing(Chain(7, 24)), GOALS, optimizer=LearnedChain, evaluations=600)
    assert "repaired" in front.note


def test_options_are_checked() -> None:
    with pytest.raises(ProblemError):
        search(BlackBox(Chain(7, 12)), GOALS, optimizer=LearnedChain, options={"share": 0.0}, evaluations=100)


def test_thinned_rows_cover_the_front_from_the_beginning() -> None:
    points = rng(0, 0, "probe").random((3000, 3))
    front = points[nondominated(points)]
    order = thinned(front, 40)
    assert len(order) == len(set(order.tolist())) <= 40
    assert set(front.argmin(axis=0).tolist()) <= set(order[:3].tolist())
    everything = thinned(front, len(front))
    assert sorted(everything.tolist()) == list(range(len(front)))


def test_one_objective_is_learnt_as_well() -> None:
    front = search(BlackBox(Chain(7, 12)), ["energy"], optimizer=LearnedChain, evaluations=600)
    exact = search(Chain(7, 12), ["energy"], optimizer="chain_exact", evaluations=10)
    assert front.values[0, 0] == pytest.approx(exact.values[0, 0], rel=1e-9)

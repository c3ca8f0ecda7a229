"""Learnt maxima: where groups are tested, the probes, the fit, the front, and the way back to pgsam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.chains import Chain

from tradespace.designs import Designs
from tradespace.problem import Metric, Prices, Problem
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget, rng
from tradespace.search.indicators import nondominated
from tradespace.search.labels import chain_of_terms, limits_of
from tradespace_optimizers import learned_chain_largest_model as model
from tradespace_optimizers.learned_chain import LearnedChain, LearnedChainOptions
from tradespace_optimizers.learned_chain_front import ChainModel, polished
from tradespace_optimizers.learned_chain_largest import groupings
from tradespace_optimizers.learned_chain_model import Entries, entries_of

GOALS = ["latency", "energy", "loss"]


class BlackBox:
    """Prices alone; ``change`` may alter them."""

    def __init__(self, inner: Any, change: Any = None) -> None:
        self.inner, self.change = inner, change
        self.space, self.metrics = inner.space, inner.metrics

    def price(self, designs: Designs) -> Prices:
        prices = self.inner.price(designs)
        latency = prices["latency"] if self.change is None else self.change(self.inner, designs, prices["latency"])
        return Prices({**prices.columns, "latency": latency}, prices.violations)


def _entries(chain: Chain) -> Entries:
    entries = entries_of(chain.space)
    assert not isinstance(entries, str)
    return entries


def _latency(chain: Chain, entries: Entries, state: Any) -> Any:
    return np.asarray(chain.price(entries.designs(entries.digits[state]))["latency"])


def _busy(chain: Chain, designs: Designs, sends: bool = False) -> Any:
    """(N, m), from the tables."""
    a, i = chain.tables, np.arange(chain.n)
    d, p = designs["device"].astype(np.intp), designs["precision"].astype(np.intp)
    t, tt = a["t"][i, d, p], a["tt"][i[:-1], d[:, :-1], d[:, 1:]]
    own = [(t * (d == k)).sum(1) + (tt * (d[:, 1:] == k)).sum(1) for k in range(chain.m)]
    sent = [(tt * (d[:, :-1] == k)).sum(1) for k in range(chain.m)]
    return np.stack([o + s * sends for o, s in zip(own, sent, strict=True)], axis=1)


def test_probes_keep_their_group_the_largest_and_determine_its_sum() -> None:
    chain = Chain(5, 16, kind="bottleneck")
    entries = _entries(chain)
    grouping = model.Grouping(entries, 0)
    inside, owner = model.inside(grouping, rng(0, 0, "probe"))
    assert len(inside) == 3 * (16 * 2 + 1)
    values = _latency(chain, entries, inside)
    guess = model.guessed(grouping, inside, owner, values)
    leaving, owners = model.leaving(grouping, inside, owner, guess, 0.35, False, rng(1, 0, "probe"))
    assert len(leaving) <= 3 * grouping.columns(False) - len(inside)  # no more than there are unknowns
    busiest = _busy(chain, entries.designs(entries.digits[leaving])).argmax(axis=1)
    assert (busiest == owners).mean() > 0.98
    both = np.concatenate([inside, leaving]), np.concatenate([owner, owners])
    fit = model.fit_largest(grouping, *both, _latency(chain, entries, both[0]), guess, False)
    fresh = chain.space.sample(500, rng(2, 0, "probe"))
    true = np.asarray(chain.price(fresh)["latency"])
    right = np.isclose(fit.predict(entries.state(entries.codes(fresh))), true, rtol=1e-9)
    assert right.mean() > 0.95


def test_only_what_the_budget_can_learn_is_tried() -> None:
    entries = _entries(Chain(7, 24))
    assert [g.v for g in groupings(entries, 10_000)] == [0, 1]
    assert groupings(entries, 300) == []


def test_the_busiest_device_is_learnt() -> None:
    chain = Chain(7, 12, kind="bottleneck")
    learnt = search(BlackBox(chain), GOALS, optimizer=LearnedChain, evaluations=800, seed=3)
    blind = search(BlackBox(chain), GOALS, optimizer="pgsam", evaluations=800, seed=3)
    assert "latency as the largest of sums" in learnt.note and "not certified" in learnt.note
    assert learnt.hypervolume > 1.01 * blind.hypervolume


def test_one_objective_reaches_what_the_declared_structure_proves() -> None:
    chain = Chain(7, 16, kind="bottleneck")
    learnt = search(BlackBox(chain), ["latency"], optimizer=LearnedChain, evaluations=500)
    proved = search(chain, ["latency"], optimizer="auto", evaluations=10)
    assert learnt.values[0, 0] == pytest.approx(proved.values[0, 0], rel=2e-3)
    assert search(BlackBox(chain), ["latency"], optimizer="pgsam", evaluations=500).values[0, 0] > learnt.values[0, 0]


def test_groups_that_pay_for_what_they_send_are_learnt_too() -> None:
    def sends(chain: Chain, designs: Designs, latency: Any) -> Any:
        return _busy(chain, designs, sends=True).max(axis=1)

    box = BlackBox(Chain(7, 12, kind="bottleneck"), sends)
    front = search(box, GOALS, optimizer=LearnedChain, evaluations=1000)
    assert "latency as the largest of sums" in front.note


def test_limits_beside_a_maximum_are_kept() -> None:
    class Limited(BlackBox):
        def price(self, designs: Designs) -> Prices:
            prices = super().price(designs)
            return Prices(prices.columns, {f"full{k}": prices[f"mem{k}"] - 1.0 for k in range(3)})

    box = Limited(Chain(7, 12, kind="bottleneck"))
    front = search(box, GOALS, optimizer=LearnedChain, evaluations=800)
    blind = search(box, GOALS, optimizer="pgsam", evaluations=800)
    assert "latency as the largest of sums" in front.note
    assert front.hypervolume > blind.hypervolume


def test_sums_within_each_group_are_not_enough() -> None:
    def mixed(chain: Chain, designs: Designs, latency: Any) -> Any:
        used = np.stack([(designs["device"] == k).any(axis=1) for k in range(3)], axis=1).sum(axis=1)
        return latency * (0.9 + 0.1 * used)

    front = search(BlackBox(Chain(7, 12), mixed), GOALS, optimizer=LearnedChain, evaluations=800)
    assert front.note.endswith("nor the largest of sums")
    assert front.evaluations == 800


def test_sums_near_each_group_are_not_enough() -> None:
    def mixed(chain: Chain, designs: Designs, latency: Any) -> Any:
        least = np.stack([(designs["device"] == k).sum(axis=1) for k in range(3)], axis=1).min(axis=1)
        return latency * np.where(least >= 3, 1.1, 1.0)

    box = BlackBox(Chain(7, 12, kind="bottleneck"), mixed)
    front = search(box, GOALS, optimizer=LearnedChain, evaluations=800)
    assert "no largest of sums predicts held-out designs" in front.note
    assert front.evaluations == 800


def test_prices_that_stand_for_the_impossible_hide_no_errors() -> None:
    def barred(chain: Chain, designs: Designs, latency: Any) -> Any:
        return latency + 1e9 * (designs["device"][:, ::4] == 2).sum(axis=1)

    front = search(BlackBox(Chain(7, 24, kind="coupled"), barred), GOALS, optimizer=LearnedChain, evaluations=600)
    assert front.note.startswith("searched as pgsam: no sums over the chain")


def test_a_small_budget_is_pgsams() -> None:
    front = search(BlackBox(Chain(7, 24, kind="bottleneck")), GOALS, optimizer=LearnedChain, evaluations=400)
    assert "searched as pgsam" in front.note and "largest" not in front.note


def test_in_a_hurry_nothing_is_learnt() -> None:
    problem = Problem.of(BlackBox(Chain(7, 12, kind="bottleneck")), GOALS)
    optimizer = LearnedChain(view_of(problem, Budget(seconds=1.0)), LearnedChainOptions())
    told = 0
    while optimizer.holds is None:
        designs = optimizer.ask(optimizer.batch, rng(0, told, "ask"))
        optimizer.tell(designs, problem.score(designs), rng(0, told, "tell"))
        told += len(designs)
    assert optimizer.holds is False and "largest" not in optimizer.note and told <= 64


def test_probes_that_come_back_repaired_end_it() -> None:
    class Repairing(BlackBox):
        def repair(self, designs: Designs) -> Designs:
            columns = {name: block.copy() for name, block in designs.columns.items()}
            columns["device"][:, 5] = np.where(columns["device"][:, 4] == 2, 0, columns["device"][:, 5])
            return Designs(designs.space, columns)

    front = search(Repairing(Chain(7, 12, kind="bottleneck")), GOALS, optimizer=LearnedChain, evaluations=800)
    assert "searched as pgsam" in front.note and front.evaluations == 800


def test_what_is_asked_depends_on_what_was_told_alone() -> None:
    problem = Problem.of(BlackBox(Chain(7, 12, kind="bottleneck")), GOALS)
    one, other = (LearnedChain(view_of(problem, Budget(800)), LearnedChainOptions()) for _ in range(2))
    told = 0
    while told < 700:
        designs = one.ask(one.batch, rng(0, told, "ask"))
        for optimizer in (one, other):
            optimizer.tell(designs, problem.score(designs), rng(0, told, "tell"))
        told += len(designs)
        here, there = (optimizer.ask(8, rng(1, told, "ask")).digest for optimizer in (one, other))
        np.testing.assert_array_equal(here, there)
    assert "largest" in one.note and one.note == other.note


def test_a_metric_of_its_own_name_is_named() -> None:
    class Period(BlackBox):
        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            self.metrics = (*inner.metrics, Metric("period", "s", "min", "of the pipeline"))

        def price(self, designs: Designs) -> Prices:
            prices = self.inner.price(designs)
            return Prices({**prices.columns, "period": prices["latency"]}, prices.violations)

    front = search(Period(Chain(7, 12, kind="bottleneck")), ["loss", "period"], optimizer=LearnedChain, evaluations=600)
    assert "period as the largest of sums" in front.note


def test_polishing_keeps_limits_and_loses_nothing() -> None:
    chain = Chain(7, 8, kind="capped")
    entries, structure = _entries(chain), chain.structure()
    sums = [structure.terms[name] for name in GOALS]
    arrays = chain_of_terms(sums, list(limits_of(structure).values()))
    model = ChainModel(entries, arrays, (1, 1, 1))
    start = entries.state(entries.codes(chain.space.sample(300, rng(0, 0, "probe"))))
    values, over = model.values(start)
    start, values = start[(over <= 0).all(axis=1)], values[(over <= 0).all(axis=1)]
    state, found = polished(model, start, values, rng(1, 0, "probe"))
    assert nondominated(found).all() and (model.values(state)[1] <= 0).all()
    np.testing.assert_array_equal(model.values(state)[0], found)
    assert all((found <= row).all(axis=1).any() for row in values)
    assert (found.min(axis=0) < values.min(axis=0)).all()

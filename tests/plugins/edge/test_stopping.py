"""Early stopping among repeated samples: closed forms, the meaning of each rule, and what the brief asks of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradespace.errors import TradespaceError
from tradespace_edge.stopping import DELTAS, SAMPLES, Stopping, StoppingFactory, build, leads

MIX = {"easy": 0.5, "medium": 0.5}


def _price(stopping: Stopping, **design: object) -> dict[str, float]:
    prices = stopping.price(stopping.space.parse(design))
    return {name: float(prices[name][0]) for name in prices}


def test_the_lead_is_the_beta_integral() -> None:
    x = (np.arange(200_000) + 0.5) / 200_000
    for a, b in ((0, 0), (3, 0), (5, 2), (16, 15), (20, 1)):
        density = x**a * (1 - x) ** b
        expected = density[x > 0.5].sum() / density.sum()
        assert leads(np.array([a]), np.array([b]))[0] == pytest.approx(expected, abs=1e-6)


def test_a_certain_answer_stops_as_soon_as_the_rule_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    import tradespace_edge.stopping as module

    monkeypatch.setattr(module, "LEVELS", {"easy": (1.0, 1.0), "medium": (0.5, 0.5), "hard": (0.2, 0.2)})
    stopping = Stopping(build({"easy": 1}), 50, 0)
    # n samples agree: P(Beta(n + 1, 1) > 1/2) = 1 - 2^-(n + 1) >= 1 - delta; n log(7/3) >= log((1 - delta) / delta)
    for delta in DELTAS:
        posterior = math.ceil(math.log2(1 / delta) - 1)
        sprt = math.ceil(math.log((1 - delta) / delta) / math.log(7 / 3))
        assert _price(stopping, rule="posterior", delta=delta, k=32)["samples"] == posterior
        assert _price(stopping, rule="sprt", delta=delta, k=32)["samples"] == sprt
    assert _price(stopping, rule="all", k=32) == {"samples": 32, "accuracy": 1, "saving": 0, "loss": 0}


def test_drawing_everything_is_the_plurality_of_k_samples() -> None:
    """Two equally likely draws of one right answer at p: for k = 1 the accuracy would be the mean of p; it grows."""
    stopping = Stopping(build({"medium": 1}), 20_000, 1)
    accuracy = [_price(stopping, rule="all", k=k)["accuracy"] for k in SAMPLES]
    assert accuracy == sorted(accuracy) and accuracy[0] > 0.6 and accuracy[-1] > 0.95


def test_a_smaller_delta_draws_more_and_loses_less() -> None:
    stopping = Stopping(build({"medium": 1}), 4000, 0)
    for rule in ("posterior", "sprt"):
        priced = [_price(stopping, rule=rule, delta=delta, k=32) for delta in DELTAS]
        assert [p["samples"] for p in priced] == sorted(p["samples"] for p in priced)
        assert priced[0]["loss"] > priced[-1]["loss"]


def test_easy_and_medium_tasks_need_two_fifths_fewer_samples_for_half_a_point() -> None:
    """The reproduction asks for a saving of 40 % at no more than 0.5 point of accuracy."""
    priced = _price(Stopping(build(MIX), 4000, 0), rule="posterior", delta=0.05, k=16)
    assert priced["saving"] >= 0.40 and priced["loss"] <= 0.005


def test_hard_tasks_do_not_stop_early() -> None:
    assert _price(Stopping(build({"hard": 1}), 4000, 0), rule="posterior", delta=0.05, k=16)["saving"] < 0.15


def test_equal_designs_and_seeds_have_equal_prices() -> None:
    a, b = Stopping(build(MIX), 500, 3), Stopping(build(MIX), 500, 3)
    designs = a.space.sample(40, np.random.default_rng(0))
    assert (np.asarray(a.price(designs)["accuracy"]) == np.asarray(b.price(designs)["accuracy"])).all()
    ignored = a.space.designs({"rule": [0, 0], "delta": [1, 4], "k": [2, 2]})
    assert ignored.ids[0] == ignored.ids[1]


def test_what_it_does_not_take() -> None:
    for options in ({"easy": -1}, {}, {"esy": 1}, {"easy": "much"}):
        with pytest.raises(TradespaceError):
            build(options)
    factory = StoppingFactory()
    assert not factory.accepts(object(), None)
    for options in ({"task": 3}, {"tasks": 0}, {"tasks": 1e9}, {"seed": 0.5}):
        with pytest.raises(TradespaceError):
            factory.bind(build(MIX), None, options)

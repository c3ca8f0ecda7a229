"""Hash searches: the arithmetic of the publication, what a pipelined core makes of it, and the machines it runs on."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.settings import Bound, Setting, bind
from tradespace.targets.loader import load_target
from tradespace.testing import check_device_model, check_evaluator, check_factory, check_target, check_workload
from tradespace.workloads import load_workload
from tradespace_hashing.asic import HashCores
from tradespace_hashing.mining import MiningFactory

MINERS = ("antminer-s9", "lv06", "lb-box", "antminer-s19-pro")
WORKLOADS = ("bitcoin-mining", "bitcoin-dialogue", "tpf-64", "tpf-twin", "lbry-dialogue")
OPEN = {
    "extends": "bitcoin-mining",
    "abort_in": "first",
    "abort_round": [0, 64],
    "keep": [0.01, 1],
    "prefetch": [0, 4],
    "difficulty": [1024, 65536],
    "job": "share",
}
ITERATIVE = {"extends": "antminer-s9", "devices.asic.pipelined": 0}


def bound(workload: Any = "bitcoin-mining", target: Any = "antminer-s9", **options: Any) -> Bound:
    return bind(Setting(workload, target, "mining", options), registry())


def price(workload: Any, target: Any = "antminer-s9", design: Any = None, **options: Any) -> dict[str, float]:
    evaluator = bound(workload, target, **options).evaluator
    prices = evaluator.price(evaluator.space.parse(design or {}))
    return {name: float(column[0]) for name, column in prices.items()}


def cut(**keys: Any) -> dict[str, Any]:
    return {"extends": "bitcoin-mining", "abort_in": "first", "abort_round": 5, "keep": 0.1, **keys}


# -- the publication's arithmetic -------------------------------------------------------------------------------------


def test_equations_11_and_12() -> None:
    found = price("tpf-64")
    assert found["saving"] == 1 - 5 / 64
    assert found["multiplier"] == pytest.approx(1 / (5 / 64), rel=1e-15)


def test_a_trial_of_a_double_hash_has_125_rounds() -> None:
    assert price("bitcoin-mining")["rounds"] == 64 + 61
    assert price({"extends": "bitcoin-mining", "early_reject": 0})["rounds"] == 128
    assert price({"extends": "bitcoin-mining", "midstate": False})["rounds"] == 64 + 125
    assert price({"extends": "bitcoin-mining", "shared_rounds": 3})["rounds"] == 122


def test_where_the_abort_round_counts_from() -> None:
    first, last = (price(cut(keep=0, abort_in=where))["saving_bound"] for where in ("first", "last"))
    assert first == pytest.approx(120 / 125)
    assert last == pytest.approx(56 / 125)


# -- what the core makes of it ----------------------------------------------------------------------------------------


def test_a_pipelined_core_frees_nothing() -> None:
    plain, filtered = price("bitcoin-mining"), price(cut())
    assert filtered["saving"] > 0.8
    assert filtered["energy_saving"] == 0.0
    assert filtered["hash_rate"] == plain["hash_rate"]
    assert filtered["power"] == plain["power"]
    assert filtered["gain"] == pytest.approx(0.1)


def test_an_iterative_core_frees_rounds_but_a_blind_filter_still_loses() -> None:
    plain, filtered = price("bitcoin-mining", ITERATIVE), price(cut(), ITERATIVE)
    spent = 5 + 120 * filtered["keep"]
    assert filtered["hash_rate"] / plain["hash_rate"] == pytest.approx(125 / spent)
    assert filtered["useful_rate"] < plain["useful_rate"]


def test_an_iterative_core_gains_by_a_filter_that_knows() -> None:
    """The mechanism is switched on by knowledge and free aborts together, and off by either."""
    knowing = cut(classifier={"model": "gaussian", "separation": 6})
    assert price(knowing, ITERATIVE)["gain"] > 5
    assert price(cut(), ITERATIVE)["gain"] < 1
    assert price(knowing)["gain"] < 1.0 + 1e-9


def test_clock_gating_saves_energy_but_no_time() -> None:
    gated = price(cut(), {"extends": "antminer-s9", "devices.asic.clock_gating": 1})
    assert gated["energy_saving"] == pytest.approx(gated["saving"])
    assert gated["hash_rate"] == price("bitcoin-mining")["hash_rate"]
    assert gated["power"] < price("bitcoin-mining")["power"]


def test_lockstep_takes_the_gain_of_processors_away() -> None:
    alone, many = (price(cut(), "h100", lockstep=n)["hash_rate"] for n in (1, 1000))
    assert many < alone
    assert many == pytest.approx(price("bitcoin-mining", "h100")["hash_rate"], rel=1e-6)


def test_false_aborts_are_what_the_operating_curve_says() -> None:
    point = {"model": "point", "false_positive": 0.1, "true_positive": 0.7}
    assert price(cut(classifier=point))["false_abort"] == pytest.approx(0.3)
    assert price(cut())["false_abort"] == pytest.approx(0.9)
    curve = {"model": "curve", "false_positive": [0.5, 0.1], "true_positive": [1, 0.5]}
    assert price(cut(classifier=curve))["false_abort"] == pytest.approx(0.5)


def test_inner_states_after_five_rounds_tell_nothing() -> None:
    found = price(cut(classifier={"model": "hash_state", "rounds": 5, "nonces": 20_000}))
    assert found["auc_low"] < 0.5 + 0.01
    assert found["auc_high"] > 0.5 - 0.01
    assert found["false_abort"] == pytest.approx(0.9, abs=0.02)


def test_the_last_rounds_tell_something() -> None:
    found = price({"extends": "bitcoin-mining", "classifier": {"model": "hash_state", "rounds": 61, "nonces": 20_000}})
    assert found["auc_low"] > 0.75
    assert found["information"] > 0.2


def test_the_twin_had_no_hit_to_lose() -> None:
    found = price("tpf-twin")
    assert found["false_abort"] == 1.0
    assert found["winners"] == pytest.approx(20_000 / 2**20)
    assert found["false_aborts"] == found["winners"]


# -- shares, clocks, jobs ---------------------------------------------------------------------------------------------


def test_rates_of_the_chips() -> None:
    assert price("bitcoin-mining", "antminer-s9")["hash_rate"] == pytest.approx(189 * 114 * 650e6, rel=1e-9)
    assert price("bitcoin-mining", "lv06", clock="525 MHz")["hash_rate"] == pytest.approx(894 * 525e6, rel=1e-9)


def test_the_chip_filters_shares_below_its_own_difficulty() -> None:
    small, own = (price({"extends": "bitcoin-mining", "difficulty": d}, "lv06")["share_rate"] for d in (0.08, 256))
    assert small == own
    assert price({"extends": "bitcoin-mining", "difficulty": 512}, "lv06")["share_rate"] == pytest.approx(own / 2)


def test_crediting_less_than_the_filter_understates_the_rate() -> None:
    """The sibling publication's 0.08 credited where the chip filters at 256: 3200 times too little."""
    found = price({"extends": "bitcoin-mining", "difficulty": 0.08, "credited_difficulty": 0.08}, "lv06")
    assert found["hash_rate"] / found["credited_rate"] == pytest.approx(256 / 0.08)


def test_voltage_squared_times_clock_and_the_highest_clock() -> None:
    half = price("bitcoin-mining", clock="325 MHz")
    assert half["power"] == pytest.approx(60 + 1240 / 2)
    low = price("bitcoin-mining", clock="325 MHz", voltage="7.6 V")
    assert low["power"] == pytest.approx(60 + 620 * (7.6 / 8.5) ** 2)
    evaluator = bound(clock="600 MHz", voltage="7 V").evaluator
    assert evaluator.price(evaluator.space.parse({})).violations["clock"][0] > 0


@pytest.mark.parametrize("latency", [0.05, 0.1, 0.2])
def test_an_idle_quarter_gives_a_quarter_more(latency: float) -> None:
    slow = {"extends": "lbry-dialogue", "latency": latency, "job_time": 4 * latency}
    assert price(slow, "lb-box")["idle_ratio"] == pytest.approx(0.25)
    assert price({**slow, "prefetch": 1}, "lb-box")["hiding"] == pytest.approx(0.25)


def test_gaps_of_a_dialogue_vary_less_than_poisson() -> None:
    found = price("bitcoin-dialogue", clock="200 MHz", voltage="7.6 V")
    assert found["gap_cv"] == pytest.approx(found["job_time"] / (found["job_time"] + 0.125))
    assert price("bitcoin-mining")["gap_cv"] == 1.0


def test_the_study_beats_the_papers_own_decision() -> None:
    """Abort after 5 rounds, keep a hundredth: every plan without a filter is better on the miner."""
    evaluator = bound(OPEN).evaluator
    paper, none = (
        evaluator.price(evaluator.space.parse({"abort_round": k, "keep": keep, "prefetch": 1, "difficulty": 1024}))
        for k, keep in ((5, 0.01), (0, 1.0))
    )
    assert none["energy_per_share"][0] < paper["energy_per_share"][0] / 50
    assert none["useful_rate"][0] > 50 * paper["useful_rate"][0]
    assert none["false_abort"][0] < paper["false_abort"][0]


# -- contracts and bad input ------------------------------------------------------------------------------------------


def test_conformance() -> None:
    pairs = [
        (load_workload("bitcoin-mining", registry()), load_target(name, registry()), {}) for name in ("lv06", "h100")
    ]
    reports = [check_factory(MiningFactory(), pairs), check_device_model(HashCores)]
    reports += [check_evaluator(bound(OPEN, clock=["200 MHz", "600 MHz"], voltage=["7 V", "8.5 V"]).evaluator)]
    reports += [check_evaluator(bound(OPEN, "laptop").evaluator)]
    reports += [check_target(lambda name=name: load_target(name, registry()), name) for name in MINERS]
    reports += [check_workload(lambda name=name: load_workload(name, registry()), name) for name in WORKLOADS]
    for report in reports:
        assert report.passed, str(report)


@settings(max_examples=60, deadline=None)
@given(
    difficulty=st.floats(1e-12, 1e18), abort=st.integers(0, 64), keep=st.floats(0, 1), prefetch=st.integers(0, 4096),
    latency=st.floats(0, 1e6), job=st.sampled_from(["share", "range", "fixed"]),
    target=st.sampled_from(["antminer-s9", "h100"]),
)  # fmt: skip
def test_extreme_designs_price(
    difficulty: float, abort: int, keep: float, prefetch: int, latency: float, job: str, target: str
) -> None:
    found = price(
        cut(difficulty=difficulty, abort_round=abort, keep=keep, prefetch=prefetch, latency=latency, job=job), target
    )
    assert all(np.isfinite(v) and v >= -1e-9 for v in found.values()), found
    assert found["busy"] <= 1 and found["saving"] <= 1 and found["false_abort"] <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chips": 1.5}, ["chips", "whole number"]),
        ({"cores": 0}, ["cores"]),
        ({"clock": "0 Hz"}, ["clock"]),
        ({"clock": "1 GB"}, ["clock", "Hz"]),
        ({"max_clock": "10 MHz"}, ["min_clock <= clock <= max_clock"]),
        ({"threshold_voltage": "8 V"}, ["threshold"]),
        ({"pipelined": 0.5}, ["pipelined", "0 or 1"]),
        ({"clock_gating": 2}, ["clock_gating"]),
        ({"dynamic_power": -1}, ["dynamic_power"]),
        ({"dynamic_power": 0}, ["dynamic_power"]),
    ],
)
def test_chips_that_cannot_be_are_refused(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(TradespaceError) as caught:
        load_target({"extends": "antminer-s9", **{f"devices.asic.{k}": v for k, v in change.items()}}, registry())
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"abort_rounds": 5}, ["abort_rounds", "abort_round"]),
        ({"abort_round": 65}, ["abort_round", "0 to"]),
        ({"abort_round": 2.5}, ["whole number"]),
        ({"keep": 1.2}, ["keep", "0 to 1"]),
        ({"keep": [0.5, 0.1]}, ["keep"]),
        ({"difficulty": 0}, ["difficulty"]),
        ({"job": "forever"}, ["job"]),
        ({"job_time": 0}, ["job_time"]),
        ({"latency": -1}, ["latency"]),
        ({"classifier": {"model": "oracle"}}, ["classifier", "hash_state"]),
        ({"classifier": {"model": "hash_state", "rounds": 65}}, ["rounds", "64"]),
        ({"algorithm": "scrypt"}, ["algorithm"]),
    ],
)
def test_workloads_that_make_no_sense_are_refused(change: dict[str, Any], words: list[str]) -> None:
    base = "bitcoin-mining" if "abort_round" not in change else "tpf-64"
    with pytest.raises(TradespaceError) as caught:
        load_workload({"extends": base, **change}, registry())
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    "options", [{"clok": 1}, {"clock": "10 GHz"}, {"voltage": "3 V"}, {"clock": ["1 MHz"]}, {"lockstep": 0}]
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TradespaceError):
        bound(**options)


def test_a_miner_runs_only_what_it_is_made_for() -> None:
    for workload, target in itertools.product(("bitcoin-mining", "llama-3.2-1b"), ("lb-box",)):
        with pytest.raises(TradespaceError, match=r"lbry|made for sha256d"):
            bind(Setting(workload, target), registry())


def test_mining_runs_on_machines_of_other_worlds() -> None:
    rates = [price("bitcoin-mining", target)["hash_rate"] for target in ("phone", "laptop", "h100", "antminer-s9")]
    assert rates == sorted(rates)
    assert 1e9 < rates[2] < 2e10  # gigahashes on a GPU

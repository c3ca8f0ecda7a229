"""NARMA-10: what predictors without memory score, what an echo-state network scores, and what share times score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.settings import Bound, Setting, bind
from tradespace.targets.loader import load_target
from tradespace.testing import check_evaluator, check_factory, check_workload
from tradespace.workloads import load_workload
from tradespace_hashing.reservoir import ReservoirFactory, build


def bound(target: str = "laptop", workload: Any = "narma10", **options: Any) -> Bound:
    return bind(Setting(workload, target, "reservoir", options), registry())


def price(readout: str, target: str = "laptop", workload: Any = "narma10", **options: Any) -> dict[str, float]:
    evaluator = bound(target, workload, **options).evaluator
    return {k: float(v[0]) for k, v in evaluator.price(evaluator.space.parse({"readout": readout})).items()}


def mean(readout: str, seeds: int = 8, **kwargs: Any) -> float:
    return float(np.mean([price(readout, seed=seed, **kwargs)["nrmse"] for seed in range(seeds)]))


def test_the_recurrence_by_hand() -> None:
    series = build({"name": "x", "order": 3, "washout": 0, "train": 20, "test": 20})
    u, target = series.series(np.random.default_rng(1))
    y = [0.0] * 4
    for t in range(40):
        past = u[t - 2] if t >= 2 else 0.0
        y.append(0.3 * y[-1] + 0.05 * y[-1] * sum(y[-3:]) + 1.5 * past * u[t] + 0.1)
    assert np.allclose(target, y[4:], rtol=1e-12)


def test_predictors_without_memory() -> None:
    assert mean("constant") == pytest.approx(1.0, abs=0.03)
    assert mean("one_tap") == pytest.approx(0.872, abs=0.015)
    assert mean("taps") == pytest.approx(0.589, abs=0.02)


def test_a_real_reservoir_beats_every_null_and_one_tap_none() -> None:
    state, tap = price("echo_state"), price("one_tap")
    assert 0.2 < state["nrmse"] < 0.45
    assert state["beats_nulls"] == 1.0
    assert state["nrmse_shuffled"] > 0.95
    assert tap["beats_nulls"] == 0.0


def test_share_times_are_noise_to_the_benchmark() -> None:
    found = price("shares", "antminer-s9")
    assert found["nrmse"] > found["nrmse_one_tap"]
    assert found["beats_nulls"] == 0.0
    assert found["energy"] == pytest.approx(1300 * found["latency"])
    assert found["latency"] == pytest.approx(200 * 1024 * 2**32 / (189 * 114 * 650e6))


def test_less_noise_gives_the_input_back_but_no_memory() -> None:
    """Learned from many steps with a strong modulation, share times tell what the one tap tells, and never more."""
    long = {"extends": "narma10", "train": 6000}
    strong, none = (price("shares", "antminer-s9", long, nodes=60, modulation=m)["nrmse"] for m in (0.99, 0.0))
    tap = price("one_tap", "antminer-s9", long)["nrmse"]
    assert tap - 0.01 < strong < none - 0.05
    assert none > 0.98


def test_conformance() -> None:
    pairs = [(load_workload("narma10", registry()), load_target(name, registry()), {}) for name in ("lv06", "laptop")]
    small = {"extends": "narma10", "train": 200, "test": 200}
    for report in (
        check_factory(ReservoirFactory(), pairs),
        check_workload(lambda: load_workload("narma10", registry())),
        check_evaluator(bound("laptop", small, nodes=30).evaluator),
        check_evaluator(bound("antminer-s9", small).evaluator),
    ):
        assert report.passed, str(report)


@pytest.mark.parametrize(
    "change", [{"order": 0}, {"low": 1}, {"train": 5}, {"ordr": 10}, {"c": 1e9}, {"high": "0.5 s"}, {"test": 1e9}]
)
def test_series_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TradespaceError):
        load_workload({"extends": "narma10", **change}, registry())


def test_a_series_that_explodes_says_so() -> None:
    with pytest.raises(TradespaceError, match="bounded"):
        price("taps", workload={"extends": "narma10", "a": 3})


@pytest.mark.parametrize("options", [{"nodes": 0}, {"seed": 0.5}, {"leek": 1}, {"radius": -1}, {"taps": 1000}])
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TradespaceError):
        bound(**options)

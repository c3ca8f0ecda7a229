"""Devices made of two: the best way found by hand, switches, energy, and how the engine treats them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.precisions import FP16
from tradespace.problem import Prices
from tradespace.settings import Setting, bind
from tradespace.targets import load_target

TWO: dict[str, Any] = {
    "source": "a test",
    "memories": {"dram": {"bandwidth": "100 GB/s", "capacity": "8 GB", "handoff": "10 us"}},
    "devices": {
        "slow": {"model": "roofline", "memory": "dram", "peak": "1 TFLOPS", "bandwidth": "60 GB/s",
                 "idle_power": "0.5 W", "dynamic_power": "4 W"},
        "fast": {"model": "roofline", "memory": "dram", "peak": "3 TFLOPS", "bandwidth": "60 GB/s",
                 "runs": ["matmul"], "dynamic_power": "6 W"},
        "both": {"model": "split", "memory": "dram", "of": ["slow", "fast"], "bandwidth": "80 GB/s", "steps": 4},
    },
}  # fmt: skip


def price(m: int, k: int, n: int, device: str = "both", **over: Any) -> dict[str, float]:
    target = {"extends": over.pop("extends"), **over} if "extends" in over else _with(over)
    setting = Setting({"type": "matmul", "m": m, "k": k, "n": n}, target, "tables", {"precisions": ["fp16"]})
    evaluator = bind(setting, registry()).evaluator
    found = evaluator.price(evaluator.space.parse({"placement": device}))
    assert isinstance(found, Prices)
    assert all(float(v[0]) <= 0 for v in found.violations.values())
    return {name: float(column[0]) for name, column in found.items()}


def _with(both: dict[str, Any]) -> dict[str, Any]:
    devices = {**TWO["devices"], "both": {**TWO["devices"]["both"], **both}}
    return {**TWO, "devices": devices}


def test_compute_bound_rows_by_hand() -> None:
    """4096^3: 137 GFLOP; one quarter on the slow device and three on the fast one end together."""
    found = price(4096, 4096, 4096)
    assert found["split_rows"] == 1.0 and found["share_slow"] == 0.25
    flop = 2 * 4096.0**3
    assert found["latency"] == pytest.approx(flop / 4e12 + 10e-6)
    assert found["inside.slow"] == pytest.approx(flop / 4e12)


def test_bandwidth_is_shared() -> None:
    """One token: halves of the weights at 60 GB/s each, held to 80 GB/s together."""
    found = price(8192, 8192, 1)
    moved = FP16.bytes(8192.0 * 8192) + 2 * 2 * 8192 + 2 * 8192
    assert found["share_slow"] == 0.5
    assert found["latency"] == pytest.approx(moved / 80e9 + 10e-6, rel=1e-6)
    wide = price(8192, 8192, 1, bandwidth="100 GB/s")
    assert wide["latency"] == pytest.approx(moved / 100e9 + 10e-6, rel=1e-6)


def test_small_products_stay_on_one_device() -> None:
    found = price(64, 64, 1)
    assert found["only_slow"] == 1.0
    assert found["latency"] == price(64, 64, 1, "slow")["latency"]


def test_a_split_must_gain() -> None:
    assert price(4096, 4096, 4096, gain=0.2)["split_rows"] == 1.0
    assert price(4096, 4096, 4096, gain=0.3)["only_fast"] == 1.0  # 25 % is not enough


def test_ways_are_switched_off() -> None:
    assert price(4096, 4096, 4096, rows=0, sequence=0)["only_fast"] == 1.0
    assert price(4096, 4096, 4100, rows=0, hybrid=0, alone=0)["split_sequence"] == 1.0
    assert price(4096, 4096, 4096, share=0.5)["share_slow"] in (0.0, 0.5)
    assert price(4096, 4096, 4096, share=0.5, alone=0, sequence=0)["share_slow"] == 0.5
    odd = price(4096, 4096, 4095, sequence=0)
    assert odd["split_hybrid"] == 1.0 and odd["split_rows"] == 0.0
    assert price(4096, 4096, 4095, sequence=0, hybrid=0)["only_fast"] == 1.0


def test_the_best_of_fixed_shares_is_what_the_solver_finds() -> None:
    for m, k, n in ((4096, 4096, 300), (512, 8192, 1), (1000, 64, 17)):
        fixed = [price(m, k, n, share=s / 4, sequence=0, alone=0)["latency"] for s in (1, 2, 3)]
        alone = [price(m, k, n, "slow")["latency"], price(m, k, n, "fast")["latency"] + 10e-6]
        assert price(m, k, n, sequence=0)["latency"] == pytest.approx(min(*fixed, *alone))


def test_both_spend_energy_and_nobody_idles_twice() -> None:
    found = price(4096, 4096, 4096)
    halves = 4.0 * 0.5 + 6.0 * 0.5  # arithmetic draws half of the dynamic power
    traffic = (FP16.bytes(4096.0**2) + 4 * 2 * 4096.0**2) / 60e9
    above = found["energy"] - 0.5 * found["latency"]
    assert above >= halves * found["inside.slow"]
    assert above <= halves * found["inside.slow"] + (2 + 3) * traffic


def test_handing_over_to_a_part_is_the_meeting_itself() -> None:
    target = load_target(TWO, registry())
    assert target.path("both", "slow").latency == 0.0
    assert target.path("slow", "both").latency == target.path("slow", "fast").latency == 10e-6


@pytest.mark.parametrize(
    ("both", "says"),
    [
        ({"of": ["slow"]}, "2 different devices"),
        ({"of": ["slow", "slow"]}, "2 different devices"),
        ({"of": "slow"}, "2 different devices"),
        ({"of": ["slow", "vast"]}, "unknown device 'vast'"),
        ({"of": ["slow", "both"]}, "unknown device 'both'"),
        ({"share": 1.5}, "below 1"),
        ({"gain": 1}, "below 1"),
        ({"steps": 1}, "'steps' is 2"),
        ({"rows": 0, "sequence": 0, "hybrid": 0, "alone": 0}, "is 1"),
    ],
)
def test_bad_composites_are_refused(both: dict[str, Any], says: str) -> None:
    with pytest.raises(TradespaceError, match=says):
        load_target(_with(both), registry())


def test_only_composites_have_parts() -> None:
    devices = {**TWO["devices"], "slow": {**TWO["devices"]["slow"], "of": ["fast", "both"]}}
    with pytest.raises(TradespaceError, match="not made of others"):
        load_target({**TWO, "devices": devices}, registry())
    nested = {**TWO["devices"], "more": {**TWO["devices"]["both"], "of": ["slow", "both"]}}
    with pytest.raises(TradespaceError, match="not made of others"):
        load_target({**TWO, "devices": nested}, registry())
    memories = {**TWO["memories"], "vram": {"bandwidth": "1 GB/s", "capacity": "1 GB"}}
    apart = {**TWO["devices"], "fast": {**TWO["devices"]["fast"], "memory": "vram", "bandwidth": "1 GB/s"}}
    links = {"bus": {"between": ["dram", "vram"], "bandwidth": "1 GB/s"}}
    with pytest.raises(TradespaceError, match="work in its memory 'dram'"):
        load_target({**TWO, "memories": memories, "devices": apart, "links": links}, registry())


def test_it_runs_what_some_part_runs() -> None:
    devices = {**TWO["devices"], "slow": {**TWO["devices"]["slow"], "runs": ["matmul", "norm"]}}
    assert load_target({**TWO, "devices": devices}, registry()).device("both").runs == ("matmul", "norm")


def test_prices_do_not_depend_on_the_batch() -> None:
    setting = Setting("llama-3.2-1b", "snapdragon-8-gen-3", "tables", {"precisions": ["int4"]})
    evaluator = bind(setting, registry()).evaluator
    designs = evaluator.space.sample(50, np.random.default_rng(0))
    many, one = evaluator.price(designs), evaluator.price(designs.take([7]))
    assert all(many[name][7] == one[name][0] for name in one)

"""Matrix unit, vector unit and buffer: closed forms, each mechanism switched off, and the engine's account of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.costs.matrix_vector import MatrixVector, on_chip
from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing import check_device_model

CHIP: dict[str, Any] = {
    "title": "made up",
    "memories": {"hbm": {"source": "made up", "kind": "substitute", "bandwidth": "1 TB/s", "capacity": "64 GB"}},
    "devices": {
        "chip": {
            "source": "made up", "kind": "substitute", "model": "matrix-vector",
            "memory": "hbm", "peak": {"int8": "100 TOPS", "bf16": "50 TFLOPS"},
            "vector": "1 TFLOPS", "edge": 128, "buffer": "16 MB",
        }
    },
}  # fmt: skip
NTT = {"extends": "he-ntt-c", "rows": 64}


def price(workload: Any, **changes: Any) -> dict[str, float]:
    target = {**CHIP, "devices": {"chip": {**CHIP["devices"]["chip"], **changes}}}
    evaluator = bind(Setting(workload, target, None, {}), registry()).evaluator
    prices = evaluator.price(evaluator.space.parse({}))
    return {name: float(column[0]) for name, column in prices.columns.items()}


def test_contract() -> None:
    report = check_device_model(MatrixVector)
    assert report.passed, str(report)


def test_units_take_what_belongs_to_them() -> None:
    found = price(NTT)
    degree, rows, cols, limbs = 16384, 64, 256, 16
    assert found["matrix_time"] == pytest.approx(2 * 16 * degree * (rows + cols) * limbs / 100e12)
    assert found["vector_time"] == pytest.approx(degree * limbs * (2 * 7 + 2 * 21 + 2 * 20 + 40) / 1e12)


def test_narrow_products_are_padded() -> None:
    """4 x 8 rows fill a quarter of 128; the other side fills it."""
    workload = {"extends": "he-ntt-c", "rows": 8}
    narrow, free = price(workload)["matrix_time"], price(workload, edge=1)["matrix_time"]
    unit = 2 * 16 * 16384 * 16 / 100e12
    assert free == pytest.approx(unit * (8 + 2048))
    assert narrow == pytest.approx(unit * (8 * 16 + 2048))


def test_chips_share_a_job() -> None:
    one, four = price(NTT), price(NTT, chips=4)
    assert four["matrix_time"] == pytest.approx(one["matrix_time"] / 4)
    assert four["vector_time"] == pytest.approx(one["vector_time"] / 4)
    assert four["memory"] == pytest.approx(one["memory"] / 4)
    bound = {"vector": "1e30 FLOPS", "edge": 1, "idle_power": "10 W", "dynamic_power": "30 W"}
    workload = {"extends": "he-vec-mod-mul", "batch": 4}  # bound by memory: four memories
    one, four = price(workload, **bound), price(workload, **bound, chips=4)
    assert four["latency"] == pytest.approx(one["latency"] / 4)
    assert four["energy"] == pytest.approx(one["energy"])


def test_a_buffer_saves_traffic_and_nothing_else() -> None:
    """Off: every activation crosses the memory. On: operands and constants alone do."""
    large, none = (price(NTT, buffer=buffer, vector="100 TFLOPS") for buffer in ("1 GB", 0))
    assert none["matrix_time"] == large["matrix_time"]
    assert none["latency"] > 1.3 * large["latency"]
    words = 16384 * 16 * 4
    assert price({**NTT, "kernel": "vec-mod-mul"}, vector="1e30 FLOPS")["latency"] == pytest.approx(3 * words / 1e12)


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (5, 5), (10, 10), (20, 10), (1e30, 10)])
def test_what_stays_on_the_chip(size: float, kept: float) -> None:
    assert on_chip(np.array([size], np.float64), 10.0)[0] == pytest.approx(kept)


def test_a_format_that_nothing_multiplies_is_not_offered() -> None:
    evaluator = bind(Setting("llama-3.2-1b", CHIP, None, {}), registry()).evaluator
    assert next(v for v in evaluator.space.variables if v.name == "precision").options == ("int8",)


@pytest.mark.parametrize(
    "changes", [{"edge": 1.5}, {"edge": 0}, {"chips": 0}, {"chips": 2.5}, {"vector": 0}, {"buffer": -1}]
)
def test_chips_that_are_none_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TradespaceError) as error:
        load_target({**CHIP, "devices": {"chip": {**CHIP["devices"]["chip"], **changes}}}, registry())
    assert next(iter(changes)) in str(error.value)


def test_exact_arithmetic_stays_in_its_format() -> None:
    evaluator = bind(Setting(NTT, "laptop", None, {}), registry()).evaluator
    assert next(v for v in evaluator.space.variables if v.name == "precision").options == ("residue",)
    assert (evaluator.price(evaluator.space.parse({})).columns["loss"] == 0).all()
    with pytest.raises(TradespaceError, match="exact arithmetic"):
        bind(Setting(NTT, "laptop", None, {"precisions": ["int4"]}), registry())
    with pytest.raises(TradespaceError, match="exact arithmetic"):
        bind(Setting("llama-3.2-1b", "laptop", None, {"precisions": ["int8", "residue"]}), registry())

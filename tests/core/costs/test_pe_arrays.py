"""Arrays of processing elements: golden cycles, brute-force twins, and what each constant does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.costs.pe_arrays import OutputStationary, RowStationary, WeightStationary, divisors, mapped
from tradespace.costs.tables import TablesFactory
from tradespace.errors import UnitError
from tradespace.plugins import registry
from tradespace.precisions import FP16, FP32
from tradespace.problem import Prices
from tradespace.targets import load_target
from tradespace.testing import check_device_model
from tradespace.workloads import load_workload

TOPOLOGIES = Path(__file__).parents[3] / ".." / "shared" / "data" / "scalesim"


def priced(workload: Any, target: str, over: Mapping[str, Any] | None = None) -> Prices:
    machine = load_target({"extends": target, **(over or {})}, registry())
    graph = load_workload(workload, registry())
    evaluator = TablesFactory().bind(graph, machine, {"per": "operator", "precisions": ["int8"]}, registry())
    return evaluator.price(evaluator.repair(evaluator.space.parse({})))


@pytest.mark.parametrize("model", [WeightStationary, OutputStationary, RowStationary])
def test_contract(model: type) -> None:
    report = check_device_model(model)
    assert report.passed, str(report)


def test_golden_cycles_of_scale_sim() -> None:
    """AlexNet's first convolution on 32 x 32, weight stationary: the total of SCALE-Sim's own test."""
    assert priced("alexnet-conv1", "toy-array")["cycles"][0] == 112_283


@pytest.mark.parametrize("name", ["Resnet18.csv", "Resnet50.csv"])
@pytest.mark.parametrize("target", ["toy-array", "scale-sim-os", "scale-sim-google"])
def test_folds_counted_one_by_one(name: str, target: str) -> None:
    """Against a walk over every fold of every layer of SCALE-Sim's topologies."""
    path = TOPOLOGIES / name
    if not path.exists():
        pytest.skip(f"no topologies at {TOPOLOGIES}")
    array = load_target(target, registry()).device("array")
    rows, cols = int(array.rows), int(array.cols)
    graph = load_workload(path, registry())
    total = 0.0
    for m, k, n, count in zip(*(column.tolist() for column in graph.operators.gemm), strict=True):
        first, length = (k, 2 * rows + cols + m - 2) if array.model == "weight-stationary" else (m, rows + cols + k - 2)
        folds = sum(1 for _ in range(0, int(first), rows) for _ in range(0, int(n), cols))
        total += count * (folds * length - 1)
    assert priced(path, target)["cycles"][0] == total


def brute(shape: tuple[int, ...], rows: int, cols: int, native: bool) -> float:
    """Passes over the array, straight from the words of the study's brief."""
    images, high, _, kernel_h, _, per_group, n, count = shape
    if kernel_h > rows:
        vertical, tall = 1, math.ceil(kernel_h / rows)
    else:
        vertical, tall = rows // kernel_h, 1
    horizontal, folds = (cols // high, 1) if high <= cols else (1, math.ceil(high / cols))
    used = min(vertical, folds)
    folds, vertical = math.ceil(folds / used), vertical // used
    if native and per_group == n == 1:
        return images * math.ceil(count / min(vertical * horizontal, count)) * folds * tall
    best = math.inf
    for a in range(1, vertical + 1):
        for b in range(1, vertical + 1):
            if a * b == vertical:
                ifm, ofm = min(a, per_group), min(b * horizontal, n)
                best = min(best, math.ceil(per_group / ifm) * math.ceil(n * count / ofm))
    return images * best * folds * tall


sizes = st.integers(1, 40)


@settings(max_examples=300, deadline=None)
@given(st.tuples(sizes, sizes, sizes, st.integers(1, 7), st.integers(1, 7), sizes, sizes, sizes), sizes, sizes)
def test_rows_are_mapped_as_by_brute_force(shape: tuple[int, ...], rows: int, cols: int) -> None:
    for native in (False, True):
        passes = mapped(shape, rows, cols, native)[0]
        assert passes == brute(shape, rows, cols, native)
        macs = math.prod(shape)
        assert 0 < macs / (passes * shape[4] * shape[2]) <= rows * cols  # never more than one a cycle and element


def test_mean_utilisation_does_not_add_up() -> None:
    one = priced({"extends": "mobilenet-v1", "keep": ["conv"]}, "row-array")
    assert 0.46 < one["utilisation"][0] < 0.47
    assert one["layers"][0] == 27
    assert one["macs"][0] / one["cycles"][0] <= 4096


def test_energy_by_level() -> None:
    base = priced("alexnet-conv1", "row-array")
    more = priced("alexnet-conv1", "row-array", {"devices.array.energy_mac": "3 pJ"})
    assert more["energy"][0] - base["energy"][0] == pytest.approx(base["macs"][0] * 1e-12, rel=1e-6)
    more = priced("alexnet-conv1", "row-array", {"devices.array.energy_register": "2 pJ"})
    assert more["energy"][0] - base["energy"][0] == pytest.approx(3 * base["macs"][0] * 1e-12, rel=1e-6)
    levels = [{f"devices.array.energy_{level}": "1 nJ"} for level in ("array", "buffer")]
    assert all(priced("alexnet-conv1", "row-array", level)["energy"][0] > base["energy"][0] for level in levels)


def test_a_small_buffer_fetches_again() -> None:
    """1 MB of weights and 2 MB of inputs through 0.5 MB: two pieces of weights, so the inputs once more."""
    product = {"type": "matmul", "m": 1000, "k": 1000, "n": 1000}
    free = {"devices.array.clock": "1e9 GHz", "memories.dram.bandwidth": "1 GB/s", "memories.dram.energy_per_byte": 0}
    whole = priced(product, "row-array", {**free, "devices.array.buffer": 0})["latency"][0]
    half = priced(product, "row-array", {**free, "devices.array.buffer": "0.55 MB"})["latency"][0]
    plenty = priced(product, "row-array", {**free, "devices.array.buffer": "8 MB"})["latency"][0]
    weights, inputs = 1e6 * (8 + 16 / 32) / 8, 1e6 * 16 / 8
    assert whole == plenty == pytest.approx((weights + 2 * inputs) / 1e9)
    assert half - whole == pytest.approx(min(inputs * 1, weights * 3) / 1e9)


def test_words_decide_which_formats_run() -> None:
    device = load_target("row-array", registry()).device("array")
    operators = load_workload("alexnet-conv1", registry()).operators
    table = RowStationary().table(operators, device, (FP32, FP16)).dense(1, 2, "here")
    assert table.unsupported is not None
    assert table.unsupported.tolist() == [[True, False]]


@pytest.mark.parametrize("target", ["row-array", "toy-array", "scale-sim-os"])
@pytest.mark.parametrize("batch", [1, 100_000])
def test_extreme_jobs_survive(target: str, batch: int) -> None:
    found = priced({"extends": "llama-3.2-1b", "phase": "decode", "context": 16, "batch": batch}, target)
    assert all(np.isfinite(column).all() and (column >= 0).all() for column in found.columns.values())


@pytest.mark.parametrize("over", [{"rows": 0}, {"clock": 0}, {"word": "0 B"}, {"energy_mac": "-1 pJ"}, {"buffer": -1}])
def test_arrays_that_cannot_be_are_refused(over: dict[str, Any]) -> None:
    with pytest.raises(UnitError, match=f"devices.array.{next(iter(over))}"):
        load_target({"extends": "row-array", **{f"devices.array.{k}": v for k, v in over.items()}}, registry())


@pytest.mark.parametrize("n", [1, 2, 12, 36, 97, 64_000_000])
def test_divisors_come_by_pairs(n: int) -> None:
    found = divisors(n)
    assert found[0] == 1 and found[-1] == n and (np.diff(found) > 0).all() if n > 1 else found.tolist() == [1]
    assert (n % found == 0).all()
    assert n > 100 or found.tolist() == [d for d in range(1, n + 1) if n % d == 0]

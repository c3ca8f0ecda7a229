"""Cores that layers need, and the passes of a chip that is too small."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.costs.core_allocation import CoreLimits, passes, splits, unit_cores, units_of
from tradespace.plugins import registry
from tradespace.workloads import load_workload
from tradespace.workloads.operators import OperatorGraph


def network(layers: list[dict[str, object]], size: int = 16) -> OperatorGraph:
    found = load_workload({"type": "sequential", "input": [size, size, 3], "layers": layers}, registry())
    assert isinstance(found, OperatorGraph)
    return found


def slow_passes(cores: list[float], available: float) -> tuple[int, list[int]]:
    """Lays cores down one by one, but never begins a unit beside others where it does not fit."""
    used, now, ends = 0.0, 0, []
    for need in cores:
        if used > 0 and used + need > available:
            now, used = now + 1, 0.0
        rest = need
        while used + rest > available:
            rest -= available - used
            now, used = now + 1, 0.0
        used += rest
        ends.append(now)
    return now + 1, ends


def test_filters_and_regions_multiply() -> None:
    limits = CoreLimits(weights=100, maps=50)
    assert splits([1, 100, 101, 101], [1, 50, 50, 51], 0, 0, limits).tolist() == [1, 1, 2, 4]


def test_limits_of_neurons_and_fan_in() -> None:
    limits = CoreLimits(weights=1e9, maps=1e9, neurons=1000, fan_in=64)
    assert splits([1, 1, 1], [1, 1, 1], [1000, 1001, 1], [64, 64, 65], limits).tolist() == [1, 2, 2]


def test_passes_equal_laying_down_one_by_one() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        available = int(rng.integers(1, 20))
        cores = rng.integers(1, 30, (3, int(rng.integers(1, 9)))).astype(float)
        count, ends = passes(cores, available)
        for row in range(3):
            expected = slow_passes(cores[row].tolist(), available)
            assert (count[row], ends[row].tolist()) == expected


def test_one_pass_where_everything_fits() -> None:
    assert passes([[3, 4, 5]], 12)[0].tolist() == [1]
    assert passes([[3, 4, 5]], 11)[0].tolist() == [2]
    assert passes([[1e300]], 1)[0][0] > 1e8  # bounded, no overflow


def test_separable_layers_and_pooling_share_cores() -> None:
    graph = network([{"conv": 8}, {"pool": 2}, {"separable": 16}, {"pool": "all"}, {"dense": 4}])
    names = [[graph.operators.name[row] for row in unit] for unit in units_of(graph)]
    assert names == [
        ["0.conv", "1.pool"], ["2.separable.depthwise", "2.separable.pointwise", "3.pool"], ["4.dense"],
    ]  # fmt: skip


def test_every_operator_belongs_to_one_unit() -> None:
    for name in ("mobilenet-v2", "mobilenet-v1", "ds-cnn-kws", "llama-3.2-1b"):
        graph = load_workload(name, registry())
        assert isinstance(graph, OperatorGraph)
        rows = np.concatenate(units_of(graph))
        assert rows.tolist() == list(range(len(graph.operators)))


def test_a_chip_without_weight_sharing_stores_every_synapse() -> None:
    graph = network([{"conv": 8}, {"conv": 8}])
    shared, apart = (
        unit_cores(graph.operators, units_of(graph), 8, CoreLimits(1000, 1e9, shared=shared))
        for shared in (True, False)
    )
    macs = 16 * 16 * 9 * 8 * 8
    assert shared[1] == 1
    assert apart[1] == pytest.approx(-(-macs // 1000))


def test_streamed_layers_take_one_core() -> None:
    graph = network([{"conv": 8}, {"dense": 4096}])
    sizes = [unit_cores(graph.operators, units_of(graph), 8, CoreLimits(1e4, 1e4, streams=s))[1] for s in (False, True)]
    assert sizes[0] > 100
    assert sizes[1] == 1

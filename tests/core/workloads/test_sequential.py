"""Stacks of layers: sizes by hand, keys that change them, bad input."""

from __future__ import annotations

from typing import Any

import pytest

from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.workloads import load_workload

BASE: dict[str, Any] = {
    "type": "sequential",
    "input": [9, 7, 3],
    "layers": [{"conv": 8, "stride": 2}, {"separable": 16}, {"pool": 2}, {"dense": 5}],
}


def load(**changes: Any) -> Any:
    return load_workload({**BASE, **changes}, registry())


def test_sizes_by_hand() -> None:
    ops = load().operators
    assert ops.name == ("0.conv", "1.separable.depthwise", "1.separable.pointwise", "2.pool", "3.dense")
    assert ops.m.tolist() == [20, 20, 20, 0, 1]
    assert ops.macs.tolist() == [20 * 27 * 8, 20 * 9 * 8, 20 * 8 * 16, 0, 3 * 2 * 16 * 5]
    assert ops.weights.tolist() == [27 * 8 + 8, 9 * 8, 8 * 16 + 16, 0, 96 * 5 + 5]
    assert ops.act_in.tolist() == [189, 160, 160, 320, 96]


def test_width_resolution_classes_and_batch() -> None:
    assert load(width=0.5).operators.n.tolist()[0] == 4
    assert load(classes=7).operators.n[-1] == 7
    assert load(resolution=8).operators.act_in[0] == 8 * 8 * 3
    assert load(batch=3).operators.m.tolist() == [60, 60, 60, 0, 3]
    fixed = load(width=2, layers=[{"conv": 8, "fixed": True}, {"dense": 5}])
    assert fixed.operators.n.tolist() == [8, 5]


def test_activity_spares_the_input_and_names_layers() -> None:
    assert load().operators.sparsity.tolist() == [0] * 5
    assert load(activity=0.25).operators.sparsity.tolist() == [0] + [0.75] * 4
    some = load(activity={"*.pointwise": 0.1, "0.conv": 0.5}).operators.sparsity
    assert some.tolist() == pytest.approx([0.5, 0, 0.9, 0, 0])


def test_any_network_can_be_given_an_activity() -> None:
    graph: Any = load_workload({"type": "active", "of": "mobilenet-v2", "activity": 0.4, "resolution": 96}, registry())
    assert (graph.operators.sparsity[1:] == pytest.approx(0.6)) and graph.operators.sparsity[0] == 0
    assert graph.facts["activity"] == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {"input": [9, 7]}, {"input": [0, 7, 3]}, {"input": "big"}, {"layers": []}, {"layers": [3]},
        {"layers": [{"conv": 8, "dense": 3}]}, {"layers": [{"conv": -1}]}, {"layers": [{"conv": 8, "kernels": 3}]},
        {"layers": [{"pool": "some"}]}, {"width": 0}, {"width": "wide"}, {"activity": -0.1}, {"activity": {"9.*": 0.5}},
        {"activity": True}, {"classes": 0}, {"depth": 3}, {"layers": [{"conv": 8, "fixed": 1}]}, {"batch": 0},
        {"layers": [{"pool": 2}], "classes": 3},
    ],
)  # fmt: skip
def test_bad_input_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(TradespaceError) as error:
        load(**changes)
    assert "sequential" in str(error.value)

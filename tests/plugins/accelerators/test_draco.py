"""DRACO: the transformation, the decision, its golden numbers, and the control that takes the gain away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError, ProblemError, UnknownName
from tradespace.plugins import registry
from tradespace.precisions import FP16
from tradespace.search.api import search
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing import check_evaluator, check_factory, check_kernel
from tradespace.workloads import load_workload
from tradespace_accelerators.draco import GroupConvFactory
from tradespace_accelerators.draco_kernels import GroupConv, GroupConvFP32, GroupConvInt8

CONVS = {"extends": "mobilenet-v1", "keep": ["conv"]}
FREE = "row-array-free"


def price(workload: Any, target: Any, evaluator: str = "tables", options: Any = None, design: Any = None) -> Any:
    bound = bind(Setting(workload, target, evaluator, options or {}), registry()).evaluator
    designs = bound.space.parse(design or {})
    repair = getattr(bound, "repair", None)
    return bound.price(repair(designs) if repair else designs)


# -- the transformation -----------------------------------------------------------------------------------------------


def test_the_network_is_mobilenet() -> None:
    graph = load_workload("mobilenet-v1", registry())
    assert graph.parameters == pytest.approx(4.2e6, rel=0.02)  # with folded batch norms
    assert graph.facts["macs"] == pytest.approx(569e6, rel=0.001)  # table 8 of the publication
    assert sum(kind == "conv" for kind in graph.operators.kind) == 27


def test_groups_multiply_work_and_weights_of_depthwise_layers_alone() -> None:
    plain, wide = (load_workload({**CONVS, "groups": g}, registry()) for g in (1, 4))
    changed = np.flatnonzero(plain.operators.k != wide.operators.k)
    assert [plain.operators.name[i] for i in changed] == [f"{i}.depthwise" for i in range(13)]
    assert (wide.operators.macs[changed] == 4 * plain.operators.macs[changed]).all()
    assert wide.parameters - plain.parameters == 3 * 9 * plain.operators.count[changed].sum()
    assert (wide.operators.act_in == plain.operators.act_in).all()


def test_a_group_of_all_channels_is_a_dense_convolution() -> None:
    dense = load_workload({**CONVS, "groups": 65_536}, registry()).operators
    row = dense.name.index("0.depthwise")
    assert (dense.k[row], dense.n[row], dense.count[row]) == (9 * 32, 32, 1)


def test_layers_are_named_by_patterns_and_other_networks_can_be_grouped() -> None:
    some = load_workload({**CONVS, "groups": {"*": 2, "1?.depthwise": 8}}, registry()).operators
    assert [some.n[some.name.index(f"{i}.depthwise")] for i in (0, 9, 10, 12)] == [2, 2, 8, 8]
    other = load_workload({"type": "group-conv", "of": "mobilenet-v2", "groups": 4, "resolution": 96}, registry())
    assert other.operators.n[other.operators.name.index("3.depthwise")] == 4
    assert other.facts["resolution"] == 96


def test_a_batch_repeats_the_rows_and_reads_weights_once() -> None:
    one, many = (load_workload({**CONVS, "batch": b, "groups": 2}, registry()) for b in (1, 10))
    assert many.facts["macs"] == 10 * float(one.facts["macs"])
    assert (many.operators.weights == one.operators.weights).all()
    assert many.tokens == 10
    cycles = [price({**CONVS, "batch": b, "groups": 2}, FREE)["cycles"][0] for b in (1, 10, 100_000)]
    assert cycles[1] / cycles[0] == 10
    assert cycles[2] / cycles[0] == 1e5
    with pytest.raises(InputError, match="own type"):
        load_workload({"type": "group-conv", "of": "gpt2", "batch": 2}, registry())


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"groups": 0}, InputError, "from 1 to"),
        ({"groups": 1.5}, InputError, "from 1 to"),
        ({"groups": {"12.pointwise": 4}}, UnknownName, "depthwise convolution"),
        ({"keep": ["convolution"]}, UnknownName, "conv"),
        ({"keep": ["scan"]}, InputError, "are kept"),
        ({"of": 7}, InputError, "'of'"),
        ({"resolutoin": 96}, UnknownName, "resolution"),
    ],
)
def test_bad_transformations_are_refused(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        load_workload({"extends": "mobilenet-v1", **options}, registry())


# -- the published gain, and where it comes from ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "utilisation", "saving", "macs"),
    [
        (1, 0.464, 0.0, 568),
        (2, 0.495, 0.299, 585),
        (4, 0.580, 0.433, 620),
        (8, 0.668, 0.416, 689),
        (16, 0.788, 0.344, 829),
    ],
)
def test_hand_computed_table(groups: int, utilisation: float, saving: float, macs: float) -> None:
    base, found = (price({**CONVS, "groups": g}, FREE) for g in (1, groups))
    assert found["utilisation"][0] == pytest.approx(utilisation, abs=5.1e-4)
    assert 1 - found["latency"][0] / base["latency"][0] == pytest.approx(saving, abs=5.1e-4)
    assert round(found["macs"][0] / 1e6) == pytest.approx(macs, abs=0.6)


def test_the_simulators_own_depthwise_layer_takes_the_gain_away() -> None:
    """Switching off the restriction of the mapper makes every group slower: the gain is the restriction's."""
    native = {"extends": FREE, "devices.array.native_depthwise": 1}
    base, *others = (price({**CONVS, "groups": g}, native)["latency"][0] for g in (1, 2, 4, 8, 16, 32))
    assert price(CONVS, native)["utilisation"][0] == pytest.approx(0.81, abs=0.005)
    assert min(others) / base == pytest.approx(1.354, abs=0.005)
    assert max(others) / base == pytest.approx(2.053, abs=0.005)


def test_small_arrays_gain_little_or_nothing() -> None:
    def best(side: int) -> float:
        array = {"extends": FREE, "devices.array.rows": side, "devices.array.cols": side}
        base, *others = (price({**CONVS, "groups": g}, array)["latency"][0] for g in (1, 2, 4, 8, 16))
        return float(1 - min(others) / base)

    assert best(64) > 0.43
    assert best(32) == pytest.approx(0.14, abs=0.001)
    assert best(16) < 0


def test_a_depthwise_product_takes_one_column() -> None:
    """SCALE-Sim: with 1024 rows one fold holds 9 G rows of weights, so grouping by G saves G folds."""
    wide = {"extends": "scale-sim-google", "devices.array.rows": 1024}
    one = load_workload({**CONVS, "groups": 1}, registry()).operators
    layer = one.name.index("12.depthwise")
    device = bind(Setting(CONVS, wide, "tables", {}), registry()).target.device("array")
    model = registry().load("device_models", "weight-stationary")()
    cycles = [
        model.table(load_workload({**CONVS, "groups": g}, registry()).operators, device, (FP16,)).columns["cycles"][
            layer
        ]
        for g in (1, 8, 64)
    ]
    assert cycles[0] / cycles[1] == 8
    assert cycles[0] / cycles[2] == 64


# -- the decision -----------------------------------------------------------------------------------------------------


def test_contracts() -> None:
    pairs = [("mobilenet-v1", "row-array", {}), ("mobilenet-v2", "laptop", {"per": "network"}), ("gpt2", "laptop", {})]
    factory = check_factory(
        GroupConvFactory(),
        [(load_workload(w, registry()), load_target(t, registry()), options) for w, t, options in pairs],
    )
    assert factory.passed, str(factory)
    evaluator = bind(Setting("mobilenet-v1", "row-array", "group-conv", {}), registry()).evaluator
    report = check_evaluator(evaluator)
    assert report.passed, str(report)


@pytest.mark.parametrize("target", ["row-array", "laptop"])
@pytest.mark.parametrize("name", ["mobilenet-v1", "mobilenet-v2"])
def test_sums_over_layers_are_the_tables_of_the_changed_network(name: str, target: str) -> None:
    evaluator = bind(Setting(name, target, "group-conv", {}), registry()).evaluator
    designs = evaluator.space.sample(3, np.random.default_rng(0))
    found = evaluator.price(designs)
    for row in range(3):
        chosen = designs.show(row)["groups"]
        groups = {layer.replace("[", "[[]"): int(g) for layer, g in zip(evaluator.layers, chosen, strict=True)}
        changed = {"type": "group-conv", "of": name, "groups": groups}
        same = price(changed, target, "tables", {"per": "operator", "precisions": ["fp16"]})
        for metric in ("latency", "energy", "memory", *(m for m in ("cycles", "macs", "utilisation") if m in found)):
            assert found[metric][row] == pytest.approx(same[metric][0], rel=1e-9), metric


def test_the_front_beats_the_papers_decision() -> None:
    """One group for the whole network is what the abstract can mean; layer by layer is at least as good in both."""
    evaluator = bind(Setting(CONVS, FREE, "group-conv", {}), registry()).evaluator
    front = search(evaluator, ["latency", "underutilisation"], optimizer="chain_exact", evaluations=5000)
    uniform = evaluator.price(evaluator.space.parse({"groups": 8}))
    latency, empty = front.values[:, 0], front.values[:, 1]
    assert ((latency <= uniform["latency"][0]) & (empty <= uniform["underutilisation"][0])).any()
    assert front.gap is not None
    assert front.gap.gap < 1e-6


def test_one_decision_for_the_network() -> None:
    evaluator = bind(Setting(CONVS, FREE, "group-conv", {"per": "network"}), registry()).evaluator
    both = evaluator.price(evaluator.space.parse({"groups": 8}))
    assert both["latency"][0] == pytest.approx(price({**CONVS, "groups": 8}, FREE)["latency"][0])
    front = search(evaluator, ["latency", "utilisation"])
    assert front.best("knee").design["groups"] == 8


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"group": [1]}, UnknownName),
        ({"groups": [1, 1]}, ProblemError),
        ({"groups": [0]}, ProblemError),
        ({"per": "row"}, UnknownName),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        bind(Setting("mobilenet-v1", "row-array", "group-conv", options), registry())


def test_networks_without_depthwise_layers_are_declined() -> None:
    with pytest.raises(ProblemError, match="no depthwise convolution"):
        bind(Setting("llama-3.2-1b", "row-array", "group-conv", {}), registry())


# -- the cross product ------------------------------------------------------------------------------------------------


def test_infinite_memory_is_a_fact_of_the_study() -> None:
    """Llama-3.2-1B decodes at 630 tokens/s on the array of the study, and at 10 once its memory is charged."""
    decode = {"extends": "llama-3.2-1b", "phase": "decode", "context": 256}
    options = {"per": "operator", "precisions": ["fp16"]}
    assert price(decode, FREE, "tables", options)["throughput"][0] == pytest.approx(633, rel=0.05)
    assert price(decode, "row-array", "tables", options)["throughput"][0] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("target", ["laptop", "h100", "phone", "eyeriss", "toy-array", "scale-sim-os", "row-array"])
@pytest.mark.parametrize("workload", ["mobilenet-v1", "mobilenet-v2"])
def test_networks_run_everywhere(workload: str, target: str) -> None:
    assert 1e-5 < price(workload, target)["latency"][0] < 10


# -- the native kernel ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [GroupConvFP32(), GroupConvInt8(), GroupConvFP32(1), GroupConvInt8(3)])
def test_kernel_contract(kernel: GroupConv) -> None:
    report = check_kernel(kernel)
    assert report.passed, str(report)


@pytest.mark.parametrize("kind", [GroupConvFP32, GroupConvInt8])
def test_the_kernel_is_a_convolution_with_same_padding(kind: type[GroupConv]) -> None:
    """Against windows of padded maps, written without flat planes."""
    group, channels, height, width, size = 4, 12, 7, 9, 3
    kernel = kind(group)
    inputs = kernel.shaped(channels, height, width, size, np.random.default_rng(3))
    kernel.run(inputs)
    stride = width + size - 1
    padded = inputs["x"][:, : (height + size - 1) * stride].reshape(channels, height + size - 1, stride)
    windows = np.lib.stride_tricks.sliding_window_view(padded.astype(np.float64), (size, size), axis=(1, 2))
    filters = inputs["w"].reshape(channels, group, size, size).astype(np.float64)
    for channel in range(channels):
        first = channel // group * group
        expected = np.einsum("chwij,cij->hw", windows[first : first + group], filters[channel])
        assert kernel.result(inputs)[channel] == pytest.approx(expected, abs=1e-4)

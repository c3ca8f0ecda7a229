"""Akida: golden numbers of the vendor's zoo, the study's front, on-chip learning, kernels, and other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError
from tradespace.plugins import registry
from tradespace.search.api import search
from tradespace.settings import Setting, bind
from tradespace.testing import check_kernel
from tradespace.testing.workloads import check_workload
from tradespace.workloads import load_workload
from tradespace_neuromorphic.event_kernels import FILTERS, Conv4, DenseConv4, EventConv4, pack
from tradespace_neuromorphic.snn_neuromorphic import BinaryLearner

ROOT = Path(__file__).parents[3]
HALF = {"extends": "akidanet", "width": 0.5}


def load(workload: Any) -> Any:
    return load_workload(workload, registry())


def price(workload: Any, target: Any, options: Any = None, evaluator: str | None = "event-mapping") -> Any:
    bound = bind(Setting(workload, target, evaluator, options or {}), registry()).evaluator
    designs = bound.space.parse({})
    repair = getattr(bound, "repair", None)
    return bound.price(repair(designs) if repair else designs)


# -- the networks are the zoo's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "parameters"),
    [
        ({"extends": "akidanet", "width": 0.25}, 480e3), (HALF, 1.4e6), ("akidanet", 4.4e6), ("ds-cnn-kws", 22.7e3),
        ("akidanet-yolo", 3.6e6), ("vgg-utkface", 458e3),
    ],
)  # fmt: skip
def test_parameters(workload: Any, parameters: float) -> None:
    assert load(workload).parameters == pytest.approx(parameters, rel=0.02)


def test_driving_networks_have_the_parameters_of_their_repository() -> None:
    assert load("mininet").parameters == pytest.approx(245e3, rel=0.01)
    assert load("pilotnet").parameters == pytest.approx(1.54e6, rel=0.06)


@pytest.mark.parametrize("name", ["akidanet", "ds-cnn-kws", "mobilenet-v1-events", "dense-chain"])
def test_workload_kit(name: str) -> None:
    report = check_workload(lambda: load_workload(name, registry()))
    assert report.passed, str(report)


# -- energies, cores, latencies that nothing was fitted on ------------------------------------------------------------


@pytest.mark.parametrize(
    ("workload", "millijoule"),
    [
        (HALF, 6.885), ("akidanet-plantvillage", 7.17), ("akidanet-yolo", 14.61), ("gxnor-mnist", 0.34),
        ({"extends": "akidanet", "width": 0.25, "resolution": 96, "classes": 2}, 0.49),
        ({"extends": "mobilenet-v1-events", "width": 0.5}, 6.68),
    ],
)  # fmt: skip
def test_energies_of_the_zoo(workload: Any, millijoule: float) -> None:
    assert 0.8 < price(workload, "akd1500")["energy"][0] * 1e3 / millijoule < 1.25


def test_without_events_the_energies_are_not_explained() -> None:
    """The mechanism off: priced by multiply-adds at MobileNet's rate, AkidaNet costs far more than measured."""
    mobile, akida = (load(w) for w in ({"extends": "mobilenet-v1-events", "width": 0.5}, HALF))
    by_macs = 6.68 * akida.facts["macs"] / mobile.facts["macs"]
    assert by_macs / 6.885 > 2


@pytest.mark.parametrize(
    ("workload", "cores"),
    [(HALF, 32), ("akidanet-plantvillage", 33), ("ds-cnn-kws", 5), ("gxnor-mnist", 3), ("vgg-utkface", 6)],
)
def test_cores_are_exact_where_the_rule_is_known(workload: Any, cores: int) -> None:
    assert price(workload, "akd1000")["cores"][0] == cores


def test_latencies() -> None:
    assert price("ds-cnn-kws", "akd1000")["latency"][0] == pytest.approx(0.72e-3, rel=0.05)
    layers = [{"conv": 512, "kernel": 1}, {"dense": 512}, {"dense": 1}]
    wide = price({"extends": "dense-chain", "layers": layers}, "akd1000-pcie")
    assert wide["latency"][0] == pytest.approx(1106e-6, rel=0.05)


def test_pictures_cross_the_bus_of_the_board() -> None:
    """MiniNet's 66 x 200 x 3 B at 37 MB/s; without the bus the measured 4.30 ms are not explained."""
    whole = price("mininet", "akd1000-pcie")["latency"][0]
    chip = price("mininet", {"extends": "akd1000-pcie", "devices.npu.feed": 0})["latency"][0]
    assert whole - chip == pytest.approx(66 * 200 * 3 / 37e6, rel=1e-9)
    assert 0.8 < whole / 4.30e-3 < 1.25
    assert chip / 4.30e-3 < 0.8


def test_a_slow_bus_paces_a_batch() -> None:
    slow = {"extends": "akd1000-pcie", "devices.npu.feed": "1 MB/s"}
    one, two = (price("mininet", slow, {"batches": [n]})["latency"][0] for n in (1, 2))
    assert two - one == pytest.approx(66 * 200 * 3 / 1e6)


@pytest.mark.parametrize(
    ("width", "size"), [(64, 5120), (256, 54464), (512, 206208), (1024, 804608), (2048, 3181056), (4096, 12652544)]
)
def test_programs_hold_six_bits_a_weight(width: int, size: int) -> None:
    layers = [{"conv": width, "kernel": 1}, {"dense": width}, {"dense": 1}]
    found = price({"extends": "dense-chain", "layers": layers}, "akd1000-pcie")
    assert 0.85 < found["program"][0] / size < 1.15
    assert found["memory"][0] / size < 0.75  # by weights alone they are not explained


def test_mobilenet_takes_two_passes_on_78_cores() -> None:
    found = price("mobilenet-v1-events", "akd1000")
    assert found["passes"][0] == 2
    assert price(HALF, "akd1000")["passes"][0] == 1


def test_the_front_beats_or_contains_the_minimal_mapping_of_the_paper() -> None:
    bound = bind(Setting(HALF, "akd1000", "event-mapping", {"spreads": [1, 2, 4]}), registry()).evaluator
    front = search(
        bound, ["latency", "cores"], ["latency<=50 ms", "power<=250 mW"], optimizer="pgsam", evaluations=3000, seed=1
    )
    values = front.values
    assert ((values[:, 0] <= 41.1e-3) & (values[:, 1] <= 32)).any()
    assert values[:, 0].min() < 0.75 * 41e-3  # spreading the slow layers is worth it
    assert front.gap is not None
    assert front.gap.gap < 0.15


def test_clock_modes_trade_power_for_time() -> None:
    names = ("akd1000-pcie", "akd1000-pcie-economy", "akd1000-pcie-low-power")
    found = [price("dense-chain", name) for name in names]
    assert found[0]["latency"][0] < found[1]["latency"][0] < found[2]["latency"][0]
    assert found[0]["power"][0] > found[1]["power"][0] > found[2]["power"][0]


def test_widths_and_modes_are_decisions_too() -> None:
    modes = {"fast": {"idle_power": "901 mW"}, "slow": {"idle_power": "739 mW", "event_rate": "57 MHz"}}
    target = {"extends": "akd1000-pcie", "devices": {"npu": {"choices": modes}}}
    workload = {"extends": "akidanet", "width": {"choices": [0.25, 0.5]}}
    bound = bind(Setting(workload, target, "event-mapping", {}), registry()).evaluator
    assert {"devices.npu", "width"} <= {variable.name for variable in bound.space.variables}


# -- other machines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["laptop", "phone", "stm32f746", "row-array", "h100"])
def test_its_networks_run_elsewhere_as_dense_arithmetic(target: str) -> None:
    """Where zeros are not skipped the price does not depend on the activity."""
    quiet, loud = (price({"extends": "ds-cnn-kws", "activity": a}, target, evaluator=None) for a in (0.1, 1.0))
    assert quiet["latency"][0] == loud["latency"][0] > 0


def test_mobilenet_v2_runs_on_it_with_its_additions_on_the_host() -> None:
    found = price("mobilenet-v2", "akd1000", {"per": "operator"}, evaluator=None)
    assert 0 < found["latency"][0] < 10
    assert found.violations["runs"][0] <= 0


def test_published_numbers_are_not_in_the_code() -> None:
    sources = [ROOT / "plugins/tradespace_neuromorphic", ROOT / "core/tradespace/costs"]
    files = [
        f
        for folder in sources
        for f in folder.glob("*.py")
        if "event" in f.name or "neuro" in str(f) or "core_" in f.name
    ]
    assert len(files) >= 5
    for file in files:
        text = file.read_text(encoding="utf-8")
        for number in ("26.28", "6.885", "14.61", "7.17", "16141", "4969", "215", "2.394", "68.5"):
            assert number not in text, (file.name, number)


# -- learning on the chip ---------------------------------------------------------------------------------------------


def classes(count: int, inputs: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Separable classes: each has its own active inputs, and one in ten of all inputs flips."""
    own = rng.permutation(inputs).reshape(count, -1)
    labels = rng.permutation(np.repeat(np.arange(count), 40))
    samples = np.zeros((len(labels), inputs), np.uint8)
    for row, label in enumerate(labels):
        samples[row, own[label]] = 1
    flips = rng.random(samples.shape) < 0.1
    return samples ^ flips.astype(np.uint8), labels


def test_learning_keeps_the_number_of_connections_and_adds_classes_without_forgetting() -> None:
    rng = np.random.default_rng(2)
    samples, labels = classes(6, 120, rng)
    learner = BinaryLearner(classes=6, neurons=3, weights=20)
    fresh = learner.fresh(120, rng)
    old = labels < 4
    first = learner.learn(fresh, samples[old], labels[old], rng)
    before = (learner.classify(first, samples[old]) == labels[old]).mean()
    both = learner.learn(first, samples[~old], labels[~old], rng)
    assert (both.sum(axis=1) == 20).all()
    assert (both[:12] == first[:12]).all()  # nothing of the old classes changed
    assert before > 0.95
    assert (learner.classify(both, samples[old]) == labels[old]).mean() > 0.9
    assert (learner.classify(both, samples[~old]) == labels[~old]).mean() > 0.9
    assert (learner.classify(fresh, samples) == labels).mean() < 0.6  # the mechanism off


def test_a_neuron_has_no_more_connections_than_inputs() -> None:
    with pytest.raises(InputError):
        BinaryLearner(2, 1, 9).fresh(8, np.random.default_rng(0))


# -- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [EventConv4, DenseConv4])
def test_kernels(kernel: type[Conv4]) -> None:
    report = check_kernel(kernel())
    assert report.passed, str(report)


def test_both_kernels_give_the_convolution() -> None:
    """Against a direct sum over windows, with a stride and channels that do not fill a pair."""
    rng = np.random.default_rng(3)
    values = rng.integers(0, 16, (6, 7, 5), np.uint8)
    values[rng.random(values.shape) < 0.6] = 0
    weights = rng.integers(-8, 8, (34, 3, 3, 5), np.int8)
    padded = np.pad(values.astype(np.int64), ((1, 1), (1, 1), (0, 0)))
    expected = np.zeros((3, 4, 34), np.int64)
    for i, j in np.ndindex(3, 4):
        window = padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        expected[i, j] = np.tensordot(weights.astype(np.int64), window, axes=3)
    for kernel in (EventConv4(), DenseConv4()):
        found = kernel.run(pack(values, weights, 2))
        flat = found.transpose(1, 2, 0, 3).reshape(3, 4, 2 * FILTERS)[..., :34]
        assert (flat == expected).all()

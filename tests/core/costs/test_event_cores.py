"""Event-driven cores: counts by hand and by brute force, kits, and chips that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.costs.event_cores import EventCores, event_work
from tradespace.costs.event_mapping import EventMappingFactory
from tradespace.errors import InputError, TradespaceError
from tradespace.plugins import registry
from tradespace.precisions import INT4
from tradespace.problem import Declined
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing import check_device_model, check_evaluator, check_factory
from tradespace.workloads import load_workload
from tradespace.workloads.operators import OperatorGraph

CHIP = "devices.npu."


def price(workload: Any, target: Any, options: Any = None, design: Any = None) -> Any:
    bound = bind(Setting(workload, target, "event-mapping", options or {}), registry()).evaluator
    return bound.price(bound.space.parse(design or {}))


def test_kits() -> None:
    devices = load_target("akd1000", registry()).devices[:1]
    report = check_device_model(EventCores, devices=devices)
    assert report.passed, str(report)
    target, workload = load_target("akd1000", registry()), load_workload("ds-cnn-kws", registry())
    report = check_factory(EventMappingFactory(), [(workload, target, {})])
    assert report.passed, str(report)
    options = {"spreads": [1, 3], "precisions": ["int4", "int2"], "batches": [1, 16]}
    report = check_evaluator(EventMappingFactory().bind(workload, target, options))
    assert report.passed, str(report)


def test_events_by_brute_force() -> None:
    """A drawn map of known zeros: words read, counted one event at a time."""
    rng = np.random.default_rng(1)
    channels, filters, side, bits, word = 6, 40, 5, 4, 64
    picture = rng.random((side, side, channels)) < 0.3
    graph: Any = load_workload(
        {"type": "sequential", "input": [side, side, 6], "activity": float(picture.mean()),
         "layers": [{"conv": channels}, {"conv": filters}]}, registry(),
    )  # fmt: skip
    work = event_work(graph.operators, bits, word)
    words = sum(-(-filters * bits // word) for _ in range(int(picture.sum())))
    assert work.events[1] == pytest.approx(picture.sum())
    assert work.deliveries[1] == pytest.approx(words)
    assert work.operations[1] == pytest.approx(graph.operators.macs[1] * picture.mean())


def test_a_depthwise_event_meets_one_filter() -> None:
    graph: Any = load_workload(
        {"type": "sequential", "input": [8, 8, 64], "layers": [{"separable": 256}]}, registry()
    )  # fmt: skip
    work = event_work(graph.operators, 4, 128)
    assert work.deliveries.tolist() == [8 * 8 * 64, 8 * 8 * 64 * 8]


def test_weights_are_read_where_events_arrive() -> None:
    graph: Any = load_workload(
        {"type": "sequential", "input": [1, 1, 8], "layers": [{"conv": 100, "kernel": 1}, {"dense": 50}],
         "activity": 0.25}, registry(),
    )  # fmt: skip
    work = event_work(graph.operators, 8, 128)
    assert work.synapses[1] == pytest.approx(0.25 * graph.operators.weights[1])


def test_cost_grows_with_activity_and_vanishes_without() -> None:
    found = [price({"extends": "akidanet", "activity": a}, "akd1500") for a in (0.0, 0.1, 0.5, 1.0)]
    energy, latency = ([float(p[name][0]) for p in found] for name in ("energy", "latency"))
    assert energy == sorted(energy)
    assert latency == sorted(latency)
    # the mechanism switched off: a network that is always active costs what its shape says
    assert found[3]["deliveries"][0] == pytest.approx(2 * found[2]["deliveries"][0])
    assert energy[2] < 0.6 * energy[3]
    assert found[0]["events"][0] == 0


@pytest.mark.parametrize(
    ("key", "column"), [("energy_event", "deliveries"), ("energy_operation", "operations"), ("energy_neuron", "")]
)
def test_each_energy_is_paid_for_what_it_counts(key: str, column: str) -> None:
    """A chip of which one energy is known: energy is that times the count, and proportional to steps in time."""
    rest = ("energy_event", "energy_operation", "energy_synapse", "energy_neuron")
    chip = {"extends": "akd1500", **{CHIP + name: 0 for name in rest}, CHIP + key: "1 nJ"}
    found, graph = price("ds-cnn-kws", chip), load_workload("ds-cnn-kws", registry())
    assert isinstance(graph, OperatorGraph)
    neurons = graph.operators.act_out[(graph.operators.macs > 0).nonzero()[0][1:]].sum()  # the converter is not a core
    assert found["energy"][0] == pytest.approx(1e-9 * (found[column][0] if column else neurons))


def test_spreading_buys_time_with_cores() -> None:
    one, two = (price("ds-cnn-kws", "akd1000", {"spreads": [s]}) for s in (1, 2))
    assert two["latency"][0] == pytest.approx(one["latency"][0] / 2)
    assert two["cores"][0] == 2 * one["cores"][0]
    assert two["energy"][0] == pytest.approx(one["energy"][0])


def test_a_chip_that_is_too_small_takes_passes_and_loads_them() -> None:
    small = {"extends": "akd1000", CHIP + "cores": 40}
    one, more = (
        price("akidanet", target)
        for target in ({"extends": "akd1000", CHIP + "tiles": 400, CHIP + "cores": 400}, small)
    )
    assert (one["passes"][0], more["passes"][0]) == (1, 4)
    assert more["latency"][0] > one["latency"][0] + more["memory"][0] / 500e6
    assert one["energy"][0] == pytest.approx(more["energy"][0])  # the bus has no energy of its own here
    # a batch shares the loads
    batch = price("akidanet", small, {"batches": [16]})
    assert batch["period"][0] < more["period"][0]


def test_extremes_stay_finite() -> None:
    tall = {"type": "sequential", "input": [1, 1, 4], "activity": 0.5, "layers": [{"dense": 4}] * 3000}
    for workload, options in ((tall, {}), ("ds-cnn-kws", {"batches": [100_000]}), ("akidanet", {"spreads": [4096]})):
        found = price(workload, "akd1000", options)
        assert all(np.isfinite(column).all() and (column >= 0).all() for column in found.columns.values())


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("cores", 81, "at most the 'tiles'"),
        ("cores", 0, "above 0"),
        ("cores", 2.5, "whole number"),
        ("event_rate", "0 MHz", "above 0 Hz"),
        ("event_rate", "68 MB", "Hz"),
        ("weight_memory", "-1 kB", "above 0 B"),
        ("word", 2, "at least one weight"),
        ("energy_event", "-1 nJ", "0 J or above"),
        ("converter", 2, "0 or 1"),
    ],
)
def test_chips_that_cannot_be(key: str, value: Any, says: str) -> None:
    with pytest.raises(TradespaceError) as error:
        load_target({"extends": "akd1000", CHIP + key: value}, registry())
    text = str(error.value)
    assert "devices.npu" in text
    assert says in text, text


def test_options_are_read_strictly() -> None:
    for options in ({"spreads": [0]}, {"spreads": "two"}, {"batches": [1, 1]}, {"precisions": ["int8"]}, {"tiles": 3}):
        with pytest.raises(TradespaceError):
            price("ds-cnn-kws", "akd1000", options)


def test_what_it_does_not_take() -> None:
    factory = EventMappingFactory()
    chip, phone = (load_target(name, registry()) for name in ("akd1000", "phone"))
    for workload, target in (("mobilenet-v2", chip), ("ds-cnn-kws", phone), ("llama-3.2-1b", chip)):
        answer = factory.accepts(load_workload(workload, registry()), target)
        assert isinstance(answer, Declined)
        assert len(answer.reason) > 20


def test_wide_formats_do_not_run() -> None:
    device = load_target("akd1000", registry()).device("npu")
    graph: Any = load_workload("ds-cnn-kws", registry())
    from tradespace.precisions import INT8

    table = EventCores().table(graph.operators, device, (INT4, INT8))
    assert table.unsupported is not None
    assert table.unsupported[0].tolist() == [False, True]


def test_activity_is_a_share() -> None:
    with pytest.raises(InputError):
        load_workload({"extends": "akidanet", "activity": 1.5}, registry())

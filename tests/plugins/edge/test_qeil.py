"""QEIL's physics: what must rise, fall and stay, and that each mechanism does something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tradespace.costs.columns import MOVED
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.designs import Designs
from tradespace.errors import ProblemError, UnitError, UnknownName
from tradespace.plugins import registry
from tradespace.problem import Declined, Problem
from tradespace.settings import Setting, bind
from tradespace.targets import load_target, target_names
from tradespace.testing.evaluators import check_evaluator
from tradespace.workloads import load_workload, workload_names
from tradespace.workloads.operators import Edges, OperatorGraph, Operators
from tradespace_edge.qeil import CONSTANTS, QEILFactory, coverage

DECODE = {"extends": "llama-3.2-1b", "phase": "decode", "context": 256}


def qeil(
    workload: Any = "llama-3.2-1b", target: Any = "laptop", options: Mapping[str, Any] | None = None
) -> TablesEvaluator:
    names = registry()
    graph = workload if isinstance(workload, OperatorGraph) else load_workload(workload, names)
    return QEILFactory().bind(graph, load_target(target, names), options or {})


def all_on(evaluator: TablesEvaluator, device: str, precision: str) -> Designs:
    return evaluator.space.parse({"placement": device, "precision": precision})


def one(evaluator: TablesEvaluator, metric: str, device: str, precision: str = "fp16") -> float:
    return float(evaluator.price(all_on(evaluator, device, precision))[metric][0])


def single(flop: float, elements: float) -> OperatorGraph:
    """One matmul of this work and traffic."""

    def column(value: float) -> NDArray[np.float64]:
        return np.array([value])

    zero = column(0.0)
    operators = Operators(
        ("m",), ("matmul",), np.zeros(1, np.int32), *(column(8.0) for _ in range(4)), column(flop), column(elements),
        zero, zero, zero, zero, column(1.0), column(1.0), zero,
    )  # fmt: skip
    none = np.zeros(0)
    return OperatorGraph("single", operators, ("m",), Edges(none.astype(np.int32), none.astype(np.int32), none, none))


def test_energy_falls_with_intensity_up_to_the_ridge() -> None:
    """At constant FLOP, less traffic means less time and energy until arithmetic is the limit; then time stays."""
    target = load_target("laptop", registry()).device("dgpu")
    ridge = (target.peak("fp16") or 0.0) / target.bandwidth
    flop = 1e12
    intensity = ridge * np.array([0.05, 0.1, 0.3, 0.6, 0.9, 1.0, 2.0, 8.0])
    priced = [qeil(single(flop, flop / ai / 2)) for ai in intensity]  # 2 bytes an element
    energy = np.array([one(e, "energy", "dgpu") for e in priced])
    latency = np.array([one(e, "latency", "dgpu") for e in priced])
    dasi = 1.0 - np.array([one(e, "underutilisation", "dgpu") for e in priced]) * 1.0
    below = intensity <= ridge * 1.0001
    assert (np.diff(energy[below]) < 0).all() and (np.diff(latency[below]) < 0).all()
    assert np.ptp(latency[~below]) < 1e-9 * latency[-1]
    devices = 4
    np.testing.assert_allclose(dasi * devices, np.minimum(1.0, intensity / ridge), rtol=1e-3)  # launch overhead aside


def test_energy_rises_with_memory_pressure_and_ambient() -> None:
    def energy(capacity: str, ambient: str = "35 degC") -> float:
        target = {"extends": "laptop", "memories.vram.capacity": capacity, "devices.dgpu.ambient": ambient}
        return one(qeil(target=target), "energy", "dgpu")

    by_capacity = [energy(c) for c in ("32 GiB", "3.3 GB", "3.0 GB", "2.8 GB", "2.6 GB", "2.5 GB", "2.2 GB")]
    assert by_capacity[0] == pytest.approx(one(qeil(), "energy", "dgpu"))  # below u0 pressure costs nothing
    assert (np.diff(by_capacity[1:]) > 0).all()
    by_ambient = [energy("8 GiB", a) for a in ("20 degC", "30 degC", "40 degC", "50 degC")]
    assert (np.diff(by_ambient) > 0).all()


def test_yield_is_a_share_and_falls_with_heat() -> None:
    evaluator = qeil()
    rng = np.random.default_rng(0)
    for design in evaluator.space.sample(20, rng):
        for row in evaluator.explain(design).devices:
            assert 0.0 < row.costs["phi"] <= 1.0
            assert row.costs["phi"] < 1.0 or row.costs["time"] == 0.0
    hot = qeil(target={"extends": "laptop", "devices.dgpu.ambient": "60 degC"})
    index = [d.name for d in evaluator.binding.target.devices].index("dgpu")
    cool = evaluator.explain(all_on(evaluator, "dgpu", "fp16")).devices[index].costs["phi"]
    assert hot.explain(all_on(hot, "dgpu", "fp16")).devices[index].costs["phi"] < cool


def test_int4_cuts_decode_traffic_as_its_blocks_say() -> None:
    """4.5 instead of 16 bits a weight is 3.56; the KV cache and activations stay in fp16."""
    evaluator = qeil(DECODE)
    costs = evaluator.binding.costs[0, :, 0, :, MOVED].sum(axis=0)
    by_name = dict(zip([p.name for p in evaluator.binding.precisions], costs, strict=True))
    assert 3.3 < by_name["fp16"] / by_name["int4"] < 3.56


@pytest.mark.parametrize("switch", ["dasi", "cpq", "phi"])
def test_each_mechanism_changes_prices_and_only_its_own(switch: str) -> None:
    target = {"extends": "laptop", "memories.vram.capacity": "2.8 GB"}  # fp16 fills 89 % of it
    on, off = qeil(target=target), qeil(target=target, options={switch: False})
    a, b = one(on, "energy", "dgpu"), one(off, "energy", "dgpu")
    assert (b > a * 1.05) if switch == "dasi" else (b < a * 0.99)
    assert one(on, "latency", "dgpu") == one(off, "latency", "dgpu")
    assert one(on, "loss", "dgpu") == one(off, "loss", "dgpu")
    if switch == "dasi":
        assert one(off, "underutilisation", "dgpu") < one(on, "underutilisation", "dgpu")
    if switch == "phi":
        assert not any(m.name.startswith("temperature") for m in off.metrics)
        assert not any(n.startswith("thermal.") for n in off.price(off.space.homogeneous()).violations)


def test_runaway_and_heat_are_graded() -> None:
    worse = []
    for resistance in ("0.36 K/W", "1.0 K/W", "1.6 K/W", "3 K/W", "5 K/W"):
        evaluator = qeil(target={"extends": "laptop", "devices.dgpu.thermal_resistance": resistance})
        prices = evaluator.price(all_on(evaluator, "dgpu", "fp16"))
        worse.append(float(prices.violations["thermal.dgpu"][0]))
        assert np.isfinite(prices["temperature.dgpu"]).all() and np.isfinite(prices["energy"]).all()
    assert (np.diff(worse) > 0).all() and worse[0] < 0 < worse[-1]


def test_overfull_memory_is_graded() -> None:
    evaluator = qeil("llama-3.1-8b")
    over = [
        float(evaluator.price(all_on(evaluator, "dgpu", p)).violations["memory.vram"][0])
        for p in ("fp16", "int8", "int4")
    ]
    assert over[0] > over[1] > over[2] and over[0] > 0.5 > 0 > over[2]


def test_devices_without_thermal_constants_have_no_leakage() -> None:
    target = {
        "memories": {"ram": {"bandwidth": "10 GB/s", "capacity": "8 GB"}},
        "devices": {
            "cpu": {"model": "roofline", "memory": "ram", "peak": {"fp16": "50 GFLOPS"}, "dynamic_power": "5 W"}
        },
        "source": "a test",
    }
    evaluator = qeil(target=target)
    plain = qeil(target=target, options={"phi": False})
    assert one(evaluator, "energy", "cpu") == one(plain, "energy", "cpu")
    assert evaluator.explain(all_on(evaluator, "cpu", "fp16")).devices[0].costs["phi"] == 1.0
    assert "thermal.cpu" not in evaluator.price(evaluator.space.homogeneous()).violations


def test_no_default_decision_has_a_value_that_wins_everywhere() -> None:
    """Over the default objectives each variable must be worth deciding: no value of it may suit every good design.

    For every value of every variable there is a feasible design that no change of all its entries to that value
    weakly improves in all objectives; and the good designs found by local search use several devices and formats.
    """
    evaluator = qeil()
    problem = Problem.of(evaluator, ["energy", "latency", "loss"])
    front = local_front(problem, rounds=60)
    for variable, least in (("placement", 2), ("precision", 2)):
        used = np.unique(front[variable])
        assert len(used) >= least, f"only {used} of {variable} are ever worth choosing"
        for value in used:
            assert (front[variable] != value).any(axis=1).any(), f"{variable}={value} everywhere"
    mixed = [(front[v] != front[v][:, :1]).any(axis=1).mean() for v in ("placement", "precision")]
    assert min(mixed) > 0.1, "plans worth having mix devices and formats"


def local_front(problem: Problem, rounds: int) -> Designs:
    """Feasible non-dominated designs after mutating them for some rounds (plain, ours, only for this test)."""
    rng = np.random.default_rng(0)
    designs = problem.repair(problem.space.concat([problem.space.homogeneous(), problem.space.sample(200, rng)]))
    for _ in range(rounds):
        scores = problem.score(designs)
        good = np.flatnonzero(scores.feasible)
        values = scores.objectives[good]
        worse = (values[:, None] >= values[None]).all(axis=2) & (values[:, None] > values[None]).any(axis=2)
        best = designs.take(good[~worse.any(axis=1)][:300])
        designs = problem.repair(
            problem.space.concat([best, problem.space.mutate(best.take(rng.integers(0, len(best), 300)), rng)])
        )
    return best


def test_samples_are_a_decision_only_when_several_are_given() -> None:
    assert "k" not in qeil().space and "k" not in qeil(options={"samples": 4}).space
    evaluator = qeil(options={"samples": [1, 4, 16]})
    designs = evaluator.space.parse({"placement": "dgpu", "precision": "int4"})
    designs = evaluator.space.designs(
        {**{n: np.repeat(c, 3, axis=0) for n, c in designs.columns.items()}, "k": np.arange(3)}
    )
    prices = evaluator.price(designs)
    assert (np.diff(prices["coverage"]) > 0).all() and (np.diff(prices["energy"]) > 0).all()
    latency = prices["latency"]
    assert (latency[2] - latency[0]) / (latency[1] - latency[0]) == pytest.approx(15 / 3)  # linear in k
    assert latency[1] < 4 * latency[0]  # the prefill is shared


def test_coverage_law() -> None:
    samples = np.array([1.0, 2.0, 8.0])
    small, large = coverage(1e9, samples), coverage(8e9, samples)
    assert small[0] == pytest.approx(1 - np.exp(-0.35))
    assert (large > small).all() and (np.diff(small) > 0).all() and ((small > 0) & (small < 1)).all()


def test_every_pair_of_the_catalogue_binds_and_prices() -> None:
    names, factory = registry(), QEILFactory()
    pairs = [(load_workload(w, names), t) for w in workload_names(names) for t in target_names(names)]
    graphs = [(w, t) for w, t in pairs if isinstance(w, OperatorGraph)]
    assert len(graphs) >= 40
    for workload, name in pairs:
        target = load_target(name, names)
        if factory.accepts(workload, target):
            evaluator = factory.bind(workload, target, {})
            prices = evaluator.price(evaluator.repair(evaluator.space.homogeneous()))
            assert all(np.isfinite(column).all() for column in (*prices.columns.values(), *prices.violations.values()))
            share = prices["underutilisation"]
            runs = prices.violations.get("runs", np.zeros_like(share)) <= 0  # what runs nowhere is never at its peak
            assert (share[runs] < 1).all() and (share >= 0).all() and (share <= 1).all()


@pytest.mark.parametrize(
    "options", [{}, {"schedule": "pipeline", "samples": [1, 2]}, {"placement": "contiguous"}, {"per": "operator"}]
)
def test_conformance(options: Mapping[str, Any]) -> None:
    report = check_evaluator(qeil("toy-decoder", options=options))
    assert report.passed, report


def test_qeil_is_what_a_setting_finds_first() -> None:
    bound = bind(Setting("llama-3.2-1b", "laptop"), registry())
    assert bound.evaluator_name == "qeil" and bound.others == ("tables",)


def test_declines_what_it_cannot_price() -> None:
    names = registry()
    target = load_target("laptop", names)
    narrow = replace(target, devices=tuple(replace(d, runs=("matmul", "conv")) for d in target.devices))
    answer = QEILFactory().accepts(load_workload("llama-3.2-1b", names), narrow)
    assert isinstance(answer, Declined) and "norm" in answer.reason and "matmul" in answer.reason
    assert isinstance(QEILFactory().accepts(object(), target), Declined)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"sampels": 3}, UnknownName, "samples"),
        ({"kv_precision": "int5"}, UnknownName, "int4"),
        ({"precisions": ["fp16", "fp16"]}, ProblemError, "different"),
        ({"precisions": []}, ProblemError, "precisions"),
        ({"samples": 0}, ProblemError, "whole number"),
        ({"samples": [1, 1]}, ProblemError, "different"),
        ({"schedule": "parallel"}, UnknownName, "pipeline"),
        ({"phi": "no"}, ProblemError, "true or false"),
        ({"per": 3}, UnknownName, "block"),
        ({"constants": {"u1": 0.5}}, UnknownName, "u0"),
        ({"constants": {"a": 1.5}}, ProblemError, "from 0 to 1"),
        ({"constants": {"c": "1 W"}}, UnitError, "constants.c"),
        ({"constants": 3}, ProblemError, "mapping"),
    ],
)
def test_bad_options_are_refused(options: Mapping[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        qeil(options=options)


def test_constants_can_be_replaced_for_sensitivity() -> None:
    target = {"extends": "laptop", "memories.vram.capacity": "2.8 GB"}
    base = one(qeil(target=target), "energy", "dgpu")
    for name, value in (("a", 0.9), ("c", "2"), ("u0", 0.5)):
        changed = qeil(target=target, options={"constants": {name: value}})
        assert abs(one(changed, "energy", "dgpu") / base - 1) > 0.01, name
        assert any(s.path == f"qeil.{name}" and s.source == "given by the user" for s in changed.substitutes)
    assert one(qeil(options={"constants": {"coverage_alpha": 1.0}}), "coverage", "cpu") > 0.6


def test_every_constant_says_that_it_is_ours_and_is_listed_with_the_result() -> None:
    for name, number in CONSTANTS.items():
        assert "ours" in number.source and number.kind == "substitute", name
    plan = qeil().explain(all_on(qeil(), "cpu", "int4"))
    assert {f"qeil.{name}" for name in CONSTANTS} <= {text.split(":")[0] for text in plan.substitutes}
    assert plan.evaluator == "qeil" and len(plan.rows) == 18 and len(plan.devices) == 4

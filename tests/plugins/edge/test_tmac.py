"""T-MAC as a device model, as number formats and as a measured evaluator: golden numbers and what each part does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.errors import InputError, ProblemError, UnknownName
from tradespace.plugins import registry
from tradespace.precisions import Precision
from tradespace.problem import Declined, Prices, Problem
from tradespace.search.api import search
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.workloads import load_workload
from tradespace_edge.tmac_formats import INT1, INT2, INT3
from tradespace_edge.tmac_kernels import KernelFactory, shapes_of
from tradespace_edge.tmac_measure import BLOCKS

CPU = "devices.cpu"
MATMUL = {"type": "matmul", "m": 4096, "k": 4096}


def price(workload: Any, target: str, precision: str, over: Mapping[str, Any] | None = None) -> Prices:
    changed = {"extends": target, **{f"{CPU}.{key}": value for key, value in (over or {}).items()}}
    evaluator = bind(Setting(workload, changed, "tables", {"precisions": [precision]}), registry()).evaluator
    found = evaluator.price(evaluator.space.parse({}))
    assert isinstance(found, Prices)
    return found


def latency(*args: Any) -> float:
    return float(price(*args)["latency"][0])


# -- the device model -------------------------------------------------------------------------------------------------

FREE = {"core_bandwidth": "1 TB/s", "bandwidth": "800 GB/s", "table_ops": 1e-9, "launch_overhead": "0 s"}


def test_lookups_by_hand() -> None:
    """M2 Ultra, one core: 4096^2 weights of 2 bits are 2^23 lookups, 16 a vector, 4 instructions each, 4 pipes."""
    assert latency(MATMUL, "m2-ultra", "int2", FREE) == pytest.approx(2**23 / 16 * 4 / (4 * 3.5e9))


def test_work_scales_with_bits_only_where_weights_are_looked_up() -> None:
    formats = ("int4", "int3", "int2", "int1")
    looked_up = [latency(MATMUL, "m2-ultra", name, FREE) for name in formats]
    assert np.array(looked_up) / looked_up[-1] == pytest.approx([4, 3, 2, 1])
    expanded = [latency(MATMUL, "m2-ultra", name, {**FREE, "lookup": 0}) for name in formats[:3]]
    assert expanded[1] > expanded[0]  # 3 bits are slower than 4 (brief, method fact 5)
    assert expanded[0] / expanded[2] < 1.2


def test_switching_the_lookup_off_costs_speed_on_every_published_machine() -> None:
    for target in ("surface-book-3", "pi-5", "m2-ultra", "agx-orin", "surface-laptop-7", "oneplus-12", "orin-nx"):
        gain = latency(MATMUL, target, "int2", {"lookup": 0}) / latency(MATMUL, target, "int2")
        assert gain > 1.5, target


def test_fast_aggregation_is_faster_and_its_error_is_counted() -> None:
    exact, fast = (price(MATMUL, "m2-ultra", "int4", {"fast": fast}) for fast in (0, 1))
    assert fast["latency"] < exact["latency"]
    assert fast["rounding"] > 100 * exact["rounding"] > 0
    assert price(MATMUL, "m2-ultra", "int4", {"lookup": 0})["rounding"] == 0


def test_threads_help_until_the_memory_is_full() -> None:
    one, two, four = (latency(MATMUL, "surface-book-3", "int4", {"threads": n}) for n in (1, 2, 4))
    assert 1.9 < one / two <= 2
    assert 1 < two / four < 1.9
    assert latency(MATMUL, "surface-book-3", "int4", {"threads": 64}) == four


@pytest.mark.parametrize(
    ("target", "threads", "workload", "precision", "tokens"),
    [
        ("surface-book-3", 1, "llama-2-7b", "int4", 3.74),
        ("surface-book-3", 4, "llama-2-7b", "int2", 16.82),
        ("pi-5", 1, "bitnet-3b", "int2", 8.03),
        ("m2-ultra", 1, "llama-2-7b", "int2", 16.68),
    ],
)  # fmt: skip
def test_published_rates(target: str, threads: int, workload: str, precision: str, tokens: float) -> None:
    """M4 to M7 of the brief, nothing fitted; whole models here, the study keeps the head in 16 bits."""
    rate = 1 / latency(workload, target, precision, {"threads": threads})
    assert 0.6 < rate / tokens < 1.6


def test_a_search_finds_the_publications_own_decision_or_a_better_one() -> None:
    """2 bits in every layer, four threads, looked up: nothing on the front may lose to it everywhere."""
    opened = {
        "extends": "surface-book-3",
        f"{CPU}.threads.choices": [1, 2, 4],
        f"{CPU}.lookup.choices": [1, 0],
        f"{CPU}.fast.choices": [0, 1],
    }
    options = {"precisions": ["fp16", "int4", "int2"]}
    evaluator = bind(Setting("llama-2-7b", opened, "tables", options), registry()).evaluator
    objectives = ("latency", "energy", "loss", "rounding")
    own = {f"{CPU}.threads": 4, f"{CPU}.lookup": 1, f"{CPU}.fast": 0, "precision": "int2"}
    paper = Problem.of(evaluator, objectives).score(evaluator.space.parse(own)).objectives[0]
    front = search(evaluator, list(objectives), evaluations=2000, registry=registry())
    assert (front.scores.objectives <= paper * (1 + 1e-9)).all(axis=1).any()
    with pytest.raises(ProblemError, match=r"Did you mean .threads"):
        bind(
            Setting("llama-2-7b", {"extends": "surface-book-3", f"{CPU}.thraeds.choices": [1, 2]}, "tables"), registry()
        )


def test_other_systems_run_here_and_ours_runs_elsewhere() -> None:
    assert latency("llama-3.2-1b", "pi-5", "int4") > 0
    assert latency("gpt2", "surface-book-3", "int8") > 0
    for target in ("laptop", "mac", "raspberry-pi-5"):
        found = bind(Setting("bitnet-3b", target, "qeil"), registry()).evaluator
        assert found.price(found.space.parse({}))["latency"][0] > 0


# -- the formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("precision", "theory"), [(INT1, 0.3634), (INT2, 0.1188), (INT3, 0.03744)], ids=lambda p: str(p)[:20]
)
def test_error_of_the_formats_is_what_theory_says(precision: Precision, theory: float) -> None:
    """Max 1960: one step for all of a normal distribution; steps of 128 weights follow their own deviation."""
    assert precision.nmse == pytest.approx(theory, rel=0.04)
    assert precision.bits_per_element == precision.bits + 16 / 128


@pytest.mark.parametrize("precision", [INT1, INT2, INT3], ids=lambda p: p.name)
@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3, width=32).filter(lambda x: x == 0 or abs(x) > 1e-2), min_size=1, max_size=140)
)
def test_encoding_decoded_values_changes_nothing(precision: Precision, values: list[float]) -> None:
    data = precision.encode(np.array(values, np.float32))
    assert data.size == precision.bytes(len(values))
    decoded = precision.decode(data, len(values))
    assert np.allclose(precision.decode(precision.encode(decoded), len(values)), decoded, rtol=2e-3)


# -- the measured evaluator -------------------------------------------------------------------------------------------


def kernel_evaluator(workload: Any = None, **options: Any) -> Any:
    return bind(
        Setting(
            workload or {**MATMUL, "m": 256, "k": 512}, "this-cpu", "kernel", {"repetitions": 3, "warmup": 1, **options}
        ),
        registry(),
    ).evaluator


def test_a_measurement_is_made_once_and_its_error_is_deterministic() -> None:
    evaluator, again = kernel_evaluator(), kernel_evaluator()
    assert evaluator.deterministic is False
    designs = evaluator.space.parse({"bits": 2})
    first = evaluator.price(designs)
    assert first["latency"] == evaluator.price(designs)["latency"]
    assert first["nmse"] == again.price(again.space.parse({"bits": 2}))["nmse"]
    assert first["memory"] == 256 * 512 / 4 + 256 * 512 / 128 * 2


def test_every_design_is_priced_after_repair() -> None:
    evaluator = kernel_evaluator()
    designs = evaluator.repair(evaluator.space.sample(24, np.random.default_rng(0)))
    prices = evaluator.price(designs)
    runs = prices.violations["kernel"] <= 0
    assert runs.mean() > 0.9
    assert (prices["nmse"][runs] < 0.5).all()
    assert designs.ids == evaluator.repair(designs).ids


def test_fewer_bits_are_less_exact_and_lookups_add_little() -> None:
    evaluator = kernel_evaluator()
    found = [evaluator.price(evaluator.space.parse({"bits": bits})) for bits in (4, 3, 2, 1)]
    assert [float(p["nmse"][0]) for p in found] == sorted(float(p["nmse"][0]) for p in found)
    assert all(float(p["error"][0]) < 1e-3 for p in found)
    averaged = evaluator.price(evaluator.space.parse({"bits": 4, "aggregation": "fast16"}))
    assert averaged["error"] > 10 * found[0]["error"]


def test_the_dequantising_kernels_stand_beside() -> None:
    evaluator = kernel_evaluator()
    for bits in BLOCKS:
        prices = evaluator.price(evaluator.repair(evaluator.space.parse({"kernel": "dequant", "bits": bits})))
        assert prices.violations["kernel"][0] <= 0 and prices["error"][0] < 1e-3


def test_a_language_model_is_its_distinct_products() -> None:
    shapes = shapes_of(load_workload("llama-2-7b", registry()))
    assert sorted((s.m, s.k, s.times) for s in shapes) == [
        (4096, 4096, 128.0), (4096, 11008, 32.0), (11008, 4096, 64.0), (32000, 4096, 1.0)
    ]  # fmt: skip


def test_refusals() -> None:
    graph, here = load_workload(MATMUL, registry()), load_target("this-cpu", registry())
    assert isinstance(KernelFactory().accepts(graph, load_target("pi-5", registry())), Declined)
    assert isinstance(KernelFactory().accepts(load_workload({**MATMUL, "k": 100}, registry()), here), Declined)
    with pytest.raises(UnknownName, match="repetition"):
        kernel_evaluator(repetition=3)
    with pytest.raises(ProblemError, match="whole number"):
        kernel_evaluator(repetitions=1)
    with pytest.raises(InputError, match="'m' must be given"):
        load_workload({"type": "matmul", "k": 64}, registry())
    broken = kernel_evaluator({**MATMUL, "m": 64, "k": 96})  # 96 is no multiple of a weight group of 128
    prices = broken.price(broken.space.parse({"bits": 4}))
    assert prices.violations["kernel"][0] > 0 and prices["latency"][0] > 1

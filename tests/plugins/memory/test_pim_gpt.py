"""PIM-GPT: golden numbers by hand, mechanisms that can be switched off, the decision, and who else it runs."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.costs.dram_rows import BankMap, Currents, powers
from tradespace.documents import read_document
from tradespace.errors import InputError, TradespaceError
from tradespace.plugins import registry
from tradespace.precisions import BF16, INT8
from tradespace.search.api import search
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing import check_device_model
from tradespace.workloads import load_workload
from tradespace.workloads.operators import OperatorGraph, Operators
from tradespace_memory.pim_gpt import BankProducts, CompanionLogic, mapped, timing

MODELS = tuple(f"gpt{g}-{size}" for g, sizes in ((2, "small medium large xl"), (3, "small medium large xl"))
               for size in sizes.split())  # fmt: skip
OPTIONS = {"precisions": ["bf16"]}


def target(**changes: Any) -> dict[str, Any]:
    return {"extends": "pim-gddr6", **{f"devices.pim.{key}": value for key, value in changes.items()}}


def price(workload: Any, where: Any = "pim-gddr6", options: Any = None) -> dict[str, float]:
    bound: Any = bind(Setting(workload, where, "tables", options or OPTIONS), registry()).evaluator
    designs = bound.space.parse({})
    repair = getattr(bound, "repair", None)
    prices = bound.price(repair(designs) if repair else designs)
    assert all((v <= 0).all() for v in prices.violations.values()), prices.violations
    return {metric.name: float(prices[metric.name][0]) for metric in bound.metrics}


def operators(name: str) -> Operators:
    graph = load_workload(name, registry())
    assert isinstance(graph, OperatorGraph)
    return graph.operators


def layer(name: str = "gpt2-small", **job: Any) -> dict[str, Any]:
    return {"extends": name, "layers": 1, "vocab": 1, **job}


@pytest.fixture(scope="module")
def small() -> dict[str, float]:
    return price({"extends": "gpt2-small", "vocab": 1})


# -- the models -------------------------------------------------------------------------------------------------------


def test_the_models_are_twelve_times_width_squared_a_layer() -> None:
    expected = {"gpt2-small": 124.4e6, "gpt2-xl": 1558e6, "gpt3-xl": 1316e6, "gpt2-medium": 355e6, "gpt2-large": 774e6}
    for name in MODELS:
        graph = load_workload(name, registry())
        assert isinstance(graph, OperatorGraph)
        layers, width = float(graph.facts["layers"]), float(graph.facts["hidden"])
        matrices = np.array(graph.operators.kind) == "matmul"
        products = (graph.operators.k * graph.operators.n)[matrices].sum() - 50257 * width
        assert products == 12 * width**2 * layers
        if name in expected:
            assert graph.parameters == pytest.approx(expected[name], rel=0.003)


# -- golden numbers ---------------------------------------------------------------------------------------------------


def test_bytes_over_the_pins_by_hand() -> None:
    """A layer of width 768 at context 512: inputs to 8 channels (query, scores, projection, feed-forward), the rest
    once: probabilities, all outputs with three partial sums in the last product, new keys and values."""
    d, seen, heads = 768, 512, 12
    sent = 8 * (d + d + d + d + 4 * d) + heads * seen
    received = 3 * d + heads * seen + d + d + 4 * d + 3 * d
    one, two = (price(layer(layers=n)) for n in (1, 2))
    assert two["pin_bytes"] - one["pin_bytes"] == 2 * (sent + received + 2 * d)
    assert two["array_bytes"] - one["array_bytes"] == 2 * (12 * d * d + 2 * seen * d)


def test_rows_are_those_of_the_map() -> None:
    """The closed form counts the rows and columns that the exact map fills."""
    device = load_target("pim-gddr6", registry()).device("pim")
    for name in ("gpt2-small", "gpt2-xl", "gpt3-large"):
        ops = operators(name)
        found = mapped(ops, device)
        for row in [i for i, kind in enumerate(ops.kind) if kind == "matmul" and ops.kv_write[i] == 0][:4]:
            where = BankMap(int(ops.n[row]), int(ops.k[row]), 8, 16)
            assert found.visits[row] == where.rows
            assert found.accesses[row] == where.slots * where.columns.sum()


def test_time_of_one_product_by_hand() -> None:
    """768 to 3072: 24 outputs of 48 columns in a bank, 18 rows of 64, refresh, vector to 8 channels, sums back."""
    device = load_target("pim-gddr6", registry()).device("pim")
    ops = operators("gpt2-small")
    row = ops.name.index("0.up")
    table = BankProducts().table(ops, device, [BF16])
    visit = 14.82e-9 + 63e-9 + 2.28e-9 + 14.82e-9
    array = 18 * visit * 1899.81 / (1899.81 - 119.7)
    pins = 2 * (8 * 768 + 3072) / 256e9
    assert table.columns["array_time"][row] == pytest.approx(array, rel=1e-9)
    assert table.time[row] == pytest.approx(array + pins + 13.68e-9, rel=1e-9)


def test_energy_of_one_product_by_hand() -> None:
    device = load_target("pim-gddr6", registry()).device("pim")
    ops = operators("gpt2-small")
    row = ops.name.index("0.up")
    table = BankProducts().table(ops, device, [BF16])
    assert table.energy is not None
    array, time = float(table.columns["array_time"][row]), float(table.time[row])
    by_hand = (
        18 * 128 * 66.3e-3 * 45.03e-9
        + 18 * 64 * 8 * 3 * 438.2e-3 * 1e-9
        + 8 * (263.8e-3 * array + 183.2e-3 * (time - array))
        + 2 * (8 * 768 + 3072) * 44e-12
    )
    assert table.energy[row] == pytest.approx(by_hand, rel=1e-9)


def test_row_hits_are_63_of_64_where_rows_are_full() -> None:
    for name in MODELS:
        assert price({"extends": name, "vocab": 1})["row_hit_rate"] == pytest.approx(63 / 64, abs=0.005)


def test_the_gddr6_powers_are_its_currents() -> None:
    device = load_target("pim-gddr6-plain", registry()).device("pim")
    found = powers(Currents(1.35, 0.071, 0.060, 0.061, 0.231, 0.248, 0.286), timing(device))
    for name in ("open", "closed", "activate", "read", "write", "refresh"):
        assert device.numbers[name] == pytest.approx(getattr(found, name), rel=1e-6)


# -- mechanisms off ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("off", "metric", "least"),
    [
        ({"packed": 0}, "activations", 1.2),
        ({"concatenated": 0}, "latency", 1.01),
        ({"all_bank": 0}, "array_time", 1.4),
        ({"shared_input": 0}, "pin_bytes", 1.1),
        ({"pin_rate": "2 Gbit/s"}, "pin_time", 7.9),
        ({"t_ccd": "2 ns"}, "array_time", 1.4),
        ({"channels": 4}, "array_time", 1.8),
        ({"lanes": 8}, "array_time", 1.4),
        ({"refresh": "300 mW"}, "energy", 1.01),
        ({"activate": "0 W"}, "energy", 0.6),
        ({"t_rfc": "0 s"}, "array_time", 0.93),
    ],
)
def test_every_mechanism_is_one(small: dict[str, float], off: dict[str, Any], metric: str, least: float) -> None:
    """What is switched off or made worse shows; the last two take something away."""
    ratio = price({"extends": "gpt2-small", "vocab": 1}, target(**off))[metric] / small[metric]
    assert ratio >= least
    assert (ratio > 1.005) == (least > 1)
    assert abs(ratio - 1) > 0.005


def test_pins_and_banks_at_once_are_the_longer_of_both(small: dict[str, float]) -> None:
    together = price({"extends": "gpt2-small", "vocab": 1}, target(overlap=1))
    assert small["latency"] - small["pin_time"] <= together["latency"] < small["latency"]
    assert together["energy"] < small["energy"]


def test_the_fastest_cut_of_inputs_is_no_slower_than_any_fixed_one() -> None:
    for name in ("gpt2-xl", "gpt3-xl"):
        best = price(layer(name), target(input_ways=0))["busy.pim"]
        each = [price(layer(name), target(input_ways=ways))["busy.pim"] for ways in (1, 2, 4, 8)]
        assert best <= min(each) * (1 + 1e-12)


def test_a_slower_companion_and_longer_contexts_take_longer() -> None:
    slow = price(layer(), {"extends": "pim-gddr6", "devices.asic.clock": "100 MHz"})
    fast, far = price(layer()), price(layer(context=1000))
    assert slow["busy.asic"] == pytest.approx(10 * fast["busy.asic"], rel=0.2)
    assert slow["busy.pim"] == fast["busy.pim"]
    assert far["latency"] > fast["latency"]
    assert far["array_bytes"] - fast["array_bytes"] == 2 * 2 * 768 * 488


def test_the_baselines_are_their_bandwidths() -> None:
    graph = {"extends": "gpt3-xl", "vocab": 1}
    moved = price(graph)["array_bytes"]
    t4 = price(graph, {"extends": "t4", "devices.gpu.launch_overhead": "0 s"}, {"precisions": ["fp16"]})
    xeon = price(graph, "xeon-6154", {"precisions": ["fp32"]})
    assert t4["latency"] == pytest.approx(moved / 320e9, rel=0.02)
    assert xeon["latency"] == pytest.approx(2 * moved / 128e9, rel=0.05)  # keys and values stay in 16 bits
    assert price(graph, "t4-eager", {"precisions": ["fp16"]})["latency"] > 2 * t4["latency"]


# -- contract and bounds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [BankProducts, CompanionLogic])
def test_contract(model: Any) -> None:
    name = "pim" if model is BankProducts else "asic"
    report = check_device_model(model, devices=[load_target("pim-gddr6", registry()).device(name)])
    assert report.passed, str(report)


def test_only_words_of_the_banks_run() -> None:
    device = load_target("pim-gddr6", registry()).device("pim")
    table = BankProducts().table(operators("gpt2-small"), device, [BF16, INT8])
    assert table.unsupported is not None
    assert list(table.unsupported[0]) == [False, True]


def test_extreme_jobs_have_finite_prices() -> None:
    for layers, batch, context, off in itertools.product((1, 2000), (1, 100_000), (1, 1024), ({}, {"input_ways": 0})):
        job = {"extends": "gpt2-small", "layers": layers, "batch": batch, "context": context}
        where = {**target(**off), "memories.dram.capacity": "1e15 B"}
        found = price(job, where)
        assert all(np.isfinite(v) for v in found.values())
        assert found["latency"] > 0
        assert 0 <= found["row_hit_rate"] <= 1
        assert found["busy.pim"] >= found["array_time"] * (1 - 1e-9)


@pytest.mark.parametrize(
    "phase", [{"phase": "prefill", "prompt": 64}, {"phase": "request", "prompt": 8, "generate": 4}]
)
def test_prompts_run_vector_by_vector(phase: dict[str, Any]) -> None:
    found = price({"extends": "gpt2-small", **phase})
    one = price({"extends": "gpt2-small", "phase": "decode", "context": 32})
    assert found["accesses"] > 4 * one["accesses"]


@pytest.mark.parametrize("workload", ["mobilenet-v2", "lfm2-2.6b", {"extends": "qwen2-0.5b", "phase": "decode"}])
def test_other_worlds_run_on_it(workload: Any) -> None:
    where = {"extends": "pim-gddr6", "memories.dram.capacity": "64 GB"}
    assert price(workload, where)["latency"] > 0


def test_llama_decodes_at_a_plausible_rate() -> None:
    """2.5 GB of weights at 4.096 TB/s are 1650 tokens/s; rows, refresh, pins and companion take a part of it."""
    rate = price({"extends": "llama-3.2-1b", "phase": "decode", "context": 256})["throughput"]
    assert 0.4 * 1650 < rate < 0.75 * 1650


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"channels": 2.5}, "channels"),
        ({"banks": 0}, "banks"),
        ({"row": "100 B"}, "row"),
        ({"packed": 2}, "packed"),
        ({"input_ways": 3}, "input_ways"),
        ({"t_ccd": "0 s"}, "t_ccd"),
        ({"t_rfc": "5 us"}, "refresh"),
        ({"t_rp": "3 GB"}, "t_rp"),
        ({"colums": 3}, "colums"),
        ({"read": "-1 W"}, "read"),
    ],
)
def test_memories_that_cannot_be_are_refused(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(TradespaceError) as refused:
        load_target(target(**bad), registry())
    assert says in str(refused.value)


def test_too_big_a_model_is_a_violation_not_an_error() -> None:
    bound: Any = bind(Setting("llama-3.1-8b", "pim-gddr6", "tables", OPTIONS), registry()).evaluator
    prices = bound.price(bound.repair(bound.space.parse({})))
    assert prices.violations["memory.dram"][0] > 0


def test_refusals_are_input_errors() -> None:
    with pytest.raises(InputError, match="divides"):
        load_target(target(input_ways=5), registry())


# -- the study --------------------------------------------------------------------------------------------------------


def test_the_front_of_the_study_beats_the_papers_mapping() -> None:
    """Cutting inputs between channels where that is faster is no worse in anything, and better on the pins."""
    document = read_document(Path(__file__).parents[3] / "studies" / "pim-gpt" / "study.yaml")
    setting = Setting(document["workload"], document["target"], document["evaluator"], document["options"])
    objectives = document["objectives"]
    front = search(bind(setting, registry()).evaluator, objectives, evaluations=3000, seed=0)
    own = price(document["workload"])
    paper = np.array([own[name] if name != "row_hit_rate" else -own[name] for name in objectives])
    assert (front.minimised <= paper * (1 + 1e-12 * np.sign(paper))).all(axis=1).any()
    best = price(document["workload"], target(input_ways=0))
    assert best["pin_bytes"] < 0.7 * own["pin_bytes"]
    assert best["latency"] < own["latency"]


def test_no_published_number_stands_in_the_code() -> None:
    import tradespace_memory

    code = "".join(path.read_text() for path in Path(tradespace_memory.__file__).parent.glob("*.py"))
    for number in ("137", "631", "1074", "339", "1085", "890", "1632", "123", "383", "320", "602", "1.16"):
        assert not re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", code)

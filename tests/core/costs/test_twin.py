"""The compiled loop against a plain-Python twin that prices one design operator by operator."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.edge import Rules, awkward, diamond, twin

from tradespace.costs.tables import TablesFactory
from tradespace.plugins import registry
from tradespace.targets import load_target
from tradespace.workloads import load_workload
from tradespace_edge.qeil import QEILFactory, constant

FORMATS = ("fp32", "fp16", "int8", "int4")
LLAMA = {"extends": "llama-3.2-1b", "phase": "request", "prompt": 64, "generate": 16}


def compare(factory, graph, target, options, rules, n=40, seed=0):  # type: ignore[no-untyped-def]
    names = registry()
    evaluator = factory.bind(graph, target, options)
    designs = evaluator.space.sample(n, np.random.default_rng(seed))
    prices = evaluator.price(designs)
    formats = {name: names.load("precisions", name) for name in FORMATS}
    kv = names.load("precisions", options.get("kv_precision", "fp16"))
    placement, precision, _ = evaluator.binding.codes(designs)
    devices = [d.name for d in target.devices]
    kinds = [p.name for p in evaluator.binding.precisions]
    checked = 0
    for i in range(n):
        on, as_ = [devices[d] for d in placement[i]], [kinds[p] for p in precision[i]]
        expected = twin(graph, target, formats, kv, on, as_, rules)
        broken = expected.pop("broken_blocks")
        if "runs" in prices.violations:
            assert prices.violations["runs"][i] == 2 * broken - 1
        if broken:
            continue
        checked += 1
        for device in target.devices:  # a violation and a metric may share a name
            expected[f"over {device.name}"] = expected[f"memory.{device.name}"] / device.capacity - 1
        for name in set(prices) & set(expected):
            assert prices[name][i] == pytest.approx(expected[name], rel=1e-12, abs=1e-13), (name, on, as_)
        for name, column in prices.violations.items():
            key = name.replace("memory.", "over ") if name.removeprefix("memory.") in devices else name
            assert name == "runs" or column[i] == pytest.approx(expected[key], rel=1e-12, abs=1e-13), (name, on, as_)
    return prices, checked


@pytest.mark.parametrize("schedule", ["chain", "pipeline"])
def test_tables_on_awkward_graph(schedule: str) -> None:
    options = {"precisions": list(FORMATS), "schedule": schedule, "kv_precision": "int8"}
    rules = Rules(pipeline=schedule == "pipeline")
    _, checked = compare(TablesFactory(), diamond(), awkward(registry()), options, rules, n=600)
    assert checked > 20


def test_qeil_on_awkward_graph_meets_every_case() -> None:
    options = {"precisions": list(FORMATS)}
    rules = Rules(constant("a"), constant("c"), constant("u0"), thermal=True)
    prices, checked = compare(QEILFactory(), diamond(), awkward(registry()), options, rules, n=900)
    assert checked > 30
    for name in ("memory.dram", "memory.vram", "thermal.cpu", "thermal.gpu"):
        assert (prices.violations[name] > 0).any() and (prices.violations[name] <= 0).any(), name


@pytest.mark.parametrize("target", ["laptop", "a100", "phone"])
def test_qeil_on_real_input(target: str) -> None:
    names = registry()
    rules = Rules(constant("a"), constant("c"), constant("u0"), thermal=True)
    graph = load_workload(LLAMA, names)
    _, checked = compare(QEILFactory(), graph, load_target(target, names), {}, rules, n=12)
    assert checked == 12


def test_pipeline_of_qeil() -> None:
    names = registry()
    rules = Rules(constant("a"), constant("c"), constant("u0"), thermal=True, pipeline=True)
    graph = load_workload("qwen2-0.5b", names)
    _, checked = compare(QEILFactory(), graph, load_target("laptop", names), {"schedule": "pipeline"}, rules, n=10)
    assert checked == 10


def test_contiguous_placement_uses_the_same_prices() -> None:
    names = registry()
    graph = load_workload("toy-decoder", names)
    options = {"placement": "contiguous"}
    _, checked = compare(TablesFactory(), graph, load_target("laptop", names), options, Rules(), n=20)
    assert checked == 20


def test_samples_equal_a_workload_built_with_that_many() -> None:
    names, target = registry(), load_target("laptop", registry())
    for reference in (LLAMA, {**LLAMA, "phase": "decode", "context": 80}):
        reference = {
            k: v for k, v in reference.items() if reference.get("phase") == "request" or k not in ("generate", "prompt")
        }
        many = QEILFactory().bind(load_workload(reference, names), target, {"samples": [1, 3, 8]})
        designs = many.space.sample(60, np.random.default_rng(1))
        prices = many.price(designs)
        for code, k in enumerate((1, 3, 8)):
            rows = designs["k"] == code
            one = QEILFactory().bind(load_workload({**reference, "samples": k}, names), target, {})
            columns = {name: designs.columns[name][rows] for name in ("placement", "precision")}
            expected = one.price(one.space.designs(columns))
            assert rows.any()
            for name in expected:
                np.testing.assert_allclose(prices[name][rows], expected[name], rtol=1e-12, err_msg=f"{name} k={k}")


def test_operators_as_entries_cost_what_their_blocks_cost() -> None:
    """With every operator of a block on the block's device, both ways of placing cost the same, transfers aside: a
    tensor crosses once to a block, but to each operator that reads it."""
    names, target = registry(), load_target("laptop", registry())
    graph = load_workload({**LLAMA, "extends": "toy-decoder", "prompt": 16, "generate": 4}, names)
    by_block = TablesFactory().bind(graph, target, {})
    by_operator = TablesFactory().bind(graph, target, {"per": "operator"})
    designs = by_block.space.sample(30, np.random.default_rng(2))
    owner = np.zeros(len(by_operator.binding.entries.names), int)
    owner[by_operator.binding.entries.owner] = graph.operators.block
    spread = {name: designs.columns[name][:, owner] for name in ("placement", "precision")}
    a, b = by_block.price(designs), by_operator.price(by_operator.space.designs(spread))
    for name in ("loss", "memory", "busy.dgpu", "busy.cpu", "memory.dgpu"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-12, err_msg=name)

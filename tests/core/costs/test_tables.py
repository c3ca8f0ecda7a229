"""Purity, threads, contiguous placement, ties, precisions offered, plans, and the compiled cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tradespace.costs import compiled
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.tables import TablesFactory
from tradespace.plugins import registry
from tradespace.targets import load_target
from tradespace.workloads import load_workload


def tables(workload: object = "llama-3.2-1b", target: object = "laptop", **options: object) -> TablesEvaluator:
    names = registry()
    return TablesFactory().bind(load_workload(workload, names), load_target(target, names), options)  # type: ignore[arg-type]


def test_a_price_is_the_same_in_any_batch_and_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = tables()
    designs = evaluator.space.sample(5000, np.random.default_rng(0))
    whole = evaluator.price(designs)
    monkeypatch.setattr(compiled, "THREADS", 1)
    alone = evaluator.price(designs)
    order = np.random.default_rng(1).permutation(5000)
    shuffled = evaluator.price(designs.take(order))
    parts = [evaluator.price(designs.take(slice(a, a + 611))) for a in range(0, 5000, 611)]
    for name in whole:
        assert (whole[name] == alone[name]).all()
        assert (whole[name][order] == shuffled[name]).all()
        assert (whole[name] == np.concatenate([p[name] for p in parts])).all()


def test_threads_cover_every_design_once() -> None:
    for n in (0, 1, compiled.SPLIT - 1, compiled.SPLIT, compiled.SPLIT + 1, 10 * compiled.SPLIT + 7):
        seen = np.zeros(n, int)

        def mark(lo: int, hi: int, seen: np.ndarray = seen) -> None:  # type: ignore[type-arg]
            seen[lo:hi] += 1

        compiled.in_two(mark, n)
        assert (seen == 1).all()


def test_errors_of_a_thread_are_raised() -> None:
    def fail(lo: int, hi: int) -> None:
        if lo > 0:
            raise ValueError("second half")

    if compiled.THREADS > 1:
        with pytest.raises(ValueError, match="second half"):
            compiled.in_two(fail, 10 * compiled.SPLIT)


def test_contiguous_runs_in_the_order_of_the_devices() -> None:
    evaluator = tables(placement="contiguous")
    design = evaluator.space.parse({"placement": [2, 0, 5, 11]})
    placement, _, _ = evaluator.binding.codes(design)
    assert placement[0].tolist() == [0] * 2 + [2] * 5 + [3] * 11
    free = tables()
    same = free.space.parse({"placement": ["cpu"] * 2 + ["npu"] * 5 + ["dgpu"] * 11})
    assert evaluator.price(design)["latency"][0] == free.price(same)["latency"][0]


def test_a_tied_table_is_stored_once_where_it_can_be() -> None:
    evaluator = tables()
    table = 128256 * 2048

    def memory(head: str, head_format: str = "fp16") -> float:
        design = evaluator.space.parse(
            {"placement": {"*": "cpu", "head": head}, "precision": {"*": "fp16", "head": head_format}}
        )
        return float(evaluator.price(design)["memory"][0])

    assert memory("dgpu") - memory("cpu") == pytest.approx(2 * table, abs=1)  # another memory
    assert memory("igpu") == memory("cpu")  # another device, the same memory
    saved = 2 * table + table * 34 / 32 - 2 * table  # another format: both are stored, the head in int8
    assert memory("cpu", "int8") - memory("cpu") == pytest.approx(saved, rel=1e-3)


def test_formats_offered_are_no_wider_than_what_is_shipped() -> None:
    def offered(workload: str, **options: object) -> list[str]:
        return [p.name for p in tables(workload, **options).binding.precisions]

    assert offered("llama-3.2-1b") == ["fp16", "int8", "int4"]
    assert offered("llama-3.1-8b-int4") == ["int4"]
    assert offered("llama-3.1-8b-int4", precisions=["int8", "fp16"]) == ["int8", "fp16"]


def test_formats_that_no_device_runs_are_not_offered() -> None:
    def offered(*peaks: str) -> list[str]:
        devices = {"cpu": {"model": "roofline", "memory": "ram", "peak": dict.fromkeys(peaks, "50 GFLOPS")}}
        memories = {"ram": {"bandwidth": "10 GB/s", "capacity": "8 GB"}}
        target = {"memories": memories, "devices": devices, "source": "a test"}
        return [p.name for p in tables("toy-decoder", target).binding.precisions]

    assert offered("fp16", "int8") == ["fp16", "int8", "int4"]
    assert offered("int8") == ["int8"]  # int4 expands to fp16
    assert offered("fp32") == ["fp32"]


def test_pipeline_changes_throughput_not_latency() -> None:
    chain, pipe = tables(), tables(schedule="pipeline")
    designs = chain.space.sample(300, np.random.default_rng(0))
    a, b = chain.price(designs), pipe.price(designs)
    assert (a["latency"] == b["latency"]).all()
    assert (b["throughput"] >= a["throughput"] * (1 - 1e-12)).all() and (b["throughput"] > 1.2 * a["throughput"]).any()
    busiest = np.max([b[f"busy.{d}"] for d in ("cpu", "igpu", "npu", "dgpu")], axis=0)
    assert (b["throughput"] * busiest <= chain.binding.graph.tokens * (1 + 1e-12)).all()
    assert (b["energy"] < a["energy"]).any()  # devices idle for a shorter time


def test_plan_rows_add_up_to_the_price() -> None:
    evaluator = tables()
    design = evaluator.space.sample(1, np.random.default_rng(3))
    plan, prices = evaluator.explain(design), evaluator.price(design)
    for device in plan.devices:
        mine = [r for r in plan.rows if r.choices["placement"] == device.name]
        assert sum(r.costs["time"] for r in mine) == pytest.approx(prices[f"busy.{device.name}"][0])
        assert device.costs["time"] == pytest.approx(prices[f"busy.{device.name}"][0])
    assert plan.id == design.ids[0] and plan.values["energy"] == prices["energy"][0]
    assert "phi" not in plan.devices[0].costs
    assert "dgpu" in plan.explain()


def test_cache_folder_follows_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert compiled.cache_folder().parent.name == "numba" and compiled.cache_folder() == compiled.cache_folder()
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    assert compiled.cache_folder() == Path("/somewhere")


def test_warming_fills_the_cache_that_pricing_uses(tmp_path: Path) -> None:
    """After `tradespace.costs.warm` has compiled it, a fresh process that prices designs compiles nothing."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    compiling = "from tradespace.costs.warm import compile_all; compile_all()"
    subprocess.run([sys.executable, "-c", compiling], env=env, check=True, capture_output=True)
    warm = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")}
    assert warm
    code = """
import numpy as np
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
e = bind(Setting("toy-decoder", "laptop"), registry()).evaluator
e.price(e.space.sample(3, np.random.default_rng(0)))
"""
    subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nbc")} == warm

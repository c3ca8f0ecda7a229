"""HeteroInfer's phone: golden numbers of the brief, its decisions, what happens without each mechanism, its kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tradespace.costs.operator_tables import OperatorTable
from tradespace.costs.split import Split
from tradespace.plugins import registry
from tradespace.problem import Problem
from tradespace.search.api import search
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing.device_models import check_device_model
from tradespace.testing.kernels import check_kernel
from tradespace_edge.heteroinfer import RowSplit

PHONE, DECODE = "snapdragon-8-gen-3", "snapdragon-8-gen-3-decode"
OPTIONS = {"per": "operator", "precisions": ["int4"]}
STEP = {"extends": "llama-3-8b", "phase": "decode", "context": 256}


def plan(device: str) -> dict[str, Any]:
    """Products on one device, everything between them on the GPU."""
    return {
        "placement": {"*": "gpu", **{f"*.{p}": device for p in ("[qkvo]", "gate", "up", "down")}, "lm_head": device}
    }


def price(workload: Any, target: str, design: Any, over: dict[str, Any] | None = None) -> dict[str, float]:
    options = OPTIONS if design else {"precisions": ["int4"]}
    evaluator = bind(Setting(workload, {"extends": target, **(over or {})}, "tables", options), registry()).evaluator
    found = evaluator.price(evaluator.space.parse(design or {"placement": "tensor"}))
    return {name: float(column[0]) for name, column in found.items()}


def product(rows: int, columns: int, tokens: int, over: dict[str, Any] | None = None) -> dict[str, float]:
    return price({"type": "matmul", "m": rows, "k": columns, "n": tokens}, PHONE, None, over)


def test_the_layer_by_hand() -> None:
    """Brief, (a): Q and O 1.884 ms, K and V a quarter, gate and up at the same rate, down split 2:3; 32 layers."""
    found = price("llama-3-8b", PHONE, plan("tensor"))
    by_hand = 32 * (2 * 1.884e-3 + 2 * 0.471e-3 + 7 * 1.884e-3 + 14.1e-3)
    assert by_hand < found["latency"] < 1.1 * by_hand  # the rest is between the products
    assert found["split_rows"] >= 32


DECISIONS = (
    (4096, 4096, 1, "split_rows", 0.5), (28672, 4096, 1, "split_rows", 0.75), (4096, 14336, 1, "only_gpu", 1.0),
    (4096, 4096, 128, "only_npu", 0.0), (4096, 4096, 256, "only_npu", 0.0), (4096, 4096, 193, "only_npu", 0.0),
    (4096, 4096, 255, "only_npu", 0.0), (4096, 4096, 257, "split_sequence", 1 / 257),
    (4096, 4096, 272, "split_sequence", 16 / 272), (4096, 14336, 256, "split_rows", 0.4),
    (4096, 14336, 257, "split_hybrid", 0.4), (4096, 14336, 384, "split_hybrid", 0.4),
)  # fmt: skip


@pytest.mark.parametrize(("rows", "columns", "tokens", "way", "share"), DECISIONS)
def test_the_published_decisions(rows: int, columns: int, tokens: int, way: str, share: float) -> None:
    found = product(rows, columns, tokens)
    assert found[way] == 1.0
    assert found["share_gpu"] == pytest.approx(share, abs=0.1)


def test_without_the_fitted_gain_half_of_them_come_out() -> None:
    pure = [product(*d[:3], over={"devices.tensor.gain": 0})[d[3]] for d in DECISIONS]
    assert pure == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_the_fitted_gain_follows_from_its_one_row() -> None:
    """The smallest multiple of 5 % that leaves 4096 x 14336 with one token on the GPU."""
    gain = load_target(PHONE, registry()).device("tensor").gain
    assert product(4096, 14336, 1, {"devices.tensor.gain": gain})["only_gpu"] == 1.0
    assert product(4096, 14336, 1, {"devices.tensor.gain": gain - 0.05})["only_gpu"] == 0.0


def test_each_mechanism_matters() -> None:
    base = price(STEP, DECODE, plan("tensor"))["latency"]
    wide = price(STEP, DECODE, plan("tensor"), {"devices.tensor.bandwidth": "61.9 GB/s"})["latency"]
    waits = price(STEP, DECODE, plan("tensor"), {"memories.dram.handoff": "400 us"})["latency"]
    alone = price(STEP, DECODE, plan("gpu"))["latency"]
    assert wide < base < alone < waits * 1.1
    prompt = {"extends": "llama-3-8b", "prompt": 525}
    split = price(prompt, PHONE, plan("tensor"))["latency"]
    assert price(prompt, PHONE, plan("npu"))["latency"] > 1.2 * split
    assert price(prompt, PHONE, plan("npu"), {"devices.npu.pipe": 0})["latency"] > 2 * split  # padded to 1024
    turned = price(prompt, PHONE, plan("npu"), {"devices.npu.transposed": 0})["latency"]
    assert turned > 1.5 * price(prompt, PHONE, plan("npu"))["latency"]


@pytest.mark.parametrize("target", [PHONE, DECODE])
@pytest.mark.parametrize(
    "job", [{"phase": "prefill", "prompt": 1, "batch": 1}, {"phase": "prefill", "prompt": 8000, "batch": 100_000},
            {"phase": "decode", "context": 1, "batch": 100_000}, {"layers": 1}, {"layers": 2000}],
)  # fmt: skip
def test_extreme_jobs_are_priced(target: str, job: dict[str, Any]) -> None:
    evaluator = bind(Setting({"extends": "llama-3-8b", **job}, target, "tables", {}), registry()).evaluator
    found = evaluator.price(evaluator.space.sample(5, np.random.default_rng(0)))
    for name, column in found.items():
        assert np.isfinite(column).all() and (column >= 0).all(), name


def test_the_study_beats_the_published_plan() -> None:
    """All products on both processors by the solver, everything else on the GPU: some plan of the front loses to it in
    nothing."""
    study = yaml.safe_load((Path(__file__).parents[3] / "studies/heteroinfer/study.yaml").read_text())
    setting = Setting(study["workload"], study["target"], study["evaluator"], study["options"])
    evaluator = bind(setting, registry()).evaluator
    front = search(evaluator, study["objectives"], evaluations=5000, seed=0)
    paper = Problem.of(evaluator, study["objectives"]).score(evaluator.space.parse(plan("tensor"))).objectives
    assert (front.scores.objectives <= paper * (1 + 1e-9)).all(axis=1).any()


def test_the_models_pass_the_kit() -> None:
    phone = load_target(PHONE, registry())
    assert check_device_model(OperatorTable, devices=[phone.device("gpu"), phone.device("npu")]).passed
    assert check_device_model(Split, devices=[phone.device("tensor")]).passed
    assert check_device_model(Split).passed


@pytest.mark.parametrize("wait", ["poll", "block"])
def test_the_kernel_passes_the_kit(wait: Any) -> None:
    report = check_kernel(RowSplit(wait=wait))
    assert report.passed, str(report)


def test_the_split_product_is_the_unsplit_one() -> None:
    kernel = RowSplit(share=0.3)
    inputs = kernel.shaped(1001, 517, np.random.default_rng(1))
    whole = kernel.unsplit(inputs).copy()
    inputs["y"][:] = np.nan
    assert np.array_equal(whole, kernel.run(inputs))

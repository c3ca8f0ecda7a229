"""Tasks of a pass: every byte of weights once, every kernel in plan order, nothing that overflows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tradespace.kernels.build import KernelError
from tradespace.kernels.products import product_kernel
from tradespace.kernels.running import run_tasks
from tradespace.plugins import registry
from tradespace.verify.lowering import Lowered, lower, weight_bytes
from tradespace.verify.memory import Arena, arena_size
from tradespace.verify.passes import Pass, passes_of
from tradespace.workloads import load_workload

pytestmark = pytest.mark.usefixtures("local")


def run_of(small: Any, **changes: Any) -> Pass:
    graph: Any = load_workload({**small, **changes}, registry())
    return passes_of(graph)[-1]


def lowered(run: Pass, form: str, kv: str = "fp16", size: int | None = None) -> tuple[Lowered, Arena]:
    rng = np.random.default_rng(0)
    formats = [form] * len(run.rows)
    arena = Arena(size or int(weight_bytes(run, formats, kv).sum()), rng)
    return lower(run, formats, kv, (8, 2), arena, rng), arena


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("form", ["int8", "int4", "int2", "fp16", "fp32"])
def test_all_operators_run_and_nothing_overflows(small: Any, phase: str, form: str) -> None:
    run = run_of(small, phase=phase, batch=2)
    found, _ = lowered(run, form)
    seconds = run_tasks(found.tasks, threads=1, repeat=3)
    assert seconds.shape == (3, len(found.tasks)) and len(found.owner) == len(found.tasks)
    assert len(found.kernels) == len(run.rows)
    assert (np.diff(found.owner) >= 0).all()
    for task in found.tasks:
        for kept in task.keep:
            if isinstance(kept, np.ndarray) and kept.dtype == np.float32 and task.label not in ("tables", "mul fp32"):
                assert np.isfinite(kept).all(), task.label


def test_kernels_stand_in_plan_order(small: Any) -> None:
    found, _ = lowered(run_of(small, phase="decode"), "int4")
    layer = [t.label for t in found.tasks][1:25]
    product = ["quantise", "mul q4_0"]
    expected = ["norm", *product * 3, "rope", "rope", "store kv", "attention", *product, "add", "norm"]
    assert layer == [*expected, *product * 2, "silu mul", *product, "add", "norm"][: len(layer)]


def test_layers_read_different_weights_and_share_activations(small: Any) -> None:
    run = run_of(small, phase="decode")
    found, arena = lowered(run, "int4")
    weights = [task.args.w for task in found.tasks if task.label == "mul q4_0"]
    assert len(set(weights)) == len(weights) == 4 * 7 + 1
    first = arena.data.ctypes.data
    assert min(weights) >= first and max(weights) < first + len(arena.data)
    outputs = Counter(task.args.y for task in found.tasks if task.label == "mul q4_0")
    assert max(outputs.values()) == 4  # one buffer for the four layers
    ops, product = run.operators, np.array(run.operators.kind) == "matmul"
    shapes, kernel = zip(ops.n[product], ops.k[product], strict=True), product_kernel("int4")
    assert sum(kernel.weight_bytes(int(n), int(k)) for n, k in shapes) == pytest.approx(
        float(ops.weights[product].sum()) * 18 / 32
    )


def test_less_memory_is_dealt_out_again(small: Any) -> None:
    run = run_of(small, phase="decode")
    found, arena = lowered(run, "int4", size=2**18)
    run_tasks(found.tasks)
    weights = [task.args.w for task in found.tasks if task.label == "mul q4_0"]
    assert len(set(weights)) < len(weights) and len(arena.data) == 2**18


@pytest.mark.parametrize(
    ("changes", "form", "kv", "words"),
    [
        ({}, "int4", "int8", "fp16 and fp32"),
        ({}, "mxfp4", "fp16", "native kernels multiply with"),
        ({"hidden": 320}, "q4_k", "fp16", "multiple of 256"),
        ({"head_dim": 8}, "int4", "fp16", "heads are 16"),
    ],
)
def test_what_no_kernel_runs_is_named(small: Any, changes: dict[str, Any], form: str, kv: str, words: str) -> None:
    with pytest.raises(KernelError, match=words):
        lowered(run_of(small, phase="decode", **changes), form, kv)


def test_an_arena_is_as_large_as_it_must_and_may_be() -> None:
    assert arena_size(100, 10, 1000, 5) == 100
    assert arena_size(10_000, 10, 1000, 5) == 600
    assert arena_size(10_000, 10, 1000, 5, limit=50) == 50
    with pytest.raises(KernelError, match="needs memory"):
        arena_size(10_000, 700, 1000, 5)
    with pytest.raises(KernelError, match="more than the caches hold"):
        arena_size(10_000, 10, 1000, 200)

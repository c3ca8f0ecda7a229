"""A bfloat16 matrix in banks times a vector on this processor: GB/s beside the row-major kernel, numpy and the DRAM.

One thread and all of them; the layout of 8 channels x 16 banks against `gemv-bf16` on plain rows (the same bytes) and
numpy's fp32 product (twice the bytes). The companion's functions in elements a second, beside numpy's. Medians with
quartile ranges, products by the processor's clock, so that a busy machine disturbs less; the load of the system is
printed, as it decides what they are worth.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import THREADS, Options, run, seconds_of

from tradespace.kernels import run_tasks, time_kernel
from tradespace.kernels.dense import GemvBF16
from tradespace.kernels.probes import Read
from tradespace.kernels.timing import median_and_spread
from tradespace_memory.pim_kernels import BankGemv, CompanionGELU, CompanionLayerNorm, CompanionSoftmax

SHAPES = ((3072, 768), (8192, 4096))
"""(outputs, inputs): GPT-2 small's first feed-forward matrix stays in the caches, 67 MB do not."""
ROWS, WIDTH = 384, 512  # GPT-3 XL: heads x layers, context


def measure(options: Options) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    read = {n: time_kernel(Read(), Read().inputs(16_000_000, rng), threads=n).bandwidth for n in THREADS}
    products = [row for shape in SHAPES for row in _products(shape, options, rng)]
    functions = [_function(kind(isa=options.isa), options.repetitions, rng) for kind in _FUNCTIONS]
    return {"read": read, "products": products, "functions": functions}


def lines(document: dict[str, Any]) -> Iterator[str]:
    read = document["read"]
    yield "read " + ", ".join(f"{n}: {r / 1e9:.1f} GB/s" for n, r in read.items())
    yield f"{'kernel':18s}{'shape':>12s} thr{'us':>9s}{'spread':>8s}{'GB/s':>8s}{'of read':>9s}{'x numpy':>9s}"
    for row in document["products"]:
        ratio = f"{row['numpy'] / row['seconds']:9.2f}" if row["threads"] == 1 else ""
        yield (
            f"{row['kernel']:18s}{row['shape']:>12s}{row['threads']:4d}{row['seconds'] * 1e6:9.1f}{row['spread']:8.1%}"
            f"{row['bandwidth'] / 1e9:8.1f}{row['bandwidth'] / read[row['threads']]:9.2f}{ratio}"
        )
    for row in document["functions"]:
        yield f"{row['kernel']:22s}{row['elements'] / 1e9:8.2f} G elements/s, numpy fp32 {row['numpy'] / 1e9:.2f}"


_FUNCTIONS = (CompanionSoftmax, CompanionLayerNorm, CompanionGELU)


def _products(shape: tuple[int, int], options: Options, rng: np.random.Generator) -> list[dict[str, Any]]:
    weights, x = rng.standard_normal(shape, dtype=np.float32), rng.standard_normal(shape[1], dtype=np.float32)
    peer = seconds_of(lambda: weights @ x, options.repetitions + 1)
    banks, rows = BankGemv(isa=options.isa), GemvBF16(isa=options.isa)
    out = []
    for kernel, inputs in ((banks, banks.shaped(*shape, rng)), (rows, rows.shaped(*shape, 1, rng))):
        for n in THREADS:
            runs = run_tasks(kernel.tasks(inputs), threads=n, repeat=options.repetitions + 2, clock="processor")
            seconds, spread = median_and_spread(runs.sum(axis=1)[2:])
            moved = kernel.work(inputs).bytes
            out.append(
                {"kernel": kernel.name, "shape": f"{shape[0]}x{shape[1]}", "threads": n, "seconds": seconds,
                 "spread": spread, "bandwidth": moved / seconds, "numpy": peer}
            )  # fmt: skip
    return out


def _function(kernel: Any, repetitions: int, rng: np.random.Generator) -> dict[str, Any]:
    inputs = kernel.shaped(ROWS, WIDTH, rng)
    ours = time_kernel(kernel, inputs, repetitions=repetitions).median
    peer = seconds_of(lambda: _numpy(kernel.form, inputs["x"]), repetitions + 1)
    size = inputs["x"].size
    return {"kernel": kernel.name, "elements": size / ours, "numpy": size / peer}


def _numpy(form: str, x: Any) -> Any:
    """The peer in fp32, as one writes it."""
    if form == "softmax":
        raised = np.exp(x - x.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)
    if form == "layernorm":
        return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + np.float32(1e-5))
    with np.errstate(over="ignore"):
        return x / (1 + np.exp(np.float32(-1.5957691) * (x + np.float32(0.044715) * x * x * x)))


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines, repetitions=25))

"""Native kernels on this machine: GB/s, GFLOP/s and share of the roofline; numpy beside them on the same data.

The peer is numpy's matrix-vector product in fp32 on one thread (OpenBLAS): `x numpy` is its time over ours for the same
number of weights. Medians with quartile ranges; the load of the system is printed, as it decides what they are worth.
``--json`` prints one document, ``--isa avx2`` or ``scalar`` compiles for less than this processor has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import THREADS, Options, by_threads, run, seconds_of

from tradespace.kernels import run_tasks, time_kernel
from tradespace.kernels.blocks import BY_FORMAT
from tradespace.kernels.decoder import Add, Attention, RMSNorm, Rope, SiluMul
from tradespace.kernels.dense import Gemm, GemmInt8, Gemv, GemvBF16, GemvFP16, GemvInt8
from tradespace.kernels.memory import aligned
from tradespace.kernels.probes import FMAProbe, Read

ROWS, COLUMNS = 8192, 4096  # 134 MB in fp32, 19 MB in Q4_0
SMALL = (1024, 1024)  # stays in the caches


def measure(options: Options) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    roof = {n: _roof(n, rng) for n in THREADS}
    rows = [row for kernel, inputs in _cases(options.isa, rng) for row in _rows(kernel, inputs, roof, options)]
    return {"roof": roof, "numpy_gemv_fp32": _numpy(rng), "rows": rows}


def lines(document: dict[str, Any]) -> Iterator[str]:
    peer = document["numpy_gemv_fp32"]
    yield f"numpy fp32 gemv {peer / 1e9:.1f} G weights/s on one thread"
    for n, (peak, bandwidth) in document["roof"].items():
        yield f"{n} thread(s): peak fp32 {peak / 1e9:.0f} GFLOP/s, read {bandwidth / 1e9:.1f} GB/s"
    yield f"{'kernel':14s}{'data':>9s} thr {'GB/s':>7s}{'GFLOP/s':>9s}{'spread':>8s}{'of roof':>9s}{'x numpy':>9s}"
    for row in document["rows"]:
        ratio = f"{row['weights_per_s'] / peer:9.2f}" if row["weights_per_s"] and row["threads"] == 1 else ""
        yield (
            f"{row['kernel']:14s}{row['bytes'] / 1e6:6.1f} MB {row['threads']:3d} {row['bandwidth'] / 1e9:7.1f}"
            f"{row['flops'] / 1e9:9.1f}{row['spread']:8.1%}{row['roofline']:9.2f}{ratio}"
        )


def _cases(isa: str, rng: np.random.Generator) -> list[tuple[Any, Any]]:
    cases: list[tuple[Any, Any]] = []
    for shape in (SMALL, (ROWS, COLUMNS)):
        for kind in (Gemv, GemvFP16, GemvBF16, GemvInt8):
            cases.append((kind(isa=isa), kind(isa=isa).shaped(*shape, 1, rng)))
        for block in BY_FORMAT.values():
            cases.append((block(isa=isa), block(isa=isa).shaped(*shape, rng)))
    cases += [(kind(isa=isa), kind(isa=isa).shaped(512, 2048, 64, rng)) for kind in (Gemm, GemmInt8)]
    cases += [(Attention(isa=isa), Attention(isa=isa).shaped(1, 32, 8, 64, n, rng)) for n in (256, 4096)]
    for small, size in ((RMSNorm(isa), 4096), (Rope(isa), 16384), (SiluMul(isa), 3 * 8192), (Add(isa), 3 * 2048)):
        cases.append((small, {name: aligned(array) for name, array in small.inputs(size, rng).items()}))
    return cases


def _rows(kernel: Any, inputs: Any, roof: Any, options: Options) -> list[dict[str, Any]]:
    found = []
    for n, timing in by_threads(kernel, inputs, options).items():
        weights = timing.work.flop / 2 if kernel.name.startswith("gemv") else 0.0
        found.append(
            {
                "kernel": kernel.name, "threads": n, "bytes": timing.work.bytes, "seconds": timing.median,
                "spread": timing.spread, "flops": timing.flops, "bandwidth": timing.bandwidth,
                "roofline": timing.roofline(*roof[n]), "weights_per_s": weights / timing.median,
            }
        )  # fmt: skip
    return found


def _roof(threads: int, rng: np.random.Generator) -> tuple[float, float]:
    """(fp32 FLOP/s in registers, B/s of reading 128 MB in pieces of 4 MB)."""
    peak = time_kernel(FMAProbe(256), FMAProbe(256).inputs(8192, rng), threads=threads)
    tasks = [task for _ in range(32) for task in Read().tasks(Read().inputs(1 << 20, rng))]
    return peak.flops, float(np.median(4 * (1 << 20) / run_tasks(tasks, threads=threads, repeat=3)))


def _numpy(rng: np.random.Generator) -> float:
    """Weights a second of numpy's fp32 matrix-vector product."""
    w, x = rng.random((ROWS, COLUMNS), np.float32), rng.random(COLUMNS, np.float32)
    return w.size / seconds_of(lambda: w @ x, 9)


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines, repetitions=15))

"""T-MAC's kernel beside dequantising kernels of the same bits, by shape: `python bench/tmac.py [--all]`.

Kernels of one shape take turns, so that a busy machine disturbs all alike; a time is the fastest tenth of the runs.
The peer is the house's own product in Q4_0, Q3_K or Q2_K for AVX2 without VNNI (what llama.cpp b2794 ran on the
publication's laptop), and for AVX-512 with VNNI. NMSE: Gaussian weights and activations, against unquantised weights.
"""

from __future__ import annotations

import argparse

import numpy as np

from tradespace.kernels.blocks import BY_FORMAT
from tradespace.kernels.build import KernelError
from tradespace.kernels.contract import TaskKernel
from tradespace.kernels.running import run_tasks
from tradespace.kernels.tmac import Lookup
from tradespace_edge.tmac_measure import BLOCKS
from tradespace_edge.tmac_quality import of_blocks, of_lookup, sample

SHAPES = ((4096, 4096), (11008, 4096), (4096, 11008), (5120, 5120), (13824, 5120), (5120, 13824))
ROUNDS, RUNS = 8, 12


def kernels(bits: int) -> dict[str, TaskKernel]:
    """What is compared at a width, by name; "wide" only where the machine has the instructions."""
    return {
        "dequant": BY_FORMAT[BLOCKS[bits]](1, "avx2"),
        "dequant vnni": BY_FORMAT[BLOCKS[bits]](1, "native"),
        "lookup": Lookup(bits, 128, 128, rows=64, isa="avx2"),
        "lookup g32": Lookup(bits, 32, 32, rows=64, isa="avx2"),
        "averaged": Lookup(bits, 128, 128, fast=8, rows=64, isa="avx2"),
        "wide": Lookup(bits, 128, 128, layout="wide"),
    }


def times(bits: int, m: int, k: int) -> dict[str, float]:
    """Seconds of each kernel."""
    rng = np.random.default_rng(0)
    ready = {}
    for name, kernel in kernels(bits).items():
        inputs = kernel.shaped(m, k, rng)  # type: ignore[attr-defined]
        try:
            ready[name] = kernel.tasks(inputs), inputs
        except KernelError:
            continue
    found: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(ROUNDS):
        for name, (tasks, _inputs) in ready.items():
            found[name] += run_tasks(tasks, repeat=RUNS)[2:].sum(axis=1).tolist()
    return {name: float(np.quantile(values, 0.1)) for name, values in found.items()}


def errors(bits: int, k: int) -> dict[str, float]:
    """NMSE of the kernels that differ in it."""
    weights, x = sample(512, k, np.random.default_rng(1))
    asked = {name: kernel for name, kernel in kernels(bits).items() if isinstance(kernel, Lookup) and name != "wide"}
    found = {name: of_lookup(kernel, weights, x).nmse for name, kernel in asked.items()}
    return {"dequant": of_blocks(BLOCKS[bits], weights, x).nmse, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="all six shapes of the publication, not only the first")
    shapes = SHAPES if parser.parse_args().all else SHAPES[:1]
    names = list(kernels(4))
    print(
        "| shape | bits | " + " | ".join(f"{n}, us" for n in names) + " | lookup / dequant | averaged | wide / vnni |"
    )
    print("| --- " * (len(names) + 5) + "|")
    for m, k in shapes:
        for bits in (4, 3, 2, 1):
            t = times(bits, m, k)
            us = " | ".join(f"{t[n] * 1e6:.0f}" if n in t else "-" for n in names)
            wide = f"{t['dequant vnni'] / t['wide']:.2f}" if "wide" in t else "-"
            gains = f"{t['dequant'] / t['lookup']:.2f} | {t['dequant'] / t['averaged']:.2f} | {wide}"
            print(f"| {m} x {k} | {bits} | {us} | {gains} |", flush=True)
    print("\n| k | bits | NMSE: " + " | ".join(n for n in names if n not in ("wide", "dequant vnni")) + " |")
    print("| --- " * (len(names)) + "|")
    for k in sorted({k for _, k in shapes}):
        for bits in (4, 3, 2, 1):
            print(f"| {k} | {bits} | " + " | ".join(f"{v:.4g}" for v in errors(bits, k).values()) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Event-driven against dense convolution of 4-bit weights on this processor: time by the share of non-zero activations.

128 channels and filters on maps of 28 x 28, 3 x 3, one thread; the fastest of many runs by the processor's clock.
"GMAC/s" counts the dense multiply-adds, so a kernel that skips zeros may exceed what it could do densely.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, fastest, run

from tradespace_neuromorphic.event_kernels import DenseConv4, EventConv4

DENSITIES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.1, 0.05)
CHANNELS, SIDE, KERNEL = 128, 28, 3


def measure(options: Options) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for density in DENSITIES:
        for kind in (EventConv4, DenseConv4):
            kernel = kind(density, options.isa)
            inputs = kernel.shaped(CHANNELS, CHANNELS, SIDE, SIDE, KERNEL, 1, np.random.default_rng(0))
            seconds = fastest(kernel, inputs, options)
            rate = kernel.work(inputs).flop / 2 / seconds
            rows.append({"kernel": kernel.name, "density": density, "seconds": seconds, "macs_per_s": rate})
    return {"rows": rows}


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{CHANNELS} channels, maps of {SIDE} x {SIDE}"
    names = ("event us", "dense us", "dense/event", "event GMAC/s", "dense GMAC/s")
    yield (f"{'non-zero':>9s}" + "".join(f"{name:>14s}" for name in names))
    for event, dense in zip(document["rows"][::2], document["rows"][1::2], strict=True):
        rates = "".join(f"{row['macs_per_s'] / 1e9:14.1f}" for row in (event, dense))
        times = "".join(f"{row['seconds'] * 1e6:14.0f}" for row in (event, dense))
        yield f"{event['density']:9.2f}{times}{dense['seconds'] / event['seconds']:14.2f}{rates}"


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines, repetitions=27))

"""Double SHA-256 of block headers, and ridge readouts: the native kernels against hashlib and numpy.

A search stops the second hash after round 61; its rate is what a miner would call hash rate. Medians; the load of the
system is printed, as it decides what they are worth. ``--isa`` compiles for less than this processor has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, by_threads, run, seconds_of

from tradespace.kernels import time_kernel
from tradespace.kernels.contract import disagreement
from tradespace_hashing.ridge_kernel import RidgeReadout
from tradespace_hashing.sha256_kernel import DoubleSha256

NONCES, PEER = 1 << 20, 1 << 16
FEATURES, SAMPLES = 201, 10_000


def measure(options: Options) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    document: dict[str, Any] = {"hashes_per_s": {}}
    for mode in ("hash", "search"):
        kernel = DoubleSha256(mode, options.isa)
        inputs = kernel.shaped(NONCES, rng)
        for threads, timing in by_threads(kernel, inputs, options).items():
            document["hashes_per_s"][f"{mode}, {threads} thread(s)"] = NONCES / timing.median
    small = DoubleSha256("hash", options.isa).shaped(PEER, rng)
    document["hashlib_per_s"] = PEER / seconds_of(lambda: DoubleSha256().reference(small))
    document["disagreement"] = disagreement(DoubleSha256("hash", options.isa), small)
    ridge = RidgeReadout(isa=options.isa)
    readout = ridge.shaped(FEATURES, SAMPLES, 1e-6, rng)
    document["ridge_s"] = time_kernel(ridge, readout, threads=1, repetitions=options.repetitions).median
    document["ridge_numpy_s"] = seconds_of(lambda: ridge.reference(readout))
    return document


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{NONCES:,} nonces, one midstate"
    for name, rate in document["hashes_per_s"].items():
        yield f"{name}: {rate / 1e6:.1f} MH/s"
    yield f"hashlib: {document['hashlib_per_s'] / 1e6:.2f} MH/s; disagreement {document['disagreement']:g}"
    yield (
        f"ridge, {FEATURES} features of {SAMPLES:,} samples, one thread: {document['ridge_s'] * 1e3:.1f} ms; "
        f"numpy: {document['ridge_numpy_s'] * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines, repetitions=7))

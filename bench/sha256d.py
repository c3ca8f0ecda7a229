"""Double SHA-256 of block headers, and ridge readouts: the native kernels against hashlib and numpy.

A search stops the second hash after round 61; its rate is what a miner would call hash rate. Medians; the load of the
system is printed, as it decides what they are worth. ``--isa`` compiles for less than this processor has.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np

from tradespace.kernels import ISAS, time_kernel, usable_cpus
from tradespace.kernels.contract import disagreement
from tradespace_hashing.ridge_kernel import RidgeReadout
from tradespace_hashing.sha256_kernel import DoubleSha256

NONCES, PEER = 1 << 20, 1 << 16
FEATURES, SAMPLES = 201, 10_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--isa", choices=ISAS, default="native")
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    document: dict[str, Any] = {"load": os.getloadavg(), "isa": options.isa, "hashes_per_s": {}}
    for mode in ("hash", "search"):
        kernel = DoubleSha256(mode, options.isa)
        inputs = kernel.shaped(NONCES, rng)
        for threads in dict.fromkeys((1, len(usable_cpus()) or 1)):
            timing = time_kernel(kernel, inputs, threads=threads, repetitions=options.repetitions)
            document["hashes_per_s"][f"{mode}, {threads} thread(s)"] = NONCES / timing.median
    small = DoubleSha256("hash", options.isa).shaped(PEER, rng)
    begin = time.perf_counter()
    DoubleSha256().reference(small)
    document["hashlib_per_s"] = PEER / (time.perf_counter() - begin)
    document["disagreement"] = disagreement(DoubleSha256("hash", options.isa), small)
    ridge = RidgeReadout(isa=options.isa)
    readout = ridge.shaped(FEATURES, SAMPLES, 1e-6, rng)
    document["ridge_s"] = time_kernel(ridge, readout, threads=1, repetitions=options.repetitions).median
    begin = time.perf_counter()
    ridge.reference(readout)
    document["ridge_numpy_s"] = time.perf_counter() - begin
    if options.json:
        print(json.dumps(document))
        return 0
    print(f"load {document['load']}, isa {options.isa}, {NONCES:,} nonces, one midstate")
    for name, rate in document["hashes_per_s"].items():
        print(f"{name}: {rate / 1e6:.1f} MH/s")
    print(f"hashlib: {document['hashlib_per_s'] / 1e6:.2f} MH/s; disagreement {document['disagreement']:g}")
    print(
        f"ridge, {FEATURES} features of {SAMPLES:,} samples, one thread: {document['ridge_s'] * 1e3:.1f} ms; "
        f"numpy: {document['ridge_numpy_s'] * 1e3:.1f} ms"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

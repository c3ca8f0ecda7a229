"""Compiled digests of designs: what `Designs.digest` does in numpy, for batches."""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit


@njit
def add_codes(block, keys, total):  # type: ignore[no-untyped-def]
    """Adds whole numbers ``block`` (N, width), each times its key (width,), to ``total`` (N,) modulo 2^64."""
    for i in range(block.shape[0]):
        own = total[i]
        for j in range(block.shape[1]):
            own += np.uint64(np.int64(block[i, j])) * keys[j]
        total[i] = own


@njit
def finish(total):  # type: ignore[no-untyped-def]
    """splitmix64's finaliser in place."""
    for i in range(total.shape[0]):
        z = total[i]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total[i] = z ^ (z >> np.uint64(31))

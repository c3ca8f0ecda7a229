"""Compile every kernel once and keep it in the user's cache: ``python -m tradespace.costs.warm``."""

from __future__ import annotations

import sys
import time

import numpy as np


def main() -> int:
    began = time.perf_counter()
    compile_all()
    from tradespace.costs.compiled import cache_folder

    print(f"compiled the pricing kernels in {time.perf_counter() - began:.1f} s into {cache_folder()}", file=sys.stderr)
    return 0


def compile_all() -> None:
    """Call each compiled function with the types that it meets in use; a second process loads them from the cache."""
    from tradespace.costs import kernel, thermal
    from tradespace.costs.columns import COLUMNS

    d = np.stack([np.concatenate([thermal.constants(300.0, 1.0, 370.0, 1.0, 300.0, 30.0), [0.1, 1e9]])])
    codes = np.zeros((1, 1), np.int8)
    out = np.empty((kernel.GLOBALS + kernel.GROUPS + 1, 1))
    i8, i4 = np.int64, np.int32
    kernel.price(
        codes, codes, np.zeros(1, i8), np.ones(COLUMNS), np.zeros(1, i8), np.zeros(0), np.zeros((0, 3), i8),
        np.zeros((0, 2), i4), np.zeros((0, 1)), np.zeros(1, i4), d, np.ones((1, 2)), np.ones(1),
        np.zeros(kernel.RULES), out, 0, 1,
    )  # fmt: skip
    thermal.leakage(1.0, d, 0)


if __name__ == "__main__":
    raise SystemExit(main())

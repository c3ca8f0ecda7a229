"""Digests of the designs that were told, in an open table: no design is asked twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace_optimizers import pgsam_kernel as kernel

Digests = NDArray[np.uint64]

_FIRST = 1 << 12


class Seen:
    """A set of digests that grows up to ``most``; what comes later is not remembered."""

    def __init__(self, most: int) -> None:
        self.table: Digests = np.zeros(_FIRST, np.uint64)
        self._count, self._most = 0, most

    def add(self, digests: Digests) -> None:
        if self._count >= self._most:
            return
        if 2 * (self._count + len(digests)) > len(self.table):
            old = self.table[self.table != 0]
            self.table = np.zeros(1 << (4 * (self._count + len(digests))).bit_length(), np.uint64)
            kernel.remember(self.table, old)
        self._count += int(kernel.remember(self.table, digests))


def places(n: int) -> Digests:
    """An empty table for ``n`` digests."""
    return np.zeros(1 << (2 * n + 1).bit_length(), np.uint64)

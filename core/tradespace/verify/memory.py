"""Weights and KV caches to read: random bytes, as many different ones as memory allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError
from tradespace.kernels.memory import LINE
from tradespace.kernels.products import random_weights
from tradespace.units import format as show

SHARE = 0.6
"""Of the memory that can be used, which a verification takes at most."""
COLD = 4
"""Buffers that are shared must be this many times the last cache, or they would be warm where the model is not."""


class Arena:
    """One buffer that is dealt out from the beginning to the end, and again.

    Args:
        size: B of the buffer.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.data = random_weights(size, rng)
        self._at = 0

    def take(self, size: int) -> NDArray[np.uint8]:
        """The next `size` bytes, from the start of a cache line. Never more than the whole buffer."""
        if self._at + size > len(self.data):
            self._at = 0
        found = self.data[self._at : self._at + size]
        self._at += size + -size % LINE
        return found

    def rewind(self) -> None:
        """Deal from the beginning: the next pass reads the same weights."""
        self._at = 0


def arena_size(wanted: int, largest: int, available: int, cache: int, limit: int | None = None) -> int:
    """B of the arena of a plan.

    Args:
        wanted: all weights and caches of the plan.
        largest: of them, what one operator reads.
        available: memory that can be used.
        cache: last cache of the machine.
        limit: what the user allows, None: a share of `available`.

    Raises:
        KernelError: less than the plan needs for times that mean anything.
    """
    room = int(available * SHARE) if limit is None else limit
    least = min(wanted, max(largest, COLD * cache))
    if room < least:
        raise KernelError(
            "verification needs memory for the largest operator, and more than the caches hold",
            value=f"{show(float(room), 'B')} allowed, {show(float(least), 'B')} needed",
            remedy="Allow more with --memory, or free some.",
        )
    return min(wanted, room)

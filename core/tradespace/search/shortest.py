"""Best paths through a chain, many weightings at once (Bellman's recurrence)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def best_paths(unary: Array, pair: Array | None) -> tuple[Array, NDArray[np.intp]]:
    """The least sums ``(W,)`` and the paths ``(W, n)`` that have them.

    Args:
        unary: (W, n, S); pair: (W, n - 1, S, S) or None; inf where an entry may not take a state, or not after that.
    """
    count, n, _ = unary.shape
    rows = np.arange(count)
    best, back = unary[:, 0], []
    for i in range(1, n):
        if pair is None:
            chosen = np.broadcast_to(best.argmin(axis=1)[:, None], best.shape)
            step = np.broadcast_to(best.min(axis=1)[:, None], best.shape)
        else:
            ways = best[:, :, None] + pair[:, i - 1]
            chosen, step = ways.argmin(axis=1), ways.min(axis=1)
        back.append(chosen)
        best = step + unary[:, i]
    states = np.empty((count, n), np.intp)
    states[:, -1] = best.argmin(axis=1)
    for i in range(n - 2, -1, -1):
        states[:, i] = back[i][rows, states[:, i + 1]]
    return best.min(axis=1), states

"""Where the ants of `rl_aco` are headed: weights of the objectives, and how far a design is along them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def directions(objectives: int) -> Array:
    """``(D, M)`` weights that sum to 1: the corners first, then a fixed sample of the simplex."""
    if objectives == 1:
        return np.ones((1, 1))
    fixed = np.random.Generator(np.random.Philox(20250806))
    inner = fixed.dirichlet(np.ones(objectives), 64)
    chosen = list(np.eye(objectives))
    for _ in range(24 - objectives):  # farthest first
        distance = np.min([np.abs(inner - c).sum(axis=1) for c in chosen], axis=0)
        chosen.append(inner[int(np.argmax(distance))])
    order = fixed.permutation(len(chosen))
    return np.array(chosen)[order]


def tchebycheff(scaled: Array, weights: Array) -> Array:
    """``(N, D)`` augmented weighted Tchebycheff distance from the best (Steuer and Choo 1983)."""
    worst = (scaled[:, None, :] * (weights[None, :, :] + 1e-3)).max(axis=2)
    return np.asarray(worst + 0.05 * scaled @ weights.T)

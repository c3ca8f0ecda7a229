"""What evolution learns of a space while it searches: an additive model of objectives and limits, tested on the way.

Ours. Ridge regression on one-hot codes of what was told. Before a batch is learnt from, it is predicted: the
correlation on these held-out designs says whether a column may be trusted. Nothing here is a certificate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Space
from tradespace.problem import Scores

Array = NDArray[np.float64]

ONE_HOT = 64  # options; longer choices are treated as numbers
RIDGE = 1e-2
MEMORY = 0.7  # weight of earlier batches in a column's trust
LEAST = 3  # told designs before anything is predicted


class Additive:
    """Ridge regression of K columns (objectives, then violations) on the entries of a design."""

    def __init__(self, space: Space, objectives: int) -> None:
        self._space, self._objectives = space, objectives
        width = features(space, space.homogeneous().take(slice(0, 1))).shape[1]
        self._gram: Array = np.zeros((width, width))
        self._moment: Array | None = None
        self._weights: Array | None = None
        self._scale: Array = np.ones(objectives)
        self.trust: Array = np.zeros(objectives)
        self._error: Array = np.zeros(objectives)
        self.count = 0

    def tell(self, designs: Designs, scores: Scores) -> None:
        """Predict the batch, note how well, then learn it."""
        rows = features(self._space, designs)
        columns = np.concatenate([scores.objectives, scores.violations], axis=1)
        if self._moment is None:
            self._moment = np.zeros((rows.shape[1], columns.shape[1]))
            scale = np.median(np.abs(columns), axis=0)
            self._scale = np.asarray(np.where(scale > 0, scale, 1.0), np.float64)
            self.trust, self._error = np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
        squeezed = self._squeeze(columns)
        if self._weights is not None and len(designs) >= LEAST:
            expected = rows @ self._weights
            held_out = correlation(expected, squeezed)
            self._error = np.sqrt(MEMORY * self._error**2 + (1 - MEMORY) * ((expected - squeezed) ** 2).mean(axis=0))
            self.trust = np.asarray(MEMORY * self.trust + (1 - MEMORY) * held_out)
        self._gram += rows.T @ rows
        self._moment += rows.T @ squeezed
        self.count += len(designs)
        if self.count >= LEAST:
            ridge = RIDGE * np.eye(len(self._gram))
            self._weights = np.asarray(np.linalg.solve(self._gram + ridge, self._moment), np.float64)

    def predict(self, designs: Designs, rng: np.random.Generator | None = None) -> tuple[Array, Array] | None:
        """(N, M) objectives and (N,) total violation as expected; None before there is anything to go by. With `rng`
        they scatter as far as predictions of held-out designs were off: one draw, not the mean."""
        if self._weights is None:
            return None
        squeezed = features(self._space, designs) @ self._weights
        if rng is not None:
            squeezed = squeezed + self._error * rng.standard_normal(squeezed.shape)
        found = self._stretch(np.clip(squeezed, -50.0, 50.0))
        limits = np.where(self.trust[self._objectives :] > 0.3, found[:, self._objectives :], 0.0)
        return found[:, : self._objectives], np.asarray(np.maximum(limits, 0.0).sum(axis=1))

    def _squeeze(self, columns: Array) -> Array:
        """Products of decisions become sums: log for large values, linear around 0."""
        return np.asarray(np.arcsinh(np.clip(columns / self._scale, -1e30, 1e30)))

    def _stretch(self, squeezed: Array) -> Array:
        return np.asarray(np.sinh(squeezed) * self._scale)


def features(space: Space, designs: Designs) -> Array:
    """(N, F): 1, then per entry one column an option (0 where the entry does not count), or its scaled value."""
    active = space.active(designs)
    columns = [np.ones((len(designs), 1))]
    for variable in space.variables:
        block, on = designs.columns[variable.name], active[variable.name]
        if isinstance(variable, Choice) and len(variable.options) <= ONE_HOT:
            hot = block[:, :, None] == np.arange(len(variable.options))
            columns.append((hot & on[:, :, None]).reshape(len(designs), -1).astype(np.float64))
        else:
            low, high = variable.bounds()
            scaled = (block - low) / np.where(high > low, high - low, 1.0) * on
            columns += [scaled, scaled**2]
    return np.concatenate(columns, axis=1)


def correlation(predicted: Array, true: Array) -> Array:
    """(K,) correlation of each column, 0 where one of them is constant."""
    a, b = predicted - predicted.mean(axis=0), true - true.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray(np.where(size > 0, (a * b).sum(axis=0) / np.where(size > 0, size, 1.0), 0.0))

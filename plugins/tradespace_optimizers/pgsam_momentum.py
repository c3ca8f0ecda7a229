"""What PGSAM remembers of its moves: the gain of every reassignment, per objective.

Ours. The brief's momentum is an exponential average of gains per (entry, option). One global table is neutral at
best, because a move that is good where latency matters is bad where energy does. Here the averaged gain is a vector,
one number per objective, so every Dirichlet direction w reads a preference table of its own: w . gain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Momentum:
    """``effect[m, column, option]``: running estimate of what this option adds to quantity m, up to a constant."""

    def __init__(self, quantities: int, width: int, options: int, rate: float) -> None:
        self.effect: Array = np.zeros((quantities, width, max(options, 1)))
        self._rate = rate

    def learn(self, before: Array, after: Array, change: Array, columns: NDArray[np.intp]) -> None:
        """Normalised least mean squares on told moves.

        Args:
            before, after: codes (N, width). change: (N, quantities) what the move did. columns: those with a table.
        """
        moved = before[:, columns] != after[:, columns]
        count = moved.sum(axis=1)
        rows, place = np.nonzero(moved & (count <= max(4, len(columns) // 4))[:, None])
        if not len(rows):
            return
        column = columns[place]
        new, old = after[rows, column].astype(np.intp), before[rows, column].astype(np.intp)
        predicted = np.zeros_like(change)
        np.add.at(predicted, rows, (self.effect[:, column, new] - self.effect[:, column, old]).T)
        share = ((change - predicted) / (2.0 * np.maximum(count, 1))[:, None])[rows].T
        total, times = np.zeros_like(self.effect), np.zeros(self.effect.shape[1:])
        for sign, option in ((1.0, new), (-1.0, old)):
            for quantity, part in zip(total, share, strict=True):
                np.add.at(quantity, (column, option), sign * part)
            np.add.at(times, (column, option), 1.0)
        self.effect = self.effect + self._rate * total / np.maximum(times, 1.0)

    def gain(self, weights: Array, codes: Array, column: NDArray[np.intp], option: NDArray[np.intp]) -> Array:
        """``(N, k)``: expected fall of the weighted sum when ``column`` takes ``option``. weights (N, quantities)."""
        present = codes[np.arange(len(codes))[:, None], column].astype(np.intp)
        change = self.effect[:, column, option] - self.effect[:, column, present]  # (quantities, N, k)
        return np.asarray(-np.einsum("nq,qnk->nk", weights, change))

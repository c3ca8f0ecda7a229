"""The learning half of `rl_aco`: a linear softmax over options or things, trained by masked policy gradient.

A policy has one set of parameters per objective; a direction (weights over objectives, sum 1) mixes their logits. The
logits are a table (one number a decision and option) plus weighted features: where the evaluator's constructive plans
put each entry. What is already used is masked out when an order is built.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BOUND = 6.0
"""Largest size of a logit of the table: options keep a chance of about e^-12."""


class Policy:
    """Logits of one variable: ``table`` (M, rows, k) and ``theta`` (M, F) over ``features`` (rows, k, F)."""

    def __init__(self, objectives: int, features: Array, rate: float, decay: float, clip: float) -> None:
        rows, options, count = features.shape
        self.features = features
        self.table: Array = np.zeros((objectives, rows, options))
        self.theta: Array = np.zeros((objectives, count))
        self._rate, self._decay, self._clip = rate, decay, clip
        self._moments = [np.zeros_like(p) for p in (self.table, self.table, self.theta, self.theta)]
        self._steps = 0

    def logits(self, weights: Array) -> Array:
        """``(D, rows, k)`` for directions ``weights`` (D, M), the largest of each row 0."""
        table = np.tensordot(weights, self.table, axes=1)
        if self.theta.size:
            table = table + np.tensordot(weights @ self.theta, self.features, axes=((1,), (2,)))
        return np.asarray(table - table.max(axis=2, keepdims=True))

    def learn(self, gradient: Array) -> None:
        """One step of AdamW uphill along ``gradient`` (M, rows, k) of the logits, clipped to length `clip`."""
        length = np.sqrt(np.square(gradient).sum())
        if length == 0.0:
            return
        gradient = gradient * min(1.0, self._clip / length)
        steps = self._steps + 1
        parts = [gradient, np.einsum("mrk,rkf->mf", gradient, self.features)]
        moved = []
        for i, (value, slope) in enumerate(zip((self.table, self.theta), parts, strict=True)):
            first = 0.9 * self._moments[2 * i] + 0.1 * slope
            second = 0.99 * self._moments[2 * i + 1] + 0.01 * np.square(slope)
            step = (first / (1.0 - 0.9**steps)) / (np.sqrt(second / (1.0 - 0.99**steps)) + 1e-8)
            moved.append((1.0 - self._rate * self._decay) * value + self._rate * step)
            self._moments[2 * i], self._moments[2 * i + 1] = first, second
        self.table, self.theta, self._steps = moved[0].clip(-BOUND, BOUND), moved[1].clip(-BOUND, BOUND), steps


def choice_gradient(probability: Array, codes: NDArray[np.intp], advantage: Array, entropy: float) -> Array:
    """``(rows, k)`` gradient of sum advantage x log p(codes) + entropy bonus, for independent softmax rows.

    probability (rows, k); codes (N, rows); advantage (N,).
    """
    rows, options = probability.shape
    flat = (codes + np.arange(rows) * options).ravel()
    hit = np.bincount(flat, np.repeat(advantage, rows), rows * options).reshape(rows, options)
    surprise = np.log(np.maximum(probability, 1e-300))
    spread = -probability * (surprise - (probability * surprise).sum(axis=1, keepdims=True))
    return np.asarray(hit - advantage.sum() * probability + entropy * spread)


def order_gradient(weights: Array, orders: NDArray[np.intp], advantage: Array) -> Array:
    """``(1, n)`` gradient of sum advantage x log p(orders) under the Plackett-Luce law of ``weights`` (n,): each step a
    softmax over the things that are left (masked)."""
    n = len(weights)
    along = np.maximum(weights[orders], 1e-300)
    left = np.cumsum(along[:, ::-1], axis=1)[:, ::-1]
    slope = advantage[:, None] * (1.0 - along * np.cumsum(1.0 / left, axis=1))
    return np.asarray(np.bincount(orders.ravel(), slope.ravel(), n)[None, :], np.float64)


def advantages(objective: Array, violation: Array, group: NDArray[np.intp]) -> Array:
    """``(N,)`` how much better than the mean of its group each ant did, in ranks scaled to length sqrt(N) per group.

    Ours: ranks instead of costs, so that units, outliers and infeasible designs (last, by violation) do no harm.
    """
    out = np.zeros(len(objective))
    for g in np.unique(group):
        rows = np.flatnonzero(group == g)
        keys = np.stack([np.maximum(violation[rows], 0.0), objective[rows]], axis=1)
        _, place = np.unique(keys, axis=0, return_inverse=True)
        place = place.reshape(-1).astype(np.float64)
        spread = place.std()
        if spread > 0:
            out[rows] = (place.mean() - place) / spread
    return out

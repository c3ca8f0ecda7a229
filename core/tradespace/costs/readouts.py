"""Small learners in numpy: ridge regression, logistic regression, one hidden layer; and echo states to read out.

They judge whether data hold what somebody claims they hold, so they are plain, seeded and without tuning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Predictor = Callable[[NDArray[np.generic]], Floats]

CHUNK = 65_536
"""Rows that are held as float64 at a time."""


def ridge(x: Floats, y: Floats, penalty: float) -> Floats:
    """(p,) weights of (X'X + penalty I) w = X'y, X (n, p)."""
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y))


def with_bias(x: NDArray[np.generic], kind: Any = np.float64) -> NDArray[Any]:
    """A last column of ones."""
    out = np.ones((len(x), x.shape[1] + 1), kind)
    out[:, :-1] = x
    return out


def logistic(
    x: NDArray[np.generic], y: NDArray[np.bool_], *, penalty: float = 1.0, steps: int = 8
) -> Callable[[NDArray[np.generic]], Floats]:
    """Scores (log odds) of a logistic regression; X (n, p) of any type, read in chunks.

    Newton steps with the bound X'X / 4 on the curvature, factorised once (Boehning, Lindsay, Ann. Inst. Statist. Math.
    40, 1988). Whole numbers are multiplied in float32, where a chunk of small ones is exact.
    """
    kind = np.float32 if x.dtype.kind in "bui" else np.float64
    width = x.shape[1] + 1
    curve, w = penalty * np.eye(width), np.zeros(width)
    for at in range(0, len(x), CHUNK):
        rows = with_bias(x[at : at + CHUNK], kind)
        curve += 0.25 * (rows.T @ rows)
    inverse = np.linalg.inv(curve)
    for _ in range(steps):
        slope = -penalty * w
        for at in range(0, len(x), CHUNK):
            rows = with_bias(x[at : at + CHUNK], kind)
            slope += rows.T @ (y[at : at + CHUNK] - _sigmoid(rows @ w.astype(kind))).astype(kind)
        w = w + inverse @ slope
    return lambda other: _in_chunks(other, lambda rows: with_bias(rows) @ w)


@dataclass(frozen=True)
class Perceptron:
    """One hidden layer (tanh, so that no unit dies on noise), trained by Adam (Kingma, Ba 2015) in mini-batches."""

    hidden: int = 16
    epochs: int = 2
    batch: int = 1024
    rate: float = 5e-3

    def fit(self, x: NDArray[np.generic], y: NDArray[np.bool_], rng: np.random.Generator) -> Predictor:
        """Scores (log odds) of rows like ``x`` (n, p)."""
        p, h = x.shape[1], self.hidden
        weights = [
            rng.standard_normal((p, h)) / np.sqrt(p),
            np.zeros(h),
            rng.standard_normal(h) / np.sqrt(h),
            np.zeros(1),
        ]
        weights[1] -= x[: self.batch * 16].mean(axis=0) @ weights[0]  # as if the inputs were centred
        first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
        step = 0
        for _ in range(self.epochs):
            order = rng.permutation(len(x))
            for at in range(0, len(x), self.batch):
                rows = order[at : at + self.batch]
                step += 1
                slopes = _slopes(weights, np.asarray(x[rows], np.float64), y[rows])
                for i, slope in enumerate(slopes):
                    first[i] = 0.9 * first[i] + 0.1 * slope
                    second[i] = 0.999 * second[i] + 0.001 * slope**2
                    move = first[i] / (1 - 0.9**step) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
                    weights[i] = weights[i] - self.rate * move
        return lambda other: _in_chunks(other, lambda part: _hidden(weights, part) @ weights[2] + weights[3])


def _hidden(weights: list[Floats], rows: NDArray[np.generic]) -> Floats:
    return np.asarray(np.tanh(np.asarray(rows, np.float64) @ weights[0] + weights[1]))


def _slopes(weights: list[Floats], rows: Floats, truth: NDArray[np.bool_]) -> list[Floats]:
    inner = _hidden(weights, rows)
    error = (_sigmoid(inner @ weights[2] + weights[3]) - truth) / len(rows)
    back = np.outer(error, weights[2]) * (1 - inner**2)
    return [rows.T @ back, back.sum(axis=0), inner.T @ error, np.array([error.sum()])]


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _in_chunks(x: NDArray[np.generic], call: Callable[[NDArray[np.generic]], Floats]) -> Floats:
    return np.concatenate([call(x[at : at + CHUNK]) for at in range(0, len(x), CHUNK)] or [np.zeros(0)])


def delayed(u: Floats, delays: NDArray[np.int64]) -> Floats:
    """(n, d) columns u[t - delay], zero before the start."""
    out = np.zeros((len(u), len(delays)))
    for j, delay in enumerate(delays):
        out[delay:, j] = u[: len(u) - delay]
    return out


def echo_states(
    u: Floats,
    nodes: int,
    rng: np.random.Generator,
    *,
    radius: float,
    scale: float,
    leak: float = 1.0,
    bias: float = 0.1,
) -> Floats:
    """(n, nodes) states of a random tanh network: x' = (1 - leak) x + leak tanh(W x + V u + bias) (Jaeger 2001)."""
    recurrent = rng.uniform(-1, 1, (nodes, nodes))
    recurrent *= radius / max(float(np.abs(np.linalg.eigvals(recurrent)).max()), 1e-12)
    into, offset = rng.uniform(-scale, scale, nodes), bias * rng.uniform(-1, 1, nodes)
    state, out = np.zeros(nodes), np.empty((len(u), nodes))
    for t, value in enumerate(u):
        state = (1 - leak) * state + leak * np.tanh(recurrent @ state + into * value + offset)
        out[t] = state
    return out

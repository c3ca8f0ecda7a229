"""The annealing chains of PGSAM: where each stands, along which direction it looks, and what it accepts.

Ours, after the brief's recipe. The energy of a chain is a scalar of the objectives, normalised by the archive's range,
along the chain's direction; broken constraints add to it, and are all of it while nothing feasible is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import Scores
from tradespace.search.archive import Archive

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Rng = np.random.Generator

_BROKEN = 0.05  # energy of breaking a constraint at all, in ranges of the front
_PENALTY = 2.0  # and per relative amount
_MEDIAN_ACCEPTED = 0.8  # share of median worsening moves that the first temperature accepts
_POOL = 2000  # archive members that a returning chain looks at


@dataclass(frozen=True)
class Chains:
    """C chains: flat codes (C, W), objectives (C, M), total violation (C,), direction weights (C, M)."""

    codes: Array
    objectives: Array
    violation: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.codes)

    def at(self, rows: Rows, codes: Array, objectives: Array, violation: Array) -> Chains:
        """The chains with those of ``rows`` moved."""
        moved = Chains(self.codes.copy(), self.objectives.copy(), self.violation.copy(), self.weights)
        moved.codes[rows], moved.objectives[rows], moved.violation[rows] = codes, objectives, violation
        return moved


@dataclass(frozen=True)
class Scale:
    """How objectives are compared: ``low`` and ``span`` (M,), and whether anything feasible is known.

    ``corner``: share of the weighted maximum in the energy, the rest is the weighted sum. The sum finds improving
    moves, the maximum reaches the dents of the front.
    """

    low: Array
    span: Array
    feasible: bool
    corner: float

    def energy(self, objectives: Array, violation: Array, weights: Array) -> Array:
        """``(N,)`` for rows (N, M) and weights broadcastable to them."""
        shape = np.broadcast_shapes(objectives.shape, weights.shape)
        most, total = np.full(shape[:-1], -np.inf), np.zeros(shape[:-1])
        for m in range(shape[-1]):  # one objective at a time: reducing over a short last axis is ten times slower
            weighted = weights[..., m] * ((objectives[..., m] - self.low[m]) / self.span[m])
            np.maximum(most, weighted, out=most)
            total += weighted
        g = self.corner * np.sqrt(shape[-1]) * most + (1.0 - self.corner) * total
        if not self.feasible:
            return np.asarray(violation + 0.01 * g)
        return np.asarray(g + np.where(violation > 0, _BROKEN + _PENALTY * violation, 0.0))

    def slopes(self, weights: Array) -> Array:
        """``(N, M + 1)``: what a unit of each objective, and of violation, weighs in the energy."""
        part, broken = (1.0, _PENALTY) if self.feasible else (0.01, 1.0)
        return np.concatenate([part * weights / self.span, np.full((len(weights), 1), broken)], axis=1)


def scale_of(archive: Archive, low: Array, high: Array, corner: float) -> Scale:
    """From the archive's range once it is a front, else from the range (low, high) of all told designs."""
    if archive.feasible and len(archive) > 1:
        low, high = archive.objectives.min(axis=0), archive.objectives.max(axis=0)
    span = high - low
    return Scale(low, np.where(span > 0, span, 1.0), archive.feasible, corner)


def directions(count: int, m: int, rng: Rng) -> Array:
    """``(count, M)`` Dirichlet weights; the first M look along one objective each, so that extremes are found."""
    weights = rng.dirichlet(np.ones(m), count)
    axes = np.eye(m)[:count]
    weights[: len(axes)] = 0.98 * axes + 0.02 / m
    return np.asarray(weights)


def best_for(weights: Array, objectives: Array, violation: Array, scale: Scale, rng: Rng) -> Rows:
    """For each direction the row of least energy, among at most 2,000 random rows."""
    pool = np.arange(len(objectives))
    if len(pool) > _POOL:
        pool = np.sort(rng.choice(len(pool), _POOL, replace=False))
    energy = scale.energy(objectives[None, pool], violation[None, pool], weights[:, None])
    return np.asarray(pool[energy.argmin(axis=1)])


def start(codes: Array, scores: Scores, count: int, scale: Scale, rng: Rng) -> Chains:
    """Chains at the best of the first designs for their directions."""
    weights = directions(count, scores.objectives.shape[1], rng)
    rows = best_for(weights, scores.objectives, scores.violation, scale, rng)
    return Chains(codes[rows], scores.objectives[rows], scores.violation[rows], weights)


def accepted(delta: Array, temperature: float, rng: Rng) -> NDArray[np.bool_]:
    """Metropolis: all that is not worse, the rest with probability exp(-delta / T). Infinite T accepts all."""
    draw = rng.random(len(delta))
    if temperature <= 0.0:
        return np.asarray(delta <= 0)
    return np.asarray((delta <= 0) | (draw < np.exp(-np.maximum(delta, 0.0) / temperature)))


def first_temperature(delta: Array) -> float:
    """At which a median worsening move passes with probability 0.8; 0 while no move was worse."""
    worse = delta[delta > 0]
    return float(np.median(worse)) / np.log(1.0 / _MEDIAN_ACCEPTED) if len(worse) else 0.0

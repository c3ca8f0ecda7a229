"""The annealing chains of PGSAM: where each stands, along which direction it looks, and what it accepts.

Ours, after the brief's recipe. The energy of a chain is a scalar of the objectives, normalised by the archive's range,
along the chain's direction; broken constraints add to it, and are all of it while nothing feasible is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import Scores
from tradespace.search.members import Members

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Rng = np.random.Generator

_PENALTY = (0.05, 1.0)  # energy of a relative violation of 1, in ranges of the front: from and to over the chains
_MEDIAN_ACCEPTED = 0.8  # share of median worsening moves that the first temperature accepts
_POOL = 300  # archive members that a returning chain looks at


@dataclass(frozen=True)
class Chains:
    """C chains: flat codes (C, W), objectives (C, M), total violation (C,), direction weights (C, M + 1):
    of the objectives, and of violation."""

    codes: Array
    objectives: Array
    violation: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.codes)

    def deltas(self, turn: int, objectives: Array, violation: Array, scale: Scale) -> Array:
        """``(N,)`` by how much each row is worse than its chain, row r of chain (turn + r) mod C."""
        c = (turn + np.arange(len(objectives))) % len(self)
        before = scale.energy(self.objectives[c], self.violation[c], self.weights[c])
        return scale.energy(objectives, violation, self.weights[c]) - before


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
        """``(N,)`` for rows (N, M) and weights (N, M + 1), or shapes that broadcast."""
        count = objectives.shape[-1]
        shape = np.broadcast_shapes(objectives.shape[:-1], weights.shape[:-1])
        most, total = np.full(shape, -np.inf), np.zeros(shape)
        for m in range(count):  # one objective at a time: reducing over a short last axis is ten times slower
            weighted = weights[..., m] * ((objectives[..., m] - self.low[m]) / self.span[m])
            np.maximum(most, weighted, out=most)
            total += weighted
        g = self.corner * np.sqrt(count) * most + (1.0 - self.corner) * total
        if not self.feasible:
            return np.asarray(violation + 0.01 * g)
        return np.asarray(g + weights[..., count] * violation)

    def slopes(self, weights: Array) -> Array:
        """``(N, M + 1)``: what a unit of each objective, and of violation, weighs in the energy."""
        slopes = weights * np.append((1.0 if self.feasible else 0.01) / self.span, 1.0)
        if not self.feasible:
            slopes[:, -1] = 1.0
        return np.asarray(slopes)


def scale_of(members: Members, low: Array, high: Array, corner: float) -> Scale:
    """From the archive's range once it is a front, else from the range (low, high) of all told designs."""
    if members.feasible and len(members) > 1:
        low, high = members.now.low, members.now.high
    span = high - low
    return Scale(low, np.where(span > 0, span, 1.0), members.feasible, corner)


def directions(count: int, m: int, rng: Rng) -> Array:
    """``(count, M + 1)``: Dirichlet weights, and a weight of violation between 0.05 and 1 (log-uniform).

    The first M look along one objective each, so that extremes are found. Lenient chains cross infeasible regions to
    where constraints bind, strict ones stay inside; which is better depends on the problem, so there are both.
    """
    weights = rng.dirichlet(np.ones(m), count)
    axes = np.eye(m)[:count]
    weights[: len(axes)] = 0.98 * axes + 0.02 / m
    low, high = np.log(_PENALTY)
    penalty = np.exp(rng.uniform(low, high, (count, 1)))
    return np.concatenate([weights, penalty], axis=1)


def best_for(weights: Array, objectives: Array, violation: Array, scale: Scale, rng: Rng) -> Rows:
    """For each direction the row of least energy, among at most 300 random rows."""
    pool = np.arange(len(objectives))
    if len(pool) > _POOL:
        pool = np.sort(rng.choice(len(pool), _POOL, replace=False))
    energy = scale.energy(objectives[None, pool], violation[None, pool], weights[:, None])
    return np.asarray(pool[energy.argmin(axis=1)])


def grown(now: Chains, count: int, codes: Array, members: Members, scale: Scale, rng: Rng) -> Chains:
    """``count`` chains: those there are, and new ones at the members that are best for their directions."""
    weights = directions(count, members.objectives.shape[1], rng)[len(now) :]
    rows = best_for(weights, members.objectives, members.violation, scale, rng)
    return Chains(
        np.concatenate([now.codes, codes[rows]]),
        np.concatenate([now.objectives, members.objectives[rows]]),
        np.concatenate([now.violation, members.violation[rows]]),
        np.concatenate([now.weights, weights]),
    )


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

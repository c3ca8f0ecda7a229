"""A learned heuristic for jobs on one machine: which job after which, from due dates, weights and times.

Set-up as in DeepACO (Ye et al., NeurIPS 2023): trained once over random instances with 50 ants a step, 128 steps an
epoch, 5 epochs, then used as eta by an ordinary ant system. Instead of a graph network ours is linear in the features
below, and the gradient counts only the ants of the best fifth (risk-seeking policy gradient, Petersen et al. 2021),
because an ant system keeps its best ant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tradespace.search import ants
from tradespace_fleet.reading import rng_of
from tradespace_fleet.workloads import draw_smtwtp

Array = NDArray[np.float64]
FEATURES = (
    "due", "weight", "time", "weight/(1+due)", "time/(1+due)", "log due", "weight log due", "time log due", "near",
    "weight near", "time near", "weight late", "time late", "late", "weight/time near",
)  # fmt: skip
STEPS, ANTS, RATE, BEST = 640, 50, 0.05, 0.2
FIRST_TRAINING = 10**6
"""Training instances have seeds from here on; tests and studies use seeds far below."""

TRAINED: Mapping[int, tuple[float, ...]] = {
    50: (
        -1.0613, 1.2001, -0.0392, 2.9983, -0.9207, -1.563, -1.3289, 0.9133, -0.5646, 1.8547, -1.0253, 1.795, -0.9514,
        0.1114, 0.9402,
    ),
    100: (
        -1.2916, 1.1011, -0.4703, 2.2202, -0.6778, -1.9531, -0.1183, 0.1388, -0.0971, 1.089, -1.0323, 2.5894, -0.9191,
        0.276, 0.736,
    ),
}  # fmt: skip
"""What `train` gave for so many jobs (bench/rl_aco.py trains again); no test instance was among the training ones."""


def features(due: Array, weight: Array, time: Array) -> Array:
    """``(n, F)``. "late" is a job's tardiness in order of due dates, "near" falls from 1 with its earliness there."""
    order = np.argsort(due, kind="stable")
    finish = np.empty_like(due)
    finish[order] = np.cumsum(time[order])
    late, near, log = np.maximum(finish - due, 0.0), np.exp(np.minimum(finish - due, 0.0)), np.log(due + 0.05)
    rows = [
        due, weight, time, weight / (1 + due), time / (1 + due), log, weight * log, time * log, near,
        weight * near, time * near, weight * late, time * late, late, weight / (time + 0.1) * near,
    ]  # fmt: skip
    return np.stack(rows, axis=1)


def table(logits: Array) -> Array:
    """``(n + 1, n)`` eta behind each job (row 0: at the start), relative to that job, so that nothing under- or
    overflows while jobs near it are left."""
    before = np.concatenate([[logits.max()], logits])
    return np.asarray(np.exp((logits[None, :] - before[:, None]).clip(-300.0, 300.0)))


def tardiness(orders: NDArray[np.int32], due: Array, weight: Array, time: Array) -> Array:
    """``(N,)`` total weighted tardiness of orders (N, n)."""
    late = np.maximum(np.cumsum(time[orders], axis=1) - due[orders], 0.0)
    return np.asarray((weight[orders] * late).sum(axis=1))


def train(n: int, steps: int = STEPS, seed: int = 0) -> Array:
    """``(F,)`` weights after ``steps`` instances of n jobs, starting from eta = 1 / due."""
    count = len(FEATURES)
    theta, first, second = np.zeros(count), np.zeros(count), np.zeros(count)
    theta[FEATURES.index("log due")] = -1.0
    rng = rng_of(seed, n)
    base = np.tile(np.arange(n, dtype=np.int32), (ANTS, 1))
    fresh, group, out = np.ones((ANTS, n), bool), np.zeros(ANTS, np.int64), np.empty((ANTS, n), np.int32)
    for step in range(steps):
        instance = draw_smtwtp(n, FIRST_TRAINING + step)
        found = features(*instance)
        eta = table(found @ theta)[None]
        ants.arrange(eta, eta, 0.0, ants.SUCCESSOR, group, base, fresh, rng.random((ANTS, n)), out)
        cost = tardiness(out, *instance)
        good = np.maximum(np.quantile(cost, BEST) - cost, 0.0) / (cost.std() + 1e-9)
        slope = np.zeros((n + 1, n))
        ants.arrange_gradient(eta[0], ants.SUCCESSOR, out, good / ANTS, slope)
        gradient = slope.sum(axis=0) @ found
        gradient /= max(1.0, float(np.linalg.norm(gradient)))
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        scale = RATE * (1.0 - step / steps) / (1.0 - 0.9 ** (step + 1))
        theta = theta + scale * first / (np.sqrt(second / (1.0 - 0.999 ** (step + 1))) + 1e-8)
    return theta


def learned_eta(due: Array, weight: Array, time: Array) -> Array:
    """``(n + 1, n)`` with the weights trained for the nearest number of jobs."""
    near = min(TRAINED, key=lambda size: abs(size - len(due)))
    return table(features(due, weight, time) @ np.array(TRAINED[near]))


def manual_eta(due: Array, weight: Array, time: Array) -> Array:
    """``(n + 1, n)``: 1 / due."""
    return np.tile(1.0 / np.maximum(due, 1e-12), (len(due) + 1, 1))

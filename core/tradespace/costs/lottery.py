"""Work whose results are lottery draws: hits arrive as a Poisson process of the trials that are made."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TRIALS = 2.0**32
"""Trials that one hit of difficulty 1 takes on average (Bitcoin's target of difficulty 1, to 2^-16)."""


def chance(difficulty: ArrayLike) -> Floats:
    """Chance that one trial hits: 2^-32 / difficulty, at most 1."""
    return np.asarray(np.minimum(1.0, 1.0 / (TRIALS * np.asarray(difficulty, np.float64))))


def gap_quantile(rate: ArrayLike, q: float) -> Floats:
    """s within which the next hit comes with chance q: exponential gaps."""
    return np.asarray(-math.log1p(-q) / np.asarray(rate, np.float64))


def gap_cv(service: ArrayLike, delay: ArrayLike) -> Floats:
    """Coefficient of variation of the gaps of a dialogue: exponential work of mean ``service``, then a fixed delay."""
    s = np.asarray(service, np.float64)
    return np.asarray(np.divide(s, s + np.asarray(delay, np.float64)))


def cv_interval(hits: int, *, draws: int = 4000, seed: int = 0) -> tuple[float, float]:
    """95 % of the coefficients of variation that ``hits`` exponential gaps show (simulated)."""
    gaps = np.random.Generator(np.random.Philox(seed)).exponential(size=(draws, max(hits, 2)))
    low, high = np.quantile(gaps.std(axis=1, ddof=1) / gaps.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def rounds_spent(total: ArrayLike, abort: ArrayLike, kept: ArrayLike) -> Floats:
    """Mean rounds of a trial that is cut off after ``abort`` of ``total`` rounds unless it is kept (0: no cut).

    arXiv 2601.12032, eq. 11: abort + (total - abort) x share that goes on.
    """
    n, k, r = (np.asarray(a, np.float64) for a in (total, abort, kept))
    return np.asarray(np.where(k > 0, k + (n - k) * r, n))

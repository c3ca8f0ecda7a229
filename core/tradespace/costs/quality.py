"""How well predictions fit, with confidence bounds: AUC, mutual information, rank correlation, NRMSE.

Bounds are two-sided at `CONFIDENCE` from the normal approximation; they tell "no signal" from "too few samples".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
BINS = 10
"""Equally filled bins of a score whose information is counted."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its confidence interval."""

    value: float
    low: float
    high: float


def ranks(values: Floats) -> Floats:
    """(n,) ranks from 1; ties share their mean rank."""
    order = np.argsort(values, kind="stable")
    new = np.concatenate([[True], np.diff(values[order]) != 0])
    first = np.flatnonzero(new)
    count = np.diff(np.append(first, len(values)))
    out = np.empty(len(values))
    out[order] = np.repeat(first + (count + 1) / 2.0, count)
    return out


def auc(scores: Floats, labels: NDArray[np.bool_]) -> Estimate:
    """Chance that a positive scores above a negative, ties half; 0.5 with [0, 1] where one class is empty.

    Interval: Hanley and McNeil, Radiology 143(1), 1982.
    """
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        return Estimate(0.5, 0.0, 1.0)
    value = (float(ranks(scores)[labels].sum()) - positive * (positive + 1) / 2) / (positive * negative)
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (positive - 1) * (q1 - value**2) + (negative - 1) * (q2 - value**2)
    reach = _z() * math.sqrt(max(variance, 0.0) / (positive * negative))
    return Estimate(value, max(value - reach, 0.0), min(value + reach, 1.0))


def information(scores: Floats, labels: NDArray[np.bool_]) -> Estimate:
    """Mutual information of a score (in `BINS` equally filled bins) and a label, bit.

    Plug-in estimate less the bias of Miller (1955); deviation of its summands over n, plus what independent data would
    show (the chi-square tail of the likelihood ratio) as the floor of the upper bound.
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)[1:-1]))
    cell = np.searchsorted(edges, scores, side="left")
    joint = np.zeros((len(edges) + 1, 2))
    np.add.at(joint, (cell, labels.astype(np.int64)), 1.0)
    joint = joint[joint.sum(axis=1) > 0] / len(scores)
    margins = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    log = np.log(np.divide(joint, margins, out=np.ones_like(joint), where=joint > 0))
    plain = float((joint * log).sum())
    freedom = max((len(joint) - 1) * (int((joint.sum(axis=0) > 0).sum()) - 1), 0)
    spread = math.sqrt(max(float((joint * log**2).sum()) - plain**2, 0.0) / len(scores))
    value = max(plain - freedom / (2 * len(scores)), 0.0)
    high = max(value + _z() * spread, _chi_square(freedom) / (2 * len(scores)))
    return Estimate(value / math.log(2), max(value - _z() * spread, 0.0) / math.log(2), high / math.log(2))


def spearman(a: Floats, b: Floats) -> Estimate:
    """Rank correlation, interval by Fisher's transformation; 0 where one side is constant."""
    x, y = ranks(a), ranks(b)
    if np.ptp(x) == 0 or np.ptp(y) == 0 or len(x) < 4:
        return Estimate(0.0, -1.0, 1.0)
    rho = float(np.corrcoef(x, y)[0, 1])
    middle = math.atanh(min(max(rho, -1 + 1e-15), 1 - 1e-15))
    reach = _z() / math.sqrt(len(x) - 3)
    return Estimate(rho, math.tanh(middle - reach), math.tanh(middle + reach))


def share(hits: int, trials: int) -> Estimate:
    """A share of successes with Wilson's interval (JASA 22, 1927)."""
    if not trials:
        return Estimate(0.0, 0.0, 1.0)
    z, p = _z(), hits / trials
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return Estimate(p, max(middle - reach, 0.0), min(middle + reach, 1.0))


def nrmse(truth: Floats, predicted: Floats) -> float:
    """Root mean squared error over the standard deviation of the truth; 0/0 is 0."""
    variance = float(np.var(truth))
    error = float(np.mean((truth - predicted) ** 2))
    return math.sqrt(error / variance) if variance > 0 else (0.0 if error == 0 else math.inf)


def _z() -> float:
    return NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


def _chi_square(freedom: int) -> float:
    """Its `CONFIDENCE` quantile, by Wilson and Hilferty (PNAS 17, 1931)."""
    if not freedom:
        return 0.0
    z = NormalDist().inv_cdf(CONFIDENCE)
    return float(freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3)

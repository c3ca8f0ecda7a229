"""Null tests: what a claim of prediction must beat before anybody believes it.

Three predictors that know nothing of the claimed mechanism are given the same data, split and learner:

- shuffled: the same features, their rows permuted: whatever is left is chance or a leak in the protocol;
- constant: the mean, or the majority, of the training half;
- one tap (regression), one feature (classification): the best single raw input.

from tradespace.testing import null_regression
report = null_regression(features, inputs, target, train=1000, fit=fit, rng=rng)
assert report.passed, str(report)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.quality import Estimate, auc, nrmse
from tradespace.costs.readouts import delayed, ridge, with_bias
from tradespace.errors import InputError

Floats = NDArray[np.float64]
Fit = Callable[[Floats, Floats, Floats], Floats]
"""(features, target) of the training half and features of the other -> predictions."""

PENALTY = 1e-6


@dataclass(frozen=True)
class NullReport:
    """What a claim scores beside the nulls.

    Args:
        metric: "nrmse" (small is better) or "auc" (large is better).
        claimed: the claim's score; nulls: name -> score.
        margin: how much the claim must be better than every null: what the sample cannot tell apart.
    """

    metric: str
    claimed: float
    nulls: Mapping[str, float]
    margin: float

    @property
    def beaten(self) -> tuple[str, ...]:
        return tuple(name for name, score in self.nulls.items() if self._gain(score) > self.margin)

    @property
    def passed(self) -> bool:
        return len(self.beaten) == len(self.nulls)

    @property
    def best(self) -> float:
        """The score of the strongest null."""
        return min(self.nulls.values()) if self.metric == "nrmse" else max(self.nulls.values())

    @property
    def gain(self) -> float:
        """How much better than the strongest null; negative: worse."""
        return self._gain(self.best)

    def _gain(self, score: float) -> float:
        return score - self.claimed if self.metric == "nrmse" else self.claimed - score

    def __str__(self) -> str:
        rows = ", ".join(f"{name} {score:.4f}" for name, score in self.nulls.items())
        verdict = (
            "beats every null" if self.passed else f"does not beat {', '.join(set(self.nulls) - set(self.beaten))}"
        )
        return f"{self.metric} {self.claimed:.4f} {verdict} by {self.margin:.4f} ({rows})"


def by_ridge(x: Floats, y: Floats, other: Floats) -> Floats:
    """Ridge regression with a bias."""
    return np.asarray(with_bias(other) @ ridge(with_bias(x), y, PENALTY))


def null_regression(
    features: Floats, inputs: Floats, target: Floats, *, train: int, rng: np.random.Generator, fit: Fit = by_ridge,
    taps: int = 16, margin: float | None = None,
) -> NullReport:  # fmt: skip
    """Judge features (n, p) of a driven system: rows up to ``train`` are learned, the others predicted.

    Args:
        inputs: (n,) what drove it; one-tap predictors read u[t - d], d < taps, the best of the training half.
        margin: default 2 / sqrt(2 x test rows): two deviations of an NRMSE near 1.

    Raises:
        InputError: halves too small, or columns of unequal length.
    """
    _check(train, len(target), len(features), len(inputs))
    rest = slice(train, None)
    claimed = nrmse(target[rest], fit(features[:train], target[:train], features[rest]))
    permuted = features[rng.permutation(len(features))]
    nulls = {
        "shuffled": nrmse(target[rest], fit(permuted[:train], target[:train], permuted[rest])),
        "constant": nrmse(target[rest], np.full(len(target) - train, target[:train].mean())),
        "one tap": one_tap(inputs, target, train, taps),
    }
    if margin is None:
        margin = 2.0 / float(np.sqrt(2.0 * (len(target) - train)))
    return NullReport("nrmse", claimed, nulls, margin)


def one_tap(inputs: Floats, target: Floats, train: int, taps: int) -> float:
    """NRMSE of the line through one delayed input, the delay that fits the training half best."""
    columns = delayed(inputs, np.arange(taps))
    fits = [by_ridge(columns[:train, [d]], target[:train], columns[:, [d]]) for d in range(taps)]
    best = min(range(taps), key=lambda d: nrmse(target[:train], fits[d][:train]))
    return nrmse(target[train:], fits[best][train:])


def null_classification(
    features: Floats, labels: NDArray[np.bool_], *, train: int, rng: np.random.Generator, fit: Fit,
    margin: float | None = None,
) -> NullReport:  # fmt: skip
    """Judge features (n, p) of labelled cases by AUC: rows up to ``train`` are learned, the others scored.

    The shuffled null trains on permuted labels; the constant scores 0.5; one feature is the best single column, either
    direction. ``margin``: default the half width of the claim's confidence interval.
    """
    _check(train, len(labels), len(features), len(labels))
    truth = labels[train:]
    claimed = auc(fit(features[:train], labels[:train].astype(np.float64), features[train:]), truth)
    shuffled = labels[:train][rng.permutation(train)].astype(np.float64)
    nulls = {
        "shuffled": auc(fit(features[:train], shuffled, features[train:]), truth).value,
        "constant": 0.5,
        "one feature": _one_feature(features, labels, train).value,
    }
    return NullReport("auc", claimed.value, nulls, (claimed.high - claimed.low) / 2 if margin is None else margin)


def _one_feature(features: Floats, labels: NDArray[np.bool_], train: int) -> Estimate:
    signs = [auc(column[:train], labels[:train]).value - 0.5 for column in features.T]
    best = int(np.argmax(np.abs(signs))) if signs else -1
    if best < 0:
        return Estimate(0.5, 0.0, 1.0)
    return auc(np.sign(signs[best]) * features[train:, best], labels[train:])


def _check(train: int, *lengths: int) -> None:
    if len(set(lengths)) != 1:
        raise InputError("features, inputs and target have one row a step", value=lengths)
    if not 2 <= train <= lengths[0] - 2:
        raise InputError("both halves have two rows or more", value=f"{train} of {lengths[0]}")

"""How well a filter tells relevant messages from the others: distributions of a score, cut at a threshold.

A filter that keeps one message in R rejects the share 1 - 1/R of its input. Its classifier says which negatives and
which positives those are: with a threshold x it rejects F0(x) of the negatives and F1(x) of the positives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.errors import InputError
from tradespace.workloads.options import check_keys

Floats = NDArray[np.float64]
MAX_POINTS = 4096


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Negatives score N(0, 1), positives N(``separation``, ``spread``): signal detection's d' (Green, Swets 1966)."""

    separation: float
    spread: float = 1.0

    def operating(self) -> Gaussian:
        return self


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point, whatever the ratio asked for: shares of negatives and of positives that pass."""

    false_positive: float
    true_positive: float

    def operating(self) -> Point:
        return self


@dataclass(frozen=True, eq=False)
class Curve:
    """Shares rejected at rising thresholds, linear in between: an ROC curve, or two empirical distributions.

    Args:
        negatives: (m,) F0, from 0 to 1, never falling.
        positives: (m,) F1, likewise.
    """

    negatives: Floats
    positives: Floats

    def operating(self) -> Curve:
        return self


Operating = Gaussian | Point | Curve


class Classifier(Protocol):
    """What a filter holds. ``operating`` may compute for a second (a simulation) and remembers."""

    def operating(self) -> Operating: ...


Builders = Mapping[str, Callable[[Mapping[str, Any], str], Classifier]]
"""Word under ``model:`` -> what builds that classifier from its options."""


def empirical(null: Floats, positive: Floats) -> Curve:
    """The curve of two samples of scores, (n,) each and sorted: one point a score, after (0, 0)."""
    scores = np.concatenate([null, positive])
    order = np.argsort(scores, kind="stable")
    mine = order < len(null)
    f0 = np.concatenate([[0.0], np.cumsum(mine) / len(null)])
    f1 = np.concatenate([[0.0], np.cumsum(~mine) / len(positive)])
    last = np.concatenate([[True], np.diff(scores[order]) > 0, [True]])  # equal scores are one threshold
    return Curve(np.ascontiguousarray(f0[last]), np.ascontiguousarray(f1[last]))


def build_gaussian(options: Mapping[str, Any], where: str) -> Gaussian:
    check_keys(options, ("separation", "spread"), where)
    separation = share(options, "separation", where, low=-50.0, high=50.0, default=None)
    return Gaussian(separation, share(options, "spread", where, low=1e-3, high=1e3, default=1.0))


def build_point(options: Mapping[str, Any], where: str) -> Point:
    check_keys(options, ("false_positive", "true_positive"), where)
    return Point(share(options, "false_positive", where), share(options, "true_positive", where))


def build_curve(options: Mapping[str, Any], where: str) -> Curve:
    """``false_positive`` and ``true_positive``: the shares that pass, a list each, from all to none."""
    check_keys(options, ("false_positive", "true_positive"), where)
    passed = [rising(options, key, where) for key in ("false_positive", "true_positive")]
    if len(passed[0]) != len(passed[1]):
        raise InputError("both lists have one number a point", value=f"{len(passed[0])}, {len(passed[1])}", where=where)
    rejected = [np.concatenate([[0.0], 1.0 - p, [1.0]]) for p in passed]
    if any((np.diff(r) < 0).any() for r in rejected):
        raise InputError("the shares that pass never rise from one point to the next", where=where)
    return Curve(*rejected)


CLASSIFIERS: Builders = {"gaussian": build_gaussian, "point": build_point, "curve": build_curve}


def share(
    options: Mapping[str, Any],
    key: str,
    where: str,
    *,
    low: float = 0.0,
    high: float = 1.0,
    default: float | None = None,
) -> float:
    """A plain number in [low, high]. Raises `InputError` or `UnitError`."""
    raw = options.get(key, default)
    if raw is None:
        raise InputError(f"'{key}' must be given", where=where)
    value = units.parse(raw, "1", where=f"{where}.{key}")
    if not low <= value <= high:
        raise InputError(f"'{key}' is a number from {low:g} to {high:g}", value=value, where=where)
    return value


def rising(options: Mapping[str, Any], key: str, where: str) -> Floats:
    """A list of 1 to 4096 shares between 0 and 1. Raises `InputError`."""
    raw = options.get(key)
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_POINTS:
        raise InputError(f"'{key}' is a list of 1 to {MAX_POINTS} numbers", value=repr(raw)[:80], where=where)
    return np.array([share({key: value}, key, where) for value in raw])

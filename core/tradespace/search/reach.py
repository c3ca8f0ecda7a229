"""How near a set of designs is certain to be to every other: a guarantee from half-spaces.

Designs not dominated by a set lie below one of its local upper bounds (Klamroth, Lacour, Vanderpooten 2015). If each
local upper bound, moved towards the ideal by a factor 1 / (1 + epsilon) or by a share of the range, lies outside some
half-space that holds all designs, then no design is better than the whole set by more than that. Ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.search.supports import Supports

Array = NDArray[np.float64]

_MOST = 200  # designs that the guarantee is computed of; others can only improve it


@dataclass(frozen=True)
class Reach:
    """Every design is within a factor 1 + ``factor`` in every objective of one of the set (inf: not certain), and
    within ``share`` of the set's range."""

    factor: float
    share: float


def reach(values: Array, highest: Array, scale: Array, found: Supports) -> Reach:
    """The guarantee of a set.

    Args:
        values: (K, M) objectives of the set. highest: (M,) at or above every design. scale: (M,) the units of
            ``found``, whose half-spaces hold every design.
    """
    points = values[np.unique(np.linspace(0, len(values) - 1, min(len(values), _MOST)).astype(np.intp))]
    ends = values[values.argmin(axis=0)]
    above = highest + 1e-6 * (np.abs(highest) + scale)
    upper = upper_bounds(np.unique(np.concatenate([points, ends]), axis=0), above) / scale
    span = (values.max(axis=0) - values.min(axis=0)) / scale
    sums, bounds = upper @ found.weights.T, found.bounds[None, :]  # (U, W)
    missing = np.maximum(sums - bounds, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(missing <= 0, 0.0, np.where(bounds > 0, missing / bounds, np.inf))
        share = np.where(missing <= 0, 0.0, missing / (found.weights @ span)[None, :])
    return Reach(float(factor.min(axis=1).max()), float(share.min(axis=1).max()))


def upper_bounds(points: Array, highest: Array) -> Array:
    """``(U, M)`` corners: a vector strictly below ``highest`` that no point weakly dominates is strictly below one."""
    corners = highest[None, :].astype(np.float64)
    for point in points:
        inside = (point < corners).all(axis=1)
        cut, kept = corners[inside], corners[~inside]
        fresh = np.repeat(cut, len(point), axis=0)
        fresh[np.arange(len(fresh)), np.tile(np.arange(len(point)), len(cut))] = np.tile(point, len(cut))
        fresh = np.unique(fresh, axis=0)
        rivals = np.concatenate([kept, fresh])
        within = (fresh[:, None] <= rivals[None]).all(axis=2) & (fresh[:, None] != rivals[None]).any(axis=2)
        corners = np.concatenate([kept, fresh[~within.any(axis=1)]])
    return corners

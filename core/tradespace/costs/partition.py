"""Dividing equal units over unlike parts: exactly, or in proportion."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradespace.errors import InputError

Ints = NDArray[np.int64]


def bottleneck(total: int, unit: ArrayLike, fixed: ArrayLike = 0.0, at_least: ArrayLike = 1) -> Ints:
    """(parts,) whole numbers n that add up to ``total`` and minimise the largest ``fixed + n x unit``, exactly.

    Dynamic programming over parts, O(parts total^2); among optima the one with the smallest sum of squared loads, then
    more units in earlier parts. For the layers of pipeline stages: ``unit`` is s a layer, ``fixed`` what a stage takes
    beside its layers.

    Raises:
        InputError: less units than the parts need.
    """
    unit = np.atleast_1d(np.asarray(unit, np.float64))
    parts = len(unit)
    fixed, least = np.broadcast_to(np.asarray(fixed, np.float64), (parts,)), _floor(at_least, parts)
    if total < least.sum():
        raise InputError("there are enough units for all parts", value=(total, least.tolist()))
    worst = np.full((parts + 1, total + 1), np.inf)
    square, taken = np.full_like(worst, np.inf), np.zeros((parts + 1, total + 1), np.int64)
    worst[parts, 0] = square[parts, 0] = 0.0
    for part in reversed(range(parts)):
        for rest in range(total + 1):
            counts = np.arange(int(least[part]), rest + 1)
            load = fixed[part] + counts * unit[part]
            top = np.maximum(load, worst[part + 1, rest - counts])
            spread = load**2 + square[part + 1, rest - counts]
            order = np.lexsort((-counts, spread, top))
            if len(order) and np.isfinite(top[order[0]]):
                best = order[0]
                worst[part, rest], square[part, rest] = top[best], spread[best]
                taken[part, rest] = counts[best]
    out, rest = np.zeros(parts, np.int64), total
    for part in range(parts):
        out[part] = taken[part, rest]
        rest -= int(out[part])
    return out


def proportional(total: ArrayLike, weight: ArrayLike, at_least: ArrayLike = 0) -> Ints:
    """(N, parts) whole numbers that add up to ``total`` ((N,) or one number), as near to the shares of ``weight``
    (N, parts) as largest remainders come; each part has ``at_least`` ((N, parts) or less), and one without weight no
    more than that. Rows whose weights are whole and fit already come back unchanged.

    Raises:
        InputError: less units than the parts need.
    """
    weight = np.atleast_2d(np.asarray(weight, np.float64))
    least = np.broadcast_to(np.asarray(at_least, np.int64), weight.shape)
    goal = np.broadcast_to(np.asarray(total, np.int64), weight.shape[:1])
    if (least.sum(axis=1) > goal).any():
        raise InputError("there are enough units for all parts", value=int(goal.min()))
    sums = weight.sum(axis=1, keepdims=True)
    share = np.where(sums > 0, weight, 1.0) / np.where(sums > 0, sums, float(weight.shape[1]))
    out = np.maximum(np.floor(share * goal[:, None] + 1e-9).astype(np.int64), least)
    short = goal - out.sum(axis=1)
    for row in np.flatnonzero(short):
        _settle(out[row], share[row] * goal[row], least[row], int(short[row]))
    return out


def _settle(counts: Ints, ideal: NDArray[np.float64], least: Ints, short: int) -> None:
    """Gives the missing units to the parts that are furthest below their share, or takes surplus from those above."""
    for _ in range(abs(short)):
        gap = ideal - counts
        if short > 0:
            counts[int(np.argmax(np.where(ideal > 0, gap, -np.inf)))] += 1
        else:
            counts[int(np.argmin(np.where(counts > least, gap, np.inf)))] -= 1


def _floor(at_least: ArrayLike, parts: int) -> Ints:
    return np.broadcast_to(np.asarray(at_least, np.int64), (parts,))

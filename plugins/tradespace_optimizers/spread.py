"""A small share of a large front that still covers it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BISECTIONS = 24


def thinned(values: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """At most ``most`` rows of a front (N, M): one per cell of a grid as fine as fits, the best in the sum of its cell,
    and the extremes; rows come coarse first, so that every beginning covers the whole front."""
    n = len(values)
    if n <= 1:
        return np.arange(n)[:most]
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    scaled = (values - low) / np.where(span > 0, span, 1.0)
    order = np.argsort(scaled.sum(axis=1), kind="stable")
    chosen = _cells(scaled, order, _finest(scaled, order, most))
    ends = scaled.argmin(axis=0)
    chosen = chosen[~np.isin(chosen, ends)]
    rows = [*dict.fromkeys(ends.tolist())]
    taken = np.zeros(n, bool)
    taken[rows] = True
    parts = [np.asarray(rows, np.intp)]
    wanted = np.zeros(n, bool)
    wanted[chosen] = True
    cells = 2.0
    while wanted.any():
        first = _cells(scaled, order[wanted[order]], cells)
        first = first[~taken[first]]
        parts.append(np.sort(first))
        taken[first] = True
        wanted[first] = False
        cells *= 2.0
    return np.concatenate(parts)[:most]


def _finest(scaled: NDArray[np.float64], order: NDArray[np.intp], most: int) -> float:
    coarse, fine = 1.0, 1e6
    if len(_cells(scaled, order, fine)) <= most:
        return fine
    for _ in range(_BISECTIONS):
        middle = float(np.sqrt(coarse * fine))
        coarse, fine = (middle, fine) if len(_cells(scaled, order, middle)) <= most else (coarse, middle)
    return coarse


def _cells(scaled: NDArray[np.float64], order: NDArray[np.intp], cells: float) -> NDArray[np.intp]:
    """The first row, in ``order``, of every occupied cell."""
    code = np.zeros(len(order), np.int64)
    for column in (scaled[order] * cells).astype(np.int64).T:
        code = np.unique(code * (int(column.max(initial=0)) + 1) + column, return_inverse=True)[1]
    return order[np.unique(code, return_index=True)[1]]

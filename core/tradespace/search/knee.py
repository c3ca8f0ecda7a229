"""Which points of a front to look at first: the knee, the extremes, a spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def scaled(objectives: Array) -> Array:
    """``(K, M)`` with the front's own best values at 0 and worst at 1."""
    low, span = objectives.min(axis=0), np.ptp(objectives, axis=0)
    return np.asarray((objectives - low) / np.where(span > 0, span, 1.0))


def knee(objectives: Array) -> int:
    """Index farthest below the plane through the points that are worst in one objective and best in all others
    (Das 1999; for two objectives the line through the extremes)."""
    return int(np.argmin(scaled(objectives).sum(axis=1)))


def spread(objectives: Array, chosen: list[int], n: int) -> list[int]:
    """``chosen`` and more indices up to ``n``, each farthest from those before it (Gonzalez 1985)."""
    points, picked = scaled(objectives), list(dict.fromkeys(chosen))
    distance = np.full(len(points), np.inf)
    for i in picked:
        distance = np.minimum(distance, np.linalg.norm(points - points[i], axis=1))
    while len(picked) < min(n, len(points)):
        far = int(np.argmax(distance))
        if distance[far] <= 0:
            break
        picked.append(far)
        distance = np.minimum(distance, np.linalg.norm(points - points[far], axis=1))
    return picked

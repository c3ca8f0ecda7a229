"""Reference directions for any number of objectives."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray
from pymoo.util.reference_direction import UniformReferenceDirectionFactory

Array = NDArray[np.float64]


def directions(objectives: int, most: int) -> Array:
    """At most ``most`` (but at least ``objectives``) directions, ``(D, M)``, each summing to 1.

    Das and Dennis (1998): all of C(H + M - 1, M - 1). Where H < M, no direction would lie inside; then there are two
    layers, the inner one shrunk to half (Deb and Jain 2014, section V).
    """
    if objectives == 1:
        return np.ones((1, 1))
    outer = _partitions(objectives, most)
    if outer >= objectives:
        return _layer(objectives, outer, 1.0)
    for h in range(outer, 0, -1):
        inner = min(h - 1 if h > 1 else 1, _partitions(objectives, most - _count(objectives, h)))
        if inner >= 1 and _count(objectives, h) + _count(objectives, inner) <= most:
            return np.concatenate([_layer(objectives, h, 1.0), _layer(objectives, inner, 0.5)])
    return _layer(objectives, 1, 1.0)


def _count(objectives: int, h: int) -> int:
    return comb(h + objectives - 1, objectives - 1)


def _partitions(objectives: int, most: int) -> int:
    """The largest H with at most ``most`` directions; 0 if even H = 1 has more."""
    h = 0
    while _count(objectives, h + 1) <= most:
        h += 1
    return h


def _layer(objectives: int, h: int, scaling: float) -> Array:
    scaled = scaling if scaling < 1.0 else None
    return np.asarray(UniformReferenceDirectionFactory(objectives, n_partitions=h, scaling=scaled).do(), np.float64)

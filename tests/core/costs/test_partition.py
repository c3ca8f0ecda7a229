"""Exact and proportional division of equal units."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tradespace.costs.partition import bottleneck, proportional
from tradespace.errors import InputError


def test_the_bottleneck_is_the_smallest_of_all_divisions() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        parts, total = int(rng.integers(1, 5)), int(rng.integers(4, 14))
        unit, fixed = rng.uniform(0.1, 3, parts), rng.uniform(0, 3, parts)
        least = rng.integers(0, 2, parts)
        found = bottleneck(total, unit, fixed, least)
        assert found.sum() == total
        assert (found >= least).all()
        every = (c for c in itertools.product(range(total + 1), repeat=parts) if sum(c) == total)
        best = min((fixed + np.array(c) * unit).max() for c in every if (np.array(c) >= least).all())
        assert (fixed + found * unit).max() == pytest.approx(best)


def test_speeds_of_two_clusters_divide_layers_as_published() -> None:
    """197 to 160: 16.6 of 30 layers, 26.5 of 48 (Holmes)."""
    assert proportional(30, [[197, 160]]).tolist() == [[17, 13]]
    assert proportional(48, [[197, 160]])[0, 0] in (26, 27)


def test_proportional_keeps_what_fits_and_respects_floors() -> None:
    whole = np.array([[3, 4, 5], [12, 0, 0], [1, 1, 10]])
    assert (proportional(12, whole) == whole).all()
    assert proportional(5, [[0, 1, 0]], [[1, 1, 1]]).tolist() == [[1, 3, 1]]
    assert proportional([3, 7], [[0, 0], [0, 0]]).sum(axis=1).tolist() == [3, 7]
    assert proportional(4, [[1e300, 1.0]]).tolist() == [[4, 0]]


def test_too_few_units() -> None:
    with pytest.raises(InputError):
        bottleneck(1, [1, 1])
    with pytest.raises(InputError):
        proportional(1, [[1, 1]], 1)

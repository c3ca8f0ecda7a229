"""The compiled sweep over sorted lists keeps exactly the labels that comparing all pairs keeps."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.search.label_sweep import surviving


def _by_pairs(lists, shifts, rest, ceiling, known):  # type: ignore[no-untyped-def]
    values = np.concatenate([each + shift for each, shift in zip(lists, shifts, strict=True)])
    values = np.unique(values[(values + rest <= ceiling).all(axis=1)], axis=0)
    rivals = np.concatenate([values, known - rest])
    worse = (rivals[:, None] <= values[None]).all(axis=2) & (rivals[:, None] != values[None]).any(axis=2)
    equal = ((known - rest)[:, None] == values[None]).all(axis=2).any(axis=0)
    return values[~worse.any(axis=0) & ~equal]


@pytest.mark.parametrize("seed", range(60))
def test_what_survives_is_what_no_other_dominates(seed: int) -> None:
    """Half of the instances are whole numbers, where ties abound."""
    rng = np.random.default_rng(seed)

    def draw(rows: int, high: int) -> np.ndarray:
        return rng.integers(0, high, (rows, 3)).astype(float) if seed % 2 else rng.uniform(0, high, (rows, 3))

    lists = [draw(int(rng.integers(0, 40)), 9) for _ in range(4)]
    lists = [each[np.lexsort(each.T[::-1])] for each in lists]
    shifts, rest, known = draw(4, 3), draw(1, 3)[0], draw(int(rng.integers(0, 4)), 14)
    ceiling = np.array([12.0, 13.0, np.inf])
    found = surviving(lists, shifts, rest=rest, ceiling=ceiling, known=known)
    own = [lists[b][r] + shifts[b] for b, r in zip(found.list, found.row, strict=True)]
    assert np.array_equal(found.values, np.reshape(own, (-1, 3)))
    expected = _by_pairs(lists, shifts, rest, ceiling, known)
    assert np.array_equal(np.unique(found.values, axis=0), expected)
    assert len(found.values) == len(expected) or seed % 2  # ties may leave a dominated one, never a lack


def test_a_floor_lifts_only_what_is_below_it() -> None:
    lists = [np.array([[1.0, 5.0, 0.0], [2.0, 4.0, 3.0]])]
    found = surviving(lists, np.zeros((1, 3)), floor=np.array([-np.inf, -np.inf, 2.0]))
    assert found.values.tolist() == [[1.0, 5.0, 2.0], [2.0, 4.0, 3.0]]

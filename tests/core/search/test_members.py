"""Members: the compiled filter against the definition, on every path it takes."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.search import dominance
from tradespace.search.members import NEAREST, Members, corners, thin


def _front(objectives: np.ndarray, digest: np.ndarray) -> list[int]:
    """Digests of the non-dominated rows, of equal ones the smallest, by definition."""
    kept = []
    for i, row in enumerate(objectives):
        less = (objectives <= row).all(axis=1)
        equal = (objectives == row).all(axis=1)
        if not (less & ~equal).any() and digest[i] == digest[equal].min():
            kept.append(int(digest[i]))
    return sorted(kept)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("batches", [1, 7, 60])
def test_members_are_the_nondominated_ones_whatever_the_batches(m: int, batches: int) -> None:
    """Large batches go through the table and the sorting algorithm, small ones through the plain scan."""
    rng = np.random.default_rng(10 * m + batches)
    objectives = np.round(rng.dirichlet(np.ones(m + 1), 3000)[:, :m] + 0.02 * rng.random((3000, m)), 2)
    digest = rng.permutation(3000).astype(np.uint64) + np.uint64(1)
    members = Members(m, limit=50_000)
    for rows in np.array_split(np.arange(3000), batches):
        members.add(objectives[rows], np.zeros(len(rows)), np.ones(len(rows), bool), digest[rows])
    assert members.digest.tolist() == _front(objectives, digest)


def test_the_index_says_where_each_member_comes_from() -> None:
    rng = np.random.default_rng(3)
    members, own = Members(2, limit=50_000), np.empty((0, 2))
    for batch in range(30):
        objectives = rng.random((40, 2)) + 1.0 / (1 + batch)
        digest = rng.integers(1, 1 << 62, 40).astype(np.uint64)
        index = members.add(objectives, np.zeros(40), np.ones(40, bool), digest)
        if index is not None:
            own = dominance.gather_rows(own, objectives, index)
        assert np.array_equal(own, members.objectives)


def test_none_is_returned_exactly_when_nothing_changed() -> None:
    members = Members(2, limit=10)
    one, ok = np.ones((1, 2)), np.ones(1, bool)
    assert members.add(one, np.zeros(1), ok, np.asarray([5], np.uint64)) is not None
    assert members.add(2 * one, np.zeros(1), ok, np.asarray([6], np.uint64)) is None
    assert members.add(one, np.zeros(1), ok, np.asarray([7], np.uint64)) is None  # equal, of a larger digest
    assert members.add(one, np.zeros(1), ok, np.asarray([4], np.uint64)) is not None


def test_the_first_of_a_repeated_design_counts() -> None:
    members = Members(1, limit=10)
    members.add(np.asarray([[2.0], [1.0]]), np.zeros(2), np.ones(2, bool), np.asarray([5, 5], np.uint64))
    assert members.objectives.tolist() == [[2.0]]


@pytest.mark.parametrize("m", [2, 3])
def test_the_table_rejects_only_what_is_dominated_and_most_of_that(m: int) -> None:
    rng = np.random.default_rng(m)
    front = np.abs(rng.normal(size=(400, m)))
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    front = 1.0 - front
    points = rng.random((5000, m)) * 1.1 - 0.05
    points[:400] = front  # equal to a member: not rejected
    open_ = np.ones(5000, bool)
    dominance.beaten(points, *corners(front, 64), open_)
    truly = np.asarray([((front <= p).all(axis=1) & (front < p).any(axis=1)).any() for p in points])
    assert not (~open_ & ~truly).any()
    assert (~open_).sum() > 0.8 * truly.sum()


def test_while_nothing_is_feasible_the_least_violating_stay_in_order() -> None:
    rng = np.random.default_rng(0)
    violation, digest = rng.random(300) + 0.1, rng.permutation(300).astype(np.uint64)
    members = Members(2, limit=10)
    for rows in np.array_split(np.arange(300), 9):
        members.add(np.zeros((len(rows), 2)), violation[rows], np.zeros(len(rows), bool), digest[rows])
    nearest = np.argsort(violation)[:NEAREST]
    assert members.digest.tolist() == sorted(digest[nearest].tolist())


def test_thinning_keeps_extremes() -> None:
    line = np.stack([np.arange(100.0), 99 - np.arange(100.0)], axis=1)
    rows = thin(line, 20)
    assert len(rows) <= 22 and {0, 99} <= set(rows.tolist())

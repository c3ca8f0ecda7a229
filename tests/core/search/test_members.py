"""Members: the compiled filter against the definition, on every path it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.core.search.toys import scores_of

from tradespace.search import dominance
from tradespace.search.members import NEAREST, Members, thin


def _add(members: Members, objectives: np.ndarray, digest: Any) -> np.ndarray | None:
    return members.add(scores_of(objectives), np.asarray(digest, np.uint64))


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
        _add(members, objectives[rows], digest[rows])
    assert members.digest.tolist() == _front(objectives, digest)


def test_the_index_says_where_each_member_comes_from() -> None:
    rng = np.random.default_rng(3)
    members, own = Members(2, limit=50_000), np.empty((0, 2))
    for batch in range(30):
        objectives = rng.random((40, 2)) + 1.0 / (1 + batch)
        digest = rng.integers(1, 1 << 62, 40).astype(np.uint64)
        index = _add(members, objectives, digest)
        if index is not None:
            own = np.concatenate([own, objectives[::-1]])[index]  # row r of the batch is -1 - r
        assert np.array_equal(own, members.objectives)
        assert np.array_equal(members.now.low, own.min(axis=0)) and np.array_equal(members.now.high, own.max(axis=0))


def test_none_is_returned_exactly_when_nothing_changed() -> None:
    members = Members(2, limit=10)
    one = np.ones((1, 2))
    assert _add(members, one, [5]) is not None
    assert _add(members, 2 * one, [6]) is None
    assert _add(members, one, [7]) is None  # equal, of a larger digest
    assert _add(members, one, [4]) is not None


def test_the_first_of_a_repeated_design_counts() -> None:
    members = Members(1, limit=10)
    _add(members, np.asarray([[2.0], [1.0]]), [5, 5])
    assert members.objectives.tolist() == [[2.0]]


def _ball(m: int, count: int = 400) -> np.ndarray:
    front = np.abs(np.random.default_rng(m).normal(size=(count, m)))
    return 1.0 - front / np.linalg.norm(front, axis=1, keepdims=True)


@pytest.mark.parametrize("m", [2, 3])
def test_the_table_rejects_only_what_is_dominated_and_most_of_that(m: int) -> None:
    members, front = Members(m, limit=10_000), _ball(m)
    _add(members, front, np.arange(1, 401))
    points = np.random.default_rng(m).random((5000, m)) * 1.1 - 0.05
    points[:400] = front  # equal to a member: not rejected
    beaten = np.asarray([dominance.beaten(p, *members.corners) for p in points])
    truly = np.asarray([((front <= p).all(axis=1) & (front < p).any(axis=1)).any() for p in points])
    assert not (beaten & ~truly).any()
    assert beaten.sum() > 0.8 * truly.sum()


@pytest.mark.parametrize("m", [2, 3])
def test_the_table_of_many_batches_is_that_of_the_members(m: int) -> None:
    members, front = Members(m, limit=10_000), _ball(m, 900)
    points = front + np.linspace(0.3, 0.0, 900)[:, None]
    for rows in np.array_split(np.arange(900), 60):
        _add(members, points[rows], rows + 1)
        _, scale, table = (a.copy() for a in members.corners)
        again = np.empty_like(table)
        dominance.corner_table(members.now.columns, members.now.grid[0], scale, again)
        assert np.array_equal(table, again)


def test_who_comes_second_takes_over_what_the_first_found() -> None:
    rng, both = np.random.default_rng(0), (Members(3, limit=500), Members(3, limit=500))
    for batch in range(20):
        scores, digest = scores_of(rng.random((50, 3)) + 1.0 / (1 + batch)), rng.integers(1, 1 << 62, 50)
        index = [m.add(scores, digest.astype(np.uint64)) for m in both]
        assert both[0].now is both[1].now
        assert index[0] is index[1]


def test_others_told_otherwise_take_nothing_over() -> None:
    """One of them knows a better design, or none at all, when the batch comes."""
    scores, digest = scores_of([[1.0, 1.0], [2.0, 0.5]]), np.asarray([1, 2], np.uint64)
    ahead, behind, empty = (Members(2, limit=10) for _ in range(3))
    _add(ahead, np.asarray([[0.5, 0.8]]), [3])
    _add(behind, np.asarray([[5.0, 5.0]]), [4])
    for members in (ahead, behind, empty):
        members.add(scores, digest)
    assert [m.digest.tolist() for m in (ahead, behind, empty)] == [[2, 3], [1, 2], [1, 2]]
    del ahead, behind
    late = Members(2, limit=10)
    late.add(scores, digest)
    assert late.digest.tolist() == [1, 2]


def test_while_nothing_is_feasible_the_least_violating_stay_in_order() -> None:
    rng = np.random.default_rng(0)
    violation, digest = rng.random(300) + 0.1, rng.permutation(300).astype(np.uint64)
    members = Members(2, limit=10)
    for rows in np.array_split(np.arange(300), 9):
        members.add(scores_of(np.zeros((len(rows), 2)), violation[rows]), digest[rows])
    nearest = np.argsort(violation)[:NEAREST]
    assert members.digest.tolist() == sorted(digest[nearest].tolist())


def test_thinning_keeps_extremes() -> None:
    line = np.stack([np.arange(100.0), 99 - np.arange(100.0)], axis=1)
    rows = thin(line, 20)
    assert len(rows) <= 22 and {0, 99} <= set(rows.tolist())

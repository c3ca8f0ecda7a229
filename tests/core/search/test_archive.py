"""The archive: the non-dominated set, whatever the order of insertion."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import brute_front, scores_of

from tradespace.designs import Integer, Space
from tradespace.search.archive import Archive

SPACE = Space(Integer("x", 0, 10_000))


def _designs(numbers):  # type: ignore[no-untyped-def]
    return SPACE.designs({"x": np.asarray(numbers)})


@pytest.mark.parametrize("m", [1, 2, 3])
def test_any_insertion_order_gives_the_same_archive(m: int) -> None:
    rng = np.random.default_rng(m)
    objectives = rng.integers(0, 12, (300, m)).astype(float)  # many ties and equal vectors
    violations = rng.choice([0.0, 0.5], 300, p=[0.8, 0.2])
    kept = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(300)
        archive = Archive(SPACE, m)
        for rows in np.array_split(order, 1 + 7 * seed):
            archive.add(_designs(rows), scores_of(objectives[rows], violations[rows]))
        kept.append((archive.designs["x"].tolist(), archive.objectives.tolist()))
    assert all(k == kept[0] for k in kept)
    assert np.array_equal(np.unique(kept[0][1], axis=0), brute_front(objectives[violations == 0]))
    assert len(kept[0][1]) == len(np.unique(kept[0][1], axis=0))


def test_feasible_designs_replace_all_infeasible_ones() -> None:
    archive = Archive(SPACE, 2)
    assert archive.add(_designs([1, 2]), scores_of([[0, 0], [1, 1]], [0.5, 0.2]))
    assert not archive.feasible and len(archive) == 2
    assert archive.add(_designs([3]), scores_of([[9, 9]]))
    assert archive.feasible and archive.designs["x"].tolist() == [3]
    assert not archive.add(_designs([4]), scores_of([[0, 0]], [0.1]))


def test_while_nothing_is_feasible_the_least_violating_stay() -> None:
    archive = Archive(SPACE, 1)
    archive.add(_designs(np.arange(200)), scores_of(np.zeros((200, 1)), np.arange(200) + 1.0))
    assert len(archive) == 64 and archive.violation.max() == 64.0


def test_a_design_keeps_its_first_measurement() -> None:
    archive = Archive(SPACE, 1)
    archive.add(_designs([5]), scores_of([[3.0]]))
    assert not archive.add(_designs([5]), scores_of([[1.0]]))
    assert archive.objectives.tolist() == [[3.0]]


def test_scores_stay_with_their_designs() -> None:
    rng = np.random.default_rng(0)
    archive = Archive(SPACE, 2)
    for _ in range(20):
        x = rng.integers(0, 10_000, 50)
        archive.add(_designs(x), scores_of(np.stack([x, 10_000 - x], axis=1)))
    assert archive.scores is not None
    x = archive.designs["x"]
    assert np.array_equal(archive.objectives[:, 0], x)
    assert np.array_equal(archive.scores.prices["f1"], 10_000 - x)


def test_above_its_limit_the_archive_thins_and_keeps_the_extremes() -> None:
    archive = Archive(SPACE, 2, limit=100)
    x = np.arange(1000)
    archive.add(_designs(x), scores_of(np.stack([x, 999 - x], axis=1)))
    assert 20 <= len(archive) <= 60
    assert {0, 999} <= set(archive.designs["x"].tolist())
    gaps = np.diff(np.sort(archive.designs["x"]))
    assert gaps.max() <= 3 * 1000 / len(archive)

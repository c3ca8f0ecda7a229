"""Hypervolumes against golden values and brute force; the reference box and its independence of the search."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import Plain, RandomChain, everything
from tests.support.chains import Chain

from tradespace.problem import Problem
from tradespace.search.indicators import Box, hypervolume, igd_plus, least_values, nondominated, reference_box

UNIT = Box(np.zeros(2), np.full(2, 10 / 11), "test")  # reference point (1, 1)
ZDT = Box(np.array([0.0, -1.0]), np.array([1.0, 1.0 / 1.1]), "test")  # reference point (1.1, 1.1)
ZDT_VOLUME = 1.1 * 2.1


def _zdt(number: int) -> np.ndarray:
    """10,000 points of the exact front (Zitzler, Deb, Thiele 2000)."""
    x = np.linspace(0.2807753191 if number == 6 else 0.0, 1.0, 10_000)
    if number == 3:
        x = np.linspace(0.0, 0.852, 10_000)
    tail = {1: 1 - np.sqrt(x), 2: 1 - x**2, 6: 1 - x**2, 3: 1 - np.sqrt(x) - x * np.sin(10 * np.pi * x)}[number]
    return np.stack([x, tail], axis=1)


@pytest.mark.parametrize(("number", "golden"), [(1, 0.87662), (2, 0.54328), (3, 1.33174), (6, 0.50784)])
def test_golden_hypervolumes(number: int, golden: float) -> None:
    assert hypervolume(_zdt(number), ZDT) * ZDT_VOLUME == pytest.approx(golden, abs=3e-4)


def test_zdt1_tends_to_its_exact_value() -> None:
    assert hypervolume(_zdt(1), ZDT) * ZDT_VOLUME == pytest.approx(0.1 + 2 / 3 + 0.11, abs=1e-4)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 6])
def test_hypervolume_counts_the_dominated_cells(m: int) -> None:
    """Points on a grid of 4 cells an axis: the volume is a count of cells, whatever the number of objectives."""
    rng = np.random.default_rng(m)
    points = rng.integers(0, 4, (7, m)) / 4
    cells = np.stack(np.meshgrid(*[np.arange(4) / 4] * m, indexing="ij"), -1).reshape(-1, m)
    covered = (points[:, None] <= cells[None]).all(axis=2).any(axis=0).mean()
    box = Box(np.zeros(m), np.full(m, 10 / 11), "test")
    assert hypervolume(points, box) == pytest.approx(covered, abs=1e-9)


def test_many_points_in_six_objectives_are_estimated_closely() -> None:
    rng = np.random.default_rng(0)
    points = np.abs(rng.standard_normal((450, 6)))
    points /= 1.05 * np.linalg.norm(points, axis=1)[:, None]
    import moocore

    exact = moocore.hypervolume(points, ref=np.ones(6))
    assert hypervolume(points, Box(np.zeros(6), np.full(6, 10 / 11), "")) == pytest.approx(exact, rel=0.01)


def test_points_at_or_beyond_the_reference_count_nothing() -> None:
    assert hypervolume(np.array([[1.0, 0.0], [0.2, 3.0]]), UNIT) == 0.0
    assert hypervolume(np.empty((0, 2)), UNIT) == 0.0


def test_nondominated_keeps_the_first_of_equals() -> None:
    assert nondominated(np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert nondominated(np.array([[2.0], [1.0], [1.0]])).tolist() == [False, True, False]


def test_igd_plus_is_zero_for_a_front_that_covers_the_reference() -> None:
    reference = np.array([[0.2, 0.6], [0.5, 0.3]])
    assert igd_plus(reference - 0.1, reference, UNIT) == 0.0
    assert igd_plus(reference + np.array([0.11, 0.0]), reference, UNIT) == pytest.approx(0.11)


def test_the_ideal_is_the_true_minimum_where_there_is_structure() -> None:
    problem = Problem.of(RandomChain(3, m=3), ["cost0", "cost2"])
    _, scores = everything(problem)
    assert np.allclose(least_values(problem), scores.objectives.min(axis=0))
    box = reference_box(problem)
    assert np.allclose(box.ideal, scores.objectives.min(axis=0))
    assert (box.nadir > box.ideal).all()


def test_maximised_objectives_have_no_structure_bound() -> None:
    assert least_values(Problem.of(RandomChain(3), ["max:cost0", "cost1"]))[0] == -np.inf


def test_the_box_is_the_same_for_every_search_of_a_problem() -> None:
    a, b = (reference_box(Problem.of(Chain(0, 8), ["latency", "energy"])) for _ in range(2))
    assert np.array_equal(a.ideal, b.ideal) and np.array_equal(a.nadir, b.nadir)


def test_a_flat_objective_still_gives_a_box() -> None:
    class Flat(Plain):
        def price(self, designs):  # type: ignore[no-untyped-def]
            prices = dict(super().price(designs))
            return prices | {"energy": np.full(len(designs), 5.0)}

    box = reference_box(Problem.of(Flat(), ["latency", "energy"]))
    assert (box.reference > box.ideal).all()

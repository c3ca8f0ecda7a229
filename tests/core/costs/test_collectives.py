"""Collectives against step-by-step counts and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.costs.collectives import (
    Level,
    Transport,
    all_gather,
    all_reduce,
    all_to_all,
    point_to_point,
    reduce_scatter,
    ring,
    slowest,
    tree,
)
from tradespace.errors import InputError

LINK = Transport(10.0, 0.5)


def stepwise(size: float, ranks: int) -> float:
    """Ring reduce-scatter by walking its steps."""
    return sum(0.5 + size / ranks / 10.0 for _ in range(ranks - 1))


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 100])
def test_a_ring_is_the_sum_of_its_steps(ranks: int) -> None:
    assert ring(40.0, Level(ranks, LINK)) == pytest.approx(stepwise(40.0, ranks))


def test_all_reduce_is_reduce_scatter_then_all_gather() -> None:
    levels = [Level(4, Transport(100.0)), Level(3, LINK)]
    assert all_reduce(40.0, levels) == pytest.approx(reduce_scatter(40.0, levels) + all_gather(40.0, levels))


def test_levels_hand_their_share_on() -> None:
    """Inside a node of 4 ranks 3/4 of the bytes move; each rank then sends 2/3 of its quarter to other nodes."""
    levels = [Level(4, Transport(100.0)), Level(3, Transport(10.0))]
    assert reduce_scatter(120.0, levels) == pytest.approx(120 * 3 / 4 / 100 + 30 * 2 / 3 / 10)


def test_sharing_a_port_divides_it() -> None:
    alone = reduce_scatter(40.0, [Level(4, Transport(10.0))])
    assert reduce_scatter(40.0, [Level(4, Transport(10.0), 8.0)]) == pytest.approx(8 * alone)
    assert point_to_point(5.0, LINK, 2.0) == pytest.approx(0.5 + 1.0)


def test_one_member_costs_nothing() -> None:
    alone = [Level(1, LINK)]
    assert all_reduce(1e9, alone) == all_reduce(1e9, alone, "tree") == all_to_all(1e9, alone[0]) == 0.0
    assert ring(1e9, Level(1, Transport(np.inf))) == 0.0


def test_trees_win_where_latency_counts_and_rings_do_not_lose_by_bytes() -> None:
    many = [Level(256, Transport(10.0, 1e-3))]
    assert all_reduce(1.0, many, "tree") < all_reduce(1.0, many)
    assert tree(1e6, Level(256, Transport(10.0))) > ring(1e6, Level(256, Transport(10.0))) * 2


def test_a_communicator_falls_back_as_a_whole() -> None:
    """InfiniBand and RoCE have only Ethernet in common."""
    found = slowest([Transport(25.0, 1.0), Transport(6.0, 2.0), Transport(3.0, 0.5)])
    assert (found.bandwidth, found.latency) == (3.0, 2.0)


def test_designs_are_priced_together() -> None:
    ranks = np.array([1, 2, 4, 8])
    together = all_reduce(64.0, [Level(ranks, LINK)])
    assert together.tolist() == [float(all_reduce(64.0, [Level(int(r), LINK)])) for r in ranks]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="ring"):
        all_reduce(1.0, [Level(2, LINK)], "star")
    with pytest.raises(InputError, match="transport"):
        slowest([])

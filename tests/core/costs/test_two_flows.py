"""Two flows on one channel: the closed form is what the event loop finds, and what is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.costs.timeline import Resource, TaskTable, events
from tradespace.costs.two_flows import together


def test_the_closed_form_is_the_event_loop() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        time = rng.uniform(0.1, 5.0, 2)
        demand = rng.uniform(0.1, 2.0, 2)
        channel = float(rng.uniform(0.2, 4.0))
        table = TaskTable(2, (), (Resource("a"), Resource("b")), demand=demand, channel=channel)
        finish = events(table, time, [0, 1]).finish.max()
        assert together(time[0], time[1], demand[0] * time[0], demand[1] * time[1], channel) == pytest.approx(
            finish, rel=1e-12
        )


def test_known_answers() -> None:
    assert together(3.0, 1.0, 0.0, 0.0, 1.0) == 3.0  # nothing shared: the longer one
    assert together(1.0, 1.0, 40.0, 40.0, 60.0) == pytest.approx(80 / 60)  # all bytes at the channel's rate
    assert together(2.0, 1.0, 80.0, 40.0, 60.0) == pytest.approx(1 / 0.75 + 1)  # then the longer one alone
    assert together(0.0, 2.0, 5.0, 20.0, 10.0) == 2.0
    assert together(0.0, 0.0, 0.0, 0.0, 1.0) == 0.0


def test_more_channel_is_never_slower() -> None:
    rng = np.random.default_rng(4)
    a, b, x, y = rng.uniform(0, 3, (4, 500))
    slow, fast = together(a, b, x, y, 0.5), together(a, b, x, y, 2.0)
    assert (fast <= slow + 1e-12).all()
    assert (fast >= np.maximum(a, b) - 1e-12).all()

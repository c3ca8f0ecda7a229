from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tradespace.reports.profile import Stopwatch
from tradespace.search import search


class Clock:
    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


def test_a_section_owns_its_time_without_that_of_inner_ones() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    with watch.section("search"):
        clock.now += 1.0
        for _ in range(2):
            with watch.section("search: price"):
                clock.now += 3.0
        clock.now += 0.5
    clock.now += 100.0  # outside of every section: nobody's
    with watch.section("report"):
        clock.now += 2.0
    assert watch.seconds == pytest.approx({"search": 1.5, "search: price": 6.0, "report": 2.0})
    assert watch.calls == {"search": 1, "search: price": 2, "report": 1}
    assert watch.total == pytest.approx(9.5)


def test_a_section_that_raises_is_still_counted() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    with pytest.raises(ValueError, match="x"), watch.section("bind"):
        clock.now += 1.0
        raise ValueError("x")
    assert watch.seconds == {"bind": 1.0}


def test_a_timed_search_finds_the_same_front(front: Any, walk: Any) -> None:
    watch = Stopwatch()
    timed = watch.problem(front.problem)
    again = search(timed.evaluator, list(front.problem.names), optimizer=walk, evaluations=4096, seed=3)
    np.testing.assert_array_equal(again.values, front.values)
    assert watch.calls["search: price"] >= 4096 // walk.batch
    assert replace(again, problem=front.problem).best().plan.rows  # what is not timed passes through


def test_a_timed_optimizer_and_log(front: Any, walk: Any) -> None:
    from tradespace.search.api import view_of
    from tradespace.search.contract import Budget
    from tradespace.search.loop import run

    class Log:
        count = 0

        def batch(self, batch: Any) -> None:
            self.count += 1

    watch, log, budget = Stopwatch(), Log(), Budget(1024)
    optimizer = watch.optimizer(walk(view_of(front.problem, budget)))
    run(front.problem, optimizer, budget, 3, name="walk", observers=[watch.observer(log)])
    assert log.count == 4
    assert watch.calls["search: ask"] == watch.calls["search: tell"] == watch.calls["search: log"] == 4


def test_shares_add_up_to_one() -> None:
    watch = Stopwatch(Clock())
    watch.add("a", 3.0)
    watch.add("b", 1.0)
    lines = watch.lines()
    assert "75.0%" in lines[0] and "25.0%" in lines[1] and "4.000 s" in lines[-1]

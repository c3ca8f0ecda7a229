from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tradespace.baseline import best_change, compare, parse_design
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import DesignError, UnknownName
from tradespace.neighbours import entry_changes
from tradespace.plans import PlanFile
from tradespace.problem import Metric, Prices, Problem
from tradespace.search import search

COST = np.array([[5.0, 1.0, 3.0], [4.0, 2.0, 2.5], [6.0, 1.0, 1.5]])  # block x device
GOOD = np.array([3.0, 1.0, 2.0])  # quality of each device


class Toy:
    """Three blocks on three devices; cost is paid, quality is wanted, device 2 holds one block only."""

    space: Space = Space(Choice("place", ("a", "b", "c"), 3))
    metrics: tuple[Metric, ...] = (Metric("cost", "J", "min", ""), Metric("quality", "1", "max", ""))

    def price(self, designs: Designs) -> Prices:
        place = designs["place"].astype(int)
        full = (place == 2).sum(axis=1) - 1.0
        values = {"cost": COST[np.arange(3), place].sum(axis=1), "quality": GOOD[place].sum(axis=1)}
        return Prices(values, {"room on c": full})


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem.of(Toy(), ["cost", "quality"])


@pytest.fixture(scope="module")
def front(problem: Problem) -> Any:
    return search(Toy(), ["cost", "quality"], optimizer="exhaustive", evaluations=27)


def place(problem: Problem, letters: str) -> Designs:
    return problem.space.parse({"place": list(letters)})


@pytest.mark.parametrize("letters", ["".join(p) for p in itertools.product("abc", repeat=3)])
def test_domination_agrees_with_a_plain_count(problem: Problem, front: Any, letters: str) -> None:
    mine = place(problem, letters)
    base = compare(problem, mine, name="x", front=front)
    cost, quality = base.values["cost"], base.values["quality"]
    broken = letters.count("c") > 1
    by_hand = [
        i
        for i, (c, q) in zip(front.ids, front.values.tolist(), strict=True)
        if c <= cost and q >= quality and (c < cost or q > quality or broken)
    ]
    assert base.dominated_by == len(by_hand)
    assert {b.id for b in base.better} <= set(by_hand)
    assert base.on_front == (mine.ids[0] in front.ids)
    assert not (base.on_front and base.dominated_by)
    assert base.feasible != broken


def test_changes_are_relative_and_in_natural_directions(problem: Problem, front: Any) -> None:
    base = compare(problem, place(problem, "cab"), name="x", front=front)  # cost 3+4+1, quality 2+3+1
    assert (base.values["cost"], base.values["quality"]) == (8.0, 6.0)
    assert base.better[0].id == place(problem, "bac").ids[0]  # cost 1+4+1.5, quality 1+3+2
    assert base.better[0].changes == pytest.approx({"cost": -1.5 / 8, "quality": 0.0})


@pytest.mark.parametrize("letters", ["".join(p) for p in itertools.product("ab", repeat=3)])
def test_the_best_single_change_is_the_best_of_all(problem: Problem, letters: str) -> None:
    """Against a loop over all neighbours: no improving change is overlooked, and none gains more."""
    mine = place(problem, letters)
    span = np.ptp(problem.score(problem.space.homogeneous()).objectives, axis=0)
    old = problem.score(mine).objectives[0]
    gains = {}
    for i, new in itertools.product(range(3), "abc"):
        other = problem.score(place(problem, letters[:i] + new + letters[i + 1 :]))
        if new != letters[i] and other.feasible[0]:
            step = old - other.objectives[0]
            gains[f"place of {i}: {letters[i]} → {new}"] = (bool((step >= 0).all()), float((step / span).mean()))
    improving = {text: gain for text, (good, gain) in gains.items() if good}
    found = best_change(problem, mine, entry_changes(problem.space, mine))
    if improving:
        assert found is not None and found.improves
        assert improving[found.text] == pytest.approx(max(improving.values()))
    elif max(gain for _, gain in gains.values()) > 1e-9:
        assert found is not None and not found.improves
    else:
        assert found is None


def test_an_infeasible_plan_is_first_made_feasible(problem: Problem, front: Any) -> None:
    base = compare(problem, place(problem, "ccb"), name="x", front=front)
    assert base.violations["room on c"] == 1.0
    assert base.entry is not None and base.entry.improves
    assert problem.score(_after(problem, "ccb", base.entry.text)).feasible[0]


def _after(problem: Problem, letters: str, text: str) -> Designs:
    entry, new = int(text.split(" of ")[1][0]), text[-1]
    return place(problem, letters[:entry] + new + letters[entry + 1 :])


def test_without_a_front_nothing_is_said_about_one(problem: Problem) -> None:
    base = compare(problem, place(problem, "abc"), name="x")
    assert (base.dominated_by, base.on_front, base.better) == (None, False, ())
    assert json.loads(json.dumps(base.to_json()))["single_change"]["variable"] == "place"


class Bound:
    """What `parse_design` reads of a bound setting."""

    def __init__(self, evaluator: Any) -> None:
        self.evaluator = evaluator


def plan(design: Any) -> PlanFile:
    return PlanFile("", design, "w", "t", None, {})


def test_a_design_that_the_evaluator_would_change_is_refused(problem: Problem) -> None:
    class Picky(Toy):
        def repair(self, designs: Designs) -> Designs:
            columns = {"place": np.where(designs["place"] == 2, 0, designs["place"]).astype(np.int8)}
            return Designs(self.space, columns)

    with pytest.raises(DesignError, match=r"mine\.yaml: the target cannot run.*place of 1.*\['a', 'a', 'b'\]"):
        parse_design(plan({"place": ["a", "c", "b"]}), Bound(Picky()), "mine.yaml")  # type: ignore[arg-type]
    fine = parse_design(plan({"place": ["a", "b", "b"]}), Bound(Picky()), "mine.yaml")  # type: ignore[arg-type]
    assert fine.show() == {"place": ["a", "b", "b"]}


def test_names_that_the_space_lacks(problem: Problem) -> None:
    with pytest.raises(UnknownName, match=r"mine\.yaml: design.*'z'"):
        parse_design(plan({"place": "z"}), Bound(Toy()), "mine.yaml")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match=r"plaec.*'place'"):
        parse_design(plan({"plaec": "a"}), Bound(Toy()), "mine.yaml")  # type: ignore[arg-type]


def test_an_empty_front(problem: Problem, front: Any) -> None:
    nothing = replace(front, designs=front.designs.take(slice(0, 0)), minimised=front.minimised[:0])
    assert compare(problem, place(problem, "abc"), name="x", front=nothing).dominated_by == 0

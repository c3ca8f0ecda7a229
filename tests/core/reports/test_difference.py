from __future__ import annotations

import io
from typing import Any

import pytest

from tradespace.plans import Plan
from tradespace.reports.difference import changes, decisions, show_difference, to_json
from tradespace.reports.plan import show_plan
from tradespace.reports.terminal import make_console


@pytest.fixture
def pair(chain: Any) -> tuple[Plan, Plan]:
    a = chain.space.parse({"placement": "cpu", "precision": "int8", "samples": 1})
    b = chain.space.parse({"placement": {"*": "cpu", "[2-4]": "npu"}, "precision": "int8", "samples": 2})
    return chain.explain(a), chain.explain(b)


def test_equal_neighbours_are_one_difference(pair: Any) -> None:
    found = [(d.variable, d.entries, d.a, d.b) for d in decisions(*pair)]
    assert found == [("placement", "2..4", "cpu", "npu"), ("samples", "", "1", "2")]
    assert decisions(pair[0], pair[0]) == []


def test_changes_of_values(pair: Any) -> None:
    found = changes(*pair)
    a, b = pair[0].values["energy"], pair[1].values["energy"]
    assert found["energy"] == (a, b, pytest.approx(b / a - 1))
    assert found["memory.npu"] == (0.0, pair[1].values["memory.npu"], None)  # nothing to relate it to
    assert found["loss"][2] == 0.0


def test_plans_of_different_spaces_and_settings() -> None:
    a = Plan("a" * 16, {"x": [1, 2]}, {"cost": 1.0}, target="laptop")
    b = Plan("b" * 16, {"x": [1], "y": 3}, {"cost": 2.0, "time": 4.0}, target="phone")
    assert [(d.variable, d.a, d.b) for d in decisions(a, b)] == [("x", "1, 2", "1"), ("y", "–", "3")]
    assert to_json(a, b)["setting"] == {"target": {"a": "laptop", "b": "phone"}}
    assert changes(a, b)["time"] == (None, 4.0, None)


def printed(show: Any, *plans: Plan, encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    show(*plans, make_console(stream, 100))
    stream.flush()
    return str(buffer.getvalue(), encoding)


def test_both_on_the_terminal(pair: Any) -> None:
    text = printed(show_difference, *pair)
    assert "placement of 2..4  cpu → npu" in text and "samples" in text
    assert "\x1b" not in text
    assert printed(show_difference, *pair, encoding="ascii").isascii()
    assert "the designs are equal" in printed(show_difference, pair[0], pair[0])


def test_a_plan_on_the_terminal(pair: Any) -> None:
    text = printed(show_plan, pair[1])
    for words in ("chain on box", "embed..1  cpu int8", "2..4      npu int8", "samples   2", "rests on 1 substitute"):
        assert words in text
    assert "memory.npu" not in text  # it stands in the table of devices
    assert printed(show_plan, pair[1], encoding="ascii").isascii()


def test_temperatures_differ_by_kelvin() -> None:
    a, b = (Plan(c * 16, {"x": 1}, {"heat": t}, {"heat": "K"}) for c, t in (("a", 300.0), ("b", 318.0)))
    assert "+18.0 K" in printed(show_difference, a, b)

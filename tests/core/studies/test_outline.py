from __future__ import annotations

import json
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tradespace.designs import Choice, Composition, Integer, Permutation, Real, Space
from tradespace.errors import StudyError
from tradespace.studies.outline import Axis, Outline

SPACE = Space(
    Choice("mode", ("plain", "disagg")),
    Integer("depth", 1, 6),
    Choice("rank", (8, 16, True, 2.5), 6, entries=tuple("abcdef"), prefix="depth"),
    Integer("pool", 1, 64, log=True, when={"mode": ("disagg",)}),
    Real("share", 0.0, 1.0),
    Permutation("order", 4),
    Composition("layers", total=12, parts=3, at_least=1),
)
OUTLINE = Outline((Axis("latency", "s", "min"), Axis("rate", "1/s", "max")), ("latency<=1 s",), (), SPACE)


def test_every_kind_of_variable_comes_back() -> None:
    back = Outline.from_json(OUTLINE.to_json(), "here")
    assert back == OUTLINE
    designs = SPACE.sample(200, np.random.default_rng(0))
    again = back.space.designs(designs.columns)
    np.testing.assert_array_equal(again.digest, designs.digest)
    assert [again.show(i) for i in range(200)] == [designs.show(i) for i in range(200)]


def test_directions_are_turned_back(chain: ModuleType) -> None:
    outline = Outline.of(chain.problem())
    assert [a.direction for a in outline.objectives] == ["min", "max", "min"]
    assert outline.natural(np.array([[1.0, -2.0, 3.0]])).tolist() == [[1.0, 2.0, 3.0]]
    assert outline.constraints == chain.CONSTRAINTS
    assert [a.name for a in outline.metrics] == ["latency", "throughput", "loss", "memory.gpu"]


def test_a_foreign_kind_of_variable_is_refused_with_a_way_out() -> None:
    @dataclass(frozen=True)
    class Mine(Integer):
        pass

    outline = Outline((), (), (), Space(Mine("x", 0, 1)))
    with pytest.raises(StudyError, match=r"Mine.*or search without a study database"):
        outline.to_json()


@pytest.mark.parametrize(
    "variable",
    [
        {"kind": "Choice", "name": "a", "options": ["x"], "length": 10**9},
        {"kind": "Choice", "name": "a", "options": []},
        {"kind": "Choice", "name": "a", "options": 5},
        {"kind": "Choice", "name": "a", "options": ["x"], "speed": 1},
        {"kind": "Choice", "name": "a", "options": ["x"], "when": {"b": ["y"]}},
        {"kind": "Choice", "name": "a", "options": ["x"], "when": 3},
        {"kind": "Permutation", "name": "a", "length": 10**8},
        {"kind": "Integer", "name": "a", "low": "0", "high": 3},
        {"kind": "Integer", "name": "a", "low": 5, "high": 3},
        {"kind": "Choice"},
        {"name": "a"},
        ["kind", "Choice"],
        "Choice",
        7,
    ],
)
def test_hostile_variables_are_one_kind_of_error(variable: Any) -> None:
    document = {**json.loads(OUTLINE.to_json()), "variables": [variable]}
    with pytest.raises(StudyError):
        Outline.from_json(json.dumps(document), "here")

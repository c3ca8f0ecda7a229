from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tradespace.errors import StudyError
from tradespace.settings import Setting
from tradespace.studies import StudySpec, jsontext
from tradespace.studies.spec import check_name

SPEC = StudySpec(
    Setting("llama-3.2-1b", {"extends": "laptop", "devices.cpu.dynamic_power": "20 W"}, None, {"per": "block"}),
    ("energy", "latency"),
    ("memory.dgpu<=8 GB",),
    optimizer_options={"rate": 0.1, "ablate": ["momentum"]},
    seconds=1.5,
    seed=7,
)


def test_a_spec_comes_back_equal_from_its_text() -> None:
    assert StudySpec.from_json(SPEC.to_json()) == SPEC
    assert StudySpec.from_json(replace(SPEC, setting=None).to_json()).setting is None


def test_the_budget_is_what_the_search_loop_takes() -> None:
    budget = SPEC.budget
    assert (budget.evaluations, budget.seconds, budget.stagnation) == (10_000, 1.5, None)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("seeed", 1, "seeed.*Did you mean 'seed'"),
        ("seed", "7", "'seed' is int"),
        ("seed", True, "'seed' is int"),
        ("objectives", [1], "objectives.*list of text"),
        ("optimizer_options", [], "'optimizer_options' is dict"),
        ("setting", {"workload": "a", "target": "b", "options": {}}, "needs 'evaluator'"),
    ],
)
def test_a_changed_text_is_refused_with_the_key(key: str, value: object, says: str) -> None:
    document = {**json.loads(SPEC.to_json()), key: value}
    with pytest.raises(StudyError, match=says):
        StudySpec.from_json(json.dumps(document))


def test_a_missing_key_is_named() -> None:
    document = json.loads(SPEC.to_json())
    del document["batch"]
    with pytest.raises(StudyError, match="needs 'batch'"):
        StudySpec.from_json(json.dumps(document))


def test_only_plain_values_are_written() -> None:
    with pytest.raises(StudyError, match="plain values"):
        replace(SPEC, optimizer_options={"key": object()}).to_json()


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, '"' + "x" * (jsontext.MAX_TEXT + 1) + '"'])
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(StudyError):
        StudySpec.from_json(text)


def test_nesting_is_bounded() -> None:
    deep: object = 1
    for _ in range(40):
        deep = {"a": deep}
    with pytest.raises(StudyError, match="nested deeper"):
        jsontext.dump(deep, "x")
    with pytest.raises(StudyError, match="nested deeper"):
        jsontext.load(json.dumps(deep), "x")


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "a:b", "x" * 101, "é", "a\n"])
def test_names_that_commands_could_not_carry_are_refused(name: str) -> None:
    with pytest.raises(StudyError, match="Choose another name"):
        check_name(name)


def test_ordinary_names_pass() -> None:
    assert check_name("llama-3.2-1b_laptop-pgsam-s0") == "llama-3.2-1b_laptop-pgsam-s0"

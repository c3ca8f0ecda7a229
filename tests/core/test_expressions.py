"""Expressions over metric names: values, precedence, and refusals that name the place."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradespace.errors import ProblemError
from tradespace.expressions import parse, split_comparison

NAMES = ("latency", "energy", "memory", "memory.dgpu", "ttft[a]", "H-3", "items")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("latency", 2.0),
        ("items / latency", 5.0),
        ("energy - latency - 1", 0.0),
        ("-(energy + 1) * 2 / 4", -2.0),
        ("memory.dgpu + memory", 30.0),
        ("ttft[a]*1e1", 70.0),
        ("H-3 - 1", 8.0),
        ("0.244 / 0.617", 0.244 / 0.617),
        ("8/2/2", 2.0),
    ],
)
def test_values(text: str, value: float) -> None:
    known = {
        "latency": 2.0,
        "energy": 3.0,
        "memory": 10.0,
        "memory.dgpu": 20.0,
        "ttft[a]": 7.0,
        "H-3": 9.0,
        "items": 10.0,
    }
    assert parse(text, NAMES)(known) == pytest.approx(value)


def test_arrays_and_division_by_zero() -> None:
    out = parse("items / latency", NAMES)({"items": np.array([1.0, 2.0]), "latency": np.array([0.5, 0.0])})
    assert out[0] == 2.0 and np.isinf(out[1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latensy", "unknown metric 'latensy' at position 1.*Did you mean 'latency'"),
        ("latency +", "expected a number or the name"),
        ("(latency", r"expected '\)'"),
        ("latency latency", "expected .* or the end at position 9"),
        ("memory.dgpux", "unknown metric 'memory.dgpux'"),
        ("__import__('os')", "unknown metric"),
        ("1e999", "finite"),
        ("(" * 300 + "1" + ")" * 300, "nested too deeply"),
        ("1+" * 600 + "1", "1 to 1000 characters"),
        ("", "1 to 1000 characters"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        parse(text, NAMES)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(ProblemError):
        assert set(parse(text, NAMES).names) <= set(NAMES)


def test_comparisons() -> None:
    assert split_comparison("memory.dgpu<=8 GB") == ("memory.dgpu", "<=", "8 GB")
    assert split_comparison("a ≥ 2") == ("a", ">=", "2")
    for text in ("a < 2", "a", "a <= 1 <= 2", "<= 3"):
        with pytest.raises(ProblemError, match="compares an expression with a limit"):
            split_comparison(text)


def test_refused_comparisons_say_what_to_write() -> None:
    for text, instead in {
        "a < 2": r"Write 'a<=2'",
        "a>2 GB": r"Write 'a>=2 GB'",
        "a == 2": r"\['a>=2', 'a<=2'\]",
        "a=2": r"\['a>=2', 'a<=2'\]",
        "a": "Write it like",
        "1 < a < 2": "Write it like",
    }.items():
        with pytest.raises(ProblemError, match=instead):
            split_comparison(text)

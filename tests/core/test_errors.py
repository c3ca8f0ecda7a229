"""Errors: one paragraph of rule, value, where and remedy; suggestions; a copy in another process says the same."""

from __future__ import annotations

import copy

import pytest

from tradespace.errors import InputError, TradespaceError, UnknownName, suggestion


def test_a_message_has_rule_value_place_and_remedy() -> None:
    error = InputError("a clock is positive", value="-1 GHz", where="x.yaml: array.clock", remedy="Give its rate.")
    assert str(error) == "x.yaml: array.clock: a clock is positive; got -1 GHz. Give its rate."


def test_long_values_are_cut() -> None:
    assert len(str(InputError("short", value="x" * 10_000))) < 300


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("laptp", "Did you mean 'laptop'?"),
        ("lama", "Did you mean 'llama-3.2-1b'?"),
        ("zzz", "Known: laptop, llama-3.2-1b, phone."),
    ],
)
def test_suggestions(name: str, hint: str) -> None:
    assert suggestion(name, ["phone", "laptop", "llama-3.2-1b"]) == hint
    assert str(UnknownName("name", name, ["phone", "laptop", "llama-3.2-1b"])).endswith(hint)


@pytest.mark.parametrize(
    "error", [InputError("rule", value=3, where="here"), UnknownName("target", "laptp", ["laptop"], where="target=")]
)
def test_a_copy_says_the_same(error: TradespaceError) -> None:
    again = copy.copy(error)  # by __reduce__, as between processes
    assert type(again) is type(error) and str(again) == str(error) and again.__dict__ == error.__dict__

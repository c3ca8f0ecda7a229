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
    ("name", "known", "hint"),
    [
        ("33", ["32", "4", "128"], "Known: 4, 32, 128."),  # by size, and "Did you mean '32'?" would be a guess
        ("3.2e1", ["16", "-1", "1e3"], "Known: -1, 16, 1e3."),
        ("20 MB", ["64 MB", "2 MB"], "Known: 2 MB, 64 MB."),
        ("int3", ["int4", "int8", "3"], "Did you mean 'int8' or 'int4'?"),
        ("autoo", ["auto", "1", "2"], "Did you mean 'auto'?"),
        ("lots", ["2", "10", "auto"], "Known: 2, 10, auto."),
        ("7b", ["llama-7b", "7"], "Did you mean 'llama-7b'?"),
    ],
)
def test_numbers_are_listed_and_never_guessed(name: str, known: list[str], hint: str) -> None:
    assert suggestion(name, known) == hint


@pytest.mark.parametrize(
    "error", [InputError("rule", value=3, where="here"), UnknownName("target", "laptp", ["laptop"], where="target=")]
)
def test_a_copy_says_the_same(error: TradespaceError) -> None:
    again = copy.copy(error)  # by __reduce__, as between processes
    assert type(again) is type(error) and str(again) == str(error) and again.__dict__ == error.__dict__

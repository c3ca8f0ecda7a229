"""Numbers among the options of evaluators: names, bounds, whole numbers, choices; a message has all four parts."""

from __future__ import annotations

from typing import Any

import pytest

from tradespace.costs.option_numbers import Bounded, check_words, read_choices, read_numbers
from tradespace.errors import ProblemError, TradespaceError, UnitError, UnknownName

BOUNDS = {
    "seed": Bounded(0, 0, 2**31, whole=True),
    "share": Bounded(0.8, 0.05, 0.95),
    "wait": Bounded(1.0, 0.0, 60.0, unit="s"),
}


def test_numbers_come_as_given_or_by_default() -> None:
    found = read_numbers({"share": "50 %", "wait": "20 ms", "clock": "wall", "seed": None}, BOUNDS, ("clock",))
    assert found == {"seed": 0, "share": 0.5, "wait": 0.02}
    assert isinstance(read_numbers({"seed": "1e3"}, BOUNDS)["seed"], int)
    assert read_numbers({"share": 0.05}, BOUNDS)["share"] == 0.05  # bounds themselves are taken


@pytest.mark.parametrize(
    ("options", "error", "parts"),
    [
        ({"seeed": 1}, UnknownName, "evaluator options: unknown option 'seeed'. Did you mean 'seed'?"),
        (
            {"seed": 1.5},
            ProblemError,
            "option seed: 'seed' is a whole number from 0 to 2147483648; got 1.5. Without",
        ),
        ({"seed": -1}, ProblemError, "from 0 to 2147483648; got -1"),
        ({"seed": True}, ProblemError, "a whole number from 0 to 2147483648; got True"),
        (
            {"share": 0.96},
            ProblemError,
            "option share: 'share' is a number from 0.05 to 0.95; got 0.96. Without it, 0.8",
        ),
        ({"share": "much"}, ProblemError, "option share: 'share' is a number from 0.05 to 0.95; got much"),
        ({"share": float("nan")}, ProblemError, "got nan"),
        ({"wait": "2 min"}, ProblemError, "'wait' is from 0 s to 60 s; got 2 min"),
        ({"wait": "2 J"}, UnitError, "option wait"),
    ],
)
def test_refused(options: dict[str, Any], error: type[TradespaceError], parts: str) -> None:
    with pytest.raises(error) as caught:
        read_numbers(options, BOUNDS)
    assert parts in str(caught.value)


def test_choices_keep_their_order() -> None:
    assert read_choices("batches", 4, 64) == (4,)
    assert read_choices("batches", (4, 1, 2), 64) == (4, 1, 2)


@pytest.mark.parametrize("value", [[], [1, 1], [0], 65, True, 1.5, "4", list(range(1, 34)), {"a": 1}])
def test_refused_choices(value: Any) -> None:
    with pytest.raises(ProblemError, match="option batches: 'batches' is a whole number from 1 to 64, or a list"):
        read_choices("batches", value, 64)


def test_words() -> None:
    check_words({"plan": "free", "order": None}, {"plan": ("free", "fixed"), "order": ("size",)})
    with pytest.raises(UnknownName, match="option plan: unknown plan 'fre'"):
        check_words({"plan": "fre"}, {"plan": ("free", "fixed")})
    with pytest.raises(UnknownName, match="unknown option 'plam'"):
        check_words({"plam": "free"}, {"plan": ("free",)})

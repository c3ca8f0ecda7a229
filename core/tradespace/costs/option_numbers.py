"""Options of evaluators that are numbers: known names, bounds, whole numbers, lists of choices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tradespace import units
from tradespace.errors import ProblemError, UnitError, UnknownName

MAX_CHOICES = 32


@dataclass(frozen=True, slots=True)
class Bounded:
    """A number from ``low`` to ``high``, in ``unit`` (SI); ``whole``: no fractions."""

    default: float
    low: float
    high: float
    whole: bool = False
    unit: str = "1"

    def read(self, key: str, value: Any) -> float:
        """The value of option ``key``; None is the default.

        Raises:
            ProblemError: no number, out of bounds, or a fraction where whole numbers are needed.
            UnitError: no quantity in a unit other than "1".
        """
        if value is None:
            return self.default
        try:
            number = units.parse(value, self.unit, where=f"option {key}")
        except UnitError:
            if self.unit != "1":
                raise
            raise self._refused(key, value) from None
        if not self.low <= number <= self.high or (self.whole and number != int(number)):
            raise self._refused(key, value)
        return int(number) if self.whole else number

    def _refused(self, key: str, value: Any) -> ProblemError:
        low, high, default = map(self._shown, (self.low, self.high, self.default))
        rule = f"'{key}' is a {'whole ' if self.whole else ''}number from {low} to {high}"
        if self.unit != "1":
            rule = f"'{key}' is from {low} to {high}"
        return ProblemError(rule, value=value, where=f"option {key}", remedy=f"Without it, {default} is taken.")

    def _shown(self, value: float) -> str:
        return str(int(value)) if self.whole else units.format(value, self.unit)


def check_names(options: Mapping[str, Any], known: Collection[str]) -> None:
    """Raises `UnknownName` for an option that nobody reads."""
    for key in options:
        if key not in known:
            raise UnknownName("option", str(key)[:80], known, where="evaluator options")


def check_words(options: Mapping[str, Any], words: Mapping[str, Collection[str]]) -> None:
    """Raises `UnknownName` for an option that nobody reads, or a value that is none of its words."""
    check_names(options, words)
    for key, value in options.items():
        if value is not None and (not isinstance(value, str) or value not in words[key]):
            raise UnknownName(key, str(value)[:80], words[key], where=f"option {key}")


def read_numbers(
    options: Mapping[str, Any], bounds: Mapping[str, Bounded], others: Collection[str] = ()
) -> dict[str, float]:
    """Every number of ``bounds``, as given or by default; whole ones as int. ``others``: options read elsewhere.

    Raises:
        UnknownName: an option in neither.
        UnitError, ProblemError: as `Bounded.read`.
    """
    check_names(options, (*bounds, *others))
    return {key: bound.read(key, options.get(key)) for key, bound in bounds.items()}


def read_choices(key: str, value: Any, high: int, low: int = 1, most: int = MAX_CHOICES) -> tuple[int, ...]:
    """What option ``key`` leaves to choose from: a whole number, or a list of at most ``most`` different ones, in the
    order given. Raises `ProblemError` for anything else."""
    items = value if isinstance(value, list | tuple) else [value]
    good = [i for i in items if isinstance(i, int) and not isinstance(i, bool) and low <= i <= high]
    if not items or len(good) != len(items) or len(set(good)) != len(good) or len(good) > most:
        rule = f"'{key}' is a whole number from {low} to {high}, or a list of at most {most} different ones"
        raise ProblemError(rule, value=value, where=f"option {key}")
    return tuple(good)

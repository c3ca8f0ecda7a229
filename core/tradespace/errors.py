"""One base error. A message states the rule, the value that broke it, where it stood, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class TradespaceError(Exception):
    """Something the user gave cannot be used. The command line prints it as one paragraph and exits with 2.

    Args:
        rule: what must hold, as a sentence ("a bandwidth is given in B/s").
        value: what was found instead.
        where: file and key, option or argument.
        remedy: what to do about it.

    ``front``: what a search had found when the error ended it, a `tradespace.search.Front`; None elsewhere.
    """

    front: Any = None

    def __init__(self, rule: str, *, value: object = None, where: str | None = None, remedy: str | None = None) -> None:
        self.rule, self.value, self.where, self.remedy = rule, value, where, remedy
        parts = [f"{where}: {rule}" if where else rule]
        if value is not None:
            text = str(value)
            parts.append(f"got {text if len(text) <= 200 else text[:200] + '…'}")
        message = "; ".join(parts)
        super().__init__(f"{message}. {remedy}" if remedy else message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between the processes of a sweep as their finished message, without what was found."""
        return _rebuilt, (type(self), self.args, {k: v for k, v in self.__dict__.items() if k != "front"})


def _rebuilt(kind: type[TradespaceError], arguments: tuple[Any, ...], state: dict[str, Any]) -> TradespaceError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(state)
    return error


class UnknownName(TradespaceError):
    """A name that nothing registered. Lists the closest known names, or all of them when they are few."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, where: str | None = None, remedy: str | None = None
    ) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        hint = remedy or suggestion(name, self.known)
        super().__init__(f"unknown {kind} '{name}'", where=where, remedy=hint)


class UnitError(TradespaceError):
    """A quantity that cannot be read, or whose unit does not fit."""


class InputError(TradespaceError):
    """A file from the user (model, target, plan, rows) that breaks its format or its limits."""


class DesignError(TradespaceError):
    """A decision variable, space or design that does not make sense."""


class ProblemError(TradespaceError):
    """Objectives, constraints or an evaluator that do not fit together."""


class PluginError(TradespaceError):
    """A plugin that breaks the contract."""


class StudyError(TradespaceError):
    """A study that cannot be opened, written or resumed."""


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?( [^\W\d]\S*)?", re.ASCII | re.IGNORECASE)


def suggestion(name: str, known: Iterable[str], limit: int = 12) -> str:
    """ "Did you mean 'x'?" when something is close, else the known names (at most `limit` of them).

    Numbers that look alike are not alike: of numbers, those known are listed, by size."""
    found = set(known)
    numbers = sorted((n for n in found if _NUMBER.fullmatch(n)), key=lambda n: (float(n.split()[0]), n))
    words = sorted(found.difference(numbers))
    names = [*numbers, *words]
    close: list[str] = []
    if name and not _NUMBER.fullmatch(name):
        close = get_close_matches(name, words, n=3, cutoff=0.6) or [n for n in words if name.lower() in n][:3]
    if close:
        return "Did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    if not names:
        return "None is known."
    shown = ", ".join(names[:limit])
    return f"Known: {shown}{', …' if len(names) > limit else ''}."

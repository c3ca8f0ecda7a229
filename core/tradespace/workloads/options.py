"""Reading options that a stranger wrote: strict keys, bounded values, no surprises."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tradespace.errors import InputError, UnknownName


def check_keys(options: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse keys that nobody reads.

    Raises:
        UnknownName: with the closest known keys.
    """
    for key in options:
        if key not in known:
            raise UnknownName("key", str(key)[:80], known, where=where)


def integer(options: Mapping[str, Any], key: str, where: str, *, high: int, low: int = 1, default: int | None) -> int:
    """A whole number in [low, high]; text such as "1e3" counts if it is whole (YAML reads 1e3 as text).

    Raises:
        InputError: missing without a default, no whole number, or out of range.
    """
    value = options.get(key)
    if value is None:
        if default is None:
            raise InputError(f"'{key}' must be given", where=where)
        return default
    rule = f"'{key}' is a whole number from {low} to {high}"
    number = value
    if isinstance(value, str) and len(value) <= 32:
        try:
            number = float(value)
        except ValueError:
            raise InputError(rule, value=repr(value), where=where) from None
    if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
        raise InputError(rule, value=repr(value)[:80], where=where)
    if number != int(number):
        raise InputError(rule, value=repr(value), where=where)
    return int(number)


def flag(options: Mapping[str, Any], key: str, where: str, *, default: bool) -> bool:
    """A truth value.

    Raises:
        InputError: anything but true or false.
    """
    value = options.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InputError(f"'{key}' is true or false", value=repr(value)[:80], where=where)
    return value


def word(options: Mapping[str, Any], key: str, where: str, *, known: Collection[str], default: str) -> str:
    """One of a few words.

    Raises:
        InputError: no text.
        UnknownName: another word, with suggestions.
    """
    value = options.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise InputError(f"'{key}' is one of {', '.join(sorted(known))}", value=repr(value)[:80], where=where)
    if value not in known:
        raise UnknownName(key, value[:80], known, where=where)
    return value


def text(options: Mapping[str, Any], key: str, where: str, *, default: str) -> str:
    """A line of text of at most 500 characters.

    Raises:
        InputError: anything else.
    """
    value = options.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > 500:
        raise InputError(f"'{key}' is a text of at most 500 characters", value=repr(value)[:80], where=where)
    return value

"""What holds for every command: ``--json``, ``--plugin`` and the registry they lead to."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tradespace.errors import TradespaceError

if TYPE_CHECKING:
    from tradespace.plugins import Registry


@dataclass(frozen=True)
class CommandContext:
    """The global options of one call. ``plugins``: unpackaged plugin files given with ``--plugin``."""

    json: bool = False
    plugins: tuple[str, ...] = ()

    @cached_property
    def registry(self) -> Registry:
        from tradespace.plugins import Registry, registry

        return Registry.discover(self.plugins) if self.plugins else registry()


_CURRENT: ContextVar[CommandContext] = ContextVar("tradespace_command")


def current() -> CommandContext:
    """The context of the running command; the plain one outside of a command."""
    return _CURRENT.get(CommandContext())


def registry_from_context() -> Registry:
    """The registry of the running command, ``--plugin`` files included."""
    return current().registry


def json_wanted() -> bool:
    """True if the command was called with ``--json``."""
    return current().json


@contextlib.contextmanager
def using(context: CommandContext) -> Iterator[None]:
    """Make ``context`` the current one for a block."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def split_globals(arguments: Sequence[str]) -> tuple[list[str], CommandContext]:
    """Take ``--plugin PATH`` and ``--json`` from any place before ``--``; the command sees ``--json`` right behind
    its name, if it was given at all.

    Raises:
        TradespaceError: ``--plugin`` without a path.
    """
    rest: list[str] = []
    plugins: list[str] = []
    wants_json = False
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--json":
            wants_json = True
        elif word == "--plugin" or word.startswith("--plugin="):
            path = word.partition("=")[2] if "=" in word else next(words, "")
            if not path:
                raise TradespaceError(
                    "--plugin takes the path of a Python file or package folder",
                    remedy="Write it like '--plugin my_plugin.py'.",
                )
            plugins.append(path)
        else:
            rest.append(word)
    if wants_json and rest:
        at = next((i for i, word in enumerate(rest) if not word.startswith("-")), len(rest) - 1)
        rest.insert(at + 1, "--json")
    return rest, CommandContext(wants_json, tuple(plugins))


def print_json(document: Any) -> None:
    """One JSON document on stdout; numbers that JSON lacks become null."""
    json.dump(_plain(document), sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    """Dataclass-free plain data: numpy scalars and arrays, tuples and mappings become JSON's own."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)

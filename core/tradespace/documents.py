"""Reading YAML and JSON from strangers: bounded size, depth and count, no aliases, no duplicate keys, only data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tradespace.errors import InputError

MAX_BYTES = 1_000_000
MAX_JSON = 4 * 1024 * 1024
MAX_DEPTH = 12
MAX_NODES = 20_000
MAX_KEY = 200

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        InputError: unreadable, too large, too deep, not YAML, or not one mapping with text keys.
    """
    text = _read(path)
    try:
        _scan(text, path)
        document = _Loader(text, str(path)).get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(
            "the file is not valid YAML", value=getattr(error, "problem", None) or "unreadable characters", where=place
        ) from None
    except (ValueError, OverflowError, RecursionError) as error:  # 2026-13-45 as a date, an integer of 10^5 digits
        raise InputError("a value of the file cannot be read", value=error, where=str(path)) from None
    if not isinstance(document, dict):
        raise InputError("the file must hold one mapping", value=type(document).__name__, where=str(path))
    return document


def check_bounds(data: object, where: str) -> None:
    """Refuses nested data as large as an attack, and keys that no message could show.

    Raises:
        InputError: more than `MAX_NODES` values, deeper than `MAX_DEPTH`, a key that is not short printable text.
    """
    stack, count = [(data, 1)], 0
    while stack:
        value, depth = stack.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise InputError(f"at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep", where=where)
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str) or len(key) > MAX_KEY or not key.isprintable():
                    rule = f"a key is printable text of at most {MAX_KEY} characters"
                    raise InputError(rule, value=repr(key)[:80], where=where)
            stack.extend((child, depth + 1) for child in value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend((child, depth + 1) for child in value)


def read_bytes(path: Path, limit: int) -> bytes:
    """The whole file.

    Raises:
        InputError: unreadable, or larger than ``limit`` bytes.
    """
    try:
        if not path.is_file():
            raise InputError("a file is needed", where=str(path), remedy="Check the path.")
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise InputError("the file cannot be read", value=error.strerror or error, where=str(path)) from None
    if len(raw) > limit:
        raise InputError(f"the file must be at most {limit} bytes", where=str(path))
    return raw


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: unreadable, too large, too deep, not JSON, or no object.
    """
    try:
        content = json.loads(read_bytes(path, MAX_JSON))
    except (ValueError, RecursionError) as error:  # includes UnicodeDecodeError and numbers of thousands of digits
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError("the file is not valid JSON", value=reason, where=str(path)) from None
    if not isinstance(content, dict):
        raise InputError("the file must hold one object", value=type(content).__name__, where=str(path))
    return content


def _read(path: Path) -> str:
    try:
        return read_bytes(path, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("the file must be UTF-8 text", value=f"byte {error.start}", where=str(path)) from None


def _place(path: Path, event: yaml.Event) -> str:
    return f"{path}:{event.start_mark.line + 1}" if event.start_mark else str(path)


def _scan(text: str, path: Path) -> None:
    """Walks the events before anything is built: aliases and merge keys could grow without bound."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=_BASE):
        if isinstance(event, yaml.AliasEvent):
            raise InputError(
                "aliases (*name) are not used in these files",
                value=f"*{event.anchor}",
                where=_place(path, event),
                remedy="Repeat the value, or build one file on another with 'extends:'.",
            )
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if nodes > 2 * MAX_NODES or depth > MAX_DEPTH:
            raise InputError(
                f"at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep",
                where=_place(path, event),
            )


class _Loader(_BASE):  # type: ignore[misc]
    """The safe loader, strict about keys: text only, each once."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text)
        self.file = file

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            where = f"{self.file}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                raise InputError("a key must be text", value=key, where=where, remedy="Put it in quotes.")
            if key in result:
                raise InputError(f"the key '{key}' stands twice", where=where, remedy="Keep one of them.")
            result[key] = self.construct_object(value_node, deep=True)
        return result


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    return loader.construct_mapping(node)


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)

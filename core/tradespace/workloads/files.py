"""Bounded reading of text files from strangers: YAML and JSON, safe types only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tradespace.errors import InputError

MAX_JSON = 4 * 1024 * 1024
MAX_YAML = 256 * 1024  # the YAML reader needs seconds for more


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases (they can blow up) and without silently dropped duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key.value, str) and key.value in seen:
                raise yaml.YAMLError(f"key '{key.value[:80]}' is given twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def read_bytes(path: Path, limit: int) -> bytes:
    """The whole file.

    Raises:
        InputError: unreadable, or larger than `limit`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError("the file can be read", value=error.strerror, where=str(path)) from None
    if len(data) > limit:
        raise InputError(f"a file of this kind has at most {limit // 1024} KiB", where=str(path))
    return data


def read_yaml(path: Path) -> Mapping[str, Any]:
    """A YAML mapping.

    Raises:
        InputError: unreadable, too large, no YAML, aliases, duplicate keys, no mapping.
    """
    try:
        content = yaml.load(read_bytes(path, MAX_YAML), Loader=_Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise InputError("a valid YAML file", value=_brief(error), where=str(path)) from None
    return _mapping(content, path)


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        InputError: unreadable, too large, no JSON, no object.
    """
    try:
        content = json.loads(read_bytes(path, MAX_JSON))
    except (ValueError, RecursionError) as error:  # includes UnicodeDecodeError and numbers of thousands of digits
        raise InputError("a valid JSON file", value=_brief(error), where=str(path)) from None
    return _mapping(content, path)


def _mapping(content: object, path: Path) -> Mapping[str, Any]:
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError("the file holds keys and values", value=type(content).__name__, where=str(path))
    return content


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__

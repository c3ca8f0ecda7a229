"""JSON from a database that may come from a stranger: bounded in size and depth, keys checked by name and kind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from tradespace.errors import StudyError, suggestion

MAX_TEXT = 4_000_000
_MAX_DEPTH = 24


def dump(value: Any, where: str) -> str:
    """JSON text. Numbers that are not finite become null; paths become absolute text. Raises `StudyError`."""
    text = json.dumps(plain(value, where), separators=(",", ":"), ensure_ascii=False)
    if len(text) > MAX_TEXT:
        raise StudyError(f"at most {MAX_TEXT} characters are logged", value=len(text), where=where)
    return text


def load(text: str, where: str) -> Any:
    """The value of JSON text. Raises `StudyError` for text that is too long, too deep or no JSON."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise StudyError(f"a logged text has at most {MAX_TEXT} characters", where=where)
    try:
        return plain(json.loads(text), where)
    except (ValueError, RecursionError) as error:
        raise StudyError("logged text is JSON", value=error, where=where) from None


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """Only mappings with text keys, lists, text, numbers, booleans and null. Raises `StudyError` for anything else."""
    if depth > _MAX_DEPTH:
        raise StudyError(f"nested deeper than {_MAX_DEPTH} levels", where=where)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(k, where): plain(v, where, depth + 1) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(v, where, depth + 1) for v in value]
    raise StudyError("a study is described by plain values", value=f"{type(value).__name__} {value!r}", where=where)


def fields(document: Any, kinds: Mapping[str, type | tuple[type, ...]], where: str) -> dict[str, Any]:
    """``document`` with exactly these keys, each of its kind. Raises `StudyError` naming the first that differs."""
    if not isinstance(document, dict):
        raise StudyError("needs a mapping", value=type(document).__name__, where=where)
    for key in document:
        if key not in kinds:
            raise StudyError("unknown key", value=key, where=where, remedy=suggestion(key, kinds))
    for key, kind in kinds.items():
        if key not in document:
            raise StudyError(f"needs '{key}'", where=where)
        wanted = kind if isinstance(kind, tuple) else (kind,)
        value = document[key]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            names = " or ".join(k.__name__ for k in wanted)
            raise StudyError(f"'{key}' is {names}", value=repr(value), where=where)
    return document


def texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of text."""
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise StudyError("needs a list of text", value=value, where=where)
    return tuple(value)


def mappings(value: Any, where: str) -> tuple[dict[str, Any], ...]:
    """A list of mappings."""
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise StudyError("needs a list of mappings", value=value, where=where)
    return tuple(value)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str | int | float | bool):
        raise StudyError("keys are text", value=repr(key), where=where)
    return str(key)

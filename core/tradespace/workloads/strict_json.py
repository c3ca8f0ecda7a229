"""JSON from strangers, with a bound on what it may become in memory."""

from __future__ import annotations

import json
from typing import Any

from tradespace.errors import InputError

MAX_VALUES = 4_000_000
"""A value takes about 100 bytes in memory, so this stays well below a gigabyte."""


def parse(data: bytes, where: str, *, values: int = MAX_VALUES) -> dict[str, Any]:
    """The object in `data`; its values are counted by their commas and brackets before anything is built.

    Raises:
        InputError: not JSON, too many values, too deep, or no object.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > values:
        raise InputError(f"a JSON file has at most {values} values", where=where)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:  # not UTF-8, integers of thousands of digits, too deep
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError("valid JSON", value=reason, where=where) from None
    if not isinstance(content, dict):
        raise InputError("a JSON file holds one object", value=type(content).__name__, where=where)
    return content

"""Numpy arrays as compact bytes for database columns.

Layout (ours): zlib of a 4-byte little-endian header length, a JSON header ``[[name, dtype, shape], ...]`` and the raw
C-ordered arrays one after the other. Only plain numbers are read back, never objects, and never more than the bound.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import StudyError

Array = NDArray[Any]
MAX_BYTES = 1 << 29
_MAX_HEADER = 1 << 22
_DTYPES = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"})


def pack(arrays: Mapping[str, Array], level: int = 1) -> bytes:
    """Bytes of named arrays of bool, integer or float numbers; ``level`` 0 to 9 as zlib's, 0 = framed only.

    Raises `StudyError` for other kinds.
    """
    header, parts = [], []
    for name, array in arrays.items():
        block = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        if block.dtype.str not in _DTYPES:
            raise StudyError("only arrays of numbers are logged", value=block.dtype.str, where=name)
        header.append([name, block.dtype.str, list(array.shape)])
        parts.append(block.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    return zlib.compress(b"".join((len(text).to_bytes(4, "little"), text, *parts)), level)


def unpack(blob: bytes, where: str) -> dict[str, Array]:
    """The arrays of `pack`, read-only. Raises `StudyError` for bytes that are damaged, too many or not ours."""
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(blob, MAX_BYTES)
        if not inflate.eof:
            raise ValueError("too long or cut off")
        size = int.from_bytes(data[:4], "little")
        if size > _MAX_HEADER:
            raise ValueError("header too long")
        return _split(json.loads(data[4 : 4 + size]), memoryview(data)[4 + size :])
    except (zlib.error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StudyError(
            "logged arrays must be readable", value=error, where=where, remedy="The database is damaged: use a copy."
        ) from None


def _split(header: Any, data: memoryview) -> dict[str, Array]:
    if not isinstance(header, list):
        raise ValueError("no list of arrays")
    arrays: dict[str, Array] = {}
    at = 0
    for name, dtype, shape in header:
        if dtype not in _DTYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"unknown array {name}: {dtype} {shape}")
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        if at + size > len(data):
            raise ValueError("cut off")
        arrays[str(name)] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += size
    if at != len(data):
        raise ValueError("bytes left over")
    return arrays

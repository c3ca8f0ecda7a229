"""Buffers for native code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE = 64
"""Bytes of a cache line: buffers start on one, so that no vector of a row lies on two."""


def empty(shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """An uninitialised array that starts on a cache line."""
    whole = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(whole) * np.dtype(dtype).itemsize
    raw = np.empty(size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size].view(dtype).reshape(whole)


def zeros(shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """As `empty`, filled with zeros: its pages are there before anything is timed."""
    out = empty(shape, dtype)
    out.fill(0)
    return out


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy in C order that starts on a cache line."""
    out = empty(array.shape, array.dtype)
    out[...] = array
    return out

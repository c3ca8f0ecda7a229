"""Weights of T-MAC: quantised to 1-4 bits with a scale a group, cut into bit planes, laid out in the order of a kernel.

Layouts are described in ``c/tmac.c``. Everything here is offline work, done once a matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError

Bytes = NDArray[np.uint8]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]

MAX_STEPS: Mapping[int, float] = {1: 1.5956, 2: 0.9957, 3: 0.5860, 4: 0.3352}
"""Step of the best uniform quantiser of a unit normal with 2^bits levels (Max, IRE Trans. IT-6, 1960, table II)."""

PLACE = np.concatenate([np.arange(0, 32, 2), np.arange(1, 32, 2)])
"""Where the byte of row r of 32 stands: even bytes are the first 16 rows."""


@dataclass(frozen=True)
class Quantised:
    """A weight is ``scales * (codes - zero)``: codes (m, k) in 0 … 2^bits - 1, scales (m, k / group) fp16."""

    codes: Bytes
    scales: Halves
    zero: float
    bits: int

    @property
    def group(self) -> int:
        return int(self.codes.shape[1] // self.scales.shape[1])

    def values(self) -> Floats:
        """(m, k) float32."""
        scale = np.repeat(self.scales.astype(np.float32), self.group, axis=1)
        return (self.codes.astype(np.float32) - np.float32(self.zero)) * scale


def quantise(weights: Floats, bits: int, group: int) -> Quantised:
    """Round to the nearest of 2^bits levels.

    4 bits follow ggml's Q4_0, the publication's format (the largest magnitude of a group becomes -8, levels -8 … 7).
    Fewer bits use levels symmetric to 0, a step of `MAX_STEPS` standard deviations apart (ours: the publication takes
    trained low-bit weights as they come).
    """
    m, k = weights.shape
    blocks = np.ascontiguousarray(weights, np.float32).reshape(m, k // group, group)
    if bits == 4:
        at = np.abs(blocks).argmax(axis=2)[..., None]
        scale, zero = np.take_along_axis(blocks, at, axis=2) / np.float32(-8), 8.0
    else:
        deviation = np.sqrt(np.mean(blocks**2, axis=2, keepdims=True))
        scale, zero = deviation * np.float32(MAX_STEPS[bits]), (2**bits - 1) / 2
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    codes = np.clip(np.floor(blocks * inverse + np.float32(zero + 0.5)), 0, 2**bits - 1)
    return Quantised(codes.astype(np.uint8).reshape(m, k), scale[..., 0].astype(np.float16), zero, bits)


def table_indices(codes: Bytes, bits: int) -> Bytes:
    """(bits, m, k / 4) indices into the tables, lowest plane first: bit j of an index is column 4 i + j."""
    planes = (codes[None] >> np.arange(bits, dtype=np.uint8)[:, None, None]) & 1
    quads = planes.reshape(bits, codes.shape[0], -1, 4)
    return np.asarray((quads << np.arange(4, dtype=np.uint8)).sum(axis=-1), np.uint8)


def codes_of(indices: Bytes) -> Bytes:
    """The inverse of `table_indices`: (m, k) codes."""
    bits, m, quads = indices.shape
    planes = (indices[..., None] >> np.arange(4, dtype=np.uint8)) & 1
    weights = (1 << np.arange(bits, dtype=np.uint8))[:, None, None, None]
    return np.asarray((planes * weights).sum(axis=0), np.uint8).reshape(m, 4 * quads)


def nibbles(indices: Bytes, layout: str) -> Bytes:
    """(bits, m, k / 4) indices as (bits, m / 32, k / 8, 32) bytes of 32 rows and two tables, planes high bit first."""
    bits, m, quads = indices.shape
    rows = indices[::-1].reshape(bits, m // 32, 32, quads // 2, 2).transpose(0, 1, 3, 4, 2)  # ..., table, row
    if layout == "natural":  # neighbours in the order of a sum share a byte; half of 32 bytes a table
        placed = np.empty_like(rows)
        placed[..., PLACE] = rows
        pairs = placed[..., 0::2] | (placed[..., 1::2] << 4)
        return np.ascontiguousarray(pairs).reshape(bits, m // 32, quads // 2, 32)
    out = np.empty((bits, m // 32, quads // 2, 32), np.uint8)
    out[..., PLACE] = rows[..., 0, :] | (rows[..., 1, :] << 4)
    return out


def pack(codes: Bytes, bits: int, *, layout: str, rows: int, k_tile: int, chunk: int) -> Bytes:
    """Bit planes in the order of a layout, (m k bits / 8,) bytes."""
    indices = table_indices(codes, bits)
    if layout == "wide":
        return pack_wide(indices, k_tile)
    m, k = codes.shape
    packed = nibbles(indices, layout)  # (bits, m / 32, k / 8, 32)
    if layout == "scattered":
        return np.ascontiguousarray(packed.transpose(2, 0, 1, 3)).reshape(-1)
    parts = []
    for start in range(0, k, k_tile):
        tile = packed[:, :, start // 8 : (start + k_tile) // 8]
        shape = (bits, m // rows, rows // 32, -1, chunk // 2, 32)
        parts.append(tile.reshape(shape).transpose(1, 3, 0, 4, 2, 5).reshape(-1))
    return np.concatenate(parts)


def pack_wide(indices: Bytes, k_tile: int) -> Bytes:
    """Planes of the wide layout: nibbles are tables j and 4 + j of 8, four bytes a row."""
    bits, m, quads = indices.shape
    rows = indices[::-1].reshape(bits, m // 32, 32, quads // 8, 2, 4)
    packed = (rows[..., 0, :] | (rows[..., 1, :] << 4)).transpose(1, 3, 0, 2, 4)  # tile, 8 tables, bit, row, 4
    step = k_tile // 32
    return np.concatenate([packed[:, at : at + step].reshape(-1) for at in range(0, quads // 8, step)])


def pack_scales(scales: Halves, rows: int) -> Halves:
    """(m, groups) as [tile][group][row], flat."""
    m, groups = scales.shape
    return np.ascontiguousarray(scales.reshape(m // rows, rows, groups).transpose(0, 2, 1)).reshape(-1)


def pad_rows(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Zero rows up to a multiple of `rows`."""
    missing = -len(array) % rows
    return np.pad(array, ((0, missing), *((0, 0),) * (array.ndim - 1))) if missing else array


def check_shape(k: int, group: int) -> None:
    """Raises `KernelError` unless k is a multiple of the weight group."""
    if k % group or group % 32:
        raise KernelError("k is a multiple of the weight group, and that of 32", value=f"k {k}, group {group}")

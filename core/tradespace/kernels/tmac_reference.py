"""T-MAC's product in numpy, from the packed weights, step by step as the publication describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.tmac_weights import PLACE

if TYPE_CHECKING:
    from tradespace.kernels.contract import Arrays
    from tradespace.kernels.tmac import Lookup

LEAST = np.float32(1e-35)
"""Activations below count as 0: the inverse of their scale would overflow."""

SIGNS = np.array([[1 if entry >> j & 1 else -1 for j in range(4)] for entry in range(16)], np.float32)
"""(16, 4) signs of the four activations in each table entry."""


def product(kernel: Lookup, inputs: Arrays) -> NDArray[Any]:
    """(n, m) float64."""
    m, k = (int(v) for v in inputs["shape"])
    rows = inputs["planes"].size * 8 // (k * kernel.bits)
    indices = unpack(inputs["planes"], kernel, rows, k)[:, :m]
    groups = k // kernel.weight_group
    packed = inputs["scales"].reshape(rows // kernel.rows, groups, kernel.rows)
    scales = packed.transpose(0, 2, 1).reshape(rows, groups)[:m].astype(np.float64)
    zero = float(inputs["zero"][0])
    return np.stack([_row(kernel, x, indices, scales, zero) for x in inputs["x"]])


def _row(kernel: Lookup, x: NDArray[Any], indices: NDArray[Any], scales: NDArray[Any], zero: float) -> NDArray[Any]:
    """One row of activations: look up, add up chunk by chunk, plane by plane, scale."""
    entries, step, used = tables(kernel, x)
    bits, m, quads = indices.shape
    found = entries[np.arange(quads)[None, None, :], indices]  # (bits, m, quads)
    chunks = found.reshape(bits, m, -1, kernel.chunk)
    sums = averaged(chunks, kernel.fast) if kernel.fast else chunks.sum(axis=-1)  # (bits, m, chunks)
    planes = (2.0 ** np.arange(bits))[:, None, None]
    halves = (planes * sums).sum(axis=0) * step[None, :: kernel.chunk] / 2
    rest = ((2.0**bits - 1) / 2 - zero) * used.reshape(-1, 4 * kernel.chunk).sum(axis=1)
    per_scale = np.repeat(scales, kernel.weight_group // (4 * kernel.chunk), axis=1)
    return np.asarray(((halves + rest) * per_scale).sum(axis=1))


def tables(kernel: Lookup, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(k / 4, 16) integer entries, (k / 4,) what one is worth, and the (k,) activations as the tables see them."""
    group = kernel.table_group or x.size
    quads = x.astype(np.float32).reshape(-1, 4)
    starts = np.arange(0, x.size, group) // 4
    size = pairwise(np.abs(quads)) if kernel.tables == "int8" else np.abs(quads).max(axis=1)
    largest = np.maximum.reduceat(size, starts).repeat(np.diff([*starts, len(quads)]))
    step = (largest / np.float32(127)).astype(np.float64)
    inverse = np.divide(127, largest, out=np.zeros_like(largest), where=largest > LEAST)
    if kernel.tables == "int8":
        sums = pairwise(quads[:, None, :] * SIGNS)
        return np.rint(sums * inverse[:, None]).astype(np.int64), step, x.astype(np.float64)
    rounded = np.rint(quads * inverse[:, None])
    return (rounded @ SIGNS.T).astype(np.int64), step, (rounded * step[:, None]).reshape(-1)


def pairwise(quads: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of four in the order of the native code: a float32 sum depends on it."""
    return np.asarray((quads[..., 0] + quads[..., 1]) + (quads[..., 2] + quads[..., 3]))


def averaged(chunks: NDArray[Any], tree: int) -> NDArray[Any]:
    """Fast aggregation (section 3.4): bytes, offset by 128, averaged in trees that round up at each level.

    What rounding adds on average (a quarter a level) is taken off again.
    """
    node = chunks.reshape(*chunks.shape[:-1], -1, tree) + 128
    while node.shape[-1] > 1:
        node = (node[..., 0::2] + node[..., 1::2] + 1) >> 1
    sums = (node[..., 0] - 128.0).sum(axis=-1) * tree
    return np.asarray(sums - chunks.shape[-1] / 4 * np.log2(tree))


def unpack(planes: NDArray[Any], kernel: Lookup, m: int, k: int) -> NDArray[Any]:
    """(bits, m, k / 4) table indices, lowest plane first, from packed planes."""
    bits = kernel.bits
    if kernel.layout == "scattered":
        pairs = planes.reshape(k // 8, bits, m // 32, 32).transpose(1, 2, 0, 3)
        return _rows(pairs, kernel.layout)[::-1]
    tile = min(kernel.k_tile, k)
    parts, at = [], 0
    for start in range(0, k, tile):
        width = min(tile, k - start)
        size = m * width // 8 * bits
        part = planes[at : at + size]
        at += size
        if kernel.layout == "wide":
            wide = part.reshape(m // 32, width // 32, bits, 32, 4).transpose(2, 0, 3, 1, 4)
            both = np.stack([wide & 15, wide >> 4], axis=-2)  # bits, tile, row, 8 tables, half, 4
            parts.append(both.reshape(bits, m, width // 4))
            continue
        shape = (m // kernel.rows, -1, bits, kernel.chunk // 2, kernel.rows // 32, 32)
        tiles = part.reshape(shape).transpose(2, 0, 4, 1, 3, 5)
        parts.append(_rows(tiles.reshape(bits, m // 32, width // 8, 32), kernel.layout))
    return np.concatenate(parts, axis=2)[::-1]


def _rows(pairs: NDArray[Any], layout: str) -> NDArray[Any]:
    """(bits, m / 32, k / 8, 32) bytes as (bits, m, k / 4) indices."""
    bits, blocks, count, _ = pairs.shape
    if layout == "natural":
        halves = pairs.reshape(bits, blocks, count, 2, 16)
        both = np.stack([halves & 15, halves >> 4], axis=-1).reshape(bits, blocks, count, 2, 32)
    else:
        both = np.stack([pairs & 15, pairs >> 4], axis=3)
    return both[..., PLACE].transpose(0, 1, 4, 2, 3).reshape(bits, 32 * blocks, 2 * count)

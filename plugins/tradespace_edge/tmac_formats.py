"""Number formats of 1 to 3 bits with one fp16 scale per 128 weights, as GPTQ-style models of T-MAC carry them.

System: arXiv 2407.00088 (weight groups of 128). Levels lie half a step beside 0: +-1/2, +-3/2 ... steps. The step is
`MAX_STEPS` standard deviations of a block (ours); a block whose values already lie on such levels keeps its own step,
so that decoded values encode to the same bytes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.tmac_weights import MAX_STEPS
from tradespace.precisions import Bytes, Codec, Floats, Precision

BLOCK = 128
_NEAR = 1e-3


def _step(blocks: Floats, bits: int) -> NDArray[np.float32]:
    """(blocks, 1) step of each block, rounded to fp16."""
    step = np.sqrt(np.mean(blocks.astype(np.float64) ** 2, axis=1, keepdims=True)) * MAX_STEPS[bits]
    largest = np.abs(blocks).max(axis=1, keepdims=True).astype(np.float64)
    done = np.zeros_like(largest, bool)
    for level in np.arange(2 ** (bits - 1)) + 0.5:
        own = largest / level
        place = np.divide(blocks, own, out=np.zeros(blocks.shape), where=own > 0) - 0.5
        fits = (np.abs(place - np.rint(place)) < _NEAR).all(axis=1, keepdims=True) & (largest > 0) & ~done
        step, done = np.where(fits, own, step), done | fits
    return np.asarray(np.clip(step, 0, 65504).astype(np.float16).astype(np.float32))


def _encode(bits: int, values: Floats) -> Bytes:
    rest = values[values.size - values.size % BLOCK :]  # a partial block repeats itself: its step is its own
    blocks = np.concatenate([values, np.resize(rest, -values.size % BLOCK)]).reshape(-1, BLOCK)
    step = _step(blocks, bits)
    with np.errstate(invalid="ignore", over="ignore"):
        place = np.nan_to_num(np.divide(blocks, step, out=np.zeros_like(blocks), where=step > 0))
    codes = np.clip(np.floor(place) + 2 ** (bits - 1), 0, 2**bits - 1).astype(np.uint8)
    planes = np.packbits((codes[:, None, :] >> np.arange(bits, dtype=np.uint8)[:, None]) & 1, axis=2, bitorder="little")
    scale = step.astype(np.float16).view(np.uint8).reshape(-1, 2)
    return np.concatenate([scale, planes.reshape(len(blocks), -1)], axis=1).reshape(-1)


def _decode(bits: int, data: Bytes, elements: int) -> Floats:
    blocks = data.reshape(-1, 2 + BLOCK * bits // 8)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    planes = np.unpackbits(blocks[:, 2:].reshape(len(blocks), bits, -1), axis=2, bitorder="little")
    codes = (planes << np.arange(bits, dtype=np.uint8)[:, None]).sum(axis=1).astype(np.float32)
    values: NDArray[Any] = (codes - np.float32(2 ** (bits - 1) - 0.5)) * scale
    return values.reshape(-1)[:elements]


def _format(bits: int) -> Precision:
    return Precision(
        f"int{bits}",
        bits,
        BLOCK,
        16,
        "fp16",
        16,
        f"{bits}-bit integer, fp16 scale per {BLOCK}",
        "arXiv 2407.00088 (groups of 128); the step is ours",
        Codec(partial(_encode, bits), partial(_decode, bits)),
    )


INT1, INT2, INT3 = _format(1), _format(2), _format(3)

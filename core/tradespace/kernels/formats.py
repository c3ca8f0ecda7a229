"""The block formats of ggml in numpy: sizes, random blocks, exact values. Layouts: ``c/blocks.h``.

Source: ggml-common.h and ggml-quants.c of ggml; the tests hold `decode` against the `gguf` package's decoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

CODEBOOK = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)


@dataclass(frozen=True)
class BlockFormat:
    """One format of weights.

    Args:
        name: ggml's, in lower case.
        code: its number in ``c/blocks.h``.
        size: weights of one block; the activations it is multiplied with share one scale for as many.
        bytes: of one block.
        halves: byte offsets of the fp16 scales in a block.
        high: largest scale worth drawing at random, so that weights are of order 1.
    """

    name: str
    code: int
    size: int
    bytes: int
    halves: tuple[int, ...]
    high: float

    @property
    def bits(self) -> float:
        """Bits per weight, scales included."""
        return 8.0 * self.bytes / self.size

    def random(self, rows: int, columns: int, rng: np.random.Generator) -> Bytes:
        """(rows, bytes of a row): every code and scale occurs; fp16 scales are positive or negative and finite."""
        blocks = rng.integers(0, 256, (rows * columns // self.size, self.bytes), np.uint8)
        for at in self.halves:
            scale = rng.uniform(self.high / 2, self.high, len(blocks)) * rng.choice([-1.0, 1.0], len(blocks))
            blocks[:, at : at + 2] = scale.astype(np.float16).view(np.uint8).reshape(-1, 2)
        return blocks.reshape(rows, -1)

    def decode(self, data: Bytes) -> Floats:
        """(rows, bytes of a row) -> (rows, weights) fp32."""
        blocks = np.ascontiguousarray(data, np.uint8).reshape(-1, self.bytes)
        return np.asarray(_DECODERS[self.name](blocks), np.float32).reshape(len(data), -1)


FORMATS: Mapping[str, BlockFormat] = {
    f.name: f
    for f in (
        BlockFormat("q8_0", 0, 32, 34, (0,), 1 / 127),
        BlockFormat("q5_0", 1, 32, 22, (0,), 1 / 16),
        BlockFormat("q4_0", 2, 32, 18, (0,), 1 / 8),
        BlockFormat("iq4_nl", 3, 32, 18, (0,), 1 / 127),
        BlockFormat("q6_k", 4, 256, 210, (208,), 1 / 4096),
        BlockFormat("q4_k", 5, 256, 144, (0, 2), 1 / 512),
        BlockFormat("q3_k", 6, 256, 110, (108,), 1 / 128),
        BlockFormat("q2_k", 7, 256, 84, (80, 82), 1 / 32),
    )
}


def _half(blocks: Bytes, at: int) -> Floats:
    """(blocks, 1) fp32 of the fp16 at a byte offset."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16).astype(np.float32)


def _nibbles(packed: Bytes) -> Bytes:
    """(..., b) -> (..., 2 b): all low halves, then all high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1)


def _q8_0(b: Bytes) -> Floats:
    return _half(b, 0) * b[:, 2:].view(np.int8)


def _q5_0(b: Bytes) -> Floats:
    high = np.unpackbits(b[:, 2:6], axis=1, bitorder="little")
    return _half(b, 0) * ((_nibbles(b[:, 6:]) | high << 4).astype(np.float32) - 16)


def _q4_0(b: Bytes) -> Floats:
    return _half(b, 0) * (_nibbles(b[:, 2:]).astype(np.float32) - 8)


def _iq4_nl(b: Bytes) -> Floats:
    return _half(b, 0) * CODEBOOK[_nibbles(b[:, 2:])]


def _pairs(packed: Bytes) -> Bytes:
    """(n, 64) bytes -> (n, 2, 4, 32) codes of 2 bits: halves of 128, then the four pairs of each byte."""
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[None, None, :, None]
    return packed.reshape(-1, 2, 1, 32) >> shifts & np.uint8(3)


def _scaled(codes: NDArray[Any], scale: Floats, minimum: Floats | None = None) -> Floats:
    """codes (n, 256) times scale (n, groups), less minimum (n, groups)."""
    n, groups = scale.shape
    out = codes.astype(np.float32).reshape(n, groups, -1) * scale[:, :, None]
    return (out if minimum is None else out - minimum[:, :, None]).reshape(n, 256)


def _q6_k(b: Bytes) -> Floats:
    low = _nibbles(b[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    codes = (low | _pairs(b[:, 128:192]) << 4).reshape(-1, 256)
    return _scaled(codes.astype(np.float32) - 32, _half(b, 208) * b[:, 192:208].view(np.int8))


def _q4_k(b: Bytes) -> Floats:
    first, second, both = b[:, 4:8], b[:, 8:12], b[:, 12:16]
    scale = np.concatenate([first & 63, both & 15 | first >> 6 << 4], axis=1)
    minimum = np.concatenate([second & 63, both >> 4 | second >> 6 << 4], axis=1)
    codes = _nibbles(b[:, 16:].reshape(-1, 4, 32)).reshape(-1, 256)
    return _scaled(codes, _half(b, 0) * scale, _half(b, 2) * minimum)


def _q3_k(b: Bytes) -> Floats:
    high = np.unpackbits(b[:, :32], axis=1, bitorder="little").reshape(-1, 32, 8).transpose(0, 2, 1).reshape(-1, 256)
    codes = _pairs(b[:, 32:96]).reshape(-1, 256) | high << 2
    low = _nibbles(b[:, 96:104])
    top = b[:, None, 104:108] >> np.arange(0, 8, 2, dtype=np.uint8)[None, :, None] & 3
    scale = (low | top.reshape(-1, 16) << 4).astype(np.float32) - 32
    return _scaled(codes.astype(np.float32) - 4, _half(b, 108) * scale)


def _q2_k(b: Bytes) -> Floats:
    scale, minimum = b[:, :16] & 15, b[:, :16] >> 4
    return _scaled(_pairs(b[:, 16:80]).reshape(-1, 256), _half(b, 80) * scale, _half(b, 82) * minimum)


_DECODERS: Mapping[str, Any] = {
    "q8_0": _q8_0,
    "q5_0": _q5_0,
    "q4_0": _q4_0,
    "iq4_nl": _iq4_nl,
    "q6_k": _q6_k,
    "q4_k": _q4_k,
    "q3_k": _q3_k,
    "q2_k": _q2_k,
}

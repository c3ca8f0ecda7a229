"""Number formats of weights: exact bytes, exact codecs, and the error they make.

A precision is what *weights* are stored in. Activations follow `activation_bits` (2 bytes for everything but fp32) and
arithmetic follows `compute`, the name of the device peak that is used:

- fp32, fp16, bf16 compute in their own format.
- int8 computes on the int8 peak: activations are quantised per block while they are read, as ggml and most NPUs do.
- int4 computes on the fp16 peak: weights are expanded to fp16 on the way into the multiplier (W4A16), so int4 saves
  bytes, not arithmetic.

The block formats are those of ggml: int8 is Q8_0 (34 bytes per 32 elements), int4 is Q4_0 (18 bytes per 32 elements).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import PluginError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

NMSE_SEED = 0x7153
NMSE_SAMPLES = 1 << 16
_HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Codec:
    """How a format turns float32 values into bytes and back.

    `encode` takes (n,) float32 and returns exactly `Precision.bytes(n)` bytes; `decode` takes those bytes and n.
    """

    encode: Callable[[Floats], Bytes]
    decode: Callable[[Bytes, int], Floats]


@dataclass(frozen=True)
class Precision:
    """One number format.

    Args:
        name: registry name.
        bits: bits of one stored element, without scales.
        block: elements that share one scale (1: no scale).
        scale_bits: bits of the scale of one block.
        compute: which peak of a device its arithmetic runs at ("fp16", ...).
        activation_bits: bits of one activation or KV element while weights are in this format.
        meaning: one line for people.
        source: where the format is defined.
        codec: the exact codec; without one the format has bytes but cannot encode.
        error: `nmse` of a format without a codec, as `source` says it was measured.
        exact: a workload shipped in it is exact arithmetic, which no other format may stand in for.
    """

    name: str
    bits: int
    block: int
    scale_bits: int
    compute: str
    activation_bits: int
    meaning: str
    source: str
    codec: Codec | None = None
    error: float | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if min(self.bits, self.block, self.activation_bits) < 1 or self.scale_bits < 0:
            raise PluginError(
                "bits, block and activation_bits are at least 1, scale_bits at least 0", where=f"precision {self.name}"
            )
        if (self.bits * self.block + self.scale_bits) % 8:
            raise PluginError("a block fills whole bytes", where=f"precision {self.name}")

    @property
    def block_bytes(self) -> int:
        """Bytes of one block, scale included."""
        return (self.bits * self.block + self.scale_bits) // 8

    @property
    def bits_per_element(self) -> float:
        """Bits per element of full blocks, scales included (int4: 4.5)."""
        return 8.0 * self.block_bytes / self.block

    def bytes(self, elements: float | NDArray[np.floating[Any]]) -> Any:
        """Exact bytes of one tensor of `elements` elements; a partial block costs a whole one. Vectorised."""
        return np.ceil(np.asarray(elements, np.float64) / self.block) * self.block_bytes

    def encode(self, values: NDArray[np.floating[Any]]) -> Bytes:
        """Values (any shape, taken in C order) as `bytes(values.size)` bytes. Not for NaN or infinities."""
        flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
        return self._codec().encode(flat)

    def decode(self, data: Bytes, elements: int) -> Floats:
        """The `elements` float32 values that `data` stands for; `encode(decode(x)) == x` for encoded x."""
        return self._codec().decode(np.ascontiguousarray(data, dtype=np.uint8), elements)

    def _codec(self) -> Codec:
        if self.codec is None:
            raise PluginError("a precision that encodes values brings a codec", where=f"precision {self.name}")
        return self.codec

    @property
    def nmse(self) -> float:
        """Mean squared error relative to the mean square, on a fixed standard normal sample, by the codec itself (or
        by the codec of the format's authors, where only they have one)."""
        return self.error if self.error is not None and self.codec is None else _nmse(self)


@functools.cache
def _nmse(precision: Precision) -> float:
    rng = np.random.Generator(np.random.Philox(NMSE_SEED))
    values = rng.standard_normal(NMSE_SAMPLES, dtype=np.float32)
    back = precision.decode(precision.encode(values), values.size).astype(np.float64)
    exact = values.astype(np.float64)
    return float(np.sum((back - exact) ** 2) / np.sum(exact**2))


def _blocks(values: Floats, block: int) -> Floats:
    """(n,) -> (blocks, block), filled up with zeros; -0 becomes 0, so equal values have equal bytes."""
    missing = -values.size % block
    blocks: Floats = np.pad(values, (0, missing)).reshape(-1, block) + np.float32(0)
    return blocks


def _scale(scale: Floats) -> tuple[Floats, Bytes]:
    """Reciprocal of the unrounded scale (0 for an empty block), as ggml computes it, and the fp16 scale as bytes."""
    inverse = np.zeros_like(scale)
    with np.errstate(over="ignore"):  # a subnormal scale: its codes are clipped by the caller
        np.divide(np.float32(1), scale, out=inverse, where=scale != 0)
    half = np.clip(scale, -_HALF_MAX, _HALF_MAX).astype(np.float16)
    return inverse, half.view(np.uint8).reshape(-1, 2)


def _encode_fp32(values: Floats) -> Bytes:
    return values.view(np.uint8).copy()


def _decode_fp32(data: Bytes, elements: int) -> Floats:
    return data.view(np.float32)[:elements].copy()


def _encode_fp16(values: Floats) -> Bytes:
    return np.clip(values, -_HALF_MAX, _HALF_MAX).astype(np.float16).view(np.uint8)  # numpy rounds to nearest even


def _decode_fp16(data: Bytes, elements: int) -> Floats:
    return data.view(np.float16)[:elements].astype(np.float32)


def _encode_bf16(values: Floats) -> Bytes:
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)  # to nearest, ties to even
    return rounded.astype(np.uint16).view(np.uint8)


def _decode_bf16(data: Bytes, elements: int) -> Floats:
    return (data.view(np.uint16)[:elements].astype(np.uint32) << np.uint32(16)).view(np.float32)


def _round_away(values: Floats) -> Floats:
    """C's roundf: to nearest, half away from zero (np.round ties to even; floor(x + 0.5) errs just below a half)."""
    magnitude = np.abs(values)
    whole = np.floor(magnitude)
    rounded: Floats = np.copysign(whole + (magnitude - whole >= 0.5), values)
    return rounded


def _encode_int8(values: Floats) -> Bytes:
    blocks = _blocks(values, 32)
    inverse, scale = _scale(np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127))
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.nan_to_num(blocks * inverse)
    codes = np.clip(_round_away(scaled), -127, 127).astype(np.int8)
    return np.concatenate([scale, codes.view(np.uint8)], axis=1).reshape(-1)


def _decode_int8(data: Bytes, elements: int) -> Floats:
    blocks = data.reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    codes = blocks[:, 2:].copy().view(np.int8).astype(np.float32)
    return (codes * scale).reshape(-1)[:elements]


def _encode_int4(values: Floats) -> Bytes:
    blocks = _blocks(values, 32)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    inverse, scale = _scale(largest / np.float32(-8))  # the largest magnitude lands on code 0 = -8, exactly
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.nan_to_num(blocks * inverse)
    codes = np.clip(np.trunc(scaled + np.float32(8.5)), 0, 15).astype(np.uint8)
    return np.concatenate([scale, codes[:, :16] | (codes[:, 16:] << 4)], axis=1).reshape(-1)


def _decode_int4(data: Bytes, elements: int) -> Floats:
    blocks = data.reshape(-1, 18)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    codes = np.concatenate([blocks[:, 2:] & 0xF, blocks[:, 2:] >> 4], axis=1).astype(np.float32) - np.float32(8)
    values: Floats = (codes * scale).reshape(-1)[:elements] + np.float32(0)  # an empty block has scale -0
    return values


FP32 = Precision("fp32", 32, 1, 0, "fp32", 32, "32-bit float", "IEEE 754-2019", Codec(_encode_fp32, _decode_fp32))
FP16 = Precision("fp16", 16, 1, 0, "fp16", 16, "16-bit float", "IEEE 754-2019", Codec(_encode_fp16, _decode_fp16))
BF16 = Precision(
    "bf16", 16, 1, 0, "bf16", 16, "16-bit float, range of fp32", "upper half of IEEE 754 binary32, ties to even",
    Codec(_encode_bf16, _decode_bf16),
)  # fmt: skip
INT8 = Precision(
    "int8", 8, 32, 16, "int8", 16, "8-bit integer, fp16 scale per 32", "ggml Q8_0", Codec(_encode_int8, _decode_int8)
)
INT4 = Precision(
    "int4", 4, 32, 16, "fp16", 16, "4-bit integer, fp16 scale per 32", "ggml Q4_0", Codec(_encode_int4, _decode_int4)
)

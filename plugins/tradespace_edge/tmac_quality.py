"""How far a low-bit product is from the unquantised one, on Gaussian weights and activations.

Definition (arXiv 2407.00088, section 5.6): squared error over the square of the unquantised result. `error` compares
with the exact product of the *quantised* weights instead: what the kernel itself adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.blocks import BY_FORMAT, quantised
from tradespace.kernels.tmac import Lookup
from tradespace.kernels.tmac_weights import quantise
from tradespace.precisions import INT4

Floats = NDArray[np.float32]

ROWS, COLUMNS = 512, 16
"""Size of the sample: 8,192 results, a relative standard error of 1.6 %."""


@dataclass(frozen=True)
class Quality:
    """``nmse`` against unquantised weights, ``error`` against the exact product of the quantised ones."""

    nmse: float
    error: float


def sample(m: int, k: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Weights (at most ROWS rows) and activations."""
    return (
        rng.standard_normal((min(m, ROWS), k), dtype=np.float32),
        rng.standard_normal((COLUMNS, k), dtype=np.float32),
    )


def of_lookup(kernel: Lookup, weights: Floats, x: Floats) -> Quality:
    """Measured with the native kernel. ``kernel.batch`` does not matter."""
    q = quantise(weights, kernel.bits, kernel.weight_group)
    got = kernel.run(kernel.prepare(q, x))
    return _quality(got, weights, q.values(), x)


def of_blocks(form: str, weights: Floats, x: Floats) -> Quality:
    """Of a dequantising kernel. Q4_0 is encoded and run; the K formats are computed in numpy with plain rounding (ggml
    searches for better scales, so its own are a little better)."""
    if form == "q4_0":
        kernel = BY_FORMAT[form](len(x))
        encoded = INT4.encode(weights).reshape(len(weights), -1)
        y = np.zeros((len(x), len(weights)), np.float32)
        got = kernel.run({"w": np.ascontiguousarray(encoded), "x": np.ascontiguousarray(x), "y": y})
        return _quality(got, weights, INT4.decode(encoded.reshape(-1), weights.size).reshape(weights.shape), x)
    rounded = {"q2_k": _q2_k, "q3_k": _q3_k}[form](weights)
    got = quantised(x, 256) @ rounded.astype(np.float64).T
    return _quality(got, weights, rounded, x)


def _quality(got: NDArray[Any], weights: Floats, rounded: Floats, x: Floats) -> Quality:
    exact = x.astype(np.float64) @ weights.astype(np.float64).T
    best = x.astype(np.float64) @ rounded.astype(np.float64).T
    return Quality(_relative(got, exact), _relative(got, best))


def _relative(got: NDArray[Any], exact: NDArray[np.float64]) -> float:
    return float(np.sum((got - exact) ** 2) / np.sum(exact**2))


def _q2_k(weights: Floats) -> Floats:
    """4 levels between the minimum and maximum of 16, both in 4 bits of the largest of 256 (ggml Q2_K)."""
    blocks = weights.reshape(-1, 16, 16)
    low = np.minimum(blocks.min(axis=2, keepdims=True), 0.0)
    step = (blocks.max(axis=2, keepdims=True) - low) / 3
    step, low = _coarse(step, 15), -_coarse(-low, 15)
    codes = np.clip(np.rint(np.divide(blocks - low, step, out=np.zeros_like(blocks), where=step > 0)), 0, 3)
    return np.asarray(codes * step + low, np.float32).reshape(weights.shape)


def _q3_k(weights: Floats) -> Floats:
    """8 levels -4 … 3, scales of 16 in 6 bits with sign of the largest of 256 (ggml Q3_K)."""
    blocks = weights.reshape(-1, 16, 16)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2)[..., None], axis=2)
    step = largest / -4
    unit = np.abs(step).max(axis=1, keepdims=True) / 31
    step = np.rint(np.divide(step, unit, out=np.zeros_like(step), where=unit > 0)) * unit
    codes = np.clip(np.rint(np.divide(blocks, step, out=np.zeros_like(blocks), where=step != 0)), -4, 3)
    return np.asarray(codes * step, np.float32).reshape(weights.shape)


def _coarse(scale: NDArray[Any], levels: int) -> NDArray[Any]:
    unit = scale.max(axis=1, keepdims=True) / levels
    return np.asarray(np.rint(np.divide(scale, unit, out=np.zeros_like(scale), where=unit > 0)) * unit)

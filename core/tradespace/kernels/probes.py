"""Native probes of one core: a reduction of chosen arithmetic intensity, STREAM triad, fp32 matrix-vector product."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import load_shipped
from tradespace.kernels.contract import Arrays, Work

_GROUP = 128  # LANES * WAYS of probes.c
_FLOATS = ctypes.POINTER(ctypes.c_float)


@cache
def _library() -> ctypes.CDLL:
    library = load_shipped("probes")
    library.probe_fma.argtypes = [_FLOATS, ctypes.c_size_t, ctypes.c_int, ctypes.c_float, ctypes.c_float]
    library.probe_fma.restype = ctypes.c_double
    library.probe_read.argtypes = [_FLOATS, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int32)]
    library.probe_read.restype = ctypes.c_double
    library.triad.argtypes = [_FLOATS, _FLOATS, _FLOATS, ctypes.c_float, ctypes.c_size_t]
    library.triad.restype = None
    library.gemv.argtypes = [_FLOATS, _FLOATS, _FLOATS, ctypes.c_size_t, ctypes.c_size_t]
    library.gemv.restype = None
    return library


def _pointer(array: NDArray[Any]) -> Any:
    return array.ctypes.data_as(_FLOATS)


def _whole(size: int) -> int:
    return max(_GROUP, size // _GROUP * _GROUP)


@dataclass(frozen=True)
class FMAProbe:
    """``steps`` fused multiply-adds on every float read, then a sum: intensity (2 steps + 1) / 4 FLOP/B.

    ``steps=0`` adds one vector in eight and only folds the others: 1/32 FLOP/B.
    """

    steps: int = 32
    name: ClassVar[str] = "fma-probe"
    tolerance: ClassVar[float] = 1e-3  # float32 partial sums of up to 10^7 numbers

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return {"x": rng.uniform(0.5, 1.0, _whole(size)).astype(np.float32)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        x = inputs["x"].astype(np.float64)
        if self.steps == 0:
            return np.asarray([x.reshape(-1, 8, 16)[:, 0].sum()])
        a, b = float(np.float32(0.75)), float(np.float32(0.25))
        for _ in range(self.steps):
            x = x * a + b
        return np.asarray([x.sum()])

    def run(self, inputs: Arrays) -> NDArray[Any]:
        x = inputs["x"]
        if self.steps == 0:
            fold = ctypes.c_int32(0)  # written by the kernel so that no read can be skipped
            return np.asarray([_library().probe_read(_pointer(x), x.size, ctypes.byref(fold))])
        return np.asarray([_library().probe_fma(_pointer(x), x.size, self.steps, 0.75, 0.25)])

    def work(self, inputs: Arrays) -> Work:
        n = inputs["x"].size
        return Work(n / 8 if self.steps == 0 else n * (2.0 * self.steps + 1), 4.0 * n)


@dataclass(frozen=True)
class Triad:
    """STREAM triad ``a = b + s c`` (McCalpin 1995): bytes counted without the write-allocate."""

    name: ClassVar[str] = "triad"
    tolerance: ClassVar[float] = 1e-6

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        n = _whole(size // 3)
        b, c = rng.random((2, n), dtype=np.float32)
        return {"a": np.zeros(n, np.float32), "b": np.ascontiguousarray(b), "c": np.ascontiguousarray(c)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return np.asarray(inputs["b"] + np.float32(3.0) * inputs["c"])

    def run(self, inputs: Arrays) -> NDArray[Any]:
        a, b, c = inputs["a"], inputs["b"], inputs["c"]
        _library().triad(_pointer(a), _pointer(b), _pointer(c), 3.0, a.size)
        return a

    def work(self, inputs: Arrays) -> Work:
        return Work(2.0 * inputs["a"].size, 12.0 * inputs["a"].size)


@dataclass(frozen=True)
class GEMV:
    """Matrix-vector product in fp32, the shape of a decode step: 0.5 FLOP/B."""

    name: ClassVar[str] = "gemv-fp32"
    tolerance: ClassVar[float] = 1e-4

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        k = max(16, int(np.sqrt(size)) // 16 * 16 + 5)  # a tail that is no multiple of the vector width
        m = max(1, size // k)
        return {
            "w": rng.standard_normal((m, k), dtype=np.float32),
            "x": rng.standard_normal(k, dtype=np.float32),
            "y": np.zeros(m, np.float32),
        }

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return np.asarray(inputs["w"].astype(np.float64) @ inputs["x"].astype(np.float64))

    def run(self, inputs: Arrays) -> NDArray[Any]:
        w, x, y = inputs["w"], inputs["x"], inputs["y"]
        _library().gemv(_pointer(w), _pointer(x), _pointer(y), *w.shape)
        return y

    def work(self, inputs: Arrays) -> Work:
        m, k = inputs["w"].shape
        return Work(2.0 * m * k, 4.0 * (m * k + m + k))

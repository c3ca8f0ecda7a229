"""Block-quantised weights times int8-quantised activations, as a decode step (gemv) and a prefill (gemm) need them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.formats import FORMATS, BlockFormat
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

POINTER, INT = ctypes.c_void_p, ctypes.c_int64


class _Acts(ctypes.Structure):
    _fields_ = (("q", POINTER), ("d", POINTER), ("s", POINTER), ("sums", POINTER))


class _Product(ctypes.Structure):
    _fields_ = (("w", POINTER), ("x", _Acts), ("y", POINTER), ("k", INT), ("n", INT), ("stride", INT), ("ldy", INT))


class _Quantise(ctypes.Structure):
    _fields_ = (("x", POINTER), ("to", _Acts), ("group", INT))


class _Decode(ctypes.Structure):
    _fields_ = (("w", POINTER), ("y", POINTER), ("k", INT), ("stride", INT), ("format", INT))


@dataclass(frozen=True, eq=False)
class Activations:
    """Buffers for n columns of k activations in int8: ``x = d q`` with one d for `group` of them.

    Args:
        q: (n, k) int8.
        d: (n, k / group) float32.
        s: (n, k / 32) float32, d times the sum of 32 codes.
        sums: (n, k / 16) int16, the sum of 16 codes.
    """

    group: int
    q: NDArray[np.int8]
    d: NDArray[np.float32]
    s: NDArray[np.float32]
    sums: NDArray[np.int16]

    @classmethod
    def empty(cls, k: int, group: int, columns: int = 1) -> Activations:
        """`group` is 32 (as ggml's Q8_0) or 256 (Q8_K) and divides k."""
        return cls(
            group,
            zeros((columns, k), np.int8),
            zeros((columns, k // group)),
            zeros((columns, k // 32)),
            zeros((columns, k // 16), np.int16),
        )

    @property
    def c(self) -> _Acts:
        return _Acts(self.q.ctypes.data, self.d.ctypes.data, self.s.ctypes.data, self.sums.ctypes.data)


def quantise_task(x: NDArray[np.float32], to: Activations, isa: str = "native") -> Task:
    """Write the int8 form of x (n, k) to `to`. Rows are groups, so it splits over threads."""
    args = _Quantise(x.ctypes.data, to.c, to.group)
    return Task(task_function(load_shipped("blocks", isa), "quantise"), args, to.d.size, 1, (x, to), "quantise")


def product_task(
    form: BlockFormat, w: NDArray[np.uint8], x: Activations, y: NDArray[np.float32], isa: str = "native"
) -> Task:
    """y[j, r] = w[r] . x[j]: w (m, bytes of a row) in format `form`, x with `form.size` as group, y (n, m)."""
    n, k = x.q.shape
    args = _Product(w.ctypes.data, x.c, y.ctypes.data, k, n, w.shape[1], y.shape[1])
    function = task_function(load_shipped("blocks", isa), f"mul_{form.name}")
    return Task(function, args, len(w), 1, (w, x, y), f"mul {form.name}")


def decode_task(
    form: BlockFormat, w: NDArray[np.uint8], y: NDArray[np.float32], isa: str = "native", first: int = 0
) -> Task:
    """Rows of w, from row `first` on, as fp32 into y (rows, k): an embedding lookup."""
    args = _Decode(w[first:].ctypes.data, y.ctypes.data, y.shape[1], w.shape[1], form.code)
    return Task(task_function(load_shipped("blocks", isa), "decode_rows"), args, len(y), 1, (w, y), "embedding")


def quantised(x: NDArray[np.float32], group: int) -> NDArray[np.float64]:
    """What x (n, k) becomes when each group shares one int8 scale: the reference of `quantise_task`, decoded."""
    blocks = x.reshape(len(x), -1, group)
    most = np.abs(blocks).max(axis=2, keepdims=True)
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    codes = np.rint(blocks * inverse).astype(np.float64)
    return np.asarray(codes * (most / np.float32(127)).astype(np.float64)).reshape(x.shape)


@dataclass(frozen=True)
class BlockProduct:
    """Weights in one block format times activations quantised to int8 on the way, `columns` of them."""

    form: ClassVar[str]
    name: ClassVar[str]
    tolerance: ClassVar[float] = 5e-5  # sums over k in fp32; within a block they are exact
    columns: int = 1
    isa: str = "native"

    @property
    def format(self) -> BlockFormat:
        return FORMATS[self.form]

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """k near the square root of the weights, and an odd number of blocks where it is long enough."""
        weights = 4 * size * 8 / self.format.bits
        blocks = max(1, int(np.sqrt(weights / 4)) // self.format.size)
        k = min(blocks | 1, 65) * self.format.size
        return self.shaped(max(1, int(weights) // k), k, rng)

    def shaped(self, m: int, k: int, rng: np.random.Generator) -> Arrays:
        """Random inputs of m rows and k columns; k is a multiple of the block."""
        x = rng.standard_normal((self.columns, k), dtype=np.float32)
        return {"w": aligned(self.format.random(m, k, rng)), "x": aligned(x), "y": zeros((self.columns, m))}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """Every number of blocks up to 35, extreme codes, zeros, outliers, tiny and huge activations."""
        size = self.format.size
        for blocks in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 35):
            yield f"{blocks} blocks", self.shaped(3, blocks * size, rng)
        for label, value in (("all bits set", 255), ("no bits set", 0)):
            found = dict(self.shaped(5, 4 * size, rng))
            raw = found["w"].reshape(-1, self.format.bytes)
            kept = [raw[:, at : at + 2].copy() for at in self.format.halves]
            raw[:] = value
            for at, scale in zip(self.format.halves, kept, strict=True):
                raw[:, at : at + 2] = scale
            yield label, found
        for label, factor in (("zeros", 0.0), ("tiny", 1e-30), ("huge", 1e30), ("one sign", 1.0)):
            found = dict(self.shaped(5, 4 * size, rng))
            x = np.abs(found["x"]) if label == "one sign" else found["x"]
            yield label, {**found, "x": aligned(x * np.float32(factor))}
        outlier = dict(self.shaped(5, 4 * size, rng))
        outlier["x"][:, 1] = 1e4
        yield "one outlier", outlier

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        x = quantised(inputs["x"], self.format.size)
        return np.asarray(x @ self.format.decode(inputs["w"]).astype(np.float64).T)

    def tasks(self, inputs: Arrays) -> list[Task]:
        """Quantise the activations, then multiply."""
        x = inputs["x"]
        acts = Activations.empty(x.shape[1], self.format.size, len(x))
        return [
            quantise_task(x, acts, self.isa),
            product_task(self.format, inputs["w"], acts, inputs["y"], self.isa),
        ]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        """Weights once, activations and results once."""
        n, k = inputs["x"].shape
        return Work(2.0 * n * k * len(inputs["w"]), float(sum(a.nbytes for a in inputs.values())))


class GemvQ80(BlockProduct):
    """Decode step on Q8_0 weights (34 B for 32)."""

    name, form = "gemv-q8_0", "q8_0"


class GemvQ50(BlockProduct):
    """Decode step on Q5_0 weights (22 B for 32)."""

    name, form = "gemv-q5_0", "q5_0"


class GemvQ40(BlockProduct):
    """Decode step on Q4_0 weights (18 B for 32)."""

    name, form = "gemv-q4_0", "q4_0"


class GemvIQ4NL(BlockProduct):
    """Decode step on IQ4_NL weights (18 B for 32, values of a codebook of 16)."""

    name, form = "gemv-iq4_nl", "iq4_nl"


class GemvQ6K(BlockProduct):
    """Decode step on Q6_K weights (210 B for 256)."""

    name, form = "gemv-q6_k", "q6_k"


class GemvQ4K(BlockProduct):
    """Decode step on Q4_K weights (144 B for 256)."""

    name, form = "gemv-q4_k", "q4_k"


class GemvQ3K(BlockProduct):
    """Decode step on Q3_K weights (110 B for 256)."""

    name, form = "gemv-q3_k", "q3_k"


class GemvQ2K(BlockProduct):
    """Decode step on Q2_K weights (84 B for 256)."""

    name, form = "gemv-q2_k", "q2_k"


BY_FORMAT: dict[str, type[BlockProduct]] = {
    kernel.form: kernel for kernel in (GemvQ80, GemvQ50, GemvQ40, GemvIQ4NL, GemvQ6K, GemvQ4K, GemvQ3K, GemvQ2K)
}
"""Format -> its kernel."""

"""Dense products: fp32, fp16 and bf16 weights with fp32 activations, and int8 with int8."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

POINTER, INT = ctypes.c_void_p, ctypes.c_int64

_STORED = {"fp32": np.float32, "fp16": np.float16}


class _Dense(ctypes.Structure):
    _fields_ = (("w", POINTER), ("x", POINTER), ("y", POINTER), ("k", INT), ("n", INT), ("ldy", INT))


class _Bytes(ctypes.Structure):
    _fields_ = (
        ("w", POINTER), ("x", POINTER), ("w_scale", POINTER), ("x_scale", POINTER), ("y", POINTER),
        ("k", INT), ("n", INT), ("ldy", INT),
    )  # fmt: skip


def dense_task(form: str, w: NDArray[Any], x: NDArray[np.float32], y: NDArray[np.float32], isa: str = "native") -> Task:
    """y (n, m) = x (n, k) times the transpose of w (m, k); `form` is fp32, fp16 or bf16 (w as uint16 bits)."""
    args = _Dense(w.ctypes.data, x.ctypes.data, y.ctypes.data, x.shape[1], len(x), y.shape[1])
    return Task(task_function(load_shipped("dense", isa), f"mul_{form}"), args, len(w), 4, (w, x, y), f"mul {form}")


def bf16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves, rounded to nearest, ties to even. For finite numbers."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The values of bf16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


SHAPES = ((1, 1, 1), (1, 15, 3), (3, 17, 2), (5, 64, 4), (9, 1029, 5), (4, 2048, 8), (7, 63, 9), (2, 1023, 1))
"""(rows, k, columns) around the vector width, the tiles and the depth of ``c/dense.c``."""


@dataclass(frozen=True)
class DenseProduct:
    """Weights (m, k) of a float format times `columns` columns of fp32."""

    form: ClassVar[str]
    name: ClassVar[str]
    tolerance: ClassVar[float] = 1e-4
    columns: int = 1
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """An odd k, so that every kernel meets a tail."""
        k = max(16, int(np.sqrt(size)) // 16 * 16 + 5)
        return self.shaped(max(1, size * (1 if self.form == "fp32" else 2) // k), k, self.columns, rng)

    def shaped(self, m: int, k: int, columns: int, rng: np.random.Generator) -> Arrays:
        w = rng.standard_normal((m, k), dtype=np.float32)
        stored: NDArray[Any] = bf16_bits(w) if self.form == "bf16" else w.astype(_STORED[self.form])
        x = rng.standard_normal((columns, k), dtype=np.float32)
        return {"w": aligned(stored), "x": aligned(x), "y": zeros((columns, m))}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for m, k, n in SHAPES:
            yield f"{m} x {k} times {n} columns", self.shaped(m, k, n, rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        w = inputs["w"]
        values = from_bf16(w) if self.form == "bf16" else w
        return np.asarray(inputs["x"].astype(np.float64) @ values.astype(np.float64).T)

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [dense_task(self.form, inputs["w"], inputs["x"], inputs["y"], self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        """Weights, activations and results once."""
        return Work(2.0 * inputs["w"].size * len(inputs["x"]), float(sum(a.nbytes for a in inputs.values())))


class Gemv(DenseProduct):
    """Matrix-vector product in fp32, the shape of a decode step: 0.5 FLOP/B."""

    name, form = "gemv-fp32", "fp32"


class GemvFP16(DenseProduct):
    """Matrix-vector product with fp16 weights and fp32 sums: 1 FLOP/B."""

    name, form = "gemv-fp16", "fp16"


class GemvBF16(DenseProduct):
    """Matrix-vector product with bf16 weights and fp32 sums: 1 FLOP/B."""

    name, form = "gemv-bf16", "bf16"


@dataclass(frozen=True)
class Gemm(DenseProduct):
    """Matrix product in fp32 with as many columns as a prefill chunk has."""

    name, form = "gemm-fp32", "fp32"
    columns: int = 64


@dataclass(frozen=True)
class GemvInt8:
    """int8 weights with one scale a row, times int8 activations with one scale a column; integer sums are exact."""

    name: ClassVar[str] = "gemv-int8"
    tolerance: ClassVar[float] = 1e-6
    columns: int = 1
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        k = max(16, int(np.sqrt(4 * size)) // 16 * 16 + 5)
        return self.shaped(max(1, 4 * size // k), k, self.columns, rng)

    def shaped(self, m: int, k: int, columns: int, rng: np.random.Generator) -> Arrays:
        return {
            "w": aligned(rng.integers(-127, 128, (m, k), np.int8)),
            "x": aligned(rng.integers(-127, 128, (columns, k), np.int8)),
            "w_scale": rng.uniform(0.5, 1.0, m).astype(np.float32),
            "x_scale": rng.uniform(0.5, 1.0, columns).astype(np.float32),
            "y": zeros((columns, m)),
        }

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for m, k, n in SHAPES:
            yield f"{m} x {k} times {n} columns", self.shaped(m, k, n, rng)
        for w, x in ((-127, -127), (127, -127), (0, 127)):
            found = dict(self.shaped(5, 130, 3, rng))
            found["w"][:], found["x"][:] = w, x
            yield f"all {w} times {x}", found

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        exact = inputs["x"].astype(np.float64) @ inputs["w"].astype(np.float64).T
        return np.asarray(exact * inputs["w_scale"][None, :] * inputs["x_scale"][:, None])

    def tasks(self, inputs: Arrays) -> list[Task]:
        keys = ("w", "x", "w_scale", "x_scale", "y")
        n, k = inputs["x"].shape
        args = _Bytes(*(inputs[key].ctypes.data for key in keys), k, n, len(inputs["w"]))
        function = task_function(load_shipped("dense", self.isa), "mul_int8")
        return [Task(function, args, len(inputs["w"]), 4, tuple(inputs.values()), "mul int8")]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        return Work(2.0 * inputs["w"].size * len(inputs["x"]), float(sum(a.nbytes for a in inputs.values())))


@dataclass(frozen=True)
class GemmInt8(GemvInt8):
    """int8 times int8 with as many columns as a prefill chunk has."""

    name: ClassVar[str] = "gemm-int8"
    columns: int = 64

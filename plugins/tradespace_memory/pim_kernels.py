"""PIM-GPT's arithmetic on this processor: a bfloat16 matrix in banks times a vector, and the companion's functions.

`BankGemv` reads weights where `BankMap` lays them and adds in the order of the banks: 16 lanes, a tree, one bfloat16
number an output and chunk, chunks added in fp32 outside. `Companion*` are softmax, layer norm and GELU by additions,
multiplications and shifts. What they may be off, relative and in exact arithmetic (``bounds``; the tests add the
rounding of fp32):

- exponential: after `terms` terms the rest is below sqrt(2) r^(terms + 1) / (terms + 1)!, r = ln 2 / 2.
- reciprocal: the bit trick is within 0.0506, each of Newton's steps squares that.
- inverse root: the bit trick is within 0.03438, each step makes e of it 1.5 e^2 + 0.5 e^3.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.dram_rows import BankMap
from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

Floats = NDArray[np.float64]
POINTER, INT = ctypes.c_void_p, ctypes.c_int64
LANES = 16
FUNCTIONS = ("exp", "reciprocal", "rsqrt", "gelu")
SHAPES = ((1, 1, 1, 1), (130, 40, 8, 16), (257, 1040, 2, 3), (512, 2100, 8, 16), (5, 1024, 1, 1), (700, 768, 8, 16))
"""(outputs, inputs, channels, banks): one element, banks without outputs, one to three chunks, ragged ones."""


class _Gemv(ctypes.Structure):
    _fields_ = (
        *((name, POINTER) for name in ("memory", "x", "starts", "wide", "columns", "y", "sums")),
        *((name, INT) for name in ("bank", "chunks", "buffer", "units", "slots", "outputs")),
    )


class _Companion(ctypes.Structure):
    _fields_ = (
        *((name, POINTER) for name in ("x", "scale", "shift", "y")),
        *((name, INT) for name in ("n", "terms", "steps", "what")),
        ("epsilon", ctypes.c_float),
    )


def to_bf16(values: NDArray[Any]) -> NDArray[np.uint16]:
    """bfloat16 bits of fp32 numbers, to nearest, ties to even."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def from_bf16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def bounds(terms: int, steps: int) -> tuple[float, float, float]:
    """Relative errors, at most, of exponential, reciprocal and inverse root, before rounding."""
    r = math.log(2) / 2
    root = 0.03438
    for _ in range(steps):
        root = 1.5 * root**2 + 0.5 * root**3
    return math.sqrt(2) * r ** (terms + 1) / math.factorial(terms + 1), 0.0506 ** (2**steps), root


@dataclass(frozen=True)
class BankGemv:
    """A matrix (outputs, inputs) in the banks of a memory, times a vector; equal to its reference bit for bit.

    Args:
        channels, banks: of the memory. packed: see `BankMap`. isa: instruction set of the library.
    """

    name: ClassVar[str] = "bank-gemv-bf16"
    tolerance: ClassVar[float] = 1e-300  # equal bits
    channels: int = 8
    banks: int = 16
    packed: bool = True
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        side = max(1, math.isqrt(2 * size))
        return self.shaped(side, side, rng)

    def shaped(self, outputs: int, inputs: int, rng: np.random.Generator) -> Arrays:
        matrix = to_bf16(rng.standard_normal((outputs, inputs), dtype=np.float32))
        return self.laid(matrix, to_bf16(rng.standard_normal(inputs, dtype=np.float32)))

    def laid(self, matrix: NDArray[np.uint16], vector: NDArray[np.uint16]) -> Arrays:
        """A matrix and a vector of bfloat16 bits as the kernel reads them.

        Raises:
            KernelError: sizes that do not fit.
        """
        if matrix.ndim != 2 or vector.shape != matrix.shape[1:] or matrix.size == 0:
            raise KernelError("the vector is as long as the matrix is wide", value=(matrix.shape, vector.shape))
        outputs, wanted = matrix.shape
        where = BankMap(outputs, wanted, self.channels, self.banks, packed=self.packed)
        x = zeros(-(-len(vector) // LANES) * LANES, np.float32)
        x[: len(vector)] = from_bf16(vector)
        left = np.arange(0, where.inputs, where.buffer)
        wide = -(-np.minimum(where.inputs - left, where.buffer) // LANES)
        return {
            "memory": aligned(where.fill(matrix)), "x": x, "starts": aligned(where.starts), "wide": aligned(wide),
            "columns": aligned(where.columns), "shape": np.array(matrix.shape, np.int64),
            "y": zeros(len(matrix), np.uint16), "sums": zeros((where.units, where.slots), np.float32),
        }  # fmt: skip

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for outputs, inputs, channels, banks in SHAPES:
            for packed in (True, False):
                kind = BankGemv(channels, banks, packed, self.isa)
                yield f"{outputs} x {inputs} in {channels} x {banks}, {packed}", kind.shaped(outputs, inputs, rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """(outputs,) bfloat16 bits: the map read backwards, then column by column in fp32."""
        channels, banks, _, row = inputs["memory"].shape
        outputs, wide = (int(v) for v in inputs["shape"])
        packed = bool((inputs["columns"] == inputs["wide"]).all())
        where = BankMap(outputs, wide, channels, banks, row, packed=packed)
        weights = np.zeros((outputs, len(inputs["x"])), np.float32)
        weights[:, :wide] = from_bf16(np.asarray(where.read(inputs["memory"]), np.uint16))
        total = np.zeros(outputs, np.float32)
        for start in range(0, wide, where.buffer):
            lanes = np.zeros((outputs, LANES), np.float32)
            for at in range(start, min(start + where.buffer, len(inputs["x"])), LANES):
                lanes += weights[:, at : at + LANES] * inputs["x"][at : at + LANES]  # products are exact
            for half in (8, 4, 2, 1):
                lanes[:, :half] += lanes[:, half : 2 * half]
            total += from_bf16(to_bf16(lanes[:, 0]))
        return to_bf16(total)

    def tasks(self, inputs: Arrays) -> list[Task]:
        keys = ("memory", "x", "starts", "wide", "columns", "y", "sums")
        arrays = tuple(inputs[key] for key in keys)
        channels, banks, rows, row = inputs["memory"].shape
        outputs, wide = (int(v) for v in inputs["shape"])
        units = channels * banks
        job = _Gemv(
            *(a.ctypes.data for a in arrays), rows * row, len(inputs["starts"]),
            BankMap(outputs, wide, channels, banks).buffer, units, -(-outputs // units), outputs,
        )  # fmt: skip
        function = task_function(load_shipped("bank_gemv", self.isa), "bank_gemv")
        return [Task(function, job, units, 1, arrays, "bank gemv")]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        """The memory is read once, padding and all."""
        outputs, wide = (float(v) for v in inputs["shape"])
        moved = inputs["memory"].nbytes + inputs["x"].nbytes + inputs["y"].nbytes
        return Work(2.0 * outputs * wide, float(moved))


@dataclass(frozen=True)
class Companion:
    """A function of the companion in fp32, against itself in exact arithmetic.

    Args:
        terms: of Taylor's series, at most 16; steps: of Newton's iteration.
    """

    form: ClassVar[str]
    name: ClassVar[str]
    tolerance: ClassVar[float]
    per_element: ClassVar[float]
    terms: int = 6
    steps: int = 3
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        rows = max(1, size // 2048)
        return self.shaped(rows, max(1, size // (2 * rows)), rng)

    def shaped(self, rows: int, n: int, rng: np.random.Generator) -> Arrays:
        return self.given(np.asarray(3 * rng.standard_normal((rows, n)), np.float32), rng)

    def given(self, x: NDArray[Any], rng: np.random.Generator) -> Arrays:
        n: int = x.shape[1]
        scale = np.asarray(1 + rng.standard_normal(n) / 8, np.float32)
        shift = rng.standard_normal(n, dtype=np.float32)
        return {"x": aligned(x), "scale": aligned(scale), "shift": aligned(shift), "y": zeros(x.shape, np.float32)}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """Rows of one, below and beyond the lanes, equal values, and far apart ones."""
        for n in (1, 2, 15, 16, 17, 33, 1024):
            yield f"rows of {n}", self.shaped(3, n, rng)
        yield "equal", self.given(np.full((2, 40), 1.25, np.float32), rng)
        yield "far apart", self.given(np.asarray(60 * rng.standard_normal((4, 100)), np.float32), rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return exact(self.form, inputs)

    def tasks(self, inputs: Arrays) -> list[Task]:
        if not (1 <= self.terms <= 16 and 0 <= self.steps <= 16):
            raise KernelError("terms are 1 to 16, steps 0 to 16", value=(self.terms, self.steps))
        arrays = tuple(inputs[key] for key in ("x", "scale", "shift", "y"))
        rows, n = inputs["x"].shape
        what = FUNCTIONS.index(self.form) if self.form in FUNCTIONS else 0
        job = _Companion(*(a.ctypes.data for a in arrays), n, self.terms, self.steps, what, 1e-5)
        library = load_shipped("bank_gemv", self.isa)
        if self.form in FUNCTIONS:
            return [Task(task_function(library, "companion_each"), job, rows * n, LANES, arrays, self.form)]
        return [Task(task_function(library, f"companion_{self.form}"), job, rows, 1, arrays, self.form)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        moved = 2.0 * inputs["x"].nbytes + (inputs["scale"].nbytes * 2 if self.form == "layernorm" else 0)
        return Work(self.per_element * inputs["x"].size, float(moved))


def exact(form: str, inputs: Arrays) -> Floats:
    """What a companion's function is, in fp64."""
    x = inputs["x"].astype(np.float64)
    if form == "softmax":
        raised = np.exp(x - x.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
    if form == "layernorm":
        centred = x - x.mean(axis=1, keepdims=True)
        root = np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float64(np.float32(1e-5)))
        return np.asarray(centred / root * inputs["scale"] + inputs["shift"])
    if form == "gelu":
        z = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return np.asarray(x / (1 + np.exp(-np.clip(z, -700, 700))))
    if form == "exp":
        return np.asarray(np.exp(x))
    return np.asarray(1 / x if form == "reciprocal" else 1 / np.sqrt(x))


class CompanionSoftmax(Companion):
    """Rows of probabilities."""

    form, name, tolerance, per_element = "softmax", "companion-softmax", 2e-6, 5.0 + 2 * 6


class CompanionLayerNorm(Companion):
    """Rows of zero mean and unit variance, scaled and shifted."""

    form, name, tolerance, per_element = "layernorm", "companion-layernorm", 4e-6, 7.0


class CompanionGELU(Companion):
    """GELU in its tanh form."""

    form, name, tolerance, per_element = "gelu", "companion-gelu", 2e-6, 8.0 + 2 * 6 + 3 * 3


class CompanionExp(Companion):
    form, name, tolerance, per_element = "exp", "companion-exp", 2e-6, 3.0 + 2 * 6


class CompanionReciprocal(Companion):
    form, name, tolerance, per_element = "reciprocal", "companion-reciprocal", 1e-6, 1.0 + 3 * 3


class CompanionRoot(Companion):
    form, name, tolerance, per_element = "rsqrt", "companion-rsqrt", 1e-6, 2.0 + 5 * 3

"""Probes of arithmetic and memory: multiply-adds per data type, reading, STREAM triad, pointer chase."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.dense import bf16_bits, from_bf16
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

POINTER, INT, REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_SCALE, _SHIFT = 0.75, 0.25
_GRAIN = 4


class _Chain(ctypes.Structure):
    _fields_ = (("a", POINTER), ("b", POINTER), ("out", POINTER), ("steps", INT), ("scale", REAL), ("shift", REAL))


class _Read(ctypes.Structure):
    _fields_ = (("x", POINTER), ("out", POINTER))


class _Triad(ctypes.Structure):
    _fields_ = (("a", POINTER), ("b", POINTER), ("c", POINTER), ("scale", REAL))


class _Chase(ctypes.Structure):
    _fields_ = (("next", POINTER), ("start", INT), ("stop", POINTER))


def _chain_task(form: str, inputs: Arrays, steps: int, isa: str) -> Task:
    library = load_shipped("probes", isa)
    if not hasattr(library, f"chain_{form}"):
        raise KernelError(f"this processor must have instructions that multiply {form}", value=isa)
    a, b, out = inputs["a"], inputs.get("b", inputs["a"]), inputs["out"]
    args = _Chain(a.ctypes.data, b.ctypes.data, out.ctypes.data, steps, _SCALE, _SHIFT)
    keep = tuple(inputs.values())
    return Task(task_function(library, f"chain_{form}"), args, out.size, _GRAIN, keep, f"chain {form}")


@dataclass(frozen=True)
class FMAProbe:
    """Fused multiply-adds in fp32: `steps` on every float read, then a sum: intensity (2 steps + 1) / 4 FLOP/B."""

    steps: int = 32
    isa: str = "native"
    name: ClassVar[str] = "fma-fp32"
    form: ClassVar[str] = "fp32"
    tolerance: ClassVar[float] = 1e-5
    group: ClassVar[int] = 128
    dtype: ClassVar[DTypeLike] = np.float32

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        groups = max(1, 4 * size // (self.group * np.dtype(self.dtype).itemsize))
        a = rng.uniform(0.5, 1.0, groups * self.group).astype(self.dtype)
        return {"a": aligned(a), "out": zeros(groups, self.dtype)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        x = inputs["a"].astype(np.float64)
        for _ in range(self.steps):
            x = x * _SCALE + _SHIFT
        return np.asarray(x.reshape(-1, self.group).sum(axis=1))

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [_chain_task(self.form, inputs, self.steps, self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["out"]

    def work(self, inputs: Arrays) -> Work:
        a = inputs["a"]
        return Work(a.size * (2.0 * self.steps + 1), float(a.nbytes + inputs["out"].nbytes))


class FMAProbe64(FMAProbe):
    """Fused multiply-adds in fp64."""

    name, form, group, dtype, tolerance = "fma-fp64", "fp64", 64, np.float64, 1e-12


class FMAProbe16(FMAProbe):
    """Fused multiply-adds in fp16, on processors that have them."""

    name, form, group, dtype, tolerance = "fma-fp16", "fp16", 256, np.float16, 0.01

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return {**super().inputs(size, rng), "out": zeros(max(1, 4 * size // 512))}


@dataclass(frozen=True)
class DotProbe:
    """Dot products of unsigned and signed bytes in int32, `steps` times over (VNNI, else AVX2's pairwise sums)."""

    steps: int = 32
    isa: str = "native"
    name: ClassVar[str] = "dot-int8"
    form: ClassVar[str] = "int8"
    tolerance: ClassVar[float] = 1e-9
    group: ClassVar[int] = 512

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        groups = max(1, 2 * size // self.group)
        a = rng.integers(0, 128, groups * self.group, np.uint8)
        b = rng.integers(-127, 128, groups * self.group, np.int8)
        return {"a": aligned(a), "b": aligned(b), "out": zeros(groups, np.int32)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        products = inputs["a"].astype(np.int64) * inputs["b"]
        return np.asarray(self.steps * products.reshape(-1, self.group).sum(axis=1))

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [_chain_task(self.form, inputs, self.steps, self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["out"]

    def work(self, inputs: Arrays) -> Work:
        return Work(inputs["a"].size * 2.0 * self.steps, float(sum(x.nbytes for x in inputs.values())))


class DotProbe16(DotProbe):
    """Dot products of bf16 numbers in fp32, on processors that have them."""

    name, form, group, tolerance = "dot-bf16", "bf16", 256, 1e-3

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        groups = max(1, size // self.group)
        a, b = (bf16_bits(rng.uniform(0.5, 1.0, groups * self.group).astype(np.float32)) for _ in range(2))
        return {"a": aligned(a), "b": aligned(b), "out": zeros(groups)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        a, b = (from_bf16(inputs[name]).astype(np.float64) for name in ("a", "b"))
        return np.asarray(self.steps * (a * b).reshape(-1, self.group).sum(axis=1))


PEAKS: dict[str, type[FMAProbe] | type[DotProbe]] = {
    "fp32": FMAProbe,
    "fp64": FMAProbe64,
    "fp16": FMAProbe16,
    "bf16": DotProbe16,
    "int8": DotProbe,
}
"""Data type -> the probe of its peak rate. fp16 and bf16 need instructions that not every processor has."""


@dataclass(frozen=True)
class Read:
    """Reads and sums floats: 1/4 FLOP/B."""

    isa: str = "native"
    name: ClassVar[str] = "read"
    tolerance: ClassVar[float] = 1e-4
    page: ClassVar[int] = 4096

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        pages = max(1, size // self.page)
        return {"x": aligned(rng.random((pages, self.page), np.float32)), "out": zeros(pages)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return np.asarray(inputs["x"].astype(np.float64).sum(axis=1))

    def tasks(self, inputs: Arrays) -> list[Task]:
        args = _Read(inputs["x"].ctypes.data, inputs["out"].ctypes.data)
        function = task_function(load_shipped("probes", self.isa), "read_pages")
        return [Task(function, args, len(inputs["x"]), 1, tuple(inputs.values()), "read")]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["out"]

    def work(self, inputs: Arrays) -> Work:
        return Work(float(inputs["x"].size), float(inputs["x"].nbytes + inputs["out"].nbytes))


@dataclass(frozen=True)
class Triad:
    """STREAM triad a = b + 3 c (McCalpin 1995): bytes counted without the write-allocate."""

    isa: str = "native"
    name: ClassVar[str] = "triad"
    tolerance: ClassVar[float] = 1e-6

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        b, c = rng.random((2, max(1, size // 3)), dtype=np.float32)
        return {"a": zeros(b.size), "b": aligned(b), "c": aligned(c)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return np.asarray(inputs["b"] + np.float32(3.0) * inputs["c"])

    def tasks(self, inputs: Arrays) -> list[Task]:
        args = _Triad(*(inputs[name].ctypes.data for name in "abc"), 3.0)
        function = task_function(load_shipped("probes", self.isa), "triad")
        return [Task(function, args, inputs["a"].size, 1024, tuple(inputs.values()), "triad")]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["a"]

    def work(self, inputs: Arrays) -> Work:
        return Work(2.0 * inputs["a"].size, 12.0 * inputs["a"].size)


@dataclass(frozen=True)
class PointerChase:
    """Reads one cache line after another in random order, each naming the next: latency, not bandwidth.

    One run goes round all lines `rounds` times and one step further. A step counts as one FLOP and one line.
    """

    rounds: int = 1
    isa: str = "native"
    name: ClassVar[str] = "pointer-chase"
    tolerance: ClassVar[float] = 1e-9

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """`size` floats as lines of 16; line 0 leads through all others and back in one cycle."""
        lines = max(2, size // 16)
        order = np.concatenate([[0], 1 + rng.permutation(lines - 1)])
        after = zeros((lines, 16), np.uint32)
        after[order, 0] = np.roll(order, -1)
        return {"next": after, "order": order.astype(np.uint32), "stop": np.zeros(1, np.int64)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        order = inputs["order"]
        return np.asarray(order[[self._steps(inputs) % len(order)]])

    def tasks(self, inputs: Arrays) -> list[Task]:
        args = _Chase(inputs["next"].ctypes.data, 0, inputs["stop"].ctypes.data)
        function = task_function(load_shipped("probes", self.isa), "chase")
        steps = self._steps(inputs)
        return [Task(function, args, steps, steps, tuple(inputs.values()), "chase")]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["stop"]

    def work(self, inputs: Arrays) -> Work:
        steps = self._steps(inputs)
        return Work(float(steps), 64.0 * min(steps, len(inputs["next"])) + inputs["order"].nbytes)

    def _steps(self, inputs: Arrays) -> int:
        return self.rounds * len(inputs["next"]) + 1

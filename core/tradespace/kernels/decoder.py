"""The small operators of a transformer step as native tasks: norm, rotation, KV cache, attention, gate, addition."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, empty, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

POINTER, INT, REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
Floats = NDArray[np.float32]
_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1}
MAX_WIDTH = 512


class _Norm(ctypes.Structure):
    _fields_ = (("x", POINTER), ("weight", POINTER), ("y", POINTER), ("width", INT), ("epsilon", REAL))


class _Rope(ctypes.Structure):
    _fields_ = (
        ("x", POINTER), ("y", POINTER), ("cosine", POINTER), ("sine", POINTER),
        ("heads", INT), ("width", INT), ("past", INT),
    )  # fmt: skip


class _Cache(ctypes.Structure):
    _fields_ = (
        ("k", POINTER), ("v", POINTER), ("keys", POINTER), ("values", POINTER),
        ("heads", INT), ("width", INT), ("capacity", INT), ("past", INT), ("type", INT),
    )  # fmt: skip


class _Attend(ctypes.Structure):
    _fields_ = (
        ("q", POINTER), ("keys", POINTER), ("values", POINTER), ("out", POINTER),
        ("heads", INT), ("kv_heads", INT), ("width", INT), ("capacity", INT), ("past", INT), ("type", INT),
        ("scale", REAL),
    )  # fmt: skip


class _Pair(ctypes.Structure):
    _fields_ = (("a", POINTER), ("b", POINTER), ("y", POINTER))


def _function(name: str, isa: str) -> Any:
    return task_function(load_shipped("decoder", isa), name)


def norm_task(x: Floats, weight: Floats, y: Floats, epsilon: float = 1e-5, isa: str = "native") -> Task:
    """y = x / sqrt(mean(x^2) + epsilon) * weight over the last axis of x (tokens, width)."""
    args = _Norm(x.ctypes.data, weight.ctypes.data, y.ctypes.data, weight.size, epsilon)
    return Task(_function("rms_norm", isa), args, x.size // weight.size, 1, (x, weight, y), "norm")


def rope_task(x: Floats, y: Floats, cosine: Floats, sine: Floats, past: int, isa: str = "native") -> Task:
    """y = x (tokens, heads, width) rotated; y may be x. Tables (positions, width / 2), token t stands at `past` + t."""
    _, heads, width = x.shape
    args = _Rope(x.ctypes.data, y.ctypes.data, cosine.ctypes.data, sine.ctypes.data, heads, width, past)
    return Task(_function("rope", isa), args, x.size // width, 1, (x, y, cosine, sine), "rope")


def rope_tables(positions: int, width: int, base: float = 10_000.0) -> tuple[Floats, Floats]:
    """Cosines and sines (positions, width / 2) of position * base^(-2 i / width) (Su et al. 2021)."""
    angle = np.outer(np.arange(positions), base ** (-2.0 * np.arange(width // 2) / width))
    return aligned(np.cos(angle).astype(np.float32)), aligned(np.sin(angle).astype(np.float32))


def store_task(k: Floats, v: Floats, keys: NDArray[Any], values: NDArray[Any], past: int, isa: str = "native") -> Task:
    """Append k and v (tokens, kv heads, width) to the caches (kv heads, capacity, width), fp16 or fp32."""
    heads, capacity, width = keys.shape
    ends = (k.ctypes.data, v.ctypes.data, keys.ctypes.data, values.ctypes.data)
    args = _Cache(*ends, heads, width, capacity, past, _TYPES[keys.dtype])
    return Task(_function("store_kv", isa), args, k.size // width, 1, (k, v, keys, values), "store kv")


def attention_task(
    q: Floats, keys: NDArray[Any], values: NDArray[Any], out: Floats, past: int, isa: str = "native"
) -> Task:
    """out = softmax(q K / sqrt(width)) V for q (tokens, heads, width); token t sees `past` + t + 1 positions of the
    caches (kv heads, capacity, width), fp16 or fp32; kv heads divide heads.

    Raises:
        KernelError: a width that is no multiple of 16 or above 512, heads that no group divides.
    """
    _, heads, width = q.shape
    kv_heads, capacity, _ = keys.shape
    if width % 16 or width > MAX_WIDTH or heads % kv_heads:
        raise KernelError(
            f"heads are 16, 32, ... {MAX_WIDTH} wide and a multiple of the KV heads", value=(width, heads, kv_heads)
        )
    ends = (q.ctypes.data, keys.ctypes.data, values.ctypes.data, out.ctypes.data)
    args = _Attend(*ends, heads, kv_heads, width, capacity, past, _TYPES[keys.dtype], width**-0.5)
    return Task(_function("attention", isa), args, q.size // width, 1, (q, keys, values, out), "attention")


def _pair_task(name: str, a: Floats, b: Floats, y: Floats, isa: str) -> Task:
    args = _Pair(a.ctypes.data, b.ctypes.data, y.ctypes.data)
    return Task(_function(name, isa), args, y.size, 64, (a, b, y), name.replace("_", " "))


def gate_task(a: Floats, b: Floats, y: Floats, isa: str = "native") -> Task:
    """y = silu(a) * b, elementwise."""
    return _pair_task("silu_mul", a, b, y, isa)


def add_task(a: Floats, b: Floats, y: Floats, isa: str = "native") -> Task:
    """y = a + b, elementwise; y may be a."""
    return _pair_task("add", a, b, y, isa)


@dataclass(frozen=True)
class RMSNorm:
    """Root-mean-square norm of rows of 2,048."""

    name: ClassVar[str] = "rms-norm"
    tolerance: ClassVar[float] = 1e-5
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        width = min(max(1, size), 2051)
        return self.shaped(max(1, size // (2 * width)), width, rng)

    def shaped(self, rows: int, width: int, rng: np.random.Generator) -> Arrays:
        x = rng.standard_normal((rows, width), dtype=np.float32)
        return {"x": x, "weight": rng.random(width, np.float32) + np.float32(0.5), "y": zeros((rows, width))}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for width in (1, 15, 16, 31, 32, 33, 576, 896):
            yield f"width {width}", self.shaped(2, width, rng)
        yield "zeros", {**self.shaped(2, 64, rng), "x": zeros((2, 64))}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        x = inputs["x"].astype(np.float64)
        return np.asarray(x / np.sqrt((x**2).mean(axis=1, keepdims=True) + np.float32(1e-5)) * inputs["weight"])

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [norm_task(inputs["x"], inputs["weight"], inputs["y"], isa=self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        return Work(4.0 * inputs["x"].size, float(sum(a.nbytes for a in inputs.values())))


@dataclass(frozen=True)
class Rope:
    """Rotary positions on heads of 64 (Su et al. 2021)."""

    name: ClassVar[str] = "rope"
    tolerance: ClassVar[float] = 1e-6
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return self.shaped(max(1, size // (64 * 8)), 4, 64, rng)

    def shaped(self, tokens: int, heads: int, width: int, rng: np.random.Generator) -> Arrays:
        cosine, sine = rope_tables(tokens + 3, width)
        x = rng.standard_normal((tokens, heads, width), dtype=np.float32)
        return {"x": x, "y": zeros(x.shape), "cosine": cosine, "sine": sine}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for width in (2, 30, 32, 34, 80, 128):
            yield f"width {width}", self.shaped(3, 5, width, rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        x, half = inputs["x"].astype(np.float64), inputs["x"].shape[2] // 2
        turn = inputs["cosine"][3:].astype(np.float64) + 1j * inputs["sine"][3:]
        turned = (x[..., :half] + 1j * x[..., half:]) * turn[:, None, :]
        return np.concatenate([turned.real, turned.imag], axis=2)

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [rope_task(inputs["x"], inputs["y"], inputs["cosine"], inputs["sine"], 3, self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        return Work(3.0 * inputs["x"].size, 8.0 * inputs["x"].size + 2.0 * inputs["cosine"].nbytes)


@dataclass(frozen=True)
class Attention:
    """One token's attention over an fp16 KV cache: 8 heads of 64 on 2 KV heads."""

    name: ClassVar[str] = "attention"
    tolerance: ClassVar[float] = 1e-4  # scores of thousands in fp32
    half: bool = True
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return self.shaped(1, 8, 2, 64, max(1, size // (128 if self.half else 256)), rng)

    def shaped(self, tokens: int, heads: int, kv_heads: int, width: int, seen: int, rng: np.random.Generator) -> Arrays:
        """The last token sees `seen` positions; the cache has room for a few more, filled with huge numbers."""
        kind = np.float16 if self.half else np.float32
        keys, values = empty((kv_heads, seen + 3, width), kind), empty((kv_heads, seen + 3, width), kind)
        for cache in (keys, values):
            cache[...] = rng.standard_normal(cache.shape, dtype=np.float32)
            cache[:, seen:] = 6e4
        q = rng.standard_normal((tokens, heads, width), dtype=np.float32) * np.float32(2)
        return {"q": aligned(q), "keys": keys, "values": values, "out": zeros(q.shape)}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for seen in (1, 2, 15, 16, 17, 127, 128, 129, 257):
            yield f"{seen} positions", self.shaped(1, 9, 3, 64, seen, rng)
        for width in (16, 32, 80, 96, 128, 256):
            yield f"width {width}", self.shaped(2, 4, 4, width, 33, rng)
        steep = dict(self.shaped(5, 14, 2, 64, 200, rng))
        yield "scores that differ by thousands", {**steep, "q": aligned(steep["q"] * np.float32(1e3))}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        q = inputs["q"].astype(np.float64)
        tokens, heads, width = q.shape
        seen, group = inputs["keys"].shape[1] - 3, heads // len(inputs["keys"])
        out = np.zeros(q.shape)
        for t in range(tokens):
            visible = seen - tokens + t + 1
            for h in range(heads):
                keys, values = (inputs[name][h // group, :visible].astype(np.float64) for name in ("keys", "values"))
                scores = keys @ q[t, h] * width**-0.5
                weights = np.exp(scores - scores.max())
                out[t, h] = weights @ values / weights.sum()
        return out

    def tasks(self, inputs: Arrays) -> list[Task]:
        past = inputs["keys"].shape[1] - 3 - len(inputs["q"])
        return [attention_task(inputs["q"], inputs["keys"], inputs["values"], inputs["out"], past, self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["out"]

    def work(self, inputs: Arrays) -> Work:
        """Two products and a softmax (5 FLOP) a score; the cache once."""
        tokens, heads, width = inputs["q"].shape
        scores = float(tokens * heads * (inputs["keys"].shape[1] - 3))
        return Work(scores * (4 * width + 5), float(sum(a.nbytes for a in inputs.values())))


@dataclass(frozen=True)
class SiluMul:
    """The gate of SwiGLU, silu(a) b (Shazeer 2020)."""

    name: ClassVar[str] = "silu-mul"
    tolerance: ClassVar[float] = 1e-6
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        n = max(1, size // 3)
        a, b = (rng.standard_normal(n, dtype=np.float32) * np.float32(s) for s in (3, 1))
        return {"a": a, "b": b, "y": zeros(n)}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for scale in (1e-20, 100.0, 1e4):
            found = self.inputs(300, rng)
            yield f"inputs of order {scale:g}", {**found, "a": found["a"] * np.float32(scale)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        a = inputs["a"].astype(np.float64)
        return np.asarray(a / (1 + np.exp(np.minimum(-a, 700))) * inputs["b"])

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [gate_task(inputs["a"], inputs["b"], inputs["y"], self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        """Five FLOP a number, as the workloads count it."""
        return Work(5.0 * inputs["y"].size, 12.0 * inputs["y"].size)


@dataclass(frozen=True)
class Add:
    """Residual addition."""

    name: ClassVar[str] = "add"
    tolerance: ClassVar[float] = 1e-6
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        a, b = rng.standard_normal((2, max(1, size // 3)), dtype=np.float32)
        return {"a": aligned(a), "b": aligned(b), "y": zeros(a.size)}

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return np.asarray(inputs["a"] + inputs["b"])

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [add_task(inputs["a"], inputs["b"], inputs["y"], self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        return Work(1.0 * inputs["y"].size, 12.0 * inputs["y"].size)

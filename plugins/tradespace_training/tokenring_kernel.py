"""Attention over keys on several ranks, as partial outputs merged by their log-sum-exp: native, and in numpy."""

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

WIDEST = 256  # of head dimensions, as in c/ring_attention.c
POINTER, INT = ctypes.c_void_p, ctypes.c_int64


class _Ring(ctypes.Structure):
    _fields_ = (
        ("q", POINTER), ("k", POINTER), ("v", POINTER), ("out", POINTER), ("m", INT), ("d", INT), ("ranks", INT),
    )  # fmt: skip


@dataclass(frozen=True)
class RingAttention:
    """One head's attention over keys and values of W ranks; rows are (output, log-sum-exp)."""

    name: ClassVar[str] = "ring-attention"
    tolerance: ClassVar[float] = 1e-5
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """Four ranks and a head of 128: half of the numbers are keys, half values."""
        return self.shaped(64, max(1, size // (2 * 128 * 4)), 128, 4, rng)

    def shaped(self, queries: int, keys: int, head: int, ranks: int, rng: np.random.Generator) -> Arrays:
        """``keys`` of each rank. Queries are scaled by 1 / sqrt(head)."""
        if not 1 <= head <= WIDEST:
            raise ValueError(f"a head has 1 to {WIDEST} numbers")
        shapes = {"q": (queries, head), "k": (ranks, keys, head), "v": (ranks, keys, head)}
        found = {key: aligned(rng.standard_normal(shape).astype(np.float32)) for key, shape in shapes.items()}
        found["q"] *= np.float32(head**-0.5)
        return {**found, "out": zeros((queries, head + 1), np.float32)}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """One key, block edges, odd heads, one rank, and scores far apart."""
        for keys in (1, 63, 64, 65, 200):
            yield f"{keys} keys", self.shaped(5, keys, 33, 3, rng)
        yield "one rank, one number", self.shaped(3, 10, 1, 1, rng)
        steep = self.shaped(4, 70, 64, 8, rng)
        steep["q"][:] *= 60
        yield "steep scores", steep

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """In doubles, all keys at once: no partials to merge."""
        q, k, v = (inputs[key].astype(np.float64) for key in ("q", "k", "v"))
        scores = q @ k.reshape(-1, q.shape[1]).T
        most = scores.max(axis=1, keepdims=True)
        weights = np.exp(scores - most)
        total = weights.sum(axis=1, keepdims=True)
        return np.concatenate([weights @ v.reshape(-1, q.shape[1]) / total, most + np.log(total)], axis=1)

    def tasks(self, inputs: Arrays) -> list[Task]:
        arrays = tuple(inputs[key] for key in ("q", "k", "v", "out"))
        ranks, keys, head = inputs["k"].shape
        args = _Ring(*(array.ctypes.data for array in arrays), keys, head, ranks)
        function = task_function(load_shipped("ring_attention", self.isa), "ring_attention")
        return [Task(function, args, len(inputs["q"]), 1, arrays, "ring attention")]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["out"]

    def work(self, inputs: Arrays) -> Work:
        """Two products; every array crosses memory once."""
        return Work(4.0 * len(inputs["q"]) * inputs["k"].size, float(sum(array.nbytes for array in inputs.values())))

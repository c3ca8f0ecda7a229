"""Ridge regression as a native kernel: the readout of a reservoir. Its reference is numpy's solver."""

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


class _Ridge(ctypes.Structure):
    _fields_ = (
        ("x", ctypes.c_void_p), ("y", ctypes.c_void_p), ("gram", ctypes.c_void_p), ("w", ctypes.c_void_p),
        ("p", ctypes.c_int64), ("n", ctypes.c_int64), ("penalty", ctypes.c_double),
    )  # fmt: skip


@dataclass(frozen=True)
class RidgeReadout:
    """(X'X + penalty I) w = X'y for features (p, n) and a target (n,)."""

    name: ClassVar[str] = "ridge-readout"
    tolerance: ClassVar[float] = 1e-9  # sums in another order, well-conditioned inputs
    features: int = 24
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return self.shaped(self.features, max(1, size // (2 * self.features)), 1e-3, rng)

    def shaped(self, features: int, samples: int, penalty: float, rng: np.random.Generator) -> Arrays:
        """Standard normal features, and a noisy sum of them."""
        x = rng.standard_normal((features, samples))
        y = rng.standard_normal(features) @ x + 0.1 * rng.standard_normal(samples)
        return {
            "x": aligned(x),
            "y": aligned(y),
            "penalty": np.array([max(penalty, 1e-3) if features <= samples else 1.0]),
            "gram": zeros((features, features), np.float64),
            "w": zeros(features, np.float64),
        }

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """One feature, fewer samples than features, edges of a block of samples."""
        for features, samples in ((1, 1), (1, 1000), (40, 7), (3, 4095), (3, 4096), (200, 4097)):
            yield f"{features} features of {samples} samples", self.shaped(features, samples, 1e-3, rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        x = inputs["x"]
        return np.linalg.solve(x @ x.T + inputs["penalty"][0] * np.eye(len(x)), x @ inputs["y"])

    def tasks(self, inputs: Arrays) -> list[Task]:
        """The matrix, its rows dealt to the threads; then one thread solves."""
        arrays = tuple(inputs[key] for key in ("x", "y", "gram", "w"))
        features, samples = inputs["x"].shape
        args = _Ridge(*(a.ctypes.data for a in arrays), features, samples, float(inputs["penalty"][0]))
        library = load_shipped("ridge", self.isa)
        return [
            Task(task_function(library, "ridge_gram"), args, features, 1, arrays, "gram"),
            Task(task_function(library, "ridge_solve"), args, 1, 1, arrays, "solve"),
        ]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["w"]

    def work(self, inputs: Arrays) -> Work:
        """Half of X X', and a Cholesky factorisation; features are read once."""
        p, n = (float(v) for v in inputs["x"].shape)
        return Work(p * (p + 1) * n + 2 * p * n + p**3 / 3, float(inputs["x"].nbytes + inputs["y"].nbytes))

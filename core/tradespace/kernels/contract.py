"""What a native kernel is: inputs, a numpy reference, the native run, and the work it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tradespace.kernels.running import Task

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Work:
    """What one run does: floating-point operations, and bytes that must cross the memory interface."""

    flop: float
    bytes: float

    @property
    def intensity(self) -> float:
        """Arithmetic intensity, FLOP/B (Williams, Waterman, Patterson 2009)."""
        return self.flop / self.bytes


class Kernel(Protocol):
    """Named by the hook ``tradespace_kernels``; built without arguments. ``run`` must equal ``reference`` within
    ``tolerance`` (relative to the largest magnitude of the reference)."""

    name: ClassVar[str]
    tolerance: ClassVar[float]

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """Random inputs; ``size`` scales the bytes touched (about ``size`` float32 numbers)."""

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """The result in numpy, written for clarity."""

    def run(self, inputs: Arrays) -> NDArray[Any]:
        """The result of the native code, single-threaded. Raises `KernelError` where it cannot be built."""

    def work(self, inputs: Arrays) -> Work: ...


@runtime_checkable
class TaskKernel(Kernel, Protocol):
    """A kernel whose run is a list of tasks: it can be timed without Python on the way, split over threads, and
    joined with others to a step. Its result never depends on the number of threads."""

    def tasks(self, inputs: Arrays) -> Sequence[Task]:
        """The tasks of one run, in order, writing to buffers among the inputs (or kept by the tasks)."""


def disagreement(kernel: Kernel, inputs: Arrays) -> float:
    """Largest difference between native and reference results, relative to the reference's largest magnitude."""
    expected, got = np.asarray(kernel.reference(inputs)), np.asarray(kernel.run(inputs))
    if expected.shape != got.shape:
        return float("inf")
    scale = float(np.abs(expected).max(initial=0.0)) or 1.0
    return float(np.abs(got.astype(np.float64) - expected).max(initial=0.0)) / scale

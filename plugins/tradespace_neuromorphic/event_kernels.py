"""Convolutions of 4-bit weights on this processor: does it pay to skip zeros where there is no event-driven core?

The native counterpart of what an Akida core does (study `snn-neuromorphic`): an activation that is not zero reads one
word of 128 bits, the weights of 32 filters. ``c/event_conv.c`` has the layout.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

FILTERS = 32
LEVELS = 15
"""Largest activation of 4 bits."""

SHAPES = ((2, 32, 5, 5, 3, 1), (7, 33, 6, 9, 3, 2), (64, 64, 1, 1, 1, 1), (1, 1, 3, 4, 5, 1), (512, 32, 3, 3, 3, 1))
"""(channels, filters, height, width, kernel, stride): odd channels, part of a block, one pixel, a flush of sums."""


class _Conv(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "w", "y", "channel", "value", "count", "sum")),
        *((name, ctypes.c_int64) for name in ("channels", "in_width", "out_height", "out_width", "kernel", "stride")),
    )


@dataclass(frozen=True)
class Conv4:
    """Convolution of 4-bit activations (0 to 15) and 4-bit weights (-8 to 7), "same" padding, exact.

    Args:
        density: share of the activations drawn that are not zero.
        isa: instruction set the library is compiled for.
    """

    name: ClassVar[str]
    events: ClassVar[bool]
    tolerance: ClassVar[float] = 1e-300  # equal integers
    density: float = 0.5
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """Maps of 14 x 14 with as many filters as channels."""
        channels = max(2, min(int((4 * size) ** 0.5 / 4) // 2 * 2, 1024))
        return self.shaped(channels, channels, 14, 14, 3, 1, rng)

    def shaped(
        self, channels: int, filters: int, height: int, width: int, kernel: int, stride: int, rng: np.random.Generator
    ) -> Arrays:
        """Random maps and filters. Raises `KernelError` for an even kernel or more channels than 65535."""
        if kernel % 2 == 0 or not 1 <= channels <= 65_534 or not 0 <= self.density <= 1:
            rule = "kernels are odd, channels at most 65534, a density a share"
            raise KernelError(rule, value=(kernel, channels, self.density))
        values = rng.integers(1, LEVELS + 1, (height, width, channels), np.uint8)
        values[rng.random(values.shape) >= self.density] = 0
        weights = rng.integers(-8, 8, (filters, kernel, kernel, channels), np.int8)
        return pack(values, weights, stride)

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for shape in SHAPES:
            yield f"{shape}", self.shaped(*shape, rng)
        for density in (0.0, 1.0):
            yield f"density {density}", type(self)(density, self.isa).shaped(10, 40, 5, 5, 3, 1, rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """Tap by tap, in 64 bits: (blocks, out height, out width, 32)."""
        x, words = inputs["x"].astype(np.int64), inputs["w"]
        weights = np.concatenate([words & 15, words >> 4], axis=-1).astype(np.int64) - 8
        blocks, high, wide, _ = inputs["y"].shape
        y = np.zeros((blocks, high, wide, FILTERS), np.int64)
        kernel, stride = inputs["shape"].tolist()
        for block in range(blocks):
            for tap in range(kernel * kernel):
                i, j = divmod(tap, kernel)
                rows = slice(i, i + stride * (high - 1) + 1, stride)
                columns = slice(j, j + stride * (wide - 1) + 1, stride)
                y[block] += x[rows, columns] @ weights[block, tap]
        return y

    def tasks(self, inputs: Arrays) -> list[Task]:
        names = ("x", "w", "y", "channel", "value", "count", "sum")
        arrays = tuple(inputs[name] for name in names)
        x, y = inputs["x"], inputs["y"]
        kernel, stride = inputs["shape"].tolist()
        job = _Conv(*(a.ctypes.data for a in arrays), x.shape[2], x.shape[1], y.shape[1], y.shape[2], kernel, stride)
        library = load_shipped("event_conv", self.isa)
        first = task_function(library, "find_events" if self.events else "sum_pixels")
        second = task_function(library, "event_conv" if self.events else "dense_conv")
        pixels = x.shape[0] * x.shape[1]
        return [
            Task(first, job, pixels, 1, arrays, "find events"),
            Task(second, job, y.shape[0] * y.shape[1], 1, arrays, self.name),
        ]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def work(self, inputs: Arrays) -> Work:
        """Multiply-adds of the dense convolution, so that rates of both kernels compare; every array once."""
        y, kernel = inputs["y"], int(inputs["shape"][0])
        return Work(2.0 * y.size * kernel**2 * inputs["x"].shape[2], float(sum(a.nbytes for a in inputs.values())))


def pack(values: NDArray[np.uint8], weights: NDArray[np.int8], stride: int) -> Arrays:
    """What the C code reads: (height, width, channels) activations and (filters, kernel, kernel, channels) weights.

    Channels are filled up to an even number and filters to blocks of 32, with zeros; maps get a border of zeros.
    """
    height, width, channels = values.shape
    filters, kernel = weights.shape[:2]
    edge, even, blocks = kernel // 2, channels + channels % 2, -(-filters // FILTERS)
    x = zeros((height + 2 * edge, width + 2 * edge, even), np.uint8)
    x[edge : edge + height, edge : edge + width, :channels] = values
    full = np.zeros((blocks * FILTERS, kernel, kernel, even), np.int16)
    full[:filters, :, :, :channels] = weights
    codes = (full + 8).astype(np.uint8).reshape(blocks, FILTERS, kernel * kernel, even).transpose(0, 2, 3, 1)
    words = codes[..., :16] | (codes[..., 16:] << 4)
    return {
        "x": x, "w": aligned(np.ascontiguousarray(words)),
        "y": zeros((blocks, -(-height // stride), -(-width // stride), FILTERS), np.int32),
        "channel": zeros(x.shape, np.uint16), "value": zeros(x.shape, np.uint8),
        "count": zeros(x.shape[:2], np.int32), "sum": zeros(x.shape[:2], np.int32),
        "shape": np.array([kernel, stride], np.int64),
    }  # fmt: skip


class EventConv4(Conv4):
    """Skips activations that are zero."""

    name, events = "event-conv-4", True


class DenseConv4(Conv4):
    """Multiplies by zeros as by anything else."""

    name, events = "dense-conv-4", False

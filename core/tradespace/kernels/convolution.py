"""int8 convolutions of microcontroller libraries as native kernels: direct and through im2col, depthwise with a second
buffer and in place.

System: MCUNet's TinyEngine (arXiv 2007.10319, section 3.2). Maps are height x width x channels and square; sums are
int32, requantised per channel by an integer multiplier and shift, so all variants give the same bytes.
"""

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

IN_ZERO, OUT_ZERO = -3, 5
SHIFT = 31

CASES = ((1, 1, 1, 1, 1), (2, 3, 5, 1, 1), (5, 4, 3, 3, 1), (6, 4, 3, 3, 2), (7, 9, 8, 5, 2), (8, 16, 16, 7, 1))
"""(height, inputs, outputs, kernel, stride): odd and even maps, kernels larger than the map, one pixel."""


class _Conv(ctypes.Structure):
    """`conv` of ``c/convolution.c``."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("input", "weights", "bias", "multiplier", "shift", "output", "scratch")),
        *(
            (name, ctypes.c_int32)
            for name in ("height", "inputs", "outputs", "kernel", "stride", "pad", "in_zero", "out_zero")
        ),
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """A square convolution with "same" padding; depthwise where `outputs` equals `inputs` and it says so."""

    height: int
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1

    @property
    def side(self) -> int:
        return -(-self.height // self.stride)

    @property
    def pad(self) -> int:
        return self.kernel // 2


@dataclass(frozen=True)
class Convolution:
    """What the four kernels share. ``inputs``: ``x`` (h, h, c) int8, ``w``, ``bias`` and ``multiplier`` int32."""

    depthwise: ClassVar[bool]
    function: ClassVar[str]
    name: ClassVar[str]
    tolerance: ClassVar[float] = 1e-9  # bytes: equal or off by 1/128 at least
    kernel: int = 3
    stride: int = 1
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """Maps of about ``4 * size`` bytes in 16 channels."""
        height = max(1, int(np.sqrt(4 * size / 16)))
        return self.shaped(Shape(height, 16, 16, self.kernel, self.stride), rng)

    def shaped(self, shape: Shape, rng: np.random.Generator) -> Arrays:
        """Random inputs of a given shape; for a depthwise kernel ``outputs`` is ``inputs``."""
        k, n = shape.kernel, shape.inputs if self.depthwise else shape.outputs
        weights = (k, k, n) if self.depthwise else (n, k, k, shape.inputs)
        return {
            "x": aligned(rng.integers(-128, 128, (shape.height, shape.height, shape.inputs), np.int8)),
            "w": aligned(rng.integers(-127, 128, weights, np.int8)),
            "bias": aligned(rng.integers(-2000, 2000, n, np.int32)),
            "multiplier": aligned(rng.integers(2**19, 2**24, n, np.int32)),
            "stride": np.array([shape.stride], np.int32),
        }

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for case in CASES:
            shape = Shape(*case)
            yield f"{shape}", self.shaped(shape, rng)

    def shape(self, inputs: Arrays) -> Shape:
        """Read from the arrays."""
        (height, _, channels), w = inputs["x"].shape, inputs["w"]
        kernel, outputs = (w.shape[0], w.shape[2]) if self.depthwise else (w.shape[1], w.shape[0])
        return Shape(height, channels, outputs, kernel, int(inputs["stride"][0]))

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """(side, side, outputs) int8, tap by tap in 64-bit integers."""
        s = self.shape(inputs)
        x = np.pad(inputs["x"].astype(np.int64) - IN_ZERO, ((s.pad, s.pad), (s.pad, s.pad), (0, 0)))
        w = inputs["w"].astype(np.int64)
        total = np.broadcast_to(inputs["bias"].astype(np.int64), (s.side, s.side, s.outputs)).copy()
        reach = (s.side - 1) * s.stride + 1
        for i in range(s.kernel):
            for j in range(s.kernel):
                tap = x[i : i + reach : s.stride, j : j + reach : s.stride]
                total += tap * w[i, j] if self.depthwise else tap @ w[:, i, j].T
        scaled = (total * inputs["multiplier"].astype(np.int64) + (1 << (SHIFT - 1))) >> SHIFT
        return np.asarray(np.clip(scaled + OUT_ZERO, -128, 127).astype(np.int8))

    def scratch(self, s: Shape) -> NDArray[np.int16]:
        """The im2col buffer: 16 bits, as large as the memory planner counts it."""
        return zeros(2 * s.kernel**2 * s.inputs, np.int16)

    def rows(self, s: Shape) -> int:
        """What the C function ranges over: output pixels."""
        return s.side**2

    def call(self, inputs: Arrays, source: int, output: int, scratch: NDArray[np.int16]) -> None:
        """The native run from address ``source`` to address ``output``."""
        s = self.shape(inputs)
        shift = np.full(s.outputs, SHIFT, np.int32)
        pointers = (inputs["w"], inputs["bias"], inputs["multiplier"], shift)
        args = _Conv(
            source, *(array.ctypes.data for array in pointers), output, scratch.ctypes.data,
            s.height, s.inputs, s.outputs, s.kernel, s.stride, s.pad, IN_ZERO, OUT_ZERO,
        )  # fmt: skip
        function = getattr(load_shipped("convolution", self.isa), self.function)
        function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        function.restype = None
        function(ctypes.byref(args), 0, self.rows(s))

    def run(self, inputs: Arrays) -> NDArray[Any]:
        s = self.shape(inputs)
        output = zeros((s.side, s.side, s.outputs), np.int8)
        self.call(inputs, inputs["x"].ctypes.data, output.ctypes.data, self.scratch(s))
        return output

    def work(self, inputs: Arrays) -> Work:
        """A multiply-add counts two; maps and weights cross memory once."""
        s = self.shape(inputs)
        macs = s.side**2 * inputs["w"].size
        return Work(2.0 * macs, float(inputs["x"].nbytes + inputs["w"].nbytes + s.side**2 * s.outputs))


@dataclass(frozen=True)
class ConvDirect(Convolution):
    """A convolution that walks the map."""

    depthwise: ClassVar[bool] = False
    function: ClassVar[str] = "conv_direct"
    name: ClassVar[str] = "conv-int8"


@dataclass(frozen=True)
class ConvIm2col(Convolution):
    """A convolution through two columns of 16-bit inputs."""

    depthwise: ClassVar[bool] = False
    function: ClassVar[str] = "conv_im2col"
    name: ClassVar[str] = "conv-int8-im2col"


@dataclass(frozen=True)
class DepthwiseApart(Convolution):
    """A depthwise convolution into a second buffer."""

    depthwise: ClassVar[bool] = True
    function: ClassVar[str] = "depthwise_apart"
    name: ClassVar[str] = "depthwise-int8"


@dataclass(frozen=True)
class DepthwiseInPlace(Convolution):
    """A depthwise convolution that overwrites its input, channel by channel."""

    depthwise: ClassVar[bool] = True
    function: ClassVar[str] = "depthwise_inplace"
    name: ClassVar[str] = "depthwise-int8-inplace"

    def scratch(self, s: Shape) -> NDArray[np.int16]:
        """One padded channel."""
        return zeros((s.height + s.kernel - 1) ** 2, np.int16)

    def rows(self, s: Shape) -> int:
        """Channels."""
        return s.inputs

    def run(self, inputs: Arrays) -> NDArray[Any]:
        """In a copy of the input, which it overwrites."""
        s = self.shape(inputs)
        arena = aligned(inputs["x"])
        self.call(inputs, arena.ctypes.data, arena.ctypes.data, self.scratch(s))
        return np.asarray(arena.reshape(-1)[: s.side**2 * s.outputs].reshape(s.side, s.side, s.outputs))

"""Group convolution on this processor: does a wider group pay where there is no array, only vector registers?

The native counterpart of DRACO's argument (arXiv 2006.15103): each activation that is loaded meets G filters, so the
rate in multiply-adds grows with G while the time of the layer need not. ``c/group_conv.c`` has the layout.
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

POSITIONS = 64
"""A plane of outputs is padded to a multiple of this."""

SHAPES = ((1, 1, 7, 7, 3), (6, 3, 5, 9, 3), (24, 12, 7, 7, 5), (4, 2, 1, 1, 1), (16, 16, 3, 70, 3), (10, 5, 14, 14, 7))
"""(channels, group, height, width, kernel): odd groups, planes below and above the padding, all tiles."""


class _Job(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "w", "at", "y")),
        *((name, ctypes.c_int64) for name in ("group", "taps", "in_plane", "out_plane")),
    )


@dataclass(frozen=True)
class GroupConv:
    """Convolution of stride 1 with as many outputs as inputs, `group` channels in a group (1: depthwise).

    Args:
        group: channels in a group.
        isa: instruction set the library is compiled for.
    """

    form: ClassVar[str]
    name: ClassVar[str]
    tolerance: ClassVar[float]
    group: int = 8
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        """Maps of 14 x 14, the commonest of MobileNet's."""
        plane = 256 * (8 if self.form == "fp32" else 5)
        return self.shaped(self.group * max(1, 4 * size // (plane * self.group)), 14, 14, 3, rng)

    def shaped(self, channels: int, height: int, width: int, kernel: int, rng: np.random.Generator) -> Arrays:
        """Random maps and filters, the maps padded as the C code wants them.

        Raises:
            KernelError: groups that do not divide the channels, or an even kernel.
        """
        if channels % self.group or kernel % 2 == 0:
            raise KernelError("groups divide the channels, kernels are odd", value=(channels, self.group, kernel))
        stride, edge = width + kernel - 1, kernel // 2
        out = -(-height * stride // POSITIONS) * POSITIONS
        x = zeros((channels, out + (kernel - 1) * (stride + 1)), np.float32 if self.form == "fp32" else np.int8)
        inside = x[:, : (height + kernel - 1) * stride].reshape(channels, height + kernel - 1, stride)
        shape, taps = (channels, height, width), self.group * kernel * kernel
        values = self._draw(shape, rng)
        inside[:, edge : edge + height, edge : edge + width] = values
        w = self._draw((channels, taps), rng)
        at = [
            [[c * x.shape[1] + i * stride + j for j in range(kernel)] for i in range(kernel)] for c in range(self.group)
        ]
        distances = np.array(at, np.int64).reshape(-1)
        found = {
            "x": x, "w": aligned(w), "at": np.append(distances, distances[-1:]),
            "shape": np.array([height, width, kernel], np.int64),
            "y": zeros((channels, out), np.float32 if self.form == "fp32" else np.int32),
        }  # fmt: skip
        if self.form == "int8":
            found["pairs"] = aligned(np.pad(w, ((0, 0), (0, taps % 2))).astype(np.int16))
        return found

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[Any]:
        if self.form == "fp32":
            return rng.standard_normal(shape, dtype=np.float32)
        return rng.integers(-127, 128, shape, np.int8)

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        for channels, group, height, width, kernel in SHAPES:
            kind = type(self)(group, self.isa)
            yield (
                f"{channels} channels by {group}, {height} x {width}, {kernel}",
                kind.shaped(channels, height, width, kernel, rng),
            )

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """Tap by tap over flat planes, in 64 bits."""
        wide: type[Any] = np.float64 if self.form == "fp32" else np.int64
        x, w, y = inputs["x"].astype(wide), inputs["w"].astype(wide), inputs["y"]
        taps = w.shape[1]
        group = taps // int(inputs["shape"][2]) ** 2
        at = inputs["at"][:taps]
        out = np.zeros(y.shape, wide)
        for channel in range(len(y)):
            planes = x[channel // group * group :].reshape(-1)
            for tap in range(taps):
                out[channel] += w[channel, tap] * planes[at[tap] : at[tap] + y.shape[1]]
        return out

    def tasks(self, inputs: Arrays) -> list[Task]:
        w = inputs["pairs"] if self.form == "int8" else inputs["w"]
        taps = inputs["w"].shape[1]
        group = taps // int(inputs["shape"][2]) ** 2
        x, at, y = inputs["x"], inputs["at"], inputs["y"]
        pointers = (x.ctypes.data, w.ctypes.data, at.ctypes.data, y.ctypes.data)
        job = _Job(*pointers, group, taps, x.shape[1], y.shape[1])
        function = task_function(load_shipped("group_conv", self.isa), f"group_conv_{self.form}")
        grain = next(g for g in (8, 4, 2, 1) if group % g == 0)
        return [Task(function, job, len(y), grain, (x, w, at, y), f"group conv {self.form}")]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["y"]

    def result(self, inputs: Arrays) -> NDArray[Any]:
        """(channels, height, width) of the last run, without the padding."""
        height, width, kernel = (int(v) for v in inputs["shape"])
        stride, y = width + kernel - 1, inputs["y"]
        return np.asarray(y[:, : height * stride].reshape(len(y), height, stride)[:, :, :width])

    def work(self, inputs: Arrays) -> Work:
        """Multiply-adds on the maps themselves, not on the padding; every array once."""
        height, width, _ = (int(v) for v in inputs["shape"])
        return Work(2.0 * inputs["w"].size * height * width, float(sum(a.nbytes for a in inputs.values())))


class GroupConvFP32(GroupConv):
    """fp32; sums in fp32."""

    name, form, tolerance = "group-conv-fp32", "fp32", 1e-4


class GroupConvInt8(GroupConv):
    """int8 with sums in int32: exact."""

    name, form, tolerance = "group-conv-int8", "int8", 1e-12

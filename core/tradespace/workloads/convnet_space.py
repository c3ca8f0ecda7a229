"""The space of networks that MCUNet searches: width, resolution, and per block kernel, expansion and depth.

`ConvNetSpace.shapes` decodes a batch of designs into arrays over block slots; `ConvNetSpace.network` decodes one design
into a `ConvNet`. The two are written apart and tests hold them equal.

Source: MCUNet (arXiv 2007.10319) section 3.1 and appendix D; base widths and strides of ProxylessNAS in the
once-for-all repository (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Space, Variable
from tradespace.workloads.convnet import Block, ConvNet

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one width; the first has the stride, the others 1. `depths`: how many blocks it may have."""

    width: int
    stride: int
    depths: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Shapes:
    """N networks over B block slots; every array is int64, ``(N,)`` or ``(N, B)``.

    Args:
        resolution, stem, last, classes: as in `ConvNet`.
        active: slots that exist; the other numbers of a slot that does not are those of a block that is skipped.
        kernel, stride, inputs, middle, outputs: of each block.
        height, out_height: of its input and output maps.
        shortcut: 1 where the block adds its input.
    """

    channels: int
    resolution: Ints
    stem: Ints
    last: Ints
    classes: Ints
    active: NDArray[np.bool_]
    kernel: Ints
    stride: Ints
    inputs: Ints
    middle: Ints
    outputs: Ints
    height: Ints
    out_height: Ints
    shortcut: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.resolution)


def make_divisible(value: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least `divisor` and at least 0.9 of `value` (MobileNet's rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclass(frozen=True)
class ConvNetSpace:
    """A family of networks.

    Args:
        widths: width multipliers.
        resolutions: of the input image.
        kernels, expansions: choices of every block but the first.
        stem, first: base channels of the stem and of the first block (3x3, no expansion).
        stages: in order.
        last: base channels of the 1x1 layer before pooling; 0: left out. Widths below 1 leave it as it is, as in the
            super-network of the mcunet repository (MIT).
        classes: outputs.
        divisor: channels are multiples of it.
    """

    name: str
    widths: tuple[float, ...]
    resolutions: tuple[int, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    stem: int
    first: int
    stages: tuple[Stage, ...]
    last: int
    classes: int
    channels: int = 3
    divisor: int = 8
    sources: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float | str] = field(default_factory=dict)

    kind = "convnet-space"

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """width, resolution, then per stage `depth1`, `kernel1`, `expand1` ... (no depth where it is fixed)."""
        found: list[Variable] = [Choice("width", self.widths), Choice("resolution", self.resolutions)]
        for number, stage in enumerate(self.stages, start=1):
            free = len(stage.depths) > 1
            if free:
                found.append(Choice(f"depth{number}", stage.depths))
            prefix, length = (f"depth{number}" if free else None), max(stage.depths)
            names = tuple(f"{number}.{j}" for j in range(length))
            found.append(Choice(f"kernel{number}", self.kernels, length, names, prefix=prefix))
            found.append(Choice(f"expand{number}", self.expansions, length, names, prefix=prefix))
        return tuple(found)

    @cached_property
    def space(self) -> Space:
        return Space(*self.variables)

    def scaled(self, base: int, width: float) -> int:
        return make_divisible(base * width, self.divisor)

    def mixed(self, width: float) -> int:
        """Channels of the layer before pooling."""
        return make_divisible(self.last * max(width, 1.0), self.divisor) if self.last else 0

    def shapes(self, designs: Designs) -> Shapes:
        """Block slots of a batch: slot 0 is the first block, then the stages at their greatest depth."""
        n, code = len(designs), designs["width"]
        channels = {
            base: np.array([self.scaled(base, w) for w in self.widths], np.int64)[code]
            for base in {self.stem, self.first, *(s.width for s in self.stages)}
        }
        resolution = np.asarray(self.resolutions, np.int64)[designs["resolution"]]
        height = _halved(resolution, 2)
        rows: list[tuple[Any, ...]] = []
        one = np.ones(n, np.int64)
        width = channels[self.first]
        yes = np.ones(n, bool)
        rows.append((yes, 3 * one, one, channels[self.stem], channels[self.stem], width, height, height))
        for number, stage in enumerate(self.stages, start=1):
            depth = self._depth(designs, number, n)
            kernels = np.asarray(self.kernels, np.int64)[designs[f"kernel{number}"]]
            expands = np.asarray(self.expansions, np.int64)[designs[f"expand{number}"]]
            out = channels[stage.width]
            for j in range(max(stage.depths)):
                stride = stage.stride if j == 0 else 1
                after = _halved(height, stride)
                middle = expands[:, j] * width
                rows.append((depth > j, kernels[:, j], stride * one, width, middle, out, height, after))
                width, height = out, after
        active, kernel, stride_, inputs, middle_, outputs, before, after_ = (
            np.stack(column, axis=1) for column in zip(*rows, strict=True)
        )
        shortcut = (stride_ == 1) & (inputs == outputs)
        shortcut[:, 0] = False
        last = np.array([self.mixed(w) for w in self.widths], np.int64)[code]
        return Shapes(
            self.channels, resolution, channels[self.stem], last, self.classes * one, active, kernel, stride_, inputs,
            middle_, outputs, before, after_, shortcut,
        )  # fmt: skip

    def _depth(self, designs: Designs, number: int, n: int) -> Ints:
        depths = self.stages[number - 1].depths
        if len(depths) == 1:
            return np.full(n, depths[0], np.int64)
        return np.asarray(depths, np.int64)[designs[f"depth{number}"]]

    def network(self, design: Designs, row: int = 0) -> ConvNet:
        """One design as a network, block by block from what a person reads."""
        chosen = design.show(row)
        width = float(chosen["width"])
        stem = self.scaled(self.stem, width)
        blocks = [Block(3, stem, self.scaled(self.first, width), shortcut=False)]
        for number, stage in enumerate(self.stages, start=1):
            for j in range(int(chosen.get(f"depth{number}", stage.depths[0]))):
                expand = int(chosen[f"expand{number}"][j])
                blocks.append(
                    Block(
                        kernel=int(chosen[f"kernel{number}"][j]),
                        middle=expand * blocks[-1].out,
                        out=self.scaled(stage.width, width),
                        stride=stage.stride if j == 0 else 1,
                    )
                )
        last = self.mixed(width)
        return ConvNet(int(chosen["resolution"]), stem, tuple(blocks), last, self.classes, self.channels)


@dataclass(frozen=True)
class OneNet:
    """A single network in the form of a space: nothing to decide."""

    name: str
    net: ConvNet

    variables: tuple[Variable, ...] = ()

    def network(self, design: Designs, row: int = 0) -> ConvNet:
        return self.net

    def shapes(self, designs: Designs) -> Shapes:
        """The network's slots, once a design."""
        n, net, height = len(designs), self.net, -(-self.net.resolution // 2)
        rows, width = [], net.stem
        for b in net.blocks:
            after = -(-height // b.stride)
            add = b.shortcut and b.stride == 1 and width == b.out
            rows.append((1, b.kernel, b.stride, width, b.middle, b.out, height, after, add))
            width, height = b.out, after
        slots = np.tile(np.array(rows, np.int64).T[:, None, :], (1, n, 1))
        resolution, stem, last, classes = (
            np.full(n, v, np.int64) for v in (net.resolution, net.stem, net.last, net.classes)
        )
        kernel, stride, inputs, middle, outputs, before, out_height = slots[1:8]
        return Shapes(
            net.channels, resolution, stem, last, classes, slots[0] > 0, kernel, stride, inputs, middle, outputs,
            before, out_height, slots[8] > 0,
        )  # fmt: skip


def _halved(height: Ints, stride: int) -> Ints:
    return height if stride == 1 else -(-height // stride)

"""Convolutional networks of inverted residual blocks: one network as layers and as an operator graph.

Shapes follow MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) and ProxylessNAS: a 3x3 stem of stride 2, blocks of
1x1 expansion, depthwise convolution and 1x1 projection, a 1x1 layer before pooling (which may be left out to save
weights), pooling, a classifier. Padding is "same": a layer of stride s maps h to ceil(h / s). Batch norm and the
activation are folded into their convolution, so a layer stores its weights and one bias per output channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradespace.errors import InputError
from tradespace.workloads.operators import PRICED, Edges, OperatorGraph, Operators


@dataclass(frozen=True, slots=True)
class Block:
    """One inverted residual block.

    Args:
        kernel: of the depthwise convolution (odd).
        middle: channels after the expansion; equal to the block's input: no expansion layer.
        out: channels after the projection.
        stride: of the depthwise convolution, 1 or 2.
        shortcut: add the block's input where shapes allow; False switches it off.
    """

    kernel: int
    middle: int
    out: int
    stride: int = 1
    shortcut: bool = True


@dataclass(frozen=True, slots=True)
class ConvNet:
    """One network.

    Args:
        resolution: height and width of the input image.
        stem: channels after the 3x3 stem.
        blocks: in order.
        last: channels of the 1x1 layer before pooling; 0: left out.
        classes: outputs of the classifier.
        channels: of the image.
    """

    resolution: int
    stem: int
    blocks: tuple[Block, ...]
    last: int
    classes: int
    channels: int = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of a network, in the order of execution.

    Args:
        name: "<block>.<layer>".
        kind: conv, elementwise (addition), aggregate (pooling) or matmul (classifier).
        block: index of the block it belongs to.
        kernel, stride, groups: of a convolution.
        inputs, outputs: channels.
        height, out_height: of the square maps.
        reads: layers whose outputs it reads; -1 is the image.
    """

    name: str
    kind: str
    block: int
    kernel: int
    stride: int
    groups: int
    inputs: int
    outputs: int
    height: int
    out_height: int
    reads: tuple[int, ...]

    @property
    def depthwise(self) -> bool:
        return self.kind == "conv" and self.groups > 1 and self.groups == self.inputs

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.out_height**2 * self.weights if self.kind in ("conv", "matmul") else 0

    @property
    def weights(self) -> int:
        """Weight elements without biases."""
        if self.kind not in ("conv", "matmul"):
            return 0
        return self.kernel**2 * (self.inputs // self.groups) * self.outputs

    @property
    def biases(self) -> int:
        return self.outputs if self.kind in ("conv", "matmul") else 0

    @property
    def elements_in(self) -> int:
        return self.height**2 * self.inputs * len(self.reads)

    @property
    def elements_out(self) -> int:
        return self.out_height**2 * self.outputs


def layers(net: ConvNet) -> tuple[Layer, ...]:
    """The layers of a network. Block 0 is the stem, the last one the head (1x1 layer, pooling, classifier)."""
    found: list[Layer] = []

    def conv(name: str, block: int, kernel: int, stride: int, groups: int, inputs: int, outputs: int, h: int) -> int:
        reads = (len(found) - 1,)
        out = -(-h // stride)
        found.append(Layer(name, "conv", block, kernel, stride, groups, inputs, outputs, h, out, reads))
        return out

    height = conv("stem.conv", 0, 3, 2, 1, net.channels, net.stem, net.resolution)
    width = net.stem
    for number, b in enumerate(net.blocks, start=1):
        name, entry, before = f"{number - 1}", len(found) - 1, height
        if b.middle != width:
            conv(f"{name}.expand", number, 1, 1, 1, width, b.middle, height)
        height = conv(f"{name}.depthwise", number, b.kernel, b.stride, b.middle, b.middle, b.middle, height)
        conv(f"{name}.project", number, 1, 1, 1, b.middle, b.out, height)
        if b.shortcut and b.stride == 1 and b.out == width and before == height:
            reads = (entry, len(found) - 1)
            found.append(Layer(f"{name}.add", "elementwise", number, 1, 1, 1, width, width, height, height, reads))
        width = b.out
    head = len(net.blocks) + 1
    if net.last:
        conv("head.mix", head, 1, 1, 1, width, net.last, height)
        width = net.last
    found.append(Layer("head.pool", "aggregate", head, height, height, 1, width, width, height, 1, (len(found) - 1,)))
    found.append(Layer("head.classifier", "matmul", head, 1, 1, 1, width, net.classes, 1, 1, (len(found) - 1,)))
    return tuple(found)


@dataclass(frozen=True)
class NetOrigin:
    """Name and source of a network, and what its weights are shipped in."""

    name: str
    source: str
    kind: str = "derived"
    native_precision: str | None = "int8"
    facts: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ConvGraph(OperatorGraph):
    """An operator graph that still knows its layers: what a memory planner needs and operators do not hold."""

    net: ConvNet | None = None


def graph(net: ConvNet, origin: NetOrigin) -> ConvGraph:
    """The network as operators: one inference of one image is the job.

    A convolution is a grouped product: m = output positions, k = kernel^2 x channels of a group, n = outputs of a
    group, count = groups; FLOP are 2 m k n count plus one add per biased output. An addition costs one FLOP an element,
    pooling one per input element.
    """
    rows = layers(net)
    columns = np.array([[_columns(row)[column] for column in PRICED] for row in rows])
    pairs = [(a, b, float(rows[a].elements_out)) for b, row in enumerate(rows) for a in row.reads if a >= 0]
    blocks = ("stem", *(str(i) for i in range(len(net.blocks))), "head")
    operators = Operators(
        name=tuple(row.name for row in rows),
        kind=tuple(row.kind for row in rows),
        block=np.array([row.block for row in rows], np.int32),
        repeat=np.ones(len(rows)),
        **{column: np.ascontiguousarray(columns[:, i]) for i, column in enumerate(PRICED)},
    )
    facts = {"layers": len(rows), "resolution": net.resolution, "classes": net.classes, "macs": _total(rows, "macs")}
    return ConvGraph(
        net=net,
        name=origin.name,
        operators=operators,
        blocks=blocks,
        edges=_edges(pairs),
        parameters=float(operators.weights_resident.sum()),
        sources={"shape": origin.source, "kind": origin.kind},
        native_precision=origin.native_precision,
        facts={**facts, **origin.facts},
    )


def _columns(row: Layer) -> dict[str, float]:
    product = row.kind in ("conv", "matmul")
    stored = float(row.weights + row.biases)
    flop = 2.0 * row.macs + row.biases * row.out_height**2 if product else float(row.elements_in)
    if row.kind == "elementwise":
        flop = float(row.elements_out)
    values: dict[str, float] = dict.fromkeys(PRICED, 0.0)
    if product:
        values |= {
            "m": float(row.out_height**2),
            "k": float(row.kernel**2 * (row.inputs // row.groups)),
            "n": float(row.outputs // row.groups),
            "count": float(row.groups),
        }
    if row.kind == "conv":
        values |= dict.fromkeys(("out_height", "out_width"), float(row.out_height))
        values |= dict.fromkeys(("kernel_height", "kernel_width"), float(row.kernel))
    return values | {
        "flop": flop, "weights": stored, "weights_resident": stored,
        "act_in": float(row.elements_in), "act_out": float(row.elements_out),
    }  # fmt: skip


def _edges(pairs: Sequence[tuple[int, int, float]]) -> Edges:
    source, dest, elements = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    return Edges(source.astype(np.int32), dest.astype(np.int32), elements, np.ones(len(pairs)))


def _total(rows: Sequence[Layer], what: str) -> float:
    return float(sum(getattr(row, what) for row in rows))


def check_net(net: ConvNet, where: str) -> None:
    """Raises `InputError` for a network that cannot be."""
    numbers: list[tuple[str, Any, int]] = [
        ("resolution", net.resolution, 4096),
        ("stem", net.stem, 65_536),
        ("classes", net.classes, 1_000_000),
        ("channels", net.channels, 4096),
    ]
    for key, value, high in numbers:
        if not 1 <= value <= high:
            raise InputError(f"'{key}' is a whole number from 1 to {high}", value=value, where=where)
    if not 1 <= len(net.blocks) <= 512:
        raise InputError("a network has 1 to 512 blocks", value=len(net.blocks), where=where)
    for number, b in enumerate(net.blocks):
        if b.kernel % 2 != 1 or not 1 <= b.kernel <= 31 or b.stride not in (1, 2):
            raise InputError("a block has an odd kernel up to 31 and stride 1 or 2", value=b, where=f"{where}.{number}")
        if not (1 <= b.middle <= 65_536 and 1 <= b.out <= 65_536):
            raise InputError("channels are 1 to 65536", value=b, where=f"{where}.{number}")

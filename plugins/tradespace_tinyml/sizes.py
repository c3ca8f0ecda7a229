"""How large thousands of networks are: multiply-adds, parameters, Flash and peak SRAM of a batch of `Shapes`.

The twin for one network goes another way: layers, their tensors and lifetimes, then the readable planner (`sizes_of`).
int8 weights and activations, one byte each; what a library stores or keeps per output channel is the library's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.memory_planner import Buffer, Order, TensorOp, buffers_of, plan
from tradespace.costs.memory_planner_batch import PackedBuffers, peaks
from tradespace.workloads.convnet import ConvNet, Layer, layers
from tradespace.workloads.convnet_space import Shapes
from tradespace_tinyml.libraries import Library

Ints = NDArray[np.int64]

OPS = 5
"""Operators of a block slot: expand, pad, depthwise, project, add."""
EXPAND, PAD, DEPTHWISE, PROJECT, ADD = range(OPS)


@dataclass(frozen=True, eq=False)
class Sizes:
    """(N,) int64 each: multiply-adds, parameters (weights and biases), output channels with a bias, bytes."""

    macs: Ints
    params: Ints
    flash: Ints
    sram: Ints
    scratch: Ints


def sizes(shapes: Shapes, library: Library, order: Order = "size") -> Sizes:
    """Sizes of N networks. `sram` is the arena of activations plus `scratch` plus what an interpreter keeps."""
    macs, weights, biases = _counts(shapes)
    scratch = _scratch(shapes, library)
    flash = weights + library.stored * biases + int(library.code.value)
    arena = peaks(buffers(shapes, library), order)
    operators = _there(shapes, library).sum(axis=1)
    kept = library.kept * biases + int(library.structures.value) * operators
    return Sizes(macs, weights + biases, flash, arena + scratch + kept, scratch)


def _expands(s: Shapes) -> NDArray[np.bool_]:
    return np.asarray(s.active & (s.middle != s.inputs))


def _counts(s: Shapes) -> tuple[Ints, Ints, Ints]:
    """Multiply-adds, weights without biases, biases."""
    expand = s.inputs * s.middle * _expands(s)
    depthwise = s.kernel**2 * s.middle * s.active
    project = s.middle * s.outputs * s.active
    out = s.out_height**2
    macs = (s.height**2 * expand + out * (depthwise + project)).sum(axis=1)
    weights = (expand + depthwise + project).sum(axis=1)
    biases = (s.middle * _expands(s) + (s.middle + s.outputs) * s.active).sum(axis=1)
    stem, (width, height) = 9 * s.channels * s.stem, _end(s)
    mix, feature = width * s.last, np.where(s.last > 0, s.last, width)
    classifier = feature * s.classes
    macs = macs + s.height[:, 0] ** 2 * stem + height**2 * mix + classifier
    return macs, weights + stem + mix + classifier, biases + s.stem + s.last + s.classes


def _end(s: Shapes) -> tuple[Ints, Ints]:
    """Channels and height that the head reads: those of the last active block."""
    last = s.active.shape[1] - 1 - np.argmax(s.active[:, ::-1], axis=1)
    rows = np.arange(len(s))
    return s.outputs[rows, last], s.out_height[rows, last]


def _scratch(s: Shapes, library: Library) -> Ints:
    """One im2col buffer and one kernel buffer for the whole model, bytes; 0 for a library that keeps none apart."""
    if library.scratch != "apart":
        return np.zeros(len(s), np.int64)
    columns = 4 * np.where(s.active, s.middle, 0).max(axis=1)  # projections
    columns = np.maximum(columns, 4 * np.where(_expands(s), s.inputs, 0).max(axis=1))
    columns = np.maximum(columns, 4 * 9 * s.channels)
    columns = np.maximum(columns, np.where(s.last > 0, 4 * _end(s)[0], 0))
    depthwise = 2 * (s.height + s.kernel - 1) ** 2 if library.in_place else 2 * s.kernel**2 * s.middle
    columns = np.maximum(columns, np.where(s.active, depthwise, 0).max(axis=1))
    return np.asarray(columns + (2 * 9 * s.channels * s.stem if library.widened else 0))


# -- buffers ----------------------------------------------------------------------------------------------------------


@dataclass
class _Columns:
    """Collects buffers, (N,) each."""

    rows: list[tuple[Ints, Ints, Ints, Ints, Ints]]

    def add(self, start: Ints, end: Ints, size: Ints, cut: Ints | None = None, rest: Ints | None = None) -> None:
        self.rows.append((start, end if cut is None else cut, end, size, size if rest is None else rest))

    def packed(self) -> PackedBuffers:
        start, cut, end, size, rest = (np.stack(column, axis=1) for column in zip(*self.rows, strict=True))
        return PackedBuffers(
            start.astype(np.int32), cut.astype(np.int32), end.astype(np.int32), size.astype(np.int64), rest
        )


def buffers(s: Shapes, library: Library) -> PackedBuffers:
    """Lifetimes of all tensors of N networks, in steps of the operators that each network really has."""
    n, slots = s.active.shape
    step = _steps(s, library)
    found = _Columns([])
    zero = np.zeros(n, np.int64)
    head = step[:, -3:]
    width, height = _end(s)
    mixed = s.last > 0
    entry = np.where(mixed, head[:, 0], head[:, 1])
    found.add(head[:, 0], head[:, 1], height**2 * s.last)
    found.add(head[:, 1], head[:, 2], np.where(mixed, s.last, width))
    found.add(head[:, 2], head[:, 2], s.classes)
    end, cut, rest = entry.copy(), entry.copy(), np.full(n, -1, np.int64)
    for b in range(slots - 1, -1, -1):
        at = step[:, 2 + OPS * b : 2 + OPS * (b + 1)]
        on = s.active[:, b]
        made = s.out_height[:, b] ** 2 * s.outputs[:, b] * on
        kept = np.where(rest < 0, made, rest)
        add = s.shortcut[:, b] & on
        found.add(np.where(add, at[:, ADD], at[:, PROJECT]), end, made, cut, np.minimum(kept, made))
        found.add(at[:, PROJECT], at[:, ADD], np.where(add, made, 0))
        end, cut, rest = _inside(s, b, at, on, add, library, found, (end, cut, rest))
    stem = s.height[:, 0] ** 2 * s.stem
    found.add(step[:, 1], end, stem, cut, np.where(rest < 0, stem, rest))
    image = s.resolution**2 * s.channels
    if library.fused_pads:
        found.add(zero, step[:, 1], image)
    else:
        even = s.resolution % 2 == 0
        found.add(zero, np.where(even, step[:, 0], step[:, 1]), image)
        found.add(step[:, 0], step[:, 1], np.where(even, (s.resolution + 2) ** 2 * s.channels, 0))
    if library.scratch == "planned":
        found.add(step[:, 1], step[:, 1], np.full(n, 4 * 9 * s.channels))
    return found.packed()


def _inside(
    s: Shapes,
    b: int,
    at: Ints,
    on: NDArray[np.bool_],
    add: NDArray[np.bool_],
    library: Library,
    found: _Columns,
    after: tuple[Ints, Ints, Ints],
) -> tuple[Ints, Ints, Ints]:
    """The middle tensors of a block, and how its input is used: (end, cut, rest), rest -1 where it does not shrink."""
    large = s.height[:, b] ** 2 * s.middle[:, b] * on
    small = s.out_height[:, b] ** 2 * s.middle[:, b] * on
    expands = on & (s.middle[:, b] != s.inputs[:, b])
    pads = _pads(s, library)[:, b]
    reader = np.where(pads, at[:, PAD], at[:, DEPTHWISE])
    first = np.where(expands, at[:, EXPAND], reader)
    end = np.where(on, np.where(add, at[:, ADD], first), after[0])
    cut, rest = np.where(on, end, after[1]), np.where(on, -1, after[2])
    if library.in_place:
        found.add(at[:, EXPAND], at[:, PROJECT], np.where(expands, large, 0), at[:, DEPTHWISE], small * expands)
        takes = on & ~expands & ~add
        end, cut = np.where(takes, at[:, PROJECT], end), np.where(takes, at[:, DEPTHWISE], cut)
        rest = np.where(takes, small, rest)
        found.add(at[:, DEPTHWISE], at[:, PROJECT], np.where(on & ~expands & add, small, 0))
        return end, cut, rest
    found.add(at[:, EXPAND], reader, np.where(expands, large, 0))
    found.add(at[:, DEPTHWISE], at[:, PROJECT], small)
    if library.scratch == "planned":
        found.add(at[:, DEPTHWISE], at[:, DEPTHWISE], 2 * s.kernel[:, b] ** 2 * s.middle[:, b] * on)
    if not library.fused_pads:
        padded = (s.height[:, b] + s.kernel[:, b] - 1) ** 2 * s.middle[:, b] * pads
        found.add(at[:, PAD], at[:, DEPTHWISE], padded)
    return end, cut, rest


def _pads(s: Shapes, library: Library) -> NDArray[np.bool_]:
    """(N, B) whether padding is an operator of its own: before a layer of stride 2 over an even map, where PyTorch's
    symmetric padding is none of TensorFlow's."""
    alone = s.active & (s.stride == 2) & (s.height % 2 == 0)
    return np.asarray(alone & (not library.fused_pads))


def _steps(s: Shapes, library: Library) -> Ints:
    """(N, 2 + 5 B + 3) step of each possible operator: pad and stem, the slots, then mix, pool, classifier.

    An operator that a network lacks has the step of the one before it.
    """
    return np.asarray(np.maximum(_there(s, library).cumsum(axis=1) - 1, 0))


def _there(s: Shapes, library: Library) -> NDArray[np.bool_]:
    """Like `_steps`: whether a network has the operator."""
    n, slots = s.active.shape
    there = np.zeros((n, 2 + OPS * slots + 3), bool)
    there[:, 0], there[:, 1] = (s.resolution % 2 == 0) & (not library.fused_pads), True
    there[:, 2 + EXPAND : -3 : OPS] = _expands(s)
    there[:, 2 + PAD : -3 : OPS] = _pads(s, library)
    there[:, 2 + DEPTHWISE : -3 : OPS] = s.active
    there[:, 2 + PROJECT : -3 : OPS] = s.active
    there[:, 2 + ADD : -3 : OPS] = s.active & s.shortcut
    there[:, -3], there[:, -2:] = s.last > 0, True
    return there


# -- the twin ---------------------------------------------------------------------------------------------------------


def sizes_of(net: ConvNet, library: Library, order: Order = "size") -> tuple[int, int, int, int]:
    """(multiply-adds, parameters, Flash, SRAM) of one network, layer by layer."""
    rows = layers(net)
    weights, biases = sum(r.weights for r in rows), sum(r.biases for r in rows)
    flash = weights + library.stored * biases + int(library.code.value)
    tensors, ops = tensors_of(rows, library)
    arena = plan([*buffers_of(tensors, ops, in_place=library.in_place), *_planned(rows, ops, library)], order).peak
    kept = library.kept * biases + int(library.structures.value) * len(ops)
    return sum(r.macs for r in rows), weights + biases, flash, arena + scratch_of(rows, library) + kept


def _planned(rows: Sequence[Layer], ops: Sequence[TensorOp], library: Library) -> list[Buffer]:
    """im2col buffers that live for one operator, where the library plans them."""
    if library.scratch != "planned":
        return []
    steps = [step for step, op in enumerate(ops) if not op.pads]
    found = [(step, column_bytes(row.kernel, row.inputs, row.depthwise)) for step, row in zip(steps, rows, strict=True)]
    return [Buffer(step, step, size) for step, size in found if size]


def column_bytes(kernel: int, inputs: int, depthwise: bool) -> int:
    """CMSIS-NN's 16-bit im2col buffer: one column of a depthwise convolution, two of another larger than 1x1."""
    return (2 if depthwise else 4) * kernel**2 * inputs if kernel > 1 else 0


def tensors_of(rows: Sequence[Layer], library: Library) -> tuple[list[int], list[TensorOp]]:
    """Bytes of every tensor (tensor 0 is the image) and the operators that read and write them."""
    tensors, ops = [rows[0].height ** 2 * rows[0].inputs], []
    made: dict[int, int] = {-1: 0}  # layer -> tensor
    for index, row in enumerate(rows):
        reads = tuple(made[r] for r in row.reads)
        if row.kind == "conv" and row.stride == 2 and row.height % 2 == 0 and not library.fused_pads:
            tensors.append((row.height + row.kernel - 1) ** 2 * row.inputs)
            ops.append(TensorOp(reads, len(tensors) - 1, pads=True))
            reads = (len(tensors) - 1,)
        tensors.append(row.elements_out)
        made[index] = len(tensors) - 1
        ops.append(TensorOp(reads, len(tensors) - 1, row.depthwise))
    return tensors, ops


def scratch_of(rows: Sequence[Layer], library: Library) -> int:
    """im2col and kernel buffers, the largest of any layer."""
    columns = kernels = 0
    if library.scratch != "apart":
        return 0
    for row in (r for r in rows if r.kind == "conv"):
        if row.depthwise and library.in_place:
            columns = max(columns, 2 * (row.height + row.kernel - 1) ** 2)
        elif row.depthwise:
            columns = max(columns, 2 * row.kernel**2 * row.inputs)
        else:
            columns = max(columns, 4 * row.kernel**2 * row.inputs)
            if row.kernel > 1 and library.widened:
                kernels = max(kernels, 2 * row.weights)
    return columns + kernels

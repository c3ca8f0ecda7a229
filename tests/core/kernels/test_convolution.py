"""int8 convolutions: equal to numpy bit for bit, in place and through im2col, and never outside the planned arena."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tradespace.costs.memory_planner import Buffer, TensorOp, buffers_of, plan
from tradespace.kernels.build import KernelError, compiler
from tradespace.kernels.convolution import (
    CASES,
    ConvDirect,
    ConvIm2col,
    Convolution,
    DepthwiseApart,
    DepthwiseInPlace,
    Shape,
)
from tradespace.testing.kernels import check_kernel

KERNELS = (ConvDirect(), ConvIm2col(), DepthwiseApart(), DepthwiseInPlace())
GUARD = 256


@pytest.fixture(autouse=True)
def _compiler() -> None:
    try:
        compiler()
    except KernelError as why:
        pytest.skip(f"no C compiler: {why}")


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.name)
def test_kernels_pass_their_kit(kernel: Convolution) -> None:
    report = check_kernel(kernel)
    assert report.passed, str(report)


@pytest.mark.parametrize(("kernel", "stride", "height"), [*itertools.product((1, 3, 5, 7), (1, 2), (1, 4, 9, 10))])
def test_variants_agree_bit_for_bit(kernel: int, stride: int, height: int) -> None:
    rng = np.random.default_rng(kernel * 100 + stride * 10 + height)
    for one, other in (KERNELS[:2], KERNELS[2:]):
        inputs = one.shaped(Shape(height, 6, 6 if one.depthwise else 10, kernel, stride), rng)
        expected = one.reference(inputs)
        assert np.array_equal(one.run(inputs), expected) and np.array_equal(other.run(inputs), expected)
        assert len(np.unique(expected)) > 1 or height == 1


def test_extreme_values_saturate_and_do_not_wrap() -> None:
    for kernel in KERNELS:
        inputs = dict(kernel.shaped(Shape(6, 64, 64, 7, 1), np.random.default_rng(0)))
        inputs["x"], inputs["w"] = np.full_like(inputs["x"], -128), np.full_like(inputs["w"], 127)
        got = kernel.run(inputs)
        assert np.array_equal(got, kernel.reference(inputs)) and got.min() == -128


def guarded(size: int) -> tuple[np.ndarray, np.ndarray]:
    """An arena of `size` bytes between canaries, and its whole memory."""
    whole = np.random.default_rng(1).integers(-128, 128, size + 2 * GUARD, np.int8)
    return whole[GUARD : GUARD + size], whole


@pytest.mark.parametrize("case", CASES[2:], ids=str)
@pytest.mark.parametrize("kernel", KERNELS[2:], ids=lambda k: k.name)
def test_no_byte_outside_the_planned_arena_is_touched(kernel: Convolution, case: tuple[int, ...]) -> None:
    """Addresses come from the planner; canaries around the arena, the scratch buffer and a bystander stay."""
    height, channels, _, size, stride = case
    shape = Shape(height, channels, channels, size, stride)
    inputs = kernel.shaped(shape, np.random.default_rng(2))
    in_place = isinstance(kernel, DepthwiseInPlace)
    bytes_in, bytes_out, bystander = height**2 * channels, shape.side**2 * channels, 77
    tensors = buffers_of([bytes_in, bytes_out], [TensorOp((0,), 1, True)], in_place=in_place)
    placed = plan([*tensors, Buffer(0, 0, bystander)])
    assert placed.peak == bystander + bytes_in + (0 if in_place else bytes_out)
    arena, whole = guarded(placed.peak)
    source, output = placed.addresses[0], placed.addresses[0 if in_place else 1]
    arena[source : source + bytes_in] = inputs["x"].reshape(-1)
    before = whole.copy()
    planned = kernel.scratch(shape)
    scratch = np.full(planned.size + 2 * GUARD, 12345, np.int16)
    inner = scratch[GUARD : GUARD + planned.size]
    kernel.call(inputs, arena[source:].ctypes.data, arena[output:].ctypes.data, inner)
    got = arena[output : output + bytes_out].reshape(shape.side, shape.side, channels)
    assert np.array_equal(got, kernel.reference(inputs))
    changed = np.flatnonzero(whole != before) - GUARD
    assert ((changed >= output) & (changed < output + bytes_out)).all()
    assert (scratch[:GUARD] == 12345).all() and (scratch[GUARD + planned.size :] == 12345).all()


def test_in_place_with_a_second_buffer_too_small_would_be_noticed() -> None:
    """The canary works: a kernel that writes one output too many changes a byte outside the arena."""
    kernel = DepthwiseApart()
    inputs = kernel.shaped(Shape(4, 3, 3, 3), np.random.default_rng(3))
    out, whole = guarded(4 * 4 * 3 - 1)
    before = whole.copy()
    kernel.call(inputs, inputs["x"].ctypes.data, out.ctypes.data, kernel.scratch(kernel.shape(inputs)))
    assert not np.array_equal(whole[GUARD + len(out) :], before[GUARD + len(out) :])

"""The memory planner: hand cases, its compiled twin, brute force, and the lower bound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.costs.memory_planner import ORDERS, Buffer, Order, TensorOp, buffers_of, live_bytes, plan
from tradespace.costs.memory_planner_batch import live_peaks, pack, peaks
from tradespace.errors import InputError


def random_buffers(rng: np.random.Generator, count: int, steps: int, largest: int) -> list[Buffer]:
    found = []
    for _ in range(count):
        start, cut, end = sorted(int(v) for v in rng.integers(0, steps, 3))
        size = int(rng.integers(0, largest + 1))
        found.append(Buffer(start, end, size, cut, int(rng.integers(0, size + 1))))
    return found


def overlap(a: Buffer, at_a: int, b: Buffer, at_b: int) -> bool:
    """Whether two placed buffers share a byte at some step: step by step and byte by byte."""
    for step in range(max(a.start, b.start), min(a.end, b.end) + 1):
        size_a, size_b = (sum(z for s, e, z in x.phases if s <= step <= e) for x in (a, b))
        if set(range(at_a, at_a + size_a)) & set(range(at_b, at_b + size_b)):
            return True
    return False


def optimum(buffers: list[Buffer]) -> int:
    """The least peak over all integer addresses, by trying them."""
    limit = sum(b.size for b in buffers)
    for peak in range(live_bytes(buffers), limit + 1):
        if fits(buffers, peak, []):
            return peak
    return limit


def fits(buffers: list[Buffer], peak: int, addresses: list[int]) -> bool:
    index = len(addresses)
    if index == len(buffers):
        return True
    here = buffers[index]
    for at in range(peak - here.size + 1):
        if not any(overlap(here, at, buffers[i], addresses[i]) for i in range(index)) and fits(
            buffers, peak, [*addresses, at]
        ):
            return True
    return False


# -- hand cases -------------------------------------------------------------------------------------------------------


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    chain = [Buffer(0, 1, 10), Buffer(1, 2, 30), Buffer(2, 3, 20)]
    assert plan(chain).peak == live_bytes(chain) == 50


def test_first_fit_puts_a_small_buffer_into_the_gap() -> None:
    buffers = [Buffer(0, 3, 8), Buffer(0, 1, 6), Buffer(2, 3, 4), Buffer(2, 3, 2)]
    placement = plan(buffers)
    assert placement.addresses == (0, 8, 8, 12)
    assert placement.peak == 14


def test_the_order_decides() -> None:
    """By size the long thin buffer comes last and lies on top; by lifetime it is at the bottom. Peaks by hand."""
    buffers = [Buffer(0, 9, 2), Buffer(0, 4, 3), Buffer(5, 9, 6)]
    assert plan(buffers, "size").addresses == (6, 0, 0)
    assert plan(buffers, "lifetime").addresses == (0, 2, 2)
    assert plan(buffers, "size").peak == plan(buffers, "lifetime").peak == 8


def test_a_shrunk_buffer_frees_its_tail() -> None:
    """A stride-2 depthwise layer leaves a quarter: what comes later fits behind it."""
    whole, shrinking = Buffer(0, 2, 16), Buffer(0, 2, 16, cut=1, rest=4)
    later = Buffer(2, 3, 12)
    assert plan([whole, later]).peak == 28
    assert plan([shrinking, later]).addresses == (0, 4)
    assert plan([shrinking, later]).peak == 16


def inverted_residual(in_place: bool, stride: int = 1) -> list[Buffer]:
    """4 channels of 8x8 -> expand to 12 -> depthwise -> project to 4 (sizes in bytes)."""
    small = 64 // stride**2
    sizes = [4 * 64, 12 * 64, 12 * small, 4 * small]
    ops = [TensorOp((0,), 1), TensorOp((1,), 2, in_place=True), TensorOp((2,), 3)]
    return buffers_of(sizes, ops, in_place=in_place)


def test_a_depthwise_layer_needs_one_buffer_instead_of_two() -> None:
    assert plan(inverted_residual(False)).peak == 2 * 12 * 64
    assert plan(inverted_residual(True)).peak == (4 + 12) * 64
    assert plan(inverted_residual(True, stride=2)).peak == (4 + 12) * 64
    assert [b.phases for b in inverted_residual(True, stride=2)][1] == ((0, 1, 768), (2, 2, 192))


def test_a_tensor_that_is_read_again_is_not_overwritten() -> None:
    ops = [TensorOp((0,), 1), TensorOp((1,), 2, in_place=True), TensorOp((1, 2), 3)]
    assert buffers_of([5, 5, 5, 5], ops) == buffers_of([5, 5, 5, 5], ops, in_place=False)
    assert plan(buffers_of([5, 5, 5, 5], ops)).peak == 15


# -- independent checks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
def test_no_two_buffers_share_a_byte(order: Order) -> None:
    rng = np.random.default_rng(1)
    for _ in range(150):
        buffers = random_buffers(rng, int(rng.integers(2, 8)), 6, 6)
        placed = plan(buffers, order)
        for i, j in itertools.combinations(range(len(buffers)), 2):
            assert not overlap(buffers[i], placed.addresses[i], buffers[j], placed.addresses[j])


@pytest.mark.parametrize("order", ORDERS)
def test_the_compiled_twin_agrees_on_thousands_of_networks(order: Order) -> None:
    rng = np.random.default_rng(2)
    networks = [random_buffers(rng, int(rng.integers(0, 24)), 10, 9) for _ in range(3000)]
    expected = np.array([plan(buffers, order).peak for buffers in networks])
    packed = pack(networks)
    assert np.array_equal(peaks(packed, order), expected)
    lower = live_peaks(packed)
    assert np.array_equal(lower, [live_bytes(buffers) for buffers in networks])
    assert (lower <= expected).all()
    assert (expected > lower).any(), "ties everywhere: the instances are too easy to tell the planner from its bound"


def test_brute_force_never_beats_the_bound_nor_loses_to_first_fit() -> None:
    rng, gaps = np.random.default_rng(3), 0
    for _ in range(120):
        buffers = random_buffers(rng, int(rng.integers(2, 6)), 5, 4)
        best = optimum(buffers)
        assert live_bytes(buffers) <= best <= min(plan(buffers, order).peak for order in ORDERS)
        gaps += best < plan(buffers, "size").peak
    assert gaps, "first fit is optimal on every instance: they are too easy"


def test_a_batch_of_thousands_is_split_without_a_seam() -> None:
    rng = np.random.default_rng(4)
    networks = [random_buffers(rng, 6, 6, 9) for _ in range(50)]
    small = peaks(pack(networks))
    assert np.array_equal(peaks(pack(networks * 100)), np.tile(small, 100))


def test_an_empty_batch_and_an_empty_network() -> None:
    assert peaks(pack([])).shape == (0,)
    assert peaks(pack([[], [Buffer(0, 0, 3)]])).tolist() == [0, 3]
    assert plan([]).peak == live_bytes([]) == 0


# -- hostile input ----------------------------------------------------------------------------------------------------


@given(st.integers(-3, 5), st.integers(-3, 5), st.integers(-3, 5), st.integers(-3, 5), st.integers(-3, 5))
@settings(max_examples=200, deadline=None)
def test_a_buffer_is_sound_or_refused(start: int, end: int, size: int, cut: int, rest: int) -> None:
    try:
        buffer = Buffer(start, end, size, cut, rest)
    except InputError:
        assert not (0 <= start <= cut <= end and 0 <= rest <= size)
    else:
        assert plan([buffer]).peak == live_bytes([buffer]) == size


def test_tensors_nobody_touches_are_refused() -> None:
    with pytest.raises(InputError, match="every tensor"):
        buffers_of([1, 1, 1], [TensorOp((0,), 1)])

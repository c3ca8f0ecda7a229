"""Reading measured tables: exact at the points, monotone between them, padded lengths."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradespace.costs.operator_tables import OperatorTable, cover, reader, standard_lengths
from tradespace.errors import TradespaceError
from tradespace.plugins import registry
from tradespace.precisions import INT4
from tradespace.targets import load_target
from tradespace.targets.model import Device
from tradespace.testing.device_models import example_operators

POINTS = {
    (100, 100, 1): 4.0, (100, 100, 128): 16.0, (100, 100, 256): 20.0, (700, 100, 1): 14.0, (100, 300, 256): 120.0,
}  # fmt: skip
LENGTHS = (64.0, 128.0, 256.0, 512.0, 1024.0)


def npu() -> Device:
    return load_target("snapdragon-8-gen-3", registry()).device("npu")


def test_points_are_read_as_measured() -> None:
    read = reader(tuple(POINTS.items()))
    for point, time in POINTS.items():
        assert read(*point) == pytest.approx(time)


def test_between_and_beyond_the_points() -> None:
    read = reader(tuple(POINTS.items()))
    assert read(400, 100, 1) == pytest.approx(9.0)  # rows: half way between 4 and 14
    assert read(50, 100, 1) == pytest.approx(2.0)  # in proportion below
    assert read(1400, 100, 1) == pytest.approx(28.0)  # and above
    assert read(100, 100, 192) == pytest.approx(18.0)  # tokens
    assert read(100, 100, 512) == pytest.approx(28.0)  # the last line goes on
    assert read(100, 100, 0.5) == pytest.approx(4.0)
    assert read(100, 200, 256) == pytest.approx(20000 * (0.002 + 0.004) / 2)  # time per weight, half way
    assert read(100, 300, 128) == pytest.approx(16.0 * 120 / 20)  # a width that only 256 tokens have
    assert read(100, 300, 1) == pytest.approx(12.0)  # one token borrows nothing


@given(st.integers(1, 5000), st.integers(0, 500))
def test_more_tokens_are_never_faster_on_padded_graphs(tokens: int, more: int) -> None:
    read = reader(tuple(npu().points["times"].items()))

    def time(m: int, pipe: bool) -> float:
        return min(sum(x * read(4096, 14336, t) for t, x in way) for way in cover(float(m), LENGTHS, pipe))

    for pipe in (False, True):
        assert time(tokens, pipe) <= time(tokens + more, pipe) * (1 + 1e-12)
    assert time(tokens, True) <= time(tokens, False)


def test_lengths_are_covered() -> None:
    assert standard_lengths(npu()) == LENGTHS
    assert cover(1.0, LENGTHS, True) == (((1.0, 1.0),),)
    assert cover(193.0, LENGTHS, False) == (((256.0, 1.0),),)
    assert cover(525.0, LENGTHS, True) == (((1024.0, 1.0),), ((512.0, 1.0), (64.0, 1.0)))
    assert cover(2048.0, LENGTHS, False) == (((1024.0, 2.0),),)
    assert cover(333.0, (), True) == (((333.0, 1.0),),)
    for tokens, pipe in itertools.product((2.0, 65.0, 700.5, 1e10), (False, True)):
        for way in cover(tokens, LENGTHS, pipe):
            assert sum(length * times for length, times in way) >= tokens * (1 - 1e-12)


def test_the_order_of_operands_and_the_tile() -> None:
    ops = example_operators(("matmul",))
    turned = OperatorTable().table(ops, npu(), (INT4,)).time[:, 0]
    plain = replace(npu(), numbers={**npu().numbers, "transposed": 0.0})
    wide = ops.n > ops.k
    slow = OperatorTable().table(ops, plain, (INT4,)).time[:, 0]
    assert np.array_equal(slow[~wide], turned[~wide])
    small = OperatorTable().table(replace(ops, n=np.full(len(ops), 5.0)), npu(), (INT4,)).time
    padded = OperatorTable().table(replace(ops, n=np.full(len(ops), 32.0)), npu(), (INT4,)).time
    assert small[ops.k > 40] == pytest.approx(padded[ops.k > 40])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ({"devices.npu.times.4096x4096": "5 us"}, "as many as in the others"),
        ({"devices.npu.times.axbx1": "5 us"}, "positive whole numbers"),
        ({"devices.npu.times.64x64x7": "5 us"}, "one matrix is measured at every number of tokens"),
        ({"devices.npu.times.4096x4096x1": "5 W"}, "needs s"),
        ({"devices.npu.times.4096x4096x1": "0 s"}, "must be above 0 s"),
        ({"devices.npu.longest": 32}, "double from 'shortest' to 'longest'"),
        ({"devices.npu.order_penalty": 0.5}, "1 or more"),
    ],
)
def test_bad_tables_are_refused(override: dict[str, object], says: str) -> None:
    with pytest.raises(TradespaceError, match=says):
        load_target({"extends": "snapdragon-8-gen-3", **override}, registry())

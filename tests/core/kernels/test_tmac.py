"""T-MAC's kernel: exact integers, every layout and path against the reference, and what each part is for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tradespace.kernels import KernelError, disagreement
from tradespace.kernels.running import run_tasks
from tradespace.kernels.tmac import LAYOUTS, Lookup, nmse
from tradespace.kernels.tmac_reference import unpack
from tradespace.kernels.tmac_weights import MAX_STEPS, Quantised, codes_of, pack, quantise, table_indices
from tradespace.testing.kernels import check_kernel

RNG = np.random.default_rng(7)


def kernels() -> list[Lookup]:
    """Bits, groups, layouts, aggregations and instruction sets in turn; one of each pair that may interact."""
    found = [
        Lookup(bits, group, table, fast, rows, 256, layout, "int8", 2, isa)
        for at, bits in enumerate((1, 2, 3, 4))
        for layout, fast in (("tile", 0), ("tile", 8), ("natural", 0), ("scattered", 8), ("wide", 0))
        for group, table in ((*((32, 32), (128, 64), (128, 0), (64, 64))[at:], (32, 0), (128, 128)))[:2]
        for rows, isa in (((32, "native"),) if layout == "wide" else ((32, "avx2"), (64, "scalar")))
    ]
    return [*found, *(Lookup(b, 128, 64, 16, 64, 256, "tile", "int8", 2) for b in (1, 2, 3, 4))]


@pytest.mark.parametrize("kernel", kernels(), ids=repr)
def test_native_is_the_reference(kernel: Lookup) -> None:
    weights = RNG.standard_normal((77, 384), dtype=np.float32)  # 384 = one and a half tiles of k; 77 rows are padded
    inputs = kernel.prepare(weights, RNG.standard_normal((2, 384), dtype=np.float32))
    try:
        assert disagreement(kernel, inputs) <= kernel.tolerance
    except KernelError as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("kernel", [Lookup(), Lookup(bits=2, weight_group=128, table_group=64, fast=16)], ids=repr)
def test_keeps_the_contract_of_kernels(kernel: Lookup) -> None:
    report = check_kernel(kernel)
    assert report.passed, str(report)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_int16_tables_give_exact_integers(bits: int, layout: str) -> None:
    """Integer activations whose largest is 127, scales of 1: twice the result is a whole number, every bit of it."""
    kernel = Lookup(bits, 64, 64, 0, 32, 256, layout, "int16")
    codes = RNG.integers(0, 2**bits, (64, 320), dtype=np.uint8)
    x = RNG.integers(-127, 128, 320).astype(np.float32)
    x[::64] = 127
    q = Quantised(codes, np.ones((64, 5), np.float16), (2**bits - 1) / 2, bits)
    exact = x.astype(np.int64) @ (2 * codes.astype(np.int64) - (2**bits - 1)).T
    try:
        got = kernel.run(kernel.prepare(q, x[None]))
    except KernelError as why:
        pytest.skip(str(why))
    assert np.array_equal(2 * got[0].astype(np.float64), exact)


def test_by_hand() -> None:
    """One row of 32: T-MAC's identity sum_i 2^i A W_i, computed from the bits alone."""
    codes = RNG.integers(0, 4, (1, 32), dtype=np.uint8)
    x = np.zeros(32, np.float32)
    x[:4] = [127, 3, -5, 0.0]
    kernel = Lookup(bits=2, tables="int16")
    got = kernel.run(kernel.prepare(Quantised(codes, np.full((1, 1), 0.5, np.float16), 1.0, 2), x[None]))
    low, high = codes[0, :4] & 1, codes[0, :4] >> 1
    assert got[0, 0] == 0.5 * (x[:4] @ low + 2 * (x[:4] @ high) - x[:4].sum())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bits", [1, 3, 4])
def test_planes_unpack_to_the_codes(bits: int, layout: str) -> None:
    kernel = Lookup(bits, 128, 64, layout=layout, k_tile=256)
    codes = RNG.integers(0, 2**bits, (64, 640), dtype=np.uint8)
    assert np.array_equal(codes_of(table_indices(codes, bits)), codes)
    planes = pack(codes, bits, layout=layout, rows=32, k_tile=256, chunk=kernel.chunk)
    assert planes.size * 8 == codes.size * bits
    assert np.array_equal(codes_of(unpack(planes, kernel, 64, 640)), codes)


@pytest.mark.parametrize("tables", ["int8", "int16"])
@pytest.mark.parametrize("size", [0.0, 1e-44, 1e-38, 1e-30])
def test_activations_near_zero_stay_finite(size: float, tables: str) -> None:
    kernel = Lookup(bits=2, tables=tables)
    x = np.full((1, 64), size, np.float32)
    got = kernel.run(kernel.prepare(RNG.standard_normal((32, 64), dtype=np.float32), x))
    assert np.isfinite(got).all() and np.abs(got).max() <= 1e3 * size


def test_threads_do_not_change_a_bit() -> None:
    kernel = Lookup(bits=3, batch=3)
    inputs = kernel.shaped(200, 512, RNG)
    results = []
    for threads in (1, 2):
        run_tasks(kernel.tasks(inputs), threads=threads)
        results.append(np.array(inputs["y"]))
    assert np.array_equal(*results)


def gaussian(m: int = 256, k: int = 2048) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return RNG.standard_normal((m, k), dtype=np.float32), RNG.standard_normal((8, k), dtype=np.float32)


def test_int8_tables_cost_at_most_two_percent_and_int16_tables_cost_nothing() -> None:
    w, x = gaussian()
    rounded = quantise(w, 4, 32).values().astype(np.float64)
    exact = x.astype(np.float64) @ w.astype(np.float64).T
    least = np.sum((x.astype(np.float64) @ rounded.T - exact) ** 2) / np.sum(exact**2)
    assert nmse(Lookup(), w, x) <= 1.02 * least
    assert nmse(Lookup(tables="int16"), w, x) == pytest.approx(least, rel=0.01)


def test_fast_aggregation_costs_accuracy_and_larger_trees_more() -> None:
    w, x = gaussian()
    found = [nmse(Lookup(4, 128, 0, fast), w, x) for fast in (0, 8, 16)]
    assert found[0] < 0.9 * found[1] < 0.9 * 0.95 * found[2]


def test_without_its_correction_averaging_would_be_biased() -> None:
    """Trees that round up add a quarter a level; results of both signs must not drift."""
    w, x = gaussian(512, 1024)
    kernel = Lookup(4, 128, 128, 16)
    drift = kernel.run(kernel.prepare(w, x)) - x @ quantise(w, 4, 128).values().T
    assert abs(drift.mean()) < 4 * drift.std() / np.sqrt(drift.size)


@pytest.mark.parametrize(("bits", "published"), [(1, 0.3634), (2, 0.1188), (3, 0.03744)])
def test_uniform_levels_reach_what_max_published(bits: int, published: float) -> None:
    """Max, IRE Trans. IT-6, 1960, table II: squared error of the best uniform quantiser."""
    w = np.random.default_rng(1).standard_normal((64, 4096), dtype=np.float32)
    error = np.mean((quantise(w, bits, 4096).values() - w) ** 2)
    assert error == pytest.approx(published, rel=0.02)
    assert set(MAX_STEPS) == {1, 2, 3, 4}


def test_refusals_say_why() -> None:
    with pytest.raises(KernelError, match="bits is one of"):
        Lookup(bits=5)
    with pytest.raises(KernelError, match="no more than share both scales"):
        Lookup(weight_group=32, fast=16)
    with pytest.raises(KernelError, match="multiple of the weight group"):
        Lookup(weight_group=128).prepare(np.zeros((4, 160), np.float32), np.zeros((1, 160), np.float32))

"""The banks' product bit for bit, and the companion's arithmetic within the bounds it states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.kernels import KernelError
from tradespace.testing import check_kernel
from tradespace_memory.pim_kernels import (
    BankGemv,
    Companion,
    CompanionExp,
    CompanionGELU,
    CompanionLayerNorm,
    CompanionReciprocal,
    CompanionRoot,
    CompanionSoftmax,
    bounds,
    exact,
    from_bf16,
    to_bf16,
)

RNG = np.random.default_rng(11)
ROUNDING = 4e-7
"""A few roundings of fp32."""


def run(kernel: Any, inputs: Any) -> Any:
    try:
        return kernel.run(inputs)
    except KernelError as why:
        pytest.skip(str(why))


@pytest.mark.parametrize("kind", [BankGemv, CompanionSoftmax, CompanionLayerNorm, CompanionGELU])
def test_contract(kind: Any) -> None:
    report = check_kernel(kind())
    assert report.passed, str(report)


def test_bf16_is_the_house_codec() -> None:
    from tradespace.precisions import BF16

    values = RNG.standard_normal(1000, dtype=np.float32)
    assert (from_bf16(to_bf16(values)) == BF16.decode(BF16.encode(values), 1000)).all()


@pytest.mark.parametrize("shape", [(3072, 768), (768, 3072), (1600, 1600)])
def test_the_product_is_fp32_within_bf16(shape: tuple[int, int]) -> None:
    """Error of a chunk's sum in bfloat16: 2^-8 of it, of the sum of chunks 2^-8 more; fp32 sums are far below."""
    kernel = BankGemv()
    inputs = kernel.shaped(*shape, RNG)
    got = from_bf16(run(kernel, inputs)).astype(np.float64)
    where = from_bf16(np.asarray(_matrix(inputs), np.uint16)).astype(np.float64)
    x = inputs["x"][: shape[1]].astype(np.float64)
    chunks = [where[:, at : at + 1024] @ x[at : at + 1024] for at in range(0, shape[1], 1024)]
    allowed = 2.0**-8 * (sum(np.abs(c) for c in chunks) + np.abs(sum(chunks))) * 1.01 + 1e-4
    assert (np.abs(got - sum(chunks)) <= allowed).all()


def _matrix(inputs: Any) -> Any:
    from tradespace.costs.dram_rows import BankMap

    outputs, wide = (int(v) for v in inputs["shape"])
    return BankMap(outputs, wide, 8, 16).read(inputs["memory"])


def test_layouts_give_the_same_bits() -> None:
    matrix, vector = (to_bf16(RNG.standard_normal(s, dtype=np.float32)) for s in ((300, 1500), (1500,)))
    found = [
        np.array(run(kernel, kernel.laid(matrix, vector)))
        for kernel in (BankGemv(), BankGemv(packed=False), BankGemv(2, 4), BankGemv(1, 1), BankGemv(isa="scalar"))
    ]
    assert all((other == found[0]).all() for other in found)


@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5, 6, 8])
def test_exponential_is_within_its_bound(terms: int) -> None:
    x = np.linspace(-80, 80, 400_001, dtype=np.float32).reshape(1, -1)
    error = _relative(CompanionExp(terms, 3), x)
    assert error <= bounds(terms, 3)[0] + ROUNDING
    if terms < 5:
        assert error > bounds(terms, 3)[0] / 3  # the bound says something


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_reciprocal_and_root_are_within_their_bounds(steps: int) -> None:
    x = np.exp(np.linspace(np.log(1e-20), np.log(1e20), 400_001)).astype(np.float32).reshape(1, -1)
    for kind, bound in ((CompanionReciprocal, bounds(6, steps)[1]), (CompanionRoot, bounds(6, steps)[2])):
        error = _relative(kind(6, steps), x)
        assert error <= bound + ROUNDING
        if steps < 2:
            assert error > bound / 3


def _relative(kernel: Companion, x: Any) -> float:
    inputs = kernel.given(x, RNG)
    expected = exact(kernel.form, inputs)
    return float(np.abs(run(kernel, inputs) / expected - 1).max())


@pytest.mark.parametrize(("terms", "steps"), [(3, 1), (4, 2), (6, 3)])
def test_softmax_within_the_bounds_of_its_parts(terms: int, steps: int) -> None:
    """Numerators within e, their sum within e, its reciprocal within d: a probability within about 2 e + d."""
    kernel = CompanionSoftmax(terms, steps)
    e, d, _ = bounds(terms, steps)
    assert (
        _relative(kernel, (4 * RNG.standard_normal((50, 512))).astype(np.float32))
        <= (1 + e) * (1 + d) / (1 - e) - 1 + 4 * ROUNDING
    )


def test_attention_in_bf16_does_not_see_the_approximations() -> None:
    """Six terms and three steps are below half a unit of bfloat16 (2^-8) by far; two terms and one step are not."""
    x = (4 * RNG.standard_normal((50, 512))).astype(np.float32)
    assert _relative(CompanionSoftmax(6, 3), x) < 2.0**-8 / 100
    assert _relative(CompanionSoftmax(2, 1), x) > 2.0**-8


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(KernelError):
        BankGemv().laid(np.zeros((3, 4), np.uint16), np.zeros(5, np.uint16))
    with pytest.raises(KernelError):
        CompanionExp(17, 3).run(CompanionExp().shaped(1, 4, RNG))

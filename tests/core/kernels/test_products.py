"""Products over raw bytes: the same weights give the same result wherever a task is pointed."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.kernels.build import KernelError
from tradespace.kernels.memory import aligned
from tradespace.kernels.products import WANTED, product_kernel, random_weights
from tradespace.kernels.running import run_tasks


@pytest.mark.parametrize("precision", list(WANTED))
def test_a_product_can_be_run_again_on_other_weights(precision: str) -> None:
    try:
        kernel = product_kernel(precision)
    except KernelError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    m, k = 96, 768
    size = kernel.weight_bytes(m, k)
    data = random_weights(2 * size, rng)
    data[size:] = random_weights(size, rng)
    x = aligned(rng.standard_normal((1, k), dtype=np.float32))
    results = []
    for part in (data[:size], aligned(data[size:])):
        product = kernel.over(part, m, x)
        run_tasks(product.tasks)
        results.append(product.y.copy())
    assert not np.array_equal(*results)
    first = kernel.over(data[:size], m, x)
    again = kernel.again(first, data[size:])
    assert again.y is first.y and again.prepare == first.prepare
    run_tasks(again.tasks)
    assert np.array_equal(first.y, results[1])
    run_tasks(first.tasks)
    assert np.array_equal(first.y, results[0])


@pytest.mark.parametrize(("k", "groups"), [(768, 6), (576, 9), (96, 3)])
def test_lookups_take_smaller_groups_where_rows_ask_for_it(k: int, groups: int) -> None:
    kernel = product_kernel("int2")
    assert kernel.weight_bytes(32, k) == 32 * (k * 2 // 8 + groups * 2)
    rng = np.random.default_rng(0)
    data = random_weights(kernel.weight_bytes(32, k), rng)
    product = kernel.over(data, 32, aligned(rng.standard_normal((1, k), dtype=np.float32)))
    run_tasks(product.tasks)
    assert np.isfinite(product.y).all() and np.ptp(product.y) > 0

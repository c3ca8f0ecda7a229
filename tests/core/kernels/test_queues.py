"""A task on two queues: the merged result is the unsplit one bit for bit, however the queues meet."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.kernels.build import KernelError
from tradespace.kernels.dense import Gemm
from tradespace.kernels.queues import WAITS, Wait, run_split
from tradespace.kernels.running import run_tasks, usable_cpus


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.77, 1.0])
def test_the_merged_product_is_the_unsplit_one(wait: Wait, share: float) -> None:
    kernel = Gemm(columns=5)
    inputs = kernel.shaped(203, 517, 5, np.random.default_rng(1))
    (task,) = kernel.tasks(inputs)
    run_tasks([task])
    whole = inputs["y"].copy()
    inputs["y"][:] = np.nan
    seconds = run_split(task, share, wait=wait, rounds=3, predicted=1e-5)
    assert np.array_equal(whole, inputs["y"])
    assert seconds.shape == (3,) and (seconds > 0).all()


def test_the_calling_thread_is_left_where_it_was() -> None:
    before = usable_cpus()
    kernel = Gemm()
    (task,) = kernel.tasks(kernel.shaped(8, 16, 2, np.random.default_rng(1)))
    run_split(task, 0.5)
    assert usable_cpus() == before


@pytest.mark.parametrize(("share", "wait", "rounds"), [(1.5, "poll", 1), (0.5, "pray", 1), (0.5, "poll", 0)])
def test_bad_arguments_are_refused(share: float, wait: Wait, rounds: int) -> None:
    kernel = Gemm()
    (task,) = kernel.tasks(kernel.shaped(8, 16, 2, np.random.default_rng(1)))
    with pytest.raises(KernelError, match="a share is 0 to 1"):
        run_split(task, share, wait=wait, rounds=rounds)

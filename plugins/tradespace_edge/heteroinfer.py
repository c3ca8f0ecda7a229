"""HeteroInfer's primitive on this machine: one product by rows on two queues that meet by a flag or on a barrier.

System: "Characterizing Mobile SoC for Accelerating Heterogeneous LLM Inference", arXiv 2501.14794, section 4.
Its phone is a target file on shared engines: `operator-table` reads its measured products, `split` decides who computes
what (`tradespace.costs`). What can run here is the meeting of two queues after every product: the CPU thread polls a
flag, or first sleeps for the predicted time, where a driver would wake it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.dense import Gemm, dense_task
from tradespace.kernels.queues import Wait, run_split


@dataclass(frozen=True)
class RowSplit:
    """fp32 weights (m, k) times `columns` columns, a share of the rows on each of two threads.

    Rows are independent, so the merged result is the unsplit product bit for bit.
    """

    name: ClassVar[str] = "row-split"
    tolerance: ClassVar[float] = Gemm.tolerance
    share: float = 0.5
    wait: Wait = "poll"
    columns: int = 8
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return Gemm(columns=self.columns).inputs(size, rng)

    def shaped(self, m: int, k: int, rng: np.random.Generator) -> Arrays:
        return Gemm(columns=self.columns).shaped(m, k, self.columns, rng)

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        yield from Gemm().awkward(rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        """The unsplit product in numpy."""
        return Gemm().reference(inputs)

    def unsplit(self, inputs: Arrays) -> NDArray[Any]:
        """The native product on one thread."""
        return Gemm(isa=self.isa).run(inputs)

    def run(self, inputs: Arrays) -> NDArray[Any]:
        self.seconds(inputs, 1)
        return inputs["y"]

    def seconds(self, inputs: Arrays, rounds: int, predicted: float = 0.0) -> NDArray[np.float64]:
        """(rounds,) s of one product each, from handing it out until both queues are done. Raises `KernelError`."""
        task = dense_task("fp32", inputs["w"], inputs["x"], inputs["y"], self.isa)
        return run_split(task, self.share, wait=self.wait, rounds=rounds, predicted=predicted)

    def work(self, inputs: Arrays) -> Work:
        return Gemm().work(inputs)

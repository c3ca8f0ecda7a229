"""A small chain problem of the tests, and a program that searches it so that it can be killed.

``python chain.py DATABASE STUDY OPTIMIZER SLEEP``: prints the number of each logged batch.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from tradespace.designs import Choice, Designs, Integer, Space
from tradespace.plugins import Registry
from tradespace.problem import Metric, Prices, Problem

OBJECTIVES = ("latency", "throughput", "loss")
CONSTRAINTS = ("latency<=80 s",)


class Chain:
    """Twelve layers on three devices in two precisions, and a batch size. ``noise``: a measurement, not a formula."""

    def __init__(self, *, noise: bool = False, sleep: float = 0.0, fail_at: int | None = None) -> None:
        rng = np.random.default_rng(5)
        self.space = Space(
            Choice("placement", ("cpu", "npu", "gpu"), 12),
            Choice("precision", ("fp16", "int4"), 12),
            Integer("batch", 1, 16, log=True),
        )
        self.metrics = (
            Metric("latency", "s", "min"),
            Metric("throughput", "1/s", "max"),
            Metric("loss", "1", "min"),
            Metric("memory.gpu", "B", "min"),
        )
        self.times = rng.uniform(1.0, 10.0, (12, 6))
        self.deterministic = not noise
        self.noise = np.random.default_rng(17) if noise else None
        self.sleep, self.fail_at = sleep, fail_at
        self.calls = 0
        self.priced: list[int] = []

    def price(self, designs: Designs) -> Prices:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        time.sleep(self.sleep)
        self.priced += designs.digest.tolist()
        state = designs["placement"].astype(int) * 2 + designs["precision"]
        latency = self.times[np.arange(12), state].sum(axis=1) * (1.0 + 0.05 * designs["batch"])
        if self.noise is not None:
            latency = latency * self.noise.uniform(0.95, 1.05, len(latency))
        int4, on_gpu = designs["precision"] == 1, designs["placement"] == 2
        values = {
            "latency": latency,
            "throughput": designs["batch"] / latency,
            "loss": int4.sum(axis=1) * 1e-3 + (int4 & on_gpu).sum(axis=1) * 1e-4,
            "memory.gpu": 1e9 * on_gpu.sum(axis=1),
        }
        return Prices(values, {"gpu memory": on_gpu.sum(axis=1) / 8 - 1.0})


def problem(constraints: tuple[str, ...] = CONSTRAINTS, **options: object) -> Problem:
    return Problem.of(Chain(**options), OBJECTIVES, constraints)  # type: ignore[arg-type]


class Teller:
    """Prints the number of every batch, for whoever wants to kill this process."""

    def batch(self, batch: object) -> None:
        print(batch.index, flush=True)  # type: ignore[attr-defined]


def main(database: str, name: str, optimizer: str, sleep: str) -> None:
    from tradespace.studies import Store, StudySpec, start

    spec = StudySpec(None, OBJECTIVES, CONSTRAINTS, optimizer, evaluations=600, seed=3, batch=30)
    with Store.open(database) as store:
        start(store, name, spec, problem(sleep=float(sleep)), Registry.discover(), observers=[Teller()])


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A two-stage 1F1B pipeline run by two processes, one of them slower: uneven layers against even ones, and the model.

python bench/pipeline.py           # two processes of one thread, about 30 s; wants two idle cores
python bench/pipeline.py --waits   # layers are timed waits: the schedule and the messages alone, on a busy machine too

Each layer of a micro-batch is a few matrix products (5 on the slow stage where the fast one has 4), backward twice as
many; what a stage sends arrives after a fixed delay. The prediction knows the two stages' times per layer, measured
alone before, and `tradespace.costs.pipelines.step_time`.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

LAYERS, MICRO, DELAY, REPEATS = 27, 16, 0.002, 5
PRODUCTS = (4, 5)
SIZE = 160
WAIT = 0.0005


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waits", action="store_true", help="layers wait instead of computing")
    waits = parser.parse_args().waits
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    import numpy as np

    from tradespace.costs.partition import proportional
    from tradespace.costs.pipelines import Step, step_time

    even, uneven = [14, 13], proportional(LAYERS, [[1 / p for p in PRODUCTS]])[0].tolist()
    runs = {tuple(split): [run(split, waits) for _ in range(REPEATS)] for split in (even, uneven)}

    def predict(split: list[int], layer: list[float]) -> float:
        forward = np.array([[[n * t] for n, t in zip(split, layer, strict=True)]])
        none = np.zeros((1, 2))
        return float(step_time(Step(forward, 2 * forward, none + DELAY, none, none, none, np.ones(1, bool)), MICRO)[0])

    measured, predicted = [], []
    for split in (even, uneven):
        found = runs[tuple(split)]
        layer = [statistics.median(r[1][stage] for r in found) for stage in (0, 1)]
        measured.append(statistics.median(r[0] for r in found))
        predicted.append(predict(split, layer))
        pace = " and ".join(f"{t * 1e3:.2f}" for t in layer)
        print(f"{split}: measured {measured[-1]:.3f} s, predicted {predicted[-1]:.3f} s, a layer {pace} ms")
    bound = max(n * p for n, p in zip(even, PRODUCTS, strict=True)) / max(
        n * p for n, p in zip(uneven, PRODUCTS, strict=True)
    )
    print(f"uneven over even: measured {measured[0] / measured[1]:.3f}, predicted {predicted[0] / predicted[1]:.3f},"
          f" slowest stage alone {bound:.3f}")  # fmt: skip


def run(split: list[int], waits: bool) -> tuple[float, list[float]]:
    """(s of a step, s of a forward layer on each stage, measured while both run)."""
    context = mp.get_context("spawn")
    ahead, back = context.Pipe(), context.Pipe()
    barrier, results = context.Barrier(2), context.Queue()
    ends = ((back[0], ahead[1]), (ahead[0], back[1]))
    workers = [context.Process(target=stage, args=(s, split[s], *ends[s], barrier, results, waits)) for s in (0, 1)]
    for worker in workers:
        worker.start()
    found = dict(results.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
    began, ended = min(f[0] for f in found.values()), max(f[1] for f in found.values())
    return ended - began, [found[0][2], found[1][2]]


def stage(
    number: int, layers: int, receive: Connection, send: Connection, barrier: Any, results: Any, waits: bool
) -> None:
    """One stage: its order of work, with a receive before and a send after where the other stage is concerned."""
    import numpy as np

    from tradespace.costs.pipelines import stage_order

    a = np.random.default_rng(number).standard_normal((SIZE, SIZE)).astype(np.float32) / SIZE
    work(a, PRODUCTS[number], waits)
    barrier.wait()
    began, spent, forwards = time.monotonic(), 0.0, 0
    for backward, _, _ in stage_order(2, MICRO, 1, number):
        if backward == (number == 0):
            time.sleep(max(0.0, receive.recv() + DELAY - time.monotonic()))
        start = time.monotonic()
        work(a, layers * PRODUCTS[number] * (2 if backward else 1), waits)
        spent, forwards = spent + time.monotonic() - start, forwards + (2 if backward else 1)
        if backward == (number == 1):
            send.send(time.monotonic())
    results.put((number, (began, time.monotonic(), spent / forwards / layers)))


def work(a: Any, products: int, waits: bool) -> None:
    if waits:
        time.sleep(products * WAIT)
        return
    x = a
    for _ in range(products):
        x = x @ a


if __name__ == "__main__":
    main()

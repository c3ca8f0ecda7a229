"""What is certain in what time: exact fronts, epsilon fronts and certified gaps per kind of chain and length.

    python bench/exact.py            n = 24, 48, 96 (about two minutes on 2 cores)
    python bench/exact.py --quick    n = 24

Chains of tests/support (3 devices, 3 precisions, three real objectives; seed 1, and 4 whose front is large at n = 96).
"exact" is the optimizer chain_exact, solving and pricing included; the gap is of its own front, then of pgsam's after
2,000 designs. milp and cpsat solve two objectives (latency, loss) of n = 16 to half a percent.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chains import KINDS, Chain

from tradespace.search.api import search

GOALS = ["latency", "energy", "loss"]


def timed(evaluator: Any, goals: list[str], optimizer: str, evaluations: int, **options: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    front = search(evaluator, goals, optimizer=optimizer, evaluations=evaluations, options=options)
    return front, time.perf_counter() - start


def certified(front: Any) -> tuple[str, float]:
    start = time.perf_counter()
    gap = front.gap
    return f"{gap.gap:7.2%}" if gap is not None else "no bound", time.perf_counter() - start


def row(kind: str, n: int, seed: int) -> None:
    evaluator = Chain(seed, n, kind=kind)
    exact, seconds = timed(evaluator, GOALS, "chain_exact", 1_000_000)
    gap, spent = certified(exact)
    found, _ = timed(evaluator, GOALS, "pgsam", 2000)
    other, other_spent = certified(found)
    print(
        f"{kind:10} {n:3} {seed:4} {len(exact):6} {seconds:7.2f} {gap} {spent:6.2f} {other} {other_spent:6.2f}  "
        f"{exact.note}",
        flush=True,
    )


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    search(Chain(0, 4), GOALS, evaluations=200)  # imports
    print("kind         n seed  front exact s     gap  gap s   pgsam  gap s  certain of the exact front")
    for n in (24,) if quick else (24, 48, 96):
        for kind in KINDS:
            for seed in (1, 4) if kind == "sum" else (1,):
                row(kind, n, seed)
    for name in ("milp", "cpsat"):
        for kind in ("sum", "bottleneck"):
            front, seconds = timed(Chain(1, 16, kind=kind), ["latency", "loss"], name, 1000, seconds=20.0)
            print(f"{name} {kind} 16: {len(front)} designs, {seconds:.1f} s, {front.note}", flush=True)


if __name__ == "__main__":
    main()

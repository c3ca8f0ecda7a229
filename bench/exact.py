"""What is certain in what time: exact fronts, epsilon fronts and certified gaps per kind of chain and length.

    python bench/exact.py            n = 24, 48, 96 (about three minutes; seconds are of processor time)
    python bench/exact.py --quick    n = 24

Chains of tests/support (3 devices, 3 precisions, three real objectives; seed 1, and 4 whose front is large at n = 96).
"exact" is the optimizer chain_exact, solving and pricing included; the gap is of its own front, then of pgsam's after
2,000 designs. "network" has as many operators and one more in modules of four branches; "inception" is GoogLeNet as
ONNX ships it, on a laptop in three precisions. milp and cpsat solve two objectives (latency, loss) of n = 16 to half a
percent.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chains import KINDS, Chain
from tests.support.networks import Branching

from tradespace.search.api import search

GOALS = ["latency", "energy", "loss"]


def timed(evaluator: Any, goals: list[str], optimizer: str, evaluations: int, **options: Any) -> tuple[Any, float]:
    start = time.process_time()
    front = search(evaluator, goals, optimizer=optimizer, evaluations=evaluations, options=options)
    return front, time.process_time() - start


def certified(front: Any) -> tuple[str, float]:
    start = time.process_time()
    gap = front.gap
    return f"{gap.gap:7.2%}" if gap is not None else "no bound", time.process_time() - start


def row(kind: str, n: int, seed: int, evaluator: Any, goals: list[str] = GOALS) -> None:
    exact, seconds = timed(evaluator, goals, "chain_exact", 1_000_000)
    gap, spent = certified(exact)
    found, _ = timed(evaluator, goals, "pgsam", 2000)
    other, other_spent = certified(found)
    print(
        f"{kind:15} {n:3} {seed:4} {len(exact):6} {seconds:7.2f} {gap} {spent:6.2f} {other} {other_spent:6.2f}  "
        f"{exact.note}",
        flush=True,
    )


def inception() -> Any:
    """None where this release of onnx comes without its light networks."""
    import onnx

    from tradespace.costs.tables import TablesFactory
    from tradespace.plugins import registry
    from tradespace.targets import load_target
    from tradespace.workloads import load_workload

    file = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_inception_v1.onnx"
    if not file.exists():
        return None
    options = {"precisions": ["fp16", "int8", "int4"]}
    return TablesFactory().bind(load_workload(str(file), registry()), load_target("laptop", registry()), options)


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    search(Chain(0, 4), GOALS, evaluations=200)  # imports
    print("kind              n seed  front exact s     gap  gap s   pgsam  gap s  certain of the exact front")
    for n in (24,) if quick else (24, 48, 96):
        for kind in KINDS:
            for seed in (1, 4) if kind == "sum" else (1,):
                row(kind, n, seed, Chain(seed, n, kind=kind))
        for kind in ("sum", "capped"):
            row(f"network, {kind}", n + 1, 1, Branching(1, n + 1, kind=kind))
    for goals in (["latency", "energy"], GOALS):
        evaluator = inception()
        if evaluator is not None:
            row(f"inception, {len(goals)}", evaluator.space["placement"].width, 0, evaluator, goals)
    for name in ("milp", "cpsat"):
        for kind in ("sum", "bottleneck"):
            front, seconds = timed(Chain(1, 16, kind=kind), ["latency", "loss"], name, 1000, seconds=20.0)
            print(f"{name} {kind} 16: {len(front)} designs, {seconds:.1f} s, {front.note}", flush=True)


if __name__ == "__main__":
    main()

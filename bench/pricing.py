"""Designs priced per second: the compiled tables against a plain pymoo problem of the same model.

    python bench/pricing.py            a table
    python bench/pricing.py --json     one JSON document

24 blocks x 4 devices x 3 precisions, objectives latency, energy and loss, capacity limits; two threads, warm. "price"
is `evaluator.price`, "score" adds what the search loop adds (checks, objectives, constraint columns). The pymoo problem
prices one design at a time, as `ElementwiseProblem` does, with the same dense tables, written straightforwardly.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BATCHES = (4096, 16384, 65536)
OBJECTIVES = ["latency", "energy", "loss"]
LIMIT = "memory.dgpu<=6 GB"
WORKLOAD = {"extends": "llama-3.2-1b", "layers": 22, "phase": "request", "prompt": 256, "generate": 128}


def evaluators() -> dict[str, Any]:
    """24 entries (22 layers, embedding, head) on the four devices of the laptop, in fp16, int8 and int4."""
    from tradespace.costs.tables import TablesFactory
    from tradespace.plugins import registry
    from tradespace.targets import load_target
    from tradespace.workloads import load_workload
    from tradespace_edge.qeil import QEILFactory

    graph, target = load_workload(WORKLOAD, registry()), load_target("laptop", registry())
    found = {"tables": TablesFactory().bind(graph, target, {}), "qeil (thermal)": QEILFactory().bind(graph, target, {})}
    for evaluator in found.values():
        shape = evaluator.binding.costs.shape[1:4]
        assert shape == (24, 4, 3), shape
    return found


def best_of(action: Callable[[], object], repeats: int) -> float:
    """Median seconds of one call, after one that warms up."""
    action()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def engine_rates(repeats: int) -> list[dict[str, Any]]:
    from tradespace.problem import Problem

    rows = []
    for name, evaluator in evaluators().items():
        problem = Problem.of(evaluator, OBJECTIVES, [LIMIT])
        for batch in BATCHES:
            designs = evaluator.space.sample(batch, np.random.default_rng(0))
            price = best_of(lambda e=evaluator, d=designs: e.price(d), repeats)  # type: ignore[misc]
            score = best_of(lambda p=problem, d=designs: p.score(p.repair(d)), repeats)  # type: ignore[misc]
            rows.append({"evaluator": name, "batch": batch, "price": batch / price, "score": batch / score})
    return rows


def pymoo_problem(evaluator: Any) -> Any:
    """The model of the tables evaluator as most people would write it for pymoo: numpy per design."""
    from pymoo.core.problem import ElementwiseProblem

    from tradespace.costs import columns as c

    binding = evaluator.binding
    tables, target = binding.tables[0], binding.target
    n, devices, formats = tables.costs.shape[:3]
    home = np.array([list(target.memories).index(d.memory) for d in target.devices])
    capacity = np.array([m.capacity for m in target.memories.values()])
    idle = sum(d.idle_power for d in target.devices)
    idle_of = np.array([d.idle_power for d in target.devices])
    entries, edges = np.arange(n), np.arange(len(tables.edge_source))

    class Plain(ElementwiseProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            upper = np.repeat([devices - 1, formats - 1], n)
            super().__init__(n_var=2 * n, n_obj=3, n_ieq_constr=len(capacity) + 1, xl=0, xu=upper, vtype=int)

        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            place, fmt = x[:n], x[n:]
            cost = tables.costs[entries, place, fmt]
            a, b = tables.edge_source, tables.edge_dest
            moved = tables.edge_time[edges, fmt[a], place[a], place[b]].sum()
            joule = tables.edge_energy[edges, fmt[a], place[a], place[b]].sum()
            busy = np.bincount(place, cost[:, c.TIME], devices)
            resident = np.bincount(place, cost[:, c.RESIDENT], devices)
            for (first, second), saved in zip(tables.tie_entries, tables.tie_bytes, strict=True):
                if fmt[first] == fmt[second] and home[place[first]] == home[place[second]]:
                    resident[place[second]] -= saved[fmt[first]]
            used = np.bincount(home, resident, len(capacity))
            latency = busy.sum() + moved
            energy = cost[:, c.ENERGY].sum() + cost[:, c.MEMORY_ENERGY].sum() + joule
            energy += idle * latency - (idle_of * busy).sum()
            out["F"] = [latency, energy, cost[:, c.LOSS].sum()]
            out["G"] = [*(used / capacity - 1), resident[3] / 6e9 - 1]

    return Plain()


def pymoo_rate(count: int) -> dict[str, Any]:
    """Designs per second of the plain problem, and the largest relative difference to the engine's objectives."""
    evaluator = evaluators()["tables"]
    designs = evaluator.space.sample(count, np.random.default_rng(0))
    codes = np.concatenate([designs["placement"], designs["precision"]], axis=1).astype(int)
    problem = pymoo_problem(evaluator)
    problem.evaluate(codes[:10], return_values_of=["F", "G"])
    began = time.perf_counter()
    values = problem.evaluate(codes, return_values_of=["F", "G"])[0]
    seconds = time.perf_counter() - began
    ours = np.stack([evaluator.price(designs)[name] for name in OBJECTIVES], axis=1)
    return {"rate": count / seconds, "difference": float(np.abs(values / ours - 1).max())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    rows, plain = engine_rates(arguments.repeats), pymoo_rate(4000)
    if arguments.json:
        print(json.dumps({"rows": rows, "pymoo": plain, "blocks": 24, "devices": 4, "precisions": 3}))
        return
    print("designs per second (24 blocks x 4 devices x 3 precisions, median, warm)")
    print(f"{'evaluator':16}{'batch':>8}{'price':>14}{'score':>14}{'x pymoo':>10}")
    for row in rows:
        ratio = row["price"] / plain["rate"]
        print(f"{row['evaluator']:16}{row['batch']:8d}{row['price']:14,.0f}{row['score']:14,.0f}{ratio:10,.0f}")
    note = f"(objectives differ by at most {plain['difference']:.0e})"
    print(f"{'pymoo, plain':16}{1:8d}{plain['rate']:14,.0f}{'':14}{1:10d}   {note}")


if __name__ == "__main__":
    main()

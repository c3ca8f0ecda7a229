"""Tasks per second of the timeline loops, beside networkx (longest path) and SimPy (events), on the same graphs.

python bench/timeline.py        # one thread, about 20 s
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import networkx as nx
import numpy as np
import simpy
from rich.console import Console
from rich.table import Table

from tradespace.costs.timeline import Resource, TaskTable, events, ordered

DESIGNS = 2048


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rng = np.random.default_rng(0)
    table = Table("loop", "graph", "tasks/s", "peer", "peer's tasks/s", "ratio", title="timeline")
    pipeline, work = one_f_one_b(8, 32)
    durations = work[:, None] * rng.uniform(0.9, 1.1, (len(work), DESIGNS))
    ours = pipeline.tasks * DESIGNS / best(lambda: ordered(pipeline, durations))
    peer = pipeline.tasks / best(lambda: networkx_longest(pipeline, durations[:, 0]))
    table.add_row(
        "ordered", "1F1B, 8 stages x 32 micro-batches", f"{ours:.2e}", "networkx", f"{peer:.1e}", f"{ours / peer:.0f}"
    )
    fleet, resource = layered(24, 5, rng)
    spans = rng.uniform(1, 2, (DESIGNS, fleet.tasks))
    ours = fleet.tasks * DESIGNS / best(lambda: events(fleet, spans, resource))
    peer = fleet.tasks / best(lambda: simpy_run(fleet, spans[0], resource))
    table.add_row("events", "24 tasks on 5 devices", f"{ours:.2e}", "SimPy", f"{peer:.1e}", f"{ours / peer:.0f}")
    Console(width=110).print(table)
    finish = events(fleet, spans[:1], resource).finish[0]
    assert np.allclose(finish.max(), simpy_run(fleet, spans[0], resource)), "SimPy and events differ"


def best(run: Callable[[], object], repeats: int = 5) -> float:
    """Least seconds of one call, the first (which compiles) left out."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def one_f_one_b(stages: int, micro: int) -> tuple[TaskTable, np.ndarray]:
    """Forward 1, backward 2, warm-up of stages - s - 1 micro-batches."""
    at = {x: i for i, x in enumerate((k, s, b) for k in "fb" for s in range(stages) for b in range(micro))}
    edges = [(at["f", s, b], at["f", s + 1, b]) for s in range(stages - 1) for b in range(micro)]
    edges += [(at["b", s + 1, b], at["b", s, b]) for s in range(stages - 1) for b in range(micro)]
    edges += [(at["f", stages - 1, b], at["b", stages - 1, b]) for b in range(micro)]
    queues = []
    for s in range(stages):
        warm = min(micro, stages - s - 1)
        order = [("f", s, b) for b in range(warm)]
        for b in range(micro - warm):
            order += [("f", s, warm + b), ("b", s, b)]
        order += [("b", s, b) for b in range(micro - warm, micro)]
        queues.append([at[x] for x in order])
    return TaskTable(len(at), edges).chained(queues), np.array([1.0 if k == "f" else 2.0 for k, _, _ in at])


def layered(tasks: int, devices: int, rng: np.random.Generator) -> tuple[TaskTable, np.ndarray]:
    pairs = [(a, b) for a in range(tasks) for b in range(a + 1, tasks) if rng.random() < 3 / tasks]
    return TaskTable(tasks, pairs, tuple(Resource(f"d{i}") for i in range(devices))), rng.integers(0, devices, tasks)


def networkx_longest(table: TaskTable, duration: np.ndarray) -> float:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(table.tasks))
    graph.add_edges_from(((a, b, {"weight": duration[a]}) for a, b in np.asarray(table.edges).tolist()))
    return float(nx.dag_longest_path_length(graph))


def simpy_run(table: TaskTable, spans: np.ndarray, resource: np.ndarray) -> float:
    world = simpy.Environment()
    devices = [simpy.Resource(world, r.servers) for r in table.resources]
    done = [world.event() for _ in range(table.tasks)]
    before: list[list[int]] = [[] for _ in range(table.tasks)]
    for a, b in np.asarray(table.edges).tolist():
        before[b].append(a)

    def task(i: int):  # type: ignore[no-untyped-def]
        yield world.all_of([done[p] for p in before[i]])
        with devices[resource[i]].request() as turn:
            yield turn
            yield world.timeout(float(spans[i]))
        done[i].succeed()

    for i in range(table.tasks):
        world.process(task(i))
    world.run()
    return float(world.now)


if __name__ == "__main__":
    main()

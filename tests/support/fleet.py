"""Random task graphs on random nodes, with ties, zeros and every kind of column."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradespace.costs.schedules_nodes import Nodes
from tradespace.costs.schedules_tables import ScheduleTables
from tradespace.workloads.task_graph import TaskGraph, task_graph

SOURCES = {"shape": "drawn for a test", "kind": "derived"}


def random_graph(rng: np.random.Generator, n: int, *, edges: bool = True, whole: bool = False) -> TaskGraph:
    """``whole``: small whole numbers, so that many times tie."""

    def draw(high: float) -> Any:
        return rng.integers(0, 4, n).astype(float) if whole else rng.uniform(0, high, n)

    pairs = [(a, b) for b in range(n) for a in range(b) if edges and rng.random() < 0.25]
    shuffle = rng.permutation(n)  # so that numbers are no topological order
    rows = [
        (int(shuffle[a]), int(shuffle[b]), float(rng.integers(0, 4)) if whole else rng.uniform(0, 5)) for a, b in pairs
    ]
    return task_graph(
        "random",
        draw(3.0),
        edges=rows,
        release=draw(6.0),
        deadline=np.where(rng.random(n) < 0.2, np.inf, draw(20.0)),
        weight=draw(3.0),
        memory=rng.uniform(0, 2, n),
        input=draw(2.0) * (rng.random(n) < 0.5),
        sources=SOURCES,
    )


def random_nodes(rng: np.random.Generator, m: int, *, whole: bool = False) -> Nodes:
    power = np.sort(rng.uniform(10, 100, (m, 11)), axis=1)
    return Nodes(
        names=tuple(f"p{j}" for j in range(m)),
        rate=np.ones(m) if whole else rng.uniform(0.5, 2, m),
        cores=rng.integers(1, 4, m).astype(np.int32),
        bandwidth=np.ones(m) if whole else rng.uniform(0.5, 3, m),
        delay=np.zeros(m) if whole else rng.uniform(0, 1, m),
        memory=np.full(m, 1.5),
        power=power,
        price=rng.uniform(0, 1, m),
        network=1.0 if whole else 2.0,
    )


def random_tables(seed: int, *, edges: bool = True) -> tuple[ScheduleTables, np.random.Generator]:
    rng = np.random.default_rng(seed)
    whole = bool(seed % 2)
    graph = random_graph(rng, int(rng.integers(1, 13)), edges=edges, whole=whole)
    return ScheduleTables(graph, random_nodes(rng, int(rng.integers(1, 5)), whole=whole)), rng

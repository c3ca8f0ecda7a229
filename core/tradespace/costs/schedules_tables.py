"""Task graph and nodes as the dense arrays that the compiled schedules read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs import schedules as loops
from tradespace.costs.compiled import in_two
from tradespace.costs.schedules_nodes import POINTS, Nodes
from tradespace.workloads.task_graph import TaskGraph

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ScheduleTables:
    """What `schedules` and `queues` read, and batch versions of their loops. See there for the arrays."""

    graph: TaskGraph
    nodes: Nodes

    @cached_property
    def exec(self) -> Floats:
        """(n, m) s: work x effort there / rate."""
        tasks, nodes = self.graph.tasks, self.nodes
        factor = np.ones((len(tasks), len(nodes)))
        for name, column in self.graph.factor.items():
            if name in nodes.names:
                factor[:, nodes.names.index(name)] = column
        return np.ascontiguousarray(tasks.work[:, None] * factor / nodes.rate[None, :])

    @cached_property
    def ready(self) -> Floats:
        """(n, m) s: release, and if the task brings data, the delay to the node and its transfer."""
        tasks, nodes = self.graph.tasks, self.nodes
        port = np.minimum(nodes.bandwidth, nodes.network)
        sent = nodes.delay[None, :] + tasks.input[:, None] / port[None, :]
        return np.ascontiguousarray(tasks.release[:, None] + np.where(tasks.input[:, None] > 0, sent, 0.0))

    @cached_property
    def latency(self) -> Floats:
        """(m, m) s between nodes: both delays; 0 within one."""
        found = self.nodes.delay[:, None] + self.nodes.delay[None, :]
        np.fill_diagonal(found, 0.0)
        return np.ascontiguousarray(found)

    @cached_property
    def inverse(self) -> Floats:
        """(m, m) s/B between nodes: the slowest of both ports and the network; 0 within one."""
        port = np.minimum(self.nodes.bandwidth, self.nodes.network)
        found = 1.0 / np.minimum(port[:, None], port[None, :])
        np.fill_diagonal(found, 0.0)
        return np.ascontiguousarray(found)

    @cached_property
    def by_dest(self) -> tuple[Ints, Ints, Floats]:
        """(pred_ptr, pred, size)."""
        edges, n = self.graph.edges, len(self.graph.tasks)
        order = np.lexsort((edges.source, edges.dest))
        ptr = np.searchsorted(edges.dest[order], np.arange(n + 1)).astype(np.int32)
        return ptr, edges.source[order].astype(np.int32), edges.size[order].astype(np.float64)

    @cached_property
    def by_source(self) -> tuple[Ints, Ints]:
        """(succ_ptr, succ)."""
        edges, n = self.graph.edges, len(self.graph.tasks)
        order = np.lexsort((edges.dest, edges.source))
        return np.searchsorted(edges.source[order], np.arange(n + 1)).astype(np.int32), edges.dest[order].astype(
            np.int32
        )

    @cached_property
    def cores(self) -> Ints:
        """(m + 1,) first core of each node, then their number."""
        return np.concatenate([[0], np.cumsum(self.nodes.cores)]).astype(np.int32)

    @cached_property
    def power(self) -> Floats:
        """(cores + m,) W at 0..cores busy cores of each node, linear between the points of its table."""
        points = np.linspace(0.0, 1.0, POINTS)
        rows = [
            np.interp(np.arange(c + 1) / c, points, table)
            for c, table in zip(self.nodes.cores.tolist(), self.nodes.power, strict=True)
        ]
        return np.ascontiguousarray(np.concatenate(rows))

    @cached_property
    def transfer(self) -> Floats:
        """(E,) mean s of each edge over pairs of different nodes, in the order of `by_dest` (HEFT's mean cost)."""
        m, size = len(self.nodes), self.by_dest[2]
        if m < 2:
            return np.zeros(len(size))
        pairs = m * (m - 1)
        return np.asarray(self.latency.sum() / pairs + size * (self.inverse.sum() / pairs))

    @property
    def facts(self) -> tuple[Any, ...]:
        """Arguments of `measure` about tasks and nodes."""
        tasks, nodes = self.graph.tasks, self.nodes
        return (
            tasks.release, tasks.deadline, tasks.weight, tasks.memory, self.exec, self.cores, nodes.rate, self.power,
            nodes.price, nodes.memory,
        )  # fmt: skip

    def price(self, orders: Ints, nodes: Ints, insertion: bool) -> Floats:
        """(OUTPUTS, N) of `schedules`: ``orders`` (N, n) tasks by position, ``nodes`` (N, n) the node of each task."""
        out = np.empty((loops.OUTPUTS, len(orders)))
        orders, nodes = _codes(orders), _codes(nodes)
        release, deadline, weight, memory, exec, cores, speed, power, price, ram = self.facts

        def run(lo: int, hi: int) -> None:
            loops.price_schedules(
                orders, nodes, insertion, exec, self.ready, *self.by_dest, *self.by_source, self.latency, self.inverse,
                cores, release, deadline, weight, memory, speed, power, price, ram, out, lo, hi,
            )  # fmt: skip

        in_two(run, len(orders))
        return out

    def decode(self, order: Ints, node: Ints, insertion: bool) -> tuple[Floats, Floats]:
        """(start, finish) of one design."""
        n, many = len(order), int(self.cores[-1])
        head, tail, after = (np.empty(size, np.int32) for size in (many, many, n))
        start, finish = np.zeros(n), np.zeros(n)
        loops.decode(
            self.canonical(order[None])[0], _codes(node), insertion, self.exec, self.ready, *self.by_dest, self.latency,
            self.inverse, self.cores, head, tail, after, start, finish,
        )  # fmt: skip
        return start, finish

    def canonical(self, orders: Ints) -> Ints:
        """(N, n) orders as topological orders: the ones in which `decode` meets the tasks. Idempotent."""
        orders = _codes(orders)
        if not len(self.graph.edges):
            return orders
        out = np.empty_like(orders)
        loops.order_schedules(orders, self.by_dest[0], *self.by_source, out, 0, len(orders))
        return out

    def place(self, order: Ints, insertion: bool, bias: Floats | None = None, pinned: Ints | None = None) -> Ints:
        """(n,) node of each task if tasks in ``order`` go where they finish first."""
        n, m = self.exec.shape
        node = np.zeros(n, np.int32)
        loops.place(
            _codes(order), _codes(self.graph.tasks.pinned if pinned is None else pinned),
            np.zeros((n, m)) if bias is None else bias, insertion, self.exec, self.ready, *self.by_dest, self.latency,
            self.inverse, self.cores, node, np.zeros(n), np.zeros(n),
        )  # fmt: skip
        return node


def _codes(array: Any) -> Ints:
    return np.ascontiguousarray(array, np.int32)

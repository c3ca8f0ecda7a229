"""Compiled schedules and queues: equal to their plain twins, to closed forms, and to each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.support.fleet import SOURCES, random_tables

from tradespace.costs import queues, schedules, schedules_twin
from tradespace.costs.schedules_nodes import Nodes
from tradespace.costs.schedules_tables import ScheduleTables
from tradespace.workloads.task_graph import task_graph

ROWS = {
    "makespan": schedules.MAKESPAN,
    "energy": schedules.ENERGY,
    "cost": schedules.COST,
    "response": schedules.RESPONSE,
    "utilisation": schedules.UTILISATION,
    "tardiness": schedules.TARDINESS,
    "late": schedules.LATE,
    "rejected": schedules.REJECTED,
}
DISCIPLINES = {"fcfs": queues.FCFS, "priority": queues.PRIORITY, "deadline": queues.DEADLINE}


def designs(tables: ScheduleTables, rng: np.random.Generator, count: int):  # type: ignore[no-untyped-def]
    n, m = tables.exec.shape
    orders = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (count, 1)), axis=1)
    return orders, rng.integers(0, m, (count, n)).astype(np.int32)


@pytest.mark.parametrize("insertion", [True, False])
def test_schedules_equal_their_twin_bit_by_bit(insertion: bool) -> None:
    filled = 0
    for seed in range(500):
        tables, rng = random_tables(seed)
        orders, nodes = designs(tables, rng, 3)
        out = tables.price(orders, nodes, insertion)
        for d in range(3):
            times = schedules_twin.decode(tables, orders[d], nodes[d], insertion)
            start, finish = tables.decode(orders[d], nodes[d], insertion)
            assert list(zip(start, finish, strict=True)) == times, seed
            told = schedules_twin.measure(tables, nodes[d], times)
            assert {name: out[row, d] for name, row in ROWS.items()} == told, seed
            filled += schedules_twin.decode(tables, orders[d], nodes[d], not insertion) != times
    assert filled > 100  # gaps matter in these instances


def run_queue(tables: ScheduleTables, node, rank, discipline: str, refuse: bool):  # type: ignore[no-untyped-def]
    n = len(node)
    coming = np.ascontiguousarray(np.argsort(tables.ready.T, axis=1, kind="stable"), np.int32)
    node, start, finish = node.copy(), np.zeros(n), np.zeros(n)
    tasks = tables.graph.tasks
    queues.run_queues(
        node, rank, DISCIPLINES[discipline], refuse, coming, tables.exec, tables.ready, tables.cores, tasks.deadline,
        tasks.weight, start, finish,
    )  # fmt: skip
    return node, start, finish, coming


@pytest.mark.parametrize("discipline", list(DISCIPLINES))
@pytest.mark.parametrize("refuse", [True, False])
def test_queues_equal_their_twin_bit_by_bit(discipline: str, refuse: bool) -> None:
    rejected = 0
    for seed in range(300):
        tables, rng = random_tables(seed, edges=False)
        ranks, nodes = designs(tables, rng, 2)
        for rank, node in zip(ranks, nodes, strict=True):
            after, start, finish, coming = run_queue(tables, node, rank, discipline, refuse)
            times = schedules_twin.serve(tables, node, rank, discipline, refuse)
            assert [None if a < 0 else (s, f) for a, s, f in zip(after, start, finish, strict=True)] == times, seed
            rejected += int((after < 0).sum())
            out = np.empty((schedules.OUTPUTS, 1))
            release, deadline, weight, memory, exec_, cores, speed, power, price, ram = tables.facts
            queues.price_queues(
                node[None], rank[None], DISCIPLINES[discipline], refuse, coming, exec_, tables.ready, cores, release,
                deadline, weight, memory, speed, power, price, ram, out, 0, 1,
            )  # fmt: skip
            assert {k: out[r, 0] for k, r in ROWS.items()} == schedules_twin.measure(tables, node, times), seed
    assert (rejected > 50) == refuse


def test_kiefer_wolfowitz_is_first_come_first_served() -> None:
    """The recurrence against the loop that decides by time."""
    for seed in range(400):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(1, 40)), int(rng.integers(1, 5))
        arrive = np.sort(rng.integers(0, 30, n).astype(float) if seed % 2 else rng.uniform(0, 30, n))
        service, none = rng.uniform(0, 4, n), np.zeros(n)
        tasks, both = np.arange(n, dtype=np.int32), []
        start, finish = np.zeros(n), np.zeros(n)
        queues.kiefer_wolfowitz(tasks, arrive, service, np.zeros(k), start, finish)
        both.append((start.copy(), finish.copy()))
        waiting, node = np.empty(n, np.int32), np.zeros(n, np.int32)
        queues.serve(
            tasks, arrive, service, none, none, tasks, queues.FCFS, False, np.zeros(k), waiting, start, finish, node
        )
        assert np.array_equal(both[0][0], start) and np.array_equal(both[0][1], finish)


def test_a_single_server_meets_lindleys_recurrence() -> None:
    rng = np.random.default_rng(5)
    arrive, service = np.sort(rng.uniform(0, 50, 200)), rng.uniform(0, 0.4, 200)
    start, finish = np.zeros(200), np.zeros(200)
    queues.kiefer_wolfowitz(np.arange(200, dtype=np.int32), arrive, service, np.zeros(1), start, finish)
    wait = 0.0
    for i in range(200):
        assert start[i] - arrive[i] == pytest.approx(wait, abs=1e-9)
        wait = max(0.0, wait + service[i] - (arrive[i + 1] - arrive[i] if i < 199 else 0.0))


def test_list_schedules_in_order_of_arrival_are_fcfs_queues() -> None:
    """Appending tasks in order of arrival at their node is what the queue does by itself."""
    for seed in range(200):
        tables, rng = random_tables(2 * seed, edges=False)
        _, nodes = designs(tables, rng, 1)
        n = tables.exec.shape[0]
        order = np.argsort(tables.ready[np.arange(n), nodes[0]], kind="stable").astype(np.int32)
        start, finish = tables.decode(order, nodes[0], False)
        _, queued, left, _ = run_queue(tables, nodes[0], order, "fcfs", False)
        assert np.array_equal(start, queued) and np.array_equal(finish, left)


def one_node(power: list[float], cores: int) -> Nodes:
    one = np.ones(1)
    return Nodes(("p",), one, np.array([cores], np.int32), one, 0 * one, one, np.array([power]), 7200 * one, 1.0)


def test_energy_integrates_the_power_table() -> None:
    """Two cores: 1 s both busy, 2 s one busy, then nothing: P(100 %) + 2 P(50 %), by hand."""
    power = [float(10 + i * i) for i in range(11)]
    graph = task_graph("two", [1.0, 3.0], sources=SOURCES)
    tables = ScheduleTables(graph, one_node(power, 2))
    out = tables.price(np.array([[0, 1]]), np.zeros((1, 2)), True)[:, 0]
    assert out[schedules.MAKESPAN] == 3.0
    assert out[schedules.ENERGY] == pytest.approx(power[10] + 2 * power[5])
    assert out[schedules.COST] == pytest.approx(7200 * 3 / 3600)
    assert out[schedules.UTILISATION] == pytest.approx(4 / 6)


def test_the_table_is_linear_between_its_points() -> None:
    tables = ScheduleTables(task_graph("one", [2.0], sources=SOURCES), one_node([float(i**2) for i in range(11)], 3))
    out = tables.price(np.array([[0]]), np.zeros((1, 1)), True)[:, 0]
    third = 9 + (16 - 9) / 3  # a third of the cores lies a third of the way from 30 % to 40 %
    assert out[schedules.ENERGY] == pytest.approx(2 * third)


def test_orders_become_topological_and_price_the_same() -> None:
    for seed in range(100):
        tables, rng = random_tables(seed)
        orders, nodes = designs(tables, rng, 8)
        canonical = tables.canonical(orders)
        assert np.array_equal(np.sort(canonical, axis=1), np.sort(orders, axis=1))
        assert np.array_equal(tables.canonical(canonical), canonical)
        place = np.argsort(canonical, axis=1)
        edges = tables.graph.edges
        assert (place[:, edges.source] < place[:, edges.dest]).all()
        assert np.array_equal(tables.price(orders, nodes, True), tables.price(canonical, nodes, True))


def test_brute_force_cannot_beat_the_best_of_all_orders_and_nodes() -> None:
    """Every start-time feasible schedule is at least as long: the decoder finds the optimum of a tiny graph."""
    graph = task_graph("tiny", [3.0, 2.0, 2.0, 1.0], edges=[(0, 3, 4.0), (1, 3, 0.0)], sources=SOURCES)
    two = Nodes(
        ("a", "b"), np.array([1.0, 2.0]), np.ones(2, np.int32), np.ones(2), np.zeros(2), np.ones(2), np.zeros((2, 11)),
        np.zeros(2), 1.0,
    )  # fmt: skip
    tables = ScheduleTables(graph, two)
    orders = np.array(list(itertools.permutations(range(4))), np.int32)
    nodes = np.array(list(itertools.product(range(2), repeat=4)), np.int32)
    best = min(tables.price(np.tile(o, (len(nodes), 1)), nodes, True)[0].min() for o in orders)
    # task 2 alone on the slow node (2 s); 0, 1, 3 on the fast one: 1.5 + 1 + 0.5 = 3 s. Everything on the fast: 4 s.
    assert best == 3.0

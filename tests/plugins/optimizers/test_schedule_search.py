"""Searching schedules on the declared task graph: true costs, optima of small graphs, never worse than lists."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from tests.support.fleet import random_tables

import tradespace as ts
from tradespace.costs.schedules_structure import MINIMISED, TaskStructure
from tradespace.errors import ProblemError
from tradespace.plugins import registry
from tradespace.problem import Problem
from tradespace.settings import Setting, bind
from tradespace.testing.optimizers import check_optimizer
from tradespace_fleet.bounds import lower_bounds
from tradespace_fleet.list_schedulers import SCHEDULERS
from tradespace_optimizers.schedule_annealing import Annealing
from tradespace_optimizers.schedule_search import ScheduleSearch


def bound(workload: Any, target: str, evaluator: str | None = None, **options: Any) -> Any:
    return bind(Setting(workload, target, evaluator, options), registry()).evaluator


def workflow(n: int, seed: int, scale: float = 1.0) -> Any:
    rng = np.random.default_rng(seed)
    edges = [[a, b, scale * float(rng.uniform(1e6, 1e9))] for b in range(n) for a in range(b) if rng.random() < 3 / n]
    return {"type": "task_graph", "work": (rng.uniform(1, 20, n) * 1e9).tolist(), "edges": edges}


def structure(seed: int, insertion: bool = True) -> tuple[TaskStructure, np.random.Generator]:
    tables, rng = random_tables(seed)
    free = np.flatnonzero(tables.graph.tasks.pinned < 0).astype(np.int32)
    return TaskStructure(tables, insertion, "order", "assignment", free, lower_bounds(tables)), rng


@pytest.mark.parametrize("seed", range(24))
def test_what_it_finds_costs_what_the_evaluator_says(seed: int) -> None:
    """Random graphs with ties, zeros, several cores, releases; with and without insertion, any one metric."""
    tasks, rng = structure(seed, insertion=seed % 3 > 0)
    name = list(MINIMISED)[seed % len(MINIMISED)]
    annealing = Annealing(tasks, (name,))
    order, node = SCHEDULERS["heft"](tasks.tables, tasks.insertion)
    start = tasks.values(order[None], node[None])[0, MINIMISED[name]]
    annealing.aim(np.array([[start]]), np.ones(1))
    found = annealing.run(order, node, np.full(300, 0.01), rng)
    values = [tasks.values(o[None], v[None])[0, MINIMISED[name]] for o, v in (found[:2], found[2:])]
    assert values[1] <= values[0] * (1 + 1e-12) or values[0] == pytest.approx(start)
    assert np.array_equal(np.sort(found[2]), np.arange(len(order)))
    assert np.array_equal(tasks.tables.canonical(found[2][None])[0], found[2])  # still topological


@pytest.mark.parametrize("seed", range(16))
def test_no_schedule_is_below_the_bounds(seed: int) -> None:
    tasks, rng = structure(seed)
    n, m = tasks.tables.exec.shape
    orders = np.stack([rng.permutation(n) for _ in range(200)]).astype(np.int32)
    values = tasks.values(orders, rng.integers(0, m, (200, n)).astype(np.int32))
    for name, row in MINIMISED.items():
        assert values[:, row].min() >= tasks.bound(name) - 1e-9 * abs(tasks.bound(name)), name


def test_small_graphs_are_solved_to_the_optimum() -> None:
    for seed in range(6):
        evaluator = bound(workflow(5, seed), "processors-3")
        orders = np.array(list(itertools.permutations(range(5))), np.int32)
        nodes = np.array(list(itertools.product(range(3), repeat=5)), np.int32)
        rows = itertools.product(range(len(orders)), range(len(nodes)))
        pairs = np.array(list(rows))
        designs = evaluator.space.designs({"order": orders[pairs[:, 0]], "assignment": nodes[pairs[:, 1]]})
        best = float(evaluator.price(designs)["makespan"].min())
        front = ts.search(evaluator, ["makespan"], optimizer="schedule_search", evaluations=200, seed=seed)
        assert front.values[0, 0] == pytest.approx(best)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_better_than_every_list_scheduler_and_says_how(seed: int) -> None:
    evaluator = bound(workflow(40, seed, scale=3.0), "processors-4")
    listed = min(float(evaluator.price(plan)["makespan"][0]) for plan in evaluator.suggest().values())
    front = ts.search(evaluator, ["makespan"], optimizer="schedule_search", evaluations=300, seed=seed)
    assert front.values[0, 0] < 0.99 * listed
    assert "schedules decoded" in front.note
    assert front.gap is not None and 0 <= front.gap.gap < 1


def test_several_objectives_give_a_front_beyond_the_lists() -> None:
    evaluator = bound(workflow(30, 1), "processors-3")
    names = ["makespan", "energy", "cost"]
    searched = ts.search(evaluator, names, optimizer="schedule_search", evaluations=600, seed=0)
    other = ts.search(evaluator, names, optimizer="random", evaluations=600, seed=0)
    assert searched.hypervolume > other.hypervolume and len(searched) > 10


def test_orders_alone_and_pinned_tasks() -> None:
    ft06 = ts.search(bound("ft06", "six-machines"), ["makespan"], optimizer="schedule_search", evaluations=1500, seed=0)
    assert ft06.values[0, 0] == 55.0  # the optimum
    jobs = bound("smtwtp-50", "single-machine")
    found = ts.search(jobs, ["tardiness"], optimizer="schedule_search", evaluations=1000, seed=0)
    listed = min(float(jobs.price(plan)["tardiness"][0]) for plan in jobs.suggest().values())
    assert found.values[0, 0] <= listed


def test_equal_seeds_give_equal_fronts_and_the_kit_passes() -> None:
    evaluator = bound(workflow(12, 3), "processors-3")
    fronts = [ts.search(evaluator, ["makespan"], optimizer="schedule_search", evaluations=150, seed=5) for _ in "ab"]
    assert np.array_equal(fronts[0].designs.digest, fronts[1].designs.digest)
    report = check_optimizer(ScheduleSearch, problem=Problem.of(evaluator, ["makespan", "energy"]))
    assert report.passed, report


def test_it_refuses_with_a_reason_and_a_remedy() -> None:
    with pytest.raises(ProblemError, match="declares its task graph"):
        ts.search(bound("iot-100", "cloud-fleet", "queue"), ["response"], optimizer="schedule_search", evaluations=10)
    with pytest.raises(ProblemError, match="minimises makespan"):
        evaluator = bound(workflow(5, 0), "processors-3")
        ts.search(evaluator, ["utilisation"], optimizer="schedule_search", evaluations=10)

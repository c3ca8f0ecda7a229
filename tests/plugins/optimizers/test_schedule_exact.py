"""milp and cpsat on task graphs against brute force, against each other, and as a yardstick for the searches."""

from __future__ import annotations

import importlib.util
import itertools
from typing import Any

import numpy as np
import pytest

import tradespace as ts
from tradespace.errors import ProblemError
from tradespace.plugins import registry
from tradespace.problem import Problem
from tradespace.search.api import view_of
from tradespace.search.contract import Budget
from tradespace.search.indicators import nondominated
from tradespace.settings import Setting, bind
from tradespace_optimizers.schedule_cpsat import _Model
from tradespace_optimizers.schedule_epsilon import task_job

ORTOOLS = importlib.util.find_spec("ortools") is not None
SOLVERS = ["milp", pytest.param("cpsat", marks=pytest.mark.skipif(not ORTOOLS, reason="needs the package 'ortools'"))]


def workflow(n: int, seed: int, **columns: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    edges = [[a, b, float(rng.uniform(1e7, 3e9))] for b in range(n) for a in range(b) if rng.random() < 0.4]
    return {"type": "task_graph", "work": (rng.integers(1, 20, n) * 1e9).tolist(), "edges": edges, **columns}


def bound(workload: Any, target: str) -> Any:
    return bind(Setting(workload, target), registry()).evaluator


def everything(evaluator: Any, names: list[str]) -> np.ndarray:
    """(K, M) the front over all orders and assignments of a small graph."""
    n = len(evaluator.binding.tables.graph.tasks)
    orders = np.array(list(itertools.permutations(range(n))), np.int32)
    orders = np.unique(evaluator.binding.tables.canonical(orders), axis=0)
    nodes = np.array(list(itertools.product(range(3), repeat=n)), np.int32)
    pairs = np.array(list(itertools.product(range(len(orders)), range(len(nodes)))))
    designs = evaluator.space.designs({"order": orders[pairs[:, 0]], "assignment": nodes[pairs[:, 1]]})
    values = Problem.of(evaluator, names).score(designs).objectives
    return values[nondominated(values)]


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("metric", ["makespan", "energy", "response"])
def test_one_objective_is_solved_to_the_optimum(name: str, metric: str) -> None:
    evaluator = bound(workflow(5, 3), "processors-3")
    if metric == "energy":  # the catalogue's nodes have one core, so energy grows evenly
        assert (evaluator.binding.tables.nodes.cores == 1).all()
    best = everything(evaluator, [metric]).min()
    front = ts.search(evaluator, [metric], optimizer=name, evaluations=100)
    assert front.values[0, 0] == pytest.approx(best, rel=1e-5)
    assert "open" not in front.note and "at least" not in front.note


@pytest.mark.parametrize("name", SOLVERS)
def test_two_objectives_give_the_front_to_the_stated_step(name: str) -> None:
    evaluator = bound(workflow(5, 1), "processors-3")
    names = ["makespan", "energy"]
    exact = everything(evaluator, names)
    front = ts.search(evaluator, names, optimizer=name, evaluations=100, options={"resolution": 0.001})
    known = np.stack([[evaluator.price(p)[k][0] for k in names] for p in evaluator.suggest().values()])
    step = 0.003 * (np.maximum(known.max(axis=0), exact.max(axis=0)) - exact.min(axis=0)) + 1e-9
    covered = (front.minimised[None] <= exact[:, None] + step).all(axis=2).any(axis=1)
    inside = (exact <= known.max(axis=0)).all(axis=1)
    assert inside.any() and covered[inside].all()
    assert "zones" not in front.note


@pytest.mark.parametrize("name", SOLVERS)
def test_the_golden_graph_and_rl_aco_agree(name: str) -> None:
    """Topcuoglu's ten tasks: the optimum is 73; release times and pinned tasks are kept."""
    evaluator = bound("topcuoglu-10", "three-processors")
    front = ts.search(evaluator, ["makespan"], optimizer=name, evaluations=20)
    assert front.values[0, 0] == 73.0
    late = bound(workflow(5, 2, release=[0, 30, 0, 0, 0]), "processors-3")
    found = ts.search(late, ["makespan"], optimizer=name, evaluations=20)
    assert found.values[0, 0] == pytest.approx(everything(late, ["makespan"]).min(), rel=1e-5)


@pytest.mark.skipif(not ORTOOLS, reason="needs the package 'ortools'")
@pytest.mark.parametrize("seed", range(3))
def test_searches_come_within_a_percent_of_proved_optima(seed: int) -> None:
    evaluator = bound(workflow(9, seed), "processors-3")
    proved = ts.search(evaluator, ["makespan"], optimizer="cpsat", evaluations=20, options={"seconds": 20.0})
    if "at least" in proved.note:
        pytest.skip("not proved in time on this machine")
    for name in ("rl_aco", "schedule_search"):
        found = ts.search(evaluator, ["makespan"], optimizer=name, evaluations=500, seed=seed)
        assert proved.values[0, 0] * (1 - 1e-5) <= found.values[0, 0] <= proved.values[0, 0] * 1.01


@pytest.mark.skipif(not ORTOOLS, reason="needs the package 'ortools'")
@pytest.mark.parametrize("target", ["processors-3", "cloud-fleet"])
def test_cpsat_begins_at_a_schedule_that_its_own_rounded_times_allow(target: str) -> None:
    """A hint that breaks a constraint by one quantum is dropped, and large graphs are then left without a schedule."""
    from ortools.sat.python import cp_model

    evaluator = bound(workflow(30, 4), target)
    job = task_job(view_of(Problem.of(evaluator, ["makespan"]), Budget(evaluations=10)), 0.001, "cpsat")
    model = _Model(cp_model, job)
    start, end, node = model._whole()
    for i, row in enumerate(model.on):
        model.cp.add(model.start[i] == start[i])
        model.cp.add(model.end[i] == end[i])
        model.cp.add(row[node[i]] == 1)
    last = model.objective(0)
    model.cp.minimize(last)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model.cp) == cp_model.OPTIMAL
    assert solver.objective_value * job.quantum <= job.values[:, 0].min() * (1 + 1e-4)


@pytest.mark.parametrize("name", SOLVERS)
def test_refusals_name_a_remedy(name: str) -> None:
    evaluator = bound(workflow(5, 0), "processors-3")
    with pytest.raises(ProblemError, match="minimises") as caught:
        ts.search(evaluator, ["utilisation"], optimizer=name, evaluations=10)
    assert caught.value.remedy
    cost = ts.search(evaluator, ["cost"], optimizer=name, evaluations=5, options={"seconds": 1.0})
    assert "lower bounds stand for cost" in cost.note

"""Schedules and queues as evaluators: golden values of the literature, brute force, kits, targets."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from tests.support.fleet import random_tables

import tradespace as ts
from tradespace.errors import PluginError, ProblemError, TradespaceError, UnknownName
from tradespace.plugins import registry
from tradespace.settings import Setting, bind
from tradespace.targets import load_target
from tradespace.testing.device_models import check_device_model
from tradespace.testing.evaluators import check_evaluator
from tradespace.testing.factories import check_factory
from tradespace.testing.targets import check_target
from tradespace.workloads import load_workload
from tradespace_fleet.bounds import makespan_bound
from tradespace_fleet.colony import ColonyFactory
from tradespace_fleet.list_schedulers import SCHEDULERS, critical_path, downward, upward
from tradespace_fleet.node import Node, nodes_of
from tradespace_fleet.queue import QueueFactory
from tradespace_fleet.schedule import ScheduleFactory


def bound(workload: Any, target: Any, evaluator: str | None = None, **options: Any) -> Any:
    return bind(Setting(workload, target, evaluator, options), registry()).evaluator


def makespans(evaluator: Any) -> dict[str, float]:
    return {name: float(evaluator.price(plan)["makespan"][0]) for name, plan in evaluator.suggest().items()}


# -- golden values ----------------------------------------------------------------------------------------------------


def test_golden_ranks_and_schedules_of_the_ten_task_graph() -> None:
    """Topcuoglu, Hariri, Wu 2002: rank_u, HEFT 80, CPOP 86 and its critical path; PEFT 85 by its definition."""
    evaluator = bound("topcuoglu-10", "three-processors")
    tables = evaluator.binding.tables
    assert upward(tables) == pytest.approx([108, 77, 80, 80, 69, 190 / 3, 128 / 3, 107 / 3, 133 / 3, 44 / 3])
    assert downward(tables)[9] == pytest.approx(108 - 44 / 3)
    assert critical_path(tables, upward(tables) + downward(tables)) == [0, 1, 8, 9]
    found = makespans(evaluator)
    assert (found["heft"], found["cpop"], found["peft"]) == (80.0, 86.0, 85.0)


def test_the_heft_schedule_is_the_published_one() -> None:
    evaluator = bound("topcuoglu-10", "three-processors")
    plan = evaluator.explain(evaluator.suggest()["heft"])
    rows = {row.name: (row.choices["node"], row.costs["start"], row.costs["finish"]) for row in plan.rows}
    assert rows["n1"] == ("p3", 0.0, 9.0)
    assert rows["n2"] == ("p1", 27.0, 40.0)
    assert rows["n9"] == ("p2", 56.0, 68.0)
    assert rows["n10"] == ("p2", 73.0, 80.0)


def test_the_optimum_of_the_golden_graph_is_not_beaten() -> None:
    evaluator = bound("topcuoglu-10", "three-processors")
    prices = evaluator.price(evaluator.repair(evaluator.space.sample(200_000, np.random.default_rng(0))))
    assert prices["makespan"].min() >= 73.0
    front = ts.search(evaluator, ["makespan"], optimizer="rl_aco", evaluations=6000, seed=1)
    assert front.values[0, 0] >= 73.0


def test_fisher_and_thompson_6x6() -> None:
    """Semi-active schedules contain the optimum, 55."""
    evaluator = bound("ft06", "six-machines")
    assert not evaluator.insertion and "assignment" not in evaluator.space
    best = min(
        ts.search(evaluator, ["makespan"], optimizer="rl_aco", evaluations=4000, seed=s).values[0, 0] for s in range(3)
    )
    assert best == 55.0


def test_one_machine_against_all_orders() -> None:
    evaluator = bound({"type": "smtwtp", "jobs": 7, "seed": 3}, "single-machine", "schedule")
    orders = np.array(list(itertools.permutations(range(7))), np.int32)
    prices = evaluator.price(evaluator.space.designs({"order": orders}))
    tasks = evaluator.binding.tables.graph.tasks
    late = np.maximum(np.cumsum(tasks.work[orders], axis=1) - tasks.deadline[orders], 0)
    assert prices["tardiness"] == pytest.approx((tasks.weight[orders] * late).sum(axis=1))
    plans = {k: float(evaluator.price(v)["tardiness"][0]) for k, v in evaluator.suggest().items()}
    assert min(plans.values()) >= prices["tardiness"].min()


def test_every_scheduler_is_a_plan_of_its_own_and_a_policy() -> None:
    evaluator = bound("topcuoglu-10", "three-processors", plan="scheduler")
    found = {name: evaluator.price(evaluator.space.parse({"scheduler": name}))["makespan"][0] for name in SCHEDULERS}
    assert found["heft"] == 80.0 and found["cpop"] == 86.0 and found["peft"] == 85.0
    assert set(registry().names("policies")) >= set(SCHEDULERS)
    assert registry().load("policies", "heft") is SCHEDULERS["heft"]


def test_min_min_prefers_short_tasks_and_max_min_long_ones() -> None:
    """Braun et al. 2001: one long and many short tasks; Max-Min balances, Min-Min leaves the long one to the end."""
    workload = {"type": "task_graph", "work": [8e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9, 1e9]}
    machines = {"extends": "processors-3", "devices.a.rate": "1 GOPS", "devices.b.rate": "1 GOPS"}
    found = makespans(bound(workload, machines | {"devices.c.rate": "0.001 GOPS"}))
    assert found["max_min"] == pytest.approx(8.0)
    assert found["min_min"] == pytest.approx(12.0)


def test_the_relaxation_bounds_every_schedule_and_is_no_weaker_than_the_textbook() -> None:
    for seed in range(40):
        tables, rng = random_tables(seed)
        n, m = tables.exec.shape
        orders = rng.permuted(np.tile(np.arange(n), (200, 1)), axis=1)
        spans = tables.price(orders, rng.integers(0, m, (200, n)), True)[0]
        bound = makespan_bound(tables)
        assert bound <= spans.min() * (1 + 1e-9)
        tasks = tables.graph.tasks
        assert bound >= (tasks.release + tables.exec.min(axis=1)).max() * (1 - 1e-6)
    golden = bound_of("topcuoglu-10", "three-processors")
    assert 40.0 < golden <= 73.0  # the critical path at its fastest is 41
    assert bound_of("ft06", "six-machines") == pytest.approx(47.0)  # the longest job; machines are given


def bound_of(workload: str, target: str) -> float:
    return makespan_bound(bound(workload, target).binding.tables)


# -- queues -----------------------------------------------------------------------------------------------------------


def test_a_stream_is_solved_by_brute_force() -> None:
    workload = {"type": "iot_task_set", "tasks": 6, "rate": "3 Hz", "seed": 2}
    evaluator = bound(workload, "processors-3", "queue")
    assert evaluator.space.size == 3**6
    front = ts.search(evaluator, ["response", "energy", "late"], optimizer="exhaustive", evaluations=10**4)
    listed = evaluator.suggest()
    for name, plan in listed.items():
        values = evaluator.price(plan)
        assert front.values[:, 0].min() <= values["response"][0], name


@pytest.mark.parametrize("discipline", ["fcfs", "priority", "deadline"])
def test_disciplines_and_admission(discipline: str) -> None:
    workload = {"type": "iot_task_set", "tasks": 60, "rate": "30 Hz", "seed": 5}
    plain = bound(workload, "processors-4", "queue", discipline=discipline)
    strict = bound(workload, "processors-4", "queue", discipline=discipline, admission="reject")
    designs = plain.space.sample(50, np.random.default_rng(0))
    a, b = plain.price(designs), strict.price(designs)
    assert "rejected" not in {m.name for m in plain.metrics} and (b["rejected"] > 0).any()
    assert (b["tardiness"] == 0).all()  # who is let in is on time
    assert (b["late"] == b["rejected"]).all()
    assert b["late"].mean() < a["late"].mean()  # refusing the hopeless helps the others


def test_dynamic_priorities_serve_the_urgent_first() -> None:
    workload = {"type": "iot_task_set", "tasks": 200, "rate": "10 Hz", "seed": 7}
    tardiness = {}
    for discipline in ("fcfs", "deadline"):
        evaluator = bound(workload, "processors-8", "queue", discipline=discipline)
        designs = evaluator.space.sample(100, np.random.default_rng(1))
        tardiness[discipline] = evaluator.price(designs)["tardiness"].mean()
    assert tardiness["deadline"] < tardiness["fcfs"]


def test_idle_nodes_draw_power_until_the_end() -> None:
    evaluator = bound({"type": "iot_task_set", "tasks": 3, "seed": 1}, "cloud-fleet", "queue")
    prices = evaluator.price(evaluator.space.sample(20, np.random.default_rng(2)))
    idle = evaluator.binding.tables.nodes.power[:, 0].sum()
    assert (prices["energy"] > idle * prices["makespan"]).all()
    assert idle == pytest.approx(5 * 86 + 5 * 93.7)


def test_memory_is_a_graded_violation() -> None:
    workload = {"type": "task_graph", "work": [1.0, 1.0], "memory": [12e9, 20e9]}
    evaluator = bound(workload, "processors-3")
    over = evaluator.price(evaluator.space.sample(4, np.random.default_rng(0))).violations["memory"]
    assert over == pytest.approx(20 / 16 - 1)


# -- structure of the room --------------------------------------------------------------------------------------------

PAIRS = [
    ("topcuoglu-10", "three-processors", None, {}),
    ("topcuoglu-10", "three-processors", None, {"plan": "rank"}),
    ("topcuoglu-10", "three-processors", None, {"plan": "scheduler"}),
    ("ft06", "six-machines", None, {}),
    ("smtwtp-50", "single-machine", None, {}),
    ("smtwtp-50", "single-machine", "colony", {"instances": 3}),
    ("iot-100", "cloud-fleet", "queue", {}),
    ("iot-100", "cloud-fleet", "queue", {"discipline": "priority", "admission": "reject"}),
    ("iot-100", "edge-cloud-fleet", "schedule", {"placing": "append"}),
]


@pytest.mark.parametrize(("workload", "target", "evaluator", "options"), PAIRS)
def test_evaluators_pass_their_kit(workload: str, target: str, evaluator: str | None, options: dict[str, Any]) -> None:
    report = check_evaluator(bound(workload, target, evaluator, **options))
    assert report.passed, report


@pytest.mark.parametrize("factory", [ScheduleFactory, QueueFactory, ColonyFactory])
def test_factories_pass_their_kit(factory: Any) -> None:
    names = registry()
    pairs = [("topcuoglu-10", "three-processors"), ("iot-100", "cloud-fleet"), ("smtwtp-50", "single-machine"),
             ("ft06", "three-processors"), ("topcuoglu-10", "laptop"), ("llama-3.2-1b", "cloud-fleet")]  # fmt: skip
    small = {"instances": 2} if factory is ColonyFactory else {}
    report = check_factory(factory(), [(load_workload(w, names), load_target(t, names), small) for w, t in pairs])
    assert report.passed, report


def test_reasons_of_declining() -> None:
    with pytest.raises(ProblemError, match="needs devices of model 'node'"):
        bound("topcuoglu-10", "laptop", "schedule")
    with pytest.raises(ProblemError, match="pinned to 6 machines, the target has 3"):
        bound("ft06", "three-processors", "schedule")
    with pytest.raises(ProblemError, match="none of which the target has"):
        bound("topcuoglu-10", "processors-4", "schedule")
    with pytest.raises(ProblemError, match="this graph has precedences"):
        bound("topcuoglu-10", "three-processors", "queue")
    with pytest.raises(ProblemError, match="there from the start"):
        bound("smtwtp-50", "single-machine", "queue")


@pytest.mark.parametrize("name", ["cloud-fleet", "edge-cloud-fleet", "processors-3", "processors-4", "processors-8"])
def test_targets(name: str) -> None:
    report = check_target(lambda: load_target(name, registry()), name, models=registry().names("device_models"))
    assert report.passed, report
    nodes = nodes_of(load_target(name, registry()))
    assert (np.diff(nodes.power, axis=1) > 0).all()  # a busier node never draws less


def test_the_device_model_passes_its_kit() -> None:
    report = check_device_model(Node, "node")
    assert report.passed, report


def test_fleets_have_the_published_counts() -> None:
    hosts = nodes_of(load_target("edge-cloud-fleet", registry()))
    assert len(hosts) == 50 and (hosts.delay == 0.003).sum() == 30 and (hosts.delay == 0.076).sum() == 20
    ten = nodes_of(load_target("cloud-fleet", registry()))
    assert len(ten) == 10 and ten.cores.sum() == 20 and sorted(set(ten.rate)) == [1.86e9, 2.66e9]


def test_counts_and_cores_are_whole() -> None:
    for key, value in (("count", "2.5"), ("cores", "0.5"), ("count", "100000")):
        with pytest.raises(TradespaceError, match=rf"devices.g4: .{key}. is a whole number"):
            bound("iot-100", {"extends": "cloud-fleet", f"devices.g4.{key}": value})


def test_unknown_options_get_suggestions() -> None:
    with pytest.raises((UnknownName, PluginError), match="placing"):
        bound("topcuoglu-10", "three-processors", "schedule", placin="append")
    with pytest.raises((UnknownName, PluginError), match="insertion"):
        bound("topcuoglu-10", "three-processors", "schedule", placing="insertoin")


def test_list_schedulers_propose_their_plans_and_end() -> None:
    evaluator = bound("topcuoglu-10", "three-processors")
    front = ts.search(evaluator, ["makespan"], optimizer="list_schedulers", evaluations=1000)
    assert front.evaluations == len(SCHEDULERS) and front.stopped == "nothing left to propose"
    one = ts.search(evaluator, ["makespan"], optimizer="list_schedulers", options={"only": "heft"})
    assert one.values[0, 0] == 80.0
    with pytest.raises(UnknownName, match="heft"):
        ts.search(evaluator, ["makespan"], optimizer="list_schedulers", options={"only": "hefd"})

"""Task graphs: what is refused, levels and orders, options of their workload types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError, TradespaceError, UnitError, UnknownName
from tradespace.plugins import registry
from tradespace.testing.workloads import check_workload
from tradespace.workloads import load_workload
from tradespace.workloads.task_graph import MAX_TASKS, task_graph
from tradespace_fleet.workloads import torch_rand, torch_twister

SOURCES = {"shape": "a test", "kind": "derived"}


def load(**options: Any) -> Any:
    return load_workload(options, registry())


def test_levels_and_topological_order() -> None:
    graph = task_graph("g", [1, 1, 1, 1], edges=[(3, 0, 1), (0, 1, 1), (3, 1, 1), (2, 1, 0)], sources=SOURCES)
    assert graph.level.tolist() == [1, 2, 0, 0]
    assert graph.order.tolist() == [2, 3, 0, 1]
    assert not graph.timed


@pytest.mark.parametrize(
    ("work", "edges", "columns", "rule"),
    [
        ([], [], {}, "1 to"),
        (np.ones(MAX_TASKS + 1), [], {}, "1 to"),
        ([1, -1], [], {}, "'work' is a number"),
        ([1, np.nan], [], {}, "'work' is a number"),
        ([1, 1], [], {"release": [0, np.inf]}, "'release' is a number"),
        ([1, 1], [], {"memory": [1, 2, 3]}, "one number for each"),
        ([1, 1], [(0, 2, 1)], {}, "two different tasks"),
        ([1, 1], [(0, 0, 1)], {}, "two different tasks"),
        ([1, 1], [(0, 1, 1), (0, 1, 2)], {}, "joined once"),
        ([1, 1], [(0, 1, 1), (1, 0, 2)], {}, "circle"),
        ([1, 1], [(0, 1, -1)], {}, "edge bytes"),
        ([1, 1], [(0, 0.5, 1)], {}, "by their numbers"),
        ([1, 1], [], {"pinned": [0, 1]}, "0 machines"),
        ([1, 1], [], {"group": [0, 1]}, "one of the groups"),
        ([1, 1], [], {"factor": {"p": [0.0, 1.0]}}, "factor.p"),
    ],
)
def test_refusals(work: Any, edges: Any, columns: Any, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        task_graph("g", work, edges=edges, sources=SOURCES, **columns)


@pytest.mark.parametrize(
    "options",
    [
        {"type": "task_graph"},
        {"type": "task_graph", "work": "a lot"},
        {"type": "task_graph", "work": [1, "x"]},
        {"type": "task_graph", "work": [1, 1], "edges": [[0]]},
        {"type": "task_graph", "work": [1, 1], "edges": [[0, 1, "3 s"]]},
        {"type": "task_graph", "work": [1, 1], "edges": [[0, None, 3]]},
        {"type": "task_graph", "work": [1, 1], "factor": [1]},
        {"type": "task_graph", "work": [1, 1], "affinity": {"machines": "p0"}},
        {"type": "task_graph", "work": [1, 1], "affinity": {"machines": ["p0"], "spread": 1}},
        {"type": "iot_task_set", "tasks": 0},
        {"type": "iot_task_set", "rate": "12 W"},
        {"type": "iot_task_set", "rate": 0},
        {"type": "iot_task_set", "work": [5, 1]},
        {"type": "iot_task_set", "slak": [1, 2]},
        {"type": "smtwtp", "jobs": 1e9},
        {"type": "job_shop", "jobs": [[0, 1, 2]]},
        {"type": "job_shop", "jobs": [[0.5, 1]]},
        {"type": "job_shop", "jobs": [[999, 1]]},
        {"type": "workflow"},
        {"type": "workflow", "file": "/no/such/file.json"},
    ],
)
def test_bad_options_are_refused_in_one_sentence(options: dict[str, Any]) -> None:
    with pytest.raises((InputError, UnknownName, UnitError)) as caught:
        load(**options)
    assert "\n" not in str(caught.value)


def test_streams_are_poisson_and_share_their_random_numbers() -> None:
    few, many = load(type="iot_task_set", tasks=50, seed=4), load(type="iot_task_set", tasks=4000, seed=4)
    for column in ("work", "release", "deadline", "input", "memory", "group"):
        assert np.array_equal(getattr(few.tasks, column), getattr(many.tasks, column)[:50])
    gaps = np.diff(many.tasks.release)
    assert gaps.mean() == pytest.approx(0.1, rel=0.05)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.06)  # exponential
    assert not np.array_equal(few.tasks.work, load(type="iot_task_set", tasks=50, seed=5).tasks.work)
    urgent = many.tasks.weight == 4.0
    assert 0.17 < urgent.mean() < 0.23
    slack = (many.tasks.deadline - many.tasks.release) / (many.tasks.work / 1e9)
    assert slack[urgent].max() <= 3.0 + 1e-9 < slack[~urgent].max()


def test_smtwtp_is_drawn_as_stated() -> None:
    due = np.concatenate([load(type="smtwtp", jobs=50, seed=s).tasks.deadline for s in range(40)])
    work = np.concatenate([load(type="smtwtp", jobs=50, seed=s).tasks.work for s in range(40)])
    assert due.min() >= 0 and due.max() <= 50 and due.mean() == pytest.approx(25, rel=0.05)
    assert work.min() >= 0 and work.max() <= 1 and work.mean() == pytest.approx(0.5, rel=0.05)


def test_deepaco_instances_come_from_torchs_generator() -> None:
    """torch.manual_seed(0); torch.rand(5) prints 0.4963, 0.7682, 0.0885, 0.1320, 0.3074 in every torch manual."""
    drawn = torch_rand(torch_twister(0), 5)
    assert np.round(drawn, 4).tolist() == [0.4963, 0.7682, 0.0885, 0.1320, 0.3074]
    first, again = (load(type="smtwtp", jobs=50, draw="deepaco-test", seed=s).tasks.deadline for s in (0, 0))
    assert np.array_equal(first, again) and first.min() >= 0 and first.max() <= 50
    other = load(type="smtwtp", jobs=100, draw="deepaco-test", seed=0).tasks.deadline
    assert not np.array_equal(first / 50, other[:50] / 100)
    with pytest.raises(InputError, match="0 to 99 of 50 or 100 jobs"):
        load(type="smtwtp", jobs=50, draw="deepaco-test", seed=100)


def test_job_shop_chains_the_operations_of_a_job() -> None:
    graph = load(type="job_shop", jobs=[[0, 3, 1, 2], [1, 5, 0, 4]])
    assert graph.tasks.work.tolist() == [3, 2, 5, 4]
    assert graph.tasks.pinned.tolist() == [0, 1, 1, 0]
    assert list(zip(graph.edges.source, graph.edges.dest, strict=True)) == [(0, 1), (2, 3)]
    drawn = load(type="job_shop", jobs=4, machines=3, seed=1)
    assert drawn.machines == 3 and sorted(drawn.tasks.pinned[:3]) == [0, 1, 2]


@pytest.mark.parametrize("name", ["topcuoglu-10", "ft06", "iot-100", "smtwtp-50"])
def test_kit(name: str) -> None:
    report = check_workload(lambda: load_workload(name, registry()), name)
    assert report.passed, report


def test_affinity_draws_efforts_within_its_spread() -> None:
    graph = load(type="task_graph", work=[1.0] * 300, affinity={"machines": ["a", "b"], "spread": 0.4, "seed": 2})
    for column in graph.factor.values():
        assert 0.6 <= column.min() < 0.65 and 1.35 < column.max() <= 1.4
    assert not np.array_equal(graph.factor["a"], graph.factor["b"])


def test_errors_are_of_the_house() -> None:
    with pytest.raises(TradespaceError, match="taks"):
        load(type="task_graph", work=[1], taks=["a"])

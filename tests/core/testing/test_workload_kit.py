"""The workload kit passes the catalogue and catches each way of breaking the contract."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tradespace.plugins import registry
from tradespace.testing.workloads import check_workload
from tradespace.workloads import OperatorGraph, load_workload, workload_names

JOBS = ({"phase": "prefill"}, {"phase": "decode", "context": 64}, {"phase": "request", "generate": 3, "batch": 2})


def toy() -> Any:
    return load_workload({"extends": "toy-decoder", "phase": "request"}, registry())


@pytest.mark.parametrize("name", workload_names(registry()))
def test_the_catalogue_passes(name: str) -> None:
    report = check_workload(lambda: load_workload(name, registry()), name)
    assert report.passed and len(report.checks) == 12, str(report)


@pytest.mark.parametrize("job", JOBS)
def test_every_phase_passes(job: dict[str, Any]) -> None:
    report = check_workload(lambda: load_workload({"extends": "toy-decoder", **job}, registry()))
    assert report.passed and all(check.outcome == "passed" for check in report.checks), str(report)


def put(graph: OperatorGraph, **columns: Any) -> OperatorGraph:
    """Bypasses the constructor's own checks, as a subclass of a stranger could."""
    operators = graph.operators
    for name, change in columns.items():
        operators = replace(operators, **{name: change(getattr(operators, name))})
    return forced(graph, operators=operators)


def forced(graph: OperatorGraph, **values: Any) -> OperatorGraph:
    new = object.__new__(type(graph))
    new.__dict__.update({k: v for k, v in graph.__dict__.items() if not k.startswith("_")} | values)
    return new


def at(index: int, value: float) -> Callable[[Any], Any]:
    def change(column: Any) -> Any:
        column = column.copy()
        column[index] = value
        return column

    return change


class MergesTooMuch(OperatorGraph):
    def distinct(self) -> Any:
        rows, index = super().distinct()
        return rows, np.where(index == index.max(), 0, index).astype(np.int32)


class MergesNothing(OperatorGraph):
    def distinct(self) -> Any:
        return self.operators, np.arange(len(self.operators), dtype=np.int32)


class CrossesTwice(OperatorGraph):
    def block_edges(self) -> Any:
        edges = super().block_edges()
        return replace(edges, elements=edges.elements + self.edges.elements.sum())


def as_class(kind: type) -> Callable[[], Any]:
    def load() -> Any:
        new = object.__new__(kind)
        new.__dict__.update({k: v for k, v in toy().__dict__.items() if not k.startswith("_")})
        return new

    return load


def interrupted(graph: OperatorGraph) -> OperatorGraph:
    block = graph.operators.block.copy()
    block[[1, -1]] = block[[-1, 1]]
    return put(graph, block=lambda _: block)


MUTANTS: dict[str, tuple[Callable[[], Any], ...]] = {
    "states_name_and_kind": (lambda: forced(toy(), name=""), lambda: forced(toy(), kind=None)),
    "says_where_it_comes_from": (
        lambda: forced(toy(), sources={"kind": "paper"}),
        lambda: forced(toy(), sources={"shape": "a paper", "kind": "guess"}),
    ),
    "counts_are_counts": (
        lambda: put(toy(), weights=at(2, -1.0)),
        lambda: put(toy(), act_in=at(0, np.nan)),
        lambda: put(toy(), repeat=lambda column: column[:-1]),
        lambda: put(toy(), flop=lambda column: column.astype(np.float32)),
        lambda: put(toy(), kind=lambda kinds: ("magic", *kinds[1:])),
    ),
    "something_is_executed": (lambda: put(toy(), repeat=at(3, 0.0)), lambda: put(toy(), flop=lambda c: c * 0)),
    "products_are_counted": (lambda: put(toy(), flop=lambda column: column / 2),),
    "distinct_rows_rebuild_it": (as_class(MergesTooMuch), as_class(MergesNothing)),
    "edges_stay_inside": (
        lambda: forced(toy(), edges=replace(toy().edges, dest=toy().edges.source)),
        lambda: forced(toy(), edges=replace(toy().edges, elements=-toy().edges.elements)),
        lambda: forced(toy(), edges=replace(toy().edges, dest=toy().edges.dest + 1000)),
    ),
    "blocks_are_contiguous": (lambda: interrupted(toy()),),
    "block_edges_are_unique": (as_class(CrossesTwice),),
    "weights_add_up": (lambda: forced(toy(), parameters=toy().parameters * 1.5),),
    "job_is_counted": (lambda: forced(toy(), tokens=0.0), lambda: forced(toy(), native_precision=" ")),
}


@pytest.mark.parametrize(("check", "load"), [(check, load) for check, loads in MUTANTS.items() for load in loads])
def test_a_wrong_workload_fails(check: str, load: Callable[[], Any]) -> None:
    report = check_workload(load)
    assert check in [failure.name for failure in report.failures], str(report)


def test_a_workload_that_changes_fails() -> None:
    counter = itertools.count(1)
    report = check_workload(lambda: put(toy(), repeat=at(0, float(next(counter)))))
    assert "loads_twice_equal" in [failure.name for failure in report.failures]


def test_other_kinds_of_workload_are_told_what_does_not_apply() -> None:
    @dataclass(frozen=True)
    class Trace:
        name: str = "trace"
        kind: str = "request-trace"
        sources: Any = None

        def __post_init__(self) -> None:
            object.__setattr__(self, "sources", {"shape": "a log", "kind": "measured"})

    report = check_workload(Trace)
    assert report.passed and "9 not applicable" in report.summary, str(report)
    assert "is no operator graph but Trace" in str(report)


def test_a_loader_that_raises_fails_everywhere() -> None:
    def load() -> Any:
        raise OSError("no such file")

    report = check_workload(load)
    assert not report.passed and all("no such file" in check.reason for check in report.checks)

"""What every workload must be: counts that make sense, edges that stay inside, rows that can be priced once.

from tradespace.testing.workloads import check_workload
report = check_workload(lambda: load_workload("llama-3.2-1b", registry()))
assert report.passed, str(report)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from tradespace.testing.report import Kit, KitReport, fail, not_applicable
from tradespace.workloads.operators import KINDS, PRICED, OperatorGraph

SOURCE_KINDS = ("measured", "datasheet", "paper", "derived", "substitute", "fitted")


@dataclass(frozen=True)
class WorkloadSubject:
    """A way to load a workload; it is loaded twice."""

    load: Callable[[], Any]

    @cached_property
    def workload(self) -> Any:
        return self.load()

    @property
    def graph(self) -> OperatorGraph:
        if not isinstance(self.workload, OperatorGraph):
            not_applicable(f"is no operator graph but {type(self.workload).__name__}")
        return self.workload


def check_workload(
    load: Callable[[], Any], label: str = "workload", *, expected: Mapping[str, str] | None = None
) -> KitReport:
    """Run the kit on a workload, given as the function that loads it. `expected`: check -> reason (strict)."""
    return KIT.run(WorkloadSubject(load), label, expected)


def states_name_and_kind(subject: WorkloadSubject) -> None:
    """Has a name and a kind, by which evaluators decide whether to take it."""
    for key in ("name", "kind"):
        value = getattr(subject.workload, key, None)
        if not isinstance(value, str) or not value.strip():
            fail(f"{key} is {value!r}")


def loads_twice_equal(subject: WorkloadSubject) -> None:
    """Loading it again gives the same numbers."""
    again = subject.load()
    if not isinstance(subject.workload, OperatorGraph):
        if repr(again) != repr(subject.workload):
            fail("the second one differs")
        return
    for part in ("operators", "edges"):
        one, two = getattr(subject.workload, part), getattr(again, part)
        for column in fields(one):
            if not np.array_equal(getattr(one, column.name), getattr(two, column.name)):
                fail(f"{part}.{column.name} differs")
    for key in ("name", "blocks", "ties", "tokens", "samples", "parameters", "native_precision"):
        if getattr(again, key) != getattr(subject.workload, key):
            fail(f"{key} differs")


def says_where_it_comes_from(subject: WorkloadSubject) -> None:
    """`sources` name the origin of its shapes and their kind."""
    sources = getattr(subject.workload, "sources", {})
    if not str(sources.get("shape", "")).strip():
        fail("sources lack 'shape'")
    if sources.get("kind") not in SOURCE_KINDS:
        fail(f"sources['kind'] is {sources.get('kind')!r}, needs one of {', '.join(SOURCE_KINDS)}")


def counts_are_counts(subject: WorkloadSubject) -> None:
    """Every column has one finite number per operator, none negative, of a dtype that holds it."""
    operators = subject.graph.operators
    for column in (*PRICED, "repeat", "block"):
        values = getattr(operators, column)
        wanted = np.int32 if column == "block" else np.float64
        if values.shape != (len(operators),) or values.dtype != wanted:
            fail(f"'{column}' is {values.shape} {values.dtype}, needs ({len(operators)},) {np.dtype(wanted)}")
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        if bad.size:
            fail(f"'{column}' of '{operators.name[int(bad[0])]}' is {values[bad[0]]}")
    unknown = sorted(set(operators.kind) - set(KINDS))
    if unknown:
        fail(f"unknown kinds: {', '.join(unknown)}")


def something_is_executed(subject: WorkloadSubject) -> None:
    """Every operator executes at least once and computes or moves something; the job does arithmetic."""
    operators = subject.graph.operators
    moved = operators.flop + operators.weights + operators.act_in + operators.act_out
    idle = np.flatnonzero((operators.repeat <= 0) | (moved <= 0))
    if idle.size:
        fail(f"'{operators.name[int(idle[0])]}' does nothing")
    if not float((operators.flop * operators.repeat).sum()) > 0:
        fail("no operator computes anything")


def products_are_counted(subject: WorkloadSubject) -> None:
    """An operator with a product executes at least its multiply-adds: flop >= 2 m k n count."""
    operators = subject.graph.operators
    short = np.flatnonzero(operators.flop < 2 * operators.macs * (1 - 1e-9))
    if short.size:
        i = int(short[0])
        fail(f"'{operators.name[i]}' counts {operators.flop[i]:.6g} FLOP for {operators.macs[i]:.6g} multiply-adds")


def distinct_rows_rebuild_it(subject: WorkloadSubject) -> None:
    """distinct() loses nothing that a device model may read, and has no two equal rows."""
    graph = subject.graph
    rows, index = graph.distinct()
    if index.shape != (len(graph.operators),) or (len(index) and not 0 <= index.min() <= index.max() < len(rows)):
        fail(f"index has shape {index.shape} and range {index.min()}..{index.max()} for {len(rows)} rows")
    for column in ("kind", *PRICED):
        whole, row = np.asarray(getattr(graph.operators, column)), np.asarray(getattr(rows, column))
        if not np.array_equal(row[index], whole):
            fail(f"'{column}' is not rebuilt")
    keys = list(zip(rows.kind, *(getattr(rows, column).tolist() for column in PRICED), strict=True))
    if len(set(keys)) != len(keys):
        fail("two of the distinct rows are equal")


def edges_stay_inside(subject: WorkloadSubject) -> None:
    """Edges join operators of the graph, forwards, and carry a finite, non-negative number of elements."""
    graph, edges = subject.graph, subject.graph.edges
    if not len(edges):
        if len(graph.blocks) > 1:
            fail("several blocks, but no tensor flows between any operators")
        return
    if edges.source.min() < 0 or edges.dest.max() >= len(graph.operators) or (edges.source >= edges.dest).any():
        fail("an edge leaves the graph or runs backwards")
    if not (np.isfinite(edges.elements).all() and (edges.elements >= 0).all() and (edges.count > 0).all()):
        fail("an edge carries a negative or infinite amount, or never")


def blocks_are_contiguous(subject: WorkloadSubject) -> None:
    """Within a phase the operators of a block stand together, and every block has some."""
    graph = subject.graph
    phases = [name.partition("/")[2] for name in graph.operators.name]
    spans = [key for key, _ in itertools.groupby(zip(phases, graph.operators.block.tolist(), strict=True))]
    if len(set(spans)) != len(spans):
        phase, block = next(span for span in spans if spans.count(span) > 1)
        fail(f"block '{graph.blocks[block]}' is interrupted{' in ' + phase if phase else ''}")
    if {block for _, block in spans} != set(range(len(graph.blocks))):
        fail("a block has no operators, or an operator no block")


def block_edges_are_unique(subject: WorkloadSubject) -> None:
    """block_edges() join different blocks that exist, and carry no more than the edges between their operators."""
    graph = subject.graph
    crossing = graph.block_edges()
    if not len(crossing):
        return
    if max(crossing.source.max(), crossing.dest.max()) >= len(graph.blocks) or (crossing.source == crossing.dest).any():
        fail("an edge between blocks stays in its block or leaves the graph")
    if crossing.elements.sum() > graph.edges.elements.sum() * (1 + 1e-12):
        fail("a tensor crosses twice")


def weights_add_up(subject: WorkloadSubject) -> None:
    """Resident weights, ties counted once, are the parameters (within 1 %, for weights that no operator reads)."""
    graph = subject.graph
    if graph.parameters <= 0:
        not_applicable("states no parameters")
    resident = float(graph.operators.weights_resident.sum()) - sum(elements for _, _, elements in graph.ties)
    if not np.isclose(resident, graph.parameters, rtol=0.01):
        fail(f"{resident:.6g} resident weight elements, {graph.parameters:.6g} parameters")


def job_is_counted(subject: WorkloadSubject) -> None:
    """A job produces tokens and samples; the precision its weights come in has a name or is None."""
    graph = subject.graph
    if not (graph.tokens > 0 and graph.samples >= 1):
        fail(f"tokens {graph.tokens}, samples {graph.samples}")
    if graph.native_precision is not None and not str(graph.native_precision).strip():
        fail(f"native_precision is {graph.native_precision!r}")


KIT: Kit[WorkloadSubject] = Kit(
    "workload kit",
    (
        states_name_and_kind,
        loads_twice_equal,
        says_where_it_comes_from,
        counts_are_counts,
        something_is_executed,
        products_are_counted,
        distinct_rows_rebuild_it,
        edges_stay_inside,
        blocks_are_contiguous,
        block_edges_are_unique,
        weights_add_up,
        job_is_counted,
    ),
)

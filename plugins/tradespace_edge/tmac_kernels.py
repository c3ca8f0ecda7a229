"""The evaluator `kernel`: products with low-bit weights, measured on this machine with the native kernels.

System: "T-MAC: CPU Renaissance via Table Lookup for Low-Bit LLM Deployment on Edge", arXiv 2407.00088. Its decisions
(tiles, groups, table quantisation, aggregation, threads) are the variables; dequantising kernels in the formats that
llama.cpp b2794 (May 2024) offers stand beside it: Q4_0, Q3_K, Q2_K, and Q2_K for 1 bit, as section 5.2 does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.option_numbers import Bounded, read_numbers
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import ProblemError, TradespaceError
from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.formats import FORMATS
from tradespace.kernels.running import usable_cpus
from tradespace.plans import Plan, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Target
from tradespace.workloads.operators import OperatorGraph
from tradespace_edge.tmac_measure import BLOCKS, Measured, Protocol, measure

METRICS = (
    Metric("latency", "s", "min", "time of all products with weights, measured: the fastest tenth of the runs"),
    Metric("nmse", "1", "min", "squared error relative to the unquantised product, Gaussian weights and activations"),
    Metric("error", "1", "min", "the same relative to the exact product of the quantised weights"),
    Metric("memory", "B", "min", "weights and scales"),
    Metric("spread", "1", "min", "how much longer the median run takes, relative"),
)
AGGREGATION: Mapping[str, int] = {"exact": 0, "fast8": 8, "fast16": 16}
MAX_SHAPES = 16
MAX_WEIGHTS = 1 << 28
FAR = 1e3
"""A combination that cannot run is priced as this many times what can: s, and NMSE. Its violation says so."""


@dataclass(frozen=True)
class Shape:
    """One product: m results, k columns, n rows of activations, executed `times` times a job."""

    m: int
    k: int
    n: int
    times: float


class KernelFactory:
    """Takes graphs of products with weights, on the machine tradespace runs on (a device with ``here: 1``).

    Options: ``warmup`` (10), ``repetitions`` (100): section 5.1's protocol; ``seed`` (0). Name it explicitly: it is
    measured, so its fidelity is declared below the models' and no search takes minutes unasked.
    """

    fidelity = 1

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, OperatorGraph):
            return Declined("measures the products of operator graphs", other_kind=True)
        if len(target.devices) != 1 or not target.devices[0].numbers.get("here"):
            return Declined("measures on this machine: the target has one device, with 'here: 1'", other_kind=True)
        shapes = shapes_of(workload)
        if not 1 <= len(shapes) <= MAX_SHAPES:
            return Declined(f"measures 1 to {MAX_SHAPES} different products; the workload has {len(shapes)}")
        for shape in shapes:
            if shape.k % 32 or shape.m * shape.k > MAX_WEIGHTS:
                return Declined(f"products have a multiple of 32 columns and at most 2^28 weights, not {shape}")
        return True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> KernelEvaluator:
        """Raises `UnknownName` or `ProblemError` for options that do not fit."""
        answer = self.accepts(workload, target)
        if isinstance(answer, Declined):
            raise ProblemError("evaluator 'kernel' does not take this pair", value=answer.reason)
        return KernelEvaluator(workload, target, read_protocol(options), dict(options))


def shapes_of(graph: OperatorGraph) -> tuple[Shape, ...]:
    """The distinct products with weights."""
    rows, index = graph.distinct()
    times = np.bincount(index, weights=graph.operators.repeat, minlength=len(rows))
    found: dict[tuple[int, int, int], float] = {}
    for i in range(len(rows)):
        if rows.kind[i] == "matmul" and rows.weights[i] > 0:
            size = (int(rows.n[i]), int(rows.k[i]), int(rows.m[i]))
            found[size] = found.get(size, 0.0) + float(times[i] * rows.count[i])
    return tuple(Shape(*size, executed) for size, executed in found.items())


def read_protocol(options: Mapping[str, Any]) -> Protocol:
    """Raises `UnknownName` for unknown options, `ProblemError` or `UnitError` for values that do not fit."""
    bounds = {"warmup": (10, 0, 1000), "repetitions": (100, 3, 10_000), "seed": (0, 0, 2**31)}
    read = read_numbers(options, {key: Bounded(*numbers, whole=True) for key, numbers in bounds.items()})
    return Protocol(**{key: int(value) for key, value in read.items()})


def instruction_sets() -> tuple[str, ...]:
    """What this machine can compile for; AVX2 first, as the publication's x86 machine has no more."""
    try:
        load_shipped("tmac", "avx2")
    except KernelError:
        return ("native",)
    return ("avx2", "native")


@dataclass(frozen=True, eq=False)
class KernelEvaluator:
    """Measures a design once and remembers it. Not deterministic: never measured again on resume."""

    graph: OperatorGraph
    target: Target
    protocol: Protocol
    given: Mapping[str, Any] = field(default_factory=dict)
    _measured: dict[tuple[Any, ...], Measured | TradespaceError] = field(default_factory=dict)

    deterministic = False
    metrics = METRICS
    default_objectives = ("latency", "nmse", "memory")

    @cached_property
    def space(self) -> Space:
        threads = tuple(range(1, max(1, len(usable_cpus())) + 1))
        lookup: dict[str, tuple[Any, ...]] = {"kernel": ("tmac",)}
        return Space(
            Choice("kernel", ("tmac", "dequant")),
            Choice("bits", (4, 3, 2, 1)),
            Choice("threads", threads),
            Choice("isa", instruction_sets()),
            Choice("group", (128, 32), when=lookup),
            Choice("table_group", (128, 64, 32, 0), when=lookup),
            Choice("tables", ("int8", "int16"), when=lookup),
            Choice("aggregation", tuple(AGGREGATION), when=lookup),
            Choice("layout", ("tile", "wide", "natural", "scattered"), when=lookup),
            Choice("rows", (64, 32), when=lookup),
            Choice("k_tile", (1024, 128, 256, 4096), when=lookup),
        )

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        return shapes_of(self.graph)

    def price(self, designs: Designs) -> Prices:
        n = len(designs)
        columns = {metric.name: np.full(n, FAR) for metric in METRICS}
        broken = np.ones(n)
        for row in range(n):
            found = self._of(designs.show(row))
            if isinstance(found, Measured):
                broken[row] = -1.0
                for metric in METRICS:
                    columns[metric.name][row] = getattr(found, metric.name)
        return Prices(columns, {"kernel": broken})

    def _of(self, design: Mapping[str, Any]) -> Measured | TradespaceError:
        key = tuple(design.items())
        if key not in self._measured:
            try:
                self._measured[key] = measure(self.shapes, design, AGGREGATION, self.protocol)
            except TradespaceError as error:  # groups that do not divide k, an instruction this machine lacks
                self._measured[key] = error
        return self._measured[key]

    def repair(self, designs: Designs) -> Designs:
        """Fast aggregation needs the tile layout, int8 tables and groups as large as its trees; the wide layout has 32
        rows and 64-byte instructions."""
        columns = {name: np.array(block) for name, block in designs.columns.items()}
        space = designs.space

        def at(name: str, *values: Any) -> NDArray[np.bool_]:
            choice = space[name]
            assert isinstance(choice, Choice)
            return np.isin(columns[name][:, 0], [choice.options.index(v) for v in values])

        lookup = at("kernel", "tmac")
        if "avx2" in instruction_sets():
            columns["isa"][lookup & at("layout", "wide"), 0] = 1
        columns["rows"][lookup & at("layout", "wide"), 0] = 1
        bound = at("layout", "wide", "natural") | at("tables", "int16")
        columns["aggregation"][lookup & bound, 0] = 0
        small = at("group", 32) | at("table_group", 32)
        columns["aggregation"][lookup & small & at("aggregation", "fast16"), 0] = 1
        return Designs(space, columns)

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        return plan_of_prices(
            self, design, self.price(design), (self.graph.name, self.target.name, "kernel"), self.given
        )


assert set(BLOCKS.values()) <= set(FORMATS)

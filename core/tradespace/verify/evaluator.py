"""The evaluator `measured`: the highest rung over the space of the tables, plans that are run on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.option_numbers import Bounded, check_names
from tradespace.costs.tables import OPTIONS, TablesFactory
from tradespace.designs import Designs, Space
from tradespace.errors import ProblemError, TradespaceError
from tradespace.plans import Plan
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.units import parse
from tradespace.verify.local import local_plan, threads_of
from tradespace.verify.measure import Measurement, Protocol, measure
from tradespace.verify.passes import passes_of

Floats = NDArray[np.float64]

MEASURED = {
    "latency": "time of one job, measured: decode steps at the mean context, and the prefill in chunks",
    "throughput": "tokens of one job over latency, measured",
}
KEPT = ("loss", "memory")
"""Metrics of the tables that no run could change."""
SPREAD = Metric("spread", "1", "min", "quartile range of whole passes over their median")
FAR = 10.0
"""A plan that cannot be run costs this many times what the tables say; its violation says so."""


class MeasuredFactory:
    """Takes decoder language models where a device of the target is this machine (``here: 1``).

    Options: those of the evaluator tables; ``seconds`` for each pass (1 s), ``seed`` of the random weights, ``memory``
    to use at most, ``clock`` (wall; processor on a busy machine). It is measured, so its declared fidelity is below
    that of the models: no search takes minutes unasked. Name it, or promote a front: ``fidelity=[table,measured]``.
    """

    fidelity = 1

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        answer = TablesFactory().accepts(workload, target)
        if isinstance(answer, Declined):
            return answer
        here = [device for device in target.devices if device.numbers.get("here")]
        if not here:
            return Declined("runs plans on this machine: no device of the target has 'here: 1'", other_kind=True)
        try:
            passes_of(workload)
            for device in here:
                threads_of(device)
        except ProblemError as error:
            return Declined(str(error))
        return True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> MeasuredEvaluator:
        """Raises `UnknownName`, `ProblemError` or `UnitError` for options that do not fit."""
        from tradespace import plugins

        found = registry or plugins.registry()
        answer = self.accepts(workload, target)
        if isinstance(answer, Declined):
            raise ProblemError("evaluator 'measured' does not take this pair", value=answer.reason)
        protocol = read_protocol(options)
        rest = {key: value for key, value in options.items() if key in OPTIONS}
        return MeasuredEvaluator(
            TablesFactory().bind(workload, target, rest, found), found, protocol, given=dict(options)
        )


def read_protocol(options: Mapping[str, Any]) -> Protocol:
    """Raises `UnknownName`, `ProblemError` or `UnitError` for options that do not fit."""
    own = {field.name: field.default for field in fields(Protocol)}
    check_names(options, (*OPTIONS, *own))
    values: dict[str, Any] = own | {key: value for key, value in options.items() if key in own}
    memory = values["memory"]
    return Protocol(
        seconds=parse(values["seconds"], "s", where="option seconds", positive=True),
        seed=int(Bounded(0, 0, 2**53, whole=True).read("seed", values["seed"])),
        memory=None if memory is None else int(parse(memory, "B", where="option memory", positive=True)),
        clock=values["clock"],
    )


@dataclass(frozen=True, eq=False)
class MeasuredEvaluator:
    """Runs a design once and remembers it. Not deterministic: logged with its prices, never run again on resume.

    Args:
        tables: what prices the same designs without running them.
        protocol: how it is run.
    """

    tables: TablesEvaluator
    registry: Registry
    protocol: Protocol
    given: Mapping[str, Any] = field(default_factory=dict)
    _found: dict[int, Measurement | TradespaceError] = field(default_factory=dict)

    deterministic = False
    default_objectives = ("latency", "loss")

    @property
    def space(self) -> Space:
        return self.tables.space

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        known = self.tables.metrics
        run = [replace(m, meaning=MEASURED[m.name]) for m in known if m.name in MEASURED]
        return (*run, *(m for m in known if m.name in KEPT or m.name.startswith("memory.")), SPREAD)

    @property
    def substitutes(self) -> tuple[Any, ...]:
        """None: what is left of the tables counts bytes and errors of formats."""
        return ()

    def price(self, designs: Designs) -> Prices:
        cheap = self.tables.price(designs)
        columns = {m.name: np.array(cheap[m.name]) for m in self.metrics if m.name in cheap.columns}
        columns["spread"], refused = np.zeros(len(designs)), np.full(len(designs), -1.0)
        for row, digest in enumerate(designs.digest.tolist()):
            found = self._run(int(digest), designs.take([row]))
            if isinstance(found, TradespaceError):
                refused[row] = 1.0
                columns["latency"][row] *= FAR
                columns["throughput"][row] /= FAR
                continue
            columns["latency"][row] = found.job
            columns["throughput"][row] = cheap["throughput"][row] * cheap["period"][row] / found.job
            columns["spread"][row] = max(one.spread for one in found.passes)
        return Prices(columns, {**cheap.violations, "kernel": refused})

    def repair(self, designs: Designs) -> Designs:
        return self.tables.repair(designs)

    def explain(self, design: Designs) -> Plan:
        prices = self.price(design.take(slice(0, 1)))
        plan = self.tables.explain(design)
        return replace(
            plan,
            values={name: float(column[0]) for name, column in prices.columns.items()},
            units={metric.name: metric.unit for metric in self.metrics},
            violations={name: float(column[0]) for name, column in prices.violations.items()},
            evaluator="measured",
            options=dict(self.given),
            substitutes=(),
        )

    def _run(self, digest: int, design: Designs) -> Measurement | TradespaceError:
        if digest not in self._found:
            try:
                plan = local_plan(self.tables, design, self.registry)
                self._found[digest] = measure(plan, self.protocol)
            except TradespaceError as error:  # another device, a shape that no kernel multiplies, too little memory
                self._found[digest] = error
        return self._found[digest]

"""Network files on a microcontroller: the planner of MCUNet's libraries over any int8 operator graph.

A .tflite or .onnx file says what each operator reads and writes, so tensors, lifetimes and im2col buffers follow
without knowing the network's family. Nothing is decided but the library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tradespace.costs.memory_planner import Buffer, Order, buffers_of, plan
from tradespace.costs.memory_planner_graph import Steps, depthwise, steps_of
from tradespace.designs import Choice, Designs, Space
from tradespace.plans import Plan, PlanRow, plan_of_prices
from tradespace.problem import Metric, Prices
from tradespace.targets.model import Device, Sourced, Target
from tradespace.workloads.operators import OperatorGraph
from tradespace_tinyml.libraries import LIBRARIES, Library
from tradespace_tinyml.mcu import MCU, rates

PRODUCTS = ("conv", "matmul")


def unfit(graph: OperatorGraph) -> str | None:
    """Why a graph is none of an int8 network's; None if it is."""
    other = sorted(set(graph.operators.kind) - set(MCU.runs))
    if other:
        runs = ", ".join(MCU.runs)
        return f"takes convolutional networks and spaces of them: libraries run {runs}, not {', '.join(other)}"
    if "conv" not in graph.operators.kind and "aggregate" in graph.operators.kind:
        return "totals of operators without shapes give no tensors to plan"
    if graph.native_precision != "int8":
        return f"plans int8 networks; this one is stored in {graph.native_precision}: quantise it first"
    if not len(graph.edges):
        return "a memory plan needs to know which operator reads which tensor"
    return None


def sizes_of_graph(graph: OperatorGraph, library: Library, order: Order = "size") -> dict[str, float]:
    """macs, params, flash (bytes) and sram (bytes) of a network file."""
    o = graph.operators
    products = np.isin(np.array(o.kind), PRODUCTS)
    weights = float(o.weights_resident.sum()) - sum(elements for *_, elements in graph.ties)
    channels = float((o.n * o.count * products).sum())
    steps = steps_of(graph, in_place=library.in_place, fused_pads=library.fused_pads)
    columns, kernels = _scratch(graph, steps, library)
    tensors = buffers_of(steps.sizes, steps.ops, in_place=library.in_place) if steps.ops else []
    sram = library.kept * channels + float(library.structures.value) * len(steps.ops)
    if library.scratch == "planned":
        tensors += [Buffer(step, step, size) for step, size in enumerate(columns) if size]
    elif library.scratch == "apart":
        sram += max(columns, default=0) + max(kernels, default=0)
    sram += plan(tensors, order).peak
    flash = weights + library.stored * channels + float(library.code.value)
    return {"macs": float((o.macs * o.repeat).sum()), "params": weights + channels, "flash": flash, "sram": sram}


def _scratch(graph: OperatorGraph, steps: Steps, library: Library) -> tuple[list[int], list[int]]:
    """Bytes of the im2col buffer and of widened kernels at each step.

    A filter is taken for 1x1 where no input is read twice; maps are taken for square.
    """
    o, single = graph.operators, depthwise(graph)
    columns, kernels = [0] * len(steps.rows), [0] * len(steps.rows)
    for step, row in enumerate(steps.rows):
        if o.kind[row] != "conv":
            continue
        if single[row]:
            across = np.sqrt(steps.given[row] / o.count[row]) + np.sqrt(o.k[row]) - 1
            padded, column = 2 * across**2, 2 * o.k[row] * o.count[row]
            columns[step] = round(float(padded if library.in_place else column))
            continue
        large = o.m[row] * o.k[row] * o.count[row] > steps.given[row]
        if large or library.scratch == "apart":
            columns[step] = int(4 * o.k[row])
        if large and library.widened:
            kernels[step] = int(2 * o.k[row] * o.n[row] * o.count[row])
    return columns, kernels


@dataclass(frozen=True, eq=False)
class GraphEvaluator:
    """Prices the libraries for one network file on one chip. Pure."""

    graph: OperatorGraph
    target: Target
    chosen: Sequence[str]
    order: Order
    in_place: bool
    metrics: tuple[Metric, ...]
    given: Mapping[str, Any] = field(default_factory=dict)

    default_objectives = ("latency", "sram", "flash")

    @property
    def device(self) -> Device:
        return self.target.devices[0]

    @cached_property
    def libraries(self) -> tuple[Library, ...]:
        return tuple(replace(LIBRARIES[n], in_place=LIBRARIES[n].in_place and self.in_place) for n in self.chosen)

    @cached_property
    def space(self) -> Space:
        return Space(Choice("library", tuple(self.chosen)))

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        core = f"devices.{self.device.name}"
        read = {"memories.sram.capacity", "memories.flash.capacity", f"{core}.idle_power", f"{core}.dynamic_power"}
        read |= {f"{core}.{name}" for name in self.chosen}
        return tuple(s for s in self.target.substitutes if s.path in read)

    @cached_property
    def _table(self) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Metric -> (libraries,) values."""
        rows = [sizes_of_graph(self.graph, library, self.order) for library in self.libraries]
        found = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
        rate = np.array([rates(self.device)[name] for name in self.chosen])
        found |= {"latency": 2.0 * found["macs"] / rate, "proxy": found["macs"]}
        power = self.device.idle_power + self.device.dynamic_power
        return found | {"energy": found["latency"] * power}

    def price(self, designs: Designs) -> Prices:
        which = np.asarray(designs["library"]).reshape(len(designs))
        columns = {metric.name: self._table[metric.name][which] for metric in self.metrics}
        over = {f"memory.{m}": columns[m] / self.target.memories[m].capacity - 1.0 for m in ("sram", "flash")}
        return Prices(columns, over)

    def explain(self, design: Designs) -> Plan:
        """The file operator by operator."""
        prices = self.price(design.take(slice(0, 1)))
        o, rate = self.graph.operators, rates(self.device)[str(design.show(0)["library"])]
        rows = tuple(
            PlanRow(
                name,
                {"kind": kind},
                {"macs": float(macs), "time": 2.0 * float(macs) / rate, "weights": float(weights)},
            )
            for name, kind, macs, weights in zip(o.name, o.kind, o.macs * o.repeat, o.weights_resident, strict=True)
        )
        plan = plan_of_prices(self, design, prices, (self.graph.name, self.target.name, "mcunet"), self.given)
        return replace(plan, rows=rows)

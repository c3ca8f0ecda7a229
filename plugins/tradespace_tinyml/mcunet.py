"""MCUNet: which network of a space fits a microcontroller, how fast it is and how much arithmetic it buys.

System: "MCUNet: Tiny Deep Learning on IoT Devices", arXiv 2007.10319. The network and the memory schedule of its
library are chosen together: every candidate is sized by the library's planner, so a better schedule widens what fits.

Accuracy is not predicted here. `proxy` is what stage 1 of TinyNAS uses instead of it: multiply-adds of a network that
fits ("a larger network of the same family is more accurate"). Measured accuracies can be joined as another evaluator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.memory_planner import ORDERS, Order
from tradespace.costs.option_numbers import check_names
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import ProblemError, UnknownName
from tradespace.plans import Plan, PlanRow, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Device, Sourced, Target
from tradespace.workloads.convnet import ConvGraph, layers
from tradespace.workloads.convnet_space import ConvNetSpace, OneNet
from tradespace.workloads.operators import OperatorGraph
from tradespace_tinyml.graphs import GraphEvaluator, unfit
from tradespace_tinyml.libraries import LIBRARIES, Library
from tradespace_tinyml.mcu import rates
from tradespace_tinyml.sizes import sizes

Floats = NDArray[np.float64]

OPTIONS = ("libraries", "order", "in_place")

METRICS = (
    Metric("latency", "s", "min", "time of one inference: multiply-adds over the library's rate on this chip"),
    Metric("proxy", "1", "max", "multiply-adds as the proxy of accuracy (TinyNAS stage 1); not an accuracy"),
    Metric("sram", "B", "min", "peak of activations and scratch in the library's memory plan"),
    Metric("flash", "B", "min", "int8 weights, biases, scales and the library's code"),
    Metric("macs", "1", "min", "multiply-adds of one inference"),
    Metric("params", "1", "min", "weights and biases"),
)
ENERGY = Metric("energy", "J", "min", "active power of the chip times latency")


@dataclass(frozen=True)
class MCUNetOptions:
    """What is decided and how memory is planned.

    Args:
        libraries: to choose between; None: all whose rate the target states.
        order: of the first-fit planner.
        in_place: False: every library needs two buffers for a depthwise convolution (ablation).
    """

    libraries: tuple[str, ...] | None = None
    order: Order = "size"
    in_place: bool = True


class MCUNetFactory:
    """Takes spaces of convolutional networks, single ones, and int8 network files, on a microcontroller with memories
    `sram` and `flash`.

    Options: ``libraries`` (list), ``order`` (size or lifetime), ``in_place`` (true or false).
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if nets_of(workload) is None and not isinstance(workload, OperatorGraph):
            name = getattr(workload, "name", workload)
            return Declined(f"takes convolutional networks and spaces of them, not '{name}'", other_kind=True)
        chips = [device for device in target.devices if device.model == "mcu"]
        if len(chips) != 1 or len(target.devices) != 1:
            return Declined("takes a target with one device, of model 'mcu'")
        if not {"sram", "flash"} <= set(target.memories):
            return Declined("the target needs memories 'sram' and 'flash'")
        if not rates(chips[0]):
            return Declined(f"the target states the rate of no library ({', '.join(LIBRARIES)})")
        reason = unfit(workload) if nets_of(workload) is None else None
        return True if reason is None else Declined(reason)

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> MCUNetEvaluator | GraphEvaluator:
        """Raises `UnknownName` or `ProblemError` for options that do not fit."""
        answer = self.accepts(workload, target)
        if isinstance(answer, Declined):
            raise ProblemError("evaluator 'mcunet' does not take this pair", value=answer.reason)
        chosen = read_options(options, rates(target.devices[0]))
        nets = nets_of(workload)
        if nets is None:
            libraries = chosen.libraries or tuple(rates(target.devices[0]))
            metrics = _metrics(target.devices[0])
            return GraphEvaluator(workload, target, libraries, chosen.order, chosen.in_place, metrics, dict(options))
        return MCUNetEvaluator(nets, target, chosen, dict(options))


def nets_of(workload: Any) -> ConvNetSpace | OneNet | None:
    """The networks of a workload; None where it is none of convolutional networks."""
    if isinstance(workload, ConvNetSpace):
        return workload
    if isinstance(workload, ConvGraph) and workload.net is not None:
        return OneNet(workload.name, workload.net)
    return None


@dataclass(frozen=True, eq=False)
class MCUNetEvaluator:
    """Prices networks of a space on one chip. Pure."""

    nets: ConvNetSpace | OneNet
    target: Target
    options: MCUNetOptions
    given: Mapping[str, Any] = field(default_factory=dict)

    default_objectives = ("latency", "proxy", "sram")

    @property
    def device(self) -> Device:
        return self.target.devices[0]

    @cached_property
    def libraries(self) -> tuple[Library, ...]:
        chosen = self.options.libraries or tuple(rates(self.device))
        return tuple(replace(LIBRARIES[n], in_place=LIBRARIES[n].in_place and self.options.in_place) for n in chosen)

    @cached_property
    def space(self) -> Space:
        return Space(*self.nets.variables, Choice("library", tuple(library.name for library in self.libraries)))

    @cached_property
    def power(self) -> float:
        """W while it computes."""
        return self.device.idle_power + self.device.dynamic_power

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        return _metrics(self.device)

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        """Only of the numbers that are read here: capacities, power, the libraries' rates and code."""
        core = f"devices.{self.device.name}"
        read = {"memories.sram.capacity", "memories.flash.capacity", f"{core}.idle_power", f"{core}.dynamic_power"}
        read |= {f"{core}.{library.name}" for library in self.libraries}
        code = (number for library in self.libraries for number in library.numbers if number.kind == "substitute")
        return (*(s for s in self.target.substitutes if s.path in read), *code)

    def price(self, designs: Designs) -> Prices:
        n = len(designs)
        shapes = self.nets.shapes(designs)
        values = {name: np.zeros(n) for name in ("sram", "flash", "macs", "params")}
        rate = np.array([rates(self.device)[library.name] for library in self.libraries])[designs["library"]]
        for index, library in enumerate(self.libraries):
            rows = np.flatnonzero(designs["library"] == index)
            if len(rows):
                found = sizes(_rows(shapes, rows), library, self.options.order)
                for name, column in values.items():
                    column[rows] = getattr(found, name)
        latency = 2.0 * values["macs"] / rate
        columns = {"latency": latency, "proxy": values["macs"], **values}
        if self.power > 0:
            columns["energy"] = latency * self.power
        over = {f"memory.{m}": values[m] / self.target.memories[m].capacity - 1.0 for m in ("sram", "flash")}
        return Prices(columns, over)

    def suggest(self) -> Mapping[str, Designs]:
        """The smallest network."""
        return {"smallest": self.space.parse({})}

    def explain(self, design: Designs) -> Plan:
        """The network block by block."""
        prices = self.price(design.take(slice(0, 1)))
        net = self.nets.network(design, 0)
        plan = plan_of_prices(self, design, prices, (self.nets.name, self.target.name, "mcunet"), self.given)
        return replace(plan, rows=_rows_of(net, rates(self.device)[str(design.show(0)["library"])]))


def _metrics(device: Device) -> tuple[Metric, ...]:
    return (*METRICS, ENERGY) if device.idle_power + device.dynamic_power > 0 else METRICS


def read_options(raw: Mapping[str, Any], known: Mapping[str, float]) -> MCUNetOptions:
    """Checked options. Raises `UnknownName` for unknown keys or libraries, `ProblemError` for other values."""
    check_names(raw, OPTIONS)
    libraries, order, in_place = raw.get("libraries"), raw.get("order", "size"), raw.get("in_place", True)
    if order not in ORDERS:
        raise UnknownName("order", str(order)[:80], ORDERS, where="option order")
    if not isinstance(in_place, bool):
        raise ProblemError("is true or false", value=in_place, where="option in_place")
    if libraries is None:
        return MCUNetOptions(None, order, in_place)
    names = [libraries] if isinstance(libraries, str) else libraries
    if not isinstance(names, list | tuple) or not names or len({str(n) for n in names}) != len(names):
        raise ProblemError("is a list of different libraries", value=libraries, where="option libraries")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise UnknownName("library of this target", str(name)[:80], known, where="option libraries")
    return MCUNetOptions(tuple(names), order, in_place)


def _rows(shapes: Any, rows: NDArray[np.intp]) -> Any:
    """Some of the networks of a batch."""
    return type(shapes)(
        shapes.channels,
        *(getattr(shapes, name)[rows] for name in type(shapes).__dataclass_fields__ if name != "channels"),
    )


def _rows_of(net: Any, rate: float) -> tuple[PlanRow, ...]:
    """One row a block: its shape, multiply-adds, time and weights."""
    rows = layers(net)
    names = ["stem", *(str(i) for i in range(len(net.blocks))), "head"]
    found = []
    for block, name in enumerate(names):
        own = [row for row in rows if row.block == block]
        macs = float(sum(row.macs for row in own))
        kernel = max(row.kernel for row in own if row.kind == "conv") if block <= len(net.blocks) else 1
        middle = max(row.outputs for row in own)
        shape = {"kernel": kernel, "channels": middle, "out": own[-1].outputs, "height": own[-1].out_height}
        costs = {"macs": macs, "time": 2.0 * macs / rate, "weights": float(sum(row.weights for row in own))}
        found.append(PlanRow(name, shape, costs))
    return tuple(found)

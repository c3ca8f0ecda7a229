"""What an operation of a flow graph costs on each device of a target, and what crossing each link costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import CostTable
from tradespace.costs.plain_work import plain_work
from tradespace.costs.roofline import Roofline
from tradespace.errors import InputError
from tradespace.workloads.flow import WORKS, FlowGraph, Work
from tradespace.workloads.operators import Operators

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device, Target

Floats = NDArray[np.float64]
FLOATS = ("fp32", "fp16")
"""In what a device that knows nothing of flow graphs does their work: the fastest of these that it has, else whatever
it computes in (an integer-only chip)."""
UNLIMITED = 1e300
_CONSTANTS = {
    "op_energy": "J or zero",
    "op_time": "s",
    "effort": "1",
    "slots": "1",
    "base_year": "1",
    "year": "1",
    "growth": "1 or zero",
}
_DEFAULTS = {"effort": 1.0, "slots": 1.0, "base_year": 2022.0, "year": 2022.0, "growth": 0.0}


class FlowNode:
    """A machine of a trigger farm: ``op_energy`` J and ``op_time`` s for an operation of the workload's own unit.

    ``effort``: operations that it needs where the workload counts one. ``slots``: messages at a time. Its energies are
    those of ``base_year``; by ``year`` they have fallen by exp(``growth`` x years). It works on flow graphs only.
    """

    constants: ClassVar[Mapping[str, str]] = _CONSTANTS
    defaults: ClassVar[Mapping[str, float]] = _DEFAULTS
    runs: ClassVar[tuple[str, ...]] = WORKS

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        """`flop` of an operator counts operations of the workload's own unit."""
        shape = (len(operators), len(precisions))
        time = np.broadcast_to((operators.flop * (device.op_time * device.effort))[:, None], shape)
        joule = device.op_energy * device.effort / progress(device)
        return CostTable(time=time, energy=np.broadcast_to((operators.flop * joule)[:, None], shape))


class FlowProcessor:
    """A `FlowNode` that runs anything else as well, by the roofline model."""

    constants: ClassVar[Mapping[str, str]] = {**_CONSTANTS, **Roofline.constants}
    defaults: ClassVar[Mapping[str, float]] = _DEFAULTS
    runs: ClassVar[tuple[str, ...]] = (*WORKS, *Roofline.runs)

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        """Each kind by its model; without work of a flow graph it is the roofline's own table."""
        flow, others = FlowNode().table(operators, device, precisions), Roofline().table(operators, device, precisions)
        mine = np.isin(np.array(operators.kind), WORKS)[:, None]
        if not mine.any():
            return others
        assert flow.energy is not None and others.unsupported is not None
        time = np.where(mine, flow.time, others.time)
        energy = np.where(mine, flow.energy, others.time * device.dynamic_power)
        return CostTable(time=time, energy=energy, unsupported=others.unsupported & ~mine)


@dataclass(frozen=True, eq=False)
class Places:
    """What the loop reads of a target.

    Args:
        able: stage -> numbers of the devices that can do its work.
        joule, second: (n, D) of one operation; slots: (D,).
        hops: node -> names of the links it may send over, in the order of the file.
        link_joule, link_second, link_rate: (n, L) J/B, s, B/s.
    """

    able: Mapping[str, tuple[int, ...]]
    joule: Floats
    second: Floats
    slots: Floats
    hops: Mapping[str, tuple[str, ...]]
    link_joule: Floats
    link_second: Floats
    link_rate: Floats


def places(graph: FlowGraph, target: Target, registry: Registry, year: float | None) -> Places:
    """Tabulate a graph on a target. Raises `InputError` for energies that no year can have."""
    shape = (len(graph.nodes), len(target.devices))
    joule, second, able = np.zeros(shape), np.zeros(shape), dict[str, tuple[int, ...]]()
    for node in graph.workers:
        assert node.work is not None
        row, found = graph.index[node.name], []
        for j, device in enumerate(target.devices):
            if refusal(node.work, device) is None:
                joule[row, j], second[row, j] = _operation(node.work, device, registry, year)
                found.append(j)
        able[node.name] = tuple(found)
    knowing = [device for device in target.devices if set(WORKS) & set(device.runs)]
    slots = np.array([device.numbers.get("slots", 1.0) if device in knowing else 1.0 for device in target.devices])
    growing = [_in(device, year) for device in knowing if "growth" in device.numbers]
    hops, columns = _hops(graph, target, progress(growing[0]) if growing else 1.0)
    return Places(able, joule, second, slots, hops, *columns)


def refusal(work: Work, device: Device) -> str | None:
    """Why a device cannot do some work; None if it can."""
    if device.of:
        return f"{device.name} is made of other devices"
    if work.kind in device.runs:
        return None
    if "aggregate" not in device.runs or set(WORKS) & set(device.runs):
        return f"{device.name} runs neither '{work.kind}' nor plain operations ('aggregate')"
    if not work.flop:
        return f"{device.name} counts FLOP, and the workload does not say how many an operation has"
    if not device.idle_power + device.dynamic_power > 0:
        return f"{device.name} states no power"
    return None


def progress(device: Device) -> float:
    """How many times less energy than in its base year: exp(growth x years), density as energy (the publication's).

    Raises:
        InputError: a factor beyond exp(50).
    """
    exponent = device.growth * (device.year - device.base_year)
    if not abs(exponent) <= 50:
        raise InputError("energies change by at most exp(50)", value=f"{exponent:.3g}", where=f"devices.{device.name}")
    return math.exp(exponent)


def _in(device: Device, year: float | None) -> Device:
    """The device with the technology of a year."""
    if year is None or "growth" not in device.numbers:
        return device
    return replace(device, numbers={**device.numbers, "year": year})


def _operation(work: Work, device: Device, registry: Registry, year: float | None) -> tuple[float, float]:
    """(J, s) of one operation: by the device's own model, as work of its kind if it runs that, else as FLOP."""
    known = work.kind in device.runs
    kind, flop = (work.kind, 1.0) if known else ("aggregate", work.flop)
    return plain_work(kind, flop, _in(device, year), registry, FLOATS)


def _hops(
    graph: FlowGraph, target: Target, scale: float
) -> tuple[dict[str, tuple[str, ...]], tuple[Floats, Floats, Floats]]:
    """The links between the places of the graph. Places that the target has not are one place: nothing is crossed."""
    ways: dict[str, list[tuple[str, float, float, float]]] = {}
    for node in graph.nodes[:-1]:
        here, there = node.place, graph.nodes[graph.index[node.to]].place
        direct = [link for link in target.links if set(link.between) == {here, there}]
        if direct:
            ways[node.name] = [(k.name, k.energy_per_byte / scale, k.latency, k.bandwidth) for k in direct]
        elif here != there and {here, there} <= set(target.memories):
            path = target.path(here, there)
            ways[node.name] = [("route", path.energy_per_byte / scale, path.latency, path.bandwidth)]
        else:
            ways[node.name] = [("inside", 0.0, 0.0, UNLIMITED)]
    widest = max(len(way) for way in ways.values())
    columns = np.zeros((3, len(graph.nodes), widest))
    columns[2] = UNLIMITED
    for name, way in ways.items():
        for j, (_, *numbers) in enumerate(way):
            columns[:, graph.index[name], j] = numbers
    return {name: tuple(row[0] for row in way) for name, way in ways.items()}, (columns[0], columns[1], columns[2])

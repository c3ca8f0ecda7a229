"""Event-driven cores: work is done for activations that are not zero, and weights are read where events arrive.

The model (ours, in the spirit of the latency and energy formulas of neuromorphic toolchains: operations happen only for
non-zero activations, so time and energy grow with events x fan-out):

- an input element that is not zero is an event; a layer's events are `act_in` x (1 - sparsity);
- a core reads weights in words of `word` bits, one word an access: an event is delivered once for each word-wide group
  of a layer's output channels, ceil(n x bits / word) times (once in a depthwise convolution);
- a weight is read once an input, if any of the positions that share it has an event: 1 - sparsity^positions;
- time is deliveries over the chip's event rate; dense layers whose weights are streamed take, for every event, the
  `stream_latency` and the event's row of weights over `stream`, where that is longer;
- energy is `energy_event` a delivery, `energy_operation` an accumulation, `energy_synapse` a byte of weights read and
  `energy_neuron` an output, whether it fires or not. A data sheet gives the ones it knows, the others are 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import Column, CostTable
from tradespace.costs.core_allocation import CoreLimits, cores_of, images_of
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]

PRODUCTS = ("conv", "matmul")
MAX_CORES = 10_000_000


@dataclass(frozen=True)
class EventWork:
    """What n operators ask of event-driven cores, per execution; every array is (n,).

    Args:
        events: non-zero input elements.
        deliveries: events times the words of weights that each needs.
        synapses: B of weights read.
        operations: accumulations (synaptic operations): multiply-adds whose input is not zero.
    """

    events: Floats
    deliveries: Floats
    synapses: Floats
    operations: Floats


def event_work(ops: Operators, bits: float, word: float) -> EventWork:
    """Counts of every operator, with weights of ``bits`` bits in words of ``word`` bits. Ours, see the module."""
    active = 1.0 - ops.sparsity
    events = ops.act_in * active
    groups = np.maximum(np.ceil(ops.n * bits / word), 1.0)
    images = images_of(ops)
    shared = np.where(ops.m > 0, ops.m / images, 1.0)
    touched = 1.0 - np.power(ops.sparsity, np.maximum(shared, 1.0))
    return EventWork(events, events * groups, images * ops.weights * (bits / 8) * touched, ops.macs * active)


class EventCores:
    """Cores that hold weights and maps and are woken by events.

    One row prices one operator as if it had its own cores: `cores` is what it needs, alone. Which layers share the
    chip, and what happens if they do not fit, is for the evaluator `event-mapping`.

    Constants: ``tiles`` slots on the chip and ``cores`` usable ones; ``event_rate`` deliveries a second; ``word`` bits
    of weights an access; ``bits`` of the widest weights; ``weight_memory`` and ``map_memory`` of a core; ``neurons``
    and ``fan_in`` at most (0: no limit); ``weight_sharing`` (0: a convolution stores every synapse); ``stream`` (B/s of
    weights that dense layers read from outside the cores, one layer after another; 0: they are split over cores) and
    ``stream_latency`` (s an event before its row arrives); ``converter`` (1: the first
    convolution runs where the sensor's data enters, at no cost); ``dispatch`` (s from host to chip and back, once a
    batch); ``feed`` (B/s at which inputs of 8 bits come from a host; 0: from a sensor); ``leakage`` (W a core in use);
    ``program_weight`` (B a B of weights) and ``program_neuron`` (B an output channel) of what is loaded. The last six
    are read by `event-mapping` only.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "tiles": "1",
        "cores": "1",
        "event_rate": "Hz",
        "word": "1",
        "bits": "1",
        "weight_memory": "B",
        "map_memory": "B",
        "neurons": "1 or zero",
        "fan_in": "1 or zero",
        "weight_sharing": "1 or zero",
        "stream": "B/s or zero",
        "stream_latency": "s or zero",
        "energy_event": "J or zero",
        "energy_operation": "J or zero",
        "energy_synapse": "J/B or zero",
        "energy_neuron": "J or zero",
        "converter": "1 or zero",
        "dispatch": "s or zero",
        "feed": "B/s or zero",
        "leakage": "W or zero",
        "program_weight": "1 or zero",
        "program_neuron": "B or zero",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "tiles": float(MAX_CORES), "cores": 1.0, "bits": 8.0, "weight_memory": 1e5, "map_memory": 1e5, "neurons": 0.0,
        "fan_in": 0.0, "weight_sharing": 1.0, "stream": 0.0, "stream_latency": 0.0, "energy_event": 0.0,
        "energy_operation": 0.0, "energy_synapse": 0.0, "energy_neuron": 0.0, "converter": 0.0, "dispatch": 0.0,
        "feed": 0.0, "leakage": 0.0, "program_weight": 1.0, "program_neuron": 0.0,
    }  # fmt: skip
    columns: ClassVar[Mapping[str, Column]] = {
        "events": Column(meaning="non-zero activations that reach an operator"),
        "deliveries": Column(meaning="events times the words of weights that each needs"),
        "operations": Column(meaning="synaptic operations: multiply-adds with a non-zero input"),
        "cores": Column(meaning="cores, if every operator had its own"),
    }
    runs: ClassVar[tuple[str, ...]] = ("conv", "matmul", "elementwise", "aggregate")

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        columns: dict[str, list[Floats]] = {name: [] for name in (*self.columns, "time", "energy", "unsupported")}
        product = np.isin(np.array(operators.kind), PRODUCTS)
        for precision in precisions:
            bits = float(precision.bits)
            work = event_work(operators, bits, device.word)
            cores = np.where(product, cores_of(operators, bits, limits_of(device)), 0.0)
            columns["events"].append(work.events)
            columns["deliveries"].append(work.deliveries)
            columns["operations"].append(work.operations)
            columns["cores"].append(cores)
            columns["time"].append(times(operators, work, bits, device))
            columns["energy"].append(energies(operators, work, device))
            columns["unsupported"].append(np.full(len(operators), bits > device.bits))
        found = {name: np.stack(rows, axis=1) for name, rows in columns.items()}
        return CostTable(
            found["time"], energy=found["energy"], unsupported=found["unsupported"], events=found["events"],
            deliveries=found["deliveries"], operations=found["operations"], cores=found["cores"],
        )  # fmt: skip

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for chips that cannot be."""
        for name in ("tiles", "cores", "word", "bits"):
            value = device.numbers[name]
            if not 1 <= value <= MAX_CORES or value != int(value):
                raise InputError(f"'{name}' is a whole number from 1 to {MAX_CORES} (no unit)", value=value)
        if device.cores > device.tiles:
            rule = f"'cores' (no unit) are at most the 'tiles' of the chip, 1 to {device.tiles:g}"
            raise InputError(rule, value=f"{device.cores:g} cores on {device.tiles:g} tiles")
        if device.word < device.bits:
            rule = f"'word' (bits) holds at least one weight of 'bits' ({device.bits:g}) bits"
            raise InputError(rule, value=f"{device.word:g}")
        for name in ("converter", "weight_sharing"):
            if device.numbers[name] not in (0.0, 1.0):
                raise InputError(f"'{name}' is 0 or 1 (no unit)", value=device.numbers[name])


def limits_of(device: Device) -> CoreLimits:
    """What one core of a device holds."""
    return CoreLimits(
        weights=device.weight_memory,
        maps=device.map_memory,
        neurons=device.neurons,
        fan_in=device.fan_in,
        shared=device.weight_sharing > 0,
        streams=device.stream > 0,
    )


def times(ops: Operators, work: EventWork, bits: float, device: Device) -> Floats:
    """(n,) s of each operator: deliveries at the event rate, or the rows of weights that its events call for.

    An operator that no event reaches is still asked for: it takes as long as one delivery.
    """
    time = np.maximum(work.deliveries, np.where(ops.flop > 0, 1.0, 0.0)) / device.event_rate
    if device.stream <= 0:
        return time
    row = device.stream_latency + ops.n * (bits / 8) / device.stream
    return np.maximum(time, np.where(streamed(ops, device), work.events * row, 0.0))


def energies(ops: Operators, work: EventWork, device: Device) -> Floats:
    """(n,) J of each operator: deliveries, accumulations, weights read and outputs."""
    spent = work.deliveries * device.energy_event + work.operations * device.energy_operation
    return np.asarray(spent + work.synapses * device.energy_synapse + ops.act_out * device.energy_neuron)


def streamed(ops: Operators, device: Device) -> NDArray[np.bool_]:
    """(n,) whether an operator reads its weights from outside the cores."""
    dense = np.isin(np.array(ops.kind), ("matmul",))
    return np.asarray(dense & (device.stream > 0))

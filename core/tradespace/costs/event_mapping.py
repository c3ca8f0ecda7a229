"""Whole networks on a chip of event-driven cores: bits, how widely each layer is spread, passes, batch.

A layer (see `core_allocation.units_of`) takes at least the cores its weights and maps need; `spread` gives it several
times as many, each a region of its map, and its events are then delivered that much faster. Layers that together need
more cores than there are run in passes, and every pass loads its weights, stores what leaves it and reads it again.
Latency is the time of a batch, one layer after another; inside a pass layers work on different inputs of a batch at the
same time, so a batch takes the sum for its first input and the slowest layer for every further one; layers that stream
their weights share one stream and add up (ours).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import plugins
from tradespace.costs.core_allocation import passes, unit_cores, units_of
from tradespace.costs.event_cores import energies, event_work, limits_of, streamed, times
from tradespace.costs.option_numbers import check_names, read_choices
from tradespace.costs.options import load_precisions
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import ProblemError, UnknownName
from tradespace.plans import Plan, PlanRow, plan_of_prices
from tradespace.plugins import Registry
from tradespace.precisions import Precision
from tradespace.problem import ChainTerm, Declined, Metric, Prices, Structure
from tradespace.targets.model import Device, Memory, Sourced, Target
from tradespace.workloads.operators import OperatorGraph, Operators

Floats = NDArray[np.float64]
Whole = tuple[int, ...]

OPTIONS = ("precisions", "spreads", "batches")
MAX_SPREAD, MAX_BATCH, MAX_CHOICES = 4096, 1_000_000, 64
INPUT_BYTES = 1.0  # input layers read 8 bits, whatever the bits behind them

METRICS = (
    Metric("latency", "s", "min", "time of one batch, from the host's call to its answer"),
    Metric("period", "s", "min", "latency over the batch: time an input takes where batches follow each other"),
    Metric("throughput", "1/s", "max", "inputs a second, one batch after another"),
    Metric("energy", "J", "min", "energy of one input: events, weights read, cores in use, loads, idle chip"),
    Metric("power", "W", "min", "mean power while batches follow each other"),
    Metric("cores", "1", "min", "cores that all layers need together"),
    Metric("passes", "1", "min", "times that the chip is loaded for one batch; 1: everything stays on it"),
    Metric("events", "1", "min", "non-zero activations of one input"),
    Metric("deliveries", "1", "min", "events of one input times the words of weights that each needs"),
    Metric("operations", "1", "min", "synaptic operations of one input: multiply-adds with a non-zero activation"),
    Metric("learning", "s", "min", "latency of one input, and one more delivery of the last layer's events to learn"),
    Metric("loss", "1", "min", "relative squared error of the number format on normal weights: a proxy, no accuracy"),
    Metric("memory", "B", "min", "weights on the cores, copies for regions of maps included"),
    Metric("program", "B", "min", "what is loaded: weights as the compiler stores them, and its entry of each channel"),
)


class EventMappingFactory:
    """Takes operator graphs whose kinds all run on the target's one device of event-driven cores.

    Options: ``precisions`` (formats to choose between; default: int4, or the widest that fits the cores), ``spreads``
    (default 1, 2, 4), ``batches`` (default 1). Other devices of the target stay idle.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        chips = [device for device in target.devices if device.model == "event-cores"]
        if not isinstance(workload, OperatorGraph):
            return Declined(f"maps operator graphs, not {getattr(workload, 'kind', workload)}", other_kind=True)
        if len(chips) != 1:
            return Declined("takes a target with one device of model 'event-cores'", other_kind=True)
        missing = sorted(set(workload.operators.kind) - set(chips[0].runs))
        if missing:
            return Declined(f"the cores do not run {missing}; they run {sorted(chips[0].runs)}")
        if not (workload.operators.macs > 0).any():
            return Declined("the workload has no product that could be mapped")
        return True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> EventMapping:
        """Raises `UnknownName` or `ProblemError` for options that do not fit."""
        answer = self.accepts(workload, target)
        if isinstance(answer, Declined):
            raise ProblemError("evaluator 'event-mapping' does not take this pair", value=answer.reason)
        check_names(options, OPTIONS)
        device = next(device for device in target.devices if device.model == "event-cores")
        found = registry or plugins.registry()
        formats = _formats(options.get("precisions"), workload, device, found)
        spreads = read_choices("spreads", options.get("spreads", (1, 2, 4)), MAX_SPREAD, most=MAX_CHOICES)
        batches = read_choices("batches", options.get("batches", 1), MAX_BATCH, most=MAX_CHOICES)
        return EventMapping(workload, target, device, formats, spreads, batches, dict(options))


def _formats(raw: Any, graph: OperatorGraph, device: Device, registry: Registry) -> tuple[Precision, ...]:
    known = registry.names("precisions")
    if raw is None:
        native = graph.native_precision
        fitting = [p for _, p in registry.each("precisions") if p.bits <= device.bits and p.name.startswith("int")]
        if native in known and registry.load("precisions", native).bits <= device.bits:
            return load_precisions([str(native)], registry)
        if not fitting:
            raise ProblemError("some integer format is as narrow as the cores' bits", value=device.bits)
        return (max(fitting, key=lambda precision: precision.bits),)
    names = [raw] if isinstance(raw, str) else raw
    if not isinstance(names, list | tuple) or not names or len({str(name) for name in names}) != len(names):
        raise ProblemError("is a list of different precisions", value=raw, where="option precisions")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise UnknownName("precision", str(name)[:80], known, where="option precisions")
    found = load_precisions(names, registry)
    wide = next((p.name for p in found if p.bits > device.bits), None)
    if wide is not None:
        rule = f"the cores hold weights of at most {device.bits:g} bits"
        raise ProblemError(rule, value=wide, where="option precisions")
    return found


@dataclass(frozen=True)
class _Costs:
    """What the layers take, per input, in each format; (U, P) unless said otherwise."""

    time: Floats
    energy: Floats
    cores: Floats
    weights: Floats  # B on one core, or spread over the cores that split its filters
    copies: Floats  # times the weights are held: regions of the map
    events: Floats  # (P,)
    deliveries: Floats  # (P,)
    operations: Floats  # (P,)
    leaves: Floats  # B that leave a layer for the next one
    learning: Floats  # (P,) s
    program: Floats  # (P,) B


@dataclass(frozen=True, eq=False)
class EventMapping:
    """Prices mappings of one network. Pure; any graph of products, pooling and additions.

    Args:
        device: the chip.
        formats, spreads, batches: choices.
    """

    graph: OperatorGraph
    target: Target
    device: Device
    formats: tuple[Precision, ...]
    spreads: Whole
    batches: Whole
    given: Mapping[str, Any] = field(default_factory=dict)

    default_objectives = ("latency", "energy", "cores")
    metrics = METRICS

    @cached_property
    def units(self) -> list[NDArray[np.intp]]:
        """Layers on cores. With a converter the first convolution is not among them."""
        found, ops = units_of(self.graph), self.graph.operators
        first = next(row for row in range(len(ops)) if ops.macs[row] > 0)
        image = first not in self.graph.edges.dest.tolist() and ops.kind[first] == "conv"
        alone = int((ops.macs[found[0]] > 0).sum()) == 1
        return found[1:] if self.device.converter > 0 and image and alone and len(found) > 1 else found

    @cached_property
    def names(self) -> tuple[str, ...]:
        ops = self.graph.operators
        return tuple(ops.name[next((r for r in rows if ops.macs[r] > 0), rows[0])] for rows in self.units)

    @cached_property
    def space(self) -> Space:
        variables = [Choice("spread", self.spreads, len(self.units), self.names)]
        variables.append(Choice("precision", tuple(p.name for p in self.formats)))
        return Space(*variables, Choice("batch", self.batches))

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        graph = self.graph
        own = tuple(Sourced(f"workload.{graph.name}", text, "1", text, "substitute") for text in graph.substitutes)
        return (*self.target.substitutes, *own)

    @property
    def outside(self) -> Memory | None:
        """The largest memory beside the chip's own, from which passes are loaded."""
        others = [memory for memory in self.target.memories.values() if memory.name != self.device.memory]
        return max(others, key=lambda memory: memory.capacity, default=None)

    @cached_property
    def costs(self) -> _Costs:
        """One row a layer, one column a format."""
        ops = self.graph.operators
        rows = [[row for row in unit if ops.macs[row] > 0] or unit.tolist() for unit in self.units]
        last = self.units[-1]
        columns: dict[str, list[Any]] = {name: [] for name in _Costs.__dataclass_fields__}
        limits = limits_of(self.device)
        for precision in self.formats:
            bits = float(precision.bits)
            work = event_work(ops, bits, self.device.word)
            seconds = times(ops, work, bits, self.device) * ops.repeat
            joule = energies(ops, work, self.device) * ops.repeat
            cores = unit_cores(ops, self.units, bits, limits)
            weights = np.array([ops.weights_resident[unit].sum() for unit in rows]) * (bits / 8)
            whole = np.maximum(np.ceil(weights / limits.weights), 1.0)
            mapped = np.concatenate([np.array(unit) for unit in rows])
            columns["time"].append(np.array([seconds[unit].sum() for unit in rows]))
            columns["energy"].append(np.array([joule[unit].sum() for unit in rows]))
            columns["cores"].append(cores)
            columns["weights"].append(weights)
            columns["copies"].append(np.maximum(np.ceil(cores / whole), 1.0))
            columns["leaves"].append(np.array([ops.act_out[unit[-1]] for unit in self.units]) * (bits / 8))
            for name in ("events", "deliveries", "operations"):
                columns[name].append(float((getattr(work, name) * ops.repeat)[mapped].sum()))
            again = work.deliveries[[row for row in last.tolist() if ops.macs[row] > 0][-1:]].sum()
            columns["learning"].append(float(again) / self.device.event_rate)
            columns["program"].append(program_size(ops, bits, self.device))
        return _Costs(**{name: np.stack(found, axis=-1) for name, found in columns.items()})

    def price(self, designs: Designs) -> Prices:
        costs, device = self.costs, self.device
        format_ = designs["precision"].astype(np.int64).reshape(len(designs), -1)[:, 0]
        spread = np.array(self.spreads, np.float64)[designs["spread"]]  # (N, U)
        batch = np.array(self.batches, np.float64)[designs["batch"].astype(np.int64).reshape(len(designs), -1)[:, 0]]
        time, energy, need = costs.time.T[format_] / spread, costs.energy.T[format_].sum(axis=1), costs.cores.T[format_]
        need = need * spread
        held = costs.weights.T[format_] * costs.copies.T[format_] * spread
        count, ends = passes(need, device.cores)
        slowest = np.maximum(_sum_of_slowest(time, ends, self._streamed), self.entry)
        first = time.sum(axis=1) + self.entry
        load, load_energy = self._loads(costs.leaves.T[format_], ends, count, held.sum(axis=1), batch)
        latency = device.dispatch + first + (batch - 1.0) * slowest + load
        used = np.minimum(need.sum(axis=1), device.cores)
        static = latency * (device.idle_power + device.leakage * used)
        joule = energy + (static + load_energy) / batch
        columns = {
            "latency": latency, "period": latency / batch, "throughput": batch / latency, "energy": joule,
            "power": joule * batch / latency, "cores": need.sum(axis=1), "passes": count.astype(np.float64),
            "events": costs.events[format_], "deliveries": costs.deliveries[format_],
            "operations": costs.operations[format_],
            "learning": device.dispatch + first + costs.learning[format_],
            "loss": np.array([p.nmse for p in self.formats])[format_], "memory": held.sum(axis=1),
            "program": costs.program[format_],
        }  # fmt: skip
        return Prices(columns, self._violations(count, held.sum(axis=1), need.sum(axis=1)))

    @cached_property
    def entry(self) -> float:
        """s in which one input crosses the host's bus; 0 where a sensor hands it over."""
        if self.device.feed <= 0:
            return 0.0
        ops, reached = self.graph.operators, set(self.graph.edges.dest.tolist())
        enters = [row for row in range(len(ops)) if row not in reached]
        return float(ops.act_in[enters].sum()) * INPUT_BYTES / self.device.feed

    @cached_property
    def _streamed(self) -> NDArray[np.bool_]:
        """(U,) layers that read their weights from outside the cores."""
        alone = streamed(self.graph.operators, self.device)
        return np.array([bool(alone[unit].any()) for unit in self.units])

    def _loads(self, leaves: Floats, ends: Any, count: Any, held: Floats, batch: Floats) -> tuple[Floats, Floats]:
        """(N,) s and J of loading weights and of maps between passes, per batch; 0 for one pass."""
        memory = self.outside
        if memory is None:
            return np.zeros(len(leaves)), np.zeros(len(leaves))
        crosses = np.concatenate([ends[:, 1:] > ends[:, :-1], np.zeros((len(ends), 1), bool)], axis=1)
        moved = held + 2.0 * batch * (leaves * crosses).sum(axis=1)
        moved = np.where(count > 1, moved, 0.0)
        path = self.target.path(memory.name, self.device.memory)
        return moved / path.bandwidth + np.where(count > 1, count * path.latency, 0.0), moved * path.energy_per_byte

    def _violations(self, count: Any, held: Floats, need: Floats) -> dict[str, Floats]:
        memory = self.outside
        if memory is None:  # nothing to load from: everything must fit at once
            return {"cores": need / self.device.cores - 1.0}
        return {f"memory.{memory.name}": np.where(count > 1, held / memory.capacity, 0.0) - 1.0}

    def structure(self) -> Structure:
        """Sums over layers. Latency and energy are at least theirs, as passes load and idle chips draw; exact where no
        pass is loaded and nothing else is chosen. Cores are a sum in one format."""
        costs, device, wide = self.costs, self.device, np.array(self.spreads, np.float64)
        time = costs.time.min(axis=1)[:, None] / wide
        time[0] += device.dispatch + self.entry
        energy = np.repeat(costs.energy.min(axis=1)[:, None], len(wide), axis=1)
        if len(self.batches) == 1:
            energy = energy + device.idle_power * time / self.batches[0]
        kept = len(self.formats) == 1 and self.outside is None and self.batches == (1,)
        loss = np.zeros(time.shape)
        loss[0] = min(precision.nmse for precision in self.formats)
        terms = {
            "loss": ChainTerm(loss, exact=len(self.formats) == 1),
            "latency": ChainTerm(time, exact=kept),
            "energy": ChainTerm(energy, exact=kept and device.leakage == 0),
            "cores": ChainTerm(costs.cores.min(axis=1)[:, None] * wide, exact=len(self.formats) == 1),
        }
        return Structure(variables=("spread",), terms=terms)

    def suggest(self) -> Mapping[str, Designs]:
        """The smallest mapping: every layer on as few cores as it needs."""
        return {"minimal": self.space.parse({"spread": str(min(self.spreads))})}

    def explain(self, design: Designs) -> Plan:
        """The network layer by layer."""
        design = design.take(slice(0, 1))
        prices = self.price(design)
        setting = (self.graph.name, self.target.name, "event-mapping")
        plan = plan_of_prices(self, design, prices, setting, self.given)
        column = int(design["precision"].reshape(-1)[0])
        spread = np.array(self.spreads)[design["spread"][0]]
        cores = self.costs.cores[:, column] * spread
        ends = passes(cores, self.device.cores)[1][0]
        rows = tuple(
            PlanRow(
                name,
                {"spread": int(spread[u]), "pass": int(ends[u]) + 1},
                {"cores": float(cores[u]), "time": float(self.costs.time[u, column] / spread[u])},
            )
            for u, name in enumerate(self.names)
        )
        return replace(plan, rows=rows)


def program_size(ops: Operators, bits: float, device: Device) -> float:
    """B of a network's program: its weights at ``program_weight``, and ``program_neuron`` a channel of its products."""
    product = ops.macs > 0
    weights = float(ops.weights_resident[product].sum()) * bits / 8
    return device.program_weight * weights + device.program_neuron * float((ops.n * ops.count)[product].sum())


def _sum_of_slowest(time: Floats, ends: Any, stream: NDArray[np.bool_]) -> Floats:
    """(N,) what one more input of a batch takes: in each pass the slowest layer, or all streaming ones; added up."""
    total, worst, shared = (np.zeros(len(time)) for _ in range(3))
    now = np.zeros(len(time), np.int64)
    for unit in range(time.shape[1]):
        new = ends[:, unit] > now
        total = np.where(new, total + np.maximum(worst, shared), total)
        worst, shared, now = np.where(new, 0.0, worst), np.where(new, 0.0, shared), ends[:, unit]
        if stream[unit]:
            shared = shared + time[:, unit]
        else:
            worst = np.maximum(worst, time[:, unit])
    return total + np.maximum(worst, shared)

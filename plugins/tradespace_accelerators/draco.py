"""DRACO: give each filter of a depthwise convolution more channels, so that an array of processing elements fills up.

System: "DRACO: Co-Optimizing Hardware Utilization, and Performance of DNNs on Systolic Accelerator", arXiv 2006.15103.
A depthwise convolution (one channel a filter) becomes a group convolution with G channels a group: G times the
multiply-adds and weights of that layer, and every fetched activation is used G times. G = 1 is the network as it was.

Two doors to one transformation: the workload type `group-conv` (G is written down, or an open number), and the
evaluator `group-conv`, where G is one decision a layer. Accuracy is not predicted: it would need training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import plugins
from tradespace.costs.binding import accepts
from tradespace.costs.columns import ENERGY, MEMORY_ENERGY, RESIDENT, TIME
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.option_numbers import check_names, read_choices
from tradespace.costs.tables import TablesFactory
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import InputError, ProblemError, UnknownName
from tradespace.plans import Plan
from tradespace.plugins import Registry
from tradespace.problem import ChainTerm, Declined, Metric, Prices, Structure
from tradespace.targets.model import Sourced, Target
from tradespace.workloads.load import load_workload
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.options import integer
from tradespace.workloads.transform import batched, only

Floats = NDArray[np.float64]

MAX_GROUPS = 65_536
GROUPS = (1, 2, 4, 8, 16)
OPTIONS = ("groups", "per", "precision", "kv_precision")
ADDED = ("latency", "energy", "memory", "parameters")


# -- the transformation -----------------------------------------------------------------------------------------------


def build(options: Mapping[str, Any]) -> OperatorGraph:
    """The workload type `group-conv`: another workload with its depthwise convolutions grouped.

    Keys: ``of`` (a workload type, which all other keys go to, or a workload's name, path or mapping, which they
    change), ``groups`` (channels in a group, or {pattern of layer names: channels}), ``keep`` (operator kinds to keep:
    the study of the convolutions alone), ``batch`` (images).

    Raises:
        InputError, UnknownName: values that do not fit, patterns that match nothing, a workload without operators.
    """
    registry = plugins.registry()
    rest = {key: value for key, value in options.items() if key not in ("of", "groups", "keep", "batch")}
    of, where = options.get("of"), f"workload {options.get('name', 'group-conv')}"
    if not isinstance(of, str | Mapping):
        raise InputError("'of' is a workload type, or a workload", value=of, where=where)
    if isinstance(of, str) and of in registry.names("workloads"):
        graph = load_workload({**rest, "type": of}, registry)
    else:
        graph = load_workload({**rest, "extends": of} if isinstance(of, str) else {**of, **rest}, registry)
    if not isinstance(graph, OperatorGraph):
        raise InputError("only operators can be grouped", value=graph.kind, where=where)
    kinds = options.get("keep")
    if kinds is not None:
        listed = kinds if isinstance(kinds, list | tuple) else [kinds]
        graph = only(graph, [str(kind) for kind in listed], f"{where}: keep")
    graph = batched(graph, integer(options, "batch", where, high=1_000_000, default=1), f"{where}: batch")
    return grouped(graph, read_groups(options.get("groups", 1), graph, where))


def depthwise(graph: OperatorGraph) -> NDArray[np.intp]:
    """Rows of the depthwise convolutions: many groups of one input and one output channel."""
    ops = graph.operators
    window = np.maximum(ops.kernel_height * ops.kernel_width, 0)
    alone = (ops.n == 1) & (ops.count > 1) & ((window == 0) | (ops.k == window))
    return np.flatnonzero(alone & np.isin(np.array(ops.kind), ("conv",)))


def read_groups(raw: Any, graph: OperatorGraph, where: str) -> Floats:
    """(L,) channels in a group of each depthwise convolution, from a number or {pattern: number}; the last match holds.

    Raises:
        InputError: no whole number in bounds. UnknownName: a pattern that matches no depthwise convolution.
    """
    rows = depthwise(graph)
    names = [graph.operators.name[row] for row in rows]
    found = np.ones(len(rows))
    for pattern, value in raw.items() if isinstance(raw, Mapping) else [("*", raw)]:
        hits = [at for at, name in enumerate(names) if fnmatchcase(name, str(pattern))]
        if not hits and isinstance(raw, Mapping):
            raise UnknownName("depthwise convolution", str(pattern)[:80], names, where=f"{where}: groups")
        found[hits] = _whole(value, f"{where}: groups")
    return found


def _whole(value: Any, where: str) -> int:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9 else value
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MAX_GROUPS:
        raise InputError(f"channels in a group are a whole number from 1 to {MAX_GROUPS}", value=value, where=where)
    return number


def grouped(graph: OperatorGraph, groups: Floats) -> OperatorGraph:
    """The graph with (L,) channels in a group of its depthwise convolutions.

    Where the channels do not divide, the largest smaller number that does is taken. All ones: the graph itself.
    """
    rows, ops = depthwise(graph), graph.operators
    wide = np.array([_divisor(count, g) for count, g in zip(ops.count[rows], groups, strict=True)])
    if (wide == 1).all():
        return graph
    columns: dict[str, Any] = {
        name: np.array(getattr(ops, name)) for name in ("k", "n", "count", "flop", "weights", "weights_resident")
    }
    more = ops.k[rows] * ops.count[rows] * (wide - 1)
    columns["k"][rows] *= wide
    columns["n"][rows] *= wide
    columns["count"][rows] /= wide
    columns["flop"][rows] += 2 * ops.m[rows] * more
    columns["weights"][rows] += more
    stored = more * (ops.weights_resident[rows] > 0)
    columns["weights_resident"][rows] += stored
    changed = replace(ops, **columns)
    facts = {**graph.facts, "macs": float((changed.macs * changed.repeat).sum())}
    facts["groups"] = ", ".join(sorted({f"{g:g}" for g in wide}, key=float)) + " channels a group"
    return OperatorGraph(
        name=graph.name, operators=changed, blocks=graph.blocks, edges=graph.edges, ties=graph.ties,
        tokens=graph.tokens, samples=graph.samples, parameters=graph.parameters + float(stored.sum()),
        sources={**graph.sources, "groups": "DRACO (arXiv 2006.15103): depthwise layers as group convolutions"},
        native_precision=graph.native_precision, facts=facts,
    )  # fmt: skip


def _divisor(count: float, wanted: float) -> float:
    """The largest divisor of ``count`` that is at most ``wanted``."""
    below = np.arange(1, int(min(count, wanted)) + 1)
    return float(below[np.mod(count, below) == 0].max())


# -- the decision -----------------------------------------------------------------------------------------------------


class GroupConvFactory:
    """Takes networks with depthwise convolutions on any target that runs them: how many channels each group gets.

    Options: ``groups`` (list of choices), ``per`` (layer or network), ``precision``, ``kv_precision``. Low fidelity
    keeps it from being chosen unasked: it changes the network. Every operator runs on the target's first device that
    can, as in the study.
    """

    fidelity = 5

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        answer = accepts(workload, target)
        if isinstance(answer, Declined):
            return answer
        if not len(depthwise(workload)):
            return Declined(f"'{workload.name}' has no depthwise convolution to group", other_kind=True)
        return True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> GroupConvEvaluator:
        """Raises `UnknownName`, `ProblemError` or `InputError` for options that do not fit."""
        answer = self.accepts(workload, target)
        if isinstance(answer, Declined):
            raise ProblemError("evaluator 'group-conv' does not take this pair", value=answer.reason)
        check_names(options, OPTIONS)
        choices = read_choices("groups", options.get("groups", GROUPS), MAX_GROUPS, most=64)
        per = options.get("per", "layer")
        if per not in ("layer", "network"):
            raise UnknownName("per", str(per)[:80], ("layer", "network"), where="option per")
        inner = {"per": "operator", "precisions": [options.get("precision", "fp16")]}
        inner |= {"kv_precision": options["kv_precision"]} if "kv_precision" in options else {}
        tables = tuple(_tables(workload, g, target, inner, registry) for g in (1, *choices))
        return GroupConvEvaluator(workload, target, choices, per == "layer", tables, dict(options))


def _tables(
    graph: OperatorGraph, groups: Any, target: Target, options: Mapping[str, Any], registry: Registry | None
) -> TablesEvaluator:
    wide = np.broadcast_to(np.asarray(groups, np.float64), depthwise(graph).shape)
    return TablesFactory().bind(grouped(graph, wide), target, options, registry)


@dataclass(frozen=True, eq=False)
class GroupConvEvaluator:
    """Prices groups from one table for each choice; every metric is a sum over layers, so fronts are exact. Pure.

    Args:
        graph: the network as it was.
        per_layer: one decision a layer, or one for the network.
        tables: of the network as it was, then with every layer at each choice.
    """

    graph: OperatorGraph
    target: Target
    choices: tuple[int, ...]
    per_layer: bool
    tables: tuple[TablesEvaluator, ...]
    given: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        return tuple(self.graph.operators.name[row] for row in depthwise(self.graph))

    @cached_property
    def space(self) -> Space:
        if not self.per_layer:
            return Space(Choice("groups", self.choices))
        return Space(Choice("groups", self.choices, len(self.layers), self.layers))

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        known = {metric.name: metric for metric in self.tables[0].metrics}
        own = [Metric("parameters", "1", "min", "weights and biases")]
        if "utilisation" in known:
            own.append(Metric("underutilisation", "1", "min", "1 - utilisation"))
        extra = self.tables[0].binding.tables[0].extra
        return (*(m for name, m in known.items() if name in ADDED or name in extra), *own)

    @property
    def default_objectives(self) -> tuple[str, ...]:
        arrays = any(metric.name == "underutilisation" for metric in self.metrics)
        return (
            ("latency", "underutilisation", "energy", "parameters") if arrays else ("latency", "energy", "parameters")
        )

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        return self.tables[0].substitutes

    @cached_property
    def _added(self) -> tuple[dict[str, float], dict[str, Floats]]:
        """What the network costs as it was, and (L, S) what each layer adds at each choice. By name; memories as
        `memory.<name>` in bytes."""
        base, states = self.tables[0], [self._states(t) for t in self.tables]
        (entries, devices) = (self._entries, states[0][0][self._entries])
        prices = base.price(base.repair(base.space.parse({})))
        total = {metric.name: float(prices[metric.name][0]) for metric in self.metrics if metric.name in prices}
        total["parameters"] = self.graph.parameters
        step = {name: np.stack([s[1][:, c] for s in states[1:]], 1) - states[0][1][:, c, None] for name, c in _COSTS}
        step = {name: table[entries] for name, table in step.items()}
        idle = np.array([device.idle_power for device in self.target.devices])
        waiting = (idle.sum() - idle[devices])[:, None] * step["time"]
        added = {"latency": step["time"], "energy": step["work"] + step["access"] + waiting, "memory": step["resident"]}
        added["parameters"] = np.stack([_resident(t) - _resident(base) for t in self.tables[1:]], 1)[self._rows]
        for name, first in base.binding.tables[0].extra.items():
            columns = [t.binding.tables[0].extra[name][entries, devices, 0] for t in self.tables[1:]]
            added[name] = np.stack(columns, 1) - first[entries, devices, 0][:, None]
        self._mean(total, added)
        for memory in self.target.memories.values():
            here = np.array([device.memory == memory.name for device in self.target.devices])
            total[f"memory.{memory.name}"] = float(_held(states[0], here))
            added[f"memory.{memory.name}"] = step["resident"] * here[devices][:, None]
        if not self.per_layer:
            added = {name: table.sum(axis=0, keepdims=True) for name, table in added.items()}
        return total, added

    def _mean(self, total: dict[str, float], added: dict[str, Floats]) -> None:
        """Means over layers: their number does not depend on the groups, so a mean is a sum of shares."""
        for name, column in self.tables[0].binding.tables[0].described.items():
            if column.over in total and name in added:
                added[name] = added[name] / max(total[column.over], 1.0)
        if "utilisation" in added:
            total["underutilisation"] = 1.0 - total["utilisation"]
            added["underutilisation"] = -added["utilisation"]

    @property
    def _rows(self) -> NDArray[np.intp]:
        return depthwise(self.graph)

    @cached_property
    def _entries(self) -> NDArray[np.int32]:
        return np.asarray(self.tables[0].binding.entries.owner[self._rows])

    @staticmethod
    def _states(tables: TablesEvaluator) -> tuple[NDArray[np.int64], Floats]:
        """(n,) device and (n, COLUMNS) costs of each entry where it runs."""
        placement, _, _ = tables.binding.codes(tables.repair(tables.space.parse({})))
        devices = placement[0].astype(np.int64)
        return devices, tables.binding.costs[0, np.arange(len(devices)), devices, 0]

    def price(self, designs: Designs) -> Prices:
        total, added = self._added
        codes = designs["groups"].astype(np.int64).reshape(len(designs), -1)
        rows = np.arange(codes.shape[1])[None, :]
        values = {name: total[name] + table[rows, codes].sum(axis=1) for name, table in added.items()}
        over = {
            f"memory.{m.name}": values[f"memory.{m.name}"] / m.capacity - 1.0 for m in self.target.memories.values()
        }
        return Prices({metric.name: values[metric.name] for metric in self.metrics}, over)

    def structure(self) -> Structure:
        """Exact sums over layers."""
        total, added = self._added
        found = {}
        for name in (m.name for m in self.metrics if m.direction == "min"):
            table = np.array(added[name])
            table[0] += total[name]
            found[name] = ChainTerm(table, None, exact=True)
        limits = {}
        for memory in self.target.memories.values():
            table = np.array(added[f"memory.{memory.name}"])
            table[0] += total[f"memory.{memory.name}"]
            limits[f"memory.{memory.name}"] = (table, memory.capacity)
        return Structure(("groups",), found, limits)

    def suggest(self) -> Mapping[str, Designs]:
        """Every layer at the same choice."""
        return {f"groups={choice}": self.space.parse({"groups": choice}) for choice in self.choices}

    def explain(self, design: Designs) -> Plan:
        """The plan of the grouped network: what runs where, operator by operator."""
        design = design.take(slice(0, 1))
        prices, codes = self.price(design), design["groups"].astype(np.int64).reshape(-1)
        wide = np.array(self.choices, np.float64)[codes]
        options = {"per": "operator", "precisions": [self.given.get("precision", "fp16")]}
        inner = _tables(self.graph, wide if self.per_layer else wide[0], self.target, options, None)
        plan = inner.explain(inner.repair(inner.space.parse({})))
        return replace(
            plan, id=design.ids[0], design=design.show(0), evaluator="group-conv", options=dict(self.given),
            values={name: float(column[0]) for name, column in prices.columns.items()},
            units={metric.name: metric.unit for metric in self.metrics},
            violations={name: float(column[0]) for name, column in prices.violations.items()},
        )  # fmt: skip


_COSTS = (("time", TIME), ("work", ENERGY), ("access", MEMORY_ENERGY), ("resident", RESIDENT))


def _resident(tables: TablesEvaluator) -> Floats:
    return tables.binding.graph.operators.weights_resident


def _held(state: tuple[NDArray[np.int64], Floats], here: NDArray[np.bool_]) -> float:
    """B resident in the memory of some devices."""
    devices, costs = state
    return float(costs[here[devices], RESIDENT].sum())

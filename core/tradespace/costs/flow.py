"""The evaluator of flow graphs: which filters, machines, sensors and links a stream is reduced with.

Sizes add up towards the storage, rates fall at every filter, a filter's threshold follows from its ratio and its
classifier. Power is J/operation x operations(message) x rate at every stage and J/B x message x rate on every link.
Bookkeeping as in arXiv 2407.00123: rejections of all filters and what the storage keeps are one contingency table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.costs import flow_loop as loop
from tradespace.costs.compiled import in_two
from tradespace.costs.flow_nodes import Places, places, refusal
from tradespace.costs.option_numbers import check_names
from tradespace.designs import Choice, Designs, Real, Space, Variable
from tradespace.plans import Plan, PlanRow, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Sourced, Target
from tradespace.workloads.classifiers import Curve, Gaussian, Point
from tradespace.workloads.flow import FlowGraph, path_weights

Floats = NDArray[np.float64]

METRICS = (
    Metric("power", "W", "min", "all stages and links"),
    Metric("op_power", "W", "min", "what the stages' operations draw"),
    Metric("link_power", "W", "min", "what the links draw"),
    Metric("precision", "1", "max", "share of the kept messages that are relevant"),
    Metric("recall", "1", "max", "share of the relevant messages that are kept"),
    Metric("f1", "1", "max", "harmonic mean of precision and recall"),
    Metric("output_rate", "Hz", "max", "messages kept"),
    Metric("productivity", "sample/J", "max", "f1 x output rate / power"),
    Metric("units", "1", "min", "devices kept busy where the time of an operation is known"),
    Metric("links", "1", "min", "links filled where their bandwidth is known"),
    Metric("latency", "s", "min", "longest way to the storage: links, and operations whose time is known"),
)


class FlowFactory:
    """Takes flow graphs on targets whose devices know the kind of work, or state FLOP/s and power where the workload
    says how many FLOP an operation has.

    Options: ``year``: the year whose technology all flow nodes and links have, instead of the target's.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, FlowGraph):
            kind = getattr(workload, "kind", type(workload).__name__)
            return Declined(f"prices flow graphs, not {kind}", other_kind=True)
        for node in workload.workers:
            assert node.work is not None
            reasons = [refusal(node.work, device) for device in target.devices]
            if all(reasons):
                return Declined(f"no device does the work of stage '{node.name}': {'; '.join(map(str, reasons[:3]))}")
        if not workload.workers:
            return Declined("no stage of the flow graph does any work, so that nothing depends on the target")
        return True

    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry) -> FlowEvaluator:
        """Raises `UnknownName` or `UnitError` for options that do not fit."""
        check_names(options, ("year",))
        raw = options.get("year")
        year = None if raw is None else units.parse(raw, "1", where="option year", positive=True)
        return FlowEvaluator(workload, target, places(workload, target, registry, year), dict(options))


@dataclass(frozen=True, eq=False)
class FlowEvaluator:
    """Prices ratios, devices, links and smart sensors of a flow graph. Pure.

    The space has ``ratio.STAGE`` where the workload leaves a ratio open, ``device.STAGE`` where several devices can do
    the work, ``link.PLACE`` where several links lead from one place to the next, ``smart.SOURCE`` (the share of the
    source's sensors that reduce their data) where a source states a reduction.
    """

    graph: FlowGraph
    target: Target
    places: Places
    given: Mapping[str, Any] = field(default_factory=dict)

    default_objectives = ("power", "f1", "productivity")

    @cached_property
    def space(self) -> Space:
        found: list[Variable] = []
        names = tuple(device.name for device in self.target.devices)
        for node in self.graph.filters:
            if node.ratio[0] < node.ratio[1]:
                found.append(Real(f"ratio.{node.name}", *node.ratio, log=True))
        found += [
            Choice(f"device.{stage}", tuple(names[j] for j in able))
            for stage, able in self.places.able.items()
            if len(able) > 1
        ]
        found += [Choice(name, self.places.hops[senders[0]]) for name, senders in self.choices_of_links.items()]
        found += [Real(f"smart.{node.name}", 0.0, 1.0) for node in self.graph.nodes if node.reduction > 0]
        if not found:  # nothing to decide: one design
            stage, able = next(iter(self.places.able.items()))
            found = [Choice(f"device.{stage}", tuple(names[j] for j in able))]
        return Space(*found)

    @cached_property
    def choices_of_links(self) -> Mapping[str, tuple[str, ...]]:
        """Variable -> the nodes that send over the link it chooses."""
        pairs: dict[tuple[str, str], list[str]] = {}
        for node in self.graph.nodes[:-1]:
            if len(self.places.hops[node.name]) > 1:
                pairs.setdefault((node.place, self.graph.nodes[self.graph.index[node.to]].place), []).append(node.name)
        starts = [here for here, _ in pairs]
        return {
            f"link.{here}" if starts.count(here) == 1 else f"link.{here}.{there}": tuple(senders)
            for (here, there), senders in pairs.items()
        }

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Totals; then of each stage its rate, message and power, and of each filter what passes."""
        found = list(METRICS)
        for node in self.graph.nodes:
            if node.rate:
                continue
            found.append(Metric(f"rate.{node.name}", "Hz", "min", f"messages that leave {node.name}"))
            found.append(Metric(f"size.{node.name}", "B", "min", f"a message that leaves {node.name}"))
            if node.work is not None:
                found.append(Metric(f"power.{node.name}", "W", "min", f"operations of {node.name}"))
            if node.classifier is not None:
                found.append(Metric(f"tpr.{node.name}", "1", "max", f"share of relevant messages {node.name} passes"))
                found.append(Metric(f"fpr.{node.name}", "1", "min", f"share of other messages {node.name} passes"))
        return tuple(found)

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        shape = self.graph.sources.get("shape", "")
        own = (Sourced(f"workload.{self.graph.name}", shape, "1", shape, "substitute"),)
        return (*self.target.substitutes, *(own if self.graph.sources.get("kind") == "substitute" else ()))

    @cached_property
    def _facts(self) -> tuple[Any, ...]:
        """What `price_flow` reads of the graph, in the order of its arguments."""
        nodes, index = self.graph.nodes, self.graph.index
        inputs = np.zeros(len(nodes))
        parent = np.array([index[node.to] if node.to else -1 for node in nodes], np.int64)
        np.add.at(inputs, parent[parent >= 0], 1.0)
        judge, skill, span = (
            np.zeros(len(nodes), np.int64),
            np.ones((len(nodes), 2)),
            np.zeros((len(nodes), 2), np.int64),
        )
        tables: list[tuple[Floats, Floats]] = []
        for i, node in enumerate(nodes):
            found = node.classifier.operating() if node.classifier is not None else None
            if isinstance(found, Gaussian):
                judge[i], skill[i] = loop.GAUSSIAN, (found.separation, found.spread)
            elif isinstance(found, Point):
                judge[i], skill[i] = loop.POINT, (1.0 - found.false_positive, 1.0 - found.true_positive)
            elif isinstance(found, Curve):
                first = sum(len(f0) for f0, _ in tables)
                judge[i], span[i] = loop.CURVE, (first, first + len(found.negatives))
                tables.append((found.negatives, found.positives))
        f0, f1 = (np.concatenate([np.zeros(1 if not tables else 0), *(t[k] for t in tables)]) for k in (0, 1))
        column = {
            key: np.array([getattr(node, key) for node in nodes])
            for key in ("rate", "size", "reduction", "compression")
        }
        work = np.array([node.work.coefficients if node.work is not None else (0.0,) * 4 for node in nodes])
        streams = np.array([node.merge == "streams" for node in nodes])
        relevant = -1.0 if self.graph.relevant is None else self.graph.relevant
        return (
            parent, inputs, streams, path_weights(self.graph), column["rate"], column["size"], column["reduction"],
            1.0 - column["compression"], work, judge, skill, span, f0, f1, relevant, self.graph.whole,
            self.places.joule, self.places.second, self.places.slots, self.places.link_joule, self.places.link_second,
            self.places.link_rate,
        )  # fmt: skip

    def _decisions(self, designs: Designs) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], Floats]:
        """(ratio, device, link, smart), (N, n) each."""
        shape, index = (len(designs), len(self.graph.nodes)), self.graph.index
        ratio = np.tile([node.ratio[0] for node in self.graph.nodes], (shape[0], 1))
        device, link = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        smart = np.zeros(shape)
        for stage, able in self.places.able.items():
            name = f"device.{stage}"
            device[:, index[stage]] = np.array(able)[designs[name]] if name in self.space else able[0]
        for name, senders in self.choices_of_links.items():
            for sender in senders:
                link[:, index[sender]] = designs[name]
        for node in self.graph.nodes:
            if f"ratio.{node.name}" in self.space:
                ratio[:, index[node.name]] = designs[f"ratio.{node.name}"]
            if f"smart.{node.name}" in self.space:
                smart[:, index[node.name]] = designs[f"smart.{node.name}"]
        return ratio, device, link, smart

    def price(self, designs: Designs) -> Prices:
        n = len(designs)
        totals = np.zeros((len(loop.TOTALS), n))
        nodes = np.zeros((len(loop.PER_NODE), n, len(self.graph.nodes)))
        decisions = self._decisions(designs)

        def run(low: int, high: int) -> None:
            loop.price_flow(*self._facts, *decisions, totals, nodes, low, high)

        in_two(run, n)
        return Prices(self._total(totals) | self._stages(nodes))

    def _total(self, rows: Floats) -> dict[str, Floats]:
        good, bad, missed = rows[loop.TRUE_POSITIVE], rows[loop.FALSE_POSITIVE], rows[loop.FALSE_NEGATIVE]
        power = rows[loop.OP_POWER] + rows[loop.LINK_POWER]
        f1 = _over(2 * good, 2 * good + bad + missed)
        return {
            "power": power,
            "op_power": rows[loop.OP_POWER],
            "link_power": rows[loop.LINK_POWER],
            "precision": _over(good, good + bad),
            "recall": _over(good, good + missed),
            "f1": f1,
            "output_rate": good + bad,
            "productivity": _over(f1 * (good + bad), power),
            "units": rows[loop.UNITS],
            "links": rows[loop.LINKS],
            "latency": rows[loop.LATENCY],
        }

    def _stages(self, rows: Floats) -> dict[str, Floats]:
        at = {
            "rate": loop.RATE,
            "size": loop.SIZE,
            "power": loop.POWER,
            "tpr": loop.TRUE_SHARE,
            "fpr": loop.FALSE_SHARE,
        }
        names = [metric.name.partition(".") for metric in self.metrics[len(METRICS) :]]
        return {f"{key}.{node}": rows[at[key], :, self.graph.index[node]] for key, _, node in names}

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        prices, decisions = self.price(design), self._decisions(design)
        plan = plan_of_prices(self, design, prices, (self.graph.name, self.target.name, "flow"), self.given)
        return replace(plan, rows=self._rows(plan.values, decisions))

    def _rows(self, values: Mapping[str, float], decisions: tuple[Any, ...]) -> tuple[PlanRow, ...]:
        """What each stage does, and on what."""
        rows = []
        for i, node in enumerate(self.graph.nodes):
            chosen: dict[str, Any] = {}
            if node.work is not None:
                chosen["device"] = self.target.devices[int(decisions[1][0, i])].name
            if node.to and self.places.hops[node.name] != ("inside",):
                chosen["link"] = self.places.hops[node.name][int(decisions[2][0, i])]
            if node.classifier is not None:
                chosen["ratio"] = f"{decisions[0][0, i]:.4g}"
            if node.reduction > 0:
                chosen["smart"] = f"{decisions[3][0, i]:.0%}"
            costs = {
                key: values[f"{key}.{node.name}"] for key in ("rate", "size", "power") if f"{key}.{node.name}" in values
            }
            rows.append(PlanRow(node.name, chosen, costs))
        return tuple(rows)


def _over(above: Floats, below: Floats) -> Floats:
    """above / below, 0 where there is nothing below."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

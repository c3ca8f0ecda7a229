"""The evaluator of training steps: how a decoder is laid out over clusters of unlike networks.

Decides how many pipeline stages each cluster runs, how layers are divided, the tensor-parallel and expert-parallel
widths, the micro-batch, interleaving, recomputation and overlap. The data-parallel width is what is left. Holmes (arXiv
2312.03549) is one setting of it: stages given to whole clusters, communicators inside one network, layers in proportion
to speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.partition import bottleneck, proportional
from tradespace.costs.training import BYTES, COLUMNS, TrainingTables
from tradespace.costs.training_memory import RECOMPUTE
from tradespace.costs.training_sites import Layout, Rules
from tradespace.designs import Choice, Composition, Designs, Integer, Space
from tradespace.errors import InputError, ProblemError
from tradespace.plans import Plan, PlanRow, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Sourced, Target
from tradespace.workloads.training import TrainingJob
from tradespace_training.cluster import MODEL, sites_of
from tradespace_training.options import TrainingOptions, read_options

Floats = NDArray[np.float64]

METRICS = (
    Metric("step", "s", "min", "time of one step over the global batch"),
    Metric("rate", "sample/s", "max", "sequences trained per second"),
    Metric("flops", "FLOP/s", "max", "per accelerator as training reports it: full recomputation counted, done or not"),
    Metric("memory", "B", "min", "on the fullest accelerator: weights, gradients, optimizer, activations"),
    Metric("crossing", "B", "min", "activations and their gradients that pipelines send between clusters in a step"),
    Metric("bubble", "1", "min", "share of the step in which the busiest stage neither runs forward nor backward"),
    Metric("accelerators", "1", "min", "in use"),
    Metric("unused", "1", "min", "accelerators of the target without work: left out, or a remainder of the division"),
    Metric("replicas", "1", "max", "data-parallel width"),
)
WIDEST = 64
"""Widest tensor-parallel group and largest micro-batch that are offered unasked."""
ENERGY = Metric("energy", "J", "min", "accelerators in use, idle power included, in one step")


class TrainingFactory:
    """Takes training jobs on targets whose devices state a peak rate in the job's precision.

    Options: see `TrainingOptions`.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, TrainingJob):
            kind = getattr(workload, "kind", type(workload).__name__)
            return Declined(f"prices training jobs, not {kind}", other_kind=True)
        try:
            sites = sites_of(target, workload.precision, 1.0)
        except InputError as error:
            return Declined(str(error))
        return Declined(sites) if isinstance(sites, str) else True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> TrainingEvaluator:
        """Raises `UnknownName` or `ProblemError` for options that do not fit."""
        answer = self.accepts(workload, target)
        if isinstance(answer, Declined):
            raise ProblemError("evaluator 'training' does not take this pair", value=answer.reason)
        return TrainingEvaluator(workload, target, read_options(options, workload.precision), dict(options))


@dataclass(frozen=True, eq=False)
class TrainingEvaluator:
    """Prices layouts of one job on one target. Pure."""

    job: TrainingJob
    target: Target
    options: TrainingOptions
    given: Mapping[str, Any] = field(default_factory=dict)

    default_objectives = ("step", "memory", "crossing")

    @cached_property
    def tables(self) -> TrainingTables:
        sites = sites_of(self.target, self.job.precision, self.options.efficiency)
        assert not isinstance(sites, str)  # accepts said so
        o = self.options
        aware, levels = o.grouping == "network", o.collectives == "hierarchical"
        rules = Rules(o.optimizer, BYTES[o.gradients], o.sequence_parallel, aware, levels)
        return TrainingTables(self.job, sites, rules)

    @cached_property
    def space(self) -> Space:
        sites, most = self.tables.sites, min(self.options.max_stages, self.job.layers)
        tensor = sorted({width for node in sites.node.tolist() for width in divisors(node, WIDEST)})
        micro = self.options.micro_batches or divisors(self.job.global_batch, WIDEST)
        return Space(
            Integer("stages", 0, most, length=len(sites), entries=sites.names),
            Composition("layers", self.job.layers, len(sites), entries=sites.names),
            Choice("tensor", tuple(tensor)),
            *((Choice("expert", divisors(self.job.experts, 4096)),) if self.job.experts else ()),
            Choice("micro_batch", micro),
            Choice("overlap", ("on", "off")),
            Choice("recompute", RECOMPUTE),
            Choice("chunks", self.options.chunks),
        )

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        sites = self.tables.sites
        names = {"crossing"} if len(sites) == 1 else set()
        kept = tuple(m for m in METRICS if m.name not in names)
        return (*kept, ENERGY) if (sites.idle + sites.dynamic > 0).all() else kept

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        """Of the numbers read here; the efficiency of plain devices is one."""
        read = ("peak", "nodes", "accelerators", "efficiency", "fabric", "network", "capacity", "bandwidth", "power")
        found = [s for s in self.target.substitutes if any(key in s.path for key in read) or s.path.startswith("links")]
        for device in self.target.devices:
            if device.name in self.tables.sites.names and device.model != MODEL:
                path, value = f"devices.{device.name}.efficiency", self.options.efficiency
                found.append(
                    Sourced(path, value, "1", "option efficiency: share of the peak in training", "substitute")
                )
        return tuple(found)

    def layout(self, designs: Designs) -> Layout:
        """Designs as numbers."""
        space = self.space
        tensor, micro, chunks, expert = (
            np.array(space[name].options, np.int64)[designs[name]]  # type: ignore[attr-defined]
            if name in space
            else np.ones(len(designs), np.int64)
            for name in ("tensor", "micro_batch", "chunks", "expert")
        )
        return Layout(
            designs["stages"].astype(np.int64),
            designs["layers"].astype(np.int64),
            tensor,
            expert,
            micro,
            chunks,
            designs["recompute"].astype(np.int64),
            np.asarray(designs["overlap"] == 0),
        )

    def repair(self, designs: Designs) -> Designs:
        """A cluster in use has a layer a stage at least, one that is not has none; no cluster in use means all are;
        without a pipeline nothing is interleaved. A rule for layers (option ``partition``) replaces them."""
        stages = self._stages(designs["stages"].astype(np.int64))
        chunks = np.where(stages.sum(axis=1) > 1, designs["chunks"], self._plain)
        wish = np.maximum(designs["layers"] - stages, 0) * (stages > 0)
        wish = np.where(wish.sum(axis=1, keepdims=True) > 0, wish, stages)
        rest = self.job.layers - stages.sum(axis=1)
        layers = stages + proportional(rest, wish)
        columns = {
            **designs.columns,
            "stages": stages.astype(designs.columns["stages"].dtype),
            "layers": layers.astype(np.int32),
            "chunks": chunks.astype(designs.columns["chunks"].dtype)[:, None],
        }
        if self.options.partition != "free":
            columns["layers"] = self._divide(self.layout(Designs(self.space, columns))).astype(np.int32)
        return Designs(self.space, columns)

    @property
    def _plain(self) -> int:
        """Code of the choice nearest to no interleaving."""
        return int(np.argmin(self.options.chunks))

    def _stages(self, stages: NDArray[np.int64]) -> NDArray[np.int64]:
        stages = np.where(stages.sum(axis=1, keepdims=True) > 0, stages, 1)
        for row in np.flatnonzero(stages.sum(axis=1) > self.job.layers):
            stages[row] = np.minimum(stages[row], proportional(self.job.layers, stages[row])[0])
        return np.asarray(stages)

    def _divide(self, x: Layout) -> NDArray[np.int64]:
        """(N, C) layers by the rule of option ``partition``."""
        used = x.stages > 0
        if self.options.partition == "even":
            return proportional(self.job.layers, x.stages, x.stages)
        if self.options.partition == "proportional":
            return proportional(self.job.layers, self.speeds(x) * x.stages, x.stages)
        out = np.zeros_like(x.layers)
        for row in range(len(x)):
            mine = np.flatnonzero(used[row])
            rate = self.tables.sites.rate[mine] * x.stages[row, mine]
            unit, fixed = 1.0 / rate, np.zeros(len(mine))
            fixed[-1] = self.job.head[0] / self.job.flop.mean() / rate[-1]
            out[row, mine] = bottleneck(self.job.layers, unit, fixed, x.stages[row, mine])
        return out

    def speeds(self, x: Layout) -> Floats:
        """(N, C) sequences per second if every cluster were like this one, layers divided evenly: what Holmes measures
        on homogeneous clusters before it divides the layers."""
        even = Layout(x.stages, proportional(self.job.layers, x.stages, x.stages), *_rest(x))
        found = []
        for site in range(len(self.tables.sites)):
            alone = TrainingTables(self.job, self.tables.sites.alike(site), self.tables.rules)
            found.append(self.job.global_batch / alone.price(even)["step"])
        return np.stack(found, axis=1)

    def price(self, designs: Designs) -> Prices:
        x = self.layout(designs)
        found = self.tables.price(x)
        step = found["step"]
        rate = self.job.global_batch / step
        columns = {name: found[name] for name in COLUMNS} | {
            "rate": rate,
            "flops": float(self.job.facts["model_flop"]) * rate / found["accelerators"],
            "memory": found["need"].max(axis=1),
            "unused": np.maximum(self.tables.sites.ranks - self._used(x), 0).sum(axis=1).astype(np.float64),
        }
        return Prices({m.name: columns[m.name] for m in self.metrics}, self._violations(x, found))

    def _used(self, x: Layout) -> NDArray[np.int64]:
        """(N, C) accelerators of each cluster that have work."""
        return np.asarray(x.stages * (x.tensor * self.tables.replicas(x))[:, None])

    def _violations(self, x: Layout, found: Mapping[str, Floats]) -> dict[str, Floats]:
        sites, used, stages = self.tables.sites, x.stages > 0, x.stages.sum(axis=1)
        tensor = x.tensor[:, None]
        ranks = np.where(used, x.stages * tensor / sites.ranks, 0.0).max(axis=1)
        node = np.where(used, tensor / sites.node, 0.0).max(axis=1)
        micro = self.tables.micro_batches(x)
        given = micro * x.micro * self.tables.replicas(x) / self.job.global_batch
        least = np.where(used, x.layers / np.maximum(x.stages, 1), np.inf).min(axis=1)
        depth = np.where(x.chunks > 1, x.chunks / np.floor(least), 0.0)
        replicas = self.tables.replicas(x)
        whole = -(-replicas // x.expert) * x.expert / replicas
        out = {
            "ranks": np.maximum(ranks, node) - 1.0,
            "batch": given - 1.0,
            "chunks": np.where(x.chunks > 1, np.maximum(depth - 1.0, np.where(stages > 1, 0.0, 1.0)), -1.0),
        }
        if self.job.experts:
            out["expert"] = np.maximum(whole, x.expert / self.job.experts) - 1.0
        for number in range(int(sites.shared.max()) + 1):
            mine = sites.shared == number
            name = self.target.device(sites.names[int(np.argmax(mine))]).memory
            out[f"memory.{name}"] = found["need"][:, mine].sum(axis=1) / sites.capacity[mine].max() - 1.0
        return out

    def suggest(self) -> dict[str, Designs]:
        """One stage on every cluster; all on one cluster; each with layers that balance the arithmetic exactly."""
        sites = self.tables.sites
        plans = {"all": [1] * len(sites)}
        plans |= {name: [int(i == at) for i in range(len(sites))] for at, name in enumerate(sites.names)}
        found = {}
        for name, stages in plans.items():
            if sum(stages) <= self.job.layers:
                design = self.repair(self.space.parse({"stages": stages}))
                balanced = TrainingEvaluator(self.job, self.target, self.options.balanced(), self.given)
                found[name] = self.repair(balanced.repair(design))
        return found

    def explain(self, design: Designs) -> Plan:
        """The plan cluster by cluster."""
        design = design.take(slice(0, 1))
        prices, x = self.price(design), self.layout(design)
        need, used = self.tables.price(x)["need"][0], self._used(x)[0].astype(float)
        ranks = self.tables.sites.ranks
        devices = tuple(
            PlanRow(
                name,
                {"stages": int(x.stages[0, i]), "layers": int(x.layers[0, i])},
                {
                    "memory": float(need[i]),
                    "capacity": float(self.tables.sites.capacity[i]),
                    "accelerators": float(used[i]),
                    "unused": max(float(ranks[i] - used[i]), 0.0),
                },
            )
            for i, name in enumerate(self.tables.sites.names)
        )
        plan = plan_of_prices(self, design, prices, (self.job.name, self.target.name, "training"), self.given)
        return replace(plan, devices=devices)


def divisors(number: int, most: int) -> tuple[int, ...]:
    """Divisors up to ``most``, ascending: widths that leave no remainder."""
    return tuple(d for d in range(1, min(number, most) + 1) if number % d == 0)


def _rest(x: Layout) -> tuple[Any, ...]:
    return x.tensor, x.expert, x.micro, x.chunks, x.recompute, x.overlap

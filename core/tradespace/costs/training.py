"""One training step of a layered model on several sites: layouts, arithmetic, collectives, memory, energy.

A site is a group of equal nodes with one network; a machine without network is a site of one rank. Pipeline stages are
given to whole sites in the sites' order; inside a site its ranks are divided over its stages, tensor-parallel groups
lie inside nodes, and what is left is data-parallel (Holmes, arXiv 2312.03549, section 3; Megatron-LM, 2104.04473).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs import training_memory as memory
from tradespace.costs.collectives import Level, all_gather, all_reduce, reduce_scatter
from tradespace.costs.pipelines import Step, step_time
from tradespace.costs.training_memory import FULL, SELECTIVE
from tradespace.costs.training_sites import Layout, Rules, Sites
from tradespace.costs.training_stages import Stages, chunk_shares
from tradespace.workloads.training import TrainingJob

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BYTES = {"fp16": 2.0, "bf16": 2.0, "fp32": 4.0}
COLUMNS: Mapping[str, str] = {
    "step": "s", "bubble": "1", "accelerators": "1", "replicas": "1", "crossing": "B", "energy": "J",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrainingTables:
    """A job on sites."""

    job: TrainingJob
    sites: Sites
    rules: Rules

    def price(self, layout: Layout) -> dict[str, Floats]:
        """Columns (N,) and, under "need", (N, C) B on one accelerator of each site; see `COLUMNS`."""
        out = {name: np.zeros(len(layout)) for name in COLUMNS} | {"need": np.zeros((len(layout), len(self.sites)))}
        for rows, shape in self._shapes(layout):
            for name, values in self._price(layout.take(rows), *shape).items():
                out[name][rows] = values
        return out

    def replicas(self, layout: Layout) -> Ints:
        """(N,) data-parallel width: what the scarcest site allows, at least 1."""
        used = layout.stages > 0
        each = self.sites.ranks // np.maximum(layout.stages * layout.tensor[:, None], 1)
        return np.asarray(np.maximum(np.where(used, each, np.iinfo(np.int64).max).min(axis=1), 1))

    def micro_batches(self, layout: Layout) -> Ints:
        """(N,) a step, rounded up; a multiple of the stages where the schedule is interleaved."""
        count = -(-self.job.global_batch // np.maximum(layout.micro * self.replicas(layout), 1))
        stages = layout.stages.sum(axis=1)
        return np.asarray(np.where(layout.chunks > 1, -(-count // stages) * stages, count))

    def _shapes(self, layout: Layout) -> Iterator[tuple[Ints, tuple[int, int, int]]]:
        """Rows of equal (stages, chunks, micro-batches)."""
        keys = np.column_stack([layout.stages.sum(axis=1), layout.chunks, self.micro_batches(layout)])
        unique, index = np.unique(keys, axis=0, return_inverse=True)
        for number, key in enumerate(unique.tolist()):
            yield np.flatnonzero(index.reshape(-1) == number), (key[0], key[1], key[2])

    def _price(self, x: Layout, p: int, v: int, m: int) -> dict[str, Floats]:
        job, rules = self.job, self.rules
        stages = Stages.build(job, self.sites, rules, x, p, self.replicas(x))
        width = BYTES[job.precision]
        tensor, micro = x.tensor[:, None].astype(np.float64), x.micro[:, None].astype(np.float64)
        message = micro * job.sequence * job.hidden * width
        rate = self.sites.rate[stages.site] * tensor
        groups = 2.0 * stages.layers * all_reduce(message, [Level(tensor, stages.port(self.sites.fabric))])
        full, some = x.recompute[:, None] == FULL, x.recompute[:, None] == SELECTIVE
        again = np.where(full, stages.body, np.where(some, stages.core, 0.0))
        groups = groups + stages.dispatch(micro * width / tensor)
        forward = micro * stages.flop / rate + groups
        backward = micro * (2.0 * stages.flop + again) / rate + groups * np.where(full, 2.0, 1.0)
        send = stages.sends(message / (tensor if rules.sequence_parallel else 1.0))
        gather, reduce, update = self._exchange(stages, x)
        chunk = chunk_shares(stages.layers, v)
        step = Step(forward[:, :, None] * chunk, backward[:, :, None] * chunk, send, gather, reduce, update, x.overlap)
        seconds = step_time(step, m)
        busy = m * (forward + backward) + update
        ranks = stages.replicas * x.tensor
        joules = seconds * (self.sites.idle[stages.site].sum(axis=1) * ranks)
        joules = joules + ranks * (self.sites.dynamic[stages.site] * busy).sum(axis=1)
        crossing = 2.0 * m * stages.replicas * (message * stages.crossings(v)).sum(axis=1)
        used = float(p) * ranks
        return {
            "step": seconds,
            "bubble": np.maximum(0.0, 1.0 - (m * (forward + backward)).max(axis=1) / seconds),
            "accelerators": used,
            "replicas": stages.replicas.astype(np.float64),
            "crossing": crossing,
            "energy": joules,
            "need": self._memory(stages, x, m),
        }

    def _exchange(self, stages: Stages, x: Layout) -> tuple[Floats, Floats, Floats]:
        """(n, p) s of parameter gather, gradient reduction and optimizer update."""
        rules, width = self.rules, BYTES[self.job.precision]
        gather = reduce = update = np.zeros_like(stages.parameters)
        for parameters, of_experts in self._held(stages, x):
            levels, gradients = stages.group(of_experts), parameters * rules.gradient_bytes
            sharded = rules.optimizer == "sharded"
            reduce = reduce + (reduce_scatter(gradients, levels) if sharded else all_reduce(gradients, levels))
            if rules.optimizer != "replicated":
                gather = gather + all_gather(parameters * width, levels)
            moved = 2.0 * memory.ADAM + rules.gradient_bytes + width
            shards = self._shards(stages, x, of_experts)
            update = update + parameters / shards * moved / self.sites.bandwidth[stages.site]
        return gather, reduce, update + stages.embedding(rules.gradient_bytes)

    def _held(self, stages: Stages, x: Layout) -> tuple[tuple[Floats, bool], ...]:
        """Parameters of a rank: those that every replica holds, and its share of the routed experts."""
        tensor = x.tensor[:, None]
        shared = ((stages.parameters - stages.experts) / tensor, False)
        return (shared, (stages.experts / tensor / x.expert[:, None], True)) if self.job.experts else (shared,)

    def _shards(self, stages: Stages, x: Layout, of_experts: bool) -> Floats:
        """(n, 1) ranks over which the optimizer's state is divided."""
        if self.rules.optimizer == "replicated":
            return np.ones((len(x), 1))
        width = stages.replicas // x.expert if of_experts else stages.replicas
        return np.asarray(np.maximum(width, 1)[:, None], dtype=np.float64)

    def _memory(self, stages: Stages, x: Layout, m: int) -> Floats:
        """(n, C) B on an accelerator of each site, its fullest stage."""
        job, width, p = self.job, BYTES[self.job.precision], stages.site.shape[1]
        tensor, micro = x.tensor[:, None], x.micro[:, None]
        held = np.zeros_like(stages.parameters)
        for parameters, of_experts in self._held(stages, x):
            shards = self._shards(stages, x, of_experts)
            held = held + memory.states(parameters, width, self.rules.gradient_bytes, shards)
        entering = np.where(x.recompute[:, None] == FULL, stages.layers * float(job.sequence * job.hidden), 0.0)
        one = memory.activations(
            stages.residual, stages.inner, entering, stages.largest, micro, tensor, self.rules.sequence_parallel
        )
        flight = memory.in_flight(p, np.arange(p), m, x.chunks[:, None])
        logits = micro * float(job.sequence) * job.vocab * (4.0 + width) / tensor * (np.arange(p) == p - 1)
        need = held + one * flight * width + logits
        out = np.zeros((len(x), len(self.sites)))
        for site in range(len(self.sites)):
            out[:, site] = np.where(stages.site == site, need, 0.0).max(axis=1)
        return out

"""Attention over a sequence that is split between accelerators: which tensor travels, and in which direction.

Source: TokenRing (arXiv 2412.20501) and its repository: K and V stay, Q goes to the left neighbour, partial outputs
with their log-sum-exp go straight back to the owner of the Q on the other direction of the link. Ring Attention (arXiv
2310.01889) sends K and V. Zigzag blocks make causal work equal (2 W blocks, rank r holds r and 2 W - 1 - r). Times are
the longest path through computations and transfers (`timeline.ordered`); a transfer takes bytes / fabric + latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.option_numbers import check_names
from tradespace.costs.timeline import TaskTable, ordered
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import InputError
from tradespace.problem import Declined, Metric, Prices
from tradespace.workloads.options import check_keys, integer, text, word

if TYPE_CHECKING:
    from tradespace.targets.model import Device, Target

Floats = NDArray[np.float64]

BYTES: Mapping[str, float] = {"fp16": 2.0, "bf16": 2.0, "fp32": 4.0}
LSE = 4.0  # bytes of a log-sum-exp: fp32 in the repository
SCHEDULES = ("token-ring", "ring", "all-gather")
MAX_RANKS = 256
KEYS = ("name", "title", "source", "kind", "sequence", "heads", "kv_heads", "head_dim", "batch", "causal", "precision")
METRICS = (
    Metric("latency", "s", "min", "from the first product to the last partial output merged"),
    Metric("exposed", "s", "min", "of latency, while a rank does not compute"),
    Metric("step", "s", "min", "a step in the middle: the longer of computing and sending"),
    Metric("compute", "s", "min", "attention of one step"),
    Metric("send", "s", "min", "one block of what travels (Q, or K and V)"),
    Metric("give_back", "s", "min", "one partial output with its log-sum-exp, 0 where none travels"),
    Metric("sent", "B", "min", "what a rank sends in the busier direction"),
    Metric("block", "B", "min", "of what travels, in one step"),
    Metric("work", "FLOP", "min", "of one rank in one step"),
    Metric("busy", "1", "max", "share of latency that ranks compute"),
)


@dataclass(frozen=True)
class SequenceAttention:
    """A workload of kind "sequence-attention": one layer's attention over ``batch`` sequences."""

    name: str
    sequence: int
    heads: int
    kv_heads: int
    head_dim: int
    batch: int
    causal: bool
    precision: str
    sources: Mapping[str, str] = field(default_factory=dict)
    kind: ClassVar[str] = "sequence-attention"


def build(options: Mapping[str, Any]) -> SequenceAttention:
    """The workload type ``sequence_attention``: sequence, heads, kv_heads (default heads), head_dim, batch, causal.

    Raises:
        InputError, UnknownName: another key, or a size that cannot be.
    """
    where = f"workload {text(options, 'name', 'workload', default='sequence-attention')}"
    check_keys(options, KEYS, where)
    heads = integer(options, "heads", where, high=1 << 14, default=None)
    kv_heads = integer(options, "kv_heads", where, high=1 << 14, default=heads)
    if heads % kv_heads:
        raise InputError("'kv_heads' divides 'heads'", value=f"{kv_heads} and {heads}", where=where)
    causal = options.get("causal", True)
    if not isinstance(causal, bool):
        raise InputError("'causal' is true or false", value=causal, where=where)
    return SequenceAttention(
        name=where.removeprefix("workload "),
        sequence=integer(options, "sequence", where, high=1 << 30, default=None),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=integer(options, "head_dim", where, high=1 << 14, default=None),
        batch=integer(options, "batch", where, high=1_000_000, default=1),
        causal=causal,
        precision=word(options, "precision", where, known=BYTES, default="fp16"),
        sources={"shape": text(options, "source", where, default="given by the user"),
                 "kind": text(options, "kind", where, default="datasheet")},
    )  # fmt: skip


class SequenceFactory:
    """Takes attention over a split sequence on nodes of several accelerators. Option ``duplex`` (default true): a link
    carries both directions at once."""

    fidelity = 10

    def accepts(self, workload: Any, target: Target) -> Literal[True] | Declined:
        if not isinstance(workload, SequenceAttention):
            return Declined("takes attention over a split sequence", other_kind=True)
        if node_of(target, workload.precision) is None:
            return Declined(f"needs a node of accelerators with a fabric and a peak rate in {workload.precision}")
        return True

    def bind(self, workload: SequenceAttention, target: Target, options: Mapping[str, Any], registry: Any) -> Ranks:
        check_names(options, ("duplex",))
        duplex, node = options.get("duplex", True), node_of(target, workload.precision)
        if not isinstance(duplex, bool) or node is None:
            raise InputError("'duplex' is true or false", value=duplex, where="evaluator options")
        return Ranks(workload, node, duplex)


def node_of(target: Target, precision: str) -> Device | None:
    """The first cluster whose node has 2 or more accelerators, a fabric and a peak in this precision."""
    able = (d for d in target.devices if d.model == "cluster" and d.accelerators >= 2 and d.numbers["fabric"] > 0)
    return next((device for device in able if device.peak(precision)), None)


class Ranks:
    """Prices (schedule, ranks) from a table made once."""

    default_objectives = ("latency", "sent")
    metrics = METRICS

    def __init__(self, job: SequenceAttention, device: Device, duplex: bool) -> None:
        self.job, self.device, self.duplex = job, device, duplex
        most = min(int(device.accelerators), MAX_RANKS)
        self.ranks = tuple(n for n in range(most, 1, -1) if most % n == 0)
        self.space = Space(Choice("schedule", SCHEDULES), Choice("ranks", self.ranks))

    @cached_property
    def table(self) -> dict[str, Floats]:
        """Metric -> (schedules, ranks)."""
        rows = [[self.priced(schedule, ranks) for ranks in self.ranks] for schedule in SCHEDULES]
        return {m.name: np.array([[cell[m.name] for cell in row] for row in rows]) for m in METRICS}

    def price(self, designs: Designs) -> Prices:
        at = designs["schedule"].astype(np.int64), designs["ranks"].astype(np.int64)
        return Prices({name: column[at] for name, column in self.table.items()})

    def priced(self, schedule: str, ranks: int) -> dict[str, float]:
        """All metrics of one design."""
        job, device = self.job, self.device
        tokens = float(np.ceil(job.sequence / ranks)) * job.batch
        query = tokens * job.heads * job.head_dim * BYTES[job.precision]
        pair = 2 * tokens * job.kv_heads * job.head_dim * BYTES[job.precision]
        partial = query + tokens * job.heads * LSE if schedule == "token-ring" else 0.0
        block = query if schedule == "token-ring" else pair
        work = 4 * tokens * np.ceil(job.sequence / ranks) * job.heads * job.head_dim * (0.5 if job.causal else 1.0)
        compute = work / (float(device.peak(job.precision) or 0.0) * device.efficiency)
        # rows: computing, what travels, what returns; columns: a whole block, half a block
        cost = np.array([[compute, compute], *(
            [size * share / device.numbers["fabric"] + device.numbers["fabric_latency"] for share in (1.0, 0.5)]
            for size in (block, partial)
        )])  # fmt: skip
        tasks, size = schedule_of(schedule, ranks, job.causal, self.duplex)
        latency = float(ordered(tasks, cost[tuple(size.T)]).max())
        bytes_of = np.array([[0.0, 0.0], [block, block / 2], [partial, partial / 2]])[tuple(size.T)]
        flows = [bytes_of[size[:, 0] == kind].sum() / ranks for kind in (1, 2)]
        give_back = float(cost[2, 0]) if partial else 0.0
        return {
            "latency": latency, "exposed": max(latency - ranks * compute, 0.0),
            "step": max(compute, float(cost[1, 0])), "compute": compute, "send": float(cost[1, 0]),
            "give_back": give_back, "sent": max(flows) if self.duplex else sum(flows), "block": block,
            "work": float(work), "busy": min(ranks * compute / latency, 1.0),
        }  # fmt: skip


def schedule_of(schedule: str, ranks: int, causal: bool, duplex: bool) -> tuple[TaskTable, NDArray[np.int64]]:
    """The tasks of all ranks, chained on the links that they share, and for each (kind, half): kind 0 computes, 1 is
    what travels, 2 is what returns; half says that only the second half of a block goes."""
    steps, size = range(ranks), np.zeros((3 * ranks * ranks, 2), np.int64)
    edges: list[tuple[int, int]] = []
    step = -1 if schedule == "token-ring" else 1  # Q goes to the left, K and V to the right

    def task(kind: int, rank: int, at: int) -> int:
        return (kind * ranks + rank % ranks) * ranks + at

    for rank in steps:
        for at in steps:
            owner = (rank - step * at) % ranks
            ahead = [(rank + step * (j + 1)) % ranks for j in range(ranks - 1 - at)]
            moving = schedule == "token-ring" and causal
            size[task(0, rank, at)] = (0, 0)
            size[task(1, rank, at)] = (1, int(moving and bool(ahead) and min(ahead) > owner))
            size[task(2, rank, at)] = (2, int(moving and owner < rank))
            arrived = [task(1, rank - step, at - 1)] if at else []
            edges += [(before, after) for before in arrived for after in (task(0, rank, at), task(1, rank, at))]
            edges += [(task(kind, rank, at - 1), task(kind, rank, at)) for kind in (0, 1) if at]
            edges.append((task(0, rank, at), task(2, rank, at)))
            edges += [(task(2, rank, at - 1), task(2, rank, at))] if at else []
            if schedule == "token-ring" and not duplex and 0 < at < ranks - 1:  # one direction carries both, in turns
                edges.append((task(1, rank, at), task(2, rank, at - 1)))
                edges += [(task(2, rank, at - 1), task(1, rank, at + 1))] if at + 1 < ranks - 1 else []
            if schedule == "all-gather" and ranks > 1 and at == 0:
                edges.append((task(1, rank - 1, ranks - 2), task(0, rank, 0)))
    used = [task(0, rank, at) for rank in steps for at in steps]
    used += [task(1, rank, at) for rank in steps for at in steps[:-1]]
    used += [task(2, rank, at) for rank in steps for at in steps[1:]] if schedule == "token-ring" else []
    index = {old: new for new, old in enumerate(used)}
    kept = [(index[a], index[b]) for a, b in edges if a in index and b in index]
    return TaskTable(tasks=len(used), edges=kept), size[used]

"""Options of the training evaluator, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tradespace.costs.training_sites import OPTIMIZERS
from tradespace.errors import ProblemError, UnknownName
from tradespace.workloads.training import PRECISIONS

WORDS: Mapping[str, tuple[str, ...]] = {
    "grouping": ("network", "rank"),
    "partition": ("free", "even", "proportional", "balanced"),
    "optimizer": OPTIMIZERS,
    "gradients": PRECISIONS,
    "collectives": ("ring", "hierarchical"),
}


@dataclass(frozen=True)
class TrainingOptions:
    """What holds for every design.

    Args:
        grouping: "network" keeps every communicator inside the clusters of its members (Holmes); "rank" lets all
            traffic between nodes fall back to the slowest transport of all clusters in use.
        partition: who divides the layers: "free" the design; "even" by stages; "proportional" by the speed each
            cluster would reach alone (Holmes' self-adapting partition); "balanced" by arithmetic, exactly.
        optimizer: sharded, replicated or zero-1, see `OPTIMIZERS`.
        collectives: one "ring" through all ranks of a data-parallel group, or "hierarchical": inside nodes first.
        gradients: format in which gradients are exchanged and kept; the job's precision unless said.
        sequence_parallel: norms and additions are split over the tensor-parallel group.
        efficiency: share of the peak that devices attain whose target does not say (0.5: a substitute).
        micro_batches: to choose between; None: the divisors of the global batch up to 64. chunks: likewise.
        max_stages: of one cluster.
    """

    grouping: str = "network"
    partition: str = "free"
    optimizer: str = "sharded"
    collectives: str = "ring"
    gradients: str = "fp16"
    sequence_parallel: bool = True
    efficiency: float = 0.5
    micro_batches: tuple[int, ...] | None = None
    chunks: tuple[int, ...] = (1, 2, 4)
    max_stages: int = 8

    def balanced(self) -> TrainingOptions:
        return replace(self, partition="balanced")


def read_options(raw: Mapping[str, Any], precision: str) -> TrainingOptions:
    """Checked options. Raises `UnknownName` for unknown keys or words, `ProblemError` for values that do not fit."""
    known = tuple(f.name for f in fields(TrainingOptions))
    values: dict[str, Any] = {"gradients": precision}
    for key, value in raw.items():
        if key not in known:
            raise UnknownName("option", str(key)[:80], known, where="evaluator options")
        if value is not None:
            values[key] = _value(key, value)
    return TrainingOptions(**values)


def _value(key: str, value: Any) -> Any:
    where = f"option {key}"
    if key in WORDS:
        if value not in WORDS[key]:
            raise UnknownName(key, str(value)[:80], WORDS[key], where=where)
        return value
    if key == "sequence_parallel":
        if not isinstance(value, bool):
            raise ProblemError("is true or false", value=value, where=where)
        return value
    if key == "efficiency":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise ProblemError("is a share above 0 and at most 1", value=value, where=where)
        return float(value)
    if key == "max_stages":
        return _whole(value, 64, where)
    items = value if isinstance(value, list | tuple) else [value]
    if not items or len({str(i) for i in items}) != len(items) or len(items) > 32:
        raise ProblemError("is a list of at most 32 different numbers", value=value, where=where)
    return tuple(_whole(i, 65_536 if key == "micro_batches" else 64, where) for i in items)


def _whole(value: Any, high: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
        raise ProblemError(f"is a whole number from 1 to {high}", value=value, where=where)
    return value

"""Options of the training evaluator, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tradespace.costs.option_numbers import Bounded, check_names, read_choices
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
NUMBERS = {"efficiency": Bounded(0.5, 1e-6, 1.0), "max_stages": Bounded(8, 1, 64, whole=True)}


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
    efficiency: float = NUMBERS["efficiency"].default
    micro_batches: tuple[int, ...] | None = None
    chunks: tuple[int, ...] = (1, 2, 4)
    max_stages: int = int(NUMBERS["max_stages"].default)

    def balanced(self) -> TrainingOptions:
        return replace(self, partition="balanced")


def read_options(raw: Mapping[str, Any], precision: str) -> TrainingOptions:
    """Checked options. Raises `UnknownName` for unknown keys or words, `ProblemError` for values that do not fit."""
    known = tuple(f.name for f in fields(TrainingOptions))
    values: dict[str, Any] = {"gradients": precision}
    check_names(raw, known)
    for key, value in raw.items():
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
    if key in NUMBERS:
        return NUMBERS[key].read(key, value)
    return read_choices(key, value, 65_536 if key == "micro_batches" else 64)

"""A study read back from its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import StudyError
from tradespace.studies.arrays import pack, unpack
from tradespace.studies.outline import Outline
from tradespace.studies.provenance import Provenance
from tradespace.studies.spec import StudySpec

if TYPE_CHECKING:
    from tradespace.search import Front

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One logged batch. ``evaluations`` and ``seconds`` count from the start of the search, this batch included."""

    number: int
    count: int
    designs_digest: str
    prices_digest: str
    evaluations: int
    seconds: float
    hypervolume: float

    @classmethod
    def of(cls, row: Any) -> BatchRow:
        """From a row of the database, where a stranger may have put anything."""
        whole = (int(row.number), int(row.count), str(row.designs_digest), str(row.prices_digest), int(row.evaluations))
        return cls(*whole, float(row.seconds), float(row.hypervolume))


@dataclass(frozen=True)
class FrontRows:
    """The front of a study: K designs, ``minimised`` (K, M) as optimizers saw it, ``values`` (K, M) natural.

    ``metrics`` and ``violations`` (the evaluator's own, then the user's constraints), (K,) each, are there once the
    study has ended; a study that was cut off has only its objectives.
    """

    designs: Designs
    minimised: Array
    values: Array
    metrics: Mapping[str, Array] = field(default_factory=dict)
    violations: Mapping[str, Array] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        return self.designs.ids

    def __len__(self) -> int:
        return len(self.minimised)

    def take(self, rows: Any) -> FrontRows:
        return FrontRows(
            self.designs.take(rows),
            self.minimised[rows],
            self.values[rows],
            {k: v[rows] for k, v in self.metrics.items()},
            {k: v[rows] for k, v in self.violations.items()},
        )


@dataclass(frozen=True)
class StudyRecord:
    """All of a study but the designs of its batches. ``status``: running, interrupted, complete or failed."""

    name: str
    status: str
    deterministic: bool
    keeps_designs: bool
    created: str
    finished: str | None
    writer: str | None
    spec: StudySpec
    provenance: Provenance
    problem: Outline
    batches: tuple[BatchRow, ...]
    front: FrontRows
    summary: Mapping[str, Any]
    """Of a study that has ended: stopped, hypervolume, seconds, gap, box, diagnosis, error; plain values."""

    @property
    def evaluations(self) -> int:
        return self.batches[-1].evaluations if self.batches else 0

    @property
    def seconds(self) -> float:
        return self.batches[-1].seconds if self.batches else 0.0

    @property
    def hypervolume(self) -> float:
        return self.batches[-1].hypervolume if self.batches else 0.0

    @cached_property
    def history(self) -> Array:
        """(B, 3): evaluations, seconds, hypervolume after each batch."""
        rows = [(b.evaluations, b.seconds, b.hypervolume) for b in self.batches]
        return np.asarray(rows, np.float64).reshape(-1, 3)


def front_change(designs: Designs, objectives: Array, entered: NDArray[np.bool_], left: NDArray[np.uint64]) -> bytes:
    """What one batch changed in the front: designs that entered with their objectives, digests of those that left."""
    new = designs.take(entered)
    columns = {f"d:{name}": block for name, block in new.columns.items()}
    # written while the search waits: packing tight would take longer than all the rest of the log
    return pack({**columns, "objectives": objectives[entered], "left": left}, level=0)


def replay_changes(problem: Outline, changes: list[bytes], where: str) -> FrontRows:
    """The front after all ``changes``."""
    space, width = problem.space, len(problem.objectives)
    held: dict[int, tuple[int, int]] = {}
    parts: list[Designs] = []
    objectives: list[Array] = []
    for at, blob in enumerate(changes):
        arrays = unpack(blob, where)
        new = decoded(problem, arrays, where)
        for digest in arrays["left"]:
            held.pop(int(digest), None)
        held |= {int(digest): (at, row) for row, digest in enumerate(new.digest)}
        parts.append(new)
        objectives.append(arrays["objectives"].reshape(len(new), width))
    starts = np.cumsum([0, *(len(p) for p in parts)])
    rows = np.asarray([starts[at] + row for at, row in held.values()], np.int64)
    none = Designs(space, {v.name: np.zeros((0, v.width), v.dtype) for v in space.variables})
    designs = space.concat([none, *parts]).take(rows)
    minimised = np.concatenate(objectives)[rows] if objectives else np.zeros((0, width))
    return FrontRows(designs, minimised, problem.natural(minimised))


def pack_front(front: Front) -> bytes:
    """A finished front with all its metrics and violations."""
    prices = front.scores.prices
    names = front.problem.violation_names(prices)
    return pack(
        {
            **{f"d:{k}": v for k, v in front.designs.columns.items()},
            "objectives": front.minimised,
            **{f"m:{k}": v for k, v in prices.columns.items()},
            **{f"x:{name}": front.scores.violations[:, i] for i, name in enumerate(names)},
        }
    )


def unpack_front(problem: Outline, blob: bytes, where: str) -> FrontRows:
    arrays = unpack(blob, where)
    minimised = arrays["objectives"].reshape(-1, len(problem.objectives))
    metrics, violations, designs = under(arrays, "m:"), under(arrays, "x:"), decoded(problem, arrays, where)
    for name, column in {"objectives": minimised[:, 0], **metrics, **violations}.items():
        if column.shape != (len(designs),):
            raise StudyError("logged columns are as long as the front", value=column.shape, where=f"{where}: {name}")
    return FrontRows(designs, minimised, problem.natural(minimised), metrics, violations)


def under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names start with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def decoded(problem: Outline, arrays: Mapping[str, NDArray[Any]], where: str) -> Designs:
    """Logged designs. Raises `StudyError` where they do not fit the logged space."""
    columns = under(arrays, "d:")
    lengths = {len(block) for block in columns.values()}
    for v in problem.space.variables:
        if v.name not in columns or columns[v.name].ndim != 2 or columns[v.name].shape[1] != v.width:
            raise StudyError("logged designs must fit the study's design space", value=v.name, where=where)
    if len(lengths) != 1:
        raise StudyError("logged designs must have equally many values", value=sorted(lengths), where=where)
    # strangers' codes are pulled into range, so nothing is ever indexed outside its options
    return problem.space.repair(Designs(problem.space, {v.name: columns[v.name] for v in problem.space.variables}))

"""Several studies of one question side by side: hypervolume in a common box, coverage, cost of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import StudyError
from tradespace.studies.outline import Axis
from tradespace.studies.record import StudyRecord

Array = NDArray[np.float64]
_BLOCK = 256
LIMIT = 1000


@dataclass(frozen=True)
class Compared:
    """One study. ``hypervolume``: share of the common box; ``best``: per objective, natural units."""

    name: str
    status: str
    optimizer: str
    seed: int
    evaluations: int
    seconds: float
    plans: int
    hypervolume: float
    best: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Studies in the order given.

    Attributes:
        coverage: (S, S), row A, column B: share of B's front that a plan of A equals or beats in every objective
            (C metric, Zitzler and Thiele 1999, section 4); nan where B's front is empty.
        notes: what differs besides optimizer, seed and budget.
    """

    objectives: tuple[Axis, ...]
    studies: tuple[Compared, ...]
    coverage: Array
    ideal: Array
    nadir: Array
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "objectives": [{"name": o.name, "unit": o.unit, "direction": o.direction} for o in self.objectives],
            "box": {"ideal": self.ideal.tolist(), "nadir": self.nadir.tolist()},
            "studies": [{key: getattr(study, key) for key in Compared.__dataclass_fields__} for study in self.studies],
            "coverage": self.coverage.tolist(),
            "notes": list(self.notes),
        }


def compare(studies: Sequence[StudyRecord]) -> Comparison:
    """Compare fronts in one box around all of them: from the best value of each objective to the worst one on the
    joint front, the reference point a tenth of the range beyond (as `tradespace.search.indicators.Box`).

    Raises:
        StudyError: fewer than one study, too many, or objectives or workloads that are not the same.
    """
    from tradespace.search.indicators import Box, hypervolume, nondominated

    _check(studies)
    first, width = studies[0].problem, len(studies[0].problem.objectives)
    fronts = [study.front.minimised for study in studies]
    every = np.concatenate(fronts) if fronts else np.zeros((0, width))
    joint = every[nondominated(every)] if len(every) else np.zeros((1, width))
    ideal, worst = joint.min(axis=0), joint.max(axis=0)
    flat = worst - ideal <= 1e-12 * np.maximum(np.abs(ideal), np.abs(worst))
    nadir = np.where(flat, ideal + np.where(ideal != 0, 0.1 * np.abs(ideal), 1.0), worst)
    box = Box(ideal, nadir, "joint front")
    rows = tuple(_row(study, hypervolume(study.front.minimised, box)) for study in studies)
    coverage = np.array([[_coverage(a, b) for b in fronts] for a in fronts]).reshape(len(fronts), len(fronts))
    edges = first.natural(np.stack([ideal, nadir]))
    return Comparison(first.objectives, rows, coverage, edges[0], edges[1], _notes(studies))


def _check(studies: Sequence[StudyRecord]) -> None:
    if not 1 <= len(studies) <= LIMIT:
        raise StudyError(f"1 to {LIMIT} studies are compared at once", value=len(studies))
    first = studies[0]
    wanted = {(o.name, o.direction) for o in first.problem.objectives}
    for study in studies[1:]:
        if [(o.name, o.direction) for o in study.problem.objectives] != [
            (o.name, o.direction) for o in first.problem.objectives
        ]:
            found = {(o.name, o.direction) for o in study.problem.objectives}
            order = "the same in another order" if found == wanted else _axes(study)
            raise StudyError(
                f"studies are compared on the same objectives; '{first.name}' has {_axes(first)}",
                value=f"'{study.name}' has {order}",
                remedy="Compare studies that were searched with equal 'objectives'.",
            )

    workloads = {s.name: s.spec.setting.workload for s in studies if s.spec.setting is not None}
    name, workload = next(iter(workloads.items()), ("", None))
    for other, found in workloads.items():
        if found != workload:
            raise StudyError(
                f"studies are compared on one workload; '{name}' has {workload!r}",
                value=f"'{other}' has {found!r}",
                remedy="A hypervolume over two different jobs would mean nothing.",
            )


def _row(study: StudyRecord, volume: float) -> Compared:
    front, axes = study.front, study.problem.objectives
    least = front.minimised.argmin(axis=0) if len(front) else []
    best = {axis.name: float(front.values[row, i]) for i, (axis, row) in enumerate(zip(axes, least, strict=False))}
    spec = study.spec
    return Compared(
        study.name,
        study.status,
        spec.optimizer,
        spec.seed,
        study.evaluations,
        study.seconds,
        len(front),
        volume,
        best,
    )


def _coverage(a: Array, b: Array) -> float:
    if not len(b):
        return float("nan")
    covered = 0
    for start in range(0, len(b), _BLOCK):
        block = b[start : start + _BLOCK]
        covered += int((a[:, None, :] <= block[None, :, :]).all(axis=2).any(axis=0).sum())
    return covered / len(b)


def _axes(study: StudyRecord) -> str:
    return ", ".join(f"{o.direction}:{o.name}" for o in study.problem.objectives)


def _notes(studies: Sequence[StudyRecord]) -> tuple[str, ...]:
    """Differences that a reader of the table must know of."""
    notes = []
    for what in ("target", "evaluator", "options"):
        found = {repr(getattr(s.spec.setting, what)) if s.spec.setting is not None else "?" for s in studies}
        if len(found) > 1:
            notes.append(f"the studies differ in {what}: {', '.join(sorted(found))[:300]}")
    if len({s.spec.constraints for s in studies}) > 1:
        notes.append("the studies differ in their constraints")
    unfinished = [s.name for s in studies if s.status != "complete"]
    if unfinished:
        notes.append(f"not complete: {', '.join(unfinished[:12])}")
    return tuple(notes)

"""The user's present deployment beside a front: what dominates it, and the best single change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.documents import check_bounds
from tradespace.errors import DesignError
from tradespace.neighbours import Neighbours, entry_changes, whole_changes
from tradespace.plans import PlanFile, read_plan
from tradespace.problem import Problem
from tradespace.settings import Bound, Setting, bind

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.search import Front

Array = NDArray[np.float64]
DOMINATING = 5
"""Front plans that dominate a baseline which are listed; all are counted."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step away from a plan. ``changes``: relative change of each objective in its natural unit (−0.12 = 12 %
    less). ``improves``: no objective is worse and one is better (or the plan becomes feasible)."""

    text: str
    variable: str
    changes: Mapping[str, float]
    values: Mapping[str, float]
    improves: bool
    id: str

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "variable": self.variable,
            "changes": dict(self.changes),
            "values": dict(self.values),
            "improves": self.improves,
            "id": self.id,
        }


@dataclass(frozen=True, slots=True)
class Better:
    """A front plan that dominates the baseline, with the relative change of each objective."""

    id: str
    short_id: str
    changes: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "changes": dict(self.changes)}


@dataclass(frozen=True)
class Baseline:
    """A priced plan. ``dominated_by``: None without a front, else how many of its plans dominate this one."""

    name: str
    id: str
    values: Mapping[str, float]
    design: Mapping[str, Any]
    violations: Mapping[str, float]
    entry: Change | None  # best change of a single entry of one variable
    whole: Change | None  # best setting of one variable over all its entries
    dominated_by: int | None = None
    on_front: bool = False
    better: tuple[Better, ...] = field(default=())

    @property
    def feasible(self) -> bool:
        return all(v <= 0 for v in self.violations.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": self.id,
            "values": dict(self.values),
            "design": dict(self.design),
            "violations": dict(self.violations),
            "dominated_by": self.dominated_by,
            "on_front": self.on_front,
            "better": [b.to_json() for b in self.better],
            "single_change": None if self.entry is None else self.entry.to_json(),
            "whole_change": None if self.whole is None else self.whole.to_json(),
        }


def bind_plan(path: str | Path, registry: Registry) -> tuple[PlanFile, Bound, Designs]:
    """A plan file with its setting bound and its design read, repaired to what the evaluator accepts.

    Raises:
        TradespaceError: what is wrong, with the path of the plan in front.
    """
    plan = read_plan(path)
    for part in (plan.workload, plan.target, plan.options):
        check_bounds(part, str(path))  # YAML aliases can make a small file as large as an attack
    bound = bind(Setting(plan.workload, plan.target, plan.evaluator, plan.options), registry)
    return plan, bound, parse_design(plan, bound, str(path))


def parse_design(plan: PlanFile, bound: Bound, where: str) -> Designs:
    """The design of a plan in the space of ``bound``. Raises `DesignError` for names the space lacks, and for a
    design that the evaluator would have to change."""
    check_bounds(plan.design, f"{where}: design")
    space = bound.evaluator.space
    designs = space.parse(plan.design, where=f"{where}: design")
    repair = getattr(bound.evaluator, "repair", None)
    fixed: Designs = repair(designs) if repair is not None else designs
    for name in designs.columns:
        if not np.array_equal(designs.columns[name], fixed.columns[name]):
            entries = np.flatnonzero(designs.columns[name][0] != fixed.columns[name][0])
            raise DesignError(
                "the target cannot run the plan as it stands",
                value=f"{name} of {', '.join(_entries(space, name, entries)[:4])}",
                where=where,
                remedy=f"The nearest plan it can run has {name} {fixed.show()[name]}.",
            )
    return fixed


def compare(problem: Problem, designs: Designs, *, name: str, front: Front | None = None) -> Baseline:
    """Price one design; with a front, say what dominates it. Directions and constraints are the problem's."""
    scores = problem.score(designs)
    values = {o.name: float(problem.natural(scores.objectives)[0, m]) for m, o in enumerate(problem.objectives)}
    values |= {k: float(scores.prices[k][0]) for k in scores.prices if k not in values}
    names = problem.violation_names(scores.prices)
    feasible, identity = bool(scores.feasible[0]), designs.ids[0]
    count, better = (None, ()) if front is None else _against(front, scores.objectives[0], feasible)
    return Baseline(
        name=name,
        id=identity,
        values=values,
        design=designs.show(),
        violations=dict(zip(names, scores.violations[0].tolist(), strict=True)),
        entry=best_change(problem, designs, entry_changes(problem.space, designs)),
        whole=best_change(problem, designs, whole_changes(problem.space, designs)),
        dominated_by=count,
        on_front=front is not None and identity in front.ids,
        better=better,
    )


def best_change(problem: Problem, designs: Designs, candidates: Neighbours) -> Change | None:
    """The candidate that improves most; None if none differs or none is feasible where the plan is.

    Ranked (ours): first those that break less if the plan is infeasible; then those that worsen nothing, by the mean
    gain as a share of each objective's range over the plain designs; if every candidate worsens something, the one of
    the largest mean gain, marked as a trade, and only if that mean is a gain.
    """
    base = problem.score(designs)
    others = problem.repair(candidates.designs)
    keep = np.flatnonzero(others.digest != designs.digest[0])
    if not len(keep):
        return None
    scores = problem.score(others.take(keep))
    change = _relative(scores.objectives, base.objectives[0])  # minimised: negative = better
    relief = base.violation[0] - scores.violation
    gain = ((base.objectives - scores.objectives) / _ranges(problem, base.objectives[0])).mean(axis=1)
    dominates = np.asarray((change <= 1e-12).all(axis=1) & (change < -1e-9).any(axis=1), bool)
    feasible = bool(base.feasible[0])
    allowed = scores.feasible if feasible else np.asarray(relief > 1e-12, bool)
    good = dominates if feasible else allowed
    order = np.lexsort((-gain, ~good, ~allowed)) if feasible else np.lexsort((-gain, -relief))
    best = int(order[0])
    if not allowed[best] or not (good[best] or gain[best] > 1e-9):
        return None
    signs = np.where([o.direction == "max" for o in problem.objectives], -1.0, 1.0)
    natural = problem.natural(scores.objectives)[best]
    return Change(
        candidates.texts[int(keep[best])],
        candidates.variables[int(keep[best])],
        dict(zip(problem.names, (change[best] * signs).tolist(), strict=True)),
        dict(zip(problem.names, natural.tolist(), strict=True)),
        bool(good[best]),
        others.take(keep[[best]]).ids[0],
    )


def _relative(objectives: Array, base: Array) -> Array:
    """``(N, M)`` change of minimised objectives relative to the base; absolute where the base is 0."""
    return (objectives - base) / np.where(base == 0, 1.0, np.abs(base))


def _ranges(problem: Problem, base: Array) -> Array:
    """``(M,)`` range of each objective over the homogeneous designs: what counts as much. Relative changes alone would
    let an objective near 0 outweigh all others."""
    found = np.ptp(problem.score(problem.repair(problem.space.homogeneous())).objectives, axis=0)
    return np.where(found > 0, found, np.where(base == 0, 1.0, np.abs(base)))


def _against(front: Front, base: Array, feasible: bool) -> tuple[int, tuple[Better, ...]]:
    """How many front plans dominate a plan, and the best few with their changes."""
    if not len(front.ids):
        return 0, ()
    change = _relative(front.minimised, base)
    # a plan that breaks a limit is beaten by every feasible one that is no worse, even where it prices the same
    strict = (change < 0).any(axis=1) if feasible else np.ones(len(change), bool)
    rows = np.flatnonzero((change <= 0).all(axis=1) & strict)
    rows = rows[np.argsort(change[rows].mean(axis=1), kind="stable")]
    signs = np.where([o.direction == "max" for o in front.problem.objectives], -1.0, 1.0)
    better = tuple(
        Better(
            front.ids[i],
            front.short_ids[i],
            dict(zip(front.problem.names, (change[i] * signs).tolist(), strict=True)),
        )
        for i in rows[:DOMINATING].tolist()
    )
    return len(rows), better


def _entries(space: Any, name: str, indices: Sequence[int] | NDArray[np.int64]) -> list[str]:
    from tradespace.reports.describe import entry_names

    names = entry_names(space, name)
    return [names[int(i)] for i in indices]

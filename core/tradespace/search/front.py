"""The result of a search: the non-dominated plans, what they cost, and how far from optimal they can be at most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, short_ids
from tradespace.errors import PluginError, ProblemError, UnknownName
from tradespace.plans import Plan
from tradespace.problem import Prices, Problem, Scores
from tradespace.search import knee as _knee
from tradespace.search.archive import Archive
from tradespace.search.diagnosis import Diagnosis, Relaxations
from tradespace.search.gap import Gap, certified_gap, unstructured
from tradespace.search.indicators import Box, hypervolume

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HistoryPoint:
    """After one batch: designs priced, seconds, normalised hypervolume of the archive."""

    evaluations: int
    seconds: float
    hypervolume: float


@dataclass(frozen=True)
class Picked:
    """A row of the front and why it is shown: "knee", "best latency", "spread"."""

    index: int
    why: str


@dataclass(frozen=True)
class FrontPoint:
    """One plan of a front. ``values``: every metric and objective in natural units; ``design``: as a person reads it;
    ``designs``: the same as `Designs` of length 1."""

    index: int
    id: str
    values: dict[str, float]
    designs: Designs
    problem: Problem
    violations: dict[str, float]

    @property
    def design(self) -> dict[str, Any]:
        return self.designs.show(0)

    @property
    def plan(self) -> Plan:
        """The evaluator's own explanation where it has one, else design and values."""
        explain = getattr(self.problem.evaluator, "explain", None)
        plan = explain(self.designs) if explain is not None else None
        if isinstance(plan, Plan):
            return plan
        if plan is not None:
            raise PluginError("explain returns a Plan", value=type(plan).__name__, where="explain")
        known = {m.name: m.unit for m in self.problem.evaluator.metrics}
        return Plan(self.id, self.design, self.values, known, self.violations)


@dataclass(frozen=True, eq=False)
class Front:
    """K non-dominated feasible designs, sorted by the first objective (then the next).

    Attributes:
        values: (K, M) objectives in natural units and directions, in the order of ``problem.objectives``.
        minimised: (K, M) what optimizers saw.
        hypervolume: share of ``box`` that the front dominates.
        stopped: why the search ended.  interrupted: it was Ctrl-C.
        diagnosis: only when nothing feasible was found; then K = 0.
        note: what the optimizer says is certain about its designs ("exact"), if anything.
    """

    problem: Problem
    designs: Designs
    scores: Scores
    values: Array
    minimised: Array
    optimizer: str
    seed: int
    evaluations: int
    seconds: float
    history: tuple[HistoryPoint, ...]
    hypervolume: float
    box: Box
    stopped: str
    interrupted: bool = False
    diagnosis: Diagnosis | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.designs)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return self.designs.ids

    @cached_property
    def short_ids(self) -> tuple[str, ...]:
        return short_ids(self.ids)

    @cached_property
    def gap(self) -> Gap | None:
        """Certified optimality gap, computed at first use; None where the structure gives no bound."""
        return certified_gap(self.problem, self.minimised, self.box)

    def point(self, index: int) -> FrontPoint:
        """Row ``index`` of the front."""
        prices = self.scores.prices.take(slice(index, index + 1))
        values = {name: float(column[0]) for name, column in prices.columns.items()}
        values |= dict(zip(self.problem.names, self.values[index].tolist(), strict=True))
        broken = {name: float(column[0]) for name, column in prices.violations.items()}
        return FrontPoint(index, self.ids[index], values, self.designs.take([index]), self.problem, broken)

    def best(self, what: str = "knee") -> FrontPoint:
        """The knee, or the best point of one objective. Raises ProblemError for an empty front."""
        if not len(self):
            raise ProblemError(
                "an empty front has no best plan",
                value=self.stopped,
                remedy=self.diagnosis.text if self.diagnosis else "Give the search a larger budget.",
            )
        if what == "knee":
            return self.point(_knee.knee(self.minimised))
        if what not in self.problem.names:
            raise UnknownName("objective", what, ("knee", *self.problem.names))
        m = self.problem.names.index(what)
        return self.point(self._extreme(m))

    def pick(self, n: int = 12) -> tuple[Picked, ...]:
        """Extremes, knee and a spread, at most ``n`` rows, in the order of the front."""
        if not len(self):
            return ()
        why: dict[int, list[str]] = {}
        for m, name in enumerate(self.problem.names):
            why.setdefault(self._extreme(m), []).append(f"best {name}")
        why.setdefault(_knee.knee(self.minimised), []).append("knee")
        rows = _knee.spread(self.minimised, list(why), max(n, 1))[: max(n, 1)]
        return tuple(Picked(i, ", ".join(why.get(i, ["spread"]))) for i in sorted(rows))

    def _extreme(self, m: int) -> int:
        """The best row of objective m; among equals the one nearest to the knee's side."""
        rest = _knee.scaled(self.minimised).sum(axis=1)
        return int(np.lexsort((rest, self.minimised[:, m]))[0])


def front_of(
    problem: Problem,
    archive: Archive,
    box: Box | None,
    relaxations: Relaxations,
    *,
    optimizer: str,
    seed: int,
    evaluations: int,
    seconds: float,
    history: tuple[HistoryPoint, ...],
    stopped: str,
    interrupted: bool,
    note: str = "",
) -> Front:
    """The front that an archive holds. ``box=None``: a search that was interrupted before its first batch."""
    m = len(problem.objectives)
    box = box or Box(np.zeros(m), np.ones(m), "no design was priced")
    known = archive.scores or _no_scores(problem)
    rows = np.lexsort(archive.objectives.T[::-1]) if archive.feasible else np.empty(0, np.intp)
    scores = known.take(rows)
    diagnosis = None
    if archive.scores is not None and not archive.feasible:
        diagnosis = relaxations.diagnosis(archive.designs, archive.scores)
    return Front(
        problem=problem,
        designs=archive.designs.take(rows),
        scores=scores,
        values=problem.natural(scores.objectives),
        minimised=scores.objectives,
        optimizer=optimizer,
        seed=seed,
        evaluations=evaluations,
        seconds=seconds,
        history=history,
        hypervolume=hypervolume(scores.objectives, box),
        box=box,
        stopped=stopped,
        interrupted=interrupted,
        diagnosis=diagnosis,
        note=_honest(note, problem),
    )


def _honest(note: str, problem: Problem) -> str:
    """An optimizer's claim, with the constraints it could not know."""
    left = unstructured(problem) if note else ()
    return "; ".join([note, f"constraints left to the archive: {', '.join(left)}"]) if left else note


def _no_scores(problem: Problem) -> Scores:
    empty = np.empty(0)
    prices = Prices({m.name: empty for m in problem.evaluator.metrics})
    return Scores(np.empty((0, len(problem.objectives))), np.empty((0, 0)), prices)

"""Cheap first, true last: carry designs up a ladder of evaluators over one space and say how far the rungs disagree.

Successive halving over fidelities (Jamieson and Talwalkar 2016, arXiv 1502.07943, with evaluators instead of training
epochs). With several objectives the better half is taken by non-dominated layers, within a layer by crowding distance.
Rungs may lack metrics, never rename them: what a rung does not know cannot be an objective there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Problem, Scores
from tradespace.search.indicators import nondominated

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Disagreement:
    """How one metric differs between two rungs, over the designs priced on both.

    Args:
        rank: Spearman correlation; 1 means the cheap rung orders as the true one does.
        tau: Kendall's tau-b; None where one of them does not vary.
        ratio: median of true / cheap.
        spread: 90th percentile of the ratio's deviation from its median, in either direction.
    """

    rank: float
    tau: float | None
    ratio: float
    spread: float


@dataclass(frozen=True)
class Rung:
    """What came up to one evaluator: designs, their scores there, and the disagreement with the rung below."""

    problem: Problem
    designs: Designs
    scores: Scores
    disagreement: Mapping[str, Disagreement]

    @property
    def front(self) -> Rows:
        """Rows of the feasible, non-dominated designs on this rung."""
        rows = np.flatnonzero(self.scores.feasible)
        return np.asarray(rows[nondominated(self.scores.objectives[rows])])


def promote(designs: Designs, ladder: Sequence[Problem], keep: float = 1 / 3, least: int = 8) -> tuple[Rung, ...]:
    """Price on the first problem, take the best share `keep` (at least `least`) to the next, and so on.

    Args:
        designs: usually a front found on the cheap rung, or its archive.
        ladder: one problem an evaluator, cheapest first, all over the same variables.
        keep: share that goes up from each rung; 1 takes all.

    Raises:
        ProblemError: an empty ladder, other variables on a rung, or a share outside (0, 1].
    """
    if not ladder or not len(designs):
        raise ProblemError("a ladder has at least one problem and at least one design", where="promote")
    if not 0 < keep <= 1 or least < 1:
        raise ProblemError("keep is a share from 0 to 1 and least at least 1", value=(keep, least), where="promote")
    names = [v.name for v in ladder[0].space.variables]
    rungs: list[Rung] = []
    for problem in ladder:
        if problem.space.variables != ladder[0].space.variables:
            other = [v.name for v in problem.space.variables]
            raise ProblemError("all rungs have the same variables", value=f"{names} and {other}", where="promote")
        here = problem.repair(Designs(problem.space, designs.columns))
        scores = problem.score(here)
        below = rungs[-1].scores.take(_best(rungs[-1].scores, len(here))) if rungs else None
        rungs.append(Rung(problem, here, scores, compare(below.prices, scores.prices) if below is not None else {}))
        designs = here.take(_best(scores, max(least, int(np.ceil(keep * len(here))))))
    return tuple(rungs)


def _best(scores: Scores, count: int) -> Rows:
    """The `count` best rows: feasible before infeasible, by non-dominated layers, then by crowding distance."""
    left, order = np.flatnonzero(scores.feasible), list[int]()
    while len(left) and len(order) < count:
        layer = left[nondominated(scores.objectives[left])]
        crowd = _crowding(scores.objectives[layer])
        order += layer[np.argsort(-crowd, kind="stable")].tolist()
        left = np.setdiff1d(left, layer)
    rest = np.setdiff1d(np.arange(len(scores.objectives)), np.array(order, np.intp))
    order += rest[np.argsort(scores.violation[rest], kind="stable")].tolist()
    return np.asarray(order[:count], np.intp)


def _crowding(objectives: Array) -> Array:
    """Crowding distance of Deb et al. 2002, section III-B."""
    n, total = len(objectives), np.zeros(len(objectives))
    for column in objectives.T:
        order = np.argsort(column, kind="stable")
        span = float(np.ptp(column)) or 1.0
        gaps = np.full(n, np.inf)
        if n > 2:
            gaps[order[1:-1]] = (column[order[2:]] - column[order[:-2]]) / span
        total += gaps
    return total


def compare(cheap: Mapping[str, Array], true: Mapping[str, Array]) -> dict[str, Disagreement]:
    """Disagreement of every metric that both rungs know, over equal rows."""
    found = {}
    for name in true:
        if name not in cheap:
            continue
        a, b = cheap[name], true[name]
        ratio = b[a != 0] / a[a != 0]
        middle = float(np.median(ratio)) if len(ratio) else 1.0
        away = np.abs(ratio / middle - 1.0) if len(ratio) and middle else np.zeros(1)
        found[name] = Disagreement(_spearman(a, b), kendall(a, b), middle, float(np.quantile(away, 0.9)))
    return found


def kendall(a: Array, b: Array) -> float | None:
    """Kendall's tau-b of two rankings (Kendall 1945): 1 means the same order, -1 the opposite one.

    None where all values of one of them are equal.
    """
    i, j = np.triu_indices(len(a), 1)
    x, y = np.sign(a[i] - a[j]), np.sign(b[i] - b[j])
    size = float(np.sqrt((x != 0).sum() * (y != 0).sum()))
    return float((x * y).sum() / size) if size else None


def _spearman(a: Array, b: Array) -> float:
    """Correlation of ranks, ties averaged; 1 where nothing varies."""
    x, y = (_ranks(v) for v in (a, b))
    size = float(np.sqrt(((x - x.mean()) ** 2).sum() * ((y - y.mean()) ** 2).sum()))
    return float(((x - x.mean()) * (y - y.mean())).sum() / size) if size > 0 else 1.0


def _ranks(values: Array) -> Array:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return np.asarray((ends - (counts - 1) / 2.0)[index])

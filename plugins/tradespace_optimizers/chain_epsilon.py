"""What `milp` and `cpsat` share: options, the drive through search zones, and what is certain at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import ChainTerm, Scores, Structure
from tradespace.search.contract import SearchView
from tradespace.search.labels import Limit, limits_of
from tradespace_optimizers.chain_designs import designs_of
from tradespace_optimizers.chain_model import ChainModel, chain_model, front_span
from tradespace_optimizers.zones import Solver, Zones

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EpsilonOptions:
    """resolution: share of an objective's range on the front by which designs must differ to be told apart (whole
    numbers are always told apart). seconds: all solves together (outside bit-identity). solves: at most, 0 = any."""

    resolution: float = 0.005
    seconds: float = 60.0
    solves: int = 0


@dataclass(frozen=True)
class Job:
    """A model with what a solver must know besides: ``step`` (M,) the least difference that counts, ``weights`` (M,)
    of the objective to minimise (1 for the first, little for the others), and the limits to check."""

    model: ChainModel
    groups: Sequence[Sequence[ChainTerm]]
    limits: Sequence[Limit]
    step: Array
    weights: Array

    def broken(self, path: NDArray[np.intp]) -> bool:
        return any(self.model.cost([[limit.term]], path)[0] > limit.cap for limit in self.limits)


MakeSolver = Callable[[Job, Callable[[], float]], Solver]
"""(job, seconds left) -> solver."""


class EpsilonConstraint:
    """Solves while it is asked, the widest open zone first; ``note`` says what is certain about what was asked."""

    Options: ClassVar[type] = EpsilonOptions
    batch = 8

    def __init__(self, view: SearchView, options: EpsilonOptions, name: str, make: MakeSolver) -> None:
        structure = checked(view, options, name)
        self._view, self._structure, self._options = view, structure, options
        self._names = view.objectives
        limits = [limit for limit in limits_of(structure).values() if limit.open]
        groups = [structure.groups(name) for name in view.objectives]
        model = chain_model(groups, limits)
        self._job = _job(model, groups, limits, options.resolution)
        low, high = model.lowest, model.highest + self._job.step
        self._zones = Zones(high + self._job.step, low, self._job.step)
        self._spent, self._since = 0.0, 0.0
        self._search: Iterator[object] = self._zones.search(make(self._job, self._left))
        self._told, self._ended = 0, False

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        """Extends the list of found points, which depends on nothing but the problem, as far as it is asked."""
        points = self._zones.points
        self._since = time.perf_counter()
        while len(points) < self._told + n and not self._ended:
            out = bool(self._options.solves) and self._zones.solves >= self._options.solves
            if out or self._left() <= 0.0 or next(self._search, self) is self:
                self._ended = True
        self._spent, self._since = self._options.seconds - self._left(), 0.0
        states = [point.states for point in points[self._told : self._told + n]]
        path = np.asarray(states, np.intp).reshape(len(states), self._job.model.entries)
        return designs_of(self._view.space, self._structure, path)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._told += len(designs)

    @property
    def solves(self) -> int:
        return self._zones.solves

    @property
    def note(self) -> str:
        """ "exact"; or within which steps, and what was left."""
        lower = [name for name in self._names if not self._structure.exact(name)]
        parts = [f"lower bounds stand for {', '.join(lower)}"] if lower else []
        if not self._job.model.whole.all():
            parts.append(f"no design is missing that is better by {self._options.resolution:.3g} of the front's range")
        left = self._zones.left + self._zones.given_up
        if left:
            parts.append(f"{left} zones left open after {self._zones.solves} solves")
        return "; ".join(parts) or "exact"

    def _left(self) -> float:
        running = time.perf_counter() - self._since if self._since else 0.0
        return self._options.seconds - self._spent - running


def _job(model: ChainModel, groups: Sequence[Sequence[ChainTerm]], limits: Sequence[Limit], resolution: float) -> Job:
    """Weights small enough that all others together change the first objective by less than half a step."""
    span = np.where(model.highest > model.lowest, model.highest - model.lowest, 1.0)
    range_ = front_span(groups, lambda path: model.cost(groups, path))
    step = np.where(model.whole, 1.0, resolution * np.where(range_ > 0, range_, span))
    weights = 0.5 * step[0] / (max(len(span) - 1, 1) * span)
    weights[0] = 1.0
    return Job(model, groups, limits, step, weights)


def checked(view: SearchView, options: EpsilonOptions, name: str) -> Structure:
    """The structure, or the reason why there is nothing to solve."""
    where, remedy = f"optimizer {name}", "Use optimizer=pgsam, which needs no structure."
    if not 0.0 < options.resolution < 1.0 or options.seconds <= 0 or options.solves < 0:
        raise ProblemError("0 < resolution < 1, seconds > 0, solves >= 0", value=options, where=f"options of {name}")
    if view.structure is None:
        raise ProblemError(f"{name} needs an evaluator that states its chain structure", where=where, remedy=remedy)
    lacking = [o for o in view.objectives if not view.structure.groups(o)]
    if lacking:
        known = ", ".join(dict.fromkeys([*view.structure.terms, *view.structure.maxima]))
        raise ProblemError(
            f"{name} needs a chain term for every objective",
            value=f"none for {', '.join(lacking)}",
            where=where,
            remedy=f"Terms: {known}. {remedy}",
        )
    return view.structure

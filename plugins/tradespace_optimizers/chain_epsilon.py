"""What `milp` and `cpsat` share: options, the drive through search zones, and what is certain at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import ChainTerm, Scores, Structure
from tradespace.search.chain_model import ChainModel, chain_model, front_span
from tradespace.search.contract import SearchView
from tradespace.search.labels import Limit, limits_of, transition_limit
from tradespace_optimizers.chain_designs import designs_of
from tradespace_optimizers.schedule_epsilon import TaskJob, task_job
from tradespace_optimizers.zones import Point, Solver, Zones

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
MakeTaskSolver = Callable[[TaskJob, Callable[[], float]], Solver]


class Model(Protocol):
    """What the drive through zones must know: bounds and least differences of the objectives, (M,) each, whether they
    are whole numbers, which of them are lower bounds only, what a step is in words, and the designs of points."""

    @property
    def highest(self) -> Array: ...
    @property
    def lowest(self) -> Array: ...
    @property
    def step(self) -> Array: ...
    @property
    def whole(self) -> NDArray[np.bool_]: ...
    @property
    def lower(self) -> tuple[str, ...]: ...
    @property
    def grain(self) -> str: ...
    def designs(self, points: Sequence[Point]) -> Designs: ...


class EpsilonConstraint:
    """Solves while it is asked, the widest open zone first; ``note`` says what is certain about what was asked."""

    Options: ClassVar[type] = EpsilonOptions
    batch = 8

    def __init__(
        self, view: SearchView, options: EpsilonOptions, name: str, make: MakeSolver, make_tasks: MakeTaskSolver
    ) -> None:
        checked_options(options, name)
        self._options = options
        self._spent, self._since = 0.0, 0.0
        self._told, self._ended = 0, False
        if view.structure is not None and view.structure.tasks is not None:
            job = task_job(view, options.resolution, name)
            self._model: Model = job
            solver = make_tasks(job, self._left)
        else:
            chain = _Chain.of(view, checked(view, name), options.resolution)
            self._model, solver = chain, make(chain.job, self._left)
        step = self._model.step
        self._zones = Zones(self._model.highest + 2 * step, self._model.lowest, step)
        self._search: Iterator[object] = self._zones.search(solver)

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        """Extends the list of found points, which depends on nothing but the problem, as far as it is asked."""
        points = self._zones.points
        self._since = time.perf_counter()
        while len(points) < self._told + n and not self._ended:
            out = bool(self._options.solves) and self._zones.solves >= self._options.solves
            if out or self._left() <= 0.0 or next(self._search, self) is self:
                self._ended = True
        self._spent, self._since = self._options.seconds - self._left(), 0.0
        return self._model.designs(points[self._told : self._told + n])

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._told += len(designs)

    @property
    def solves(self) -> int:
        return self._zones.solves

    @property
    def note(self) -> str:
        """ "exact"; or within which steps, and what was left."""
        lower = self._model.lower
        parts = [f"lower bounds stand for {', '.join(lower)}"] if lower else []
        if not self._model.whole.all():
            parts.append(f"no design is missing that is better by {self._model.grain}")
        left = self._zones.left + self._zones.given_up
        if left and len(self._model.step) == 1 and self._zones.points:
            parts = [f"at least {max(point.bound for point in self._zones.points):.6g}"]
        elif left:
            parts.append(f"{left} zones left open after {self._zones.solves} solves")
        return "; ".join(parts) or "exact"

    def _left(self) -> float:
        running = time.perf_counter() - self._since if self._since else 0.0
        return self._options.seconds - self._spent - running


@dataclass(frozen=True)
class _Chain:
    """A chain as `Model`."""

    view: SearchView
    structure: Structure
    job: Job
    resolution: float

    @classmethod
    def of(cls, view: SearchView, structure: Structure, resolution: float) -> _Chain:
        every = {**limits_of(structure), **transition_limit(structure)}
        limits = [limit for limit in every.values() if limit.open]
        groups = [structure.main(name) for name in view.objectives]
        return cls(view, structure, _job(chain_model(groups, limits), groups, limits, resolution), resolution)

    @property
    def highest(self) -> Array:
        return self.job.model.highest

    @property
    def lowest(self) -> Array:
        return self.job.model.lowest

    @property
    def step(self) -> Array:
        return self.job.step

    @property
    def whole(self) -> NDArray[np.bool_]:
        return self.job.model.whole

    @property
    def lower(self) -> tuple[str, ...]:
        return tuple(name for name in self.view.objectives if not self.structure.exact(name))

    @property
    def grain(self) -> str:
        return f"{self.resolution:.3g} of the front's range"

    def designs(self, points: Sequence[Point]) -> Designs:
        path = np.asarray([point.states for point in points], np.intp).reshape(len(points), self.job.model.entries)
        return designs_of(self.view.space, self.structure, path)


def _job(model: ChainModel, groups: Sequence[Sequence[ChainTerm]], limits: Sequence[Limit], resolution: float) -> Job:
    """Weights small enough that all others together change the first objective by less than half a step."""
    span = np.where(model.highest > model.lowest, model.highest - model.lowest, 1.0)
    range_ = front_span(groups, lambda path: model.cost(groups, path))
    step = np.where(model.whole, 1.0, resolution * np.where(range_ > 0, range_, span))
    weights = 0.5 * step[0] / (max(len(span) - 1, 1) * span)
    weights[0] = 1.0
    return Job(model, groups, limits, step, weights)


def checked_options(options: EpsilonOptions, name: str) -> None:
    """Raises `ProblemError` for options that make no sense."""
    if not 0.0 < options.resolution < 1.0 or options.seconds <= 0 or options.solves < 0:
        raise ProblemError("0 < resolution < 1, seconds > 0, solves >= 0", value=options, where=f"options of {name}")


def checked(view: SearchView, name: str) -> Structure:
    """The structure, or the reason why there is nothing to solve."""
    where, remedy = f"optimizer {name}", "Use optimizer=pgsam, which needs no structure."
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

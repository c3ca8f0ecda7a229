"""Cheap first, true last: a front that was found on the tables is measured, as a study of its own in the same log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tradespace.designs import Designs, short_ids
from tradespace.errors import ProblemError, TradespaceError, UnknownName
from tradespace.problem import Problem
from tradespace.search.promotion import Disagreement, compare
from tradespace.settings import Setting, bind
from tradespace.verify.front import recalled, spread
from tradespace.verify.measure import Protocol

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.search.contract import Batch
    from tradespace.studies.log import Store
    from tradespace.studies.spec import StudySpec

TABLE = {"table": "tables"}
"""Words for a rung beside the names of evaluators."""
OWN = {"measured": tuple(option.name for option in fields(Protocol))}
"""Options that a rung has alone: the cheap one is not asked whether it knows them."""
OPTIMIZER = "random"
"""Never asked: the study of a rung prices its start and ends."""


@dataclass(frozen=True)
class Ladder:
    """Names of evaluators, the cheap one first, how many plans go up, and options of the true one alone."""

    rungs: tuple[str, ...]
    most: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cheap(self) -> str:
        return self.rungs[0]

    @property
    def true(self) -> str:
        return self.rungs[1]


def ladder(names: Sequence[str], most: int, known: Sequence[str]) -> Ladder:
    """Raises `UnknownName` for a rung nobody registered, `ProblemError` for other than two."""
    rungs = tuple(TABLE.get(name, name) for name in names)
    for name in rungs:
        if name not in known:
            raise UnknownName("rung", name, (*known, *TABLE), where="fidelity")
    if len(set(rungs)) != 2 or len(rungs) != 2:
        raise ProblemError(
            "a ladder has two different rungs", value=", ".join(names), where="fidelity",
            remedy="Write it like fidelity=[table,measured] promote=16.",
        )  # fmt: skip
    if not 1 <= most <= 256:
        raise ProblemError("'promote' is a number of plans from 1 to 256", value=most, where="search")
    return Ladder(rungs, most)


@dataclass(frozen=True)
class Promoted:
    """One plan on both rungs: metric -> value. ``front``: it is on the front by measured values."""

    id: str
    short_id: str
    cheap: Mapping[str, float]
    true: Mapping[str, float]
    violations: Mapping[str, float]
    front: bool

    @property
    def feasible(self) -> bool:
        return all(amount <= 0 for amount in self.violations.values())


@dataclass(frozen=True)
class Promotion:
    """What the true rung said of a front.

    Attributes:
        study: the log of the true rung; ``tradespace resume`` goes on with it and measures nothing twice.
        objectives: what both rungs know; ``dropped``: objectives that the true rung does not measure.
        disagreement: metric -> how far the rungs differ.
    """

    study: str
    rungs: tuple[str, str]
    objectives: tuple[str, ...]
    dropped: tuple[str, ...]
    units: Mapping[str, str]
    plans: tuple[Promoted, ...]
    disagreement: Mapping[str, Disagreement]
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The part ``promotion`` of a search's JSON document; SI units."""
        return {
            "study": self.study, "rungs": list(self.rungs), "objectives": list(self.objectives),
            "dropped": list(self.dropped), "interrupted": self.interrupted,
            "plans": [
                {"id": p.id, self.rungs[0]: dict(p.cheap), self.rungs[1]: dict(p.true),
                 "violations": dict(p.violations), "front": p.front}
                for p in self.plans
            ],
            "disagreement": {
                name: {"rank": d.rank, "tau": d.tau, "ratio": d.ratio, "spread": d.spread}
                for name, d in self.disagreement.items()
            },
        }  # fmt: skip


@dataclass
class _Seen:
    """Collects what the true rung was told, in order; resuming replays are not shown to observers."""

    told: Callable[[int], None]
    batches: list[Batch] = field(default_factory=list)

    def batch(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.told(batch.evaluations)


def true_problem(spec: StudySpec, steps: Ladder, registry: Registry) -> tuple[Problem, Setting, tuple[str, ...]]:
    """The problem of the true rung, its setting, and the objectives that it lacks.

    Raises:
        ProblemError: the evaluator declines the pair, or knows none of the objectives.
    """
    assert spec.setting is not None
    setting = replace(spec.setting, evaluator=steps.true, options={**spec.setting.options, **steps.options})
    evaluator = bind(setting, registry).evaluator
    known = [text for text in spec.objectives if _fits(evaluator, text)]
    if not known:
        names = ", ".join(metric.name for metric in evaluator.metrics)
        raise ProblemError(
            f"the rung '{steps.true}' knows one of the objectives at least",
            value=", ".join(spec.objectives), where="fidelity", remedy=f"It knows {names}.",
        )  # fmt: skip
    limits = [text for text in spec.constraints if _fits(evaluator, known[0], text)]
    dropped = tuple(text for text in (*spec.objectives, *spec.constraints) if text not in (*known, *limits))
    return Problem.of(evaluator, known, limits), setting, dropped


def _fits(evaluator: Any, objective: str, *constraints: str) -> bool:
    try:
        Problem.of(evaluator, [objective], constraints)
    except TradespaceError:
        return False
    return True


def promote_front(
    store: Store, name: str, steps: Ladder, registry: Registry, told: Callable[[int, int], None] = lambda i, n: None
) -> Promotion:
    """Measure a spread of a study's front.

    Args:
        name: a finished study whose problem is deterministic.
        told: how many of how many plans are done.

    Raises:
        TradespaceError: as `true_problem`; a study without a plan.
    """
    from tradespace.studies.resume import start

    study = store.load(name)
    problem, designs = recalled(study, registry)
    if not problem.deterministic:
        raise ProblemError("the first rung is computed, not measured", value=steps.cheap, where="fidelity")
    chosen = designs.take(spread(study.front.minimised, steps.most))
    true, setting, dropped = true_problem(study.spec, steps, registry)
    limits = tuple(c.text for c in true.constraints)
    spec = replace(
        study.spec, setting=setting, objectives=tuple(o.text for o in true.objectives), constraints=limits,
        optimizer=OPTIMIZER, optimizer_options={}, evaluations=len(chosen), seconds=None, stagnation=None, batch=1,
        start=tuple(chosen.show(i) for i in range(len(chosen))),
    )  # fmt: skip
    seen, log = _Seen(lambda done: told(done, len(chosen))), store.free_name(f"{name[:80]}-{steps.true}")
    front = start(store, log, spec, true, registry, observers=[seen])
    if not seen.batches:
        raise KeyboardInterrupt  # nothing was measured; the log says that the study was interrupted
    return _promotion(problem, true, seen.batches, set(front.ids), log, steps, dropped, front.interrupted)


def _promotion(
    cheap: Problem, true: Problem, batches: Sequence[Batch], front: set[str], log: str, steps: Ladder,
    dropped: tuple[str, ...], interrupted: bool,
) -> Promotion:  # fmt: skip
    designs = true.space.concat([batch.designs for batch in batches])
    below = cheap.price(cheap.repair(Designs(cheap.space, designs.columns)))
    names = [name for name in below.columns if batches and name in batches[0].scores.prices]
    above = {name: np.concatenate([batch.scores.prices[name] for batch in batches]) for name in names}
    feasible = np.concatenate([batch.scores.feasible for batch in batches])
    labels = true.violation_names(batches[0].scores.prices)
    plans = tuple(
        Promoted(
            identity,
            short,
            {name: float(below[name][i]) for name in names},
            {name: float(above[name][i]) for name in names},
            dict(zip(labels, np.concatenate([b.scores.violations for b in batches])[i].tolist(), strict=True)),
            identity in front,
        )
        for i, (identity, short) in enumerate(zip(designs.ids, short_ids(designs.ids), strict=True))
    )
    apart = compare({n: below[n][feasible] for n in names}, {n: above[n][feasible] for n in names})
    units = {metric.name: metric.unit for metric in true.evaluator.metrics}
    return Promotion(log, (steps.cheap, steps.true), true.names, dropped, units, plans, apart, interrupted)

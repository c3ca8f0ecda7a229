"""The plans of a study's front, run one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tradespace.designs import Designs
from tradespace.errors import StudyError
from tradespace.problem import Problem
from tradespace.search import knee
from tradespace.settings import bind
from tradespace.verify.local import local_plan
from tradespace.verify.measure import Protocol
from tradespace.verify.report import FrontVerification, verify, verify_front

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.search.indicators import Array
    from tradespace.studies.record import StudyRecord


def of_study(
    name: str,
    most: int,
    registry: Registry,
    storage: str | None,
    protocol: Protocol,
    told: Callable[[int, int], None] = lambda done, count: None,
) -> FrontVerification:
    """Run a spread of at most `most` plans of a front.

    Args:
        told: how many of how many plans are done, before each.

    Raises:
        StudyError: the study has no plan, or its evaluator was an object of a program.
        TradespaceError: a plan that cannot be run here, as `verify`; before anything is run.
    """
    from tradespace.reports.recall import open_store

    with open_store(storage) as store:
        study = store.load(name)
    problem, designs = recalled(study, registry)
    rows = spread(study.front.minimised, most)
    plans = [local_plan(problem.evaluator, designs.take([row]), registry) for row in rows]
    found = []
    for i, plan in enumerate(plans):
        told(i, len(plans))
        found.append(verify(plan, registry, protocol))
    return verify_front(name, found)


def recalled(study: StudyRecord, registry: Registry) -> tuple[Problem, Designs]:
    """The problem of a study and the designs of its front, in today's space; nothing is priced."""
    if study.spec.setting is None:
        raise StudyError(f"the evaluator of study '{study.name}' was an object of a program")
    if not len(study.front):
        raise StudyError(f"study '{study.name}' has no plan", value=study.summary.get("stopped", study.status))
    evaluator = bind(study.spec.setting, registry).evaluator
    problem = Problem.of(evaluator, study.spec.objectives, study.spec.constraints)
    shown = [study.front.designs.show(i) for i in range(len(study.front))]
    return problem, problem.space.concat([problem.space.parse(one, where=study.name) for one in shown])


def spread(minimised: Array, most: int) -> list[int]:
    """Rows of a front: the best of each objective, the knee, and those farthest from each other."""
    first = [int(column.argmin()) for column in minimised.T] + [knee.knee(minimised)]
    return sorted(knee.spread(minimised, first, most)[:most])

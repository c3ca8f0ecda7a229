"""From what a person types to a plan or a front: "plan.yaml", "STUDY:7f3a", "STUDY:knee", "STUDY"."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tradespace.baseline import bind_plan
from tradespace.designs import Designs, short_ids
from tradespace.errors import DesignError, StudyError, TradespaceError, UnknownName
from tradespace.plans import Plan
from tradespace.plugins import foreign
from tradespace.problem import Problem
from tradespace.settings import Bound, bind
from tradespace.studies.session import DATABASE, default_objectives

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.search import Front
    from tradespace.search.indicators import Box
    from tradespace.studies.log import Store
    from tradespace.studies.record import StudyRecord
    from tradespace.studies.spec import StudySpec

STORAGE = f"out/{DATABASE}"
"""The database that ``tradespace search`` writes where nothing else is said."""


@dataclass(frozen=True)
class Recalled:
    """A plan priced again, with the problem it belongs to. ``bound`` is None if its evaluator cannot be rebuilt."""

    plan: Plan
    designs: Designs
    problem: Problem | None
    bound: Bound | None


def find(ref: str, registry: Registry, storage: str | None = None) -> Recalled:
    """The plan that ``ref`` names: a plan file, or STUDY:ID with any unambiguous beginning of the id, "knee" or the
    name of an objective.

    Raises:
        TradespaceError: no such file, study or plan; an id that fits several plans; a plan that the target cannot run.
    """
    study, colon, chosen = ref.rpartition(":")
    if not colon or Path(ref).is_file() or Path(ref).suffix in (".yaml", ".yml"):
        return from_file(ref, registry)
    with open_store(storage) as store:
        return from_study(store.load(study), chosen, registry)


def from_file(path: str, registry: Registry, objectives: Sequence[str] = (), limits: Sequence[str] = ()) -> Recalled:
    """A plan file, priced again. Objectives default to what its evaluator proposes."""
    if not Path(path).is_file():
        raise TradespaceError(
            "a plan is a file or STUDY:ID",
            value=path,
            remedy="'tradespace search' writes one, and its table and report list the ids of the others.",
        )
    _, bound, designs = bind_plan(path, registry)
    problem = Problem.of(bound.evaluator, list(objectives) or default_objectives(bound.evaluator), limits)
    return Recalled(readable(problem, bound, designs), designs, problem, bound)


def from_study(study: StudyRecord, chosen: str, registry: Registry) -> Recalled:
    """A plan of a study's front."""
    row = _row(study, chosen)
    rows = study.front.take(slice(row, row + 1))
    if study.spec.setting is None:
        return Recalled(_logged(study, rows.ids[0], row), rows.designs, None, None)
    bound = bind(study.spec.setting, registry)
    problem = Problem.of(bound.evaluator, study.spec.objectives, study.spec.constraints)
    designs = _again(study, rows.designs, problem)
    return Recalled(readable(problem, bound, designs), designs, problem, bound)


def front_of_study(study: StudyRecord, registry: Registry) -> tuple[Front, Bound]:
    """The front of a study, its logged designs priced again.

    Raises:
        StudyError: the evaluator was an object of a program, or the designs no longer fit.
    """
    from tradespace.search.front import Front, HistoryPoint

    if study.spec.setting is None:
        raise StudyError(
            f"the evaluator of study '{study.name}' was an object of a program",
            remedy="Write its report there: tradespace.reports.html.write_report(summary, front, None, path).",
        )
    bound = bind(study.spec.setting, registry)
    problem = Problem.of(bound.evaluator, study.spec.objectives, study.spec.constraints)
    designs = _again(study, study.front.designs, problem)
    order = np.lexsort(problem.score(designs).objectives.T[::-1]) if len(designs) else np.empty(0, np.intp)
    designs = designs.take(order)
    scores = problem.score(designs)
    front = Front(
        problem=problem,
        designs=designs,
        scores=scores,
        values=problem.natural(scores.objectives),
        minimised=scores.objectives,
        optimizer=study.spec.optimizer,
        seed=study.spec.seed,
        evaluations=study.evaluations,
        seconds=study.seconds,
        history=tuple(HistoryPoint(b.evaluations, b.seconds, b.hypervolume) for b in study.batches),
        hypervolume=study.hypervolume,
        box=_box(study, problem, designs),
        stopped=str(study.summary.get("stopped") or study.status),
        note=str(study.summary.get("note") or ""),
        interrupted=study.status == "interrupted",
    )
    return front, bound


def command_of(spec: StudySpec) -> str:
    """The command line that asks for the same search."""
    words = ["tradespace", "search"]
    for group in ("workload", "target") if spec.setting is not None else ():
        reference = getattr(spec.setting, group)
        if isinstance(reference, Mapping):
            words.append(f"{group}={reference.get('extends')}")
            words += [f"{group}.{k}={v}" for k, v in reference.items() if k != "extends"]
        else:
            words.append(f"{group}={reference}")
    words += [f"optimizer={spec.optimizer}", *(f"optimizer.{k}={v}" for k, v in spec.optimizer_options.items())]
    if spec.setting is not None:
        words += [f"evaluator={spec.setting.evaluator}"] if spec.setting.evaluator else []
        words += [f"options.{k}={v}" for k, v in spec.setting.options.items()]
    words += [f"objectives={json.dumps(spec.objectives, ensure_ascii=False)}"]
    words += [f"constraints={json.dumps(spec.constraints, ensure_ascii=False)}"] if spec.constraints else []
    for key in ("evaluations", "seconds", "stagnation"):
        value = getattr(spec, key)
        words.append(f"budget.{key}={'null' if value is None else value}")
    words += [f"seed={spec.seed}", *([f"batch={spec.batch}"] if spec.batch else [])]
    return shlex.join([*words, *(word for plugin in spec.plugins for word in ("--plugin", plugin))])


def open_store(storage: str | None) -> Store:
    """The study database, which must be there."""
    from tradespace.studies.log import Store

    return Store.open(storage or STORAGE, create=False)


def readable(problem: Problem, bound: Bound, designs: Designs) -> Plan:
    """The plan of one design with the references that let it be priced again; its id and the violations of the
    user's constraints are the problem's."""
    from tradespace.search.front import FrontPoint

    scores = problem.score(designs)
    values = dict(zip(problem.names, problem.natural(scores.objectives)[0].tolist(), strict=True))
    values |= {k: float(scores.prices[k][0]) for k in scores.prices if k not in values}
    names = problem.violation_names(scores.prices)
    broken = dict(zip(names, scores.violations[0].tolist(), strict=True))
    with foreign(f"explain of {type(problem.evaluator).__name__}"):
        plan = FrontPoint(0, designs.ids[0], values, designs, problem, broken).plan
    setting = bound.setting
    return replace(
        plan,
        id=designs.ids[0],
        values=values,
        violations=broken,
        workload=setting.workload,
        target=setting.target,
        evaluator=bound.evaluator_name,
        options=dict(setting.options),
        substitutes=plan.substitutes or tuple(s.path for s in bound.target.substitutes),
    )


def _row(study: StudyRecord, chosen: str) -> int:
    """The row of the front that an id's beginning, "knee" or an objective names."""
    ids, names = study.front.ids, [o.name for o in study.problem.objectives]
    if not ids:
        raise StudyError(f"study '{study.name}' has no plan", value=study.summary.get("stopped", study.status))
    if chosen == "knee":
        from tradespace.search.knee import knee

        return knee(study.front.minimised)
    if chosen in names:
        return int(np.argmin(study.front.minimised[:, names.index(chosen)]))
    hits = [i for i, full in enumerate(ids) if chosen and full.startswith(chosen.lower())]
    if len(hits) == 1:
        return hits[0]
    if hits:
        shown = short_ids([ids[i] for i in hits], len(chosen) + 1)
        raise TradespaceError(
            "the beginning of a plan's id must fit one plan",
            value=chosen,
            where=f"study '{study.name}'",
            remedy=f"It fits {len(hits)}: {', '.join(shown[:8])}{', …' if len(hits) > 8 else ''}.",
        )
    known = [*short_ids(ids), "knee", *names]
    raise UnknownName("plan", chosen, known, where=f"study '{study.name}'")


def _again(study: StudyRecord, designs: Designs, problem: Problem) -> Designs:
    """Logged designs in the space of today's evaluator."""
    if [v.name for v in designs.space.variables] == [v.name for v in problem.space.variables] and len(designs) == 0:
        return problem.space.homogeneous().take(slice(0, 0))
    try:
        if designs.space == problem.space:
            return Designs(problem.space, designs.columns)
        return problem.space.concat([problem.space.parse(d.show(), where=study.name) for d in designs])
    except TradespaceError as error:
        raise DesignError(
            "the plans of a study must still fit its workload and target",
            value=str(error),
            where=f"study '{study.name}'",
            remedy="Workload or target have changed since; search again.",
        ) from None


def _box(study: StudyRecord, problem: Problem, designs: Designs) -> Box:
    """The box that hypervolumes of the study were measured in; found again for a study that was cut off."""
    from tradespace.search.indicators import Box, reference_box

    logged = study.summary.get("box")
    if isinstance(logged, dict) and {"ideal", "nadir"} <= logged.keys():
        ideal, nadir = np.asarray(logged["ideal"], np.float64), np.asarray(logged["nadir"], np.float64)
        if ideal.shape == nadir.shape == (len(problem.objectives),):
            return Box(ideal, nadir, str(logged.get("note", "")))
    return reference_box(problem, problem.score(designs))


def _logged(study: StudyRecord, identity: str, row: int) -> Plan:
    """A plan as the log has it, for an evaluator that only its program can rebuild."""
    names = [o.name for o in study.problem.objectives]
    values = dict(zip(names, study.front.values[row].tolist(), strict=True))
    values |= {k: float(v[row]) for k, v in study.front.metrics.items() if k not in values}
    units = {a.name: a.unit for a in (*study.problem.metrics, *study.problem.objectives)}
    broken = {k: float(v[row]) for k, v in study.front.violations.items()}
    return Plan(identity, study.front.designs.show(row), values, units, broken)

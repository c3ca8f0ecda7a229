"""Running a search into a study, and continuing one that was cut off.

Resuming replays: a fresh optimizer is told the logged batches and its state is what it was, because state depends on
tells alone and randomness on (seed, batch, role). Pure problems are asked and priced again and compared by digest;
measured ones take designs and prices from the log, nothing is measured twice. So a resumed study ends bit-identical to
one that was never cut off, unless a budget in seconds ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradespace.errors import StudyError
from tradespace.problem import Problem
from tradespace.search.contract import Observer, Optimizer, Recalled
from tradespace.studies.log import Store
from tradespace.studies.outline import Outline
from tradespace.studies.provenance import Provenance
from tradespace.studies.record import StudyRecord
from tradespace.studies.spec import StudySpec
from tradespace.studies.writer import StudyLog

if TYPE_CHECKING:
    from tradespace.designs import Space
    from tradespace.plugins import Registry
    from tradespace.reports.profile import Stopwatch
    from tradespace.search import Front


@dataclass
class LogReplay:
    """`tradespace.search.contract.Replay` over a study's log."""

    store: Store
    study: StudyRecord
    space: Space
    seconds: float

    def recall(self, index: int) -> Recalled | None:
        return self.store.recall(self.study, index, self.space)


def start(
    store: Store,
    name: str,
    spec: StudySpec,
    problem: Problem,
    registry: Registry,
    *,
    optimizer: Optimizer | None = None,
    observers: Sequence[Observer] = (),
    keep_designs: bool = False,
    watch: Stopwatch | None = None,
) -> Front:
    """Search from the beginning, logged as study ``name``. The log sees each batch before the other observers.
    ``optimizer`` is a fresh one of `build_optimizer`, where the caller has built it already; ``watch`` times the
    optimizer and the log.

    Raises:
        StudyError: the name is taken or malformed, or the database cannot be written.
    """
    if optimizer is None:
        optimizer = build_optimizer(spec, problem, registry)  # first: a wrong option must not leave a study behind
    provenance = Provenance.of(spec.setting, registry)
    log = store.create(name, spec, provenance, problem, keep_designs=keep_designs)
    if watch is not None:
        optimizer = watch.optimizer(optimizer)
    return _search(log, spec, problem, optimizer, observers, None, watch)


def resume(
    store: Store,
    name: str,
    registry: Registry,
    *,
    problem: Problem | None = None,
    observers: Sequence[Observer] = (),
    take_over: bool = False,
) -> Front:
    """Continue a study to the end of its budget.

    The budget itself is part of the study: optimizers may plan with it (a cooling schedule does), so a longer one is
    another search, not a continuation.

    Args:
        problem: needed for a study whose evaluator was an object of a program; else rebuilt from the spec.
        take_over: continue although the study's process may still run; that process then stops at its next batch.

    Raises:
        UnknownName: no such study.
        StudyError: the study is complete, is being written, rests on something that has changed (named), or its
            replay differs from what was logged.
    """
    study = store.load(name)
    check_resumable(study, registry, store.shown)
    problem = _problem(study, registry) if problem is None else problem
    if Outline.of(problem).to_json() != study.problem.to_json():
        changed = ["the problem has other metrics, objectives, constraints or decision variables"]
        raise _changed(study.name, changed, store.shown)
    optimizer = build_optimizer(study.spec, problem, registry)
    log, study = store.resume(study, take_over=take_over)
    replay = LogReplay(store, study, problem.space, study.seconds)
    return _search(log, study.spec, problem, optimizer, observers, replay)


def _search(
    log: StudyLog,
    spec: StudySpec,
    problem: Problem,
    optimizer: Optimizer,
    observers: Sequence[Observer],
    replay: LogReplay | None,
    watch: Stopwatch | None = None,
) -> Front:
    from tradespace.search.loop import run

    with log:
        front = run(
            problem,
            optimizer,
            spec.budget,
            spec.seed,
            name=spec.optimizer,
            batch=spec.batch,
            observers=[log if watch is None else watch.observer(log), *observers],
            replay=replay,
        )
        log.finish(front, "interrupted" if front.interrupted else "complete")
    return front


def build_optimizer(spec: StudySpec, problem: Problem, registry: Registry) -> Optimizer:
    """The optimizer of a study, before its first batch. Raises `TradespaceError` for options that do not fit."""
    from tradespace.search.api import make_optimizer, view_of
    from tradespace.search.start import checked_start, started, suggesting

    first = checked_start(problem.space, spec.start)
    view = suggesting(view_of(problem, spec.budget), first)
    return started(make_optimizer(spec.optimizer, spec.optimizer_options, view, registry), first)


def _problem(study: StudyRecord, registry: Registry) -> Problem:
    from tradespace.settings import bind

    if study.spec.setting is None:
        raise StudyError(
            f"the evaluator of study '{study.name}' was an object of a program",
            remedy="Resume it there: tradespace.studies.resume(store, name, registry, problem=...).",
        )
    evaluator = bind(study.spec.setting, registry).evaluator
    return Problem.of(evaluator, study.spec.objectives, study.spec.constraints)


def check_resumable(study: StudyRecord, registry: Registry, where: str) -> None:
    """Raises `StudyError` for a complete study, or one that rests on something that has changed. Binds nothing."""
    if study.status == "complete":
        raise StudyError(
            f"study '{study.name}' is complete: {study.summary.get('stopped', 'its budget is spent')}",
            where=where,
            remedy="Optimizers plan with their budget: for a longer one start a new study.",
        )
    changes = study.provenance.changes(Provenance.of(study.spec.setting, registry))
    if changes:
        raise _changed(study.name, changes, where)


def _changed(name: str, changes: Sequence[str], where: str) -> StudyError:
    shown = "; ".join(changes[:5]) + (f"; and {len(changes) - 5} more" if len(changes) > 5 else "")
    return StudyError(
        f"study '{name}' can only continue on what it rested on",
        value=shown,
        where=where,
        remedy="Restore it, or start a new study.",
    )

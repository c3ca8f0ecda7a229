"""The front of a study as an Optuna study in the same database: a view that can be made again at any time.

Everything is written in one transaction with a handful of bulk inserts. A trial is one plan: its objectives in natural
units and directions, a summary of at most eight parameters, and the whole design in one attribute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from tradespace.errors import StudyError
from tradespace.studies import optuna_tables as tables
from tradespace.studies.log import Store
from tradespace.studies.record import FrontRows, StudyRecord
from tradespace.studies.schema import writing
from tradespace.studies.summary import parameters

LIMIT = 200
_MARK = "tradespace"
_PLAN, _DESIGN = "plan", "design"
_NOTE = "dashboard:note_ver"
_NOTE_CHUNK = 2000  # the dashboard keeps notes in pieces of at most 2,045 characters


@dataclass(frozen=True)
class Published:
    """What publishing did: trials ``added``, ``removed`` (no longer on the front) and now there in ``total``."""

    study: str
    url: str
    added: int
    removed: int
    total: int


def publish(store: Store, name: str, *, limit: int = LIMIT) -> Published:
    """Make the Optuna study ``name`` show the front of our study ``name``; at most ``limit`` plans, evenly spread.

    Publishing again adds the plans that are new. Plans that have left the front since are removed, and so is the whole
    view where the objectives are not the same.

    Raises:
        UnknownName: no such study.
        StudyError: another program's Optuna study has this name, or the database cannot be written.
    """
    study = store.load(name)
    tables.ensure(store.engine)
    with writing(store.engine) as connection:
        view = _View(connection, study)
        known = view.open()
        ids = np.asarray(study.front.ids, dtype=object)
        if not set(known) <= set(ids):
            view.clear(list(known.values()))
            removed, known = len(known), {}
        else:
            removed = 0
        old = np.isin(ids, list(known)) if len(known) else np.zeros(len(ids), bool)
        chosen = spread(study.front.minimised, limit, old)
        new = chosen[~old[chosen]]
        view.add(study.front.take(new), [str(i) for i in ids[new]])
        view.describe(len(known) + len(new))
    return Published(name, store.shown, len(new), removed, len(known) + len(new))


def spread(minimised: NDArray[np.float64], limit: int, kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows of at most ``limit`` points: those ``kept``, the extremes, then always the one farthest from all chosen
    (Gonzalez 1985, farthest-first) in objectives scaled to their ranges."""
    if len(minimised) <= limit:
        return np.arange(len(minimised))
    low, span = minimised.min(axis=0), np.ptp(minimised, axis=0)
    points = (minimised - low) / np.where(span > 0, span, 1.0)
    chosen = list(dict.fromkeys([*np.flatnonzero(kept).tolist(), *minimised.argmin(axis=0).tolist()]))[:limit]
    distance = np.full(len(points), np.inf)
    for row in chosen:
        distance = np.minimum(distance, ((points - points[row]) ** 2).sum(axis=1))
    while len(chosen) < limit:
        row = int(np.argmax(distance))
        chosen.append(row)
        distance = np.minimum(distance, ((points - points[row]) ** 2).sum(axis=1))
    return np.sort(np.asarray(chosen, np.intp))


class _View:
    """One Optuna study being written. All within the caller's transaction."""

    def __init__(self, connection: sa.Connection, study: StudyRecord) -> None:
        self.connection, self.study = connection, study
        self.key = 0
        self.names: list[str] | None = None  # summary parameters that earlier trials have
        self.numbered = 0

    def open(self) -> dict[str, int]:
        """Find or make the study; plan id -> trial of what was published before."""
        run = self.connection.execute
        key = run(sa.select(tables.studies.c.study_id).where(tables.studies.c.study_name == self.study.name)).scalar()
        if key is None:
            self._make()
            return {}
        self.key = int(key)
        mark = self._attributes(tables.study_user).get(_MARK)
        if not isinstance(mark, dict):
            raise StudyError(
                f"the database has an Optuna study '{self.study.name}' of another program",
                remedy="Give the tradespace study another name, or rename the other one.",
            )
        if mark.get("objectives") != self._axes():
            trials = sa.select(tables.trials.c.trial_id).where(tables.trials.c.study_id == self.key)
            self.clear(list(self.connection.scalars(trials)))
            for table in (tables.directions, tables.study_user, tables.study_system):
                run(table.delete().where(table.c.study_id == self.key))
            run(tables.studies.delete().where(tables.studies.c.study_id == self.key))
            self._make()
            return {}
        self.names = mark.get("parameters")
        return self._published()

    def _make(self) -> None:
        row = tables.studies.insert().values(study_name=self.study.name).returning(tables.studies.c.study_id)
        self.key = int(self.connection.execute(row).scalar_one())
        ways = {"min": "MINIMIZE", "max": "MAXIMIZE"}
        rows = [
            {"study_id": self.key, "objective": i, "direction": ways[o.direction]}
            for i, o in enumerate(self.study.problem.objectives)
        ]
        self.connection.execute(tables.directions.insert(), rows)

    def _published(self) -> dict[str, int]:
        own, trials = tables.trial_user, tables.trials
        query = (
            sa.select(own.c.value_json, trials.c.trial_id)
            .join(trials, own.c.trial_id == trials.c.trial_id)
            .where(trials.c.study_id == self.key, own.c.key == _PLAN)
        )
        found = {json.loads(text): int(trial) for text, trial in self.connection.execute(query)}
        top = sa.select(sa.func.max(trials.c.number)).where(trials.c.study_id == self.key)
        last = self.connection.execute(top).scalar()
        self.numbered = 0 if last is None else int(last) + 1
        return found

    def clear(self, trials: Sequence[int]) -> None:
        """Remove trials; if none is left, numbers start at 0 again."""
        for table in (*tables.PER_TRIAL, tables.trials):
            for start in range(0, len(trials), 500):  # SQLite bounds the number of parameters
                self.connection.execute(table.delete().where(table.c.trial_id.in_(trials[start : start + 500])))
        top = sa.select(sa.func.max(tables.trials.c.number)).where(tables.trials.c.study_id == self.key)
        last = self.connection.execute(top).scalar()
        self.numbered, self.names = 0 if last is None else int(last) + 1, None

    def add(self, front: FrontRows, ids: Sequence[str]) -> None:
        """One complete trial a plan, in bulk."""
        summary = parameters(front.designs, self.names)
        self.names = [p.name for p in summary] if self.names is None else self.names
        if not len(front):
            return
        now = datetime.now(UTC).replace(tzinfo=None)
        base = {"study_id": self.key, "state": "COMPLETE", "datetime_start": now, "datetime_complete": now}
        rows = [{**base, "number": self.numbered + i} for i in range(len(front))]
        insert = tables.trials.insert().returning(tables.trials.c.trial_id, sort_by_parameter_order=True)
        trials = [int(t) for t in self.connection.scalars(insert, rows)]
        self._bulk(tables.values, _values(trials, front))
        self._bulk(
            tables.params,
            [
                {"trial_id": t, "param_name": p.name, "param_value": v, "distribution_json": p.distribution}
                for p in summary
                for t, v in zip(trials, p.values.tolist(), strict=True)
            ],
        )
        shown = [json.dumps(front.designs.show(i), default=str) for i in range(len(front))]
        plans = [json.dumps(plan) for plan in ids]
        self._bulk(tables.trial_user, [*_keyed(trials, _PLAN, plans), *_keyed(trials, _DESIGN, shown)])
        if front.violations:
            columns = np.stack(list(front.violations.values()), axis=1).tolist()
            self._bulk(tables.trial_system, _keyed(trials, "constraints", [json.dumps(row) for row in columns]))

    def describe(self, trials: int) -> None:
        """Names, units, and a note for the dashboard."""
        study, problem = self.study, self.study.problem
        setting = study.spec.setting
        mark = {"objectives": self._axes(), "parameters": self.names}
        user: dict[str, Any] = {
            _MARK: mark,
            "optimizer": study.spec.optimizer,
            "seed": study.spec.seed,
            "evaluations": study.evaluations,
            "hypervolume": study.hypervolume,
            "constraints": list(study.front.violations) or list(problem.constraints),
        }
        if setting is not None:
            user |= {"workload": setting.workload, "target": setting.target}
        self._put(tables.study_user, user)
        names = [f"{o.name} ({o.unit})" if o.unit not in ("", "1") else o.name for o in problem.objectives]
        system: dict[str, Any] = {"study:metric_names": names}
        if self._attributes(tables.study_system).get(_NOTE, 1) == 1:  # the dashboard counts up when a person edits it
            note = _note(study, trials)
            chunks = [note[i : i + _NOTE_CHUNK] for i in range(0, len(note), _NOTE_CHUNK)]
            system |= {_NOTE: 1, **{f"dashboard:note_str:{i}": chunk for i, chunk in enumerate(chunks)}}
        self._put(tables.study_system, system)

    def _axes(self) -> list[list[str]]:
        return [[o.name, o.unit, o.direction] for o in self.study.problem.objectives]

    def _attributes(self, table: sa.Table) -> dict[str, Any]:
        query = sa.select(table.c.key, table.c.value_json).where(table.c.study_id == self.key)
        return {key: json.loads(text) for key, text in self.connection.execute(query)}

    def _put(self, table: sa.Table, wanted: Mapping[str, Any]) -> None:
        """Set attributes, leaving those of other programs alone."""
        self.connection.execute(table.delete().where(table.c.study_id == self.key, table.c.key.in_(list(wanted))))
        rows = [{"study_id": self.key, "key": k, "value_json": json.dumps(v, default=str)} for k, v in wanted.items()]
        self._bulk(table, rows)

    def _bulk(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self.connection.execute(table.insert(), list(rows))


def _values(trials: Sequence[int], front: FrontRows) -> list[dict[str, Any]]:
    return [
        {"trial_id": t, "objective": i, "value": v, "value_type": "FINITE"}
        for t, row in zip(trials, front.values.tolist(), strict=True)
        for i, v in enumerate(row)
    ]


def _keyed(trials: Sequence[int], key: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"trial_id": t, "key": key, "value_json": text} for t, text in zip(trials, texts, strict=True)]


def _note(study: StudyRecord, trials: int) -> str:
    setting = study.spec.setting
    what = f"**{setting.workload}** on **{setting.target}**" if setting is not None else f"**{study.name}**"
    lines = [
        f"{what}, {study.spec.optimizer}, seed {study.spec.seed}: {study.evaluations} evaluations, "
        f"hypervolume {study.hypervolume:.4f}, status {study.status}.",
        "",
        f"{trials} of the {len(study.front)} plans on the front. Each trial is one plan: "
        f"`tradespace explain {study.name}:PLAN` with the first digits of its attribute `plan`.",
    ]
    return "\n".join(lines)

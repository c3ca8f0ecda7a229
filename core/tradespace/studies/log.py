"""A database of studies: making them, reading them back, handing out the right to append."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from tradespace.errors import StudyError, UnknownName
from tradespace.search.contract import Recalled
from tradespace.studies import jsontext, record, schema, stamp
from tradespace.studies.arrays import unpack
from tradespace.studies.outline import Outline
from tradespace.studies.provenance import Provenance
from tradespace.studies.record import BatchRow, StudyRecord
from tradespace.studies.spec import StudySpec, check_name
from tradespace.studies.writer import StudyLog, taken

if TYPE_CHECKING:
    from tradespace.designs import Space
    from tradespace.problem import Problem

_STUDIES, _BATCHES = schema.studies_table, schema.batches_table
_ENDED = ("complete", "interrupted", "failed")


@dataclass(frozen=True)
class Listed:
    """A study in short. ``evaluations``, ``seconds`` and ``hypervolume`` are those of its last batch."""

    name: str
    status: str
    created: str
    spec: StudySpec
    evaluations: int
    seconds: float
    hypervolume: float


class Store:
    """A database of studies. ``close`` it, or use it in a ``with``."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str | Path, *, create: bool = True, wait: float = 20.0) -> Store:
        """Open a SQLite file (path or ``sqlite:///path``) or ``postgresql://...``; makes the tables if ``create``.

        Raises:
            StudyError: unwritable folder, not a database, another version, missing (with ``create=False``), locked
                for longer than ``wait`` seconds.
        """
        return cls(schema.open_engine(url, create=create, wait=wait))

    @property
    def url(self) -> str:
        """The address to give to other programs, such as the dashboard (with a password, if it has one)."""
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def shown(self) -> str:
        """The address for people: a path, or the URL without a password."""
        return schema.shown(self.engine.url)

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def names(self) -> tuple[str, ...]:
        """Names of the studies, oldest first."""
        with schema.reading(self.engine) as connection:
            return tuple(connection.scalars(sa.select(_STUDIES.c.name).order_by(_STUDIES.c.id)))

    def list(self) -> tuple[Listed, ...]:
        """Every study in short, oldest first."""
        last = sa.select(_BATCHES.c.study, sa.func.max(_BATCHES.c.number).label("number")).group_by(_BATCHES.c.study)
        ends = last.subquery()
        end = _BATCHES.c.number == ends.c.number
        query = (
            sa.select(_STUDIES, _BATCHES.c.evaluations, _BATCHES.c.seconds, _BATCHES.c.hypervolume)
            .outerjoin(ends, ends.c.study == _STUDIES.c.id)
            .outerjoin(_BATCHES, (_BATCHES.c.study == _STUDIES.c.id) & end)
            .order_by(_STUDIES.c.id)
        )
        with schema.reading(self.engine) as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(
            Listed(
                row["name"],
                _status(row),
                row["created"],
                StudySpec.from_json(row["spec"], f"{self.shown}: {row['name']}"),
                row["evaluations"] or 0,
                row["seconds"] or 0.0,
                row["hypervolume"] or 0.0,
            )
            for row in rows
        )

    def matching(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Names of the studies that names or patterns (``*``, ``?``) stand for, each once. Raises `UnknownName`."""
        known = self.names()
        found: dict[str, None] = {}
        for pattern in patterns:
            hits = [n for n in known if n == pattern] or [n for n in known if fnmatchcase(n, pattern)]
            if not hits and pattern != "*":
                raise UnknownName("study", pattern, known, where=self.shown)
            found |= dict.fromkeys(hits)
        return tuple(found)

    def free_name(self, name: str) -> str:
        """``name`` if no study has it, else ``name-2``, ``name-3``, ..."""
        taken = set(self.names())
        numbers = (f"{check_name(name)[:90]}-{i}" for i in range(2, len(taken) + 3))
        return next(n for n in (name, *numbers) if n not in taken)

    def create(
        self, name: str, spec: StudySpec, provenance: Provenance, problem: Problem, *, keep_designs: bool = False
    ) -> StudyLog:
        """A new study, claimed by this process. Designs and prices are kept for measured problems, or when asked.

        Raises:
            StudyError: the name is taken or malformed, or the database cannot be written.
        """
        outline, claim = Outline.of(problem), stamp.claim()
        keeps = keep_designs or not problem.deterministic
        row = {
            "name": check_name(name),
            "status": "running",
            "deterministic": problem.deterministic,
            "keeps_designs": keeps,
            "writer": claim,
            "created": stamp.now(),
            "spec": spec.to_json(),
            "provenance": provenance.to_json(),
            "problem": outline.to_json(),
        }
        try:
            with schema.writing(self.engine) as connection:
                key = connection.execute(_STUDIES.insert().values(row).returning(_STUDIES.c.id)).scalar_one()
        except sa.exc.IntegrityError:
            raise StudyError(
                f"there is a study '{name}' already",
                where=self.shown,
                remedy=f"Continue it with 'tradespace resume {name}', or choose another name.",
            ) from None
        return StudyLog(self.engine, name, int(key), claim, keeps)

    def load(self, name: str) -> StudyRecord:
        """A study with its batches and its front. Raises `UnknownName`, or `StudyError` for a damaged one."""
        where = f"{self.shown}: {name}"
        with schema.reading(self.engine) as connection:
            row = self._row(connection, name)
            columns = [c for c in _BATCHES.c if c.name not in ("study", "rows")]
            batches = connection.execute(
                sa.select(*columns).where(_BATCHES.c.study == row["id"]).order_by(_BATCHES.c.number)
            ).all()
        try:
            return _decoded(row, batches, where)
        except (KeyError, ValueError, IndexError, TypeError, OverflowError) as error:
            raise StudyError(
                "a study in the database must be readable",
                value=f"{type(error).__name__}: {error}",
                where=where,
                remedy="The database is damaged: use a copy.",
            ) from None

    def resume(self, study: StudyRecord, *, take_over: bool = False) -> tuple[StudyLog, StudyRecord]:
        """Claim a study to append to it, and read it again: from here on nobody else can have added to it.

        Args:
            study: as it was loaded.
            take_over: even if its process may still run (it then stops at its next batch).

        Raises:
            StudyError: the study is being written, or somebody has claimed it since ``study`` was loaded.
        """
        if study.status == "running" and not take_over:
            raise StudyError(
                f"study '{study.name}' is being written by {stamp.process(study.writer or '')}",
                where=self.shown,
                remedy="Wait for it, or use --take-over if that process is gone.",
            )
        claim = stamp.claim()
        with schema.writing(self.engine) as connection:
            row = self._row(connection, study.name)
            if row["writer"] != study.writer:
                raise taken(study.name, row["writer"], self.shown)
            change = sa.update(_STUDIES).where(_STUDIES.c.id == row["id"])
            connection.execute(change.values(status="running", writer=claim, finished=None, summary=None, front=None))
        now = self.load(study.name)
        log = StudyLog(self.engine, now.name, int(row["id"]), claim, now.keeps_designs)
        log.next = len(now.batches)
        log.held = np.sort(now.front.designs.digest)
        return log, now

    def recall(self, study: StudyRecord, number: int, space: Space) -> Recalled | None:
        """Batch ``number`` of a study as the search loop wants it back; None past its end."""
        from tradespace.designs import Designs
        from tradespace.problem import Prices

        if number >= len(study.batches):
            return None
        row = study.batches[number]
        if not study.keeps_designs:
            return Recalled(row.count, row.designs_digest, row.prices_digest)
        where = f"{self.shown}: {study.name}, batch {number}"
        with schema.reading(self.engine) as connection:
            key = self._row(connection, study.name)["id"]
            query = sa.select(_BATCHES.c.rows).where(_BATCHES.c.study == key, _BATCHES.c.number == number)
            arrays = unpack(connection.execute(query).scalar_one(), where)
        own = record.decoded(study.problem, arrays, where)
        designs = Designs(space, own.columns)
        prices = Prices(record.under(arrays, "m:"), record.under(arrays, "x:"))
        return Recalled(row.count, row.designs_digest, row.prices_digest, designs, prices)

    def _row(self, connection: sa.Connection, name: str) -> Mapping[str, Any]:
        row = connection.execute(sa.select(_STUDIES).where(_STUDIES.c.name == name)).mappings().first()
        if row is None:
            known = connection.scalars(sa.select(_STUDIES.c.name))
            raise UnknownName("study", name, known, where=self.shown)
        return dict(row)


def _decoded(row: Mapping[str, Any], batches: Sequence[Any], where: str) -> StudyRecord:
    problem = Outline.from_json(row["problem"], where)
    summary = jsontext.load(row["summary"], where) if row["summary"] else {}
    if not isinstance(summary, dict):
        raise TypeError("the summary is a mapping")
    if row["front"] is not None:
        front = record.unpack_front(problem, row["front"], where)
    else:
        front = record.replay_changes(problem, [b.change for b in batches if b.change is not None], where)
    return StudyRecord(
        name=row["name"],
        status=_status(row),
        deterministic=row["deterministic"],
        keeps_designs=row["keeps_designs"],
        created=row["created"],
        finished=row["finished"],
        writer=row["writer"],
        spec=StudySpec.from_json(row["spec"], where),
        provenance=Provenance.from_json(row["provenance"], where),
        problem=problem,
        batches=tuple(BatchRow.of(b) for b in batches),
        front=front,
        summary=summary,
    )


def _status(row: Mapping[Any, Any]) -> str:
    """As stored, but a study whose process is gone without a word was interrupted."""
    if row["status"] == "running" and not stamp.alive(row["writer"]):
        return "interrupted"
    return str(row["status"])

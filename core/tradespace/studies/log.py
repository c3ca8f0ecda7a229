"""The study log: one append-only table of told batches, written one transaction a batch.

`Store` is a database of studies; `StudyLog` is the observer that appends to one of them. A process may append while
it holds the study's claim (`tradespace.studies.stamp`): whoever took it last writes, the other stops at its next batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from tradespace.errors import StudyError, UnknownName
from tradespace.search.contract import Batch, Recalled, digest_designs, digest_prices
from tradespace.studies import jsontext, record, schema, stamp
from tradespace.studies.arrays import pack, unpack
from tradespace.studies.outline import Outline
from tradespace.studies.provenance import Provenance
from tradespace.studies.record import BatchRow, StudyRecord
from tradespace.studies.spec import StudySpec, check_name

if TYPE_CHECKING:
    from tradespace.designs import Space
    from tradespace.problem import Prices, Problem
    from tradespace.search import Front

_STUDIES, _BATCHES = schema.studies_table, schema.batches_table
_ENDED = ("complete", "interrupted", "failed")


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
        return StudyLog(self, name, int(key), claim, keeps)

    def load(self, name: str) -> StudyRecord:
        """A study with its batches and its front. Raises `UnknownName`, or `StudyError` for a damaged one."""
        where = f"{self.shown}: {name}"
        with schema.reading(self.engine) as connection:
            row = self._row(connection, name)
            columns = [c for c in _BATCHES.c if c.name not in ("study", "rows")]
            batches = connection.execute(
                sa.select(*columns).where(_BATCHES.c.study == row["id"]).order_by(_BATCHES.c.number)
            ).all()
        problem = Outline.from_json(row["problem"], where)
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
            batches=tuple(BatchRow(*tuple(b)[:7]) for b in batches),
            front=front,
            summary=jsontext.load(row["summary"], where) if row["summary"] else {},
        )

    def resume(self, study: StudyRecord, *, take_over: bool = False) -> StudyLog:
        """Claim a study to append to it. ``take_over``: even if its process may still run (it then stops).

        Raises:
            StudyError: the study is being written, or was written since ``study`` was loaded.
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
                raise _taken(study.name, row["writer"], self.shown)
            change = sa.update(_STUDIES).where(_STUDIES.c.id == row["id"])
            connection.execute(change.values(status="running", writer=claim, finished=None, summary=None, front=None))
        log = StudyLog(self, study.name, int(row["id"]), claim, study.keeps_designs)
        log.next = len(study.batches)
        log.held = study.front.designs.digest
        return log

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


class StudyLog:
    """Appends the batches of one search to its study. In a ``with``, a search that fails or is interrupted is marked.

    Batches that are already in the log (a resumed search tells them again) are passed over.
    """

    def __init__(self, store: Store, name: str, key: int, claim: str, keeps_designs: bool) -> None:
        self.store, self.name, self.key, self.claim, self.keeps_designs = store, name, key, claim, keeps_designs
        self.next = 0
        self.held: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.done = False
        guard = sa.exists().where(_STUDIES.c.id == key, _STUDIES.c.writer == claim)
        binds = sa.select(*(sa.bindparam(c.name, type_=c.type) for c in _BATCHES.c)).where(guard)
        self._insert = _BATCHES.insert().from_select([c.name for c in _BATCHES.c], binds)
        self._connection: sa.Connection | None = None

    def batch(self, batch: Batch) -> None:
        """Append one told batch in one transaction. Raises `StudyError`; then nothing of the batch is kept."""
        if batch.index < self.next:
            return
        if batch.index > self.next:
            raise StudyError("batches are logged one after the other", value=batch.index, where=self.name)
        digests = batch.front.digest
        values = {
            "study": self.key,
            "number": batch.index,
            "count": len(batch.designs),
            "designs_digest": digest_designs(batch.designs),
            "prices_digest": digest_prices(batch.scores.prices),
            "evaluations": batch.evaluations,
            "seconds": batch.seconds,
            "hypervolume": batch.hypervolume,
            "change": self._change(batch, digests),
            "rows": _pack_rows(batch) if self.keeps_designs else None,
        }
        self._append(values)
        self.next, self.held = self.next + 1, digests

    def finish(self, front: Front | None, status: str, error: str | None = None) -> None:
        """Close the study as complete, interrupted or failed, with its front and what a report needs of it."""
        if status not in _ENDED:
            raise StudyError(f"a study ends {', '.join(_ENDED)}", value=status, where=self.name)
        values: dict[str, Any] = {"status": status, "finished": stamp.now(), "writer": None}
        values["summary"] = jsontext.dump(_summary(front, error), self.name)
        values["front"] = record.pack_front(front) if front is not None else None
        self._close()
        with schema.writing(self.store.engine) as connection:
            change = sa.update(_STUDIES).where(_STUDIES.c.id == self.key, _STUDIES.c.writer == self.claim)
            if connection.execute(change.values(values)).rowcount != 1:
                raise self._lost()
        self.done = True

    def __enter__(self) -> StudyLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self.done and error is not None:
            try:
                status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
                self.finish(None, status, f"{type(error).__name__}: {error}"[:2000])
            except StudyError:  # a full disk ended the search and also keeps this note away: the first error counts
                pass
        self._close()

    def _append(self, values: Mapping[str, Any]) -> None:
        engine = self.store.engine
        with schema.faults(engine):
            if self._connection is None:
                self._connection = engine.connect().execution_options(**{schema.WRITE: True})
            try:
                with self._connection.begin():
                    added = self._connection.execute(self._insert, values).rowcount
            except sa.exc.IntegrityError:
                raise self._lost() from None
        if added != 1:
            raise self._lost()

    def _change(self, batch: Batch, digests: NDArray[np.uint64]) -> bytes | None:
        if np.array_equal(digests, self.held):
            return None
        entered = ~np.isin(digests, self.held)
        left = self.held[~np.isin(self.held, digests)]
        return record.front_change(batch.front, batch.front_objectives, entered, left)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lost(self) -> StudyError:
        with schema.reading(self.store.engine) as connection:
            query = sa.select(_STUDIES.c.writer).where(_STUDIES.c.id == self.key)
            return _taken(self.name, connection.execute(query).scalar(), self.store.shown)


def _taken(name: str, writer: str | None, where: str) -> StudyError:
    return StudyError(
        f"study '{name}' is written by one process at a time",
        value=stamp.process(writer) if writer else "another process ended it",
        where=where,
        remedy="Nothing of this process was mixed in; its last batch is not kept.",
    )


def _status(row: Mapping[str, Any]) -> str:
    """As stored, but a study whose process is gone without a word was interrupted."""
    if row["status"] == "running" and not stamp.alive(row["writer"]):
        return "interrupted"
    return str(row["status"])


def _pack_rows(batch: Batch) -> bytes:
    prices: Prices = batch.scores.prices
    return pack(
        {
            **{f"d:{k}": v for k, v in batch.designs.columns.items()},
            **{f"m:{k}": v for k, v in prices.columns.items()},
            **{f"x:{k}": v for k, v in prices.violations.items()},
        }
    )


def _summary(front: Front | None, error: str | None) -> dict[str, Any]:
    if front is None:
        return {"error": error}
    import dataclasses

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, Mapping):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return value if value is None or isinstance(value, bool | int | float | str) else str(value)

    keys = ("stopped", "interrupted", "evaluations", "seconds", "hypervolume", "box", "gap")
    found = {key: plain(getattr(front, key)) for key in keys}
    if front.diagnosis is not None:
        found["diagnosis"] = str(front.diagnosis)[:20_000]
    return {**found, "error": error} if error else found

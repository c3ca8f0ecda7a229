"""Appending to a study: one append-only table of told batches, written one transaction a batch.

A process may append while it holds the study's claim (`tradespace.studies.stamp`): whoever took it last writes, the
other one stops at its next batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from tradespace.errors import StudyError
from tradespace.search.contract import Batch, digest_designs, digest_prices
from tradespace.studies import jsontext, record, schema, stamp
from tradespace.studies.arrays import pack

if TYPE_CHECKING:
    from tradespace.search import Front

_STUDIES, _BATCHES = schema.studies_table, schema.batches_table
_ENDED = ("complete", "interrupted", "failed")


class StudyLog:
    """Appends the batches of one search to its study. In a ``with``, a search that fails or is interrupted is marked.

    Batches that are already in the log (a resumed search tells them again) are passed over.
    """

    def __init__(self, engine: sa.Engine, name: str, key: int, claim: str, keeps_designs: bool) -> None:
        self.engine, self.name, self.key, self.claim, self.keeps_designs = engine, name, key, claim, keeps_designs
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
        order = np.argsort(digests, kind="stable")
        values = {
            "study": self.key,
            "number": batch.index,
            "count": len(batch.designs),
            "designs_digest": digest_designs(batch.designs),
            "prices_digest": digest_prices(batch.scores.prices),
            "evaluations": batch.evaluations,
            "seconds": batch.seconds,
            "hypervolume": batch.hypervolume,
            "change": self._change(batch, digests, order),
            "rows": _pack_rows(batch) if self.keeps_designs else None,
        }
        self._append(values)
        self.next, self.held = self.next + 1, digests[order]

    def finish(self, front: Front | None, status: str, error: str | None = None) -> None:
        """Close the study as complete, interrupted or failed, with its front and what a report needs of it."""
        if status not in _ENDED:
            raise StudyError(f"a study ends {', '.join(_ENDED)}", value=status, where=self.name)
        values: dict[str, Any] = {"status": status, "finished": stamp.now(), "writer": None}
        values["summary"] = jsontext.dump(_summary(front, error), self.name)
        # interrupted before its first batch, or while it replayed, a search knows less than its log
        whole = front is not None and len(front.history) >= max(self.next, 1)
        values["front"] = record.pack_front(front) if front is not None and whole else None
        self._close()
        with schema.writing(self.engine) as connection:
            change = sa.update(_STUDIES).where(_STUDIES.c.id == self.key, _STUDIES.c.writer == self.claim)
            if connection.execute(change.values(values)).rowcount != 1:
                raise self._lost()
        self.done = True

    def __enter__(self) -> StudyLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self.done and error is not None:
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            with contextlib.suppress(StudyError):  # a full disk keeps this note away too: the first error counts
                self.finish(None, status, f"{type(error).__name__}: {error}"[:2000])
        self._close()

    def _append(self, values: Mapping[str, Any]) -> None:
        with schema.faults(self.engine):
            if self._connection is None:
                self._connection = self.engine.connect().execution_options(**{schema.WRITE: True})
            try:
                with self._connection.begin():
                    added = self._connection.execute(self._insert, values).rowcount
            except sa.exc.IntegrityError:
                raise self._lost() from None
        if added != 1:
            raise self._lost()

    def _change(self, batch: Batch, digests: NDArray[np.uint64], order: NDArray[np.intp]) -> bytes | None:
        """What entered and left the front. ``digests[order]`` is sorted, as is ``held``: membership by bisection."""
        current = digests[order]
        if np.array_equal(current, self.held):
            return None
        entered = np.zeros(len(digests), bool)
        entered[order] = ~_within(current, self.held)
        return record.front_change(
            batch.front, batch.front_objectives, entered, self.held[~_within(self.held, current)]
        )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lost(self) -> StudyError:
        with schema.reading(self.engine) as connection:
            query = sa.select(_STUDIES.c.writer).where(_STUDIES.c.id == self.key)
            return taken(self.name, connection.execute(query).scalar(), schema.shown(self.engine.url))


def _within(values: NDArray[np.uint64], held: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of ``values`` are in ``held``; both sorted."""
    if not len(held):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(held, values), len(held) - 1)
    return np.asarray(held[at] == values)


def taken(name: str, writer: str | None, where: str) -> StudyError:
    return StudyError(
        f"study '{name}' is written by one process at a time",
        value=stamp.process(writer) if writer else "another process ended it",
        where=where,
        remedy="Nothing of this process was mixed in; its last batch is not kept.",
    )


def _pack_rows(batch: Batch) -> bytes:
    prices = batch.scores.prices
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
    keys = ("stopped", "note", "interrupted", "evaluations", "seconds", "hypervolume", "box")
    found = {key: _plain(getattr(front, key)) for key in keys}
    if "gap" in vars(front):  # certified only when somebody asks, and that takes longer than all of the log
        found["gap"] = _plain(front.gap)
    if front.diagnosis is not None:
        found["diagnosis"] = front.diagnosis.text
    return {**found, "error": error} if error else found


def _plain(value: Any) -> Any:
    """Dataclasses and arrays as mappings and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value

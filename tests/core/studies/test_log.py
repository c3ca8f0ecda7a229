from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from tradespace.errors import PluginError, StudyError, UnknownName
from tradespace.plugins import Registry
from tradespace.search.contract import digest_designs, digest_prices
from tradespace.studies import Provenance, Store, StudySpec, start
from tradespace.studies.arrays import pack

EMPTY = Provenance({}, {}, {})


def rows_of(designs: Any) -> set[str]:
    return set(designs.ids)


class Keeper:
    """Keeps the batches it is told of."""

    def __init__(self) -> None:
        self.batches: list[Any] = []

    def batch(self, batch: Any) -> None:
        self.batches.append(batch)


def test_a_search_is_read_back_as_it_was(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    keeper = Keeper()
    front = start(store, "a", spec, chain.problem(), registry, observers=[keeper])
    study = store.load("a")
    assert (study.status, study.spec, study.evaluations) == ("complete", spec, 600)
    assert [b.count for b in study.batches] == [30] * 20
    assert [b.designs_digest for b in study.batches] == [digest_designs(b.designs) for b in keeper.batches]
    assert [b.prices_digest for b in study.batches] == [digest_prices(b.scores.prices) for b in keeper.batches]
    assert study.history[:, 2].tolist() == [p.hypervolume for p in front.history]
    assert study.front.ids == front.ids
    np.testing.assert_array_equal(study.front.values, front.values)
    np.testing.assert_array_equal(study.front.metrics["memory.gpu"], front.scores.prices["memory.gpu"])
    assert list(study.front.violations) == ["gpu memory", "latency<=80 s"]
    assert all((v <= 0).all() for v in study.front.violations.values())
    assert [front.designs.show(i) for i in range(len(front))] == [
        study.front.designs.show(i) for i in range(len(front))
    ]
    assert study.summary["stopped"] == front.stopped


def test_the_front_of_every_moment_can_be_rebuilt(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    """Dropping the last batches and the final front, as a kill would, leaves the front of the batch before."""
    keeper = Keeper()
    start(store, "a", spec, chain.problem(), registry, observers=[keeper])
    with store.engine.begin() as connection:
        connection.execute(sa.text("update ts_studies set front = null, status = 'running', writer = null"))
    for last in reversed(range(20)):
        told, study = keeper.batches[last], store.load("a")
        assert study.status == "interrupted"
        assert rows_of(study.front.designs) == rows_of(told.front)
        order, wanted = np.argsort(study.front.designs.digest), np.argsort(told.front.digest)
        np.testing.assert_array_equal(study.front.minimised[order], told.front_objectives[wanted])
        with store.engine.begin() as connection:
            connection.execute(sa.text("delete from ts_batches where number = :n"), {"n": last})
    assert len(store.load("a").front) == 0


def test_measured_problems_keep_designs_and_prices(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    keeper, problem = Keeper(), chain.problem(noise=True)
    start(store, "a", spec, problem, registry, observers=[keeper])
    study = store.load("a")
    assert (study.deterministic, study.keeps_designs) == (False, True)
    for number in (0, 7, 19):
        recalled = store.recall(study, number, problem.space)
        assert recalled is not None and recalled.designs is not None and recalled.prices is not None
        told = keeper.batches[number]
        np.testing.assert_array_equal(recalled.designs.digest, told.designs.digest)
        assert digest_prices(recalled.prices) == digest_prices(told.scores.prices) == recalled.prices_digest
    assert store.recall(study, 20, problem.space) is None


def test_pure_problems_keep_digests_only(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    problem = chain.problem()
    start(store, "a", spec, problem, registry)
    recalled = store.recall(store.load("a"), 3, problem.space)
    assert recalled is not None and recalled.designs is None and recalled.prices is None


def test_the_log_is_compact(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    start(store, "a", spec, chain.problem(), registry)
    with store.engine.connect() as connection:
        sizes = connection.execute(sa.text("select sum(length(change)), sum(length(rows)) from ts_batches")).one()
    assert sizes[0] < 600 * 25 / 2 and sizes[1] is None  # 25 bytes a design; most never enter the front


def test_names_are_unique_and_unknown_ones_get_suggestions(store: Store, chain: ModuleType, spec: StudySpec) -> None:
    store.create("laptop-pgsam", spec, EMPTY, chain.problem())
    with pytest.raises(StudyError, match=r"there is a study 'laptop-pgsam' already.*tradespace resume laptop-pgsam"):
        store.create("laptop-pgsam", spec, EMPTY, chain.problem())
    with pytest.raises(UnknownName, match="Did you mean 'laptop-pgsam'"):
        store.load("laptop-pgsan")
    assert store.free_name("laptop-pgsam") == "laptop-pgsam-2"
    assert store.free_name("other") == "other"
    with pytest.raises(StudyError, match="study's name"):
        store.create("../up", spec, EMPTY, chain.problem())


def test_names_are_matched_by_patterns(store: Store, chain: ModuleType, spec: StudySpec) -> None:
    for name in ("a-s0", "a-s1", "b"):
        store.create(name, spec, EMPTY, chain.problem())
    assert store.matching(["a-*", "a-s0", "b"]) == ("a-s0", "a-s1", "b")
    with pytest.raises(UnknownName, match="unknown study 'c'"):
        store.matching(["c"])


def test_the_list_says_how_far_each_study_came(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    front = start(store, "a", spec, chain.problem(), registry)
    store.create("b", spec, EMPTY, chain.problem())
    a, b = store.list()
    assert (a.name, a.status, a.evaluations, a.hypervolume) == ("a", "complete", 600, front.history[-1].hypervolume)
    assert (b.name, b.status, b.evaluations, b.hypervolume) == ("b", "running", 0, 0.0)


def test_a_study_has_one_writer(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    """Whoever claims it last writes; the other one stops before anything is mixed."""
    problem = chain.problem()
    log = store.create("a", spec, EMPTY, problem)

    class Thief:
        def batch(self, batch: Any) -> None:
            if batch.index == 4:
                store.resume(store.load("a"), take_over=True)

    from tradespace.search.api import make_optimizer, view_of
    from tradespace.search.loop import run

    optimizer = make_optimizer("random", {}, view_of(problem, spec.budget), registry)
    with pytest.raises(StudyError, match="written by one process at a time"), log:
        run(problem, optimizer, spec.budget, spec.seed, name="random", batch=30, observers=[log, Thief()])
    study = store.load("a")
    assert len(study.batches) == 5
    assert study.status == "running"  # the loser did not mark what is no longer its own


def test_a_running_study_is_not_taken_by_accident(store: Store, chain: ModuleType, spec: StudySpec) -> None:
    store.create("a", spec, EMPTY, chain.problem())
    with pytest.raises(StudyError, match=r"is being written by process \d+ on .*--take-over"):
        store.resume(store.load("a"))


def test_a_claim_is_lost_when_somebody_was_faster(store: Store, chain: ModuleType, spec: StudySpec) -> None:
    store.create("a", spec, EMPTY, chain.problem())
    seen = store.load("a")
    store.resume(seen, take_over=True)
    with pytest.raises(StudyError, match="one process at a time"):
        store.resume(seen, take_over=True)


def test_a_failing_evaluator_leaves_a_failed_study_with_its_reason(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    problem, price = chain.problem(), chain.Chain.price

    def broken(self: Any, designs: Any) -> Any:
        if self.calls == 6:
            raise ValueError("boom")
        return price(self, designs)

    problem.evaluator.price = broken.__get__(problem.evaluator)  # type: ignore[method-assign]
    with pytest.raises(PluginError, match="boom"):
        start(store, "a", spec, problem, registry)
    study = store.load("a")
    assert study.status == "failed" and "boom" in study.summary["error"]
    assert len(study.batches) == 5  # the reference designs were the first call


def test_a_wrong_option_leaves_no_study(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    from dataclasses import replace

    with pytest.raises(UnknownName):
        start(store, "a", replace(spec, optimizer_options={"speed": 1}), chain.problem(), registry)
    assert store.names() == ()


def test_a_full_disk_keeps_every_batch_before_it(
    tmp_path: Path, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    place = tmp_path / "studies.db"
    Store.open(place).close()
    with Store.open(place) as store:

        def shrink(connection: Any, _: Any) -> None:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + 3}")

        store.engine.dispose()
        sa.event.listen(store.engine, "connect", shrink)
        with pytest.raises(StudyError, match=r"the disk is full.*Make room, then 'resume'"):
            start(store, "a", spec, chain.problem(noise=True), registry)
    with Store.open(place) as store:
        study = store.load("a")
        assert 0 < len(study.batches) < 20
        assert [b.number for b in study.batches] == list(range(len(study.batches)))
        assert all(store.recall(study, b.number, study.problem.space) for b in study.batches)


def test_nothing_feasible_is_logged_with_its_diagnosis(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    front = start(store, "a", spec, chain.problem(("latency<=1 ms",)), registry)
    assert front.diagnosis is not None
    study = store.load("a")
    assert len(study.front) == 0 and study.front.values.shape == (0, 3)
    assert study.summary["diagnosis"] == front.diagnosis.text


@pytest.fixture
def damaged(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> Iterator[Any]:
    start(store, "a", spec, chain.problem(), registry)

    def damage(column: str, value: Any) -> None:
        with store.engine.begin() as connection:
            connection.execute(sa.text(f"update ts_studies set {column} = :v"), {"v": value})

    yield damage


def columns(**changes: Any) -> bytes:
    """The front of two plans as the log packs it, but for ``changes``."""
    whole = {
        "d:placement": np.zeros((2, 12), np.int8),
        "d:precision": np.zeros((2, 12), np.int8),
        "d:batch": np.ones((2, 1), np.int64),
        "objectives": np.zeros((2, 3)),
        "left": np.zeros(0, np.uint64),
    }
    return pack({k: v for k, v in {**whole, **changes}.items() if v is not None})


WRONG = [
    columns(objectives=None),
    columns(objectives=np.zeros((2, 2))),
    columns(objectives=np.zeros((5, 3))),
    columns(**{"d:batch": None}),
    columns(**{"d:batch": np.ones((2, 2), np.int64)}),
    columns(**{"d:batch": np.ones((3, 1), np.int64)}),
    b"",
]


@pytest.mark.parametrize("blob", [*WRONG, columns(**{"m:memory.gpu": np.zeros(3)})])
def test_a_damaged_front_is_refused(store: Store, damaged: Any, blob: bytes) -> None:
    damaged("front", columns())
    assert len(store.load("a").front) == 2
    damaged("front", blob)
    with pytest.raises(StudyError):
        store.load("a")


@pytest.mark.parametrize("blob", [*WRONG, columns(left=None)])
def test_a_damaged_change_is_refused(store: Store, damaged: Any, blob: bytes) -> None:
    damaged("front", None)
    with store.engine.begin() as connection:
        connection.execute(sa.text("update ts_batches set change = :v where number = 4"), {"v": blob})
    with pytest.raises(StudyError):
        store.load("a")


def test_codes_out_of_range_are_pulled_into_it(store: Store, damaged: Any) -> None:
    damaged("front", columns(**{"d:placement": np.full((2, 12), 99, np.int8), "d:batch": np.full((2, 1), -5)}))
    front = store.load("a").front
    assert front.designs.show(0)["placement"] == ["gpu"] * 12 and front.designs.show(0)["batch"] == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("spec", "{}"),
        ("spec", "not json"),
        ("provenance", '{"versions": {"numpy": 1}, "plugins": {}, "files": {}}'),
        ("problem", "{}"),
        ("problem", '{"objectives": [], "constraints": [], "metrics": [], "variables": [{"kind": "Path"}]}'),
        ("problem", '{"objectives": [], "constraints": [], "metrics": [], "variables": []}'),
        ("front", b"\x80\x04\x95"),
        ("front", zlib.compress(b"\0\0\0\0")),
        ("summary", "["),
        ("summary", "[]"),
    ],
)
def test_a_damaged_study_is_one_kind_of_error(store: Store, damaged: Any, column: str, value: Any) -> None:
    damaged(column, value)
    with pytest.raises(StudyError):
        store.load("a")

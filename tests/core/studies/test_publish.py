"""The Optuna view of a study: what Optuna and its dashboard see of it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from tradespace.designs import Choice, Integer, Permutation, Real, Space
from tradespace.errors import StudyError
from tradespace.plugins import Registry
from tradespace.studies import Store, StudySpec, optuna_tables, start
from tradespace.studies.publish import publish, spread
from tradespace.studies.resume import resume
from tradespace.studies.summary import LIMIT, parameters


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def loaded(store: Store, name: str = "a") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=store.url)


def dump(store: Store) -> list[Any]:
    """Everything in Optuna's tables."""
    with store.engine.connect() as connection:
        return [connection.execute(sa.select(t)).fetchall() for t in optuna_tables.metadata.sorted_tables]


def test_our_copy_of_optunas_tables_is_theirs_to_the_letter() -> None:
    from optuna.storages._rdb import models

    theirs = {t.name: t for t in models.BaseModel.metadata.sorted_tables}
    ours = {t.name: t for t in optuna_tables.metadata.sorted_tables}
    assert set(ours) == {*theirs, "alembic_version"}
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        for name, table in theirs.items():
            assert str(CreateTable(ours[name]).compile(dialect=dialect)) == str(
                CreateTable(table).compile(dialect=dialect)
            )
            for mine, other in zip(ours[name].indexes, table.indexes, strict=True):
                assert str(CreateIndex(mine).compile(dialect=dialect)) == str(
                    CreateIndex(other).compile(dialect=dialect)
                )
    for table, kind in ((optuna_tables.directions, "direction"), (optuna_tables.trials, "state")):
        assert set(table.c[kind].type.enums) == set(theirs[table.name].c[kind].type.enums)  # type: ignore[attr-defined]


def test_our_copy_has_the_revision_that_optuna_would_stamp(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'theirs.db'}")
    assert storage.get_head_version() == optuna_tables.HEAD == optuna_tables.installed_head()


def test_optuna_sees_the_front(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    front = start(store, "a", spec, chain.problem(), registry)
    done = publish(store, "a")
    assert (done.added, done.removed, done.total) == (len(front), 0, len(front))
    study = loaded(store)
    assert study.metric_names == ["latency (s)", "throughput (1/s)", "loss"]
    assert [d.name for d in study.directions] == ["MINIMIZE", "MAXIMIZE", "MINIMIZE"]
    best = study.best_trials
    assert sorted(t.user_attrs["plan"] for t in best) == sorted(front.ids)
    by_plan = {t.user_attrs["plan"]: t for t in study.trials}
    for i, plan in enumerate(front.ids):
        trial = by_plan[plan]
        assert trial.values == front.values[i].tolist()
        assert trial.user_attrs["design"] == front.designs.show(i)
        assert len(trial.params) <= 8
        assert trial.params["layers on gpu"] == int((front.designs["placement"][i] == 2).sum())
        assert trial.params["share of int4"] == pytest.approx(float((front.designs["precision"][i] == 1).mean()))
        assert trial.params["batch"] == int(front.designs["batch"][i])
        np.testing.assert_array_equal(trial.system_attrs["constraints"], front.scores.violations[i])
        assert max(trial.system_attrs["constraints"]) <= 0
    assert [t.number for t in study.trials] == list(range(len(front)))
    assert study.user_attrs["constraints"] == ["gpu memory", "latency<=80 s"]


def test_publishing_again_changes_nothing(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    start(store, "a", spec, chain.problem(), registry)
    publish(store, "a")
    before = dump(store)
    again = publish(store, "a")
    assert (again.added, again.removed) == (0, 0)
    after = dump(store)
    for old, new in zip(before[1:], after[1:], strict=True):
        assert {tuple(r)[-3:] for r in old} == {tuple(r)[-3:] for r in new}


def test_the_view_follows_a_resumed_study(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    first = start(store, "a", spec, chain.problem(fail_at=6), registry)
    assert publish(store, "a").total == len(first)
    front = resume(store, "a", registry, problem=chain.problem())
    assert set(first.ids) - set(front.ids), "the test needs plans that left the front"
    publish(store, "a")
    study = loaded(store)
    assert sorted(t.user_attrs["plan"] for t in study.best_trials) == sorted(front.ids)
    assert len(study.trials) == len(front)


def test_a_study_that_was_cut_off_is_published_from_its_log_alone(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    front = start(store, "a", spec, chain.problem(), registry)
    with store.engine.begin() as connection:
        connection.execute(sa.text("update ts_studies set front = null, status = 'running', writer = null"))
    publish(store, "a")
    assert sorted(t.user_attrs["plan"] for t in loaded(store).best_trials) == sorted(front.ids)


def test_at_most_so_many_trials_extremes_among_them(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    front = start(store, "a", replace(spec, evaluations=3000), chain.problem(()), registry)
    assert len(front) > 15
    assert publish(store, "a", limit=10).total == 10
    values = np.array([t.values for t in loaded(store).trials])
    assert values[:, 0].min() == front.values[:, 0].min()
    assert values[:, 1].max() == front.values[:, 1].max()
    shown = {t.user_attrs["plan"] for t in loaded(store).trials}
    assert publish(store, "a", limit=15).added == 5
    assert shown < {t.user_attrs["plan"] for t in loaded(store).trials}


def test_spread_takes_far_points_and_keeps_what_is_there() -> None:
    points = np.stack([np.linspace(0, 1, 101), 1 - np.linspace(0, 1, 101)], axis=1)
    none = np.zeros(101, bool)
    assert spread(points, 5, none).tolist() == [0, 25, 50, 75, 100]
    kept = none.copy()
    kept[[40, 41]] = True
    chosen = spread(points, 6, kept)
    assert {0, 40, 41, 100} < set(chosen.tolist()) and len(chosen) == 6
    assert spread(points[:3], 5, none[:3]).tolist() == [0, 1, 2]


def test_an_optuna_study_of_somebody_else_is_left_alone(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(), registry)
    optuna.create_study(storage=store.url, study_name="a").optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(StudyError, match="an Optuna study 'a' of another program"):
        publish(store, "a")
    assert len(loaded(store).trials) == 1


def test_notes_and_attributes_of_others_survive(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(), registry)
    publish(store, "a")
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is an extra")
    assert "`tradespace explain a:PLAN`" in dashboard.get_note(loaded(store))
    loaded(store).set_user_attr("mine", [1, 2])
    dashboard.save_note(loaded(store), "x" * 5000)
    publish(store, "a")
    assert loaded(store).user_attrs["mine"] == [1, 2]
    assert dashboard.get_note(loaded(store)) == "x" * 5000


def test_optuna_tables_of_another_revision_are_refused(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(), registry)
    publish(store, "a")
    with store.engine.begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = 'v9.0.0.a'"))
    with pytest.raises(StudyError, match=r"revision v3\.2\.0\.a; got revision v9\.0\.0\.a.*optuna storage upgrade"):
        publish(store, "a")


def test_an_optuna_of_another_revision_makes_its_own_tables(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = start(store, "a", spec, chain.problem(), registry)
    made = []
    real = optuna_tables._let_optuna_create
    monkeypatch.setattr(optuna_tables, "HEAD", "v1.0.0.a")
    monkeypatch.setattr(optuna_tables, "_let_optuna_create", lambda engine: (made.append(1), real(engine)))
    publish(store, "a")
    assert made and len(loaded(store).best_trials) == len(front)


def test_a_front_without_plans_is_an_empty_study(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec
) -> None:
    start(store, "a", spec, chain.problem(("latency<=1 ms",)), registry)
    assert publish(store, "a").total == 0
    assert loaded(store).trials == []


def test_a_summary_never_has_more_than_eight_parameters_and_keeps_the_telling_ones() -> None:
    space = Space(
        Choice("placement", tuple(f"d{i}" for i in range(6)), 10),
        Choice("precision", ("fp16", "int8", "int4"), 10),
        Choice("mode", ("a", "b")),
        Integer("batch", 1, 64, log=True),
        Real("share", 0.0, 1.0),
        Real("rates", 0.0, 1.0, length=3),
        Permutation("order", 5),
    )
    rng = np.random.default_rng(0)
    designs = space.sample(50, rng)
    designs = space.designs({**designs.columns, "placement": np.minimum(designs.columns["placement"], 1)})
    found = parameters(designs)
    assert len(found) == LIMIT
    assert {"layers on d0", "mode", "batch", "share"} <= {p.name for p in found}
    assert not {"layers on d4", "order"} & {p.name for p in found}
    for parameter in found:
        distribution = optuna.distributions.json_to_distribution(parameter.distribution)
        assert all(distribution._contains(v) for v in parameter.values.tolist())


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)


def test_the_dashboard_serves_the_view(store: Store, chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is an extra")
    front = start(store, "a", spec, chain.problem(), registry)
    publish(store, "a")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from optuna_dashboard._cli import main; main()"
    command = [sys.executable, "-c", program, store.url, "--host", "127.0.0.1", "--port", str(port)]
    base = f"http://127.0.0.1:{port}/api/studies"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):  # a busy machine takes long to start it
                try:
                    summaries = get(base)["study_summaries"]
                    break
                except OSError:
                    time.sleep(0.1)
            (summary,) = summaries
            detail = get(f"{base}/{summary['study_id']}")
        finally:
            process.terminate()
    assert summary["study_name"] == "a"
    assert detail["objective_names"] == ["latency (s)", "throughput (1/s)", "loss"]
    assert len(detail["trials"]) == len(front)
    assert all(max(trial["constraints"]) <= 0 for trial in detail["trials"])
    assert {trial["number"] for trial in detail["best_trials"]} == set(range(len(front)))
    assert "tradespace explain a:PLAN" in detail["note"]["body"]


def test_publishing_that_fails_half_way_leaves_nothing(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(store, "a", spec, chain.problem(), registry)
    start(store, "b", spec, chain.problem(), registry)
    publish(store, "a")
    before = dump(store)
    monkeypatch.setattr("tradespace.studies.publish._View.describe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish(store, "b")
    assert dump(store) == before


def test_variables_with_an_option_in_common_keep_their_names_apart() -> None:
    space = Space(
        Choice("kernel", (3, 5), length=4), Choice("expansion", (3, 6), length=4), Choice("precision", ("a", "b"), 4)
    )
    names = [p.name for p in parameters(space.sample(20, np.random.default_rng(0)))]
    assert len(set(names)) == len(names) <= LIMIT
    assert {"share of kernel 3", "share of expansion 3", "share of a"} <= set(names)

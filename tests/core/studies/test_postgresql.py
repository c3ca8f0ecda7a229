"""The same studies on a PostgreSQL server. ``TRADESPACE_TEST_POSTGRES`` names an empty database to use."""

from __future__ import annotations

import os
from types import ModuleType

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from tradespace.plugins import Registry
from tradespace.studies import Store, StudySpec, optuna_tables, schema, start
from tradespace.studies.publish import publish
from tradespace.studies.resume import resume
from tradespace.studies.writer import StudyLog

URL = os.environ.get("TRADESPACE_TEST_POSTGRES", "")


def test_the_append_statement_has_a_postgresql_form() -> None:
    log = StudyLog(sa.create_engine("sqlite://"), "a", 7, "claim", False)
    text = str(log._insert.compile(dialect=postgresql.dialect()))
    assert text.startswith("INSERT INTO ts_batches (study, number, count,")
    assert "WHERE EXISTS (SELECT * \nFROM ts_studies" in text


@pytest.mark.skipif(not URL, reason="TRADESPACE_TEST_POSTGRES is not set")
def test_a_study_lives_on_a_server(chain: ModuleType, registry: Registry, spec: StudySpec) -> None:
    import optuna

    with Store.open(URL) as store:
        try:
            whole = start(store, "whole", spec, chain.problem(), registry)
            start(store, "cut", spec, chain.problem(noise=True, fail_at=9), registry)
            resume(store, "cut", registry, problem=chain.problem(noise=True))
            assert [s.status for s in store.list()] == ["complete", "complete"]
            assert store.load("whole").front.ids == whole.ids
            assert publish(store, "whole").added == len(whole)
            assert publish(store, "whole").added == 0
            study = optuna.load_study(study_name="whole", storage=store.url)
            assert sorted(t.user_attrs["plan"] for t in study.best_trials) == sorted(whole.ids)
        finally:
            optuna_tables.metadata.drop_all(store.engine)
            schema.metadata.drop_all(store.engine)

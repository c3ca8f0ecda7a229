from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from tradespace.errors import StudyError
from tradespace.plugins import Registry
from tradespace.studies import Store, StudySpec, schema, stamp, start


def test_a_fresh_database_gets_our_version_and_nobody_elses_table(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "er" / "studies.db"
    Store.open(f"sqlite:///{place}").close()
    with sqlite3.connect(place) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        assert tables == {"ts_schema", "ts_studies", "ts_batches"}
        assert connection.execute("select version from ts_schema").fetchall() == [(schema.SCHEMA,)]


def test_a_database_of_another_version_is_refused_with_a_way_out(tmp_path: Path) -> None:
    place = tmp_path / "studies.db"
    Store.open(place).close()
    with sqlite3.connect(place) as connection:
        connection.execute("update ts_schema set version = 7")
    with pytest.raises(StudyError, match=r"version 1; got version 7\. Use the tradespace that wrote it"):
        Store.open(place)


def test_our_tables_without_a_version_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "studies.db"
    with sqlite3.connect(place) as connection:
        connection.execute("create table ts_studies (id integer)")
    with pytest.raises(StudyError, match="got version unknown"):
        Store.open(place)


@pytest.mark.parametrize("content", [b"hello", b"PK\3\4" + bytes(5000), b"SQLite format 3\0" + b"\xff" * 5000])
def test_another_kind_of_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "studies.db"
    place.write_bytes(content)
    with pytest.raises(StudyError, match=r"is an SQLite file|damaged"):
        Store.open(place)
    assert place.read_bytes() == content


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    place = tmp_path / "studies.db"
    place.touch()
    with Store.open(place) as store:
        assert store.names() == ()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"folder of a study database must be writable.*file/studies\.db|--storage"):
        Store.open(tmp_path / "file" / "studies.db")
    with pytest.raises(StudyError, match="a study database is a file"):
        Store.open(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StudyError, match="--storage"):
        Store.open(tmp_path / "studies.db")


def test_a_missing_database_is_not_made_by_readers(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study database here yet"):
        Store.open(tmp_path / "studies.db", create=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["mysql://a/b", "sqlite://", "http://x", "nonsense://"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(StudyError):
        Store.open(url)


def test_passwords_are_never_shown() -> None:
    assert "secret" not in schema.shown(sa.make_url("postgresql+psycopg://me:secret@host/db"))


def test_a_locked_database_is_waited_for_and_then_named(tmp_path: Path, chain: ModuleType, registry: Registry) -> None:
    place = tmp_path / "studies.db"
    Store.open(place).close()
    other = sqlite3.connect(place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Store.open(place, wait=0.05) as store, pytest.raises(StudyError, match="in use by another program"):
        start(store, "a", StudySpec(None, ("latency",), optimizer="random"), chain.problem(), registry)
    other.execute("ROLLBACK")
    with Store.open(place) as store:
        assert store.names() == ()


def test_optuna_and_tradespace_share_a_database(tmp_path: Path) -> None:
    import optuna

    url = f"sqlite:///{tmp_path / 'both.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=url, study_name="theirs")
    with Store.open(url) as store:
        assert store.names() == ()
    assert optuna.load_study(storage=url, study_name="theirs").trials == []


def test_tables_have_a_postgresql_form() -> None:
    for table in schema.metadata.sorted_tables:
        assert "CREATE TABLE ts_" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_claims_know_whether_their_process_lives() -> None:
    mine = stamp.claim()
    assert stamp.alive(mine)
    host, pid, started, token = mine.split("|")
    assert not stamp.alive(f"{host}|{pid}|{started}1|{token}") or not started  # the number was used again
    assert not stamp.alive(f"{host}|4194305|{started}|{token}")  # beyond the largest number Linux gives
    assert stamp.alive(f"elsewhere|{pid}|{started}|{token}")
    assert not stamp.alive(None)


def test_tables_are_made_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "studies.db"
    with monkeypatch.context() as broken:
        broken.setattr(stamp, "now", lambda: 1 / 0)  # after the tables, before their version is written
        with pytest.raises(ZeroDivisionError):
            Store.open(place)
    with sqlite3.connect(place) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == []
    Store.open(place).close()

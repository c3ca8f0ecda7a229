"""The tables of the study log, opening a database that holds them, and database faults as `StudyError`.

Every table is prefixed ``ts_``; `ts_schema` holds our own version, so Optuna's tables and migrations can live in the
same database. SQLite runs in WAL mode with ``synchronous=NORMAL``: a killed process loses nothing that was committed,
a power cut at most the last commits, and the file stays whole; readers never wait for the writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tradespace.errors import StudyError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

SCHEMA = 1
WRITE = "tradespace_write"
metadata = sa.MetaData()

schema_table = sa.Table(
    "ts_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("writer", sa.String(64), nullable=False),
)
studies_table = sa.Table(
    "ts_studies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(100), unique=True, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("deterministic", sa.Boolean, nullable=False),
    sa.Column("keeps_designs", sa.Boolean, nullable=False),
    sa.Column("writer", sa.String(200)),  # who may append: host, process, start of the process, a token
    sa.Column("created", sa.String(32), nullable=False),  # UTC, ISO 8601
    sa.Column("finished", sa.String(32)),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("provenance", sa.Text, nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("summary", sa.Text),
    sa.Column("front", sa.LargeBinary),  # the final front with all its metrics
)
batches_table = sa.Table(
    "ts_batches",
    metadata,
    sa.Column("study", sa.Integer, sa.ForeignKey("ts_studies.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("designs_digest", sa.String(32), nullable=False),
    sa.Column("prices_digest", sa.String(32), nullable=False),
    sa.Column("evaluations", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float(53), nullable=False),
    sa.Column("hypervolume", sa.Float(53), nullable=False),
    sa.Column("change", sa.LargeBinary),  # what entered and left the front
    sa.Column("rows", sa.LargeBinary),  # designs and prices, where measuring them again is slow or impossible
)


def open_engine(url: str | Path, *, create: bool, wait: float) -> Engine:
    """An engine over a database with our tables; ``wait`` (s) is how long a locked SQLite file is waited for.

    Raises:
        StudyError: the place cannot be written, is no database, or holds another version of our tables.
    """
    address = _url(url)
    sqlite = address.get_backend_name() == "sqlite"
    if sqlite:
        _check_file(address, create)
    try:
        engine = sa.create_engine(address, connect_args={"timeout": wait} if sqlite else {})
    except ImportError as error:
        raise StudyError(
            "a database needs its driver",
            value=error.name,
            where=shown(address),
            remedy="PostgreSQL: pip install 'tradespace[postgres]'.",
        ) from None
    if sqlite:
        sa.event.listen(engine, "connect", _on_connect)
        sa.event.listen(engine, "begin", _on_begin)
    try:
        _check_version(engine, create)
    except BaseException:
        engine.dispose()
        raise
    return engine


def shown(address: URL) -> str:
    """The database's address for people: a SQLite file's path, or the URL without its password."""
    if address.get_backend_name() == "sqlite" and address.database:
        return address.database
    return address.render_as_string(hide_password=True)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in a read transaction. Database faults become `StudyError`."""
    with faults(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection in one write transaction: all of it is kept, or nothing. Faults become `StudyError`."""
    with faults(engine), engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        yield connection


@contextmanager
def faults(engine: Engine) -> Iterator[None]:
    """Turn what the database reports into one sentence with a remedy. `IntegrityError` passes: it is not a fault."""
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.SQLAlchemyError as error:
        raise explained(error, shown(engine.url)) from None


_FAULTS = (
    ("not a database", "a study database is an SQLite file", "Choose another file with --storage."),
    ("malformed", "the study database is damaged", "Use a copy, or choose another file with --storage."),
    ("full", "the disk is full; the study ends with the last batch that was kept", "Make room, then 'resume' it."),
    ("locked", "the study database is in use by another program", "Wait for it, or choose another --storage."),
    ("busy", "the study database is in use by another program", "Wait for it, or choose another --storage."),
    ("readonly", "the study database must be writable", "Check its permissions, or choose another --storage."),
    ("unable to open", "the study database must be openable", "Check its folder, or choose another --storage."),
    ("disk i/o", "the study database must be readable and writable", "Check the disk, or choose another --storage."),
)


def explained(error: BaseException, where: str) -> StudyError:
    """A database error as `StudyError`."""
    text = str(getattr(error, "orig", None) or error).splitlines()[0]
    for sign, rule, remedy in _FAULTS:
        if sign in text.lower():
            return StudyError(rule, value=text, where=where, remedy=remedy)
    return StudyError(
        "the study database refused", value=text, where=where, remedy="Check the address, or choose another --storage."
    )


def _url(url: str | Path) -> URL:
    text = str(url)
    if isinstance(url, Path) or "://" not in text:
        return sa.engine.URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        address = sa.engine.make_url(text)
        backend = address.get_backend_name()
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StudyError("a database is a path or a URL", value=error, where="storage") from None
    if backend not in ("sqlite", "postgresql"):
        raise StudyError("studies are kept in SQLite or PostgreSQL", value=backend, where="storage")
    if backend == "sqlite" and not address.database:
        raise StudyError("a study database is a file", value=text, where="storage", remedy="Write sqlite:///PATH.")
    return address.set(drivername="postgresql+psycopg") if address.drivername == "postgresql" else address


def _check_file(address: URL, create: bool) -> None:
    path = Path(address.database or "")
    try:
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(16)
            if head and head != b"SQLite format 3\0":
                raise StudyError("a study database is an SQLite file", where=str(path), remedy="Choose another file.")
        elif path.exists():
            raise StudyError("a study database is a file", where=str(path), remedy="Give a path that ends in .db.")
        elif not create:
            raise StudyError(
                "there is no study database here yet",
                where=str(path),
                remedy="'tradespace search' makes one; --storage names another.",
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            "the folder of a study database must be writable",
            value=error.strerror,
            where=str(path),
            remedy="Choose another place: out=FOLDER for a search, --storage elsewhere.",
        ) from None


def _on_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver's own transactions would leave table creation outside of them
    cursor = connection.cursor()
    mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    cursor.execute(f"PRAGMA synchronous={'NORMAL' if mode == 'wal' else 'FULL'}")  # network disks have no WAL
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get(WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _check_version(engine: Engine, create: bool) -> None:
    with reading(engine) as connection:
        tables = {t for t in sa.inspect(connection).get_table_names() if t.startswith("ts_")}
        found = (
            [row[0] for row in connection.execute(sa.select(schema_table.c.version))] if "ts_schema" in tables else []
        )
    if not tables and create:
        _create(engine)
    elif not tables:
        raise StudyError("the database holds no studies yet", where=shown(engine.url), remedy="Run a search first.")
    elif found != [SCHEMA]:
        raise StudyError(
            f"this tradespace reads study databases of version {SCHEMA}",
            value=f"version {', '.join(map(str, found)) or 'unknown'}",
            where=shown(engine.url),
            remedy="Use the tradespace that wrote it, or choose another file with --storage.",
        )


def _create(engine: Engine) -> None:
    from tradespace.studies.stamp import now, writer

    with writing(engine) as connection:
        metadata.create_all(connection)
        if connection.execute(sa.select(schema_table.c.version)).first() is None:  # another process may be first
            connection.execute(schema_table.insert().values(version=SCHEMA, created=now(), writer=writer()))

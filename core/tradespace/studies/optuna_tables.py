"""Optuna's tables, written down so that publishing needs no import of Optuna (1.5 s with its migrations).

They are those of Optuna's schema revision `HEAD`, unchanged from Optuna 3.2 to 5.0; a test compares every statement
with the installed Optuna's own. Where the installed Optuna has another revision, it makes its tables itself.
"""

from __future__ import annotations

from importlib import metadata as distributions
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

from tradespace.errors import StudyError
from tradespace.studies.schema import WRITE, faults, shown

HEAD = "v3.2.0.a"
_VERSION_INFO = 12  # frozen by Optuna since its migrations are alembic's
_TEXT = 512

metadata = sa.MetaData()
_FINITE = ("FINITE", "INF_POS", "INF_NEG")


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, primary_key=True)


def _of(parent: str, *, nullable: bool = True, index: bool = False) -> sa.Column[int]:
    name = "study_id" if parent == "studies" else "trial_id"
    return sa.Column(name, sa.Integer, sa.ForeignKey(f"{parent}.{name}"), nullable=nullable, index=index)


def _attributes(name: str, parent: str, key: str) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        _key(key),
        _of(parent),
        sa.Column("key", sa.String(_TEXT)),
        sa.Column("value_json", sa.Text),
        sa.UniqueConstraint("study_id" if parent == "studies" else "trial_id", "key"),
    )


studies = sa.Table(
    "studies",
    metadata,
    _key("study_id"),
    sa.Column("study_name", sa.String(_TEXT), index=True, unique=True, nullable=False),
)
directions = sa.Table(
    "study_directions",
    metadata,
    _key("study_direction_id"),
    sa.Column("direction", sa.Enum("NOT_SET", "MINIMIZE", "MAXIMIZE", name="studydirection"), nullable=False),
    _of("studies", nullable=False),
    sa.Column("objective", sa.Integer, nullable=False),
    sa.UniqueConstraint("study_id", "objective"),
)
study_user = _attributes("study_user_attributes", "studies", "study_user_attribute_id")
study_system = _attributes("study_system_attributes", "studies", "study_system_attribute_id")
trials = sa.Table(
    "trials",
    metadata,
    _key("trial_id"),
    sa.Column("number", sa.Integer),
    _of("studies", index=True),
    sa.Column("state", sa.Enum("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING", name="trialstate"), nullable=False),
    sa.Column("datetime_start", sa.DateTime),
    sa.Column("datetime_complete", sa.DateTime),
)
trial_user = _attributes("trial_user_attributes", "trials", "trial_user_attribute_id")
trial_system = _attributes("trial_system_attributes", "trials", "trial_system_attribute_id")
params = sa.Table(
    "trial_params",
    metadata,
    _key("param_id"),
    _of("trials"),
    sa.Column("param_name", sa.String(_TEXT)),
    sa.Column("param_value", sa.Float(53)),
    sa.Column("distribution_json", sa.Text),
    sa.UniqueConstraint("trial_id", "param_name"),
)
values = sa.Table(
    "trial_values",
    metadata,
    _key("trial_value_id"),
    _of("trials", nullable=False),
    sa.Column("objective", sa.Integer, nullable=False),
    sa.Column("value", sa.Float(53)),
    sa.Column("value_type", sa.Enum(*_FINITE, name="trialvaluetype"), nullable=False),
    sa.UniqueConstraint("trial_id", "objective"),
)
intermediate = sa.Table(
    "trial_intermediate_values",
    metadata,
    _key("trial_intermediate_value_id"),
    _of("trials", nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("intermediate_value", sa.Float(53)),
    sa.Column("intermediate_value_type", sa.Enum(*_FINITE, "NAN", name="trialintermediatevaluetype"), nullable=False),
    sa.UniqueConstraint("trial_id", "step"),
)
heartbeats = sa.Table(
    "trial_heartbeats",
    metadata,
    _key("trial_heartbeat_id"),
    _of("trials", nullable=False),
    sa.Column("heartbeat", sa.DateTime, nullable=False, default=sa.func.current_timestamp()),
    sa.UniqueConstraint("trial_id"),
)
version_info = sa.Table(
    "version_info",
    metadata,
    sa.Column("version_info_id", sa.Integer, primary_key=True, autoincrement=False, default=1),
    sa.Column("schema_version", sa.Integer),
    sa.Column("library_version", sa.String(256)),
    sa.CheckConstraint("version_info_id=1"),
)
alembic_version = sa.Table(
    "alembic_version",
    metadata,
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
PER_TRIAL = (trial_user, trial_system, params, values, intermediate, heartbeats)


def ensure(engine: sa.Engine) -> None:
    """Make Optuna's tables where they are missing, in one transaction.

    Raises:
        StudyError: the database holds Optuna tables of another revision.
    """
    head = installed_head()
    with faults(engine), engine.connect() as connection:
        there = sa.inspect(connection).has_table("alembic_version")
        found = connection.scalar(sa.select(alembic_version.c.version_num)) if there else None
    if found == head:
        return
    if found is not None:
        raise StudyError(
            f"the installed Optuna reads databases of its revision {head}",
            value=f"revision {found}",
            where=shown(engine.url),
            remedy="Run 'optuna storage upgrade --storage URL', or choose another file with --storage.",
        )
    if head == HEAD:
        _create(engine)
    else:
        _let_optuna_create(engine)


def installed_head() -> str:
    """The newest schema revision of the installed Optuna, from its files: importing it takes long."""
    spec = find_spec("optuna")
    folder = Path((spec.origin if spec else None) or "").parent / "storages" / "_rdb" / "alembic" / "versions"
    names = sorted(path.stem.rstrip("_") for path in folder.glob("v*.py"))
    return names[-1] if names else HEAD


def _create(engine: sa.Engine) -> None:
    with faults(engine), engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        metadata.create_all(connection)
        if connection.scalar(sa.select(alembic_version.c.version_num)) is None:
            connection.execute(alembic_version.insert().values(version_num=HEAD))
            row = {"version_info_id": 1, "schema_version": _VERSION_INFO, "library_version": _optuna_version()}
            connection.execute(version_info.insert().values(row))


def _let_optuna_create(engine: sa.Engine) -> None:
    from optuna.storages import RDBStorage

    storage = RDBStorage(engine.url.render_as_string(hide_password=False))
    storage.remove_session()
    storage.engine.dispose()


def _optuna_version() -> str:
    try:
        return distributions.version("optuna")
    except distributions.PackageNotFoundError:
        return "0.0.0"

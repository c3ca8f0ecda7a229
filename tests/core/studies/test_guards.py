"""Habits of the package that a reviewer should not have to watch for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import tradespace.studies

SOURCES = sorted(Path(tradespace.studies.__file__).parent.glob("*.py"))


def test_nothing_is_pickled() -> None:
    modules = "pickle|dill|cloudpickle|marshal|shelve|joblib"
    words = re.compile(rf"^\s*(import|from) ({modules})|PickleType|allow_pickle=True")
    assert len(SOURCES) > 10
    for source in SOURCES:
        for line in source.read_text().splitlines():
            assert not words.search(line), f"{source.name}: {line}"


def test_the_database_library_loads_at_first_use() -> None:
    """SQLAlchemy costs half a second, and Optuna one and a half: publishing must not need it."""
    code = "import sys, tradespace.studies; assert 'sqlalchemy' not in sys.modules; import tradespace.studies.publish"
    check = "assert 'sqlalchemy' in sys.modules and 'optuna' not in sys.modules and 'alembic' not in sys.modules"
    subprocess.run([sys.executable, "-c", f"{code}; {check}"], check=True, timeout=60)

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tradespace.plugins import Registry
from tradespace.studies import Store, StudySpec


@pytest.fixture(scope="session")
def chain() -> ModuleType:
    """The module with the test problem, which is a program too."""
    place = Path(__file__).with_name("chain.py")
    found = importlib.util.spec_from_file_location("studies_chain", place)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["studies_chain"] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.discover()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "studies.db") as opened:
        yield opened


@pytest.fixture(scope="session")
def spec(chain: ModuleType) -> StudySpec:
    """600 evaluations in 20 batches."""
    return StudySpec(None, chain.OBJECTIVES, chain.CONSTRAINTS, "random", evaluations=600, seed=3, batch=30)

"""Rules of the house that a machine can hold: small modules, and no way from one system into another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "plugins").glob("tradespace_*/**/*.py"))
SYSTEMS = frozenset({
    "cross_he", "draco", "hep_daq", "heteroinfer", "mcunet", "nasbench", "pim_gpt", "qeil", "snn_neuromorphic", "tmac",
    "tokenring", "ufo3",
})  # fmt: skip
"""Systems that share a package with others: their modules begin with their name."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def system_of(module: str) -> str:
    return next((system for system in SYSTEMS if module.rpartition(".")[2].startswith(system)), "")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "plugins").as_posix())
def test_a_plugin_module_is_small_and_stays_at_home(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    family = path.relative_to(ROOT / "plugins").parts[0]
    names = set(imported(path))
    assert {name for name in names if name.startswith("tradespace_") and name.split(".")[0] != family} == set()
    mine = system_of(path.stem)
    others = {name for name in names if name.startswith("tradespace_") and system_of(name) not in ("", mine)}
    assert not (mine and others), f"{path.name} imports another system: {others}"


def test_every_named_system_has_modules() -> None:
    """A renamed system would no longer be watched."""
    stems = [path.stem for path in MODULES]
    assert {s for s in SYSTEMS if not any(stem.startswith(s) for stem in stems)} == set()

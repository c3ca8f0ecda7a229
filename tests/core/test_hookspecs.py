"""The contract is documented: every hook with its exact signature, and the examples of the guide work."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tradespace import hookspecs
from tradespace.plugins import CATALOGUE_KINDS, GROUPS, Registry
from tradespace.testing.optimizers import check_optimizer

GUIDE = (Path(__file__).parents[2] / "docs/plugins.md").read_text(encoding="utf-8")
HOOKS: dict[str, Any] = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("tradespace_")}
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", GUIDE, re.DOTALL | re.MULTILINE))
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_guide_has_a_section_for_every_hook_and_no_other() -> None:
    assert list(SECTIONS) == list(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_documented_with_its_exact_signature(name: str) -> None:
    signature = f"def {name}{str(inspect.signature(HOOKS[name])).replace(chr(39), '')}"
    (block,) = re.findall(r"```python\n(.*?)\n```", SECTIONS[name], re.DOTALL)
    assert block == signature
    text = SECTIONS[name].replace(block, "")
    assert len(text.split()) >= 10, "a section says what the hook is for"


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_states_its_meaning_and_takes_nothing(name: str) -> None:
    assert inspect.getdoc(HOOKS[name])
    assert not inspect.signature(HOOKS[name]).parameters
    assert hasattr(HOOKS[name], "tradespace_spec")


def test_hooks_are_the_groups_of_the_registry_and_the_catalogue() -> None:
    assert {name.removeprefix("tradespace_") for name in HOOKS} == {*GROUPS, "catalogue"}
    assert all(f"{kind}/" in (HOOKS["tradespace_catalogue"].__doc__ or "") for kind in CATALOGUE_KINDS)


def test_the_contract_fits_on_one_screen() -> None:
    assert len(inspect.getsource(hookspecs).splitlines()) <= 90


def test_the_guide_names_the_contract_version() -> None:
    assert f"TRADESPACE_CONTRACT = {hookspecs.CONTRACT}" in GUIDE


def test_the_one_file_plugin_of_the_guide_works(tmp_path: Path) -> None:
    code = next(text for language, text in BLOCKS if language == "python" and "class Walk" in text)
    (tmp_path / "my.py").write_text(code, encoding="utf-8")
    found = Registry.discover([tmp_path / "my.py"])
    report = check_optimizer(found.load("optimizers", "walk"))
    assert report.passed, str(report)
    command = [sys.executable, "-c", "import sys; from tradespace.cli import main; sys.exit(main())"]
    done = subprocess.run([*command, "check", "my.py", "--json"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["passed"], done.stdout + done.stderr


def test_the_entry_point_of_the_guide_is_the_one_that_is_read() -> None:
    from tradespace.plugins import ENTRY_POINTS

    toml = next(text for language, text in BLOCKS if language == "toml")
    assert tomllib.loads(toml)["project"]["entry-points"] == {ENTRY_POINTS: {"acme": "acme"}}


@pytest.mark.parametrize("module", sorted(set(re.findall(r"tradespace\.testing\.(\w+)", GUIDE))))
def test_the_kits_that_the_guide_names_exist(module: str) -> None:
    kit = __import__(f"tradespace.testing.{module}", fromlist=["KIT"])
    assert any(name.endswith("KIT") for name in vars(kit))

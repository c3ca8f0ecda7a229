"""docs/tutorial.md is executed: its files are written, its commands run, its outputs compared, in an empty folder.

The reader's machine is a virtual environment of its own without a network; it sees the installed packages and nothing
else of this repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial.md"
BLOCK = re.compile(r"(?:^Save as `(?P<file>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.M | re.S)
SECONDS = 120


@dataclass(frozen=True)
class Step:
    """One fenced block: a file to save, commands to run, or what the commands before it print."""

    file: str | None
    language: str
    body: str


def steps() -> list[Step]:
    return [Step(*found.groups()) for found in BLOCK.finditer(TUTORIAL.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """An empty folder, and the environment of a reader who has installed tradespace and nothing else of it."""
    home = tmp_path_factory.mktemp("reader")
    venv.EnvBuilder(symlinks=True).create(home / ".venv")
    (site,) = (home / ".venv/lib").glob("python*/site-packages")
    installed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "installed.pth").write_text("\n".join(f"import site; site.addsitedir({p!r})" for p in installed) + "\n")
    tools = {
        "tradespace": "from tradespace.cli import main",
        "pip": "from pip._internal.cli.main import main",
        "pytest": "from pytest import main",
    }
    for name, take in tools.items():
        script = home / ".venv/bin" / name
        script.write_text(f"#!{home}/.venv/bin/python\nimport sys\n{take}\nsys.exit(main())\n")
        script.chmod(0o755)
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    yield (
        home,
        {
            **{key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST", "COV"))},
            **offline,
            "PATH": f"{home}/.venv/bin:{os.environ['PATH']}",
            "COLUMNS": "160",
        },
    )


def test_the_page_does_what_it_says(machine: tuple[Path, dict[str, str]]) -> None:
    home, environment = machine
    printed = ""
    for step in steps():
        if step.file is not None:
            place = home / step.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(step.body, encoding="utf-8")
        elif step.language == "sh":
            printed = run(step.body, home, environment)
        else:
            assert step.language == "text", step
            missing = unprinted(step.body, printed)
            assert not missing, f"not printed, in this order: {missing}\nbut:\n{printed}"


def run(commands: str, home: Path, environment: dict[str, str]) -> str:
    """Every line as a reader types it; each must succeed. Returns what all of them print."""
    printed = []
    for command in commands.splitlines():
        done = subprocess.run(
            ["bash", "-c", command], cwd=home, env=environment, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    return "\n".join(printed)


def unprinted(expected: str, printed: str) -> list[str]:
    """Pieces of the expected lines that do not follow each other in the output; `...` stands for anything."""
    at, missing = 0, []
    text = squeezed(printed)
    for piece in (squeezed(part) for line in expected.splitlines() for part in line.split("...")):
        found = text.find(piece, at) if piece else at
        if found < 0:
            missing.append(piece)
        else:
            at = found + len(piece)
    return missing


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    found = steps()
    assert {step.language for step in found if step.file is None} == {"sh", "text"}
    assert sum(step.file is not None for step in found) >= 6
    assert TUTORIAL.read_text(encoding="utf-8").count("```") == 2 * len(found)


def test_what_is_not_printed_is_noticed() -> None:
    assert unprinted("a ... d\n3 passed", "a b c d\n 3   passed in 1 s") == []
    assert unprinted("3 passed\na", "a\n3 passed") == ["a"]

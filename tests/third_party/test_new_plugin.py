"""`tradespace new-plugin`: what it writes installs, passes its own tests and the kits, and is never written over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradespace.cli.main import main

NAME = "made-here"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    assert main(["new-plugin", NAME, "--folder", str(folder)]) == 0
    return folder / NAME


@pytest.fixture(scope="module")
def site(package: Path) -> Path:
    folder = package.parent / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command = [*pip, "--no-deps", "--no-build-isolation", "--target", str(folder), str(package)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def python(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=120)


def test_its_own_tests_pass(package: Path, site: Path) -> None:
    done = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=package)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr


def test_it_passes_tradespace_check(package: Path, site: Path) -> None:
    code = "import sys; from tradespace.cli import main; sys.exit(main())"
    done = python(site, "-c", code, "check", NAME, "--json", cwd=package)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["passed"], done.stdout
    assert [kit["kit"] for kit in found["kits"]] == [
        "plugin kit", "registration kit", "device model kit", "target kit", "workload kit",
    ]  # fmt: skip
    assert not [c for kit in found["kits"] for c in kit["checks"] if c["outcome"] != "passed"]


def test_its_target_is_searched_with_its_workload(package: Path, site: Path) -> None:
    code = f"""
import tradespace as ts
bound = ts.bind(ts.Setting("{NAME}-decoder", "{NAME}-board"), ts.registry())
front = ts.search(bound.evaluator, ["latency", "energy"], optimizer="random", evaluations=500, seed=0)
print(len(front.designs))
"""
    done = python(site, "-c", code, cwd=package)
    assert done.returncode == 0 and int(done.stdout) >= 1, done.stderr


def test_the_layout_holds_no_placeholder(package: Path) -> None:
    files = sorted(
        p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file() and "cache" not in str(p)
    )
    assert files == sorted([
        ".gitignore", "README.md", "pyproject.toml", "src/made_here/__init__.py", "src/made_here/py.typed",
        "src/made_here/saturating.py", "src/made_here/catalogue/targets/made-here-board.yaml",
        "src/made_here/catalogue/workloads/made-here-decoder.yaml", "tests/test_plugin.py",
    ])  # fmt: skip
    assert not [file for file in files if "%%" in (package / file).read_text()]


def test_an_existing_folder_is_never_touched(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = package / "README.md"
    readme.write_text("mine now")
    assert main(["new-plugin", NAME, "--folder", str(package.parent)]) == 2
    assert "does not exist yet" in capsys.readouterr().err and readme.read_text() == "mine now"
    (package.parent / "taken-file").write_text("")
    assert main(["new-plugin", "taken-file", "--folder", str(package.parent)]) == 2
    (package.parent / "dangling").symlink_to(package.parent / "nowhere")
    assert main(["new-plugin", "dangling", "--folder", str(package.parent)]) == 2


@pytest.mark.parametrize(
    "name",
    ["Acme", "acme_tools", "1acme", "../acme", "a b", "", "-a", "a--b", "é", "x" * 41, "numpy", "json", "class",
     "tradespace", "edge", "optimizers"],
)  # fmt: skip
def test_names_that_cannot_be_packages_are_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-plugin", "--folder", str(tmp_path), "--", name]) == 2
    assert capsys.readouterr().err.startswith("error: new-plugin: ")
    assert list(tmp_path.iterdir()) == []


def test_json_says_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-plugin", "fine", "--folder", str(tmp_path / "deep/er"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "deep/er/fine")
    assert all((Path(found["folder"]) / file).is_file() for file in found["files"])


def test_nothing_is_left_behind_when_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tradespace.cli import new_plugin

    def full(draft: Path, file: str, template: str, name: str) -> str:
        (draft / "half").write_text("")
        raise OSError(28, "No space left on device", str(draft / file))

    monkeypatch.setattr(new_plugin, "_fill", full)
    assert main(["new-plugin", "fine", "--folder", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []

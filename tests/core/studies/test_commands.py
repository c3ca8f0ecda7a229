"""`studies`, `resume`, `compare` and `dashboard` as a person calls them, on a small workload of the catalogue."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tradespace.cli import main

SEARCH = ("search", "toy-decoder", "target=phone", "seed=1", "batch=100", "budget.evaluations=600")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit code and the JSON document of a command."""
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def cut(database: Path, name: str, batches: int) -> None:
    """Take a finished study back to where a kill would have left it."""
    with sqlite3.connect(database) as connection:
        connection.execute(
            "delete from ts_batches where number >= ? and study = (select id from ts_studies where name = ?)",
            (batches, name),
        )
        connection.execute(
            "update ts_studies set status = 'running', front = null, summary = null where name = ?", (name,)
        )


def test_the_way_of_a_study(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, whole = call(capsys, *SEARCH, "name=whole")
    assert code == 0
    code, _ = call(capsys, *SEARCH, "name=cut")
    cut(here / "out" / "tradespace.db", "cut", 3)
    code, listed = call(capsys, "studies")
    assert [(s["study"], s["status"], s["evaluations"]) for s in listed["studies"]] == [
        ("whole", "complete", 600),
        ("cut", "interrupted", 300),
    ]
    code, resumed = call(capsys, "resume", "cut")
    assert code == 0
    assert resumed["front"] == whole["front"] and resumed["hypervolume"] == whole["hypervolume"]
    assert resumed["evaluations"] == 600
    assert Path(resumed["files"]["report"]).is_file()
    code, compared = call(capsys, "compare", "whole", "cut")
    assert code == 0 and compared["coverage"] == [[1.0, 1.0], [1.0, 1.0]]
    code, published = call(capsys, "dashboard", "--publish-only")
    assert [(p["study"], p["added"]) for p in published["published"]] == [("whole", 0), ("cut", 0)]
    for words in (["studies"], ["compare", "*"], ["dashboard", "cut", "--publish-only"]):
        assert main(words) == 0
        assert "cut" in capsys.readouterr().out


def test_a_killed_search_is_resumed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real program, kill -9, in the middle of its batches."""
    words = [w for w in SEARCH if "budget" not in w]
    command = [
        sys.executable,
        "-c",
        "from tradespace.cli import main; main()",
        *words,
        "budget.evaluations=4000",
        "name=k",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and logged(here / "out" / "tradespace.db") < 5:
            time.sleep(0.005)
        process.kill()
    left = logged(here / "out" / "tradespace.db")
    assert 5 <= left < 40, "the kill came too late to mean anything"
    code, resumed = call(capsys, "resume", "k")
    assert code == 0
    _, whole = call(capsys, *words, "budget.evaluations=4000", "name=whole")
    assert resumed["front"] == whole["front"]


def logged(database: Path) -> int:
    if not database.is_file():
        return 0
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return int(connection.execute("select count(*) from ts_batches").fetchone()[0])
    except sqlite3.OperationalError:  # its tables are not there yet
        return 0


@pytest.mark.parametrize("words", [("resume", "a"), ("compare", "a"), ("studies",), ("dashboard", "--publish-only")])
def test_without_a_database_nothing_is_made(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert main(list(words)) == 2
    assert "no study database here yet" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_an_unknown_study_gets_a_suggestion(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "name=laptop-run"]) == 0
    capsys.readouterr()
    for words in (["resume", "laptop-rum"], ["compare", "laptop-rum"], ["dashboard", "laptop-rum", "--publish-only"]):
        assert main(words) == 2
        assert "Did you mean 'laptop-run'?" in capsys.readouterr().err
    assert main(["resume", "laptop-run"]) == 2
    assert "is complete" in capsys.readouterr().err


def test_a_changed_target_refuses_to_resume(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = here / "mine.yaml"
    target.write_text("mine: {extends: phone}\n")
    words = ["search", "toy-decoder", f"target={target}", "batch=100", "budget.evaluations=300", "name=a"]
    assert main(words) == 0
    cut(here / "out" / "tradespace.db", "a", 1)
    target.write_text("mine: {extends: phone, title: other}\n")
    capsys.readouterr()
    assert main(["resume", "a"]) == 2
    assert "mine.yaml was " in capsys.readouterr().err


def test_the_dashboard_says_what_to_install(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    assert main([*SEARCH, "name=a"]) == 0
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "optuna_dashboard" else real(n, *a))
    assert main(["dashboard", "a"]) == 2
    assert "pip install 'tradespace[dashboard]'" in capsys.readouterr().err


def test_the_dashboard_runs_until_it_is_interrupted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is an extra")
    assert main([*SEARCH, "name=a"]) == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", "a", "--port", str(port)]) == 2
        assert "needs a free port" in capsys.readouterr().err
    program = f"from tradespace.cli import main; raise SystemExit(main(['dashboard', 'a', '--port', '{port}']))"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, start_new_session=True) as process:
        while process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=10) as answer:
                    names = [s["study_name"] for s in json.load(answer)["study_summaries"]]
                break
            except OSError:
                time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the whole group
        try:
            said = process.communicate(timeout=60)[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert b"Traceback" not in said
    assert names == ["a"] and process.returncode == 0

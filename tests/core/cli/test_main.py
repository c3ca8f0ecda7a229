"""What every command shares: dispatch, suggestions, exit codes, errors as one paragraph or one JSON document."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tradespace.cli import app, context
from tradespace.cli.main import COMMANDS, main
from tradespace.errors import TradespaceError


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command module that tests fill, in the place of ``tradespace list``."""
    module = ModuleType("tradespace.cli.list_")
    monkeypatch.setitem(sys.modules, "tradespace.cli.list_", module)
    return module


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"tradespace {name}" in out and "--json" in out


def test_help_lists_every_command_and_imports_none(tmp_path: Path) -> None:
    code = (
        "import sys; from tradespace.cli import main; assert main(['--help']) == 0; "
        "heavy = {'numpy', 'hydra', 'sqlalchemy', 'numba', 'optuna', 'rich'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "loaded = [m for m in sys.modules if m.startswith('tradespace.cli.')]; "
        "assert set(loaded) <= {f'tradespace.cli.{m}' for m in ('main', 'app', 'context')}, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name}" in done.stdout for name in COMMANDS)


def test_without_a_command_the_help_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    captured = capsys.readouterr()
    assert "\n  search " in captured.out and "\n  price " in captured.out and captured.err == ""
    assert main(["--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"].startswith("Missing command")


def test_mistyped_commands_get_suggestions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serch"]) == 2
    assert "unknown command 'serch'. Did you mean 'search'?" in capsys.readouterr().err
    assert main(["serch", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], error["remedy"]) == ("UnknownName", "Did you mean 'search'?")


def test_version_and_unknown_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tradespace ")
    assert main(["list", "--jsn"]) == 2
    assert "See 'tradespace list --help'." in capsys.readouterr().err
    assert main(["list", "--plugin"]) == 2
    assert "--plugin takes the path" in capsys.readouterr().err


def test_global_options_are_taken_from_any_place() -> None:
    rest, found = context.split_globals(
        ["--json", "list", "--plugin", "a.py", "targets", "--plugin=b.py", "--", "--json"]
    )
    assert rest == ["list", "--json", "targets", "--", "--json"]
    assert found == context.CommandContext(True, ("a.py", "b.py"))


def test_errors_are_one_paragraph_and_exit_2(planted: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise TradespaceError("a rule", value=7, where="here", remedy="Do this.")

    planted.command = command  # type: ignore[attr-defined]
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "error: here: a rule; got 7. Do this.\n"
    assert main(["--json", "list"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {
        "type": "TradespaceError", "message": "here: a rule; got 7. Do this.", "rule": "a rule", "value": "7",
        "where": "here", "remedy": "Do this.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "/x/y: Permission denied."),
        (OSError(28, "No space left on device"), 2, "Free some space"),
        (ValueError("a plugin's\nfault"), 2, "unexpected ValueError at"),
        (RecursionError("too deep"), 2, "unexpected RecursionError"),
    ],
)
def test_whatever_is_raised_there_is_no_traceback(
    planted: ModuleType, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    def command() -> None:
        raise error

    planted.command = command  # type: ignore[attr-defined]
    assert main(["list"]) == code
    text = capsys.readouterr().err
    assert message in text and "Traceback" not in text and text.count("\n") == 1
    assert main(["list", "--json"]) == code
    assert "message" in json.loads(capsys.readouterr().out)["error"]


def test_a_command_answers_with_its_exit_code(planted: ModuleType) -> None:
    def command() -> int:
        return 1

    planted.command = command  # type: ignore[attr-defined]
    assert main(["list"]) == 1
    planted.command = lambda: True  # type: ignore[attr-defined]
    assert main(["list"]) == 0


def test_a_module_without_its_function_is_named(planted: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 2
    assert "has no function 'command' or 'list'" in capsys.readouterr().err


def test_the_table_names_modules_that_exist() -> None:
    assert all(importlib.util.find_spec(f"tradespace.cli.{module}") for module, _ in COMMANDS.values())
    assert len({text for _, text in COMMANDS.values()}) == len(COMMANDS)
    assert callable(app.build())

"""The global options as commands see them, and the one JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from tradespace.cli.context import CommandContext, current, json_wanted, print_json, registry_from_context, using
from tradespace.plugins import registry


def test_outside_of_a_command_the_context_is_the_plain_one() -> None:
    assert current() == CommandContext() and not json_wanted()
    assert registry_from_context() is registry()


def test_plugin_files_make_a_registry_of_their_own(tmp_path: Path) -> None:
    plugin = tmp_path / "mine_in_context.py"
    plugin.write_text(
        "from tradespace.hookspecs import hookimpl\n\n@hookimpl\ndef tradespace_optimizers():\n"
        "    return {'mine': 'mine_in_context:Mine'}\n"
    )
    with using(CommandContext(True, (str(plugin),))):
        assert json_wanted() and "mine" in registry_from_context().names("optimizers")
        assert registry_from_context() is registry_from_context()
    assert "mine" not in registry_from_context().names("optimizers") and not json_wanted()


def test_the_document_is_plain_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {
            "array": np.arange(3.0),
            "scalar": np.float32(0.5),
            "never": [float("nan"), float("inf"), np.float64("-inf")],
            "mapping": MappingProxyType({1: (Path("a"), None, True)}),
            "text": "…",
        }
    )
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "array": [0.0, 1.0, 2.0], "scalar": 0.5, "never": [None, None, None], "mapping": {"1": ["a", None, True]},
        "text": "…",
    }  # fmt: skip
    assert "…" in out

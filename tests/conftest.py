"""What every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables break lines by the width of the terminal; tests that look at words get a wide one."""
    monkeypatch.setenv("COLUMNS", "160")

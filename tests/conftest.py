"""What every test shares."""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    """A shell that starts the tests in the background lets them ignore Ctrl-C, and so would every child."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables break lines by the width of the terminal; tests that look at words get a wide one."""
    monkeypatch.setenv("COLUMNS", "160")

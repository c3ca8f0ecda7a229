"""The command line. One thin file a command; a command's module is imported when it runs, never for ``--help``."""

from __future__ import annotations

from tradespace.cli.main import main

__all__ = ["main"]

"""Hashing: chips whose work is a lottery: shares, early aborts, and the null tests that a claim must beat."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")

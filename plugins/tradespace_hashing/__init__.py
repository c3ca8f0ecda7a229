"""Hashing chips: shares, early aborts, reservoirs, and the null tests that any claim about them must beat."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")

"""Memory: DRAM that computes where the weights lie."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")

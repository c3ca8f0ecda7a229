"""Accelerators: arrays of processing elements, arithmetic of encrypted numbers, networks made to fit them."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")

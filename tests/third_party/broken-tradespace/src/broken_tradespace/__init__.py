"""Broken on purpose: it needs a module that nobody has."""

from __future__ import annotations

import module_that_nobody_has  # noqa: F401

from tradespace.hookspecs import hookimpl


@hookimpl
def tradespace_optimizers() -> dict[str, str]:
    return {"miracle": "broken_tradespace:Miracle"}

"""The plugin of a third party. It imports nothing of tradespace but the hook marker."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl

TRADESPACE_CONTRACT = 1


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {"acme-stationary": "acme_tradespace.array:WeightStationary"}


@hookimpl
def tradespace_optimizers() -> dict[str, str]:
    return {"acme-climber": "acme_tradespace.climber:Climber"}

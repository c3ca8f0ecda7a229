"""A design in at most eight numbers, for plots that have no room for forty-eight."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Integer, Real, Variable

LIMIT = 8


@dataclass(frozen=True)
class Parameter:
    """One summary parameter: its ``name``, Optuna's distribution as JSON, and (N,) values in Optuna's coding."""

    name: str
    distribution: str
    values: NDArray[np.float64]


def parameters(designs: Designs, names: Sequence[str] | None = None) -> tuple[Parameter, ...]:
    """Single values as they are; per option of a choice over layers the number of layers (placements) or their share
    (everything else). At most `LIMIT`, those that differ most among the designs first; or just ``names``."""
    every = [p for v in designs.space.variables for p in _of(v, designs.columns[v.name])]
    if names is not None:
        return tuple(p for p in every if p.name in names)
    best = {p.name for p in sorted(every, key=_variety, reverse=True)[:LIMIT]}  # stable: equal ones in space order
    return tuple(p for p in every if p.name in best)


def _variety(parameter: Parameter) -> float:
    """Range of the values relative to the largest."""
    if not len(parameter.values):
        return 0.0
    return float(np.ptp(parameter.values)) / (float(np.abs(parameter.values).max()) or 1.0)


def _of(variable: Variable, block: NDArray[Any]) -> list[Parameter]:
    name, single = variable.name, variable.length is None
    if isinstance(variable, Choice) and single:
        choices = [o if isinstance(o, bool | int | float | str) else str(o) for o in variable.options]
        return [Parameter(name, _json("Categorical", choices=choices), block[:, 0].astype(np.float64))]
    if isinstance(variable, Choice):
        counts = [(str(o), (block == i).sum(axis=1).astype(np.float64)) for i, o in enumerate(variable.options)]
        if variable.name == "placement":
            whole = _json("Int", log=False, step=1, low=0, high=variable.width)
            return [Parameter(f"layers on {option}", whole, count) for option, count in counts]
        share = _json("Float", step=None, low=0.0, high=1.0, log=False)
        what = "" if name == "precision" else f"{name} "  # two variables may have an option in common
        return [Parameter(f"share of {what}{option}", share, count / variable.width) for option, count in counts]
    if isinstance(variable, Integer) and single:
        whole = _json("Int", log=variable.log, step=1, low=variable.low, high=variable.high)
        return [Parameter(name, whole, block[:, 0].astype(np.float64))]
    if isinstance(variable, Real) and single:
        span = _json("Float", step=None, low=float(variable.low), high=float(variable.high), log=variable.log)
        return [Parameter(name, span, block[:, 0].astype(np.float64))]
    if isinstance(variable, Integer | Real):
        low, high = float(variable.low), float(variable.high)
        mean = np.clip(block.mean(axis=1), low, high)
        return [Parameter(f"mean {name}", _json("Float", step=None, low=low, high=high, log=False), mean)]
    return []  # orders and compositions say little in one number; the whole design is in the attribute


def _json(kind: str, **attributes: Any) -> str:
    return json.dumps({"name": f"{kind}Distribution", "attributes": attributes})

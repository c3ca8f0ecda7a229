"""How far from optimal a front can be at most, certified from the evaluator's chain structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tradespace.problem import Problem
    from tradespace.search.indicators import Box


@dataclass(frozen=True)
class Gap:
    """``gap``: share of the bound's hypervolume that may still be missing at most."""

    hypervolume_bound: float
    gap: float
    method: str
    epsilon: float


def certified_gap(problem: Problem, minimised: NDArray[np.float64], box: Box) -> Gap | None:
    """None where the structure gives no bound."""
    return None

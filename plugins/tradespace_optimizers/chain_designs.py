"""From paths of chain states to designs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.problem import Structure


def designs_of(space: Space, structure: Structure, states: NDArray[np.intp]) -> Designs:
    """Designs (L) of paths ``states`` (L, n); variables outside the structure take their first value."""
    columns, rest = {}, states
    for name in reversed(structure.variables):
        rest, columns[name] = np.divmod(rest, len(space[name].options))  # type: ignore[attr-defined]
    return space.designs(columns)

"""From paths of chain states to designs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Composition, Designs, Space
from tradespace.problem import Structure


def designs_of(space: Space, structure: Structure, states: NDArray[np.intp]) -> Designs:
    """Designs (L) of paths ``states`` (L, n); variables outside the structure take their first value. A Composition
    takes as many units into a part as entries are in it; what a state remembers of other entries is left out."""
    columns, rest = {}, states
    if structure.apart:
        for name in structure.variables:
            own = space[name]
            columns[name] = np.minimum(rest[:, : own.width], len(own.options) - 1)  # type: ignore[attr-defined]
            rest = rest[:, own.width :]
        return space.designs(columns)
    for name in reversed(structure.variables):
        variable = space[name]
        if isinstance(variable, Composition):
            rest, part = np.divmod(rest, variable.width)
            columns[name] = (part[:, :, None] == np.arange(variable.width)).sum(axis=1)
        else:
            rest, columns[name] = np.divmod(rest, len(variable.options))  # type: ignore[attr-defined]
    return space.designs(columns)

"""Machines that task graphs are scheduled on, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

POINTS = 11
"""Points of a power table: at 0, 10, ... 100 % of the cores busy (SPECpower)."""


@dataclass(frozen=True)
class Nodes:
    """m machines: ``rate`` (m,) operations/s of a core; ``cores`` (m,); ``bandwidth`` (m,) B/s of its network port;
    ``delay`` (m,) s one way to it; ``memory`` (m,) B; ``power`` (m, POINTS) W; ``price`` (m,) per h; ``network`` B/s of
    what joins them."""

    names: tuple[str, ...]
    rate: Floats
    cores: Ints
    bandwidth: Floats
    delay: Floats
    memory: Floats
    power: Floats
    price: Floats
    network: float

    def __len__(self) -> int:
        return len(self.names)

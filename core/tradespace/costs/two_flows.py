"""Two flows that share one bandwidth, in closed form.

Both slow down alike while their demands together exceed the channel; then the longer one runs on by itself. `events`
with the same two tasks gives the same time (a test holds them together).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def together(a: ArrayLike, b: ArrayLike, moved_a: ArrayLike, moved_b: ArrayLike, channel: float) -> Floats:
    """s until both are done: min / q + (max - min) / p, with q and p the speeds together and of the longer one alone.

    Args:
        a, b: s that each takes alone, any shapes that broadcast.
        moved_a, moved_b: B that each moves in that time; demand = bytes / time (ours: the mean over the flow).
        channel: B/s that both get together.
    """
    first, second = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    demand_a, demand_b = _demand(first, moved_a), _demand(second, moved_b)
    alone = np.where(first >= second, demand_a, demand_b)
    short, long = np.minimum(first, second), np.maximum(first, second)
    return np.asarray(short / _speed(demand_a + demand_b, channel) + (long - short) / _speed(alone, channel))


def _demand(time: Floats, moved: ArrayLike) -> Floats:
    return np.divide(moved, time, out=np.zeros(time.shape), where=time > 0)


def _speed(demand: Floats, channel: float) -> Floats:
    return np.asarray(np.minimum(1.0, channel / np.maximum(demand, channel)))

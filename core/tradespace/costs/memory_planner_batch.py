"""Peak memory of thousands of networks at once: the compiled twin of `tradespace.costs.memory_planner.plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.compiled import in_two, njit
from tradespace.costs.memory_planner import Buffer, Order

Steps = NDArray[np.int32]
Bytes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PackedBuffers:
    """T buffers of each of N networks, ``(N, T)``. A buffer of size 0 does not exist.

    Args:
        start, cut, end: int32 steps, inclusive; `cut` is the last step at full size.
        size, rest: int64 bytes, before and after `cut`.
    """

    start: Steps
    cut: Steps
    end: Steps
    size: Bytes
    rest: Bytes

    def __len__(self) -> int:
        return len(self.size)


def pack(networks: Sequence[Sequence[Buffer]]) -> PackedBuffers:
    """Networks as arrays, padded with buffers of size 0."""
    width = max((len(buffers) for buffers in networks), default=0)
    table = np.zeros((5, len(networks), width), np.int64)
    for n, buffers in enumerate(networks):
        for t, b in enumerate(buffers):
            table[:, n, t] = (b.start, b.end if b.cut is None else b.cut, b.end, b.size, b.tail)
    start, cut, end = (np.ascontiguousarray(column, np.int32) for column in table[:3])
    return PackedBuffers(start, cut, end, table[3], table[4])


def peaks(packed: PackedBuffers, order: Order = "size") -> Bytes:
    """(N,) bytes of the arena of each network, equal to `plan(...).peak`."""
    out = np.zeros(len(packed), np.int64)
    if len(packed):
        arrays = (packed.start, packed.cut, packed.end, packed.size, packed.rest)
        in_two(partial(_first_fit, *map(np.ascontiguousarray, arrays), order == "lifetime", out), len(packed))
    return out


def live_peaks(packed: PackedBuffers) -> Bytes:
    """(N,) largest sum of bytes alive at one step, equal to `live_bytes`: a lower bound of `peaks`."""
    n, steps = len(packed), int(packed.end.max(initial=0)) + 2
    change = np.zeros((n, steps), np.int64)
    rows = np.arange(n)[:, None]
    np.add.at(change, (rows, packed.start), packed.size)
    np.add.at(change, (rows, packed.cut + 1), packed.rest - packed.size)
    np.add.at(change, (rows, packed.end + 1), -packed.rest)
    return np.asarray(change.cumsum(axis=1).max(axis=1, initial=0))


@njit
def _before(a: int, b: int, start: Any, end: Any, size: Any, by_life: bool) -> bool:  # pragma: no cover - compiled
    """Whether buffer `a` is placed before `b` (the larger index never goes first in a tie)."""
    life_a, life_b = end[a] - start[a], end[b] - start[b]
    if by_life and life_a != life_b:
        return bool(life_a > life_b)
    if size[a] != size[b]:
        return bool(size[a] > size[b])
    if life_a != life_b:
        return bool(life_a > life_b)
    if start[a] != start[b]:
        return bool(start[a] < start[b])
    return a < b


@njit
def _push(at: int, low: int, own: int, taken: int) -> int:  # pragma: no cover - compiled
    """The address behind a block of `taken` bytes at `low` if `own` bytes at `at` meet it, else `at`."""
    if own > 0 and taken > 0 and at < low + taken and low < at + own:
        return low + taken
    return at


@njit
def _first_fit(
    start: Any, cut: Any, end: Any, size: Any, rest: Any, by_life: bool, out: Any, lo: int, hi: int
) -> None:  # pragma: no cover - compiled
    width = size.shape[1]
    order = np.empty(width, np.int64)
    address = np.empty(width, np.int64)
    for n in range(lo, hi):
        s, c, e, z, r = start[n], cut[n], end[n], size[n], rest[n]
        count = 0
        for t in range(width):  # insertion sort: networks are nearly ordered and small
            if z[t] <= 0:
                continue
            place = count
            while place > 0 and _before(t, order[place - 1], s, e, z, by_life):
                order[place] = order[place - 1]
                place -= 1
            order[place] = t
            count += 1
        peak = 0
        for i in range(count):
            t = order[i]
            at, before = 0, -1
            while at != before:  # each pass moves up behind whatever it meets; the last one meets nothing
                before = at
                for j in range(i):
                    u = order[j]
                    if s[t] > e[u] or s[u] > e[t]:
                        continue
                    low = address[j]
                    if s[t] <= c[u] and s[u] <= c[t]:
                        at = _push(at, low, z[t], z[u])
                    if s[t] <= e[u] and c[u] + 1 <= c[t]:
                        at = _push(at, low, z[t], r[u])
                    if c[t] + 1 <= c[u] and s[u] <= e[t]:
                        at = _push(at, low, r[t], z[u])
                    if c[t] + 1 <= e[u] and c[u] + 1 <= e[t] and c[t] < e[t] and c[u] < e[u]:
                        at = _push(at, low, r[t], r[u])
            address[i] = at
            peak = max(peak, at + z[t])
        out[n] = peak

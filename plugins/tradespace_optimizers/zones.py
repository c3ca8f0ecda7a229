"""Fronts by the epsilon-constraint method over search zones, for any solver of one objective under upper limits.

A zone is a vector u: in it every objective k must lie below u_k. A solve minimises the first objective (plus a little
of the others, so that the answer is efficient) inside a zone; a point found cuts every zone that holds it into one
smaller zone an objective (Klamroth, Lacour, Vanderpooten 2015, "On the representation of the search region in
multi-objective optimization", the redundant ones removed by comparison). Zones below a solved one are known empty
without a solve: the bypass of AUGMECON2 (Mavrotas, Florios 2013). Two objectives take |front| + 1 solves.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Answer(enum.Enum):
    """A solve without a point."""

    EMPTY = "proved empty"
    UNKNOWN = "the solver gave up"


@dataclass(frozen=True)
class Point:
    """``values`` (M,) and the path of chain states ``states`` (n,) that has them. ``bound``: no point of the zone has
    a smaller first objective than this; the first value itself where the solver proved it."""

    values: Array
    states: NDArray[np.intp]
    bound: float
    proved: bool = True


class Solver(Protocol):
    def __call__(self, below: Array) -> Point | Answer:
        """The best first objective among designs whose other objectives are at most ``below[1:]``."""


@dataclass
class Zones:
    """The part of objective space that may still hold efficient designs.

    Args:
        highest: (M,) above every design. lowest: (M,) at or below every design.
        step: (M,) by how much a new point must be better than a known one in some objective (1 for whole numbers).
    """

    highest: Array
    lowest: Array
    step: Array
    solves: int = 0
    given_up: int = 0
    points: list[Point] = field(default_factory=list)
    _open: Array = field(init=False)
    _empty: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._open = self.highest[None, :].astype(np.float64)

    @property
    def left(self) -> int:
        """Zones that are neither solved nor known to be empty."""
        return len(self._open)

    def search(self, solve: Solver) -> Iterator[Point | None]:
        """Points as they are found, widest zone first; None after a solve that found no new one."""
        while len(self._open):
            zone = self._open[int(np.argmax(self._volumes()))]
            answer = solve(zone - self.step)
            self.solves += 1
            if isinstance(answer, Answer):
                self.given_up += answer is Answer.UNKNOWN
                self._close(zone)
                yield None
                continue
            solved = zone.copy()
            solved[0] = answer.values[0] if answer.proved else answer.bound
            self._empty.append(solved)
            known = any(np.array_equal(answer.values, point.values) for point in self.points)
            self._cut(answer.values)
            if not (answer.values < zone).all():  # the best of the zone's slab lies beside the zone
                self._close(zone)
            if not known:
                self.points.append(answer)
            yield None if known else answer

    def _close(self, zone: Array) -> None:
        self._empty.append(zone)
        self._open = self._open[~(self._open <= zone).all(axis=1)]

    def _cut(self, point: Array) -> None:
        inside = (point < self._open).all(axis=1)
        cut, kept = self._open[inside], self._open[~inside]
        fresh = []
        for m in range(len(point)):
            smaller = cut.copy()
            smaller[:, m] = point[m]
            room = smaller[:, m] - self.step[m] >= self.lowest[m]
            fresh.append(smaller[room])
        zones = np.unique(np.concatenate([kept, *fresh]), axis=0)
        within: NDArray[np.bool_] = np.all(zones[:, None] <= zones[None], axis=2) & ~np.eye(len(zones), dtype=bool)
        zones = zones[~within.any(axis=1)]
        for known in self._empty:
            zones = zones[~(zones <= known).all(axis=1)]
        self._open = zones

    def _volumes(self) -> Array:
        span = np.where(self.highest > self.lowest, self.highest - self.lowest, 1.0)
        return np.asarray(np.log(np.maximum((self._open - self.lowest) / span, 1e-12)).sum(axis=1))

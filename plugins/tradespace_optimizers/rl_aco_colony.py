"""The searching half of `rl_aco`: max-min pheromones per objective, and what ants take over or build anew.

Pheromones live in [least, 1] (hyper-cube framework, Blum and Dorigo 2004; limits as in MMAS, Stützle and Hoos 2000): a
trail moves by the share rho towards the designs that deposit, whatever the units of their costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Permutation, Space
from tradespace.errors import ProblemError
from tradespace.search import ants

Array = NDArray[np.float64]
Rng = np.random.Generator
BANDS = 50
"""Most rows of a position table: long orders share a row among neighbouring positions."""


@dataclass(frozen=True)
class Lane:
    """One variable of the space: ``width`` decisions among ``options``; an order has ``rows`` bands of positions."""

    name: str
    ordered: bool
    width: int
    options: int
    rows: int

    @property
    def least(self) -> float:
        """Lower limit of a trail: tau_max / (2 n)."""
        return 1.0 / (2.0 * max(self.width, 2))

    def place(self, designs: NDArray[np.intp], weight: Array) -> Array:
        """``(rows, options)`` weighted share of the designs (N, width) that use each entry of the table."""
        row = np.arange(self.width)
        if self.ordered:
            row = row * self.rows // self.width
        flat = (row * self.options + designs).ravel()
        found = np.bincount(flat, np.repeat(weight, self.width), self.rows * self.options)
        share = found.reshape(self.rows, self.options) / max(weight.sum(), 1e-300)
        return np.asarray(np.minimum(share, 1.0))


def lanes_of(space: Space) -> tuple[Lane, ...]:
    """Raises `ProblemError` for variables that ants do not build."""
    lanes = []
    for v in space.variables:
        if v.when or v.prefix or not isinstance(v, Choice | Permutation):
            raise ProblemError(
                "ants build assignments (Choice) and orders (Permutation), without conditions",
                value=f"{type(v).__name__} '{v.name}'",
                where="optimizer rl_aco",
                remedy="Use optimizer=pgsam, or fix that decision.",
            )
        if isinstance(v, Choice):
            lanes.append(Lane(v.name, False, v.width, len(v.options), v.width))
        else:
            lanes.append(Lane(v.name, True, v.n, v.n, min(v.n, BANDS)))
    return tuple(lanes)


class Trails:
    """Pheromones of one variable, ``tau`` (M, rows, options)."""

    def __init__(self, objectives: int, lane: Lane, rho: float) -> None:
        self.lane, self._rho = lane, rho
        self.tau: Array = np.ones((objectives, lane.rows, lane.options))

    def log(self, weights: Array) -> Array:
        """``(D, rows, options)``: the trails of all objectives, mixed as exponents (bi-criterion rule)."""
        return np.tensordot(weights, np.log(self.tau), axes=1)

    def deposit(self, objective: int, target: Array) -> None:
        moved = (1.0 - self._rho) * self.tau[objective] + self._rho * target
        self.tau[objective] = moved.clip(self.lane.least, 1.0)

    def restart(self) -> None:
        self.tau[:] = 1.0


def rebuilt(width: int, n: int, rng: Rng, least: int) -> NDArray[np.bool_]:
    """``(n, width)`` masks of what each ant builds anew: log-uniform many entries, a stretch or scattered (ours; to
    take the rest over from a good design: iterated ants, Wiesemann and Stützle 2006; cunning ants, Tsutsui 2006)."""
    count = np.floor(least * (width / least) ** rng.random((n, 1))) if width > least else np.full((n, 1), width)
    start, scattered = rng.integers(0, width, (n, 1)), rng.random((n, 1)) < 0.5
    stretch = (np.arange(width) - start) % width < count
    if not scattered.any():
        return np.asarray(stretch)
    keys = rng.random((n, width))
    cut = np.take_along_axis(np.sort(keys, axis=1), count.astype(np.intp).clip(1, width) - 1, axis=1)
    return np.where(scattered, keys <= cut, stretch)


def reinsert(orders: NDArray[np.int32], rows: NDArray[np.intp], trail: Array, lane: Lane, rng: Rng) -> None:
    """Takes one thing out of each order in ``rows`` and puts it back where the trail (D = 1 row a band) leads it."""
    if lane.width < 2 or not len(rows):
        return
    n = lane.width
    source = rng.integers(0, n, len(rows))
    thing = orders[rows, source]
    weight = trail[:, thing].T  # (N, bands)
    band = np.argmax(np.cumsum(weight, axis=1) > rng.random((len(rows), 1)) * weight.sum(axis=1, keepdims=True), axis=1)
    low, high = -(-band * n // lane.rows), -(-(band + 1) * n // lane.rows)
    near = rng.random(len(rows)) < 0.5  # half of the moves are short: a trail says little about neighbours
    step = rng.geometric(min(1.0, 4.0 / n), len(rows)) * np.where(rng.random(len(rows)) < 0.5, -1, 1)
    dest = np.where(near, source + step, low + np.floor(rng.random(len(rows)) * np.maximum(high - low, 1)).astype(int))
    dest = dest.clip(0, n - 1)
    dest = np.where(dest == source, (source + 1) % n, dest)
    for row, a, b in zip(rows.tolist(), source.tolist(), dest.tolist(), strict=True):
        order = orders[row]
        moved = order[a]
        if a < b:
            order[a:b] = order[a + 1 : b + 1].copy()
        else:
            order[b + 1 : a + 1] = order[b:a].copy()
        order[b] = moved


def build(
    lane: Lane, colony: Array, policy: Array, mu: float, group: NDArray[np.intp], base: NDArray[np.int32],
    fresh: NDArray[np.bool_], forced: NDArray[np.intp], rng: Rng,
) -> NDArray[np.int32]:  # fmt: skip
    """``(N, width)`` codes or orders of N ants; see `tradespace.search.ants`."""
    out = np.empty(base.shape, np.int32)
    uniform = rng.random(base.shape)
    base = np.ascontiguousarray(base, np.int32)
    if lane.ordered:
        ants.arrange(colony, policy, mu, ants.POSITION, group, base, fresh, uniform, out)
    else:
        ants.assign(colony, policy, mu, group, base, fresh, forced, uniform, out)
    return out

"""Lower bounds of weighted objectives over a chain, with limits and maxima priced by Lagrange multipliers.

For weights w >= 0 the least of w . f over all designs that keep the limits is at least, for any multipliers mu >= 0 of
the limits and any split of w_m over the groups of a maximum (a maximum is at least each convex mix of its groups),

    min over paths of  sum_m w_m f_m + sum_j mu_j (use_j / cap_j - 1),

a shortest path (Geoffrion 1974, Lagrangean relaxation for integer programming). Multipliers are improved by
subgradient steps of Polyak's length. Each bound cuts a half-space off the objective space: `upper_volume` says how much
hypervolume is left. The paths on the way that keep the limits are good designs to start from. Ours in this combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import ChainTerm
from tradespace.search.labels import Limit
from tradespace.search.shortest import best_paths

Array = NDArray[np.float64]

_SAFETY = 1e-9
_PATIENCE = 4  # steps without a better bound before steps are halved
_CELLS = 160


@dataclass(frozen=True)
class Supports:
    """``weights`` (W, M), ``bounds`` (W,): every design that keeps the limits has ``weights @ f >= bounds``, with f in
    units of ``scale``. ``states`` (L, n): distinct paths that keep all limits, found on the way. ``multipliers``
    (W, Q) of the groups and limits at the bounds."""

    weights: Array
    bounds: Array
    states: NDArray[np.intp]
    multipliers: Array


def directions(objectives: int, steps: int) -> Array:
    """Das and Dennis' weights: all multiples of 1 / steps that sum to one, (W, M)."""
    cuts = np.asarray(list(combinations(range(steps + objectives - 1), objectives - 1)), np.float64)
    cuts = cuts.reshape(len(cuts), objectives - 1)
    edges = np.concatenate([np.full((len(cuts), 1), -1.0), cuts, np.full((len(cuts), 1), steps + objectives - 1.0)], 1)
    return np.asarray((np.diff(edges, axis=1) - 1.0) / steps)


def supports(
    groups: Sequence[Sequence[ChainTerm]],
    limits: Sequence[Limit],
    scale: Array,
    weights: Array,
    known: Array | None = None,
    steps: int = 40,
    links: NDArray[np.bool_] | None = None,
) -> Supports:
    """Bounds and paths for these weights.

    Args:
        groups: per objective the terms whose largest sum it is. limits: with caps above 0.
        scale: (M,) units of the objectives. weights: (W, M).
        known: (K, M) objectives of feasible designs: what bounds are aimed at; None: a little above the bound.
        links: (n - 1, S, S) which state may follow which; None: any.
    """
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    unit = np.concatenate([scale[owner], [limit.cap for limit in limits]])
    terms = [term for group in groups for term in group] + [limit.term for limit in limits]
    unary = np.stack([np.asarray(t.unary, np.float64) / u for t, u in zip(terms, unit, strict=True)])
    pair = _pairs(terms, unit)
    share = weights[:, owner] / np.bincount(owner)[owner]
    first = np.concatenate([share, np.zeros((len(weights), len(limits)))], axis=1)
    state = _Ascent(unary, pair, weights, owner, first, links)
    target = None if known is None or not len(known) else (weights @ (known / scale).T).min(axis=1)
    for _ in range(steps if len(limits) or len(owner) > len(groups) else 1):
        state.step(target)
    bounds = state.best - _SAFETY * (1.0 + np.abs(state.best))
    paths = np.concatenate(state.paths) if state.paths else np.empty((0, unary.shape[1]), np.intp)
    return Supports(weights, bounds, np.unique(paths, axis=0), state.best_at)


def priced_terms(
    groups: Sequence[Sequence[ChainTerm]], limits: Sequence[Limit], scale: Array, found: Supports, row: int
) -> list[ChainTerm]:
    """One sum an objective in which the multipliers of weight ``row`` stand for maxima and limits: fronts of these
    sums hold good designs near that weight."""
    price, weights, at, terms = found.multipliers[row], found.weights[row], 0, []
    for m, group in enumerate(groups):
        share = price[at : at + len(group)]
        share = share / weights[m] if weights[m] > 0 else np.full(len(group), 1.0 / len(group))
        terms.append([(term, part / scale[m]) for term, part in zip(group, share.tolist(), strict=True)])
        at += len(group)
    use = [(limit.term, part / limit.cap) for limit, part in zip(limits, price[at:].tolist(), strict=True)]
    return [_mix([*own, *use]) for own in terms]


def _mix(parts: Sequence[tuple[ChainTerm, float]]) -> ChainTerm:
    unary = sum((term.unary * share for term, share in parts), np.zeros(np.shape(parts[0][0].unary)))
    pairs = [term.pair * share for term, share in parts if term.pair is not None]
    return ChainTerm(np.asarray(unary), np.sum(pairs, axis=0) if pairs else None)


def _pairs(terms: Sequence[ChainTerm], unit: Array) -> Array | None:
    if all(term.pair is None for term in terms):
        return None
    n, states = np.shape(terms[0].unary)
    nothing = np.zeros((n - 1, states, states))
    return np.stack([nothing if t.pair is None else t.pair / u for t, u in zip(terms, unit, strict=True)])


class _Ascent:
    """Multipliers ``(W, Q)`` and the best bound of each weight so far."""

    def __init__(
        self,
        unary: Array,
        pair: Array | None,
        weights: Array,
        owner: NDArray[np.intp],
        first: Array,
        links: NDArray[np.bool_] | None,
    ) -> None:
        self._wall = None if links is None else np.where(links, 0.0, np.inf)
        self._unary, self._pair, self._weights, self._owner = unary, pair, weights, owner
        self._multipliers = first
        self._length = np.ones(len(weights))
        self._idle = np.zeros(len(weights), np.intp)
        self.best_at = first
        self.best = np.full(len(weights), -np.inf)
        self.paths: list[NDArray[np.intp]] = []

    def step(self, target: Array | None) -> None:
        lam, groups = self._multipliers, len(self._owner)
        pair = None if self._pair is None else np.tensordot(lam, self._pair, 1)
        if self._wall is not None:
            pair = np.broadcast_to(self._wall, (len(lam), *self._wall.shape)) if pair is None else pair + self._wall
        value, states = best_paths(np.tensordot(lam, self._unary, 1), pair)
        value = value - lam[:, groups:].sum(axis=1)
        sums = self._sums(states)
        self.paths.append(states[(sums[:, groups:] <= 1.0).all(axis=1)])
        better = value > self.best
        self.best = np.where(better, value, self.best)
        self.best_at = np.where(better[:, None], lam, self.best_at)
        self._idle = np.where(better, 0, self._idle + 1)
        halve = self._idle >= _PATIENCE
        self._length, self._idle = np.where(halve, self._length / 2, self._length), np.where(halve, 0, self._idle)
        lam = np.where(halve[:, None], self.best_at, lam)
        slope = sums.copy()
        slope[:, groups:] -= 1.0
        for m in range(self._weights.shape[1]):  # along the simplex only differences count
            slope[:, np.flatnonzero(self._owner == m)] -= slope[:, np.flatnonzero(self._owner == m)].mean(1)[:, None]
        aim = self.best + 0.05 * (1.0 + np.abs(self.best)) if target is None else target
        move = np.maximum(aim - value, 0.0) * self._length / np.maximum((slope**2).sum(axis=1), 1e-12)
        self._multipliers = self._project(lam + move[:, None] * slope)

    def _sums(self, states: NDArray[np.intp]) -> Array:
        i = np.arange(states.shape[1])
        sums = self._unary[:, i, states].sum(axis=-1)
        if self._pair is not None:
            sums = sums + self._pair[:, i[:-1], states[:, :-1], states[:, 1:]].sum(axis=-1)
        return np.asarray(sums.T)

    def _project(self, lam: Array) -> Array:
        """Onto multipliers >= 0 whose groups sum to the weight of their objective."""
        out = np.maximum(lam, 0.0)
        for m in range(self._weights.shape[1]):
            columns = np.flatnonzero(self._owner == m)
            if len(columns) == 1:
                out[:, columns[0]] = self._weights[:, m]
                continue
            part, total = lam[:, columns], self._weights[:, m]
            order = -np.sort(-part, axis=1)
            level = (np.cumsum(order, axis=1) - total[:, None]) / np.arange(1, len(columns) + 1)
            used = (order > level).sum(axis=1).clip(1) - 1
            out[:, columns] = np.maximum(part - level[np.arange(len(part)), used][:, None], 0.0)
        return out


def upper_volume(sets: Sequence[Array], found: Supports, offset: Array) -> float:
    """An upper bound of the hypervolume (share of the unit box below 1) that designs can reach, 2 or 3 objectives.

    Args:
        sets: (L, M) each, normalised so that the box is [0, 1]: every design in the box is weakly dominated by some
            row of each set. found: half-spaces; ``offset`` (M,) is the box's ideal in units of their scale.

    Cells of a grid over all objectives but the first are judged at their upper corners, so the volume is never
    underestimated.
    """
    m = len(offset)
    axes = [_axis(np.concatenate([s[:, k] for s in sets])) for k in range(1, m)]
    corners = np.meshgrid(*(axis[1:] for axis in axes), indexing="ij")
    least = np.zeros(corners[0].shape)
    for rows in sets:
        least = np.maximum(least, _lowest(rows, axes))
    for weight, bound in zip(found.weights, found.bounds - found.weights @ offset, strict=True):
        rest = bound - sum(w * c for w, c in zip(weight[1:], corners, strict=True))
        if weight[0] > 0:
            np.maximum(least, rest / weight[0], out=least)
        else:
            least[rest > 0] = 1.0
    area = np.diff(axes[0]) if m == 2 else np.outer(np.diff(axes[0]), np.diff(axes[1]))
    return float((area * (1.0 - np.clip(least, 0.0, 1.0))).sum())


def _axis(values: Array) -> Array:
    inside = values[(values > 0) & (values < 1)]
    dense = np.quantile(inside, np.linspace(0, 1, _CELLS)) if len(inside) else np.empty(0)
    return np.unique(np.concatenate([np.linspace(0.0, 1.0, _CELLS), dense]))


def _lowest(rows: Array, axes: Sequence[Array]) -> Array:
    """Per cell the least first objective among rows that are below its upper corner; 1 where there is none."""
    rows = rows[(rows < 1.0).all(axis=1)]
    grid = np.ones([len(axis) - 1 for axis in axes])
    place = tuple(
        np.clip(np.searchsorted(axis[1:], rows[:, k + 1], side="left"), 0, len(axis) - 2) for k, axis in enumerate(axes)
    )
    np.minimum.at(grid, place, rows[:, 0])
    for k in range(len(axes)):
        grid = np.minimum.accumulate(grid, axis=k)
    return grid

"""An objective that is the largest of several sums: what is probed of it, and the fit.

Ours. One variable, say the device, tells the groups: an entry belongs to the sum of its option, which counts what its
entries cost, and what they receive from neighbours of other groups (or send to them too). Only the largest sum is seen,
so every group is learnt where it is the largest: first with all entries in it, then with a few of them elsewhere,
as cheap there as the first step lets one guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from tradespace_optimizers.learned_chain_model import Entries

Array = NDArray[np.float64]
States = NDArray[np.intp]
Rng = np.random.Generator

_MOSTLY = 0.7  # share of a test's entries that are alike
_LEAVING = 6  # one entry in so many leaves on each side of a test
_REACHED = 1.0 - 1e-6  # of a price: another group that is predicted so high may be the largest
_POOL = 3  # designs per unknown, of which those to be priced are chosen
_RANK = 1e-6  # of the largest pivot: below, a design tells nothing new
_NOTHING = 1e-12  # of the largest weight: rounding


@dataclass(frozen=True)
class Grouping:
    """Groups by variable ``v``: (S,) ``group`` of each state, and ``within`` (G, R): the states of each group."""

    entries: Entries
    v: int

    @property
    def count(self) -> int:
        return self.entries.options[self.v]

    @property
    def group(self) -> States:
        return self.entries.digits[:, self.v]

    @property
    def within(self) -> States:
        return np.argsort(self.group, kind="stable").reshape(self.count, -1)

    def columns(self, sends: bool) -> int:
        """Unknowns of a group's sum."""
        n, (groups, rest) = self.entries.n, self.within.shape
        return int(n * rest + (n - 1) * (groups - 1) * (2 if sends else 1))

    def features(self, k: int, state: States, sends: bool) -> Array:
        """``(N, columns)``: which entries are in group ``k``, and how; what they receive, and send."""
        mine, group = self.within[k], self.group[state]
        own = state[..., None] == mine
        others = np.delete(np.arange(self.count), k)
        before = (group[:, 1:, None] == k) & (group[:, :-1, None] == others)
        parts = [own, before]
        if sends:
            parts.append((group[:, :-1, None] == k) & (group[:, 1:, None] == others))
        flat = [part.reshape(len(state), math.prod(part.shape[1:])) for part in parts]  # there may be no row
        return np.concatenate(flat, axis=1).astype(np.float64)

    def tables(self, k: int, weights: Array, sends: bool) -> tuple[Array, Array]:
        """``(n, S)`` and ``(n - 1, S, S)`` of one group from its weights (columns,)."""
        n, states = self.entries.n, self.entries.states
        mine, others = self.within[k], np.delete(np.arange(self.count), k)
        unary, pair = np.zeros((n, states)), np.zeros((n - 1, self.count, self.count))
        end, each = n * len(mine), (n - 1) * len(others)
        unary[:, mine] = weights[:end].reshape(n, -1)
        pair[:, others, k] = weights[end : end + each].reshape(n - 1, -1)
        if sends:
            pair[:, k, others] = weights[end + each :].reshape(n - 1, -1)
        return unary, pair[:, self.group[:, None], self.group[None, :]]


@dataclass(frozen=True)
class LargestFit:
    """``unary`` (n, S, G) and ``pair`` (n - 1, S, S, G) of the groups of one objective."""

    unary: Array
    pair: Array

    def sums(self, state: States) -> Array:
        """``(N, G)``."""
        place = np.arange(state.shape[1])
        own = self.unary[place, state].sum(axis=1)
        return np.asarray(own + self.pair[place[:-1], state[:, :-1], state[:, 1:]].sum(axis=1))

    def predict(self, state: States) -> Array:
        """``(N,)``."""
        return np.asarray(self.sums(state).max(axis=1))


def alike(grouping: Grouping, k: int, rng: Rng, *, leaving: bool = False) -> States:
    """``(4, n)``: a crossing (`learned_chain_model.crossings`) of designs that are all in group ``k``, one mostly in
    one state, the other in another, so that another variable that tells groups shows. ``leaving``: some entries of
    each are in other groups, on either side of the crossing, so that one of the four has none, and one has them all."""
    n, mine = grouping.entries.n, grouping.within[k]
    most = mine[rng.permutation(len(mine))[:2]][:, None] if len(mine) > 1 else mine[[0, 0]][:, None]
    a, b = np.where(rng.random((2, n)) < _MOSTLY, most, mine[rng.integers(0, len(mine), (2, n))])
    cut = int(rng.integers(n // 3, n - n // 3))
    if leaving:
        others, few = np.flatnonzero(grouping.group != k), max(1, n // _LEAVING)
        a[rng.permutation(cut)[:few]] = rng.choice(others, min(few, cut))
        b[cut + 1 + rng.permutation(n - cut - 1)[:few]] = rng.choice(others, min(few, n - cut - 1))
    b[cut] = a[cut]
    right = np.arange(n) > cut
    return np.stack([a, b, np.where(right, b, a), np.where(right, a, b)])


def inside(grouping: Grouping, rng: Rng) -> tuple[States, States]:
    """(states (N, n), group (N,)): for each group a random design in it, and all that differ from it in one entry."""
    n, within = grouping.entries.n, grouping.within
    rows = []
    for mine in within:
        base = rng.integers(0, len(mine), n)
        changed = np.repeat(base[None], 1 + n * (len(mine) - 1), axis=0)
        place = np.repeat(np.arange(n), len(mine) - 1)
        step = np.tile(np.arange(1, len(mine)), n)
        changed[1 + np.arange(len(place)), place] = (base[place] + step) % len(mine)
        rows.append(mine[changed])
    return np.concatenate(rows), np.repeat(np.arange(len(within)), [len(r) for r in rows])


def guessed(grouping: Grouping, state: States, owner: States, values: Array) -> LargestFit:
    """From `inside` alone: an entry's share of a sum is taken to be proportional to how much it can change."""
    n, within = grouping.entries.n, grouping.within
    unary = np.zeros((n, grouping.entries.states, grouping.count))
    for k, mine in enumerate(within):
        rows = np.flatnonzero(owner == k)
        own = grouping.features(k, state[rows], False)[:, : n * len(mine)]
        cost = np.linalg.lstsq(own, values[rows])[0].reshape(n, len(mine))
        low, span = cost.min(axis=1), np.ptp(cost, axis=1)
        share = span / span.sum() if span.sum() > 0 else np.full(n, 1.0 / n)
        unary[:, mine, k] = cost + (low.sum() * share - low)[:, None]
    states = grouping.entries.states
    return LargestFit(unary, np.zeros((n - 1, states, states, grouping.count)))


def leaving(
    grouping: Grouping, state: States, owner: States, guess: LargestFit, safe: float, sends: bool, rng: Rng
) -> tuple[States, States]:
    """(states (N, n), group (N,)): designs in which a group is guessed to stay the largest though entries leave it (all
    others at most ``safe`` of it), such that with the rows ``state`` of ``owner`` they determine its sums."""
    rows, owners = [], []
    for k in range(grouping.count):
        pool = _pool(grouping, guess, k, sends, rng)
        sums = guess.sums(pool)
        pool = pool[np.delete(sums, k, axis=1).max(axis=1, initial=0.0) <= safe * sums[:, k]]
        known = grouping.features(k, state[owner == k], sends)
        chosen = pool[_independent(known, grouping.features(k, pool, sends))] if len(pool) else pool
        rows.append(chosen)
        owners.append(np.full(len(chosen), k))
    return np.concatenate(rows), np.concatenate(owners)


def _pool(grouping: Grouping, guess: LargestFit, k: int, sends: bool, rng: Rng) -> States:
    """Designs in which entries are dear in group ``k``, or elsewhere and cheap: one, two neighbours, or more."""
    n, others = grouping.entries.n, np.delete(np.arange(grouping.count), k)
    place, alone = (each.ravel() for each in np.meshgrid(np.arange(n), others, indexing="ij"))
    groups = np.full((len(place), n), k)
    groups[np.arange(len(place)), place] = alone
    pairs = groups.copy()
    pairs[np.arange(len(place)), np.minimum(place + 1, n - 1)] = rng.permutation(alone)
    many = np.full((_POOL * grouping.columns(sends), n), k)
    share = np.exp(rng.uniform(np.log(1.0 / n), np.log(0.5), (len(many), 1)))
    many = np.where(rng.random(many.shape) < share, others[rng.integers(0, len(others), many.shape)], many)
    groups = np.concatenate([groups, pairs, many])
    own = [guess.unary[:, mine, j] for j, mine in enumerate(grouping.within)]
    cheap = np.stack([mine[cost.argmin(axis=1)] for cost, mine in zip(own, grouping.within, strict=True)])
    dear = grouping.within[k][own[k].argmax(axis=1)]
    return np.asarray(np.where(groups == k, dear, cheap[groups, np.arange(n)]), np.intp)


def _independent(known: Array, pool: Array) -> States:
    """Rows of ``pool`` that say what ``known`` rows do not, most telling first."""
    _, s, basis = np.linalg.svd(known, full_matrices=False)
    basis = basis[s > _RANK * max(s[0], 1.0)]
    rest = pool - (pool @ basis.T) @ basis
    _, r, order = qr(rest.T, mode="economic", pivoting=True)
    pivots = np.abs(np.diag(r))
    return np.asarray(order[: int((pivots > _RANK * max(pivots.max(initial=0.0), 1.0)).sum())], np.intp)


def fit_largest(
    grouping: Grouping, state: States, owner: States, values: Array, guess: LargestFit, sends: bool
) -> LargestFit:
    """Least squares on the rows of each group, as near to the guess as they allow. values (N,)."""
    unary, pair = [], []
    for k, mine in enumerate(grouping.within):
        rows = np.flatnonzero(owner == k)
        features = grouping.features(k, state[rows], sends)
        weights = np.zeros(features.shape[1])
        weights[: grouping.entries.n * len(mine)] = guess.unary[:, mine, k].ravel()
        weights += np.linalg.lstsq(features, values[rows] - features @ weights)[0]
        weights[np.abs(weights) < _NOTHING * np.abs(weights).max()] = 0.0
        u, p = grouping.tables(k, weights, sends)
        unary.append(u)
        pair.append(p)
    return LargestFit(np.stack(unary, axis=-1), np.stack(pair, axis=-1))


def largest_there(fit: LargestFit, state: States, owner: States, values: Array) -> NDArray[np.bool_]:
    """(N,) rows in which no other group than the owner is predicted to reach the price."""
    sums = fit.sums(state)
    sums[np.arange(len(sums)), owner] = -np.inf
    return np.asarray(sums.max(axis=1) < _REACHED * values)

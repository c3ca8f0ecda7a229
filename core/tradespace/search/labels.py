"""Fronts of additive chains by label dynamic programming: exact where the label sets fit a budget, bounded elsewhere.

A label is the vector of sums that a prefix of the chain has cost. Labels of one state that others dominate can never
lead to a better design (Bellman's principle holds per objective), so only non-dominated ones go on. When a set
outgrows its budget, labels that share a cell of a grid are merged:

* ``merge="least"`` keeps the componentwise minimum of a cell. The result weakly dominates every design of the chain:
  a bound that stays valid whatever the signs, and is loose only where cells were shared.
* ``merge="design"`` keeps one label of a cell, so every label belongs to a design. With non-negative sums each design
  of the chain is dominated by one within a factor ``1 + epsilon`` (Warburton 1987), else within ``epsilon`` scales.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import ChainTerm, Structure
from tradespace.search.indicators import nondominated
from tradespace.search.label_sweep import SWEPT, surviving

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_WORK = {1: 6e7, 2: 6e7, 3: 6e7, 4: 2.6e6, 5: 4e5}  # candidates compared in about a second, by quantities
_FEWER = 2e5
_BISECTIONS = _FEWEST = 20
_OVERHEAD = 1000  # labels that take as long as an entry without any
_ALL, _CODES = 2**62, 2.0**62
_HUGE = 1e290


@dataclass(frozen=True)
class ChainArrays:
    """Sums over a chain: ``unary`` (n, S, Q), ``pair`` (n - 1, S, S, Q) or None; a design counts while its sums are at
    most ``caps`` (Q,) and each state may follow the one before, ``links`` (n - 1, S, S) or None. The first M quantities
    are the objectives, the others limits."""

    unary: Array
    pair: Array | None
    caps: Array
    objectives: int
    links: NDArray[np.bool_] | None = None

    def completions(self) -> Array:
        """``(n, S, Q)``: the least that each quantity alone still costs after entry i in state s."""
        n = len(self.unary)
        rest = np.zeros_like(self.unary)
        for i in range(n - 2, -1, -1):
            ahead = (self.unary[i + 1] + rest[i + 1])[None]
            ahead = ahead if self.pair is None else self.pair[i] + ahead
            if self.links is not None:
                ahead = np.where(self.links[i][:, :, None], ahead, np.inf)
            rest[i] = ahead.min(axis=1)
        return rest

    def harmless(self) -> Array:
        """``(n, Q)``: sums after entry i that no continuation can bring above their caps; -inf without a cap. Labels
        below need not be told apart."""
        most = self.unary.max(axis=1)
        ahead = most[::-1].cumsum(axis=0)[::-1] - most  # entries after i
        if self.pair is not None:
            steps = self.pair.max(axis=(1, 2))
            ahead[:-1] += steps[::-1].cumsum(axis=0)[::-1]
        level = self.caps - ahead
        level[:, : self.objectives] = -np.inf
        return np.where(np.isfinite(level), level, -np.inf)

    def label_budget(self) -> int:
        """Labels per class of states that keep the work near a second (20 to 200,000)."""
        n, states, quantities = self.unary.shape
        work = sum(self._ways(i, *link) for i, link in enumerate(self.classes())) + n * states
        return int(np.clip(_WORK.get(quantities, _FEWER) / work, 20, 200_000))

    def bytes_per_label(self) -> int:
        """What one more label a class takes: its path of parents and states at every entry, and sums of two entries
        while they are compared (values, candidates of every class, masks)."""
        states, quantities = self.unary.shape[1:]
        classes = [(int(source.max()) + 1, int(dest.max()) + 1) for source, dest in self.classes()]
        paths = sum(source for source, _ in classes) * 6
        widest = max((source * dest + source * states for source, dest in classes), default=states)
        return int(paths + 8 * max(quantities, SWEPT) * 2 * widest)

    def _ways(self, i: int, source: Rows, dest: Rows) -> int:
        """Pairs of classes of link i that may follow each other."""
        if self.links is None:
            return int((source.max() + 1) * (dest.max() + 1))
        first = [np.unique(classes, return_index=True)[1] for classes in (source, dest)]
        return int(self.links[i][np.ix_(*first)].sum())

    def classes(self) -> list[tuple[Rows, Rows]]:
        """Per link (n - 1): the class of every state as source and as destination. States of one class have equal
        pair terms, so one set of labels serves them all (3 sets instead of 9 for 3 devices in 3 precisions)."""
        n, states = self.unary.shape[:2]
        parts = [] if self.pair is None else [self.pair]
        parts += [] if self.links is None else [self.links[..., None].astype(np.float64)]
        if not parts:
            return [(np.zeros(states, np.intp), np.zeros(states, np.intp))] * (n - 1)
        both = np.concatenate(parts, axis=-1)
        turned = np.swapaxes(both, 1, 2)
        return [(_class(both[i]), _class(turned[i])) for i in range(n - 1)]


@dataclass(frozen=True)
class LabelFront:
    """``values`` (L, Q): non-dominated in the objectives. ``states`` (L, n): a path that belongs to each label (its
    sums equal the values unless labels were merged to their least). ``epsilon``: 0 when nothing was merged."""

    values: Array
    states: NDArray[np.intp]
    epsilon: float


@dataclass(frozen=True)
class Limit:
    """A sum over the chain that must stay at most ``cap``."""

    term: ChainTerm
    cap: float

    @property
    def open(self) -> bool:
        """Whether some path may break it; the others hold by themselves."""
        most = float(self.term.unary.max(axis=1).sum())
        pair = 0.0 if self.term.pair is None else float(self.term.pair.max(axis=(1, 2)).sum())
        return most + pair > self.cap


def limits_of(structure: Structure) -> dict[str, Limit]:
    """The structure's own limits, states that are not allowed among them."""
    limits = {name: Limit(ChainTerm(unary), float(cap)) for name, (unary, cap) in structure.limits.items()}
    if structure.allowed is not None:
        limits["allowed states"] = Limit(ChainTerm((~structure.allowed).astype(np.float64)), 0.5)
    return limits


def transition_limit(structure: Structure) -> dict[str, Limit]:
    """`Structure.links` as a limit, for solvers that know limits only."""
    if structure.links is None:
        return {}
    broken = (~structure.links).astype(np.float64)
    return {"links": Limit(ChainTerm(np.zeros((len(broken) + 1, broken.shape[1])), broken), 0.5)}


def chain_of(structure: Structure, objectives: Sequence[str], limits: Sequence[Limit] = ()) -> ChainArrays:
    """The arrays of these metrics, then of these limits. Raises KeyError for a metric that has no term."""
    return chain_of_terms([structure.terms[name] for name in objectives], limits, structure.links)


def chain_of_terms(
    sums: Sequence[ChainTerm], limits: Sequence[Limit] = (), links: NDArray[np.bool_] | None = None
) -> ChainArrays:
    """The arrays of these terms, then of these limits."""
    terms = [*sums, *(limit.term for limit in limits)]
    caps = np.asarray([np.inf] * len(sums) + [limit.cap for limit in limits])
    unary = np.stack([t.unary for t in terms], axis=-1).astype(np.float64)
    n, states = unary.shape[:2]
    if all(t.pair is None for t in terms):
        return ChainArrays(unary, None, caps, len(sums), links)
    nothing = np.zeros((n - 1, states, states))
    pairs = [nothing if t.pair is None else t.pair for t in terms]
    return ChainArrays(unary, np.stack(pairs, axis=-1), caps, len(sums), links)


def path_sums(term: ChainTerm, states: Rows) -> Array:
    """``(L,)`` the term's sums over paths (L, n)."""
    i = np.arange(states.shape[1])
    total = np.asarray(term.unary, np.float64)[i, states].sum(axis=1)
    return np.asarray(total if term.pair is None else total + term.pair[i[:-1], states[:, :-1], states[:, 1:]].sum(1))


def label_front(
    chain: ChainArrays,
    *,
    merge: Literal["least", "design"],
    scale: Array,
    budget: int,
    reference: Array | None = None,
    known: Array | None = None,
    epsilon: float = 0.0,
    seconds: float = np.inf,
) -> LabelFront:
    """The front of a chain.

    Args:
        scale: (Q,) what a difference of each quantity is compared with.
        budget: labels kept per state; more are merged.
        reference: (M,) only designs below it in every objective are looked for.
        known: (K, M) values of known designs: labels that can only lead to designs these dominate are dropped.
        epsilon: merge at least this finely grained even below the budget (0: only when needed).
        seconds: entries that would take longer keep fewer labels (outside bit-identity).
    """
    given = chain.unary.shape[2]
    chain, scale = _padded(chain), _pad(scale, SWEPT, 1.0)
    n, states, q = chain.unary.shape
    m, rest, harmless = chain.objectives, chain.completions(), chain.harmless()
    ceiling = chain.caps + 1e-9 * np.abs(chain.caps)
    if reference is not None:
        ceiling = np.concatenate([np.minimum(ceiling[:m], reference), ceiling[m:]])
    if known is not None:  # what a known design uses does not matter
        known = np.pad(known, ((0, 0), (0, q - m)), constant_values=-_HUGE)
    step = MergeStep(merge, scale, budget, np.log1p(epsilon) / n if epsilon else 0.0)
    links = [*chain.classes(), (np.zeros(states, np.intp),) * 2]
    begin = [_Labels(np.zeros((1, q)), np.zeros(1, np.intp))] * states
    labels, widest, slack = begin, 0.0, 0.0
    pools: list[Array] = []
    stages: list[tuple[NDArray[np.integer], NDArray[np.integer]]] = []
    clock = 0.0
    for i in range(n):
        if i == 2:
            clock = time.perf_counter()  # from here on: what came before may have waited for a compiler
        if i > 2:
            step = replace(step, budget=_affordable(step.budget, clock, seconds, i - 2, n - 2, pools))
        if i:
            reached = _cross(chain, i, pools, links[i - 1], harmless[i - 1])
            labels = [reached[h] for h in links[i - 1][1].tolist()]
        own = step if i else replace(step, budget=_ALL, width=0.0)
        bound = _Bound(rest[i], ceiling, known)
        pools, parent, state, widest = _pool(chain.unary[i], labels, links[i][0], bound, own, widest)
        stages.append((parent, state))
        slack += widest if i else 0.0
    values = pools[0]
    final = nondominated(values[:, :m])
    paths = _paths(stages, np.flatnonzero(final))
    grain = float(np.expm1(slack)) if merge == "design" and bool((chain.unary >= 0).all()) else slack
    return LabelFront(values[final][:, :given], paths, grain)


def _affordable(budget: int, start: float, seconds: float, done: int, n: int, pools: Sequence[Array]) -> int:
    """Labels a class so that the entries ahead take the time that is left, if time grows with labels."""
    if seconds == np.inf:
        return budget
    spent, most = time.perf_counter() - start, max(map(len, pools))
    each = spent / (done * max(most, _OVERHEAD))  # s of an entry per label, from above: earlier entries had fewer
    fits = max(seconds - spent, 0.0) / ((n - done) * max(each, 1e-12))
    return int(np.clip(min(budget, 2 * fits), _FEWEST, budget))


def _padded(chain: ChainArrays) -> ChainArrays:
    """With quantities that are always zero, up to as many as are swept."""
    if chain.unary.shape[2] >= SWEPT:
        return chain
    pair = None if chain.pair is None else _pad(chain.pair, SWEPT, 0.0)
    unary, caps = _pad(chain.unary, SWEPT, 0.0), _pad(chain.caps, SWEPT, np.inf)
    return ChainArrays(unary, pair, caps, chain.objectives, chain.links)


def _pad(array: Array, to: int, value: float) -> Array:
    missing = max(to - array.shape[-1], 0)
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)], constant_values=value)


@dataclass(frozen=True)
class MergeStep:
    """How labels are merged: see `label_front`. ``width``: of a cell at least, 0 = none is needed."""

    merge: str
    scale: Array
    budget: int
    width: float


@dataclass(frozen=True)
class _Labels:
    """``values`` (L, Q), ``parent`` (L,) row in the stage before."""

    values: Array
    parent: Rows


@dataclass(frozen=True)
class _Bound:
    """``rest`` (S, Q): what is ahead of each state at least; see `surviving`."""

    rest: Array
    ceiling: Array
    known: Array | None


def _cross(
    chain: ChainArrays, i: int, pools: Sequence[Array], link: tuple[Rows, Rows], harmless: Array
) -> list[_Labels]:
    """Labels that reach entry i, by class of destinations: those of every class of sources with the link's terms."""
    source, dest = link
    offset = np.concatenate([[0], np.cumsum([len(pool) for pool in pools])])
    first = [int(np.argmax(source == g)) for g in range(len(pools))]
    out = []
    for h in range(int(dest.max()) + 1):
        to = int(np.argmax(dest == h))
        shifts = np.zeros((len(pools), chain.unary.shape[2])) if chain.pair is None else chain.pair[i - 1, first, to]
        ways = [*range(len(pools))]
        if chain.links is not None:
            ways = np.flatnonzero(chain.links[i - 1, first, to]).tolist()
        if not ways:
            out.append(_Labels(pools[0][:0], np.zeros(0, np.intp)))
        elif len(pools) > 1:
            found = surviving([pools[w] for w in ways], shifts[ways], harmless)
            out.append(_Labels(found.values, offset[np.asarray(ways)[found.list]] + found.row))
        else:
            out.append(_Labels(np.maximum(pools[0], harmless) + shifts[0], np.arange(len(pools[0]))))
    return out


def _pool(
    unary: Array, labels: Sequence[_Labels], classes: Rows, bound: _Bound, step: MergeStep, hint: float
) -> tuple[list[Array], NDArray[np.integer], NDArray[np.integer], float]:
    """What is worth keeping of an entry's labels, by class of states: (values by class, parent (L,), state (L,),
    widest cell). ``labels``: those that reach each state."""
    pools, parents, states, widest = [], [], [], 0.0
    for c in range(int(classes.max()) + 1):
        inside = np.flatnonzero(classes == c)
        here = [labels[s] for s in inside.tolist()]
        rest = bound.rest[inside[0]]  # what is ahead is the same for a class
        found = surviving(
            [each.values for each in here], unary[inside], rest=rest, ceiling=bound.ceiling, known=bound.known
        )
        values, state = found.values, inside[found.list]
        offset = np.concatenate([[0], np.cumsum([len(each.parent) for each in here])])
        parent = np.concatenate([each.parent for each in here])[offset[found.list] + found.row]
        if len(values) > step.budget or (step.width and len(values)):
            values, chosen, width = merged(values, step, widest or hint)
            order = np.lexsort(values.T[::-1])
            values, chosen, widest = values[order], chosen[order], max(widest, width)
            parent, state = parent[chosen], state[chosen]
        pools.append(values)
        parents.append(parent)
        states.append(state)
    return pools, np.concatenate(parents).astype(np.int32), np.concatenate(states).astype(np.int16), widest


def _class(rows: Array) -> Rows:
    """``(S,)`` the class of each row of (S, ...): equal rows, equal class."""
    return np.unique(rows.reshape(len(rows), -1), axis=0, return_inverse=True)[1].ravel()


def merged(values: Array, step: MergeStep, hint: float, prefer: Array | None = None) -> tuple[Array, Rows, float]:
    """One label per cell of about the finest grid that meets the budget: (values, row that stands for it, cell width).
    ``hint``: a width to try first, 0 without. ``prefer`` (L,): of a cell the least stands, not the least sum."""
    relative = step.merge == "design" and bool((values >= 0).all())
    place = np.log(np.maximum(values, 1e-12 * step.scale)) if relative else values / step.scale
    place = place - place.min(axis=0)
    width = step.width
    cells = _codes(place, width) if width else np.arange(len(values))
    if len(values) > step.budget and len(np.unique(cells)) > step.budget:
        fine, coarse = max(width, 1e-7), float(place.max()) + 1e-6
        near = 2.0 if hint else np.inf  # neighbouring stages have cells of similar width
        middle = float(np.clip(hint, fine, coarse)) if hint else float(np.sqrt(fine * coarse))
        for _ in range(_BISECTIONS):
            fits = len(np.unique(_codes(place, middle))) <= step.budget
            fine, coarse = (fine, middle) if fits else (middle, coarse)
            if coarse < 1.2 * fine:
                break
            middle = float(np.sqrt(fine * coarse))
            middle = max(middle, coarse / near) if fits else min(middle, fine * near)
        width, cells = coarse, _codes(place, coarse)
    order = np.lexsort(((values / step.scale).sum(axis=1) if prefer is None else prefer, cells))
    starts = np.flatnonzero(np.diff(cells[order], prepend=-1))
    chosen = order[starts]
    if step.merge == "design":
        return values[chosen], chosen, width
    least = np.minimum.reduceat(values[order], starts, axis=0)
    mask = nondominated(least)
    return least[mask], chosen[mask], width


def _codes(place: Array, width: float) -> Rows:
    """``(L,)`` equal numbers for rows in one cell of the grid."""
    columns = (place / width).astype(np.int64)
    sizes = columns.max(axis=0) + 1
    if float(np.prod(sizes.astype(np.float64))) < _CODES:
        return np.asarray(columns @ np.concatenate([np.cumprod(sizes[:0:-1])[::-1], [1]]))
    code = np.zeros(len(place), np.int64)
    for column, size in zip(columns.T, sizes.tolist(), strict=True):
        code = np.unique(code * size + column, return_inverse=True)[1]
    return code


def _paths(stages: list[tuple[NDArray[np.integer], NDArray[np.integer]]], rows: Rows) -> NDArray[np.intp]:
    out = np.empty((len(rows), len(stages)), np.intp)
    for i in range(len(stages) - 1, -1, -1):
        parent, state = stages[i]
        out[:, i] = state[rows]
        rows = parent[rows].astype(np.intp)
    return out


def spread_order(values: Array) -> Rows:
    """An order of the rows in which every beginning covers the whole range: van der Corput's along the first sum."""
    rows = np.lexsort(values.T[::-1])
    bits = max(int(np.ceil(np.log2(max(len(rows), 2)))), 1)
    number = np.arange(2**bits)
    turned = np.zeros(2**bits, np.int64)
    for b in range(bits):
        turned |= ((number >> b) & 1) << (bits - 1 - b)
    return rows[turned[turned < len(rows)]]

"""Fronts of sums over series-parallel graphs by label sets: exact where these fit a budget, bounded elsewhere.

As `labels` does along a chain: labels that others dominate go, and so does what cannot be completed within the caps.
What the rest of the graph costs at least is known for every list of every item, by one pass up and one pass down the
program (inside and outside sums). Where two sets would have more sums than the budget, labels that share a cell of a
grid are merged first. A sum of labels each within a factor is within the larger factor, so the guarantee does not grow
with the number of branches. Ours in this form; elimination along a tree of separators is Dechter's (1999).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import ChainTerm, Graph
from tradespace.search.graph_program import GraphArrays, Item, Leaf, Sum, inside, outside, program
from tradespace.search.indicators import nondominated
from tradespace.search.label_sums import Around, surviving_sums
from tradespace.search.label_sweep import SWEPT
from tradespace.search.labels import LabelFront, Limit, MergeStep, merged
from tradespace.search.series_parallel import reduced

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

SUMS = {1: 1e7, 2: 1e7, 3: 1e7, 4: 1e6, 5: 4e5}
"""Sums compared in about a second, by quantities."""
_FEWER = 2e5
_MOST = 200_000  # labels of a list
_FEWEST = 20
_BYTES = 40  # of a label that is kept
_HUGE = 1e290
_AHEAD = 3.0  # times its equal share of what is left a sum may take: many are small


def shape_of(graph: Graph) -> str:
    """Why a graph cannot be solved by label sets; empty if it can."""
    n = len(next(iter(graph.terms.values())).unary) if graph.terms else 0
    if not n:
        return "the declared graph has no term"
    return "" if reduced(n, graph.edges) is not None else "the declared graph is not series-parallel"


def graph_of_terms(graph: Graph, sums: Sequence[ChainTerm], limits: Sequence[Limit] = ()) -> GraphArrays:
    """The arrays of these terms, then of these limits. Raises ValueError for a graph that is not series-parallel."""
    terms = [*sums, *(limit.term for limit in limits)]
    unary = np.stack([t.unary for t in terms], axis=-1).astype(np.float64)
    n, states = unary.shape[:2]
    reduction = reduced(n, graph.edges)
    if reduction is None:
        raise ValueError("the declared graph is not series-parallel")
    nothing = np.zeros((len(graph.edges), states, states))
    pair = np.stack([nothing if t.pair is None else t.pair for t in terms], axis=-1).astype(np.float64)
    caps = np.asarray([np.inf] * len(sums) + [limit.cap for limit in limits])
    allowed = np.ones((n, states), bool) if graph.allowed is None else graph.allowed
    return GraphArrays(unary, pair, caps, len(sums), reduction, allowed, graph.links)


def graph_least(graph: Graph, term: ChainTerm) -> float:
    """The least sum of a term over a series-parallel graph; inf where no design is allowed."""
    return float(inside(program(graph_of_terms(graph, [term])))[-1].min())


def graph_sums(graph: Graph, term: ChainTerm, states: Rows) -> Array:
    """``(L,)`` the term's sums over designs (L, n)."""
    total = np.asarray(term.unary, np.float64)[np.arange(states.shape[1]), states].sum(axis=1)
    if term.pair is None or not graph.edges:
        return np.asarray(total)
    source, dest = np.asarray(graph.edges).T
    return np.asarray(total + term.pair[np.arange(len(source)), states[:, source], states[:, dest]].sum(axis=1))


@dataclass(frozen=True)
class Effort:
    """``sums`` compared in all, ``labels`` of a list, and ``seconds`` (outside bit-identity) at most."""

    sums: float
    labels: int = _MOST
    seconds: float = np.inf

    @classmethod
    def of(cls, arrays: GraphArrays, patience: float = 1.0) -> Effort:
        """About ``patience`` seconds of work."""
        return cls(patience * SUMS.get(arrays.unary.shape[2], _FEWER))


def labels_within(items: Sequence[Item], megabytes: float) -> int:
    """Labels a list that fit into memory."""
    return max(int(megabytes * 1e6 / (_BYTES * sum(item.lists for item in items))), 1)


def graph_front(
    arrays: GraphArrays,
    *,
    merge: Literal["least", "design"],
    scale: Array,
    effort: Effort,
    reference: Array | None = None,
    known: Array | None = None,
    epsilon: float = 0.0,
    megabytes: float = 0.0,
) -> LabelFront:
    """The front of a graph; see `labels.label_front`. ``megabytes``: of labels, 0 = any."""
    given = arrays.unary.shape[2]
    arrays, scale = _padded(arrays), np.pad(scale, (0, max(SWEPT - given, 0)), constant_values=1.0)
    items = program(arrays)
    if megabytes:
        effort = replace(effort, labels=min(effort.labels, labels_within(items, megabytes)))
    run = _Run(arrays, items, merge, scale, effort, reference, known, epsilon)
    values = run.front()
    final = np.flatnonzero(nondominated(values[:, : arrays.objectives]))
    return LabelFront(values[final][:, :given], run.states(final), run.grain)


@dataclass
class _Labels:
    """Lists one after the other: ``values`` (T, Q), ``start`` (K + 1,), rows in the two items that each is the sum of,
    (T,), and how far ``slack`` from the best labels it may be."""

    values: Array
    start: Rows
    left: Rows
    right: Rows
    slack: float = 0.0
    width: float = 0.0


class _Run:
    def __init__(
        self,
        arrays: GraphArrays,
        items: tuple[Item, ...],
        merge: Literal["least", "design"],
        scale: Array,
        effort: Effort,
        reference: Array | None,
        known: Array | None,
        epsilon: float,
    ) -> None:
        m, q = arrays.objectives, arrays.unary.shape[2]
        self.items, self.effort, self.m = items, effort, m
        self.limits = int(np.isfinite(arrays.caps[m:]).sum())
        ceiling = arrays.caps + 1e-9 * np.abs(arrays.caps)
        if reference is not None:
            ceiling = np.concatenate([np.minimum(ceiling[:m], reference), ceiling[m:]])
        self.ceiling = np.where(np.isnan(ceiling), np.inf, ceiling)
        self.known = None if known is None else np.pad(known, ((0, 0), (0, q - m)), constant_values=-_HUGE)
        self.rest = outside(items, inside(items))
        self.floor = self._floors(arrays)
        width = np.log1p(epsilon) / _depth(items) if epsilon else 0.0
        self.step = MergeStep(merge, scale, effort.labels, width)
        self.positive = bool((arrays.unary >= 0).all() and (arrays.pair >= 0).all())
        self.labels: list[_Labels] = []
        self.done, self.clock = 0.0, time.perf_counter()

    @property
    def grain(self) -> float:
        """The guarantee; inf where merging left none (a factor needs numbers that are not negative, and at most one
        limit: of the labels in a cell the one that uses least of it stays)."""
        slack = self.labels[-1].slack
        if self.step.merge == "least" or not slack:
            return slack
        return float(np.expm1(slack)) if self.positive and self.limits < 2 else np.inf

    def front(self) -> Array:
        left = sum(isinstance(item, Sum) for item in self.items)
        for i, item in enumerate(self.items):
            if isinstance(item, Leaf):
                none = np.empty(0, np.intp)
                self.labels.append(_Labels(item.values, item.start, none, none))
                continue
            self._fit(item, left)
            self.labels.append(self._combined(i, item))
            left -= 1
        return self.labels[-1].values

    def states(self, rows: Rows) -> Rows:
        """(L, n) the states that belong to rows of the last item."""
        nodes = sum(isinstance(item, Leaf) and item.node >= 0 for item in self.items)
        out, stack = np.empty((len(rows), nodes), np.intp), [(len(self.items) - 1, rows)]
        while stack:
            i, at = stack.pop()
            item, labels = self.items[i], self.labels[i]
            if isinstance(item, Sum):
                stack += [(item.left, labels.left[at]), (item.right, labels.right[at])]
            elif item.node >= 0:
                out[:, item.node] = item.states[at]
        return out

    def _floors(self, arrays: GraphArrays) -> list[Array]:
        """Sums of limits that nothing outside can bring above their caps, per list; -inf without a cap. No sum is
        raised above what its own item can reach, so that several raised ones still keep the cap together."""
        within = inside(self.items, most=True)
        beyond = outside(self.items, within, most=True)
        out = []
        for own, other in zip(within, beyond, strict=True):
            level = np.minimum(np.where(np.isfinite(other), arrays.caps - other, -np.inf), own)
            level[:, : self.m] = -np.inf
            out.append(np.where(np.isfinite(arrays.caps) & np.isfinite(level), level, -np.inf))
        return out

    def _fit(self, item: Sum, left: int) -> None:
        """Merges labels of the two items until their sums fit what is left of the budget."""
        allowed = max(self.effort.sums - self.done, 0.02 * self.effort.sums) * min(_AHEAD / left, 1.0)
        if self.effort.seconds < np.inf and self.done > 1e5:
            spent = time.perf_counter() - self.clock
            rate = self.done / max(spent, 1e-6)
            allowed = min(allowed, rate * max(self.effort.seconds - spent, 0.0) * min(_AHEAD / left, 1.0))
        sizes = [np.diff(self.labels[k].start)[item.pairs[:, s]] for s, k in enumerate((item.left, item.right))]
        most = int(max(sizes[0].max(), sizes[1].max()))

        def work(cap: int) -> float:
            return float((np.minimum(sizes[0], cap).astype(np.float64) * np.minimum(sizes[1], cap)).sum())

        if work(most) > allowed:
            low, high = _FEWEST, most
            while high - low > 1 + low // 50:
                middle = (low + high) // 2
                low, high = (middle, high) if work(middle) <= allowed else (low, middle)
            for k in (item.left, item.right):
                if isinstance(self.items[k], Sum):
                    self.labels[k] = self._thinned(self.labels[k], replace(self.step, budget=low))
            sizes = [np.diff(self.labels[k].start)[item.pairs[:, s]] for s, k in enumerate((item.left, item.right))]
        self.done += work(most)

    def _combined(self, i: int, item: Sum) -> _Labels:
        left, right = self.labels[item.left], self.labels[item.right]
        a, b = item.pairs[:, 0], item.pairs[:, 1]
        ends = np.stack([left.start[a], left.start[a + 1], right.start[b], right.start[b + 1]], axis=1)
        bounds = np.searchsorted(item.owner, np.arange(item.lists + 1))
        found = []
        for k in range(item.lists):
            around = Around(self.rest[i][k], self.floor[i][k], self.ceiling, self.known)
            found.append(surviving_sums(left.values, right.values, ends[bounds[k] : bounds[k + 1]], around))
        start = np.concatenate([[0], np.cumsum([len(values) for values, _, _ in found])])
        values, rows_left, rows_right = (np.concatenate(each) for each in zip(*found, strict=True))
        # a sum of labels within factors is within the larger; bounds lie below by as much as both together
        slack = left.slack + right.slack if self.step.merge == "least" else max(left.slack, right.slack)
        labels = _Labels(values, start, rows_left, rows_right, slack, max(left.width, right.width))
        if self.step.width or int(np.diff(start).max()) > self.step.budget:
            labels = self._thinned(labels, self.step)
        return labels

    def _thinned(self, labels: _Labels, step: MergeStep) -> _Labels:
        """At most as many labels a list as the step's budget."""
        parts, rows, widest = [], [], 0.0
        for a, b in zip(labels.start[:-1].tolist(), labels.start[1:].tolist(), strict=True):
            values, chosen = labels.values[a:b], np.arange(b - a)
            if len(values) > step.budget or (step.width and len(values)):
                values, chosen, width = self._merged(values, step, widest or labels.width)
                order = np.lexsort(values.T[::-1])
                values, chosen, widest = values[order], chosen[order], max(widest, width)
            parts.append(values)
            rows.append(a + chosen)
        start, at = np.concatenate([[0], np.cumsum([len(part) for part in parts])]), np.concatenate(rows)
        kept = labels.left[at], labels.right[at]
        return _Labels(np.concatenate(parts), start, *kept, labels.slack + widest, max(widest, labels.width))

    def _merged(self, values: Array, step: MergeStep, hint: float) -> tuple[Array, Rows, float]:
        if step.merge == "least" or self.limits != 1:
            return merged(values, step, hint)
        m = self.m
        narrow = replace(step, scale=step.scale[:m])
        _, chosen, width = merged(np.ascontiguousarray(values[:, :m]), narrow, hint, prefer=values[:, m])
        return values[chosen], chosen, width


def _depth(items: Sequence[Item]) -> int:
    """The most sums that a label of the last item has gone through."""
    depth: list[int] = []
    for item in items:
        depth.append(0 if isinstance(item, Leaf) else 1 + max(depth[item.left], depth[item.right]))
    return max(depth[-1], 1)


def _padded(arrays: GraphArrays) -> GraphArrays:
    """With quantities that are always zero, up to as many as are swept."""
    missing = SWEPT - arrays.unary.shape[2]
    if missing <= 0:
        return arrays
    unary = np.pad(arrays.unary, ((0, 0), (0, 0), (0, missing)))
    pair = np.pad(arrays.pair, ((0, 0), (0, 0), (0, 0), (0, missing)))
    return replace(arrays, unary=unary, pair=pair, caps=np.pad(arrays.caps, (0, missing), constant_values=np.inf))

"""A series-parallel graph as a program of sums and unions of label sets.

An item is a family of lists of labels, one for each class of states at the ends of what it covers: states that no edge
outside tells apart share a list. Leaves are single nodes and edges. Every other item takes sums of lists of two items,
united over the states that nothing outside still needs to know. Along the largest way through the graph labels are
carried with one end open (the sweep of a chain); parts beside it become tables over both of their ends first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tradespace.search.series_parallel import END_TO_END, Link, Parallel, Part, Reduction, Series

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class GraphArrays:
    """Sums over a graph: ``unary`` (n, S, Q), ``pair`` (E, S, S, Q), ``allowed`` (n, S), ``links`` (E, S, S) or None:
    which states the ends of an edge may have together. A design counts while its sums are at most ``caps`` (Q,). The
    first M quantities are the objectives, the others limits."""

    unary: Array
    pair: Array
    caps: Array
    objectives: int
    reduction: Reduction
    allowed: NDArray[np.bool_]
    links: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Leaf:
    """``values`` (T, Q), ``start`` (K + 1,) of its lists; ``node`` (-1: an edge) is in ``states`` (T,)."""

    values: Array
    start: Rows
    node: int
    states: Rows

    @property
    def lists(self) -> int:
        return len(self.start) - 1


@dataclass(frozen=True)
class Sum:
    """List ``owner[p]`` is the union of all sums of list ``pairs[p, 0]`` of item ``left`` and ``pairs[p, 1]`` of
    ``right``. ``owner`` (P,) rises; every list owns a pair."""

    left: int
    right: int
    pairs: Rows
    owner: Rows

    @property
    def lists(self) -> int:
        return int(self.owner[-1]) + 1


Item = Leaf | Sum


@dataclass(frozen=True)
class _Open:
    """An item whose lists are (context, class of states at the open end)."""

    item: int
    contexts: int
    classes: Rows  # (S,)


def program(arrays: GraphArrays) -> tuple[Item, ...]:
    """The items, each after those that it is made of; every item but the last is used once. The last has one list."""
    return tuple(_Builder(arrays).build())


def inside(items: Sequence[Item], most: bool = False) -> list[Array]:
    """Per item the least (most) that each quantity alone can be in each of its lists, (K, Q); inf (-inf) for none."""
    better, worst = (np.maximum, -np.inf) if most else (np.minimum, np.inf)
    out: list[Array] = []
    for item in items:
        if isinstance(item, Leaf):
            table = np.full((item.lists, item.values.shape[1]), worst)
            better.at(table, np.repeat(np.arange(item.lists), np.diff(item.start)), item.values)
        else:
            sums = out[item.left][item.pairs[:, 0]] + out[item.right][item.pairs[:, 1]]
            table = np.full((item.lists, sums.shape[1]), worst)
            better.at(table, item.owner, sums)
        out.append(table)
    return out


def outside(items: Sequence[Item], within: Sequence[Array], most: bool = False) -> list[Array]:
    """Per item the least (most) that everything it does not cover can add to each of its lists, (K, Q)."""
    better, worst = (np.maximum, -np.inf) if most else (np.minimum, np.inf)
    out = [np.full(each.shape, worst) for each in within]
    out[-1][:] = 0.0
    for i in range(len(items) - 1, -1, -1):
        item = items[i]
        if isinstance(item, Sum):
            beyond = out[i][item.owner]
            better.at(out[item.left], item.pairs[:, 0], beyond + within[item.right][item.pairs[:, 1]])
            better.at(out[item.right], item.pairs[:, 1], beyond + within[item.left][item.pairs[:, 0]])
    return out


@dataclass
class _Builder:
    arrays: GraphArrays
    items: list[Item] = field(default_factory=list)

    def build(self) -> list[Item]:
        states = self.arrays.unary.shape[1]
        one, node = np.zeros(states, np.intp), self.arrays.reduction.root
        nothing = Leaf(np.zeros((1, self.arrays.unary.shape[2])), np.asarray([0, 1]), -1, np.zeros(1, np.intp))
        way = _Open(self._add(nothing), 1, one)
        while True:
            beside = sorted(self.arrays.reduction.hanging.get(node, ()), key=self._weight)
            if not beside:
                self._settle(way, node, one, ())
                return self.items
            part, end = beside.pop()
            way = self._cross(self._settle(way, node, self._ends(part)[0], beside), part)
            node = end

    def _add(self, item: Item) -> int:
        self.items.append(item)
        return len(self.items) - 1

    def _sum(self, left: int, right: int, pairs: Rows, owner: Rows) -> int:
        order = np.argsort(owner, kind="stable")
        return self._add(Sum(left, right, pairs[order], owner[order]))

    def _weight(self, hanging: tuple[Part, int]) -> int:
        part, end = hanging
        return 1 + self._size(part) + sum(map(self._weight, self.arrays.reduction.hanging.get(end, ())))

    def _size(self, part: Part) -> int:
        """Nodes within."""
        if isinstance(part, Link):
            return 0
        own = part.nodes if isinstance(part, Series) else ()
        hang = sum(self._weight(each) for v in own for each in self.arrays.reduction.hanging.get(v, ()))
        return len(own) + hang + sum(map(self._size, part.parts))

    def _ends(self, part: Part) -> tuple[Rows, Rows]:
        """(S,) classes of states at the two ends of a part."""
        if isinstance(part, Series):
            return self._ends(part.parts[0])[0], self._ends(part.parts[-1])[1]
        if isinstance(part, Parallel):
            every = [self._ends(each) for each in part.parts]
            return _refined([u for u, _ in every]), _refined([w for _, w in every])
        rows = self._edge(part)
        return _class(rows), _class(np.swapaxes(rows, 0, 1))

    def _edge(self, link: Link) -> Array:
        """(S, S, Q) of an edge as it is walked; inf where the states do not go together."""
        states, quantities = self.arrays.unary.shape[1:]
        if link.edge == END_TO_END:
            return np.zeros((states, states, quantities))
        rows = self.arrays.pair[link.edge]
        if self.arrays.links is not None:
            rows = np.where(self.arrays.links[link.edge][..., None], rows, np.inf)
        return np.swapaxes(rows, 0, 1) if link.turned else rows

    def _table(self, part: Part) -> int:
        """The item of a part, its lists by the classes of both ends."""
        if isinstance(part, Link):
            rows, (u, w) = self._edge(part), self._ends(part)
            flat = rows[np.ix_(_firsts(u), _firsts(w))].reshape(-1, rows.shape[2])
            there = np.isfinite(flat).all(axis=1)
            start = np.concatenate([[0], np.cumsum(there)])
            return self._add(Leaf(flat[there], start, -1, np.zeros(int(there.sum()), np.intp)))
        if isinstance(part, Parallel):
            return self._beside(part)
        first = part.parts[0]
        u, w = self._ends(first)
        way = _Open(self._table(first), _count(u), w)
        for node, each in zip(part.nodes, part.parts[1:], strict=True):
            way = self._cross(self._settle(way, node, self._ends(each)[0], self._hanging(node)), each)
        return way.item

    def _hanging(self, node: int) -> tuple[tuple[Part, int], ...]:
        return self.arrays.reduction.hanging.get(node, ())

    def _beside(self, part: Parallel) -> int:
        u, w = self._ends(part)
        r, d = np.divmod(np.arange(_count(u) * _count(w)), _count(w))
        item = -1
        for each in sorted(part.parts, key=self._size):
            other = self._table(each), self._pick(each, u, w, r, d)
            if item < 0:
                item, lists = other
            else:
                item = self._sum(item, other[0], np.stack([lists, other[1]], axis=1), np.arange(len(r)))
                lists = np.arange(len(r))
        return item

    def _pick(self, part: Part, u: Rows, w: Rows, r: Rows, d: Rows) -> Rows:
        """Lists of a part's table for classes r and d of the finer u and w."""
        own_u, own_w = self._ends(part)
        return own_u[_firsts(u)][r] * _count(own_w) + own_w[_firsts(w)][d]

    def _cross(self, way: _Open, part: Part) -> _Open:
        """Carries labels through a part; the open end has the classes of the part's beginning."""
        if isinstance(part, Series):
            way = self._cross(way, part.parts[0])
            for node, each in zip(part.nodes, part.parts[1:], strict=True):
                way = self._cross(self._settle(way, node, self._ends(each)[0], self._hanging(node)), each)
            return way
        u, w = self._ends(part)
        wide, far = _count(u), _count(w)
        c, r, d = (each.ravel() for each in np.indices((way.contexts, wide, far)))
        if isinstance(part, Link) or way.contexts > 1:
            pairs = np.stack([c * wide + r, r * far + d], axis=1)
            return _Open(self._sum(way.item, self._table(part), pairs, c * far + d), way.contexts, w)
        item, lists = way.item, c * wide + r
        parts = sorted(part.parts, key=self._size)
        for each in parts:
            pairs = np.stack([lists, self._pick(each, u, w, r, d)], axis=1)
            owner = c * far + d if each is parts[-1] else np.arange(len(c))
            item, lists = self._sum(item, self._table(each), pairs, owner), np.arange(len(c))
        return _Open(item, way.contexts, w)

    def _settle(self, way: _Open, node: int, out: Rows, beside: Sequence[tuple[Part, int]]) -> _Open:
        """Chooses the state of the open end, adds what hangs there, and keeps apart only the classes ``out``."""
        tables = [self._hung(part, end) for part, end in beside]
        fine = _refined([out, *(classes for _, classes in tables)])
        own = np.flatnonzero(self.arrays.allowed[node])
        both = _refined([way.classes, fine])
        order = own[np.lexsort([*self.arrays.unary[node, own].T[::-1], both[own]])]
        start = np.searchsorted(both[order], np.arange(_count(both) + 1))
        leaf = self._add(Leaf(self.arrays.unary[node, order], start, node, order))
        c, g = (each.ravel() for each in np.indices((way.contexts, _count(both))))
        first = _firsts(both)
        pairs = np.stack([c * _count(way.classes) + way.classes[first][g], g], axis=1)
        item = self._sum(way.item, leaf, pairs, c * _count(fine) + fine[first][g])
        c, f = (each.ravel() for each in np.indices((way.contexts, _count(fine))))
        first = _firsts(fine)
        for k, (table, classes) in enumerate(tables):
            pairs = np.stack([c * _count(fine) + f, classes[first][f]], axis=1)
            last = k == len(tables) - 1
            item = self._sum(item, table, pairs, c * _count(out) + out[first][f] if last else np.arange(len(c)))
        return _Open(item, way.contexts, out)

    def _hung(self, part: Part, end: int) -> tuple[int, Rows]:
        """(item with a list for every class, classes (S,) of states) of what hangs at a node."""
        u, w = self._ends(part)
        way = _Open(self._table(part), _count(u), w)
        return self._settle(way, end, np.zeros(len(u), np.intp), self._hanging(end)).item, u


def _class(rows: Array) -> Rows:
    """(S,) the class of each row of (S, ...): equal rows, equal class."""
    return np.unique(rows.reshape(len(rows), -1), axis=0, return_inverse=True)[1].ravel()


def _refined(classes: Sequence[Rows]) -> Rows:
    """(S,) classes that tell apart what any of these does."""
    return np.unique(np.stack(classes, axis=1), axis=0, return_inverse=True)[1].ravel()


def _firsts(classes: Rows) -> Rows:
    """A state of each class."""
    return np.unique(classes, return_index=True)[1]


def _count(classes: Rows) -> int:
    return int(classes.max()) + 1

"""A chain structure as one mixed-integer model: the matrices that HiGHS and CP-SAT are given.

Binary ``x[i, s]`` chooses the state of an entry; ``y[i, g, h]`` links neighbours, for classes g and h of states that
the pair terms do not tell apart (9 variables a link instead of 81 for 3 devices in 3 precisions). The links are the
path polytope: without limits its corners are whole. A maximum over groups is one more variable above each group's sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tradespace.problem import ChainTerm
from tradespace.search.labels import Limit
from tradespace.search.shortest import best_paths

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ChainModel:
    """Attributes:
    entries, states: n and S; variable ``i * S + s`` is x[i, s].
    maxima: how many of the last variables are maxima (continuous); all before are in [0, 1].
    objectives: (M, V). equal: rows that are ``right``. limits: rows at most ``caps``.
    lowest, highest: (M,) bounds of the objectives, ignoring limits.
    whole: (M,) whether an objective takes whole numbers only.
    """

    entries: int
    states: int
    maxima: int
    objectives: sparse.csr_matrix
    equal: sparse.csr_matrix
    right: Array
    limits: sparse.csr_matrix
    caps: Array
    lowest: Array
    highest: Array
    whole: NDArray[np.bool_]

    @property
    def variables(self) -> int:
        return int(self.objectives.shape[1])

    def path(self, values: Array) -> NDArray[np.intp]:
        """(n,) states of a solution."""
        chosen = values[: self.entries * self.states].reshape(self.entries, self.states)
        return np.asarray(chosen.argmax(axis=1))

    def cost(self, groups: Sequence[Sequence[ChainTerm]], path: NDArray[np.intp]) -> Array:
        """(M,) objectives of a path, summed from the terms: free of a solver's tolerances."""
        i = np.arange(self.entries)
        sums = [[_sum(term, i, path) for term in group] for group in groups]
        return np.asarray([max(group) for group in sums])


def chain_model(groups: Sequence[Sequence[ChainTerm]], limits: Sequence[Limit]) -> ChainModel:
    """The model of these objectives under these limits."""
    terms = [term for group in groups for term in group] + [limit.term for limit in limits]
    n, states = np.shape(terms[0].unary)
    links = _Links.of(terms, n, states)
    maxima = [m for m, group in enumerate(groups) if len(group) > 1]
    width = n * states + links.count + len(maxima)
    rows, above = [], []
    for m, group in enumerate(groups):
        if m in maxima:
            at = width - len(maxima) + maxima.index(m)
            rows.append(_unit(at, width))
            above += [_row(term, links, width) - _unit(at, width) for term in group]
        else:
            rows.append(_row(group[0], links, width))
    above += [_row(limit.term, links, width) for limit in limits]
    caps = [0.0] * (len(above) - len(limits)) + [limit.cap for limit in limits]
    equal, right = links.flow(width)
    spans = [[_span(term) for term in group] for group in groups]
    return ChainModel(
        n,
        states,
        len(maxima),
        sparse.csr_matrix(np.asarray(rows)),
        equal,
        right,
        sparse.csr_matrix(np.asarray(above).reshape(len(above), width)),
        np.asarray(caps),
        np.asarray([max(low for low, _ in span) for span in spans]),
        np.asarray([max(high for _, high in span) for span in spans]),
        np.asarray([all(_whole(term) for term in group) for group in groups]),
    )


@dataclass(frozen=True)
class _Links:
    """``before[i]``, ``after[i]`` (S,): class of a state as source and as destination of link i; ``start[i]``: its
    first variable."""

    n: int
    states: int
    before: tuple[NDArray[np.intp], ...]
    after: tuple[NDArray[np.intp], ...]
    start: tuple[int, ...]
    count: int

    @classmethod
    def of(cls, terms: Sequence[ChainTerm], n: int, states: int) -> _Links:
        pairs = [np.asarray(term.pair) for term in terms if term.pair is not None]
        before, after, start, at = [], [], [], n * states
        for i in range(n - 1 if pairs else 0):
            here = np.stack([pair[i] for pair in pairs], axis=-1)
            before.append(np.unique(here.reshape(states, -1), axis=0, return_inverse=True)[1].ravel())
            after.append(np.unique(np.swapaxes(here, 0, 1).reshape(states, -1), axis=0, return_inverse=True)[1].ravel())
            start.append(at)
            at += (int(before[-1].max()) + 1) * (int(after[-1].max()) + 1)
        return cls(n, states, tuple(before), tuple(after), tuple(start), at - n * states)

    def columns(self, i: int) -> NDArray[np.intp]:
        """(G, H) variables of link i."""
        shape = int(self.before[i].max()) + 1, int(self.after[i].max()) + 1
        return self.start[i] + np.arange(shape[0] * shape[1]).reshape(shape)

    def flow(self, width: int) -> tuple[sparse.csr_matrix, Array]:
        """One state an entry; the links of an entry's classes carry what its states do."""
        row: list[int] = []
        column: list[int] = []
        value: list[float] = []
        right: list[float] = []
        for i in range(self.n):
            row += [len(right)] * self.states
            column += range(i * self.states, (i + 1) * self.states)
            value += [1.0] * self.states
            right.append(1.0)
        for i in range(len(self.start)):
            table = self.columns(i)
            for entry, classes, own in ((i, self.before[i], table), (i + 1, self.after[i], table.T)):
                for c, carried in enumerate(own):
                    chosen = entry * self.states + np.flatnonzero(classes == c)
                    column += [*carried.tolist(), *chosen.tolist()]
                    value += [1.0] * len(carried) + [-1.0] * len(chosen)
                    row += [len(right)] * (len(carried) + len(chosen))
                    right.append(0.0)
        return sparse.csr_matrix((value, (row, column)), shape=(len(right), width)), np.asarray(right)


def front_span(groups: Sequence[Sequence[ChainTerm]], cost: Callable[[NDArray[np.intp]], Array]) -> Array:
    """``(M,)`` how far the objectives range between designs that are best in one of them (the others break ties),
    limits ignored; at least a thousandth of the largest. A maximum is stood for by the mean of its groups."""
    unary = np.stack([np.mean([term.unary for term in group], axis=0) for group in groups])
    pairs = [[np.asarray(t.pair) for t in group if t.pair is not None] for group in groups]
    nothing = np.zeros((unary.shape[1] - 1, unary.shape[2], unary.shape[2]))
    pair = np.stack([sum(own, nothing) / len(group) for own, group in zip(pairs, groups, strict=True)])
    size = np.maximum(np.abs(unary).max(axis=2).sum(axis=1), 1e-300)
    weights = (np.eye(len(groups)) + 1e-6) / size
    states = best_paths(np.tensordot(weights, unary, 1), np.tensordot(weights, pair, 1))[1]
    corners = np.stack([cost(path) for path in states])
    return np.asarray(np.maximum(corners.max(axis=0) - corners.min(axis=0), 1e-3 * np.abs(corners).max(axis=0)))


def _row(term: ChainTerm, links: _Links, width: int) -> Array:
    row = np.zeros(width)
    row[: links.n * links.states] = np.asarray(term.unary, np.float64).ravel()
    if term.pair is not None:
        for i in range(len(links.start)):
            first = [np.unique(classes, return_index=True)[1] for classes in (links.before[i], links.after[i])]
            row[links.columns(i)] = np.asarray(term.pair[i], np.float64)[np.ix_(*first)]
    return row


def _unit(at: int, width: int) -> Array:
    row = np.zeros(width)
    row[at] = 1.0
    return row


def _span(term: ChainTerm) -> tuple[float, float]:
    low, high = float(np.min(term.unary, axis=1).sum()), float(np.max(term.unary, axis=1).sum())
    if term.pair is None:
        return low, high
    return low + float(np.min(term.pair, axis=(1, 2)).sum()), high + float(np.max(term.pair, axis=(1, 2)).sum())


def _whole(term: ChainTerm) -> bool:
    parts = [np.asarray(term.unary)] + ([] if term.pair is None else [np.asarray(term.pair)])
    return all(bool((part == np.round(part)).all()) and bool((np.abs(part) < 2**31).all()) for part in parts)


def _sum(term: ChainTerm, i: NDArray[np.intp], path: NDArray[np.intp]) -> float:
    total = float(np.asarray(term.unary)[i, path].sum())
    return total if term.pair is None else total + float(np.asarray(term.pair)[i[:-1], path[:-1], path[1:]].sum())

"""The front of a declared series-parallel graph, within its limits, by label sets: `chain_exact` on graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import ChainTerm, Graph
from tradespace.search.graph_labels import Effort, graph_front, graph_of_terms, graph_sums
from tradespace.search.graph_program import GraphArrays
from tradespace.search.indicators import nondominated
from tradespace.search.labels import LabelFront, Limit, spread_order

Array = NDArray[np.float64]
States = NDArray[np.intp]

_MOST_QUANTITIES = 6
_PATIENCE = 4.0  # times the sums of about a second


class Options(Protocol):
    """What is read of `ChainExactOptions`."""

    @property
    def epsilon(self) -> float: ...
    @property
    def labels(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def megabytes(self) -> float: ...


def limits_of_graph(graph: Graph) -> dict[str, Limit]:
    """The graph's limits."""
    return {name: Limit(ChainTerm(unary), float(cap)) for name, (unary, cap) in graph.limits.items()}


def graph_solved(
    graph: Graph, objectives: Sequence[str], limits: Mapping[str, Limit], options: Options
) -> tuple[States, float, tuple[str, ...]]:
    """``(states (L, n), spread first; epsilon of the labels; limits that some of them break)``.

    A limit is carried by the labels only once a design of the front without it breaks it, as along chains.
    """
    groups = [graph.groups(name) for name in objectives]
    carried: dict[str, Limit] = {}
    while True:
        found, width = _labelled(graph, groups, list(carried.values()), options)
        states = found.states
        broken = {name: _broken(graph, limit, states) for name, limit in limits.items() if name not in carried}
        worst = max(broken, key=lambda name: int(broken[name].sum()), default="")
        if not worst or not broken[worst].any() or width >= _MOST_QUANTITIES:
            break
        carried[worst] = limits[worst]
    left = tuple(name for name, rows in broken.items() if rows.any())
    fits = np.ones(len(states), bool)
    for limit in limits.values():
        fits &= ~_broken(graph, limit, states)
    if not fits.any():  # nothing fits: ask what is best without the limits, and let the diagnosis see it
        states = _labelled(graph, groups, [], options)[0].states
        fits = np.ones(len(states), bool)
    states = states[fits]
    values = np.stack([np.max([graph_sums(graph, t, states) for t in g], axis=0) for g in groups], axis=1)
    exact = all(graph.exact(name) for name in objectives)
    rows = np.flatnonzero(nondominated(values)) if exact else np.arange(len(values))
    return states[rows[spread_order(values[rows])]], found.epsilon, left


def _labelled(
    graph: Graph, groups: Sequence[tuple[ChainTerm, ...]], limits: Sequence[Limit], options: Options
) -> tuple[LabelFront, int]:
    """(front, quantities); see `chain_exact`."""
    arrays = graph_of_terms(graph, [term for group in groups for term in group], limits)
    front = graph_front(
        arrays, merge="design", scale=_scale(arrays), effort=_effort(arrays, options),
        epsilon=options.epsilon, megabytes=options.megabytes,
    )  # fmt: skip
    return front, arrays.unary.shape[2]


def _effort(arrays: GraphArrays, options: Options) -> Effort:
    """Options as a budget of sums, labels and time."""
    patience = max(_PATIENCE, 2 * options.seconds) if options.seconds else _PATIENCE
    effort = Effort.of(arrays, patience)
    if options.labels:
        effort = Effort(np.inf, options.labels)
    return Effort(effort.sums, effort.labels, options.seconds or np.inf)


def _broken(graph: Graph, limit: Limit, states: States) -> NDArray[np.bool_]:
    return np.asarray(graph_sums(graph, limit.term, states) > limit.cap * (1 + 1e-12))


def _scale(arrays: GraphArrays) -> Array:
    """What differences are compared with: the range of the sums without pairs, (Q,)."""
    span = (arrays.unary.max(axis=1) - arrays.unary.min(axis=1)).sum(axis=0)
    return np.where(span > 0, span, 1.0)

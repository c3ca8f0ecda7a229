"""What an evaluator may know of its own form: metrics as sums, or the largest of sums, over chains and graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import PluginError

if TYPE_CHECKING:
    from tradespace.costs.schedules_structure import TaskStructure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ChainTerm:
    """A metric as a sum over a chain: ``unary[i, s]`` for entry i in state s, ``pair[i, s, t]`` for entries i, i+1.

    ``exact=False``: the true metric is at least the sum (for "min" metrics): an additive minorant.
    """

    unary: Array  # (n, S)
    pair: Array | None = None  # (n - 1, S, S)
    exact: bool = True


@dataclass(frozen=True)
class MaxTerm:
    """A metric as the largest of several sums over one chain: the period of a pipeline is the largest busy time of a
    device. ``exact=False``: the true metric is at least that."""

    groups: tuple[ChainTerm, ...]
    exact: bool = True


@dataclass(frozen=True)
class Graph:
    """Metrics as sums over the entries and edges of a graph: ``pair[e, s, t]`` of a term for the ends of edge e.

    Solved exactly where it is series-parallel (`search.series_parallel`): networks with branches, rings, trees.
    ``links``: which states the ends of an edge may have together, where not all.
    """

    edges: tuple[tuple[int, int], ...]
    terms: Mapping[str, ChainTerm]  # unary (n, S), pair (E, S, S) or None
    limits: Mapping[str, tuple[Array, float]] = field(default_factory=dict)
    maxima: Mapping[str, MaxTerm] = field(default_factory=dict)
    allowed: NDArray[np.bool_] | None = None  # (n, S)
    links: NDArray[np.bool_] | None = None  # (E, S, S)

    def __post_init__(self) -> None:
        for edge in self.edges:
            if edge[0] == edge[1] or min(edge) < 0:
                raise PluginError("an edge of a graph joins two different entries", value=edge, where="structure")

    def groups(self, metric: str) -> tuple[ChainTerm, ...]:
        """As `Structure.groups`."""
        if metric in self.maxima:
            return self.maxima[metric].groups
        return (self.terms[metric],) if metric in self.terms else ()

    def exact(self, metric: str) -> bool:
        """Whether `groups` give the metric itself."""
        return self.maxima[metric].exact if metric in self.maxima else metric in self.terms and self.terms[metric].exact


@dataclass(frozen=True)
class Structure:
    """What an evaluator knows of its own form.

    ``variables`` are Choices of one length n; the state of an entry is the mixed-radix number of their codes, last
    variable fastest. A Composition among them assigns its n units in order: the code of a unit is the part it is in.
    A higher digit of the state may remember an earlier entry (see `costs.held`). ``links``: which states of entry i + 1
    may follow which of entry i, where not all. ``limits``: what is priced as a violation is at least
    ``sum(unary) / limit - 1`` (equal where nothing is shared between entries). Other variables of the space must not
    lower any term. ``maxima`` may say more of a metric than its term (an additive minorant such as the mean of the
    groups), or stand alone. ``allowed``: the states that each entry may take, where not all. ``graph``: says more than
    the chain does, where edges skip entries; the terms of the chain are then lower bounds (`structures.graph_structure`
    makes both). ``apart``: the variables, of any lengths and numbers of options, stand one after the other instead: an
    entry is one entry of one variable, its state the code (the last one for more; `structures.per_variable`).
    ``tasks``: the evaluator prices schedules of a task graph instead.
    """

    variables: tuple[str, ...] = ()
    terms: Mapping[str, ChainTerm] = field(default_factory=dict)  # metric -> form; direction "min" metrics only
    limits: Mapping[str, tuple[Array, float]] = field(default_factory=dict)  # name -> (unary (n, S), limit)
    maxima: Mapping[str, MaxTerm] = field(default_factory=dict)  # metric -> largest of sums
    allowed: NDArray[np.bool_] | None = None  # (n, S)
    links: NDArray[np.bool_] | None = None  # (n - 1, S, S)
    graph: Graph | None = None
    apart: bool = False
    tasks: TaskStructure | None = None

    def groups(self, metric: str) -> tuple[ChainTerm, ...]:
        """The terms whose largest sum the metric is, or is at least: one for a sum; none where nothing is known."""
        if metric in self.maxima:
            return self.maxima[metric].groups
        return (self.terms[metric],) if metric in self.terms else ()

    def main(self, metric: str) -> tuple[ChainTerm, ...]:
        """`groups` where they give the metric itself; else its one lower bound, if it has a term."""
        loose = metric in self.terms and not self.exact(metric)
        return (self.terms[metric],) if loose else self.groups(metric)

    def exact(self, metric: str) -> bool:
        """Whether `groups` give the metric itself and not a lower bound."""
        return self.maxima[metric].exact if metric in self.maxima else self.terms[metric].exact

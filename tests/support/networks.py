"""A network whose modules branch and join again, as inception networks do: the operators of `chains`, other edges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from tests.support.chains import Chain

from tradespace.designs import Designs
from tradespace.problem import ChainTerm, Graph, Prices, Structure
from tradespace.search.graph_labels import graph_sums
from tradespace.structures import graph_structure

OPERATORS = 8  # of a module: branches of one, two, two and two, and the join


@dataclass(frozen=True)
class Branching(Chain):
    """``n`` is 8 times the modules and one more; kinds "sum" and "capped"."""

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        edges = []
        for first in range(0, self.n - 1, OPERATORS):
            for branch in ((1,), (2, 3), (4, 5), (6, 7)):
                way = [first, *(first + k for k in branch), first + OPERATORS]
                edges += list(pairwise(way))
        return tuple(edges)

    def graph(self) -> Graph:
        chain = super().structure()
        rows = [max(edge) - 1 for edge in self.edges]  # what moves is what its reader reads
        terms = {
            name: replace(term, pair=None if term.pair is None else np.asarray(term.pair)[rows])
            for name, term in chain.terms.items()
        }
        return Graph(self.edges, terms, chain.limits)

    def price(self, designs: Designs) -> Prices:
        graph, known = self.graph(), super().price(designs)
        state = designs["device"].astype(np.intp) * self.p + designs["precision"]
        sums = {name: graph_sums(graph, term, state) for name, term in graph.terms.items()}
        over = {name: graph_sums(graph, ChainTerm(use), state) / cap - 1.0 for name, (use, cap) in graph.limits.items()}
        return Prices({**known.columns, **sums}, over)

    def structure(self) -> Structure:
        return graph_structure(("device", "precision"), self.graph())

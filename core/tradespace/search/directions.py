"""What a declared form says of the objectives as optimizers see them: all minimised.

Terms are declared for metrics that are small when they are good. Of a metric that is to be large, an exact sum is still
a sum with its sign turned; the largest of sums is not, and a lower bound says nothing of its negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tradespace.problem import ChainTerm, Problem, Structure


def minimised(problem: Problem, structure: Structure | None) -> Structure | None:
    """The structure with its terms turned where an objective is a metric to be made large: what `SearchView` carries.

    What cannot be turned is left out. ``limits`` stay as they are: they are about metrics that are no objective.
    """
    turned = {o.name for o in problem.objectives if o.direction == "max"}
    if structure is None or not turned:
        return structure
    terms = _turned(structure.terms, turned & set(structure.maxima), turned)
    maxima = {name: term for name, term in structure.maxima.items() if name not in turned}
    graph = structure.graph
    if graph is not None:
        known = {name: term for name, term in graph.maxima.items() if name not in turned}
        graph = replace(graph, terms=_turned(graph.terms, turned & set(graph.maxima), turned), maxima=known)
    tasks = None if structure.tasks is not None and turned & set(_schedules()) else structure.tasks
    return replace(structure, terms=terms, maxima=maxima, graph=graph, tasks=tasks)


def _schedules() -> Mapping[str, int]:
    """The metrics that solvers of a task graph make small."""
    from tradespace.costs.schedules_structure import MINIMISED

    return MINIMISED


def _turned(terms: Mapping[str, ChainTerm], loose: set[str], turned: set[str]) -> dict[str, ChainTerm]:
    """Terms with those of ``turned`` metrics negated if they are exact and no maximum says more (``loose``)."""
    kept = {name: term for name, term in terms.items() if name not in turned}
    for name in turned & set(terms) - loose:
        term = terms[name]
        if term.exact:
            pair = None if term.pair is None else np.negative(term.pair)
            kept[name] = ChainTerm(np.negative(term.unary), pair)
    return kept

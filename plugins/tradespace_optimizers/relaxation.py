"""Designs of the relaxed problem: the front of the chain structure, to start a search from."""

from __future__ import annotations

import numpy as np

from tradespace.designs import Designs
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace.search.indicators import nondominated
from tradespace.search.labels import chain_of, label_front, spread_order
from tradespace_optimizers.chain_designs import designs_of

_LABELS = 2000  # per state; thousands of relaxed designs are more than a search wants


def relaxed_designs(view: SearchView, known: Scores, most: int) -> Designs:
    """At most ``most`` designs on the front of the structure's sums, spread first; none without a full structure.

    ``known``: scores told so far. Designs worse than all of their non-dominated ones in some objective (by a tenth of
    the range, as in the reference box) are not worth pricing. Limits are left out: they are what true prices add.
    """
    structure, nothing = view.structure, view.space.homogeneous().take(slice(0, 0))
    if structure is None or most < 1 or any(name not in structure.terms for name in view.objectives):
        return nothing
    objectives = known.objectives[known.feasible] if known.feasible.any() else known.objectives
    front = objectives[nondominated(objectives)]
    low, high = front.min(axis=0), front.max(axis=0)
    span = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    chain = chain_of(structure, view.objectives)
    labels = min(_LABELS, chain.label_budget())
    found = label_front(chain, merge="design", scale=span, budget=labels, reference=high + 0.1 * span)
    if not len(found.states):
        return nothing
    return view.repair(designs_of(view.space, structure, found.states[spread_order(found.values)[:most]]))

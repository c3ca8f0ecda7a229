"""Designs of the relaxed problem: the front of the chain structure, to start a search from."""

from __future__ import annotations

import numpy as np

from tradespace.designs import Designs
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace.search.indicators import nondominated
from tradespace.search.labels import chain_of, label_front, limits_of, spread_order
from tradespace_optimizers.chain_designs import designs_of

_LABELS = 2000  # per state; thousands of relaxed designs are more than a search wants
_LIMITS = 3
_COARSE = 3.0  # a limit may be rounded more than an objective


def relaxed_designs(view: SearchView, known: Scores, most: int) -> Designs:
    """At most ``most`` designs on the front of the structure's sums, spread first; none without a full structure.

    ``known``: scores told so far. Designs worse than all of their non-dominated ones in some objective (by a tenth of
    the range, as in the reference box) are not worth pricing. Labels carry up to three limits that can bind.
    """
    structure, nothing = view.structure, view.space.homogeneous().take(slice(0, 0))
    if structure is None or most < 1 or any(name not in structure.terms for name in view.objectives):
        return nothing
    objectives = known.objectives[known.feasible] if known.feasible.any() else known.objectives
    front = objectives[nondominated(objectives)]
    low, high = front.min(axis=0), front.max(axis=0)
    span = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    limits = [limit for limit in limits_of(structure).values() if limit.open and limit.cap > 0][:_LIMITS]
    chain = chain_of(structure, view.objectives, limits)
    scale = np.concatenate([span, [_COARSE * limit.cap for limit in limits]])
    labels = min(_LABELS, chain.label_budget())
    found = label_front(chain, merge="design", scale=scale, budget=labels, reference=high + 0.1 * span)
    if not len(found.states):
        return nothing
    return view.repair(designs_of(view.space, structure, found.states[spread_order(found.values)[:most]]))

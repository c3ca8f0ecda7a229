"""How far from optimal a front can be at most, certified from the evaluator's chain structure.

Ours. Every feasible design costs at least its sums over the chain (terms are exact or additive minorants). Label
dynamic programming gives a set of vectors that weakly dominates all sums, hence all designs; together with the front
its hypervolume bounds what any front can reach. Labels whose best completion the front dominates add nothing to that
hypervolume and are dropped on the way, which is what makes the bound cheap for good fronts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tradespace.search.indicators import hypervolume, term_of
from tradespace.search.labels import LabelFront, chain_of, label_front

if TYPE_CHECKING:
    from tradespace.problem import Problem, Structure
    from tradespace.search.indicators import Box

Array = NDArray[np.float64]

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Gap:
    """``gap``: share of the bound's hypervolume that may still be missing at most. ``epsilon``: how much labels were
    merged, in units of the box (0: the bound is the exact front of the terms)."""

    hypervolume_bound: float
    gap: float
    method: str
    epsilon: float


def certified_gap(problem: Problem, minimised: Array, box: Box) -> Gap | None:
    """The gap of a front ``minimised`` (K, M); None where an objective has no chain term or the front is empty."""
    found = bound_set(problem, minimised, box)
    if found is None or not len(minimised):
        return None
    points, epsilon, method = found
    volume = hypervolume(minimised, box)
    bound = max(hypervolume(np.concatenate([minimised, points]), box), volume)
    if bound <= 0.0:
        return None
    return Gap(bound, 1.0 - volume / bound, method, epsilon)


def bound_set(problem: Problem, known: Array, box: Box) -> tuple[Array, float, str] | None:
    """(points (L, M), epsilon, method): every feasible design below the box's reference point is weakly dominated by
    one of these points or of ``known``. None where an objective has no chain term."""
    structure = problem.structure()
    names = tuple(o.expression.single if o.direction == "min" else None for o in problem.objectives)
    terms = [term_of(structure, name) for name in names]
    if structure is None or any(term is None for term in terms):
        return None
    chain = chain_of(structure, tuple(name for name in names if name is not None))
    chain = replace(chain, caps=np.minimum(chain.caps, objective_caps(problem)))
    scale = box.reference - box.ideal
    front: LabelFront = label_front(
        chain,
        merge="least",
        scale=scale,
        budget=chain.label_budget(),
        reference=box.reference,
        known=known,
    )
    points = front.values - _ROUNDING * (np.abs(front.values) + scale)
    exact = all(term is not None and term.exact for term in terms)
    method = f"label bound on {'exact' if exact else 'minorant'} chain terms"
    return points, front.epsilon, method


def objective_caps(problem: Problem) -> Array:
    """``(M,)`` upper limits that the user's constraints put on the objectives themselves; inf where there is none."""
    caps = np.full(len(problem.objectives), np.inf)
    for m, objective in enumerate(problem.objectives):
        for c in problem.constraints:
            if objective.direction == "min" and c.sense == "<=" and c.expression.text == objective.expression.text:
                caps[m] = min(caps[m], c.limit)
    return caps


def with_constraints(problem: Problem) -> Structure | None:
    """The evaluator's structure, with the user's constraints among its limits where they have that form: a metric
    with an exact term without pairs, at most a positive number."""
    structure = problem.structure()
    if structure is None:
        return None
    limits = dict(structure.limits)
    for c in problem.constraints:
        term = term_of(structure, c.expression.single)
        if term is not None and term.exact and term.pair is None and c.sense == "<=" and c.limit > 0:
            limits[c.text] = (term.unary, c.limit)
    return replace(structure, limits=limits)

"""How far from optimal a front can be at most, certified from the evaluator's chain structure.

Ours. Every feasible design costs at least its sums over the chain (terms are exact or additive minorants). Label
dynamic programming gives a set of vectors that weakly dominates all sums, hence all designs; together with the front
its hypervolume bounds what any front can reach. Labels whose best completion the front dominates add nothing to that
hypervolume and are dropped on the way, which is what makes the bound cheap for good fronts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import ChainTerm
from tradespace.search.graph_labels import Effort, graph_front, graph_of_terms, shape_of
from tradespace.search.indicators import EXACT_OBJECTIVES, hypervolume, term_of
from tradespace.search.labels import Limit, chain_of, chain_of_terms, label_front, limits_of, transition_limit
from tradespace.search.supports import Supports, directions, priced_terms, supports, upper_volume

if TYPE_CHECKING:
    from tradespace.costs.schedules_structure import TaskStructure
    from tradespace.problem import Constraint, Graph, Problem, Structure
    from tradespace.search.indicators import Box

Array = NDArray[np.float64]

_ROUNDING = 1e-12
_PRICED = 3  # fronts of sums in which multipliers stand for limits
_WORTH = 0.005  # a gap below this is not worth another bound
_LIMITS = 4
_DIRECTIONS = {1: 1, 2: 48, 3: 20}  # steps of the weights, by objectives
_ASCENT, _LEAST = 400, 40  # subgradient steps: shared by the weights, and of each
_CELLS = 20_000  # entries times states squared from which half as many steps take a second
_NODES, _SECONDS = 3000, 30.0  # of branch and bound; nodes run out first, so that a bound is the same anywhere
_TOLERANCE = 1e-5  # of a solver's bound
_COARSE = 3.0  # a limit may be rounded more than an objective


@dataclass(frozen=True)
class Gap:
    """``gap``: share of the bound's hypervolume that may still be missing at most. ``epsilon``: how much labels were
    merged, in units of the box (0: the bound is the exact front of the terms)."""

    hypervolume_bound: float
    gap: float
    method: str
    epsilon: float


def certified_gap(problem: Problem, minimised: Array, box: Box) -> Gap | None:
    """The gap of a front ``minimised`` (K, M); None where an objective has no chain term or the front is empty.

    Limits (capacities, the user's constraints on metrics with a term) are first left out, which is valid and fast;
    where a gap remains, each one that can bind becomes one more quantity of the labels, and the least bound counts.
    """
    structure, volume = problem.structure(), hypervolume(minimised, box)
    if structure is not None and structure.tasks is not None and len(minimised):
        return _task_gap(problem, structure.tasks, volume, box)
    names = chain_objectives(problem, structure)
    if structure is None or names is None or not len(minimised):
        return None
    graph = graph_in_use(structure, names)
    exact = all((graph or structure).terms[name].exact for name in names)
    method = f"label bound on {'exact' if exact else 'minorant'} {'series-parallel' if graph else 'chain'} terms"
    method += ", volumes estimated" if len(names) > EXACT_OBJECTIVES else ""
    points, epsilon = bound_set(problem, structure, names, minimised, box)
    sets = [points]
    bound = max(hypervolume(np.concatenate([minimised, points]), box), volume)
    limits = _open_limits(problem, structure)
    for name, limit in limits[:_LIMITS]:
        if volume >= (1.0 - _WORTH) * bound or len(names) > 3:
            break
        points, grain = bound_set(problem, structure, names, minimised, box, (name, limit), share=len(limits[:_LIMITS]))
        sets.append(points)
        tighter = max(hypervolume(np.concatenate([minimised, points]), box), volume)
        if tighter < bound:
            bound, epsilon = tighter, grain
            method = f"{method.partition(' within ')[0]} within {name}"
    if volume < (1.0 - _WORTH) * bound:
        tighter = max(_supported(structure, names, [limit for _, limit in limits], minimised, sets, box), volume)
        if tighter < bound:
            how = "Lagrangian supports" if len(names) > 1 else "Lagrangian supports and branch and bound"
            bound, method = tighter, f"{method}, cut by {how}"
    return Gap(bound, 1.0 - volume / bound, method, epsilon) if bound > 0.0 else None


def _task_gap(problem: Problem, tasks: TaskStructure, volume: float, box: Box) -> Gap | None:
    """From one lower bound an objective: the corner that no schedule is beyond."""
    names = [o.expression.single for o in problem.objectives if o.direction == "min"]
    if len(names) < len(problem.objectives):
        return None
    corner = np.asarray([-np.inf if name is None else tasks.bound(name) for name in names])
    if not np.isfinite(corner).all():
        return None
    bound = max(hypervolume(corner[None], box), volume)
    method = "lower bounds of schedules: linear relaxation, least work"
    return Gap(bound, 1.0 - volume / bound, method, 0.0) if bound > 0.0 else None


def _supported(
    structure: Structure, names: tuple[str, ...], limits: list[Limit], known: Array, sets: list[Array], box: Box
) -> float:
    """The hypervolume left by all label bounds and half-spaces together; inf where half-spaces say nothing new (sums
    without limits) or volumes are not cut (more than three objectives)."""
    groups = [structure.groups(name) for name in names]
    if len(names) not in _DIRECTIONS or not (limits or any(len(group) > 1 for group in groups)):
        return np.inf
    scale = box.reference - box.ideal
    cells = np.size(structure.terms[names[0]].unary) * np.shape(structure.terms[names[0]].unary)[1]
    weights = directions(len(names), _DIRECTIONS[len(names)] // (1 if cells < _CELLS else 2))
    found = supports(
        groups, limits, scale, weights, known, steps=_ASCENT // len(weights) + _LEAST, links=structure.links
    )
    if len(names) == 1:
        least = np.maximum(found.bounds[:, None] * scale, _integer_bound(structure, names[0], limits))
        return hypervolume(least, box)
    sets = [*sets, *_priced_sets(structure, groups, limits, scale, found, known, box)]
    return upper_volume([box.normalise(np.concatenate([known, rows])) for rows in sets], found, box.ideal / scale)


def _integer_bound(structure: Structure, name: str, limits: list[Limit]) -> float:
    """What no design is below, from HiGHS' branch and bound on the whole chain, for one objective."""
    from scipy.optimize import Bounds, LinearConstraint, milp  # takes as long to import as all of the search

    from tradespace.search.chain_model import chain_model

    every = [*limits, *transition_limit(structure).values()]
    model = chain_model([structure.groups(name)], every)
    kinds = np.ones(model.variables)
    kinds[model.variables - model.maxima :] = 0
    top = np.where(kinds > 0, 1.0, np.inf)
    rules = [LinearConstraint(model.equal, model.right, model.right)]
    rules += [LinearConstraint(model.limits, -np.inf, model.caps)] if len(model.caps) else []
    cost = model.objectives.toarray()[0] / model.highest[0]
    options = {"node_limit": _NODES, "time_limit": _SECONDS, "mip_rel_gap": 0.0}
    result = milp(cost, integrality=kinds, bounds=Bounds(0.0, top), constraints=rules, options=options)
    bound = getattr(result, "mip_dual_bound", None)
    return -np.inf if bound is None else float(bound - _TOLERANCE * abs(bound)) * model.highest[0]


def _priced_sets(
    structure: Structure,
    groups: list[tuple[ChainTerm, ...]],
    limits: list[Limit],
    scale: Array,
    found: Supports,
    known: Array,
    box: Box,
) -> list[Array]:
    """Sets of vectors, (L, M) each: every feasible design is weakly dominated by one of each set or of ``known``.

    A design that keeps the limits pays no less than its sums plus, in every objective, the limits' multipliers times
    what it uses of them less the multipliers themselves, and a maximum is at least each convex mix of its sums. The
    front of such sums bounds all designs; unlike a half-space it is as bent as the front is.
    """
    inside = np.flatnonzero((found.weights > 0).all(axis=1))
    rows = inside[np.unique(np.linspace(0, len(inside) - 1, _PRICED).astype(np.intp))]
    first, sets = sum(len(group) for group in groups), []
    for row in rows.tolist():
        chain = chain_of_terms(priced_terms(groups, limits, scale, found, row), (), structure.links)
        paid = float(found.multipliers[row, first:].sum())
        front = label_front(
            chain, merge="least", scale=np.ones(len(groups)), budget=max(chain.label_budget() // _PRICED, 20),
            reference=box.reference / scale + paid, known=known / scale + paid,
        )  # fmt: skip
        points = (front.values - paid) * scale
        sets.append(points - _ROUNDING * (np.abs(points) + (1.0 + paid) * scale))
    return sets


def bound_set(
    problem: Problem,
    structure: Structure,
    names: tuple[str, ...],
    known: Array,
    box: Box,
    limit: tuple[str, Limit] | None = None,
    share: int = 1,
) -> tuple[Array, float]:
    """(points (L, M), epsilon): every feasible design below the box's reference point is weakly dominated by one of
    these points or of ``known`` (K, M).

    Args:
        names: the objectives' metrics, all with a term.
        limit: one more quantity that labels carry. share: how many bounds share the time of one.
    """
    graph, m = graph_in_use(structure, names), len(names)
    scale = np.concatenate([box.reference - box.ideal, [_COARSE * limit[1].cap] if limit else []])
    if graph is not None:
        return _graph_set(problem, graph, names, known, box, scale, limit, share)
    chain = chain_of(structure, names, [limit[1]] if limit else [])
    chain = replace(chain, caps=np.concatenate([objective_caps(problem), chain.caps[m:]]))
    budget = max(chain.label_budget() // share, 20)
    front = label_front(chain, merge="least", scale=scale, budget=budget, reference=box.reference, known=known)
    points = front.values[:, :m]
    return points - _ROUNDING * (np.abs(points) + scale[:m]), front.epsilon


def _graph_set(
    problem: Problem,
    graph: Graph,
    names: tuple[str, ...],
    known: Array,
    box: Box,
    scale: Array,
    limit: tuple[str, Limit] | None,
    share: int,
) -> tuple[Array, float]:
    """`bound_set` from the sums over a graph. A maximum is carried as its sums where that is few quantities."""
    m = len(names)
    groups = [graph.groups(name) for name in names]
    if sum(map(len, groups)) > EXACT_OBJECTIVES - (limit is not None):
        groups = [(graph.terms[name],) for name in names]
    owner = np.repeat(np.arange(m), [len(group) for group in groups])
    own = graph_limits(problem, graph).get(limit[0]) if limit is not None else None
    arrays = graph_of_terms(graph, [term for group in groups for term in group], [own] if own is not None else [])
    arrays = replace(arrays, caps=np.concatenate([objective_caps(problem)[owner], arrays.caps[len(owner) :]]))
    front = graph_front(
        arrays, merge="least", scale=np.concatenate([scale[:m][owner], scale[m:] if own is not None else []]),
        effort=Effort.of(arrays, 1.0 / share), reference=box.reference[owner], known=known[:, owner],
    )  # fmt: skip
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    points = np.maximum.reduceat(front.values[:, : len(owner)], starts, axis=1)
    return points - _ROUNDING * (np.abs(points) + scale[:m]), front.epsilon


def graph_in_use(structure: Structure, names: Sequence[str]) -> Graph | None:
    """The declared graph, where it says more of these metrics than the chain does and can be solved."""
    graph = structure.graph
    if graph is None or any(not graph.groups(name) for name in names) or shape_of(graph):
        return None
    return None if all(structure.groups(name) and structure.exact(name) for name in names) else graph


def graph_limits(problem: Problem, graph: Graph) -> dict[str, Limit]:
    """The graph's own limits, and the user's where they are upper limits of a metric with a term."""
    limits = {name: Limit(ChainTerm(unary), float(cap)) for name, (unary, cap) in graph.limits.items()}
    for c in problem.constraints:
        term = graph.terms.get(c.expression.single or "")
        if term is not None and c.sense == "<=" and c.expression.text not in problem.names:
            limits[c.text] = Limit(term, c.limit)
    return limits


def chain_objectives(problem: Problem, structure: Structure | None) -> tuple[str, ...] | None:
    """The metrics behind the objectives, if each objective is one minimised metric with a chain term."""
    names = [o.expression.single for o in problem.objectives if o.direction == "min"]
    if len(names) < len(problem.objectives) or any(term_of(structure, name) is None for name in names):
        return None
    return tuple(name for name in names if name is not None)


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
    with a term without pairs, at most a positive number. Upper bounds on objectives are left out: a front stays exact
    without them."""
    structure = problem.structure()
    if structure is None:
        return None
    limits = dict(structure.limits)
    for c in problem.constraints:
        term = term_of(structure, c.expression.single)
        plain = term is not None and (term.pair is None or not term.pair.any())
        objective = c.expression.text in problem.names
        if term is not None and plain and not objective and c.sense == "<=" and c.limit > 0:
            limits[c.text] = (term.unary, c.limit)
    graph = structure.graph
    if graph is not None:
        every = graph_limits(problem, graph)
        own = {name: (every[name].term.unary, every[name].cap) for name in limits if name in every}
        graph = replace(graph, limits=own)
    return replace(structure, limits=limits, graph=graph)


def unstructured(problem: Problem) -> tuple[str, ...]:
    """The user's constraints that neither cap an objective nor have the form of a limit with an exact term: nothing
    that an optimizer learns from the structure accounts for them."""
    structure = with_constraints(problem)
    if structure is None:
        return tuple(c.text for c in problem.constraints)
    minimised = [o.name for o in problem.objectives if o.direction == "min"]

    def known(c: Constraint) -> bool:
        term = term_of(structure, c.expression.single)
        exact = term is not None and term.exact and c.text in structure.limits
        return exact or (c.sense == "<=" and c.expression.text in minimised)

    return tuple(c.text for c in problem.constraints if not known(c))


def _open_limits(problem: Problem, structure: Structure) -> list[tuple[str, Limit]]:
    """Limits that some path breaks, the user's among them; bounds on objectives are caps instead."""
    limits = limits_of(structure)
    for c in problem.constraints:
        term = term_of(structure, c.expression.single)
        if term is not None and c.sense == "<=" and c.expression.text not in problem.names:
            limits[c.text] = Limit(term, c.limit)
    return [(name, limit) for name, limit in limits.items() if limit.open and limit.cap > 0]

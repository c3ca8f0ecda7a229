"""The exact front of a chain or series-parallel graph, by label dynamic programming over the evaluator's structure.

Any number of objectives, pair terms (transfers) included. The front is exact when every objective has an exact term,
nothing but the structure's limits and objectives' own upper bounds constrains the designs, and ``note`` says so; with
minorants the asked designs are those of the lower bound, priced truly by the loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import ChainTerm, Graph, Scores, Structure
from tradespace.search.abilities import Supports
from tradespace.search.contract import SearchView
from tradespace.search.gap import graph_in_use
from tradespace.search.graph_labels import shape_of
from tradespace.search.indicators import nondominated
from tradespace.search.labels import (
    ChainArrays,
    LabelFront,
    Limit,
    chain_of_terms,
    label_front,
    limits_of,
    path_sums,
    spread_order,
)
from tradespace.search.reach import Reach, reach
from tradespace.search.supports import directions, priced_terms, supports
from tradespace_optimizers.chain_designs import designs_of
from tradespace_optimizers.graph_exact import graph_solved, limits_of_graph

Array = NDArray[np.float64]
Links = NDArray[np.bool_] | None

_MOST_QUANTITIES = 6
_PATIENCE = 4  # times the labels of about a second
_STEPS = {1: 1, 2: 24, 3: 8}  # of the weights of Lagrangian paths, by objectives
_SHARP = {1: 1, 2: 48, 3: 14}  # the same, for the guarantee
_SEARCHING = 200  # subgradient steps towards a first design
_PRICED = 12  # fronts of priced sums
_WORTH_SAYING = 1.0  # a factor of two


@dataclass(frozen=True)
class ChainExactOptions:
    """epsilon: accept designs within a factor 1 + epsilon (0: exact while label sets fit).
    labels: kept per state, 0 = about two seconds of work. seconds: of solving, 0 = as many as the labels take (with a
    time budget results may differ from run to run). megabytes: of labels, 0 = any. Whatever the budget, the note says
    within which factor of the exact front the designs are. relax_limits: leave capacities to the loop's archive."""

    epsilon: float = 0.0
    labels: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0
    relax_limits: bool = False

    def __post_init__(self) -> None:
        if min(self.epsilon, self.labels, self.seconds, self.megabytes) < 0:
            raise ProblemError(
                "epsilon, labels, seconds and megabytes are at least 0", value=self, where="options of chain_exact"
            )


class ChainExact:
    """Exact front of a declared chain or series-parallel graph by label dynamic programming, or one within a stated
    factor.

    Solves when it is built; asks the designs of the front, spread first; ends when all were told.

    ``note`` says what is certain about the asked designs.
    """

    Options: ClassVar[type] = ChainExactOptions
    supports: ClassVar[Supports] = Supports(
        ("Choice", "Composition"),
        constraints="exact where in the structure",
        batch="any",
        note="needs the structure of a chain, or of a series-parallel graph",
    )
    batch = 1024

    def __init__(self, view: SearchView, options: ChainExactOptions) -> None:
        structure = _checked(view)
        graph = graph_in_use(structure, view.objectives)
        every = limits_of(structure) if graph is None else limits_of_graph(graph)
        limits = {name: limit for name, limit in every.items() if limit.open}
        asked = {} if options.relax_limits else limits
        if graph is None:
            solved = _solve(structure, view.objectives, asked, options)
        else:
            solved = _Solved(*graph_solved(graph, view.objectives, asked, options))
        if options.relax_limits:
            solved = replace(solved, left=tuple(limits))
        self.epsilon = min(solved.epsilon, solved.reach.factor) if solved.reach else solved.epsilon
        self.reach = solved.reach
        self.note = _note(view, graph or structure, solved)
        if graph is None and structure.graph is not None and "lower bounds" in self.note:
            self.note += f"; {shape_of(structure.graph) or 'the declared graph lacks an objective'}"
        self._designs = designs_of(view.space, structure, solved.states)
        self._told = 0

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        return self._designs.take(slice(self._told, self._told + n))

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._told += len(designs)


def _checked(view: SearchView) -> Structure:
    """The structure, or the reason why there is no chain to solve."""
    where, remedy = "optimizer chain_exact", "Use optimizer=pgsam, which needs no structure."
    if view.structure is None:
        raise ProblemError("chain_exact needs an evaluator that states its chain structure", where=where, remedy=remedy)
    lacking = [name for name in view.objectives if not view.structure.groups(name)]
    if lacking and graph_in_use(view.structure, view.objectives) is None:
        raise ProblemError(
            "chain_exact needs a chain term for every objective",
            value=f"none for {', '.join(lacking)}",
            where=where,
            remedy=f"Terms: {', '.join(view.structure.terms)}. {remedy}",
        )
    return view.structure


@dataclass(frozen=True)
class _Solved:
    """``states`` (L, n), spread first; ``epsilon`` of the labels; ``left``: limits that some design breaks."""

    states: NDArray[np.intp]
    epsilon: float
    left: tuple[str, ...]
    reach: Reach | None = None  # where labels give no guarantee, half-spaces may


def _solve(
    structure: Structure, objectives: Sequence[str], limits: Mapping[str, Limit], options: ChainExactOptions
) -> _Solved:
    """The front within the limits. Labels carry a limit only once a design of the front without it breaks it: what is
    best with fewer limits and keeps them all is best with all of them."""
    groups = [structure.main(name) for name in objectives]
    carried: dict[str, Limit] = {}
    while True:
        found, width = _labelled(groups, list(carried.values()), options, structure.links)
        broken = {name: _broken(limit, found.states) for name, limit in limits.items() if name not in carried}
        worst = max(broken, key=lambda name: int(broken[name].sum()), default="")
        if not worst or not broken[worst].any() or width >= _MOST_QUANTITIES:
            break
        carried[worst] = limits[worst]
    states, values = found.states, _values(groups, found.states)
    left = tuple(name for name, rows in broken.items() if rows.any())
    priced = bool(limits) or any(len(group) > 1 for group in groups)  # plain sums have nothing to price
    if priced and ((found.epsilon and not options.epsilon) or left or not len(states)):
        states = np.concatenate([states, _lagrangian(groups, list(limits.values()), structure.links)])
        values = _values(groups, states)
    fits = (
        ~np.any([_broken(limit, states) for limit in limits.values()], axis=0) if limits else np.ones(len(states), bool)
    )
    if not fits.any():  # nothing fits: ask what is best without the limits, and let the diagnosis see it
        states = _labelled(groups, [], options, structure.links)[0].states
        fits, values = np.ones(len(states), bool), _values(groups, states)
    states, values = states[fits], values[fits]
    exact = all(structure.exact(name) for name in objectives)  # what a lower bound thinks dominated need not be
    rows = np.flatnonzero(nondominated(values)) if exact else np.arange(len(values))
    rows = rows[spread_order(values[rows])]
    merged = exact and found.epsilon and (priced or found.epsilon > _WORTH_SAYING)
    near = _reached(groups, list(limits.values()), values[rows], structure.links) if merged else None
    grain = np.inf if carried and found.epsilon else found.epsilon  # of merged labels the one kept may break a limit
    return _Solved(states[rows], grain, left, near)


def _reached(
    groups: Sequence[tuple[ChainTerm, ...]], limits: Sequence[Limit], values: Array, links: Links
) -> Reach | None:
    """What Lagrangian half-spaces say of these designs, all within the limits; None for more than three objectives."""
    if len(groups) not in _SHARP:
        return None
    span = values.max(axis=0) - values.min(axis=0)
    scale = np.where(span > 0, span, np.maximum(np.abs(values.max(axis=0)), 1e-300))
    weights = directions(len(groups), _SHARP[len(groups)])
    found = supports(groups, [limit for limit in limits if limit.cap > 0], scale, weights, values, links=links)
    highest = np.asarray([max(_most(term) for term in group) for group in groups])
    return reach(values, highest, scale, found)


def _most(term: ChainTerm) -> float:
    pair = 0.0 if term.pair is None else float(term.pair.max(axis=(1, 2)).sum())
    return float(term.unary.max(axis=1).sum()) + pair


def _labelled(
    groups: Sequence[tuple[ChainTerm, ...]], limits: Sequence[Limit], options: ChainExactOptions, links: Links
) -> tuple[LabelFront, int]:
    """(front, quantities). Labels carry every group of a maximum as a sum of its own: more are kept than are
    non-dominated in the maxima, none is lost."""
    chain = chain_of_terms([term for group in groups for term in group], limits, links)
    scale, seconds = _scale(chain), options.seconds or np.inf
    ceiling = None if len(groups) > 1 or len(groups[0]) == 1 else _ceiling(groups, limits, links)
    front = label_front(
        chain, merge="design", scale=scale, budget=_budget(chain, options), reference=ceiling,
        epsilon=options.epsilon, seconds=seconds,
    )  # fmt: skip
    return front, chain.unary.shape[2]


def _budget(chain: ChainArrays, options: ChainExactOptions) -> int:
    """Labels a class of states within time (by the clock, later) and memory."""
    patience = max(_PATIENCE, int(2 * options.seconds)) if options.seconds else _PATIENCE
    budget = options.labels or patience * chain.label_budget()
    if options.megabytes:
        budget = min(budget, int(options.megabytes * 1e6 / chain.bytes_per_label()))
    return max(budget, 1)


def _ceiling(groups: Sequence[tuple[ChainTerm, ...]], limits: Sequence[Limit], links: Links) -> Array | None:
    """What no sum of a best design exceeds where the one objective is the largest of several: that of a design found
    by multipliers. A label above it leads to nothing better, which leaves few."""
    scale = np.asarray([max(_span(term) for term in groups[0])])
    priced = [limit for limit in limits if limit.cap > 0]
    states = supports(groups, priced, scale, np.ones((1, 1)), steps=_SEARCHING, links=links).states
    fits = [row for row in states if not any(_broken(limit, row[None])[0] for limit in limits)]
    if not fits:
        return None
    best = float(_values(groups, np.asarray(fits)).min())
    return np.full(len(groups[0]), best + 1e-9 * abs(best))


def _lagrangian(groups: Sequence[tuple[ChainTerm, ...]], limits: Sequence[Limit], links: Links) -> NDArray[np.intp]:
    """Paths found while multipliers price limits and maxima, and the fronts of some of the sums so priced."""
    scale = np.asarray([max(_span(term) for term in group) for group in groups])
    priced = [limit for limit in limits if limit.cap > 0]
    weights = directions(len(groups), _STEPS.get(len(groups), 4))
    found, paths = supports(groups, priced, scale, weights, links=links), []
    inside = np.flatnonzero((weights > 0).all(axis=1))
    for row in inside[np.linspace(0, len(inside) - 1, min(_PRICED, len(inside))).astype(np.intp)].tolist():
        chain = chain_of_terms(priced_terms(groups, priced, scale, found, row), (), links)
        budget = max(chain.label_budget() // _PRICED, 20)
        paths.append(label_front(chain, merge="design", scale=_scale(chain), budget=budget).states)
    return np.concatenate([found.states, *paths])


def _values(groups: Sequence[tuple[ChainTerm, ...]], states: NDArray[np.intp]) -> Array:
    """``(L, M)`` objectives of paths."""
    return np.stack([np.max([path_sums(term, states) for term in group], axis=0) for group in groups], axis=1)


def _broken(limit: Limit, states: NDArray[np.intp]) -> NDArray[np.bool_]:
    return np.asarray(path_sums(limit.term, states) > limit.cap * (1 + 1e-12))


def _span(term: ChainTerm) -> float:
    return float((term.unary.max(axis=1) - term.unary.min(axis=1)).sum()) or 1.0


def _scale(chain: ChainArrays) -> Array:
    """What differences are compared with: the range of the sums without pairs, (Q,)."""
    span = (chain.unary.max(axis=1) - chain.unary.min(axis=1)).sum(axis=0)
    return np.where(span > 0, span, 1.0)


def _note(view: SearchView, structure: Structure | Graph, solved: _Solved) -> str:
    minorant = [name for name in view.objectives if not structure.exact(name)]
    parts = [f"lower bounds stand for {', '.join(minorant)}"] if minorant else []
    parts += [f"limits left to the archive: {', '.join(solved.left)}"] if solved.left else []
    if solved.epsilon and solved.epsilon <= min(_WORTH_SAYING, solved.reach.factor if solved.reach else np.inf):
        parts += [f"within a factor {1 + solved.epsilon:.4g} in every objective"]
    elif solved.reach is not None and min(solved.reach.factor, solved.reach.share) <= _WORTH_SAYING:
        parts += [_nearness(solved.reach)]
    elif solved.epsilon:
        parts += ["label sets too large for a guarantee of its own, see the certified gap"]
    return "; ".join(parts) or "exact"


def _nearness(near: Reach) -> str:
    """The guarantee in words: a factor, or where that says little (an objective close to 0) a share of the range."""
    if near.factor <= _WORTH_SAYING:
        return f"within a factor {1 + near.factor:.4g} in every objective, or {near.share:.3g} of the front's range"
    return f"within {near.share:.3g} of the front's range in every objective"

"""``design: {search: …}``: a plan found by a search, exact where size or structure allow, with decisions taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.errors import ProblemError
from tradespace.problem import ChainTerm, Evaluator, MaxTerm, Prices, Problem, Structure

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.search import Front

ENUMERABLE = 20_000
"""Spaces up to this many designs are enumerated unless a row names an optimizer."""
_EVALUATIONS = 10_000


def decide(evaluator: Evaluator, search: Mapping[str, Any], registry: Registry) -> tuple[Designs, str]:
    """The design that a search picks, in the evaluator's own space, and how it was found.

    Raises:
        ProblemError: nothing feasible, or a ``best`` that is neither knee, objective nor metric.
        TradespaceError: unknown metrics, variables, optimizers.
    """
    from tradespace.search import Budget, make_optimizer, run, view_of
    from tradespace.studies.session import default_objectives

    best = str(search.get("best", "knee"))
    objectives = search.get("objectives") or ([best] if best != "knee" else default_objectives(evaluator))
    reduced = without(evaluator, search.get("fix") or {})
    problem = Problem.of(reduced, list(objectives), search.get("subject_to") or [])
    evaluations = int(search.get("evaluations", _EVALUATIONS))
    name = search.get("optimizer") or choose(problem)
    if search.get("optimizer") is None and name == "exhaustive":
        evaluations = max(evaluations, reduced.space.size or 0)
    budget, seed = Budget(evaluations), int(search.get("seed", 0))
    front = run(problem, make_optimizer(name, {}, view_of(problem, budget), registry), budget, seed, name=name)
    if front.interrupted:
        raise KeyboardInterrupt  # half a search is no answer to a published row
    if not len(front):
        raise ProblemError(
            "the search found no feasible plan",
            value=front.stopped,
            remedy=front.diagnosis.text if front.diagnosis else "",
        )
    found = pick(front, best)
    full = reduced.expand(found) if isinstance(reduced, Reduced) else found
    return full, f"{name}, seed {seed}, {front.evaluations} evaluations, front of {len(front)}"


def choose(problem: Problem) -> str:
    """Enumeration for small spaces, dynamic programming where the structure states the objectives exactly, else
    annealing."""
    from tradespace.search.directions import minimised

    if problem.space.size is not None and problem.space.size <= ENUMERABLE:
        return "exhaustive"
    structure = minimised(problem, problem.structure())
    if structure is not None and not problem.constraints and len(problem.names) == 1:
        variables = {v.name for v in problem.space.variables}
        known = all(structure.groups(name) and structure.exact(name) for name in problem.names)
        if set(structure.variables) == variables and known:
            return "chain_exact"
    return "pgsam"


def pick(front: Front, best: str) -> Designs:
    """The knee, the best of an objective, or the front's plan that is best in another metric."""
    if best == "knee" or best in front.problem.names:
        return front.best(best).designs
    chosen = Problem.of(front.problem.evaluator, [best])
    row = int(np.argmin(chosen.score(front.designs, front.scores.prices).objectives[:, 0]))
    return front.designs.take([row])


def without(evaluator: Evaluator, fix: Mapping[str, Any]) -> Evaluator | Reduced | Held:
    """The evaluator with the decisions of ``fix`` taken away: whole variables leave the space, single entries are
    held at their value."""
    if not fix:
        return evaluator
    space = evaluator.space
    row = space.parse(fix, where="design.search.fix")
    whole = all(_covers(space, name, value) for name, value in fix.items())
    parents = {p for v in space.variables for p in (*v.when, *((v.prefix,) if v.prefix else ()))}
    if whole and not parents & set(fix) and len(fix) < len(space.variables):
        return Reduced(evaluator, {name: row.columns[name] for name in fix})
    masks = {name: _mask(space, name, value) for name, value in fix.items()}
    return Held(evaluator, row, masks)


class Reduced:
    """An evaluator whose space lacks some variables; they keep one value."""

    def __init__(self, inner: Evaluator, fixed: Mapping[str, NDArray[Any]]) -> None:
        self.inner, self.fixed = inner, fixed
        self.space = Space(*(v for v in inner.space.variables if v.name not in fixed))
        self.metrics = inner.metrics
        self.deterministic = bool(getattr(inner, "deterministic", True))
        self.default_objectives = getattr(inner, "default_objectives", None)

    def expand(self, designs: Designs) -> Designs:
        n = len(designs)
        columns = {
            v.name: np.repeat(self.fixed[v.name], n, axis=0) if v.name in self.fixed else designs.columns[v.name]
            for v in self.inner.space.variables
        }
        return Designs(self.inner.space, columns)

    def repair(self, designs: Designs) -> Designs:
        own = getattr(self.inner, "repair", None)
        full = own(self.expand(designs)) if own is not None else self.expand(designs)
        return Designs(self.space, {v.name: full.columns[v.name] for v in self.space.variables})

    def price(self, designs: Designs) -> Prices | Mapping[str, NDArray[np.float64]]:
        return self.inner.price(self.expand(designs))

    def structure(self) -> Structure | None:
        own = getattr(self.inner, "structure", None)
        whole = own() if own is not None else None
        if whole is None or not any(name in self.fixed for name in whole.variables):
            return whole
        if whole.links is not None or whole.apart:  # states are more than the codes of the variables
            return None
        sizes = [len(getattr(self.inner.space[name], "options", ())) for name in whole.variables]
        n = self.inner.space[whole.variables[0]].width
        codes = np.arange(int(np.prod(sizes)))
        digits = dict(zip(whole.variables, np.unravel_index(codes, sizes), strict=True))
        keep = np.ones((n, len(codes)), bool)
        for name in set(whole.variables) & set(self.fixed):
            keep &= digits[name][None, :] == self.fixed[name][0].astype(np.int64)[:, None]
        states = np.stack([codes[row] for row in keep])  # (n, S'): the states each entry keeps, order preserved
        terms = {name: _reduced(term, states) for name, term in whole.terms.items()}
        limits = {k: (np.take_along_axis(unary, states, 1), limit) for k, (unary, limit) in whole.limits.items()}
        maxima = {
            name: MaxTerm(tuple(_reduced(group, states) for group in term.groups), term.exact)
            for name, term in whole.maxima.items()
        }
        allowed = None if whole.allowed is None else np.take_along_axis(whole.allowed, states, 1)
        return Structure(tuple(v for v in whole.variables if v not in self.fixed), terms, limits, maxima, allowed)


class Held:
    """An evaluator that holds single entries of its designs at fixed values."""

    def __init__(self, inner: Evaluator, row: Designs, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        self.inner, self.row, self.masks = inner, row, masks
        self.space, self.metrics = inner.space, inner.metrics
        self.deterministic = bool(getattr(inner, "deterministic", True))
        self.default_objectives = getattr(inner, "default_objectives", None)

    def repair(self, designs: Designs) -> Designs:
        columns = dict(designs.columns)
        for name, mask in self.masks.items():
            columns[name] = np.where(mask, self.row.columns[name], columns[name]).astype(columns[name].dtype)
        held = self.space.repair(Designs(self.space, columns))
        own = getattr(self.inner, "repair", None)
        return own(held) if own is not None else held

    def price(self, designs: Designs) -> Prices | Mapping[str, NDArray[np.float64]]:
        return self.inner.price(designs)


def _reduced(term: ChainTerm, states: NDArray[np.int64]) -> ChainTerm:
    unary = np.take_along_axis(term.unary, states, 1)
    if term.pair is None:
        return ChainTerm(unary, None, term.exact)
    rows = np.arange(len(term.pair))[:, None, None]
    pair = term.pair[rows, states[:-1, :, None], states[1:, None, :]]
    return ChainTerm(unary, pair, term.exact)


def _covers(space: Space, name: str, value: Any) -> bool:
    return bool(_mask(space, name, value).all())


def _mask(space: Space, name: str, value: Any) -> NDArray[np.bool_]:
    """Entries that ``value`` says something about."""
    from fnmatch import fnmatchcase

    variable = space[name]
    if not isinstance(value, Mapping):
        return np.ones(variable.width, bool)
    names = variable.entries or tuple(str(i) for i in range(variable.width))
    return np.array([any(fnmatchcase(entry, str(pattern)) for pattern in value) for entry in names])

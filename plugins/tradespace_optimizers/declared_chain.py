"""The front of a chain that the evaluator declares, priced first; then pgsam from all that is known.

Where every term is exact and no limit binds, label dynamic programming gives the front, and the search ends with it.
Where limits bind, or an objective is the largest of several sums, tens of thousands of designs are searched on the
declared arrays first (`learned_chain_front`).
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from tradespace.designs import Choice, Designs
from tradespace.problem import Graph, Scores
from tradespace.search.archive import concat_scores
from tradespace.search.contract import SearchView
from tradespace.search.gap import graph_in_use
from tradespace.search.graph_labels import graph_sums, shape_of
from tradespace.search.label_sweep import SWEPT
from tradespace.search.labels import chain_of_terms, label_front, limits_of
from tradespace_optimizers.chain_designs import designs_of
from tradespace_optimizers.chain_epsilon import EpsilonOptions
from tradespace_optimizers.chain_exact import ChainExact, ChainExactOptions
from tradespace_optimizers.chain_milp import MILP
from tradespace_optimizers.graph_exact import graph_solved, limits_of_graph
from tradespace_optimizers.learned_chain_front import open_limits, searched
from tradespace_optimizers.learned_chain_model import Entries
from tradespace_optimizers.pgsam import PGSAM, PGSAMOptions
from tradespace_optimizers.spread import thinned

Rng = np.random.Generator

_PATIENCE = 4  # times the labels of about a second
_RESOLUTION, _SECONDS = 0.001, 20.0  # of branch and bound
_ENOUGH = 100_000  # designs of a front without a budget
_HURRY = 3.0  # seconds, of which a thorough search on the sums would take too much


class DeclaredChain:
    """Solves when it is built. Every objective needs an exact term, and the chain's variables are the whole space."""

    def __init__(self, view: SearchView) -> None:
        self._ends, self._queue, self.note = _begun(view)
        seeded = not self._ends and not len(self._queue) and view.structure is not None and view.structure.graph
        self._view, self._pgsam = view, PGSAM(view if seeded else replace(view, structure=None), PGSAMOptions())
        self._told: list[tuple[Designs, Scores]] = []

    @property
    def batch(self) -> int:
        return 1024 if len(self._queue) else self._pgsam.batch

    def ask(self, n: int, rng: Rng) -> Designs:
        if len(self._queue) or self._ends:
            return self._queue.take(slice(0, n))
        return self._pgsam.ask(n, rng)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        if not len(self._queue):
            self._pgsam.tell(designs, scores, rng)
            return
        self._queue = self._queue.take(slice(len(designs), None))
        self._told.append((designs, scores))
        if self._ends and not scores.feasible.all():
            self._ends = False
            self.note = "constraints outside the declared structure bind: went on as pgsam"
        if not len(self._queue):
            known = functools.reduce(concat_scores, [s for _, s in self._told])
            self._pgsam.tell(self._view.space.concat([d for d, _ in self._told]), known, rng)
            self._told = []


def _begun(view: SearchView) -> tuple[bool, Designs, str]:
    """As `_solved`, by what the structure asks for."""
    structure = view.structure
    assert structure is not None
    graph = graph_in_use(structure, view.objectives)
    if graph is None and len(view.objectives) == 1 and len(structure.groups(view.objectives[0])) > 1:
        ends, designs, note = _largest(view)
        if len(designs):
            return ends, designs, note
    if graph is not None:
        return _graphed(view, graph)
    return _solved(view) if structure.links is None and not structure.apart else _linked(view)


def _graphed(view: SearchView, graph: Graph) -> tuple[bool, Designs, str]:
    """As `_solved`, for graphs. With more sums and limits than are swept few labels fit, and pgsam, which lower bounds
    seed, is better: no designs then."""
    structure = view.structure
    assert structure is not None
    limits = {name: limit for name, limit in limits_of_graph(graph).items() if limit.open}
    sums = sum(len(graph.groups(name)) for name in view.objectives)
    if sums <= SWEPT:
        states, epsilon, left = graph_solved(graph, view.objectives, {}, ChainExactOptions())
        bind = any((graph_sums(graph, limit.term, states) > limit.cap).any() for limit in limits.values())
        if bind and sums + len(limits) <= SWEPT:
            states, epsilon, left = graph_solved(graph, view.objectives, limits, ChainExactOptions())
        if not bind or (sums + len(limits) <= SWEPT and not left):
            groups = [graph.groups(name) for name in view.objectives]
            values = np.stack([np.max([graph_sums(graph, t, states) for t in g], axis=0) for g in groups], axis=1)
            rows = thinned(values, view.evaluations or len(values))
            note = "exact" if epsilon == 0 else f"within a factor {1 + epsilon:.4g} in every objective"
            note = note if np.isfinite(epsilon) else "label sets too large for a guarantee"
            if len(rows) < len(values):
                note += f"; {len(rows)} of {len(values)} designs of the front fit the budget"
            return epsilon == 0, view.repair(designs_of(view.space, structure, states[rows])), note
    return False, view.space.homogeneous().take(slice(0, 0)), "more sums and limits than fit: pgsam from lower bounds"


def _largest(view: SearchView) -> tuple[bool, Designs, str]:
    """One objective that is the largest of several sums: branch and bound, within a thousandth of its range."""
    solver = MILP(view, EpsilonOptions(resolution=_RESOLUTION, seconds=_SECONDS))
    designs = solver.ask(1, np.random.default_rng(0))
    note = solver.note
    return "at least" not in note and "left open" not in note, view.repair(designs), note


def _linked(view: SearchView) -> tuple[bool, Designs, str]:
    """As `_solved`, for variables apart, and chains in which not every state may follow every other."""
    solved = ChainExact(view, ChainExactOptions())
    designs = solved.ask(view.evaluations or _ENOUGH, np.random.default_rng(0))  # spread over the front
    return solved.note == "exact", view.repair(designs), solved.note


def _solved(view: SearchView) -> tuple[bool, Designs, str]:
    """(whether nothing is left to search, designs to price first, what is certain of them)."""
    structure = view.structure
    assert structure is not None
    entries = entries_of_structure(view)
    limits = limits_of(structure)
    terms = [structure.groups(name) for name in view.objectives]
    groups = tuple(len(each) for each in terms)
    sums = [term for each in terms for term in each]
    chain = chain_of_terms(sums, list(limits.values()))
    ends = not open_limits(chain) and max(groups) == 1
    if ends:
        chain = chain_of_terms(sums)
        span = (chain.unary.max(axis=1) - chain.unary.min(axis=1)).sum(axis=0)
        scale = np.where(span > 0, span, 1.0)
        found = label_front(chain, merge="design", scale=scale, budget=_PATIENCE * chain.label_budget())
        states, values, epsilon = found.states, found.values, found.epsilon
        note = "exact" if epsilon == 0 else f"within a factor {1 + epsilon:.4g} in every objective"
    else:
        hurried = view.seconds is not None and view.seconds <= _HURRY
        states, values = searched(entries, chain, 0, groups, thorough=not hurried)
        why = "limits bind" if open_limits(chain) else "an objective is the largest of several sums"
        note = f"{why}: searched on the declared sums first, then priced"
    rows = thinned(values, view.evaluations or len(values))
    if ends and len(rows) < len(values):
        note += f"; {len(rows)} of {len(values)} designs of the front fit the budget"
    return ends, view.repair(entries.designs(entries.digits[states[rows]])), note


def entries_of_structure(view: SearchView) -> Entries:
    """The declared chain's entries; its variables are Choices of one length."""
    assert view.structure is not None
    variables = [view.space[name] for name in view.structure.variables]
    options = tuple(len(v.options) for v in variables if isinstance(v, Choice))
    return Entries(view.space, view.structure.variables, options, variables[0].width)


def declared(view: SearchView) -> str:
    """Why the declared structure does not tell everything; empty if it does."""
    structure = view.structure
    if structure is None:
        return "no structure is declared"
    known = graph_in_use(structure, view.objectives) or structure
    lacking = [name for name in view.objectives if not known.groups(name)]
    if lacking:
        return f"no term is declared for {', '.join(lacking)}"
    inexact = [name for name in view.objectives if not known.exact(name)]
    if inexact:
        why = shape_of(structure.graph) if structure.graph is not None else ""
        return f"only lower bounds are declared for {', '.join(inexact)}{f' ({why})' if why else ''}"
    if set(structure.variables) != {v.name for v in view.space.variables}:
        return "the declared chain leaves variables out"
    if known.allowed is not None and not known.allowed.all():
        return "entries may not take every state"
    return ""

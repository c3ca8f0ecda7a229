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
from tradespace.problem import Scores
from tradespace.search.archive import concat_scores
from tradespace.search.contract import SearchView
from tradespace.search.labels import chain_of_terms, label_front, limits_of
from tradespace_optimizers.chain_epsilon import EpsilonOptions
from tradespace_optimizers.chain_exact import ChainExact, ChainExactOptions
from tradespace_optimizers.chain_milp import MILP
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
        self._view, self._pgsam = view, PGSAM(replace(view, structure=None), PGSAMOptions())
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
    if len(view.objectives) == 1 and len(structure.groups(view.objectives[0])) > 1:
        ends, designs, note = _largest(view)
        if len(designs):
            return ends, designs, note
    return _solved(view) if structure.links is None else _linked(view)


def _largest(view: SearchView) -> tuple[bool, Designs, str]:
    """One objective that is the largest of several sums: branch and bound, within a thousandth of its range."""
    solver = MILP(view, EpsilonOptions(resolution=_RESOLUTION, seconds=_SECONDS))
    designs = solver.ask(1, np.random.default_rng(0))
    note = solver.note
    return "at least" not in note and "left open" not in note, view.repair(designs), note


def _linked(view: SearchView) -> tuple[bool, Designs, str]:
    """As `_solved`, for chains in which not every state may follow every other."""
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
    lacking = [name for name in view.objectives if not structure.groups(name)]
    if lacking:
        return f"no term is declared for {', '.join(lacking)}"
    inexact = [name for name in view.objectives if not structure.exact(name)]
    if inexact:
        return f"only lower bounds are declared for {', '.join(inexact)}"
    if set(structure.variables) != {v.name for v in view.space.variables}:
        return "the declared chain leaves variables out"
    if structure.allowed is not None and not structure.allowed.all():
        return "entries may not take every state"
    return ""

"""The exact front of an additive chain, by label dynamic programming over the evaluator's structure.

Any number of objectives, pair terms (transfers) included. The front is exact when every objective has an exact term,
nothing but the structure's limits and objectives' own upper bounds constrains the designs, and ``note`` says so; with
minorants the asked designs are those of the lower bound, priced truly by the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores, Structure
from tradespace.search.contract import SearchView
from tradespace.search.labels import ChainArrays, Limit, chain_of, label_front, limits_of, spread_order
from tradespace_optimizers.chain_designs import designs_of

_MOST_QUANTITIES = 6
_PATIENCE = 4  # times the labels of about a second


@dataclass(frozen=True)
class ChainExactOptions:
    """epsilon: accept designs within a factor 1 + epsilon (0: exact while label sets fit).
    labels: kept per state, 0 = about four seconds of work. relax_limits: leave capacities to the loop's archive."""

    epsilon: float = 0.0
    labels: int = 0
    relax_limits: bool = False


class ChainExact:
    """Solves when it is built; asks the designs of the front, spread first; ends when all were told.

    ``note`` says what is certain about the asked designs.
    """

    Options: ClassVar[type] = ChainExactOptions
    batch = 1024

    def __init__(self, view: SearchView, options: ChainExactOptions) -> None:
        structure = _checked(view)
        limits = {} if options.relax_limits else _open_limits(structure)
        if len(view.objectives) + len(limits) > _MOST_QUANTITIES:
            limits = {}
        chain = chain_of(structure, view.objectives, list(limits.values()))
        budget = options.labels or _PATIENCE * chain.label_budget()
        front = label_front(chain, merge="design", scale=_scale(chain), budget=budget, epsilon=options.epsilon)
        if not len(front.values) and limits:  # nothing fits: ask what is best without the limits
            front = label_front(
                chain_of(structure, view.objectives),
                merge="design",
                scale=_scale(chain)[: chain.objectives],
                budget=budget,
            )
        self.epsilon = front.epsilon
        self.note = _note(view, structure, limits, front.epsilon)
        self._designs = designs_of(view.space, structure, front.states[spread_order(front.values)])
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
    lacking = [name for name in view.objectives if name not in view.structure.terms]
    if lacking:
        raise ProblemError(
            "chain_exact needs a chain term for every objective",
            value=f"none for {', '.join(lacking)}",
            where=where,
            remedy=f"Terms: {', '.join(view.structure.terms)}. {remedy}",
        )
    return view.structure


def _scale(chain: ChainArrays) -> np.ndarray:
    """What differences are compared with: the range of the sums without pairs, (Q,)."""
    span = (chain.unary.max(axis=1) - chain.unary.min(axis=1)).sum(axis=0)
    return np.where(span > 0, span, 1.0)


def _note(view: SearchView, structure: Structure, limits: Mapping[str, Limit], epsilon: float) -> str:
    minorant = [name for name in view.objectives if not structure.terms[name].exact]
    dropped = [name for name in _open_limits(structure) if name not in limits]
    parts = [f"lower bounds stand for {', '.join(minorant)}"] if minorant else []
    parts += [f"limits left to the archive: {', '.join(dropped)}"] if dropped else []
    parts += [f"within a factor {1 + epsilon:.4g} in every objective"] if epsilon else []
    return "; ".join(parts) or "exact"


def _open_limits(structure: Structure) -> dict[str, Limit]:
    return {name: limit for name, limit in limits_of(structure).items() if limit.open}

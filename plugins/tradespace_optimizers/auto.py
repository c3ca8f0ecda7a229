"""Picks an optimizer by what is known of the problem, says why, and hands everything over to it. Ours.

The rules, first match wins; the measurements behind them are in studies/optimizers/README.md.

1. A space no larger than the budget is priced whole.
2. A declared task graph is searched by moves around the critical path. A declared chain whose terms are all exact is
   solved; or searched on the declared sums, where limits bind or an objective is the largest of several.
3. Declared lower bounds seed pgsam.
4. Only Real variables: a library's evolutionary algorithms by the number of objectives, in relay with a local search.
5. Equally long choices without declared structure: learned_chain, which tests for sums, and for the largest of several,
   and goes on as pgsam. Choices of two options alone, two or three objectives: the same until the front stands still,
   then most of the rest to a library's NSGA-II, begun afresh.
6. Orders, with designs enough to learn from: ants (rl_aco), except for one objective over assignments too.
7. Four choices among numbers or more: nas_evolution, since pgsam is better or far behind there, by chance. With 10,000
   designs or more and two or three objectives: 2,000, then most of the rest to a library's NSGA-II, begun afresh.
8. Everything else (mixed and conditional spaces): pgsam, from the evaluator's suggested plans where it has any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tradespace.costs.schedules_structure import MINIMISED
from tradespace.designs import Choice, Designs, Real, Space
from tradespace.problem import Scores
from tradespace.search.contract import Optimizer, SearchView
from tradespace_optimizers.supports import Supports

Rng = np.random.Generator

_MANY = 4  # variables
_HURRY = 3.0  # seconds
_SMS = 3  # objectives up to which hypervolume contributions are cheap
_ORDERED = 1500  # designs from which ants that learn orders overtake pgsam
_LASTING = 10_000  # designs from which nas_evolution gets a population in reserve
_ENUMERABLE = 10_000  # designs priced whole where the budget is not a number of designs


@dataclass(frozen=True)
class AutoOptions:
    """Nothing to set: name an optimizer instead where you know better."""


@dataclass(frozen=True)
class Chosen:
    """``name`` of the optimizer, ``why`` in a few words, and ``build`` to make it."""

    name: str
    why: str
    build: Callable[[], Any]


class Auto:
    """Picks an optimizer by structure, kinds of variables, objectives and budget, and says why.

    ``note``: what was chosen and why, then what the chosen optimizer says is certain.
    """

    Options: ClassVar[type] = AutoOptions
    supports: ClassVar[Supports] = Supports(note="picks another optimizer and says why")

    def __init__(self, view: SearchView, options: AutoOptions) -> None:
        self.chosen = choose(view)
        self._inner: Optimizer = self.chosen.build()

    @property
    def batch(self) -> int:
        return int(self._inner.batch)

    @property
    def note(self) -> str:
        own = str(getattr(self._inner, "note", ""))
        return f"auto: {self.chosen.name}, {self.chosen.why}{f'; {own}' if own else ''}"

    def ask(self, n: int, rng: Rng) -> Designs:
        return self._inner.ask(n, rng)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        self._inner.tell(designs, scores, rng)


def choose(view: SearchView) -> Chosen:
    """The first rule that fits. Nothing is solved or priced before ``build`` is called."""
    size = view.space.size
    if size is not None and size <= (view.evaluations or _ENUMERABLE):
        return Chosen("exhaustive", f"the space has {size} designs", lambda: _exhaustive(view))
    if view.structure is not None:
        return _structured(view)
    if all(isinstance(v, Real) for v in view.space.variables) and not view.space.conditional:
        return _continuous(view)
    return _unstructured(view)


def _structured(view: SearchView) -> Chosen:
    from tradespace_optimizers.declared_chain import DeclaredChain, declared

    tasks = view.structure.tasks if view.structure is not None else None
    if tasks is not None and not view.constraints and all(name in MINIMISED for name in view.objectives):
        return Chosen("schedule_search", "the task graph is declared", lambda: _scheduled(view))
    lacks = declared(view)
    if not lacks:
        return Chosen("declared_chain", "every objective has a declared exact form", lambda: DeclaredChain(view))
    if view.structure is not None and all(name in view.structure.terms for name in view.objectives):
        return Chosen("pgsam", f"{lacks}, which seed it", lambda: _pgsam(view))
    chosen = _unstructured(view)
    return Chosen(chosen.name, f"{lacks}; {chosen.why}", chosen.build)


def _continuous(view: SearchView) -> Chosen:
    from tradespace_optimizers.relay import by_numbers

    count = len(view.objectives)
    why = f"real variables, {count} objective{'s' if count > 1 else ''}"
    if view.seconds is not None and view.seconds <= _HURRY:
        return _hurried(view, f"{why}, {view.seconds:g} seconds")
    return Chosen("pymoo in relay with a local search", why, lambda: by_numbers(view))


def _hurried(view: SearchView, why: str) -> Chosen:
    """What proposes a design in a tenth of a millisecond: a relay takes several times as long."""
    from tradespace_optimizers import pymoo_family as family

    if len(view.objectives) < _SMS:
        return Chosen("pgsam", why, lambda: _pgsam(view))
    if len(view.objectives) == _SMS:
        return Chosen("sms_emoa", why, lambda: family.SMSEMOA(view, family.GeneticOptions(homogeneous=True)))
    return Chosen("nsga3", why, lambda: family.NSGA3(view, family.DirectionOptions(homogeneous=True)))


def _unstructured(view: SearchView) -> Chosen:
    from tradespace_optimizers.learned_chain import LearnedChain, LearnedChainOptions
    from tradespace_optimizers.learned_chain_model import entries_of
    from tradespace_optimizers.relay import of_knobs, of_pairs

    if _bits(view.space) and 1 < len(view.objectives) <= _SMS:
        why = "choices of two options"
        return Chosen("learned_chain and nsga2 in relay", why, lambda: of_pairs(view))
    if not isinstance(entries_of(view.space), str):
        why = "equally long choices and no declared structure"
        return Chosen("learned_chain", why, lambda: LearnedChain(view, LearnedChainOptions()))
    kinds = {type(v).__name__ for v in view.space.variables}
    if "Permutation" in kinds and kinds <= {"Permutation", "Choice"} and not view.space.conditional:
        enough = (view.evaluations or _ENUMERABLE) >= _ORDERED
        if enough and view.suggestions is None and (len(view.objectives) > 1 or "Choice" not in kinds):
            return Chosen("rl_aco", "orders and no declared structure", lambda: _ants(view))
    if _knobs(view.space):
        if (view.evaluations or _ENUMERABLE) >= _LASTING and 1 < len(view.objectives) <= _SMS:
            why = "many choices among numbers"
            return Chosen("nas_evolution and nsga2 in relay", why, lambda: of_knobs(view))
        return Chosen("nas_evolution", "many choices among numbers", lambda: _evolution(view))
    seeded = " and suggested plans" if view.suggestions is not None else ""
    return Chosen("pgsam", f"variables of kind {', '.join(sorted(kinds))}{seeded}", lambda: _pgsam(view))


def _bits(space: Space) -> bool:
    return all(isinstance(v, Choice) and len(v.options) == 2 for v in space.variables)


def _pgsam(view: SearchView) -> Any:
    from tradespace_optimizers.pgsam import PGSAM, PGSAMOptions

    return PGSAM(view, PGSAMOptions())


def _scheduled(view: SearchView) -> Any:
    from tradespace_optimizers.schedule_search import ScheduleSearch

    return ScheduleSearch(view, ScheduleSearch.Options())


def _knobs(space: Space) -> bool:
    """Whether there are only choices, and three quarters of them are among numbers: widths, kernels, sizes."""
    choices = [v for v in space.variables if isinstance(v, Choice)]
    numbers = sum(all(isinstance(o, int | float) for o in v.options) for v in choices)
    return len(choices) == len(space.variables) >= _MANY and numbers >= 0.75 * len(choices)


def _evolution(view: SearchView) -> Any:
    from tradespace_optimizers.nas_evolution import NASEvolution

    return NASEvolution(view, NASEvolution.Options())


def _ants(view: SearchView) -> Any:
    from tradespace_optimizers.rl_aco import RLACO

    return RLACO(view, RLACO.Options())


def _exhaustive(view: SearchView) -> Any:
    from tradespace_optimizers.exhaustive import Exhaustive

    return Exhaustive(view, Exhaustive.Options())

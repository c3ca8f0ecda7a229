"""List schedulers as optimizers: they propose the evaluator's constructive plans, and nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradespace.designs import Designs
from tradespace.errors import ProblemError, UnknownName
from tradespace.problem import Scores
from tradespace.search.abilities import Supports
from tradespace.search.contract import SearchView


@dataclass(frozen=True)
class ListSchedulersOptions:
    """only: the plan to propose ("heft"); empty: all that the evaluator suggests."""

    only: str = ""


class ListSchedulers:
    """The plans of the ten list schedulers (HEFT, CPOP, PEFT, Min-Min, ...), one after another.

    Told designs count forward in the list.
    """

    Options: ClassVar[type] = ListSchedulersOptions
    supports: ClassVar[Supports] = Supports(
        constraints="by the archive", batch="any", note="needs an evaluator that suggests plans"
    )
    batch = 64

    def __init__(self, view: SearchView, options: ListSchedulersOptions) -> None:
        plans = dict(view.suggestions()) if view.suggestions is not None else {}
        if not plans:
            raise ProblemError(
                "list schedulers need an evaluator that suggests plans",
                where="optimizer list_schedulers",
                remedy="The evaluators of task graphs do; use another optimizer here.",
            )
        wanted = options.only
        if wanted and wanted not in plans:
            raise UnknownName("list scheduler", wanted, plans, where="optimizer list_schedulers")
        chosen = [plans[wanted]] if wanted else list(plans.values())
        self._space, self._plans, self._next = view.space, view.space.concat(chosen), 0

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        return self._plans.take(slice(self._next, self._next + n))

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._next += len(designs)

"""Every design of a small space, once, in the order of the enumeration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradespace.designs import Designs
from tradespace.errors import DesignError
from tradespace.problem import Scores
from tradespace.search.abilities import Supports
from tradespace.search.contract import SearchView


@dataclass(frozen=True)
class ExhaustiveOptions:
    """limit: spaces with more designs are refused."""

    limit: int = 5_000_000


class Exhaustive:
    """Every design of a small space, once.

    Told designs count forward in the enumeration, so a resumed study goes on where it stopped.
    """

    Options: ClassVar[type] = ExhaustiveOptions
    supports: ClassVar[Supports] = Supports(
        ("Choice", "Integer", "Permutation", "Composition"), "all are priced", batch="any", note="small spaces"
    )
    batch = 8192

    def __init__(self, view: SearchView, options: ExhaustiveOptions) -> None:
        size = view.space.size
        if size is None or size > options.limit:
            raise DesignError(
                f"exhaustive search takes spaces of at most {options.limit} designs",
                value="infinitely many (a Real variable)" if size is None else size,
                where="optimizer exhaustive",
                remedy="Use optimizer=pgsam, or fix some decisions, or raise options.limit.",
            )
        self._space, self._size, self._next = view.space, size, 0

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        return self._space.at(np.arange(self._next, min(self._next + n, self._size)))

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._next += len(designs)

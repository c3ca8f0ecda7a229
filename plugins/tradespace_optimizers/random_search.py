"""Uniform random designs, after the homogeneous ones: the baseline that every other optimizer must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tradespace.designs import Designs
from tradespace.problem import Scores
from tradespace.search.abilities import Supports
from tradespace.search.contract import SearchView


@dataclass(frozen=True)
class RandomOptions:
    """homogeneous: begin with the plain designs (all entries alike)."""

    homogeneous: bool = True


class RandomSearch:
    """Uniform random designs after the plain ones: the baseline.

    Remembers only how many designs it was told, which is where the plain designs go on.
    """

    Options: ClassVar[type] = RandomOptions
    supports: ClassVar[Supports] = Supports(constraints="", batch="any")
    batch = 256

    def __init__(self, view: SearchView, options: RandomOptions) -> None:
        self._space = view.space
        self._plain = view.space.homogeneous().take(slice(None if options.homogeneous else 0))
        self._told = 0

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        plain = self._plain.take(slice(self._told, self._told + n))
        return self._space.concat([plain, self._space.sample(n - len(plain), rng)])

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        self._told += len(designs)

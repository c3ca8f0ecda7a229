"""A small optimizer of a third party."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tradespace import Designs


class Climber:
    """Mutates the design with the smallest sum of objectives so far."""

    @dataclass(frozen=True)
    class Options:
        """`rate`: probability that an entry changes."""

        rate: float = 0.2

    batch: ClassVar[int] = 32

    def __init__(self, view: Any, options: Options) -> None:
        self.view, self.options = view, options
        self.best: Designs | None = None
        self.merit = np.inf

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        if self.best is None:
            return self.view.space.sample(n, rng)
        return self.view.space.mutate(self.best.take(np.zeros(n, np.int64)), rng, self.options.rate)

    def tell(self, designs: Designs, scores: Any, rng: np.random.Generator) -> None:
        merit = scores.objectives.sum(axis=1) + 1e6 * scores.violation
        first = int(np.argmin(merit))
        if merit[first] < self.merit:
            self.best, self.merit = designs.take(slice(first, first + 1)), float(merit[first])

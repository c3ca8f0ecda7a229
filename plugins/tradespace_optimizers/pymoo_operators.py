"""pymoo's operators on the flat codes of any space: each kind of variable is crossed and mutated by its own.

    Real          simulated binary crossover, polynomial mutation (on the logarithm where the variable says so)
    Integer, Composition   the same with a wide spread, then rounding and repair by the space
    Choice        uniform crossover, resampling; two-point crossover and bit flips where all choices have two options
    Permutation   order crossover, inversion, each variable as a whole

pymoo's own mixed-variable classes hold every design as a dict and mutate every second choice (their problem has one
variable when the rate, one over the number of variables, is taken), so only its array operators are used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.repair import Repair
from pymoo.operators.crossover.ox import OrderCrossover
from pymoo.operators.crossover.pntx import TwoPointCrossover
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.bitflip import BitflipMutation
from pymoo.operators.mutation.inversion import InversionMutation
from pymoo.operators.mutation.pm import PM

from tradespace.designs import Choice, Designs, Integer, Permutation, Real, Space

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Parameters of crossover and mutation; ``whole`` is the eta of both for whole numbers (3 in pymoo's manual)."""

    crossover_prob: float
    crossover_eta: float
    mutation_prob: float
    mutation_eta: float
    whole: float = 3.0


class Codes:
    """Float codes (N, width) that operators may cross: within bounds, orders valid also where they do not count."""

    def __init__(self, space: Space) -> None:
        self.space = space
        starts = np.cumsum([0, *(v.width for v in space.variables)])
        self.spans = [slice(int(a), int(b)) for a, b in pairwise(starts)]
        low, high = space.bounds()
        self._log = np.zeros(space.width, bool)
        for v, span in zip(space.variables, self.spans, strict=True):
            self._log[span] = isinstance(v, Integer | Real) and v.log
        self.low, self.high = self._squeeze(low), self._squeeze(high)

    def encode(self, designs: Designs) -> Array:
        codes = self.space.flatten(designs)
        for v, span in zip(self.space.variables, self.spans, strict=True):
            if isinstance(v, Permutation):
                codes[:, span] = v.repair(codes[:, span])
        low, high = self.space.bounds()
        return self._squeeze(codes.clip(low, high))

    def decode(self, codes: Array) -> Designs:
        plain = np.array(codes, np.float64)
        plain[:, self._log] = np.exp(plain[:, self._log])
        return self.space.unflatten(plain)

    def _squeeze(self, codes: Array) -> Array:
        out = np.array(codes, np.float64)
        out[..., self._log] = np.log(out[..., self._log])
        return out


@dataclass(frozen=True)
class Block:
    """Columns that share operators, and the bounds these need."""

    columns: NDArray[np.intp]
    crossover: Crossover
    mutation: Mutation
    bounds: SimpleNamespace  # xl, xu, n_var, as pymoo's operators read a problem


def blocks_of(codes: Codes, spread: Spread) -> tuple[Block, ...]:
    rate = min(0.5, 1.0 / codes.space.width)
    choice = "bits" if of_bits(codes.space) else "choice"
    found: dict[str, list[NDArray[np.intp]]] = {}
    for v, span in zip(codes.space.variables, codes.spans, strict=True):
        columns = np.arange(span.start, span.stop)
        kind = "real" if isinstance(v, Real) else choice if isinstance(v, Choice) else "whole"
        if isinstance(v, Permutation):
            kind = f"order {v.name}" if v.n > 1 else "none"
        found.setdefault(kind, []).append(columns)
    made = []
    for kind, parts in found.items():
        columns = np.concatenate(parts)
        columns = columns[codes.high[columns] > codes.low[columns]]
        if kind != "none" and len(columns):
            crossover, mutation = _operators(kind, spread, rate)
            bounds = SimpleNamespace(xl=codes.low[columns], xu=codes.high[columns], n_var=len(columns))
            made.append(Block(columns, crossover, mutation, bounds))
    return tuple(made)


def of_bits(space: Space) -> bool:
    """Whether every design is a string of choices between two options."""
    return all(isinstance(v, Choice) and len(v.options) == 2 for v in space.variables)


def _operators(kind: str, spread: Spread, rate: float) -> tuple[Crossover, Mutation]:
    if kind == "real":
        return SBX(eta=spread.crossover_eta), PM(eta=spread.mutation_eta, prob_var=rate)
    if kind == "whole":
        return SBX(eta=spread.whole), PM(eta=spread.whole, prob_var=rate)
    if kind == "choice":
        return UX(), Resample(rate)
    if kind == "bits":
        return TwoPointCrossover(), Flip(prob_var=rate)
    return OrderCrossover(), InversionMutation()


class Resample(Mutation):  # type: ignore[misc]  # pymoo is untyped
    """Any whole code within the bounds, as pymoo's `ChoiceRandomMutation`, on arrays."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def _do(self, problem: Any, X: Array, random_state: Any = None, **_: Any) -> Array:
        fresh = np.floor(problem.xl + random_state.random(X.shape) * (problem.xu - problem.xl + 1.0))
        return np.where(random_state.random(X.shape) < self._rate, fresh, X)


class Flip(BitflipMutation):  # type: ignore[misc]
    """pymoo's bit flips, on codes."""

    def _do(self, problem: Any, X: Array, **context: Any) -> Array:
        return np.asarray(super()._do(problem, X > 0.5, **context), np.float64)


class BlockCrossover(Crossover):  # type: ignore[misc]
    """Two parents, two children: every block by its own operator."""

    def __init__(self, blocks: Sequence[Block], prob: float) -> None:
        super().__init__(2, 2, prob=prob)
        self._blocks = blocks

    def _do(self, problem: Any, X: Array, random_state: Any = None, **_: Any) -> Array:
        out = np.array(X, np.float64)
        for b in self._blocks:
            out[:, :, b.columns] = b.crossover._do(b.bounds, X[:, :, b.columns], random_state=random_state)
        return out


class BlockMutation(Mutation):  # type: ignore[misc]
    """Every block by its own operator."""

    def __init__(self, blocks: Sequence[Block], prob: float) -> None:
        super().__init__(prob=prob)
        self._blocks = blocks

    def _do(self, problem: Any, X: Array, random_state: Any = None, **_: Any) -> Array:
        out = np.array(X, np.float64)
        for b in self._blocks:
            out[:, b.columns] = b.mutation._do(b.bounds, X[:, b.columns], random_state=random_state)
        return out


class Snap(Repair):  # type: ignore[misc]
    """Codes of valid designs, so that duplicates are seen as such."""

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        self._codes = codes

    def _do(self, problem: Any, X: Any, **_: Any) -> Array:
        return self._codes.encode(self._codes.decode(np.asarray(X, np.float64)))

"""Small problems with known answers, for kits and for tests of optimizers and evaluators.

They are honest subjects of the evaluator kit themselves: pure, finite, with exact structure where they declare one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Composition, Designs, Integer, Permutation, Real, Space
from tradespace.problem import ChainTerm, Metric, Prices, Problem, Structure
from tradespace.search.contract import SearchView
from tradespace.search.directions import minimised

Array = NDArray[Any]


@dataclass(frozen=True)
class ToyChain:
    """`length` entries on `devices` devices in two precisions; each metric is a sum over the chain, memory is limited.

    Numbers are drawn from Philox(seed); every metric is minimised and every design has positive prices.
    """

    length: int = 4
    devices: int = 3
    objectives: int = 2
    seed: int = 0

    @cached_property
    def space(self) -> Space:
        names = tuple(f"d{i}" for i in range(self.devices))
        return Space(Choice("device", names, self.length), Choice("precision", ("fp16", "int4"), self.length))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(f"cost{m}", "1", "min", f"sum number {m}") for m in range(self.objectives))

    @cached_property
    def _tables(self) -> tuple[Array, Array, Array]:
        """unary (M, n, S), pair (M, n - 1, S, S), memory (n, S)."""
        rng = np.random.Generator(np.random.Philox(self.seed))
        states = 2 * self.devices
        pair = rng.uniform(0, 0.3, (self.objectives, self.length - 1, states, states))
        pair[..., np.arange(states), np.arange(states)] = 0.0
        return (
            rng.uniform(0.1, 1, (self.objectives, self.length, states)),
            pair,
            rng.uniform(0, 1, (self.length, states)),
        )

    @property
    def _limit(self) -> float:
        return 0.6 * self.length

    def price(self, designs: Designs) -> Prices:
        unary, pair, memory = self._tables
        state = designs["device"].astype(np.int64) * 2 + designs["precision"]
        place = np.arange(self.length)
        values = {}
        for m, metric in enumerate(self.metrics):
            total = unary[m][place, state].sum(axis=1)
            values[metric.name] = total + pair[m][place[:-1], state[:, :-1], state[:, 1:]].sum(axis=1)
        return Prices(values, {"memory": memory[place, state].sum(axis=1) / self._limit - 1.0})

    def suggest(self) -> Mapping[str, Designs]:
        """The cheapest state of every entry, for each metric alone."""
        found = {}
        for m, metric in enumerate(self.metrics):
            device, precision = np.divmod(self._tables[0][m].argmin(axis=1), 2)
            found[f"least {metric.name}"] = self.space.designs({"device": device[None], "precision": precision[None]})
        return found

    def structure(self) -> Structure:
        unary, pair, memory = self._tables
        terms = {metric.name: ChainTerm(unary[m], pair[m]) for m, metric in enumerate(self.metrics)}
        return Structure(("device", "precision"), terms, {"memory": (memory, self._limit)})


@dataclass(frozen=True)
class Distances:
    """Any space; metric m is the mean distance of a design's codes, scaled to [0, 1], from a point of its own."""

    space: Space
    objectives: int = 2

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(f"distance{m}", "1", "min", f"distance from point {m}") for m in range(self.objectives))

    def price(self, designs: Designs) -> Prices:
        low, high = self.space.bounds()
        scaled = (self.space.flatten(designs) - low) / np.where(high > low, high - low, 1.0)
        points = np.random.Generator(np.random.Philox(7)).random((self.objectives, self.space.width))
        return Prices({m.name: np.abs(scaled - points[i]).mean(axis=1) for i, m in enumerate(self.metrics)})


def single_space() -> Space:
    """One variable, one entry, three options."""
    return Space(Choice("device", ("a", "b", "c")))


def only_space() -> Space:
    """A space with exactly one design."""
    return Space(Choice("device", ("a",)))


def mixed_space() -> Space:
    """Every kind of variable at once."""
    return Space(
        Choice("device", ("cpu", "gpu", "npu"), 5),
        Integer("batch", 1, 64, log=True),
        Real("share", 0.0, 1.0),
        Permutation("order", 4),
        Composition("layers", 12, 3, at_least=1),
    )


def conditional_space() -> Space:
    """Variables that exist only under a condition or up to a depth."""
    return Space(
        Choice("mode", ("plain", "split")),
        Choice("helper", ("a", "b", "c"), when={"mode": ("split",)}),
        Integer("depth", 1, 4),
        Choice("stage", ("x", "y"), 4, prefix="depth"),
    )


def problem_of(evaluator: Any) -> Problem:
    """The problem with all metrics of an evaluator as objectives."""
    return Problem.of(evaluator, [metric.name for metric in evaluator.metrics])


def view_of(problem: Problem, evaluations: int | None = 1000) -> SearchView:
    """What an optimizer sees of a problem."""
    suggest = getattr(problem.evaluator, "suggest", None)
    structure = minimised(problem, problem.structure())
    return SearchView(problem.space, problem.names, problem.repair, structure, evaluations, suggest)


def edge_designs(space: Space) -> Designs:
    """Valid designs at the rim: all lowest, all highest, alternating, and the homogeneous ones (at most 64)."""
    low, high = space.bounds()
    turn = np.arange(space.width) % 2 == 0
    corners = space.unflatten(np.stack([low, high, np.where(turn, low, high), np.where(turn, high, low)]))
    return space.concat([corners, space.homogeneous().take(slice(0, 64))])


def frozen(designs: Designs) -> Designs:
    """A copy whose arrays refuse to be written to."""
    return Designs(designs.space, {name: _read_only(block) for name, block in designs.columns.items()})


def _read_only(array: Array) -> Array:
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def first_difference(a: Iterable[Any], b: Iterable[Any], same: Callable[[Any, Any], bool]) -> int | None:
    """Index of the first pair that is not the same, None if all are (and there are equally many)."""
    left, right = list(a), list(b)
    for index, (x, y) in enumerate(zip(left, right, strict=False)):
        if not same(x, y):
            return index
    return None if len(left) == len(right) else min(len(left), len(right))

"""The contract between the search loop and optimizers, logs and progress bars."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.problem import Prices, Scores, Structure

ROLES: Mapping[str, int] = {"ask": 0, "tell": 1, "reference": 2, "probe": 3}


def rng(seed: int, batch: int, role: str) -> np.random.Generator:
    """The only source of randomness in a search: Philox keyed by (seed, batch, role). Equal keys, equal numbers."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, batch, ROLES[role]))))


def whole(number: Any) -> Any:
    """1e3 as 1000; anything else as it is, for `loop.check` to judge."""
    return int(number) if isinstance(number, float | np.number) and float(number).is_integer() else number


@dataclass(frozen=True)
class SearchView:
    """All an optimizer knows of a problem. ``repair`` is what the loop applies to every asked batch."""

    space: Space
    objectives: tuple[str, ...]  # names, in the order of Scores.objectives (M)
    repair: Callable[[Designs], Designs]
    structure: Structure | None = None  # terms are keyed by metric name; an objective may lack one
    evaluations: int | None = None  # the budget, where it is a number of designs
    suggestions: Callable[[], Mapping[str, Designs]] | None = None  # the evaluator's named constructive plans
    seconds: float | None = None  # the budget, where it is wall time: such a search is not repeatable
    constraints: tuple[str, ...] = ()  # the user's limits as written; an evaluator's own violations come beside them


class Optimizer(Protocol):
    """Proposes designs and learns from their scores.

    State depends on tells alone: ``ask`` changes nothing that a later ask or tell could see, so a fresh optimizer
    told the same batches asks the same designs. All randomness comes from the ``rng`` given to the call. The loop
    calls ask, repairs, prices, then tell with the same rows in the same order; a resumed study only tells.
    """

    Options: ClassVar[type]  # a frozen dataclass whose fields all have defaults
    batch: int  # how many designs it likes to be asked for at once

    def __init__(self, view: SearchView, options: Any) -> None: ...

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        """Up to ``n`` designs; none means it has nothing left to propose and the search ends."""

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        """Learn from one whole batch. May keep the arrays, must not write to them."""


@dataclass(frozen=True)
class Budget:
    """When a search ends: the first that is reached. ``stagnation``: batches without a hypervolume gain of 1e-6.

    Whole numbers may be written as 1e4; other numbers are refused when the search begins.
    """

    evaluations: int | None = 10_000
    seconds: float | None = None
    stagnation: int | None = None

    def __post_init__(self) -> None:
        for key in ("evaluations", "stagnation"):
            object.__setattr__(self, key, whole(getattr(self, key)))


@dataclass(frozen=True)
class Batch:
    """One told batch, as observers see it after the archive took it in."""

    index: int
    designs: Designs
    scores: Scores
    evaluations: int  # designs priced so far, this batch included
    seconds: float  # since the search began
    hypervolume: float  # of the archive, normalised by the problem's reference box
    front: Designs  # the archive
    front_objectives: NDArray[np.float64]  # (K, M) minimised


class Observer(Protocol):
    """Told of every batch: logs, progress bars, profiles. An exception from an observer ends the search."""

    def batch(self, batch: Batch) -> None: ...


@dataclass(frozen=True)
class Recalled:
    """What a log remembers of one batch. Slow or measured evaluators log designs and prices, which are told again and
    never measured twice; pure ones log digests only: the batch is asked and priced again and must match."""

    count: int
    designs_digest: str
    prices_digest: str
    designs: Designs | None = None
    prices: Prices | None = None


class Replay(Protocol):
    """A log that is being resumed. ``recall`` gives batch ``index``, or None once the log ends."""

    seconds: float  # wall time the logged part took, counted against a budget in seconds

    def recall(self, index: int) -> Recalled | None: ...


def digest_designs(designs: Designs) -> str:
    """Digest of a batch of designs, order included; equal in any process."""
    return hashlib.blake2b(designs.digest.tobytes(), digest_size=16).hexdigest()


def digest_prices(prices: Prices) -> str:
    """Digest of the exact prices (names and float64 bits) of a batch."""
    h = hashlib.blake2b(digest_size=16)
    for group in (prices.columns, prices.violations):
        for name in group:
            h.update(name.encode() + b"\0")
            h.update(np.ascontiguousarray(group[name] + 0.0).tobytes())
    return h.hexdigest()

"""Several optimizers share one budget; each gets turns by what its designs added to the front. Ours.

All start with the same number of designs. After that a turn goes to the member that is furthest behind its share, which
is its part of the recent gains per design, never less than a floor. Members that do not mind are told what the others
found, and `Neighbours` search around the common front. Turns follow from tells alone, so a resumed search goes on as it
would have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.problem import Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import Optimizer, SearchView

Array = NDArray[np.float64]
Rng = np.random.Generator

_MEMORY = 0.75  # of a member's earlier gain per design, at each of its turns
_FLOOR = 0.1  # least share of a member
_MARGIN = 1.1
_MEASURED = 3  # objectives up to which hypervolume is cheap enough to be measured after every batch


class Neighbours:
    """Changes one entry or a few of random members of a front that others keep: what remains when a population has
    converged, and what reaches optima on the bounds of variables."""

    Options: ClassVar[type] = object

    def __init__(self, space: Space, front: Archive, batch: int) -> None:
        self._space, self._front, self.batch = space, front, batch

    def ask(self, n: int, rng: Rng) -> Designs:
        if not len(self._front):
            return self._space.sample(n, rng)
        return self._space.mutate(self._front.designs.take(rng.integers(0, len(self._front), n)), rng)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        """The relay keeps the front."""


@dataclass(frozen=True)
class Member:
    """``hears``: whether it is also told designs that it did not ask for."""

    optimizer: Any
    hears: bool = True


class Relay:
    """Runs members in turns, and neighbours of the common front (named ``near the front``) as one of them.

    ``note`` says what share of the designs each had.
    """

    Options: ClassVar[type] = object

    def __init__(self, view: SearchView, members: Mapping[str, Member], *, start: int, batch: int = 20) -> None:
        self._front = Archive(view.space, len(view.objectives))
        near = Member(Neighbours(view.space, self._front, batch), hears=False)
        self._members: dict[str, Member] = {**members, "near the front": near}
        self._order = list(self._members.values())
        self._start = start
        self._spent, self._gain = np.zeros(len(self._order)), np.zeros(len(self._order))
        self._turn = 0

    @property
    def _now(self) -> Optimizer:
        chosen: Optimizer = self._order[self._turn].optimizer
        return chosen

    @property
    def batch(self) -> int:
        return int(self._now.batch)

    @property
    def note(self) -> str:
        share = self._spent / max(self._spent.sum(), 1.0)
        return ", ".join(f"{100 * s:.0f} % {name}" for name, s in zip(self._members, share, strict=True))

    def ask(self, n: int, rng: Rng) -> Designs:
        return self._now.ask(n, rng)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        turn = self._turn
        for k, member in enumerate(self._order):
            if k == turn or member.hears:
                member.optimizer.tell(designs, scores, rng)
        gain = self._added(designs, scores) / len(designs)
        first = self._spent[turn] == 0
        self._gain[turn] = gain if first else _MEMORY * self._gain[turn] + (1.0 - _MEMORY) * gain
        self._spent[turn] += len(designs)
        self._turn = self._next()

    def _added(self, designs: Designs, scores: Scores) -> float:
        """Share of the new front's hypervolume that these designs added; beyond three objectives, of its members."""
        before, was = self._front.objectives, self._front.feasible
        if not self._front.add(designs, scores) or not self._front.feasible:
            return 0.0
        after = self._front.objectives
        if after.shape[1] > _MEASURED:
            return float(np.isin(self._front.designs.digest, designs.digest).sum()) / len(after)
        low, span = after.min(axis=0), np.ptp(after, axis=0)
        span = np.where(span > 0, span, np.where(np.abs(low) > 0, np.abs(low), 1.0))
        total = _volume((after - low) / span)
        old = _volume((before - low) / span) if was else 0.0
        return max(total - old, 0.0) / total if total > 0 else 0.0

    def _next(self) -> int:
        if (self._spent < self._start).any():
            return int(np.argmin(self._spent))
        count, total = len(self._order), float(self._gain.sum())
        part = self._gain / total if total > 0 else np.full(count, 1.0 / count)
        return int(np.argmin(self._spent / (_FLOOR + (1.0 - count * _FLOOR) * part)))


def _volume(scaled: Array) -> float:
    import moocore

    inside = scaled[(scaled < _MARGIN).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=[_MARGIN] * scaled.shape[1])) if len(inside) else 0.0


def by_numbers(view: SearchView) -> Relay:
    """For Real variables: pymoo's algorithms and the neighbours of the front.

    Two objectives: SMS-EMOA with 20 members, which converges fastest, since the neighbours keep the breadth. Three:
    also one of 100, without which whole sides of a front are lost early (DTLZ4). Beyond, hypervolume contributions
    cost seconds: NSGA-III.
    """
    from tradespace_optimizers import pymoo_family as family

    def sms(size: int) -> Member:
        return Member(family.SMSEMOA(view, family.GeneticOptions(pop_size=size, homogeneous=True)))

    count = len(view.objectives)
    if count == 1:
        few = family.UNSGA3(view, family.DirectionOptions(pop_size=20, homogeneous=True))
        return Relay(view, {"unsga3 of 20": Member(few)}, start=60)
    if count == 2:
        return Relay(view, {"sms_emoa of 20": sms(20)}, start=60)
    if count == _MEASURED:
        return Relay(view, {"sms_emoa of 100": sms(100), "sms_emoa of 40": sms(40)}, start=100)
    many = family.NSGA3(view, family.DirectionOptions(pop_size=100, homogeneous=True))
    return Relay(view, {"nsga3 of 100": Member(many)}, start=100)

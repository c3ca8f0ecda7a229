"""Several optimizers share one budget; each gets turns by what its designs added to the front. Ours.

All start with the same number of designs. After that a turn goes to the member that is furthest behind its share, which
is its part of the recent gains per design, never less than a floor. Members that do not mind are told what the others
found, and `Neighbours` search around the common front. Turns follow from tells alone, so a resumed search goes on as it
would have. A `Reserve` waits instead until the front of another stands still, or for some designs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.problem import Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import Optimizer, SearchView
from tradespace.search.members import Members

Array = NDArray[np.float64]
Rng = np.random.Generator

_MEMORY = 0.75  # of a member's earlier gain per design, at each of its turns
_FLOOR = 0.1  # least share of a member
_MARGIN = 1.1
_MEASURED = 3  # objectives up to which hypervolume is cheap enough to be measured after every batch
_AHEAD = 0.5  # share of neighbours of members that are best along a direction
_LOOKS = 1000  # members among which the best along a direction is looked for
_CORNER = 0.3  # share of the largest weighted objective, as in pgsam
_STILL, _LEAST_STILL = 0.05, 200  # share of the budget, and designs, in which a front
_LITTLE = 3e-3  # that gains less than this stands still
_KEPT = 0.25  # share of the rest that the first keeps beside the reserve
_BUDGET = 10_000  # designs, where the budget is not a number of designs
_AGED = 2000  # designs that evolution has alone
_LIMIT = 50_000  # members


class Neighbours:
    """Changes one entry or a few of members of a front that others keep: what remains when a population has converged,
    and what reaches optima on the bounds of variables.

    ``ahead``: half of them are changes of members that are best along random directions through the front, not of any.
    Where many members have one good objective and two bad ones (DTLZ1), those that are good in all of them are rare.
    """

    Options: ClassVar[type] = object

    def __init__(self, space: Space, front: Archive, batch: int, *, ahead: bool = False) -> None:
        self._space, self._front, self.batch, self._ahead = space, front, batch, ahead

    def ask(self, n: int, rng: Rng) -> Designs:
        if not len(self._front):
            return self._space.sample(n, rng)
        parents = rng.integers(0, len(self._front), n)
        if self._ahead and self._front.feasible:
            parents = np.where(rng.random(n) < _AHEAD, _along(self._front.objectives, n, rng), parents)
        return self._space.mutate(self._front.designs.take(parents), rng)

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
        ahead = len(view.objectives) >= _MEASURED
        near = Member(Neighbours(view.space, self._front, batch, ahead=ahead), hears=False)
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
        return _gained(before if was else before[:0], after)

    def _next(self) -> int:
        if (self._spent < self._start).any():
            return int(np.argmin(self._spent))
        count, total = len(self._order), float(self._gain.sum())
        part = self._gain / total if total > 0 else np.full(count, 1.0 / count)
        return int(np.argmin(self._spent / (_FLOOR + (1.0 - count * _FLOOR) * part)))


class Reserve:
    """Runs ``first`` until the front stands still, then gives most designs to ``reserve``, which begins on its own.
    ``after``: it begins after so many designs instead.

    What a population that began afresh still holds, parts that are worth nothing until all are there, a search that
    follows its front lost early. The reserve is told its own designs alone: next to a good front its first ones would
    not survive. ``may``: whether the time has come to look at gains at all, None for always. ``size``: of the budget in
    designs.
    """

    Options: ClassVar[type] = object

    def __init__(
        self,
        objectives: int,
        first: Optimizer,
        reserve: Optimizer,
        *,
        size: int,
        may: Callable[[], bool] | None = None,
        after: int | None = None,
    ) -> None:
        self._pair, self._may, self._after = (first, reserve), may, after
        self._front = Members(objectives, _LIMIT)
        self._window = max(_LEAST_STILL, int(_STILL * size))
        self._spent, self._turn = [0, 0], 0
        self._mark: tuple[int, Array] | None = None  # designs told when the front was last looked at, and it
        self._since = 0  # designs told when the reserve was called, 0 before

    @property
    def _now(self) -> Optimizer:
        return self._pair[self._turn]

    @property
    def batch(self) -> int:
        return int(self._now.batch)

    @property
    def note(self) -> str:
        own = str(getattr(self._pair[0], "note", ""))
        why = "the front stood still " if self._after is None else ""
        called = f"{why}after {self._since} designs, {self._spent[1]} of the rest by the reserve"
        return "; ".join(part for part in (own, called if self._since else "") if part)

    def ask(self, n: int, rng: Rng) -> Designs:
        return self._now.ask(n, rng)

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        self._now.tell(designs, scores, rng)
        self._spent[self._turn] += len(designs)
        if self._since:
            more = self._spent[0] - self._since
            self._turn = int(more >= _KEPT * (more + self._spent[1]))
            return
        if self._due(designs, scores):
            self._since, self._turn = self._spent[0], 1

    def _due(self, designs: Designs, scores: Scores) -> bool:
        if self._after is not None:
            return self._spent[0] >= self._after
        self._front.add(scores, designs.digest)
        return (self._may is None or self._may()) and self._front.feasible and self._stands_still()

    def _stands_still(self) -> bool:
        """Whether the last window added less than a small share of the front's hypervolume."""
        told, after = self._spent[0], self._front.objectives
        if self._mark is not None and told - self._mark[0] < self._window:
            return False
        before, self._mark = self._mark, (told, after.copy())
        return before is not None and _gained(before[1], after) < _LITTLE


def _along(front: Array, n: int, rng: Rng) -> NDArray[np.intp]:
    """The best rows of a front (K, M), or of some of them, along ``n`` random directions: by the weighted sum of
    objectives and the largest weighted one, on the front's own range."""
    some = rng.integers(0, len(front), _LOOKS) if len(front) > _LOOKS else np.arange(len(front))
    span = np.ptp(front, axis=0)
    scaled = (front[some] - front.min(axis=0)) / np.where(span > 0, span, 1.0)
    weights = rng.dirichlet(np.ones(front.shape[1]), n)
    most = (weights[:, None] * scaled).max(axis=2)
    worth = _CORNER * np.sqrt(front.shape[1]) * most + (1.0 - _CORNER) * (weights @ scaled.T)
    return np.asarray(some[worth.argmin(axis=1)])


def _gained(before: Array, after: Array) -> float:
    """Share of the hypervolume of the front ``after`` (K, M) that ``before`` lacks, on the scale of the former."""
    low, span = after.min(axis=0), np.ptp(after, axis=0)
    span = np.where(span > 0, span, np.where(np.abs(low) > 0, np.abs(low), 1.0))
    total = _volume((after - low) / span)
    old = _volume((before - low) / span) if len(before) else 0.0
    return max(total - old, 0.0) / total if total > 0 else 0.0


def _volume(scaled: Array) -> float:
    import moocore

    inside = scaled[(scaled < _MARGIN).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=[_MARGIN] * scaled.shape[1])) if len(inside) else 0.0


def of_pairs(view: SearchView) -> Reserve:
    """For choices of two options: learned_chain, and NSGA-II with pymoo's operators for strings of bits in reserve.

    Where sums were learnt and hold, the reserve is not called.
    """
    from tradespace_optimizers import pymoo_family as family
    from tradespace_optimizers.learned_chain import LearnedChain, LearnedChainOptions

    chain: Any = LearnedChain(view, LearnedChainOptions())
    nsga2 = family.NSGA2(view, family.GeneticOptions(mutation_prob=1.0))
    size = view.evaluations or _BUDGET
    return Reserve(len(view.objectives), chain, nsga2, size=size, may=lambda: chain.holds is False)


def of_knobs(view: SearchView) -> Reserve:
    """For choices among numbers: nas_evolution, then most designs to NSGA-II, begun afresh.

    Evolution is ahead early; late it gains little, where a population that ranks by crowding still fills its front.
    """
    from tradespace_optimizers import pymoo_family as family
    from tradespace_optimizers.nas_evolution import NASEvolution

    evolution, nsga2 = NASEvolution(view, NASEvolution.Options()), family.NSGA2(view, family.GeneticOptions())
    size = view.evaluations or _BUDGET
    return Reserve(len(view.objectives), evolution, nsga2, size=size, after=_AGED)


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

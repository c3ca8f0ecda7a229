"""Learn an additive chain from a few hundred priced designs, test it, and solve what was learnt exactly.

Ours. For black boxes whose prices happen to be sums over entries and neighbours. First a few dozen designs test whether
they are (`learned_chain_model.crossings`); if not, the search goes on as pgsam at once. If they are, probes are priced
until a fit predicts held-out designs, the fitted chain's front comes from label dynamic programming, and its designs
are priced truly. Objectives that are no sums may be the largest of several, as the period of a pipeline is; a few more
designs test that, and they are learnt as well (`learned_chain_largest`). Whatever budget is left goes to pgsam, which
starts from all that is known. The structure is tested on samples, never certified; a front design whose price differs
from its prediction ends the belief in it (half of a batch, where something is the largest of sums).
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.archive import concat_scores
from tradespace.search.contract import SearchView
from tradespace.search.indicators import nondominated
from tradespace_optimizers.learned_chain_front import front_states
from tradespace_optimizers.learned_chain_largest import Learner, Mixed, groupings
from tradespace_optimizers.learned_chain_largest_model import LargestFit
from tradespace_optimizers.learned_chain_model import (
    Entries,
    Fit,
    Form,
    crossing_errors,
    crossings,
    entries_of,
    fit,
    forms_of,
    spread,
)
from tradespace_optimizers.pgsam import PGSAM, PGSAMOptions
from tradespace_optimizers.spread import thinned
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
Rng = np.random.Generator

_BUDGET = 10_000  # designs, where the budget is not a number of designs
_FIRST = 8  # two crossings: one that fails is enough
_BATCH = 256
_SLACK = 100.0  # how much worse than held-out ones designs of the learnt front may be predicted
_PATIENCE = 3.0  # rows told while waiting for whole crossings, in rows that would do
_SPARE = 1.1  # probes per parameter, beside the held-out ones
_SHARE = 0.8  # of the budget for probes, where an objective is the largest of sums
_HURRY = 3.0  # seconds, in which pgsam prices so many designs that such probes, and what is solved then, do not pay
_WRONG = 0.5  # share of a batch of the learnt front that may be off there, for pairs that no probe could show


@dataclass(frozen=True)
class LearnedChainOptions:
    """crossings: tests before any fit. held: designs that test a fit. tolerance: largest error of a test, in standard
    deviations of the quantity. share: largest share of the budget that goes to probes."""

    crossings: int = 8
    held: int = 32
    tolerance: float = 1e-6
    share: float = 0.75


class LearnedChain:
    """Fits a chain structure to a few hundred designs, tests it on others, and solves it exactly if it holds.

    Crossings, then probes, then the learnt front, then pgsam; straight to pgsam wherever the structure fails.

    ``note`` says what was found out. ``holds``: whether the structure held so far, None before the first tests.
    """

    Options: ClassVar[type] = LearnedChainOptions
    supports: ClassVar[Supports] = Supports(note="learns chains of equally long choices; else as pgsam")

    def __init__(self, view: SearchView, options: LearnedChainOptions) -> None:
        _check(options)
        self._view, self._options = view, options
        self._budget = view.evaluations or _BUDGET
        self._blind = replace(view, structure=None)
        self._pgsam = PGSAM(self._blind, PGSAMOptions())
        self._designs: list[Designs] = []  # told, and not yet to pgsam
        self._scores: list[Scores] = []
        self._told = self._next = 0
        self._errors: list[Array] = []
        self._columns: NDArray[np.intp] = np.empty(0, np.intp)  # quantities that are sums in all tests
        self._queue: Designs | None = None
        self._fit: Fit | Mixed | None = None
        self._learning: Generator[Designs, tuple[Designs, Array, Rng], dict[int, LargestFit] | str] | None = None
        self._probes = view.space.homogeneous().take(slice(0, 0))  # of what is learnt as the largest of sums
        self._chunk = 0  # batches told before the probes
        self._largest: dict[int, LargestFit] = {}  # by column of the objectives
        self.holds: bool | None = None
        self.note = ""
        entries = entries_of(view.space)
        self._entries: Entries | None = None if isinstance(entries, str) else entries
        self._forms: list[Form] = []
        if isinstance(entries, str):
            self._give_up(entries)
            return
        self._most = int(options.share * self._budget)
        self._forms = [form for form in forms_of(entries) if self._needed(form.parameters) <= self._most]
        if not any(form.pairs for form in self._forms):
            self._give_up("the budget is too small to learn a chain of this length")

    @property
    def batch(self) -> int:
        if self._over:
            return self._pgsam.batch
        return _FIRST if self.holds is None and self._learning is None else _BATCH

    def _needed(self, parameters: int) -> int:
        """Told designs before a fit: a crossing's fourth row repeats what three say."""
        repeated = 2 * self._options.crossings + parameters // 64
        return int(_SPARE * parameters) + repeated + self._options.held

    # -- ask ----------------------------------------------------------------------------------------------------------

    def ask(self, n: int, rng: Rng) -> Designs:
        if self._queue is not None and len(self._queue):
            return self._queue.take(slice(0, n))
        if self._over:
            return self._pgsam.ask(n, rng)
        if self._learning is not None:
            return self._probes.take(slice(0, n))
        assert self._entries is not None
        count = n // 4
        if self.holds:  # uniform designs for the fit; a few crossings go on testing, and those at the end test the fit
            n = max(min(n, self._next - self._told), 1)
            held = self._told + n - (self._next - self._options.held)
            count = min(n // 4, max(held // 4, n // 64))
        return self._view.space.concat(
            [self._view.space.sample(n - 4 * count, rng), crossings(self._entries, count, rng)]
        )

    # -- tell ---------------------------------------------------------------------------------------------------------

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        self._told += len(designs)
        if self._over:
            self._hand_over(rng, designs, scores)
            return
        self._designs.append(designs)
        self._scores.append(scores)
        if self._queue is not None:
            self._compare(designs, scores)
        elif self._learning is not None:
            self._probe(len(designs), rng)
        else:
            self._test(designs, scores, rng)
            if self.holds and self._told >= self._next:
                self._learn(rng)
        if self._over and self._told > self._pgsam.batch:
            self._hand_over(rng)

    @property
    def _over(self) -> bool:
        """Whether the rest is pgsam's."""
        return self.holds is False or (self._queue is not None and not len(self._queue))

    def _test(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        """Crossings decide: every objective must add up, or be learnt as the largest of sums; limits that do not add up
        are left to the archive."""
        assert self._entries is not None
        self._errors.append(crossing_errors(self._entries, designs, _quantities(scores)))
        errors, m = np.concatenate(self._errors), len(self._view.objectives)
        off = errors.max(axis=0, initial=0.0) / self._spread
        sums = off <= self._options.tolerance
        lacking = [k for k in range(m) if not sums[k] and k not in self._largest]
        if lacking:
            bad = [f"{self._view.objectives[k]} (off by {off[k]:.2g} sd)" for k in lacking]
            self._lacking = f"no sums over the chain in {len(errors)} tests: {', '.join(bad)}"
            if self._largest or not groupings(self._entries, self._room):
                self._give_up(self._lacking)
                return
            self._columns = np.flatnonzero(sums)
            self._begin(lacking, rng)
        elif len(errors) >= self._options.crossings:
            self._columns = np.flatnonzero(sums)
            if self.holds is None:
                self.holds, self._next = True, self._needed(self._forms[0].parameters)
        elif self._told > _PATIENCE * 4 * self._options.crossings + 64:
            self._give_up("designs came back repaired, so that no structure could be tested")

    @property
    def _room(self) -> int:
        """Designs that probes of maxima may still take."""
        if self._hurried:
            return 0
        return int(_SHARE * self._budget) - self._told

    @property
    def _hurried(self) -> bool:
        return self._view.seconds is not None and self._view.seconds <= _HURRY

    def _begin(self, lacking: list[int], rng: Rng) -> None:
        assert self._entries is not None
        known = self._view.space.concat(self._designs), np.concatenate([_quantities(s) for s in self._scores])
        learner = Learner(self._entries, lacking, self._room, self._options.tolerance, known)
        self._learning, self._chunk = learner.run(rng), len(self._designs)
        self._probes = next(self._learning)

    def _probe(self, count: int, rng: Rng) -> None:
        """``count`` of the probes were told: once all are, what comes next."""
        assert self._learning is not None
        self._probes = self._probes.take(slice(count, None))
        if len(self._probes):
            return
        told = self._view.space.concat(self._designs[self._chunk :])
        values = np.concatenate([_quantities(s) for s in self._scores[self._chunk :]])
        self._chunk = len(self._designs)
        try:
            self._probes = self._learning.send((told, values, rng))
        except StopIteration as end:
            self._learning = None
            if isinstance(end.value, str):
                self._give_up(f"{self._lacking}; {end.value}")
                return
            self._largest, self.holds, self._next = end.value, True, self._told
            if len(self._columns):
                self._learn(rng)
            else:
                self._solve(None, rng)

    @property
    def _spread(self) -> Array:
        """(M + K,) standard deviations of what was told."""
        return spread(np.concatenate([_quantities(s) for s in self._scores]))

    def _learn(self, rng: Rng) -> None:
        """The smallest form that predicts held-out designs, else more probes, else pgsam."""
        assert self._entries is not None
        designs = self._view.space.concat(self._designs)
        values = np.concatenate([_quantities(s) for s in self._scores])[:, self._columns]
        state = self._entries.state(self._entries.codes(designs))
        while self._forms and self._needed(self._forms[0].parameters) <= self._told:
            found = fit(self._entries, self._forms[0], state, values, self._options.held)
            if found is None and self._told + self._options.held <= self._most:
                self._next = self._told + self._options.held  # the rows do not determine the sums yet
                return
            self._forms.pop(0)
            if found is not None and found.errors.max() <= self._options.tolerance:
                self._solve(found, rng)
                return
        if not self._forms:
            self._give_up("no form of pairs predicts held-out designs within the share of the budget")
            return
        self._next = self._needed(self._forms[0].parameters)

    def _solve(self, found: Fit | None, rng: Rng) -> None:
        """The learnt front, at most as many designs as the budget still allows."""
        assert self._entries is not None
        m = len(self._view.objectives)
        if self._largest:
            self._mixed(Mixed(found, self._columns, self._largest, m), rng)
            return
        assert found is not None
        self._fit = found
        self.note = (
            f"additive chain learnt from {self._told - self._options.held} designs, tested on {self._options.held}"
            f" held-out ones (largest error {found.errors.max():.0e} sd); tested, not certified"
        )
        values = np.concatenate([s.objectives for s in self._scores])
        states = front_states(self._entries, found.chain(m), _spans(values), rng, thorough=not self._hurried)
        states = states[thinned(found.predict(states)[:, :m], max(self._budget - self._told, 1))]
        codes = self._entries.digits[states]
        self._queue = self._view.repair(self._entries.designs(codes))

    def _mixed(self, mixed: Mixed, rng: Rng) -> None:
        """As `_solve`, with objectives that are the largest of sums."""
        assert self._entries is not None
        names = ", ".join(self._view.objectives[c] for c in mixed.fits)
        self._fit, self._columns = mixed, mixed.columns
        self.note = f"chain learnt from {self._told} designs, {names} as the largest of sums; tested, not certified"
        designs, values = mixed.front(self._view, self._entries, rng)
        self._queue = self._view.repair(designs.take(thinned(values, max(self._budget - self._told, 1))))

    def _compare(self, designs: Designs, scores: Scores) -> None:
        """The front's designs, as far as told, against what was predicted; pgsam goes on after the last."""
        assert self._queue is not None and self._fit is not None and self._entries is not None
        state = self._entries.state(self._entries.codes(designs))
        true = _quantities(scores)[:, self._columns]
        scale = np.minimum(self._spread[self._columns], spread(true)) if len(true) > 1 else self._spread[self._columns]
        off = np.abs(self._fit.predict(state) - true) / scale
        self._queue = self._queue.take(slice(len(designs), None))
        wrong = off.max(axis=1, initial=0.0) > _SLACK * self._options.tolerance
        if wrong.mean() > (_WRONG if self._largest else 0.0):
            self._give_up(f"a learnt chain failed on designs of its front (off by {off.max():.2g} sd)")

    # -- pgsam --------------------------------------------------------------------------------------------------------

    def _give_up(self, why: str) -> None:
        self.holds = False
        self.note = f"searched as pgsam: {why}"

    def _hand_over(self, rng: Rng, designs: Designs | None = None, scores: Scores | None = None) -> None:
        """Tell pgsam, and once also all that was told before: a few designs with its own first batch, many at once."""
        if designs is not None and scores is not None:
            self._designs.append(designs)
            self._scores.append(scores)
        known = functools.reduce(concat_scores, self._scores)
        self._pgsam.tell(self._view.space.concat(self._designs), known, rng)
        self._designs, self._scores = [], []


def _quantities(scores: Scores) -> Array:
    """``(N, M + K)``: minimised objectives, then graded violations."""
    return np.concatenate([scores.objectives, scores.violations], axis=1)


def _spans(values: Array) -> Array:
    front = values[nondominated(values)]
    span = np.ptp(front, axis=0)
    return np.asarray(np.where(span > 0, span, np.where(np.ptp(values, axis=0) > 0, np.ptp(values, axis=0), 1.0)))


def _check(o: LearnedChainOptions) -> None:
    where = "options of learned_chain"
    if o.crossings < 1 or o.held < 1 or o.tolerance <= 0.0 or not 0.0 < o.share <= 1.0:
        raise ProblemError(
            "crossings and held are at least 1, tolerance is positive, share between 0 and 1", value=o, where=where
        )

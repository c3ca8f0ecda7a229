"""Learn objectives that are the largest of several sums (the busiest device of a pipeline), test them, solve them.

Ours; the probes and the fit are in `learned_chain_largest_model`. In turn, each step paid only if the one before held:

1. For each variable, whether prices are sums while all entries take one of its options: of one option, then of all;
   and while a few entries leave the dearest for any other.
2. With all entries in one group, one entry after another changes what else it can.
3. Entries leave for other groups, as few as leave the group the largest; where the fit says it was not, others do.
4. Designs of all kinds, held out, test the result: what is said is tested on samples, never certified.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.problem import ChainTerm, MaxTerm, Structure
from tradespace.search.contract import SearchView
from tradespace.search.labels import ChainArrays
from tradespace_optimizers import learned_chain_largest_model as largest
from tradespace_optimizers.chain_epsilon import EpsilonOptions
from tradespace_optimizers.chain_milp import MILP
from tradespace_optimizers.learned_chain_front import open_limits, searched
from tradespace_optimizers.learned_chain_largest_model import Grouping, LargestFit
from tradespace_optimizers.learned_chain_model import Entries, Fit, crossing_errors, crossings, spread

Array = NDArray[np.float64]
States = NDArray[np.intp]
Rng = np.random.Generator
Told = tuple[Designs, Array, Rng]

_HELD = 4  # crossings
_AGAIN = 0.5  # of the room: more is not spent on sums that also count what is sent, after those without have failed
_LEFT = 3  # crossings with entries in other groups, most of which are to add up: another group may become the largest
_SAFE = (0.35, 0.7)  # of a group's sum, that others are predicted to reach at most: by the first guess, and by fits
_ROUNDS = 3
_RIGHT = 0.8  # of the held-out designs: a pair of groups that no probe could show may be wrong
_MOST = 2500  # unknowns
_RESOLUTION, _SECONDS = 0.001, 5.0  # of branch and bound


def groupings(entries: Entries, room: int) -> list[Grouping]:
    """The variables that may tell groups, and can be learnt from ``room`` designs."""
    every = [Grouping(entries, v) for v in range(len(entries.options)) if entries.options[v] > 1]
    return [g for g in every if _needed(g, False, len(every)) <= room and g.count * g.columns(False) <= _MOST]


def _needed(grouping: Grouping, sends: bool, candidates: int) -> int:
    return grouping.count * (grouping.columns(sends) + 4) + 4 * (candidates + _LEFT + _HELD)


@dataclass
class Learner:
    """Steps 1 to 4 for the columns ``lacking`` of quantities. ``known``: designs and quantities priced before."""

    entries: Entries
    lacking: Sequence[int]
    room: int
    tolerance: float
    known: tuple[Designs, Array]

    def run(self, rng: Rng) -> Generator[Designs, Told, dict[int, LargestFit] | str]:
        """Yields designs to be priced, is sent these with their quantities (N, Q); returns fits by column, or why there
        are none."""
        grouping, rng = yield from self._grouping(rng)
        if grouping is None:
            return "nor the largest of sums"
        inside, owner = largest.inside(grouping, rng)
        inside, values, rng = yield from self._priced(inside)
        for sends in (False, True):
            if _needed(grouping, sends, len(self.entries.options)) > self.room * (_AGAIN if sends else 1.0):
                return "the largest of sums that the budget is too small to learn"
            fits, rng = yield from self._fits(grouping, inside, owner, values, sends, rng)
            held, true, rng = yield from self._priced(self._states(crossings(self.entries, _HELD, rng)))
            if fits and all(self._holds(fits[c], c, held, true) for c in self.lacking):
                return fits
        return "no largest of sums predicts held-out designs"

    def _fits(
        self, grouping: Grouping, state: States, owner: States, values: Array, sends: bool, rng: Rng
    ) -> Generator[Designs, Told, tuple[dict[int, LargestFit], Rng]]:
        """Step 3; nothing where designs came back repaired."""
        fits: dict[int, LargestFit] = {}
        guesses = {c: largest.guessed(grouping, state, owner, values[:, c]) for c in self.lacking}
        first = self.lacking[0]
        for turn in range(_ROUNDS):
            guess, safe = (fits[first], _SAFE[1]) if fits else (guesses[first], _SAFE[0])
            more, owners = largest.leaving(grouping, state, owner, guess, safe, sends, rng)
            if not len(more):
                break
            told, prices, rng = yield from self._priced(more)
            if not np.array_equal(told, more):
                return {}, rng
            state, owner = np.concatenate([state, more]), np.concatenate([owner, owners])
            values = np.concatenate([values, prices])
            for _ in range(_ROUNDS):
                fits = {
                    c: largest.fit_largest(grouping, state, owner, values[:, c], guesses[c], sends)
                    for c in self.lacking
                }
                keep = largest.largest_there(fits[first], state, owner, values[:, first])
                state, owner, values = state[keep], owner[keep], values[keep]
                if keep.all():
                    break
            if keep.all() and not turn:
                break
        return fits, rng

    def _holds(self, fit: LargestFit, c: int, state: States, values: Array) -> bool:
        designs, before = self.known
        state, true = np.concatenate([self._states(designs), state]), np.concatenate([before[:, c], values[:, c]])
        off = np.abs(fit.predict(state) - true) <= self.tolerance * float(spread(true[:, None])[0])
        return bool(off.mean() >= _RIGHT)

    def _grouping(self, rng: Rng) -> Generator[Designs, Told, tuple[Grouping | None, Rng]]:
        left = groupings(self.entries, self.room)
        first = [int(rng.integers(g.count)) for g in left]
        crossed = [largest.alike(g, k, rng) for g, k in zip(left, first, strict=True)]
        state, values, rng = yield from self._priced(np.concatenate(crossed))
        for at, (g, k) in enumerate(zip(left, first, strict=True)):
            if not self._sums(state[4 * at : 4 * at + 4], values[4 * at : 4 * at + 4]):
                continue
            others = [largest.alike(g, i, rng) for i in range(g.count) if i != k]
            told, prices, rng = yield from self._priced(np.concatenate(others))
            if not self._sums(told, prices):
                continue
            dear = np.concatenate([values[4 * at : 4 * at + 4], prices])[:, self.lacking[0]].reshape(-1, 4).max(axis=1)
            dearest = [k, *(i for i in range(g.count) if i != k)][int(dear.argmax())]
            parted = [largest.alike(g, dearest, rng, leaving=True) for _ in range(_LEFT)]
            told, prices, rng = yield from self._priced(np.concatenate(parted))
            held = sum(self._sums(told[4 * i : 4 * i + 4], prices[4 * i : 4 * i + 4]) for i in range(_LEFT))
            if held > _LEFT // 2:
                return g, rng
        return None, rng

    def _sums(self, state: States, values: Array) -> bool:
        """Whether no crossing says otherwise."""
        errors = crossing_errors(self.entries, self.entries.designs(self.entries.digits[state]), values)
        scale = spread(np.concatenate([self.known[1], values]))
        return bool((errors <= self.tolerance * scale)[:, self.lacking].all())

    def _priced(self, state: States) -> Generator[Designs, Told, tuple[States, Array, Rng]]:
        designs, values, rng = yield self.entries.designs(self.entries.digits[state])
        return self._states(designs), values, rng

    def _states(self, designs: Designs) -> States:
        return self.entries.state(self.entries.codes(designs))


@dataclass(frozen=True)
class Mixed:
    """Sums (columns ``sums`` of the quantities) and largest ones by column: objectives first, then limits."""

    fit: Fit | None
    sums: NDArray[np.intp]
    fits: dict[int, LargestFit]
    objectives: int

    @property
    def columns(self) -> NDArray[np.intp]:
        return np.asarray(sorted([*self.sums.tolist(), *self.fits]), np.intp)

    def predict(self, state: States) -> Array:
        """``(N, columns)``."""
        rest = self.fit.predict(state) if self.fit is not None else np.empty((len(state), 0))
        at = self.sums.tolist()
        parts = [self.fits[c].predict(state) if c in self.fits else rest[:, at.index(c)] for c in self.columns.tolist()]
        return np.stack(parts, axis=1)

    def chain(self) -> tuple[ChainArrays, tuple[int, ...]]:
        """All sums in order, and how many of them each objective is the largest of."""
        unary, pair, groups = [], [], []
        for c in self.columns.tolist():
            if c in self.fits:
                unary.append(self.fits[c].unary)
                pair.append(self.fits[c].pair)
            else:
                assert self.fit is not None
                k = self.sums.tolist().index(c)
                flat = self.fit.unary[..., k : k + 1]
                n, states = flat.shape[:2]
                unary.append(flat)
                both = self.fit.pair
                pair.append(np.zeros((n - 1, states, states, 1)) if both is None else both[..., k : k + 1])
            if c < self.objectives:
                groups.append(unary[-1].shape[2])
        table = np.concatenate(unary, axis=2)
        caps = np.where(np.arange(table.shape[2]) < sum(groups), np.inf, 0.0)
        return ChainArrays(table, np.concatenate(pair, axis=3), caps, sum(groups)), tuple(groups)

    def front(self, view: SearchView, entries: Entries, rng: Rng) -> tuple[Designs, Array]:
        """Designs of the learnt front, and their objectives: one objective by branch and bound."""
        chain, groups = self.chain()
        if len(groups) == 1 and not open_limits(chain):
            assert chain.pair is not None
            terms = tuple(ChainTerm(chain.unary[..., k], chain.pair[..., k]) for k in range(groups[0]))
            learnt = Structure(entries.names, maxima={view.objectives[0]: MaxTerm(terms)})
            solver = MILP(replace(view, structure=learnt), EpsilonOptions(resolution=_RESOLUTION, seconds=_SECONDS))
            designs = solver.ask(1, rng)
            if len(designs):
                return designs, self.predict(entries.state(entries.codes(designs)))
        states, values = searched(entries, chain, int(rng.integers(0, 2**31)), groups, thorough=True)
        return entries.designs(entries.digits[states]), values

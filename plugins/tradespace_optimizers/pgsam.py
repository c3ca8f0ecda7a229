"""PGSAM: Pareto-guided simulated annealing with momentum.

A reconstruction, not the published algorithm: of arXiv 2602.06057v3 only the abstract, which names it, was in reach.
All constants, moves and the form of the momentum are ours. Many chains anneal at once, each along a Dirichlet
direction through the normalised objectives. Non-dominated designs go to an archive, to which chains return; moves
remember what they gained; temperatures fall geometrically over the budget and rise when the archive stands still.

What each part is worth, without the warm start (bench/optimizers.py, 20 seeds, Wilcoxon with Holm; first the default
problem at 2,000 and 10,000 designs, then the mean over it and four chains at 2,000): momentum +0.0016 (p 0.02),
+0.0001 (p 0.01), +0.014; archive guidance +0.006, +0.0015, +0.016; block moves +0.008, +0.003, +0.004. Annealing
against pure descent is neutral but for capped chains (+0.009, p 0.04), and reheating never starts while the archive
still grows, which is nearly always. NSGA-II with the same plain designs first: -0.024, -0.015, -0.063.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.archive import Archive, contains
from tradespace.search.contract import SearchView
from tradespace_optimizers import pgsam_chains as chains
from tradespace_optimizers import pgsam_moves as moves
from tradespace_optimizers.pgsam_momentum import Momentum
from tradespace_optimizers.relaxation import relaxed_designs

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Rng = np.random.Generator

_BUDGET = 10_000  # designs that cooling spans where the budget is not a number of designs
_REMEMBERED = 1_000_000  # designs that are not asked again


@dataclass(frozen=True)
class PGSAMOptions:
    """Attributes:
    chains: 0 takes a fiftieth of the budget, between 16 and 200.
    warm_start: "relaxation" prices the front of the chain structure first, where there is one; "none".
    momentum: choose reassignments by what they gained before.
    guidance: return to the archive, and copy stretches of its members.
    reheating: triple the temperature after 5 batches without a new archive member.
    block_moves: set, shift and copy runs of entries.
    return_low, return_high: share of chains that return per move, at the start and the end.
    corner: share of the weighted maximum in a chain's energy.
    momentum_rate, sharpness, tries, explore: learning rate; inverse temperature of the choice among ``tries`` random
        reassignments, in mean gains; share of uniform choices.
    end_temperature: last temperature over the first.
    """

    chains: int = 0
    warm_start: str = "relaxation"
    momentum: bool = True
    guidance: bool = True
    reheating: bool = True
    block_moves: bool = True
    return_low: float = 0.7
    return_high: float = 0.7
    corner: float = 0.3
    momentum_rate: float = 0.5
    sharpness: float = 10.0
    tries: int = 24
    explore: float = 0.2
    end_temperature: float = 1e-3


class PGSAM:
    """PGSAM, Pareto-guided annealing of many chains with momentum (our reconstruction): any discrete or mixed space.

    Row r of a batch belongs to chain (chain rows told so far + r) mod C, so tells alone rebuild every chain.
    """

    Options: ClassVar[type] = PGSAMOptions

    def __init__(self, view: SearchView, options: PGSAMOptions) -> None:
        _check(options)
        self._view, self._space, self._options = view, view.space, options
        self._budget = view.evaluations or _BUDGET
        self._count = options.chains or int(np.clip(self._budget // 50, 16, 200))
        self.batch = self._count
        self._layout = moves.layout_of(view.space)
        plain = view.space.homogeneous()
        few = plain.take(np.linspace(0, len(plain) - 1, min(len(plain), self._count // 2)).astype(np.intp))
        suggested = [] if view.suggestions is None else list(view.suggestions().values())
        self._plain = view.space.concat([*suggested, few])  # where the search begins, before random designs
        m = len(view.objectives)
        self._archive = Archive(view.space, m)
        self._members: Array = np.empty((0, view.space.width))  # codes of the archive
        most = max((lane.options for lane in self._layout.lanes), default=1)
        self._momentum = Momentum(m + 1, view.space.width, most, options.momentum_rate)
        self._first: list[tuple[Array, Scores]] = []
        self._chains: chains.Chains | None = None
        self._queue = plain.take(slice(0, 0))  # relaxed designs still to be priced
        self._low, self._high = np.full(m, np.inf), np.full(m, -np.inf)
        self._scale = chains.scale_of(self._archive, np.zeros(m), np.ones(m), options.corner)
        self._seen: NDArray[np.uint64] = np.empty(0, np.uint64)  # sorted digests
        self._told = self._turn = self._still = 0
        self._t0, self._heat = 0.0, 1.0

    # -- ask ----------------------------------------------------------------------------------------------------------

    def ask(self, n: int, rng: Rng) -> Designs:
        if self._chains is None:
            plain = self._plain.take(slice(self._told, self._told + n))
            return self._space.concat([plain, self._space.sample(n - len(plain), rng)])
        warm = self._queue.take(slice(0, n))
        which = (self._turn + np.arange(n - len(warm))) % self._count
        proposed = self._propose(self._chains.codes[which], self._chains.weights[which], rng)
        return self._space.concat([warm, self._unseen(proposed, which, rng)])

    def _unseen(self, codes: Array, which: Rows, rng: Rng) -> Designs:
        """The proposed designs; those asked before, or twice in this batch, get one more random change."""
        designs = self._space.unflatten(codes)
        digest = designs.digest
        again = np.ones(len(digest), bool)
        again[np.unique(digest, return_index=True)[1]] = False
        again = np.flatnonzero(again | contains(self._seen, digest))
        if not len(again):
            return designs
        columns = {name: block.copy() for name, block in designs.columns.items()}
        moved = self._space.mutate(designs.take(again), rng)
        for name, block in columns.items():
            block[again] = moved.columns[name]
        return Designs(self._space, columns)

    def _propose(self, codes: Array, weights: Array, rng: Rng) -> Array:
        o, layout, out = self._options, self._layout, codes.copy()
        names, shares = moves.kinds(layout, block_moves=o.block_moves, guides=o.guidance and len(self._archive) > 1)
        kind = rng.choice(len(names), len(codes), p=shares)
        for k, name in enumerate(names):
            rows = np.flatnonzero(kind == k)
            if name == "reassign":
                out[rows] = self._reassign(codes[rows], weights[rows], rng)
            elif name == "copy":
                guides = self._members[rng.integers(0, len(self._members), len(rows))]
                out[rows] = moves.copy_run(layout, codes[rows], guides, rng)
            else:
                out[rows] = moves.MOVES[name](layout, codes[rows], rng)
        return out

    def _reassign(self, codes: Array, weights: Array, rng: Rng) -> Array:
        """One to four entries take other options: random ones, or the best of several by remembered gains."""
        o, out = self._options, codes.copy()
        slopes, times = self._scale.slopes(weights), np.minimum(rng.geometric(0.6, len(codes)), 4)
        for turn in range(int(times.max(initial=0))):
            rows = np.flatnonzero(times > turn)
            column, option = moves.candidates(self._layout, out[rows], o.tries if o.momentum else 1, rng)
            pick = np.zeros(len(rows), np.intp)
            if o.momentum:
                gain = self._momentum.gain(slopes[rows], out[rows], column, option)
                noisy = o.sharpness * gain / (np.abs(gain).mean() + 1e-300) + rng.gumbel(size=gain.shape)
                pick = np.where(rng.random(len(rows)) < o.explore, 0, noisy.argmax(axis=1))
            at = np.arange(len(rows))
            out[rows, column[at, pick]] = option[at, pick]
        return out

    # -- tell ---------------------------------------------------------------------------------------------------------

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        codes = self._space.flatten(designs)
        changed = self._archive.add(designs, scores)
        if changed:
            self._members = self._space.flatten(self._archive.designs)
        self._low = np.minimum(self._low, scores.objectives.min(axis=0))
        self._high = np.maximum(self._high, scores.objectives.max(axis=0))
        self._scale = chains.scale_of(self._archive, self._low, self._high, self._options.corner)
        if len(self._seen) < _REMEMBERED:
            new = np.sort(designs.digest)
            self._seen = np.insert(self._seen, np.searchsorted(self._seen, new), new)
        self._told += len(designs)
        if self._chains is None:
            self._gather(codes, scores, rng)
            return
        warm = min(len(self._queue), len(designs))
        self._queue = self._queue.take(slice(warm, None))
        for begin in range(warm, len(designs), self._count):
            part = slice(begin, begin + self._count)
            self._anneal(codes[part], scores.objectives[part], scores.violation[part], rng)
        self._reheat(changed)

    def _gather(self, codes: Array, scores: Scores, rng: Rng) -> None:
        """Chains start once as many designs as chains are known."""
        self._first.append((codes, scores))
        if self._told < self._count:
            return
        known = Scores(
            np.concatenate([s.objectives for _, s in self._first]),
            np.concatenate([s.violation for _, s in self._first])[:, None],
            scores.prices,
        )
        known_codes = np.concatenate([c for c, _ in self._first])
        self._chains = chains.start(known_codes, known, self._count, self._scale, rng)
        self._first = []
        if self._options.warm_start == "relaxation":
            self._queue = relaxed_designs(self._view, known, most=self._budget // 4)

    def _anneal(self, codes: Array, objectives: Array, violation: Array, rng: Rng) -> None:
        """Each row against the chain it belongs to."""
        assert self._chains is not None
        now, scale = self._chains, self._scale
        which = (self._turn + np.arange(len(codes))) % self._count
        self._turn += len(codes)
        change = np.concatenate(
            [objectives - now.objectives[which], (violation - now.violation[which])[:, None]], axis=1
        )
        if self._options.momentum and self._layout.lanes:
            self._momentum.learn(now.codes[which], codes, change, self._layout.columns)
        weights = now.weights[which]
        before = scale.energy(now.objectives[which], now.violation[which], weights)
        delta = scale.energy(objectives, violation, weights) - before
        self._t0 = self._t0 or chains.first_temperature(delta)
        ok = chains.accepted(delta, self._temperature(), rng)
        self._chains = now.at(which[ok], codes[ok], objectives[ok], violation[ok])
        if self._options.guidance and len(self._archive):
            self._return(which, rng)

    def _return(self, which: Rows, rng: Rng) -> None:
        """Some chains go to the archive member that is best along their direction."""
        assert self._chains is not None
        o, a = self._options, self._archive
        share = o.return_low + (o.return_high - o.return_low) * self._progress
        rows = which[rng.random(len(which)) < share]
        to = chains.best_for(self._chains.weights[rows], a.objectives, a.violation, self._scale, rng)
        self._chains = self._chains.at(rows, self._members[to], a.objectives[to], a.violation[to])

    @property
    def _progress(self) -> float:
        return min(self._told / self._budget, 1.0)

    def _temperature(self) -> float:
        return float(self._t0 * self._options.end_temperature**self._progress * self._heat)

    def _reheat(self, changed: bool) -> None:
        self._still = 0 if changed else self._still + 1
        self._heat = max(1.0, 0.8 * self._heat)
        if self._options.reheating and self._still and self._still % 5 == 0:
            self._heat *= 3.0


def _check(o: PGSAMOptions) -> None:
    where = "options of pgsam"
    if o.warm_start not in ("relaxation", "none"):
        raise ProblemError("warm_start is 'relaxation' or 'none'", value=o.warm_start, where=where)
    shares = {"return_low": o.return_low, "return_high": o.return_high, "corner": o.corner, "explore": o.explore}
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise ProblemError(f"{name} is between 0 and 1", value=value, where=where)
    if o.chains < 0 or o.tries < 1 or not 0.0 < o.end_temperature <= 1.0 or not 0.0 < o.momentum_rate <= 1.0:
        raise ProblemError(
            "chains >= 0, tries >= 1, 0 < end_temperature <= 1, 0 < momentum_rate <= 1", value=o, where=where
        )

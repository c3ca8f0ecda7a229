"""PGSAM: Pareto-guided simulated annealing with momentum.

A reconstruction, not the published algorithm: only the abstract of arXiv 2602.06057v3 names it. Ours are all
constants, the directions, the momentum per direction and the moves. Ingredients: many annealing chains, each with a
Dirichlet direction over the normalised objectives; an archive of non-dominated designs that chains return to; moves
that remember what they gained; geometric cooling over the budget, reheated when the archive stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.problem import Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import SearchView
from tradespace_optimizers import pgsam_moves as moves
from tradespace_optimizers.pgsam_momentum import Momentum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PGSAMOptions:
    """chains: 0 takes a fiftieth of the budget, 16 to 256."""

    chains: int = 0
    momentum: bool = True
    guidance: bool = True
    reheating: bool = True
    block_moves: bool = True
    acceptance: str = "direction"  # or "domination"
    momentum_rate: float = 0.5
    sharpness: float = 20.0
    tries: int = 24
    explore: float = 0.2
    guide_low: float = 0.1
    guide_high: float = 0.3
    copy_share: float = 0.35
    w_copy: float = 0.3
    w_block: float = 0.1
    w_cut: float = 0.15
    w_swap: float = 0.05
    tcheby: float = 0.7
    t_end: float = 1e-3


class PGSAM:
    Options: ClassVar[type] = PGSAMOptions

    def __init__(self, view: SearchView, options: PGSAMOptions) -> None:
        self._view, self._space, self._options = view, view.space, options
        self._layout = moves.layout_of(view.space)
        budget = view.evaluations or 10_000
        self._chains = options.chains or int(np.clip(budget // 50, 16, 200))
        self._budget = budget
        self.batch = self._chains
        m = len(view.objectives)
        self._archive = Archive(view.space, m)
        most = max((lane.options for lane in self._layout.lanes), default=1)
        self._momentum = Momentum(m + 1, view.space.width, most, options.momentum_rate)
        self._plain = view.space.homogeneous()
        self._told = 0
        self._codes: Array = np.empty((0, view.space.width))
        self._objectives: Array = np.empty((0, m))
        self._violation: Array = np.empty(0)
        self._weights: Array = np.empty((0, m))
        self._low: Array = np.full(m, np.inf)
        self._high: Array = np.full(m, -np.inf)
        self._t0 = 0.0
        self._heat = 1.0
        self._still = 0

    # -- ask --------------------------------------------------------------------------------------------------------

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        if len(self._codes) < self._chains:
            plain = self._plain.take(slice(self._told, self._told + n))
            return self._space.concat([plain, self._space.sample(n - len(plain), rng)])
        which = (self._told + np.arange(n)) % self._chains
        codes, weights = self._codes[which], self._weights[which]
        return self._space.unflatten(self._propose(codes, weights, rng))

    def _propose(self, codes: Array, weights: Array, rng: np.random.Generator) -> Array:
        o, layout = self._options, self._layout
        names = ["reassign"] if layout.lanes else []
        share = [1.0] if layout.lanes else []
        if layout.long:
            names += ["cut", "swap"]
            share += [o.w_cut, o.w_swap]
            if o.block_moves:
                names += ["block"]
                share += [o.w_block]
        if o.guidance and o.block_moves and len(self._archive) > 1:
            names += ["copy"]
            share += [o.w_copy]
        if not layout.only_choices:
            names += ["mutate"]
            share += [1.0]
        kind = rng.choice(len(names), len(codes), p=np.asarray(share) / sum(share))
        out = codes.copy()
        for k, name in enumerate(names):
            rows = np.flatnonzero(kind == k)
            if not len(rows):
                continue
            here = codes[rows]
            if name == "reassign":
                out[rows] = self._reassign(here, weights[rows], rng)
            elif name == "cut":
                out[rows] = moves.shift_cut(layout, here, rng)
            elif name == "swap":
                out[rows] = moves.swap(layout, here, rng)
            elif name == "block":
                out[rows] = moves.set_run(layout, here, rng)
            elif name == "copy":
                guides = self._space.flatten(self._archive.designs)
                pick = rng.integers(0, len(guides), len(rows))
                out[rows] = moves.copy_run(layout, here, guides[pick], rng, o.copy_share)
            else:
                out[rows] = moves.mutate(layout, here, rng)
        same = np.flatnonzero((out == codes).all(axis=1))
        if len(same):
            out[same] = self._space.flatten(self._space.mutate(self._space.unflatten(codes[same]), rng))
        return out

    def _reassign(self, codes: Array, weights: Array, rng: np.random.Generator) -> Array:
        o, n = self._options, len(codes)
        out = codes.copy()
        times = rng.geometric(0.6, n)
        for t in range(min(int(times.max()), 4)):
            rows = np.flatnonzero(times > t)
            column, option = moves.candidates(self._layout, out[rows], o.tries, rng)
            pick = np.zeros(len(rows), np.intp)
            if o.momentum:
                full = np.concatenate([weights[rows] / self._span, np.full((len(rows), 1), 2.0)], axis=1)
                gain = self._momentum.gain(full, out[rows], column, option)
                scale = np.abs(gain).mean() + 1e-300
                noisy = gain / scale * o.sharpness / 10 + rng.gumbel(size=gain.shape)
                pick = np.where(rng.random(len(rows)) < o.explore, 0, np.argmax(noisy, axis=1))
            at = np.arange(len(rows))
            out[rows, column[at, pick]] = option[at, pick]
        return out

    # -- tell -------------------------------------------------------------------------------------------------------

    @property
    def _span(self) -> Array:
        span = self._high - self._low
        return np.where(span > 0, span, 1.0)

    def _energy(self, objectives: Array, violation: Array, weights: Array) -> Array:
        z = (objectives - self._low) / self._span
        wz = weights * z
        g = self._options.tcheby * wz.max(axis=1) * wz.shape[1] ** 0.5 + (1 - self._options.tcheby) * wz.sum(axis=1)
        if not self._archive.feasible:
            return violation + 0.01 * g
        return g + np.where(violation > 0, 0.05 + 2.0 * violation, 0.0)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        codes, violation = self._space.flatten(designs), scores.violation
        changed = self._archive.add(designs, scores)
        self._rescale(scores)
        if len(self._codes) < self._chains:
            self._gather(codes, scores.objectives, violation, rng)
        else:
            self._anneal(codes, scores.objectives, violation, rng)
        self._told += len(designs)
        self._still = 0 if changed else self._still + 1

    def _rescale(self, scores: Scores) -> None:
        source = self._archive.objectives if self._archive.feasible and len(self._archive) > 1 else scores.objectives
        if self._archive.feasible and len(self._archive) > 1:
            self._low, self._high = source.min(axis=0), source.max(axis=0)
        else:
            self._low = np.minimum(self._low, source.min(axis=0))
            self._high = np.maximum(self._high, source.max(axis=0))

    def _gather(self, codes: Array, objectives: Array, violation: Array, rng: np.random.Generator) -> None:
        self._codes = np.concatenate([self._codes, codes])
        self._objectives = np.concatenate([self._objectives, objectives])
        self._violation = np.concatenate([self._violation, violation])
        if len(self._codes) < self._chains:
            return
        m = objectives.shape[1]
        weights = rng.dirichlet(np.ones(m), self._chains)
        weights[: min(m, self._chains)] = np.eye(m)[: self._chains] * 0.98 + 0.02 / m
        self._weights = weights
        best = [
            int(np.argmin(self._energy(self._objectives, self._violation, np.tile(w, (len(self._codes), 1)))))
            for w in weights
        ]
        self._codes, self._objectives, self._violation = (
            self._codes[best],
            self._objectives[best],
            self._violation[best],
        )

    def _anneal(self, codes: Array, objectives: Array, violation: Array, rng: np.random.Generator) -> None:
        c = self._chains
        for start in range(0, len(codes), c):
            part = slice(start, start + c)
            which = (self._told + np.arange(start, min(start + c, len(codes)))) % c
            self._one(which, codes[part], objectives[part], violation[part], rng)

    def _one(
        self, which: NDArray[np.intp], codes: Array, objectives: Array, violation: Array, rng: np.random.Generator
    ) -> None:
        o = self._options
        change = np.concatenate(
            [objectives - self._objectives[which], (violation - self._violation[which])[:, None]], axis=1
        )
        if o.momentum and self._layout.lanes:
            self._momentum.learn(self._codes[which], codes, change, self._layout.columns)
        w = self._weights[which]
        before = self._energy(self._objectives[which], self._violation[which], w)
        after = self._energy(objectives, violation, w)
        delta = after - before
        worse = delta[delta > 0]
        if self._t0 == 0.0 and len(worse):
            self._t0 = float(np.median(worse)) / np.log(1 / 0.8)
        frac = min(self._told / self._budget, 1.0)
        t = self._t0 * o.t_end**frac * self._heat
        accept = (delta <= 0) | (rng.random(len(delta)) < np.exp(-np.maximum(delta, 0) / max(t, 1e-300)))
        rows = which[accept]
        self._codes[rows], self._objectives[rows], self._violation[rows] = (
            codes[accept],
            objectives[accept],
            violation[accept],
        )
        if o.guidance and len(self._archive):
            go = np.flatnonzero(rng.random(len(which)) < o.guide_low + (o.guide_high - o.guide_low) * frac)
            self._return(which[go], rng)

    def _return(self, which: NDArray[np.intp], rng: np.random.Generator) -> None:
        a = self._archive
        pool = self._space.flatten(a.designs)
        for c in which:
            e = self._energy(a.objectives, a.violation, np.tile(self._weights[c], (len(a), 1)))
            best = int(np.argmin(e))
            self._codes[c], self._objectives[c], self._violation[c] = pool[best], a.objectives[best], a.violation[best]

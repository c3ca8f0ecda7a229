"""PGSAM: Pareto-guided simulated annealing with momentum.

A reconstruction, not the published algorithm: of arXiv 2602.06057v3 only the abstract, which names it, was in reach.
All constants, moves and the form of the momentum are ours. Many chains anneal at once, each along a Dirichlet
direction through the normalised objectives. Non-dominated designs go to an archive, to which chains return; moves
remember what they gained; temperatures fall geometrically over the budget. There is no reheating: it waited for the
archive to stand still, which never happened in earlier ablations.

What each part is worth is measured by ``bench/optimizers.py --ablations`` and told in docs/optimizers.md: momentum and
guidance carry the search.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.compiled import in_two
from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.abilities import Supports
from tradespace.search.contract import SearchView
from tradespace.search.dominance import gather
from tradespace.search.members import NO_CORNERS, Members
from tradespace_optimizers import pgsam_annealing as annealing
from tradespace_optimizers import pgsam_chains as chains
from tradespace_optimizers import pgsam_moves as moves
from tradespace_optimizers.pgsam_seen import Seen, freshen, places
from tradespace_optimizers.relaxation import relaxed_designs

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Rng = np.random.Generator

_BUDGET = 10_000  # designs that cooling spans where the budget is not a number of designs
_REMEMBERED = 1_000_000  # designs that are not asked again
_LIMIT = 50_000  # members
_LOOKS, _GLANCES = 1000, 300  # members that a returning chain looks at: a few chains, and many
_POOL = 4096  # rows of the pool of members before those that left are let go
_PLAIN = 8  # plain designs take at most an eighth of the budget
_MOST = 2048  # chains, where batches are large


@dataclass(frozen=True)
class PGSAMOptions:
    """Attributes:
    chains: 0 takes a fiftieth of the budget, between 16 and 40, for one objective between 8 and 40. Larger batches
        make more of them, up to 2,048.
    warm_start: "relaxation" prices the front of the chain structure first, where there is one; "none".
    momentum: choose reassignments by what they gained before.
    guidance: return to the archive, and copy stretches of its members.
    block_moves: set, shift and copy runs of entries.
    far_runs: while the archive is small beside ``chains``, most moves set runs of any length, screened by nothing: what
        lies beyond several worse moves is found in one. Not for one objective.
    returning: share of chains that return to the archive after a batch.
    turning: share of returning chains that take another direction first.
    screen: moves that are tried for a neighbour which remembered gains do not expect to be dominated; 1 takes any.
    corner: share of the weighted maximum in a chain's energy.
    momentum_rate, sharpness, tries, explore: learning rate; inverse temperature of the choice among ``tries`` random
        reassignments, in mean gains; share of uniform choices.
    end_temperature: last temperature over the first.
    """

    chains: int = 0
    warm_start: str = "relaxation"
    momentum: bool = True
    guidance: bool = True
    block_moves: bool = True
    far_runs: bool = True
    returning: float = 0.9
    turning: float = 1.0
    screen: int = 8
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
    supports: ClassVar[Supports] = Supports(batch="one move of every chain")

    def __init__(self, view: SearchView, options: PGSAMOptions) -> None:
        _check(options)
        self._view, self._space, self._options = view, view.space, options
        self._budget = view.evaluations or _BUDGET
        least = 16 if len(view.objectives) > 1 else 8  # chains that all look the same way may be fewer
        self._count = options.chains or int(np.clip(self._budget // 50, least, 40))
        self.batch = self._count
        self._layout = moves.layout_of(view.space)
        tries = options.tries if options.momentum else 1
        self._rules = moves.Rules(tries, options.sharpness, options.explore, screen=options.screen)
        self._shares = [moves.kinds(self._layout, block_moves=options.block_moves, guides=g) for g in (False, True)]
        plain = view.space.homogeneous()
        half = self._count // 2
        some = plain.take(_spaced(len(plain), max(self._budget // _PLAIN, half)))
        suggested = [] if view.suggestions is None else list(view.suggestions().values())
        few = some.take(_spaced(len(some), half))
        self._start = view.space.concat([*suggested, few])  # where the search begins, before random designs
        self._plain = some  # all are priced once chains have started
        m = len(view.objectives)
        self._members = Members(m, _LIMIT)
        self._pool: Array = np.empty((_POOL, view.space.width))  # codes of members, and of some that were
        self._where: Rows = np.empty(0, np.int64)  # row of each member there
        self._pooled = 0
        largest = int(self._layout.options.max(initial=1))
        self._effect: Array = np.zeros((view.space.width, largest, m + 1))  # what an option adds, up to a constant
        self._first: list[tuple[Array, Scores]] = []
        self._chains: chains.Chains | None = None
        self._queue = plain.take(slice(0, 0))  # plain and relaxed designs still to be priced
        self._low, self._high = np.full(m, np.inf), np.full(m, -np.inf)
        self._scale = chains.scale_of(self._members, np.zeros(m), np.ones(m), options.corner)
        self._seen = Seen(_REMEMBERED)
        self._told = self._turn = 0
        self._t0 = 0.0

    # -- ask ----------------------------------------------------------------------------------------------------------

    def ask(self, n: int, rng: Rng) -> Designs:
        if self._chains is None:
            first = self._start.take(slice(self._told, self._told + n))
            return self._space.concat([first, self._space.sample(n - len(first), rng)])
        warm = self._queue.take(slice(0, n))
        if len(warm) == n:
            return warm
        fresh = self._fresh(*self._proposed(self._chains, n - len(warm), rng), rng)
        return self._space.concat([warm, fresh]) if len(warm) else fresh

    def _proposed(self, now: chains.Chains, n: int, rng: Rng) -> tuple[Array, NDArray[np.uint64]]:
        o, front = self._options, self._members
        screens = o.screen > 1 and o.momentum
        guides = moves.Guides(self._effect, self._pool, self._where, front.corners if screens else NO_CORNERS)
        many = now.objectives.shape[1] > 1  # the front of one objective is always small
        far = (1.0 + len(front) / self._count) ** -2.0 if o.far_runs and many else 0.0
        shares = moves.reaching(self._shares[o.guidance and len(front) > 1], far)
        return moves.neighbours(
            self._layout, now.codes, now.objectives, shares, rng, n=n, turn=self._turn,
            slopes=self._scale.slopes(now.weights), guides=guides, rules=replace(self._rules, far=far),
        )  # fmt: skip

    def _fresh(self, codes: Array, digests: NDArray[np.uint64], rng: Rng) -> Designs:
        """The proposed designs; those asked before, or twice in this batch, get more random changes."""
        layout, n = self._layout, len(codes)
        again = np.empty(n, bool)
        free = slice(None) if layout.only_choices else slice(0, 0)
        seed = rng.integers(0, 1 << 63, dtype=np.uint64)
        freshen(
            seed, codes, layout.columns[free], layout.options[free], layout.keys, layout.real, self._seen.table,
            places(n), np.empty(1, np.uint64), again, digests,
        )  # fmt: skip
        designs = layout.designs(codes)
        if layout.only_choices:
            designs.__dict__["digest"] = digests  # what the cached property would hold
            return designs
        rows = np.flatnonzero(again)
        if not len(rows):
            return designs
        columns = {name: block.copy() for name, block in designs.columns.items()}
        moved = self._space.mutate(designs.take(rows), rng)
        for name, block in columns.items():
            block[rows] = moved.columns[name]
        return Designs(self._space, columns)

    # -- tell ---------------------------------------------------------------------------------------------------------

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        codes, digests = self._layout.codes(designs), designs.digest
        index = self._members.add(scores, digests)
        if index is not None:
            self._keep(codes, index)
        annealing.widen(scores.objectives, self._low, self._high)
        self._scale = chains.scale_of(self._members, self._low, self._high, self._options.corner)
        self._seen.add(digests)
        self._told += len(designs)
        if self._chains is None:
            self._gather(codes, scores, rng)
            return
        warm = min(len(self._queue), len(designs))
        self._queue = self._queue.take(slice(warm, None))
        if warm < len(designs):
            self._anneal(codes[warm:], scores.objectives[warm:], scores.violation[warm:], rng)

    def _keep(self, codes: Array, index: NDArray[np.int64]) -> None:
        """Codes of new members go to the pool; ``index`` as of `Members.add`."""
        new = np.flatnonzero(index < 0)
        if self._pooled + len(new) > len(self._pool):
            kept = self._where[index[index >= 0]]
            pool = np.empty((_POOL + 2 * len(index), codes.shape[1]))
            pool[: len(kept)] = self._pool[kept]
            place = np.zeros(self._pooled, np.int64)
            place[kept] = np.arange(len(kept))
            self._pool, self._where, self._pooled = pool, place[self._where], len(kept)
        rows = slice(self._pooled, self._pooled + len(new))
        self._pool[rows] = codes[-1 - index[new]]
        self._pooled = rows.stop
        at = np.empty(len(codes), np.int64)
        at[-1 - index[new]] = np.arange(rows.start, rows.stop)
        self._where = gather(self._where, at, index)

    def _gather(self, codes: Array, scores: Scores, rng: Rng) -> None:
        """Chains start once as many designs as chains are known; other plain and relaxed designs come next."""
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
        self._queue = self._plain.take(np.flatnonzero(~self._seen.holds(self._plain.digest)))
        if self._options.warm_start == "relaxation":
            relaxed = relaxed_designs(self._view, known, most=self._budget // 4)
            self._queue = self._space.concat([self._queue, relaxed])

    def _anneal(self, codes: Array, objectives: Array, violation: Array, rng: Rng) -> None:
        """Each row against the chain it belongs to."""
        now, o, members = self._chains, self._options, self._members
        assert now is not None
        if not self._t0:
            self._t0 = chains.first_temperature(now.deltas(self._turn, objectives, violation, self._scale))
        if o.momentum:
            annealing.learn_all(
                self._turn, codes, objectives, violation, now.codes, now.objectives, now.violation,
                self._layout.columns, self._effect, o.momentum_rate, np.empty(objectives.shape[1] + 1),
                np.empty(codes.shape[1], np.int64),
            )  # fmt: skip
        self._settle(now, codes, objectives, violation, rng.integers(0, 1 << 63, dtype=np.uint64))
        self._turn += len(codes)
        if not o.chains and len(codes) > len(now) < _MOST:
            more = chains.grown(now, min(len(codes), _MOST), self._pool[self._where], members, self._scale, rng)
            self._chains, self._turn = more, 0

    def _settle(self, now: chains.Chains, codes: Array, objectives: Array, violation: Array, seed: np.uint64) -> None:
        o, members, scale, temperature = self._options, self._members, self._scale, self._temperature()
        share = o.returning if o.guidance and len(members) else 0.0
        looks = _LOOKS if len(now) <= self._count else _GLANCES

        def work(lo: int, hi: int) -> None:
            annealing.settle(
                seed, lo, hi, self._turn, codes, objectives, violation, now.codes, now.objectives, now.violation,
                now.weights, scale.low, scale.span, scale.corner, scale.feasible, temperature, share, o.turning, looks,
                self._pool, self._where, members.now.columns, members.violation, np.empty(1, np.uint64),
                np.empty(objectives.shape[1]),
            )  # fmt: skip

        in_two(work, min(len(codes), len(now)))

    @property
    def _progress(self) -> float:
        return min(self._told / self._budget, 1.0)

    def _temperature(self) -> float:
        return float(self._t0 * self._options.end_temperature**self._progress)


def _spaced(count: int, most: int) -> Rows:
    """At most ``most`` of ``count`` rows, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def _check(o: PGSAMOptions) -> None:
    where = "options of pgsam"
    if o.warm_start not in ("relaxation", "none"):
        raise ProblemError("warm_start is 'relaxation' or 'none'", value=o.warm_start, where=where)
    shares = {"returning": o.returning, "turning": o.turning, "corner": o.corner, "explore": o.explore}
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise ProblemError(f"{name} is between 0 and 1", value=value, where=where)
    if (
        o.chains < 0
        or o.tries < 1
        or o.screen < 1
        or not 0.0 < o.end_temperature <= 1.0
        or not 0.0 < o.momentum_rate <= 1.0
    ):
        raise ProblemError(
            "chains >= 0, tries >= 1, screen >= 1, 0 < end_temperature <= 1, 0 < momentum_rate <= 1",
            value=o,
            where=where,
        )

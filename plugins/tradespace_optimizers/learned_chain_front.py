"""The front of a chain given as arrays: solved where nothing is limited, else searched on the arrays alone.

Label sets with capacities outgrow any budget (three objectives and three capacities over 24 entries keep a hundred
labels a state in a second, and find .83 of the hypervolume), while tens of thousands of designs priced on the arrays
take a second. Ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs, Space
from tradespace.problem import Metric, Prices, Problem
from tradespace.search.contract import Budget, SearchView
from tradespace.search.indicators import nondominated
from tradespace.search.labels import ChainArrays, label_front
from tradespace.search.loop import run
from tradespace_optimizers.learned_chain_model import Entries
from tradespace_optimizers.pgsam import PGSAM, PGSAMOptions

Array = NDArray[np.float64]
States = NDArray[np.intp]

_MODEL_DESIGNS = 40_000  # priced on the arrays: about a second and a half
_BATCH = 400


def front_states(entries: Entries, chain: ChainArrays, scale: Array, rng: np.random.Generator) -> States:
    """``(L, n)`` paths near or on the front. ``scale`` (M,): what objectives are compared with."""
    limits = open_limits(chain)
    if not limits:
        m = chain.objectives
        pair = None if chain.pair is None else chain.pair[..., :m]
        free = ChainArrays(chain.unary[..., :m], pair, chain.caps[:m], m)
        return label_front(free, merge="design", scale=scale, budget=free.label_budget()).states
    return searched(entries, chain, int(rng.integers(0, 2**31)))[0]


def searched(
    entries: Entries, chain: ChainArrays, seed: int, groups: tuple[int, ...] | None = None
) -> tuple[States, Array]:
    """Paths (L, n) and objectives (L, M) of the front that pgsam finds on the arrays, limits that cannot bind left
    out. ``groups``: how many of the chain's sums, in order, each objective is the largest of; one each by default."""
    keep = [*range(chain.objectives), *open_limits(chain)]
    pair = None if chain.pair is None else chain.pair[..., keep]
    arrays = ChainArrays(chain.unary[..., keep], pair, chain.caps[keep], chain.objectives)
    model = ChainModel(entries, arrays, groups or (1,) * chain.objectives)
    problem = Problem.of(model, [metric.name for metric in model.metrics])
    if model.space.size is not None and model.space.size <= _MODEL_DESIGNS:
        every = model.space.at(np.arange(model.space.size))
        scores = problem.score(every)
        rows = np.flatnonzero(scores.feasible)
        rows = rows[nondominated(scores.objectives[rows])]
        return entries.state(entries.codes(every.take(rows))), scores.objectives[rows]
    view = SearchView(model.space, problem.names, problem.repair, None, _MODEL_DESIGNS)
    pgsam = PGSAM(view, PGSAMOptions(warm_start="none"))
    front = run(problem, pgsam, Budget(_MODEL_DESIGNS), seed, name="model", batch=_BATCH)
    return entries.state(entries.codes(front.designs)), front.minimised


def open_limits(chain: ChainArrays) -> list[int]:
    """Columns of limits that some path breaks."""
    most = chain.unary.max(axis=1).sum(axis=0)
    if chain.pair is not None:
        most = most + chain.pair.max(axis=(1, 2)).sum(axis=0)
    return [k for k in range(chain.objectives, len(most)) if most[k] > chain.caps[k]]


@dataclass(frozen=True, eq=False)
class ChainModel:
    """An evaluator made of arrays: pure, fast."""

    entries: Entries
    chain: ChainArrays
    groups: tuple[int, ...]  # sums per objective, the largest counts

    @property
    def space(self) -> Space:
        return self.entries.space

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(f"f{m}", "1", "min", "sums over the chain") for m in range(len(self.groups)))

    def price(self, designs: Designs) -> Prices:
        state = self.entries.state(self.entries.codes(designs))
        place = np.arange(state.shape[1])
        total = self.chain.unary[place, state].sum(axis=1)
        if self.chain.pair is not None:
            total = total + self.chain.pair[place[:-1], state[:, :-1], state[:, 1:]].sum(axis=1)
        m = self.chain.objectives
        caps = self.chain.caps
        scale = np.where(caps > 0, caps, 1.0)  # capacities of the evaluator's own units become shares
        over = {f"limit{k}": (total[:, k] - caps[k]) / scale[k] for k in range(m, total.shape[1])}
        starts = np.cumsum((0, *self.groups[:-1]))
        largest = np.maximum.reduceat(total[:, :m], starts, axis=1)
        return Prices({f"f{k}": largest[:, k] for k in range(len(self.groups))}, over)

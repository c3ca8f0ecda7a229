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

_MODEL_DESIGNS, _THOROUGH = 40_000, 80_000  # priced on the arrays: half a second, a second
_NEIGHBOURS, _AT_ONCE = 120_000, 8_000  # of a front's designs, priced there in a third of a second; and in one call
_MANY = 4  # objectives
_BATCH = 400


def front_states(
    entries: Entries, chain: ChainArrays, scale: Array, rng: np.random.Generator, *, thorough: bool = False
) -> States:
    """``(L, n)`` paths near or on the front. ``scale`` (M,): what objectives are compared with. thorough: as of
    `searched`."""
    limits = open_limits(chain)
    if not limits:
        m = chain.objectives
        pair = None if chain.pair is None else chain.pair[..., :m]
        free = ChainArrays(chain.unary[..., :m], pair, chain.caps[:m], m)
        return label_front(free, merge="design", scale=scale, budget=free.label_budget()).states
    return searched(entries, chain, int(rng.integers(0, 2**31)), thorough=thorough)[0]


def searched(
    entries: Entries,
    chain: ChainArrays,
    seed: int,
    groups: tuple[int, ...] | None = None,
    *,
    thorough: bool = False,
) -> tuple[States, Array]:
    """Paths (L, n) and objectives (L, M) of the front that pgsam finds on the arrays, limits that cannot bind left
    out. ``groups``: how many of the chain's sums, in order, each objective is the largest of; one each by default.
    ``thorough``: twice as long, and then what is near the front; not from four objectives on, whose fronts are so large
    that this would take ten seconds."""
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
    thorough = thorough and len(model.groups) < _MANY
    designs = _THOROUGH if thorough else _MODEL_DESIGNS
    view = SearchView(model.space, problem.names, problem.repair, None, designs)
    pgsam = PGSAM(view, PGSAMOptions(warm_start="none"))
    front = run(problem, pgsam, Budget(designs), seed, name="model", batch=_BATCH)
    state = entries.state(entries.codes(front.designs))
    if thorough and len(front):
        return polished(model, state, front.minimised, np.random.default_rng(seed))
    return state, front.minimised


def polished(model: ChainModel, state: States, values: Array, rng: np.random.Generator) -> tuple[States, Array]:
    """Pareto local search (Paquete, Chiarandini, Stuetzle 2004) from a front: members whose neighbours were not priced
    yet, evenly spaced, until there are none or enough was priced. Neighbours: one entry in another state, and as many
    random exchanges of two entries."""
    done = np.zeros(len(state), bool)
    each = 2 * state.shape[1] * (model.entries.states - 1)
    left = _NEIGHBOURS
    while left > 0 and not done.all():
        open_ = np.flatnonzero(~done)
        rows = open_[np.linspace(0, len(open_) - 1, min(len(open_), max(_AT_ONCE // each, 1))).astype(np.intp)]
        done[rows] = True
        near = _neighbours(state[rows], model.entries.states, rng)
        left -= len(near)
        priced, over = model.values(near)
        near, priced = near[(over <= 0.0).all(axis=1)], priced[(over <= 0.0).all(axis=1)]
        both = np.concatenate([values, priced])
        keep = np.flatnonzero(nondominated(both))
        keep = keep[np.unique(both[keep], axis=0, return_index=True)[1]]
        state, values = np.concatenate([state, near])[keep], both[keep]
        done = np.concatenate([done, np.zeros(len(near), bool)])[keep]
    return state, values


def _neighbours(state: States, states: int, rng: np.random.Generator) -> States:
    count, n = state.shape
    changed = np.repeat(state, n * (states - 1), axis=0)
    place = np.tile(np.repeat(np.arange(n), states - 1), count)
    step = np.tile(np.arange(1, states), n * count)
    row = np.arange(len(changed))
    exchanged = changed.copy()
    changed[row, place] = (changed[row, place] + step) % states
    other = rng.integers(0, n, len(row))
    exchanged[row, place], exchanged[row, other] = exchanged[row, other], exchanged[row, place].copy()
    moved = exchanged[row, place] != exchanged[row, other]
    return np.concatenate([changed, exchanged[moved]])


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

    def values(self, state: States) -> tuple[Array, Array]:
        """``(N, M)`` objectives, and by how much each limit is broken, as a share of it."""
        place = np.arange(state.shape[1])
        total = self.chain.unary[place, state].sum(axis=1)
        if self.chain.pair is not None:
            total = total + self.chain.pair[place[:-1], state[:, :-1], state[:, 1:]].sum(axis=1)
        m = self.chain.objectives
        caps = self.chain.caps[m:]
        scale = np.where(caps > 0, caps, 1.0)  # capacities of the evaluator's own units become shares
        starts = np.cumsum((0, *self.groups[:-1]))
        return np.maximum.reduceat(total[:, :m], starts, axis=1), (total[:, m:] - caps) / scale

    def price(self, designs: Designs) -> Prices:
        values, over = self.values(self.entries.state(self.entries.codes(designs)))
        limits = {f"limit{k}": over[:, k] for k in range(over.shape[1])}
        return Prices({f"f{k}": values[:, k] for k in range(len(self.groups))}, limits)

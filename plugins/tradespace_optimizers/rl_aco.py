"""Reinforcement learning and an ant colony in one optimizer, for assignments and orders.

The publication (arXiv 2508.04334) says that a policy-gradient agent and an ant colony work together and not how, so the
four ways the field knows are options (`coupling`); everything here is ours or cited where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.schedules_structure import MINIMISED, TaskStructure
from tradespace.designs import Designs
from tradespace.errors import ProblemError, UnknownName
from tradespace.problem import Scores
from tradespace.search.abilities import Supports
from tradespace.search.archive import Archive
from tradespace.search.contract import SearchView
from tradespace_optimizers.rl_aco_colony import Lane, Trails, build, lanes_of, rebuilt, reinsert
from tradespace_optimizers.rl_aco_directions import directions, tchebycheff
from tradespace_optimizers.rl_aco_policy import Policy, advantages, choice_gradient, order_gradient
from tradespace_optimizers.schedule_annealing import Annealing, effort_of, heat_at

Array = NDArray[np.float64]
Rng = np.random.Generator
COUPLINGS = ("learned-heuristic", "mixture", "pheromone-prior", "two-timescale")
CHAINS = 8
"""Most lines of search side by side where there is one objective; few for a small budget or a large design (ours)."""
OTHER = 0.25
"""Share of ants that start from any member of the archive instead of the best of their direction (ours)."""
LENIENT = (0.1, 0.3)
"""Chance at the start that a chain follows ants that are all worse: the only chain, one of several (ours)."""
PACE, HURRIED = 20, 128
"""By the clock alone a batch grows to this share of what was told, to so many ants: small ones cost their overhead."""
SLOW = 5
"""Two time-scales: of so many batches one is built by the colony, the others by the policy alone."""


@dataclass(frozen=True)
class RLACOOptions:
    """coupling: "learned-heuristic" (the policy is the ants' eta; DeepACO, Ye et al. 2023), "mixture" (each decision is
    the policy's with probability mu, falling from 0.9 to 0.3 over the budget), "pheromone-prior" (the policy alone for
    the first tenth, then its probabilities become the trails and it imitates the best ants), "two-timescale" (policy in
    most batches, the colony rebuilds now and then).
    learner, colony: False switches that half off ("ACO only", "RL only").
    ants: designs per batch; 0: 32, or 16 where the budget is small for the size of a design; by the clock alone up to
    128 later.
    alpha, beta: exponents of trail and policy. rho: how far trails move per batch.
    rebuild: ants take over most of a good design and rebuild a part; False builds every design from nothing.
    suggestions: start from the evaluator's constructive plans.
    polish: where the evaluator declares its task graph, each batch begins with the colony's best, annealed by moves
    around the critical path (`schedule_search`; what ant systems call daemon actions).
    learning_rate, entropy, clip, decay: of AdamW.
    patience: batches without progress after which the trails are reset.
    """

    coupling: str = "learned-heuristic"
    learner: bool = True
    colony: bool = True
    ants: int = 0
    alpha: float = 1.0
    beta: float = 0.5
    rho: float = 0.1
    rebuild: bool = True
    suggestions: bool = True
    polish: bool = True
    learning_rate: float = 0.02
    entropy: float = 0.01
    clip: float = 1.0
    decay: float = 0.01
    patience: int = 40


class RLACO:
    """Ants with pheromone trails and a heuristic that a policy gradient learns: assignments and orders.

    State: archive, trails and policies, all changed by `tell` alone. Ant i of a batch follows a direction that is
    known from i and the number of batches told, so a tell knows what each row was for.
    """

    Options: ClassVar[type] = RLACOOptions
    supports: ClassVar[Supports] = Supports(("Choice", "Permutation"), batch="one design an ant", conditions=False)

    def __init__(self, view: SearchView, options: RLACOOptions) -> None:
        if options.coupling not in COUPLINGS:
            raise UnknownName("coupling", options.coupling, COUPLINGS, where="optimizer rl_aco")
        if not (options.learner or options.colony) or options.ants < 0:
            raise ProblemError("rl_aco needs a learner or a colony, and ants", where="optimizer rl_aco")
        self._space, self._options = view.space, options
        self._lanes = lanes_of(view.space)
        self._budget = view.evaluations or 10_000
        objectives = len(view.objectives)
        self._directions = directions(objectives)
        self._active = 1 if objectives == 1 else 4  # directions at work in one batch
        plans = list(view.suggestions().values()) if view.suggestions and options.suggestions else []
        plain = view.space.homogeneous().take(slice(0, 16))
        self._start = view.repair(view.space.concat([*plans, plain])) if options.colony else plain.take(slice(0, 0))
        self._policies = [Policy(objectives, features(lane, plans), options.learning_rate, options.decay, options.clip)
                          for lane in self._lanes]  # fmt: skip
        self._trails = [Trails(objectives, lane, options.rho) for lane in self._lanes]
        self._archive = Archive(view.space, objectives, limit=400)
        self._elite: NDArray[np.intp] = np.zeros(len(self._directions), np.intp)  # rows of the archive
        width = sum(lane.width for lane in self._lanes)
        self._many = int(np.clip(self._budget / (20 * width), 1, CHAINS)) if objectives == 1 else 1
        self._ants = options.ants or (16 if objectives == 1 and self._many == 1 else 32)
        self._grows = not options.ants and view.evaluations is None and view.seconds is not None
        self._chains: Designs | None = None  # what each chain stands at (one objective: an archive of one is too few)
        self._costs: Array = np.full((self._many, 2), np.inf)  # violation, objective of each chain
        self._repair, self._seen = view.repair, set[int]()
        tasks = view.structure.tasks if view.structure is not None else None
        polish = options.polish and options.colony and tasks is not None and set(view.objectives) <= set(MINIMISED)
        self._polisher = _Polisher(tasks, view) if polish and tasks is not None else None
        self._polished = view.space.homogeneous().take(slice(0, 0))
        self._told, self._batches, self._idle, self._primed = 0, 0, 0, False

    @property
    def batch(self) -> int:
        """Designs it likes to be asked for now."""
        return max(self._ants, min(self._told // PACE, HURRIED)) if self._grows else self._ants

    # -- asking -------------------------------------------------------------------------------------------------------

    def ask(self, n: int, rng: Rng) -> Designs:
        start = self._start.take(slice(self._told, self._told + n))
        if not len(start):
            start = self._polished.take(slice(0, n))
        count = n - len(start)
        if not count:
            return start
        group = self._group(count, len(start))
        weights = self._directions[np.unique(group)]
        group = np.searchsorted(np.unique(group), group)
        fresh, forced = self._plan(count, rng)
        base = self._base(count, len(start), rng)
        columns: dict[str, Any] = {}
        for i, lane in enumerate(self._lanes):
            colony, policy, mu = self._tables(i, weights)
            codes = base.columns[lane.name].astype(np.int32)
            out = build(lane, colony, policy, mu, group, codes, fresh[i], forced[i], rng)
            if lane.ordered and self._options.rebuild:
                same = np.flatnonzero((out == codes).all(axis=1) & fresh[i].any(axis=1))
                half = np.flatnonzero(fresh[i].any(axis=1) & (rng.random(count) < 0.5) & (len(self._archive) > 0))
                out[half] = codes[half]
                reinsert(out, np.union1d(same, half), colony[0], lane, rng)
            columns[lane.name] = out
        return self._space.concat([start, self._new(self._repair(self._space.designs(columns)), rng)])

    def _new(self, designs: Designs, rng: Rng) -> Designs:
        """Designs that were told already, or stand twice in the batch, are changed a little, three times at most."""
        for attempt in range(3):
            digests = designs.digest.tolist()
            rows: list[int] = []
            batch: set[int] = set()
            for row, digest in enumerate(digests):
                if digest in self._seen or digest in batch:
                    rows.append(row)
                batch.add(digest)
            if not rows:
                break
            rate = (attempt + 1.5) / self._space.width
            moved = self._repair(self._space.mutate(designs.take(np.array(rows)), rng, min(rate, 1.0)))
            keep = np.arange(len(designs))
            keep[rows] = len(designs) + np.arange(len(rows))
            designs = self._space.concat([designs, moved]).take(keep)
        return designs

    def _group(self, n: int, first: int = 0) -> NDArray[np.intp]:
        """Direction of each of ``n`` rows of the coming batch, from row ``first`` on."""
        turn = np.arange(first, first + n) % self._active
        return np.asarray((self._batches * self._active + turn) % len(self._directions))

    def _plan(self, n: int, rng: Rng) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.intp]]]:
        """What each ant builds anew, per variable, and one entry of it that must change (assignments)."""
        whole = rng.random((n, 1)) < (0.1 if self._options.rebuild and len(self._archive) else 2.0)
        whole |= not self._options.colony
        only = rng.integers(0, len(self._lanes), (n, 1))
        several = rng.random((n, 1)) < 0.2
        fresh, forced = [], []
        for i, lane in enumerate(self._lanes):
            mask = rebuilt(lane.width, n, rng, 2 if lane.ordered else 1) & ((only == i) | several)
            entry = np.argmax(rng.random(mask.shape) * mask, axis=1)
            fresh.append(np.ascontiguousarray(mask | whole))
            forced.append(np.where(mask.any(axis=1) & ~whole[:, 0], entry, -1))
        return fresh, forced

    def _base(self, count: int, first: int, rng: Rng) -> Designs:
        """The design each ant starts from: the best of its direction (one objective: of its chain), or for one in four
        any of the archive."""
        if not len(self._archive):
            return self._space.sample(count, rng)
        other = rng.integers(0, len(self._archive), count)
        rows = np.where(rng.random(count) < OTHER, other, self._elite[self._group(count, first)])
        if self._chains is None:
            return self._archive.designs.take(rows)
        pool = self._space.concat([self._archive.designs, self._chains])
        chain = len(self._archive) + np.arange(first, first + count) % self._many
        return pool.take(np.where(rng.random(count) < 0.9, chain, rows))

    def _tables(self, i: int, weights: Array) -> tuple[Array, Array, float]:
        """(weights of the colony, of the policy, share of decisions that are the policy's), (D, rows, k) each."""
        o, lane = self._options, self._lanes[i]
        logits = self._policies[i].logits(weights)
        if not o.colony:
            return self._spread(lane, logits), self._spread(lane, logits), 0.0
        trail = o.alpha * self._trails[i].log(weights)
        if not o.learner:
            return np.exp(trail), np.exp(trail), 0.0
        policy = self._spread(lane, logits)
        both = np.exp(trail + o.beta * (logits if not lane.ordered else np.log(policy)))
        if o.coupling == "mixture":
            return np.exp(trail), policy, 0.9 - 0.6 * min(1.0, self._told / self._budget)
        if o.coupling == "pheromone-prior":
            return (np.exp(trail) if self._primed else policy), policy, 0.0
        if o.coupling == "two-timescale" and self._batches % SLOW:
            return policy, policy, 0.0
        return both, policy, 0.0

    @staticmethod
    def _spread(lane: Lane, logits: Array) -> Array:
        """Weights from logits; an order's one row holds for all bands."""
        weights = np.exp(logits)
        return np.ascontiguousarray(np.repeat(weights, lane.rows, axis=1) if lane.ordered else weights)

    # -- telling ------------------------------------------------------------------------------------------------------

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        group = self._group(len(designs))
        changed = self._archive.add(designs, scores)
        if self._directions.shape[1] == 1:  # the archive of one objective is one design
            self._move_chains(designs, scores, rng)
        self._choose_elites()
        if self._options.learner:
            self._learn(designs, scores, group)
        if self._options.colony:
            self._deposit()
        self._idle = 0 if changed else self._idle + 1
        if self._idle >= self._options.patience:
            self._idle = 0
            for trails in self._trails:
                trails.restart()
        self._seen.update(designs.digest.tolist())
        self._told, self._batches = self._told + len(designs), self._batches + 1
        if self._polisher is not None:
            self._polished = self._polish(self._polisher, len(designs), rng)

    def _polish(self, polisher: _Polisher, spent: int, rng: Rng) -> Designs:
        """The chains, or the best of the directions whose turn it is, annealed as long as ``spent`` designs are worth;
        only what was never told."""
        if self._chains is not None:
            stands, group = self._chains, np.zeros(len(self._chains), np.intp)
        else:
            group = self._group(self._active)
            stands = self._archive.designs.take(self._elite[group])
        found = polisher.polished(stands, self._archive.objectives, self._directions[group], spent, self._told, rng)
        fresh = [row for row, digest in enumerate(found.digest.tolist()) if digest not in self._seen]
        return found.take(np.asarray(fresh, np.intp))

    def _move_chains(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        """Each chain goes to the best of its ants if that is no worse, now and then if it is; a chain far behind the
        best starts again from there."""
        keys = np.stack([scores.violation, scores.objectives[:, 0]], axis=1)
        rows = np.arange(len(designs))
        chains = self._chains if self._chains is not None else designs.take(rows[: self._many] % len(designs))
        if len(chains) < self._many:
            chains = chains.take(np.arange(self._many) % len(chains))
        pick, costs = np.arange(self._many), self._costs.copy()
        lenient = rng.random(self._many) < LENIENT[self._many > 1] * max(0.0, 1.0 - self._told / self._budget)
        for c in range(self._many):
            mine = rows[rows % self._many == c]
            if not len(mine):
                continue
            best = mine[np.lexsort((keys[mine, 1], keys[mine, 0]))[0]]
            if tuple(keys[best]) <= tuple(costs[c]) or lenient[c]:
                pick[c], costs[c] = self._many + best, keys[best]
        last, first = np.lexsort((costs[:, 1], costs[:, 0]))[[-1, 0]]
        if self._batches % self._options.patience == self._options.patience - 1:
            pick[last], costs[last] = pick[first], costs[first]
        self._chains, self._costs = self._space.concat([chains, designs]).take(pick), costs

    def _scaled(self, objectives: Array) -> Array:
        """Objectives in units of the archive's range, from its best on; finite whatever they were."""
        best, worst = self._archive.objectives.min(axis=0), self._archive.objectives.max(axis=0)
        span = np.where(worst > best, worst - best, np.maximum(np.abs(best), 1e-300))
        return np.asarray(((objectives - best) / span).clip(-1e12, 1e12))

    def _choose_elites(self) -> None:
        a = self._archive
        if not a.feasible:
            self._elite = np.full(len(self._directions), int(np.argmin(a.violation)), np.intp)
            return
        self._elite = np.argmin(tchebycheff(self._scaled(a.objectives), self._directions), axis=0)

    def _learn(self, designs: Designs, scores: Scores, group: NDArray[np.intp]) -> None:
        o = self._options
        cost = tchebycheff(self._scaled(scores.objectives), self._directions)[np.arange(len(group)), group]
        rivals = group if self._many == 1 else np.arange(len(group)) % self._many
        gain = advantages(cost, scores.violation, rivals) / len(group)
        imitate = 0.1 if o.coupling in ("pheromone-prior", "two-timescale") and self._primed else 0.0
        used = np.unique(group)
        for lane, policy in zip(self._lanes, self._policies, strict=True):
            logits = policy.logits(self._directions[used])
            codes = designs.columns[lane.name].astype(np.intp)
            elite = self._archive.designs.columns[lane.name].astype(np.intp)
            total = np.zeros_like(policy.table)
            for d, direction in enumerate(used.tolist()):
                rows = group == direction
                told = np.concatenate([codes[rows], elite[[self._elite[direction]]]])
                credit = np.append(gain[rows], imitate / len(used))
                total += self._directions[direction][:, None, None] * self._slope(lane, logits[d], told, credit)
            policy.learn(total)

    def _slope(self, lane: Lane, logits: Array, codes: NDArray[np.intp], gain: Array) -> Array:
        weights = np.exp(logits)
        if lane.ordered:
            return order_gradient(weights[0], codes, gain)
        return choice_gradient(weights / weights.sum(axis=1, keepdims=True), codes, gain, self._options.entropy / 10)

    def _deposit(self) -> None:
        """Only members of the archive deposit: the best of every direction, as much as its weight for an objective."""
        if self._options.coupling == "pheromone-prior" and self._options.learner and not self._primed:
            if self._told < 0.1 * self._budget:
                return
            self._prime()
        self._primed = True
        for lane, trails in zip(self._lanes, self._trails, strict=True):
            codes = self._archive.designs.columns[lane.name][self._elite].astype(np.intp)
            for m in range(self._directions.shape[1]):
                trails.deposit(m, lane.place(codes, self._directions[:, m]))

    def _prime(self) -> None:
        """Trails proportional to the policy: tau = tau0 x n x pi, the largest of a row 1."""
        unit = np.eye(self._directions.shape[1])
        for lane, policy, trails in zip(self._lanes, self._policies, self._trails, strict=True):
            trails.tau[:] = self._spread(lane, policy.logits(unit)).clip(lane.least, 1.0)


class _Polisher:
    """Schedules annealed for the colony."""

    def __init__(self, tasks: TaskStructure, view: SearchView) -> None:
        self._tasks, self._view = tasks, view
        self._annealing, self._effort = Annealing(tasks, view.objectives), effort_of(tasks)
        self._budget = view.evaluations or 10_000

    def polished(self, stands: Designs, known: Array, weights: Array, spent: int, told: int, rng: Rng) -> Designs:
        """What each design becomes towards its ``weights`` (N, M); ``known`` (K, M) objectives scale them."""
        heat = np.full(max(spent * self._effort // len(stands), 1), heat_at(told / self._budget, self._tasks))
        found = []
        for order, node, towards in zip(*self._tasks.arrays(stands), weights, strict=True):
            self._annealing.aim(known, towards)
            found.append(self._annealing.run(order, node, heat, rng)[2:])
        orders, nodes = (np.stack(part) for part in zip(*found, strict=True))
        return self._view.repair(self._tasks.designs(self._view.space, orders, nodes))


def features(lane: Lane, plans: list[Designs]) -> Array:
    """``(rows, k, F)``: 1 where a plan assigns the entry so; for orders how early a plan has the thing, -1 to 1."""
    rows = 1 if lane.ordered else lane.rows
    out = np.zeros((rows, lane.options, len(plans)))
    for f, plan in enumerate(plans):
        row = plan.columns[lane.name][0].astype(np.intp)
        if lane.ordered:
            out[0, row, f] = 1.0 - 2.0 * np.arange(lane.width) / max(lane.width - 1, 1)
        else:
            out[np.arange(lane.width), row, f] = 1.0
    return out


@dataclass(frozen=True)
class ACOOptions(RLACOOptions):
    """The options of `RLACOOptions` with the learner off."""

    learner: bool = False


class ACO(RLACO):
    """The colony alone: max-min ants without a learned heuristic."""

    Options: ClassVar[type] = ACOOptions


@dataclass(frozen=True)
class ReinforceOptions(RLACOOptions):
    """The options of `RLACOOptions` with the colony off."""

    colony: bool = False


class Reinforce(RLACO):
    """The learner alone: policy gradient on designs drawn from the policy (Williams 1992)."""

    Options: ClassVar[type] = ReinforceOptions

"""What the evolutionary searches share: everything told, who is better in which direction, and children nobody saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.problem import Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import SearchView
from tradespace_optimizers.nas_evolution_model import Additive

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

KEPT = 20_000  # told designs that may still become parents
TCHEBYCHEFF = 0.7  # share of the worst objective in a direction's value, the rest is the weighted sum
TRUSTED = 0.3  # correlation on held-out designs above which predictions rank children
ENDS = 0.1  # share of directions along one objective alone
DOUBT = 2  # with several objectives every so many slots take children as they come: a front has parts that no sum shows


class Pool:
    """Told designs, oldest first, and the non-dominated ones. State comes from tells alone."""

    def __init__(self, view: SearchView) -> None:
        self.view, self.space = view, view.space
        m = len(view.objectives)
        self.archive = Archive(view.space, m)
        self.model = Additive(view.space, m)
        self.told = 0
        self.codes: Array = np.empty((0, view.space.width))
        self.objectives: Array = np.empty((0, m))
        self.violation: Array = np.empty(0)
        self._seen: set[int] = set()

    def tell(self, designs: Designs, scores: Scores) -> bool:
        """Take a batch in; True if the front changed."""
        changed = self.archive.add(designs, scores)
        self.model.tell(designs, scores)
        self.codes = np.concatenate([self.codes, self.space.flatten(designs)])[-KEPT:]
        self.objectives = np.concatenate([self.objectives, scores.objectives])[-KEPT:]
        self.violation = np.concatenate([self.violation, scores.violation])[-KEPT:]
        self._seen.update(designs.digest.tolist())
        self.told += len(designs)
        return changed

    @property
    def exhausted(self) -> bool:
        """Whether every design of the space was told."""
        return self.space.size is not None and len(self._seen) >= self.space.size

    def directions(self, n: int, rng: np.random.Generator) -> Array:
        """(n, M) weights: uniform on the simplex, some one objective alone, without which fronts lack their ends."""
        m = self.objectives.shape[1]
        weights = np.asarray(rng.dirichlet(np.ones(m), n))
        if m > 1:
            ends = np.flatnonzero(rng.random(n) < ENDS)
            weights[ends] = np.eye(m)[rng.integers(0, m, len(ends))]
        return weights

    def value(self, weights: Array, objectives: Array, violation: Array) -> Array:
        """How bad designs are in directions, smaller is better: (n, N) for (n, M) weights and (N, M) objectives, or
        (n, c) for (n, c, M). Infeasible designs come after all feasible ones, by violation."""
        low, span = self._range()
        scaled = np.clip((objectives - low) / span, -1e6, 1e6)
        worst = total = weights[:, :1] * scaled[..., 0]
        for m in range(1, weights.shape[1]):  # reductions over an axis of two or three are slow
            part = weights[:, m : m + 1] * scaled[..., m]
            worst, total = np.maximum(worst, part), total + part
        total = TCHEBYCHEFF * worst + (1 - TCHEBYCHEFF) * total
        return np.asarray(np.where(violation > 0, 1e7 + np.minimum(violation, 1e6) * 1e3 + total * 1e-6, total))

    def _range(self) -> tuple[Array, Array]:
        good = self.archive.objectives if self.archive.feasible and len(self.archive) > 1 else self.objectives
        low = good.min(axis=0)
        span = good.max(axis=0) - low
        return low, np.where((span > 0) & np.isfinite(span), span, 1.0)

    def fresh(
        self, n: int, rng: np.random.Generator, breed: Callable[[int], Designs], weights: Array | None, tries: int
    ) -> Designs:
        """``n`` repaired designs that were never told, each the most promising of up to ``tries`` from ``breed``.

        ``breed(k)`` gives k children, child i for slot i modulo n. Where nothing new turns up, a random unseen design
        takes the slot; where none is found, an old one does. None at all: the space is exhausted.
        """
        if self.exhausted:
            return self.space.homogeneous().take(slice(0, 0))
        children = self.view.repair(breed(n * tries))
        digest = children.digest
        known = np.fromiter((d in self._seen for d in digest.tolist()), bool, len(digest))
        rank = self._promise(children, weights, n, tries)
        rank[known.reshape(tries, n).T] = np.inf
        order = np.argsort(rank, axis=1, kind="stable")
        chosen, taken, empty = np.zeros(n, np.intp), set[int](), []
        for slot in range(n):
            for k in order[slot]:
                row = int(k) * n + slot
                if np.isfinite(rank[slot, k]) and int(digest[row]) not in taken:
                    chosen[slot] = row
                    taken.add(int(digest[row]))
                    break
            else:
                empty.append(slot)
        found = children.take(chosen)
        return self._filled(found, np.asarray(empty, np.intp), taken, rng) if empty else found

    def _promise(self, children: Designs, weights: Array | None, n: int, tries: int) -> Array:
        """(n, tries) predicted value of each child in its slot's direction; the order of birth without a prediction."""
        birth = np.tile(np.arange(tries, dtype=np.float64), (n, 1))
        expected = self.model.predict(children) if weights is not None and tries > 1 else None
        if expected is None or weights is None:
            return birth
        objectives, violation = expected
        m = objectives.shape[1]
        trusted = self.model.trust[:m] > TRUSTED
        if not trusted.any():
            return np.asarray(birth + 1e3 * (violation.reshape(tries, n).T > 0))
        objectives = np.where(trusted, objectives, self._range()[0])
        shaped = objectives.reshape(tries, n, m).transpose(1, 0, 2)
        rank = self.value(weights, shaped, violation.reshape(tries, n).T)
        if m > 1:
            rank[::DOUBT] = birth[::DOUBT]
        return rank

    def _filled(self, found: Designs, empty: Rows, taken: set[int], rng: np.random.Generator) -> Designs:
        """``found`` with random unseen designs in the empty slots, as far as they turn up."""
        spare = self.view.repair(self.space.sample(4 * len(empty) + 8, rng))
        first = np.sort(np.unique(spare.digest, return_index=True)[1])
        fresh = [i for i in first.tolist() if int(spare.digest[i]) not in self._seen | taken]
        keep = np.setdiff1d(np.arange(len(found)), empty)
        parts = [found.take(keep), spare.take(np.asarray(fresh[: len(empty)], np.intp))]
        both = self.space.concat(parts)
        return both if len(both) else spare.take(slice(0, 1))


def start(pool: Pool, n: int, population: int, rng: np.random.Generator) -> Designs:
    """The first designs: the evaluator's suggestions and a spread of the plain ones (a fifth of the population at most,
    so that it does not begin as a clan), then random ones."""
    space, told = pool.space, pool.told
    named = pool.view.suggestions() if pool.view.suggestions is not None else {}
    plain = space.homogeneous()
    some = np.unique(np.linspace(0, len(plain) - 1, max(2, population // 5)).astype(np.intp))
    first = space.concat([*(d.take(slice(0, 1)) for d in named.values()), plain.take(some)]).take(slice(told, told + n))
    return space.concat([first, space.sample(n - len(first), rng)])

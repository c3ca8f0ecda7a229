"""Why nothing is feasible: which constraint binds, how far it must be relaxed, and which plan comes nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Designs
from tradespace.errors import TradespaceError
from tradespace.problem import Constraint, Problem, Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import rng

_BATCHES, _BATCH = 16, 128
_NUDGES = (0.0, 1e-6, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class Relaxation:
    """One way out: texts to put in place of constraints (or sentences about the evaluator's own limits), the total
    relative amount, and the design that then is feasible."""

    changes: tuple[str, ...]
    amount: float
    design: Designs


@dataclass(frozen=True)
class Diagnosis:
    """What stands in the way of a feasible design, as far as this search has seen.

    Attributes:
        binding: name of the violation that no design met, else of the one that is broken most in the nearest design.
        alone: per constraint whose relaxation alone is enough, the smallest one found.
        together: the smallest total relaxation found.
        nearest: the designs of least total violation (K), with their scores.
    """

    binding: str
    alone: tuple[Relaxation, ...]
    together: Relaxation
    nearest: Designs
    nearest_scores: Scores

    @property
    def text(self) -> str:
        lines = [f"No feasible design was found; '{self.binding}' binds."]
        lines += [f"Enough on its own: {r.changes[0]}" for r in self.alone]
        if len(self.together.changes) > 1 or not self.alone:
            lines.append(f"Smallest total relaxation found: {', '.join(self.together.changes)}")
        lines.append(f"Nearest plan: {self.together.design.ids[0][:8]}")
        return "\n".join(lines)


class Relaxations:
    """Keeps, per violation, the least amount seen in designs that break nothing else. Forgets once one is feasible."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._alone: dict[int, tuple[float, Designs]] = {}
        self._least: NDArray[np.float64] | None = None  # per violation, over all designs
        self.done = False

    def add(self, designs: Designs, scores: Scores) -> None:
        if self.done or not scores.violations.shape[1]:
            return
        if scores.feasible.any():
            self.done = True
            self._alone.clear()
            return
        violations = scores.violations
        least = violations.min(axis=0)
        self._least = least if self._least is None else np.minimum(self._least, least)
        broken = violations > 0
        single = broken.sum(axis=1) == 1
        for k in np.flatnonzero(broken[single].any(axis=0)).tolist():
            rows = np.flatnonzero(single & broken[:, k])
            best = rows[np.argmin(violations[rows, k])]
            amount = float(violations[best, k])
            if k not in self._alone or amount < self._alone[k][0]:
                self._alone[k] = (amount, designs.take(slice(best, best + 1)))

    def refine(self, archive: Archive, seed: int) -> None:
        """A short search (2,048 designs) of its own with the violations as objectives, from the least violating
        designs: it makes the relaxations found small, and may find a feasible design after all."""
        if self.done or archive.scores is None:
            return
        problem, known = self._problem, Archive(self._problem.space, archive.scores.violations.shape[1])
        known.add(archive.designs, _as_objectives(archive.scores))
        for amount, design in self._alone.values():
            if amount > 0:
                known.add(design, _as_objectives(problem.score(design)))
        for batch in range(_BATCHES):
            if self.done:
                return
            random = rng(seed, batch, "probe")
            parents = known.designs.take(random.integers(0, len(known), _BATCH))
            designs = problem.repair(problem.space.mutate(parents, random))
            scores = problem.score(designs)
            archive.add(designs, scores)
            known.add(designs, _as_objectives(scores))
            self.add(designs, scores)

    def diagnosis(self, nearest: Designs, scores: Scores) -> Diagnosis:
        """From the least violating designs and their scores."""
        order = np.lexsort((nearest.digest, scores.violation))
        nearest, scores = nearest.take(order), scores.take(order)
        names = self._problem.violation_names(scores.prices)
        first = scores.violations[0]
        together = self._relax(first, names, nearest.take(slice(0, 1)))
        alone = []
        for k, (amount, design) in sorted(self._alone.items(), key=lambda item: item[1][0]):
            row = np.where(np.arange(len(names)) == k, amount, 0.0)
            alone.append(self._relax(row, names, design))
        least = first if self._least is None else self._least
        binding = names[int(np.argmax(least))] if (least > 0).any() else names[int(np.argmax(first))]
        return Diagnosis(binding, tuple(alone), together, nearest, scores)

    def _relax(self, violations: NDArray[np.float64], names: Sequence[str], design: Designs) -> Relaxation:
        constraints: dict[int, Constraint] = dict(
            enumerate(self._problem.constraints, start=len(names) - len(self._problem.constraints))
        )
        changes = [
            self._text(constraints[k], float(violations[k]), design)
            if k in constraints
            else f"{names[k]} must give way by {violations[k]:.2%}"
            for k in np.flatnonzero(violations > 0).tolist()
        ]
        return Relaxation(tuple(changes), float(np.maximum(violations, 0).sum()), design)

    def _text(self, constraint: Constraint, violation: float, design: Designs) -> str:
        """The relaxed constraint as text that the design really meets when the text is read back: rounding in the
        shown number is pushed to the loose side."""
        prices = self._problem.price(design)
        text = constraint.relaxed(violation)
        for nudge in _NUDGES:
            text = constraint.relaxed(violation + nudge * (1.0 + violation))
            try:
                read = Problem.of(self._problem.evaluator, self._problem.names[:1], [text]).constraints[0]
            except TradespaceError:
                continue
            if read.violation(prices)[0] <= 0:
                return text
        return text


def _as_objectives(scores: Scores) -> Scores:
    """The same designs, judged by their violations alone."""
    amounts = np.maximum(scores.violations, 0.0)
    return Scores(amounts, np.zeros((len(amounts), 0)), scores.prices)

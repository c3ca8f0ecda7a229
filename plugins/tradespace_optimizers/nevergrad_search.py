"""nevergrad behind the ask/tell contract (an extra: ``pip install 'tradespace[nevergrad]'``).

nevergrad's optimizers change when they are asked. So that tells alone make the state, each ``tell`` also asks for the
next batch and keeps it; ``ask`` reads from it, and the next tell answers it row by row. The first batch comes from a
copy, and is told as designs that nevergrad did not ask for.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Designs, Integer, Variable
from tradespace.errors import UnknownName
from tradespace.problem import Scores
from tradespace.search.contract import SearchView
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
Rng = np.random.Generator
_BUDGET = 10_000


@dataclass(frozen=True)
class NevergradOptions:
    """method: a name of nevergrad's registry; "NGOpt" picks by variables, budget and batch, "auto" takes it for one
    objective and differential evolution, which keeps a front, for several. workers: designs per batch."""

    method: str = "auto"
    workers: int = 20


class Nevergrad:
    """NGOpt for one objective, differential evolution for several, or any method by name (nevergrad)."""

    Options: ClassVar[type] = NevergradOptions
    supports: ClassVar[Supports] = Supports(
        constraints="penalty", batch="as many as workers", extra=("nevergrad", "nevergrad"), note="orders as keys"
    )

    def __init__(self, view: SearchView, options: NevergradOptions) -> None:
        self.supports.check("nevergrad", view.space, len(view.objectives))
        import nevergrad as ng

        method = options.method
        if method == "auto":
            method = "NGOpt" if len(view.objectives) == 1 else "DE"
        if method not in ng.optimizers.registry:
            raise UnknownName("method of nevergrad", method, list(ng.optimizers.registry), where="options of nevergrad")
        self._space, self.batch = view.space, max(1, options.workers)
        self._parameters = ng.p.Tuple(*(_parameter(ng, v) for v in view.space.variables))
        budget = max(view.evaluations or _BUDGET, self.batch)
        with _quiet():
            self._optimizer = ng.optimizers.registry[method](self._parameters, budget=budget, num_workers=self.batch)
        self._kept: list[Any] = []  # candidates that were asked for and not yet told
        self._worst: Array = np.full(len(view.objectives), -np.inf)

    def ask(self, n: int, rng: Rng) -> Designs:
        if self._kept:
            return self._designs(self._kept[:n])
        with _quiet():
            other = copy.deepcopy(self._optimizer)
            _seed(other, rng)
            return self._designs([other.ask() for _ in range(min(n, self.batch))])

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        losses, codes = self._losses(scores), self._space.flatten(designs)
        answered = min(len(self._kept), len(designs))
        with _quiet():
            _seed(self._optimizer, rng)
            for row, loss in enumerate(losses):
                if row < answered:  # also where repair has changed the design: it stands for what was asked
                    candidate = self._kept[row]
                else:
                    candidate = self._parameters.spawn_child(new_value=self._value(codes[row]))
                self._optimizer.tell(candidate, float(loss[0]) if len(loss) == 1 else loss)
            self._kept = self._kept[answered:]
            while len(self._kept) < self.batch:
                self._kept.append(self._optimizer.ask())

    def _losses(self, scores: Scores) -> Array:
        """Infeasible designs are worse than all that was seen, by their violation (ours: nevergrad's own penalty is
        added to one number only). Nevergrad clips above 5e20."""
        self._worst = np.maximum(self._worst, scores.objectives.max(axis=0))
        violation = scores.violation[:, None]
        penalty = self._worst + np.maximum(np.abs(self._worst), 1e-300) * violation
        return np.clip(np.where(violation > 0, penalty, scores.objectives), -4e20, 4e20)

    def _designs(self, candidates: list[Any]) -> Designs:
        codes = np.empty((len(candidates), self._space.width))
        for row, candidate in enumerate(candidates):
            codes[row] = np.concatenate([np.atleast_1d(np.asarray(part, np.float64)) for part in candidate.value])
        return self._space.unflatten(codes)

    def _value(self, codes: Array) -> tuple[Any, ...]:
        """A told design as nevergrad's value; entries that do not count (0) move to the nearest value."""
        low, high = self._space.bounds()
        codes, parts, at = codes.clip(low, high), [], 0
        for v in self._space.variables:
            block = codes[at : at + v.width]
            parts.append(tuple(int(c) for c in block) if isinstance(v, Choice) else block)
            at += v.width
        return tuple(parts)


def _parameter(ng: Any, v: Variable) -> Any:
    if isinstance(v, Choice):
        return ng.p.Choice(list(range(len(v.options))), repetitions=v.width)
    low, high = v.bounds()
    if (low == high).all():
        high = low + 1.0  # a constant; the space clips it
    numbers = ng.p.Array(init=(low + high) / 2, lower=low, upper=high)
    return numbers.set_integer_casting() if isinstance(v, Integer) else numbers


def _seed(optimizer: Any, rng: Rng) -> None:
    state = np.random.RandomState(int(rng.integers(0, 2**32)))
    optimizer.parametrization.random_state = state


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """nevergrad warns of inefficient settings at every turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

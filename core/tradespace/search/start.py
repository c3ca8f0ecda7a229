"""Warm starts: designs that are priced before anything an optimizer proposes.

They come from an earlier study, a plan file, or the front of a cheaper fidelity over the same space. The archive takes
them in first, so a search never ends below its start; optimizers that read the view's suggestions also begin there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from tradespace.designs import Designs, Space
from tradespace.errors import DesignError, ProblemError, UnknownName
from tradespace.problem import Scores
from tradespace.search.contract import Optimizer, SearchView

MOST = 256
"""Designs that a start holds at most; a longer one is thinned evenly."""


def start_of(space: Space, given: Designs | Sequence[Mapping[str, Any]], where: str = "start") -> Designs:
    """Distinct designs of ``space`` from designs of any space with the same variables, or from what people write."""
    if not isinstance(given, Designs):
        parts = [space.parse(values, where) for values in given]
        designs = space.concat(parts) if parts else space.homogeneous().take(slice(0, 0))
    elif given.space is space:
        designs = given
    else:
        designs = start_of(space, [given.show(i) for i in range(len(given))], where)
    rows = np.sort(np.unique(designs.digest, return_index=True)[1])
    if len(rows) > MOST:
        rows = rows[np.linspace(0, len(rows) - 1, MOST).astype(np.intp)]
    return designs.take(rows)


def suggesting(view: SearchView, start: Designs) -> SearchView:
    """The view with the start among its suggestions, first."""
    if not len(start):
        return view
    own = view.suggestions

    def suggestions() -> Mapping[str, Designs]:
        return {"start": start} | dict(own() if own is not None else {})

    named: Callable[[], Mapping[str, Designs]] = suggestions
    return replace(view, suggestions=named)


def started(optimizer: Optimizer, start: Designs) -> Optimizer:
    """The optimizer behind its start; itself where there is none."""
    return _Started(optimizer, start) if len(start) else optimizer


class _Started:
    """Asks the start, then the optimizer, which is told only of what it asked. State depends on tells alone."""

    Options: ClassVar[type] = object

    def __init__(self, inner: Optimizer, start: Designs) -> None:
        self.inner, self._start, self._told = inner, start, 0
        self.batch = int(inner.batch)

    @property
    def note(self) -> str:
        return str(getattr(self.inner, "note", ""))

    def ask(self, n: int, rng: np.random.Generator) -> Designs:
        if self._told < len(self._start):
            return self._start.take(slice(self._told, self._told + n))
        return self.inner.ask(n, rng)

    def tell(self, designs: Designs, scores: Scores, rng: np.random.Generator) -> None:
        if self._told < len(self._start):
            self._told += len(designs)
            return
        self.inner.tell(designs, scores, rng)


def checked_start(space: Space, given: Designs | Sequence[Mapping[str, Any]] | None) -> Designs:
    """`start_of`, with a refusal that says what a start is."""
    try:
        return start_of(space, () if given is None else given)
    except (DesignError, UnknownName) as error:
        raise ProblemError(
            "a start holds designs of the space that is searched",
            value=str(error),
            where="start",
            remedy="Start from a study or plan over the same variables.",
        ) from None

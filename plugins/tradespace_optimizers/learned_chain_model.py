"""An additive chain learnt from priced designs: tests whether there is one, least squares, a test on held-out designs.

Ours. Two independent checks stand before any belief in the structure:

* crossings: where designs a and b agree at entry c, swapping everything after c between them leaves the sum of their
  prices unchanged if and as far as the price is a sum over entries and neighbours. Four prices are one test.
* held-out designs: the fitted sums must predict prices that were not used for fitting.

Prices are numbers of the evaluator; what is said here is tested on samples, never certified.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from tradespace.designs import Choice, Designs, Space
from tradespace.search.labels import ChainArrays

Array = NDArray[np.float64]
States = NDArray[np.intp]

_RANK = 1e-6  # least diagonal of the Cholesky factor over the largest: below, a coefficient is not determined
_UNEVEN = 0.25
_MOST_PARAMETERS = 2500  # a fit of so many takes about a second


@dataclass(frozen=True)
class Entries:
    """A space of equally long Choices, read as a chain: entry i has a state, the mixed-radix number of its codes."""

    space: Space
    names: tuple[str, ...]
    options: tuple[int, ...]
    n: int

    @property
    def states(self) -> int:
        return int(np.prod(self.options))

    def codes(self, designs: Designs) -> States:
        """``(N, n, V)`` codes."""
        return np.stack([designs.columns[name] for name in self.names], axis=-1).astype(np.intp)

    def state(self, codes: States) -> States:
        """``(N, n)`` states, last variable fastest."""
        total = np.zeros(codes.shape[:2], np.intp)
        for v, size in enumerate(self.options):
            total = total * size + codes[..., v]
        return total

    def designs(self, codes: States) -> Designs:
        return self.space.designs({name: codes[..., v] for v, name in enumerate(self.names)})

    @cached_property
    def digits(self) -> States:
        """``(S, V)`` codes of each state."""
        return np.stack(np.unravel_index(np.arange(self.states), self.options), axis=-1).astype(np.intp)


def entries_of(space: Space) -> Entries | str:
    """The entries of a space, or why it is no chain."""
    variables = space.variables
    if not all(isinstance(v, Choice) and v.length is not None for v in variables) or space.conditional:
        return "the variables are not all choices per entry"
    if len({v.width for v in variables}) > 1:
        return "the variables differ in length"
    if variables[0].width < 3:
        return "a chain has at least three entries"
    options = tuple(len(v.options) for v in variables if isinstance(v, Choice))
    return Entries(space, tuple(v.name for v in variables), options, variables[0].width)


# -- crossings --------------------------------------------------------------------------------------------------------


def crossings(entries: Entries, count: int, rng: np.random.Generator) -> Designs:
    """``4 * count`` designs: a, b, and both with their ends swapped after an entry at which they agree.

    Each of a and b prefers options of its own (Dirichlet shares), so that different devices fill up or are busiest:
    over uniform designs a maximum is often the same term throughout, and looks like a sum.
    """
    shape = (count, entries.n, len(entries.names))
    a, b = (_uneven(entries, count, rng) for _ in range(2))
    cut = rng.integers(entries.n // 3, entries.n - entries.n // 3, count)
    rows = np.arange(count)
    b[rows, cut] = a[rows, cut]
    right = (np.arange(entries.n) > cut[:, None])[..., None]
    both = np.stack([a, b, np.where(right, b, a), np.where(right, a, b)], axis=1)
    return entries.designs(both.reshape(4 * count, *shape[1:]))


def _uneven(entries: Entries, count: int, rng: np.random.Generator) -> States:
    """``(count, n, V)`` codes, each design with option shares of its own."""
    columns = []
    for options in entries.options:
        edges = rng.dirichlet(np.full(options, _UNEVEN), count).cumsum(axis=1)
        draws = rng.random((count, entries.n))
        columns.append(np.minimum((draws[..., None] > edges[:, None]).sum(axis=-1), options - 1))
    return np.stack(columns, axis=-1)


def spread(values: Array) -> Array:
    """``(Q,)`` how far apart quantities (N, Q) are: their standard deviation, or N times the median step from one value
    to the next larger one, if that is less. A price that stands for what cannot be, say 1e9 for every such entry, makes
    the deviation so large that all errors would hide in it, but few steps. 1 where there is one value."""
    steps = np.diff(np.sort(values, axis=0), axis=0)
    least = [np.median(s[s > 0]) * len(values) if (s > 0).any() else 1.0 for s in steps.T]
    deviation = values.std(axis=0)
    return np.asarray(np.where(deviation > 0, np.minimum(deviation, least), 1.0))


def crossing_errors(entries: Entries, designs: Designs, values: Array) -> Array:
    """``(T, Q)``: what the sums of T crossings among consecutive told designs are off by. Designs that a repair
    changed, or that nobody asked as a crossing, are passed over."""
    state = entries.state(entries.codes(designs))
    first = np.fromiter(_crossed(state), np.intp)
    a, b, c, d = (values[first + k] for k in range(4))
    return np.asarray(np.abs(a + b - c - d))


def _crossed(state: States) -> Iterator[int]:
    r = 0
    while r + 4 <= len(state):
        a, b, c, d = state[r : r + 4]
        from_a = c == a
        swapped = bool((np.where(from_a, b, a) == d).all() and (from_a | (c == b)).all())
        turn = np.flatnonzero(~from_a)
        fits = (
            swapped and len(turn) > 0 and bool((c[turn[0] :] == b[turn[0] :]).all()) and bool((a != b)[: turn[0]].any())
        )
        fits = fits and turn[0] > 0 and bool(a[turn[0] - 1] == b[turn[0] - 1])
        if fits:
            yield r
        r += 4 if fits else 1


# -- fitting ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """Which sums a fit has: one per entry and state, and for neighbours pairs of ``pairs``, tuples of variables."""

    pairs: tuple[tuple[int, ...], ...]
    parameters: int


def forms_of(entries: Entries) -> tuple[Form, ...]:
    """From the fewest parameters to the most: no pairs, pairs of one variable, of each variable, of whole states."""
    everyone = tuple(range(len(entries.names)))
    kinds: list[tuple[tuple[int, ...], ...]] = [(), *(((v,),) for v in everyone)]
    if len(everyone) > 1:
        kinds += [tuple((v,) for v in everyone), (everyone,)]
    forms = [Form(pairs, _parameters(entries, pairs)) for pairs in kinds]
    small = [form for form in forms if form.parameters <= _MOST_PARAMETERS]
    return tuple(sorted(small, key=lambda form: form.parameters))


def _parameters(entries: Entries, pairs: tuple[tuple[int, ...], ...]) -> int:
    each = [int(np.prod([entries.options[v] for v in group])) for group in pairs]
    return 1 + entries.n * (entries.states - 1) + (entries.n - 1) * sum((size - 1) ** 2 for size in each)


@dataclass(frozen=True)
class Fit:
    """``unary`` (n, S, Q) and ``pair`` (n - 1, S, S, Q) or None, the constant in the first entry. ``errors`` (Q,):
    largest error on held-out designs, in standard deviations of the quantity."""

    form: Form
    unary: Array
    pair: Array | None
    errors: Array

    def predict(self, state: States) -> Array:
        """``(N, Q)``."""
        place = np.arange(state.shape[1])
        total = self.unary[place, state].sum(axis=1)
        if self.pair is not None:
            total = total + self.pair[place[:-1], state[:, :-1], state[:, 1:]].sum(axis=1)
        return np.asarray(total)

    def chain(self, objectives: int) -> ChainArrays:
        """The first quantities are objectives, the others violations, which are to stay at most 0."""
        caps = np.where(np.arange(self.unary.shape[2]) < objectives, np.inf, 0.0)
        return ChainArrays(self.unary, self.pair, caps, objectives)


def fit(entries: Entries, form: Form, state: States, values: Array, held: int) -> Fit | None:
    """Least squares on all rows but the last ``held``, which test it; None where rows do not determine the sums."""
    rows = _features(entries, form, state)
    mean, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    target = (values - mean) / spread
    known = len(rows) - held
    if known < form.parameters:
        return None
    weights = _solved(rows[:known], target[:known])
    if weights is None:
        return None
    errors = np.abs(rows[known:] @ weights - target[known:]).max(axis=0)
    unary, pair = _tables(entries, form, weights * spread)
    unary[0] += mean
    return Fit(form, unary, pair, errors)


def _solved(rows: Array, target: Array) -> Array | None:
    """Normal equations and one step of refinement, several times faster than an orthogonal factor."""
    try:
        lower = np.linalg.cholesky(rows.T @ rows)
    except np.linalg.LinAlgError:
        return None
    diagonal = np.diag(lower)
    if diagonal.min() < _RANK * diagonal.max():
        return None
    weights = cho_solve((lower, True), rows.T @ target)
    return np.asarray(weights + cho_solve((lower, True), rows.T @ (target - rows @ weights)))


def _features(entries: Entries, form: Form, state: States) -> Array:
    """``(N, parameters)`` indicators, each group without its first level, so that they are independent."""
    blocks = [np.ones((len(state), 1)), _hot(state, entries.states)]
    for group in form.pairs:
        part, size = _part(entries, group)
        left, right = part[state[:, :-1]], part[state[:, 1:]]
        both = np.where((left > 0) & (right > 0), (left - 1) * (size - 1) + right, 0)
        blocks.append(_hot(both, (size - 1) ** 2 + 1))
    return np.concatenate(blocks, axis=1)


def _hot(level: States, levels: int) -> Array:
    return np.asarray(level[..., None] == np.arange(1, levels), np.float64).reshape(len(level), -1)


def _part(entries: Entries, group: tuple[int, ...]) -> tuple[States, int]:
    """(S,) the level of each state in a group of variables, and their number."""
    level = np.zeros(entries.states, np.intp)
    size = 1
    for v in group:
        level = level * entries.options[v] + entries.digits[:, v]
        size *= entries.options[v]
    return level, size


def _tables(entries: Entries, form: Form, weights: Array) -> tuple[Array, Array | None]:
    n, states, q = entries.n, entries.states, weights.shape[1]
    unary = np.zeros((n, states, q))
    end = 1 + n * (states - 1)
    unary[:, 1:] = weights[1:end].reshape(n, states - 1, q)
    unary[0] += weights[0]
    if not form.pairs:
        return unary, None
    pair = np.zeros((n - 1, states, states, q))
    for group in form.pairs:
        part, size = _part(entries, group)
        begin, end = end, end + (n - 1) * (size - 1) ** 2
        table = np.zeros((n - 1, size, size, q))
        table[:, 1:, 1:] = weights[begin:end].reshape(n - 1, size - 1, size - 1, q)
        pair += table[:, part[:, None], part[None, :]]
    return unary, pair

"""The neighbours that PGSAM proposes: many chains at once, in flat codes ``(N, width)``.

Choice variables have moves of their own (reassign, swap, shift a cut, set a run); other kinds of variables move as
they say themselves (`Variable.mutate`). Every result goes through `Space.unflatten`, so it is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Space

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Rng = np.random.Generator


@dataclass(frozen=True)
class Lane:
    """The flat columns of one Choice variable with at least two options."""

    start: int
    width: int
    options: int


@dataclass(frozen=True)
class Layout:
    """Where the moves may act: lanes of Choice variables, and per flat column its lane and number of options."""

    space: Space
    lanes: tuple[Lane, ...]
    columns: NDArray[np.intp]  # flat columns of all lanes (E,)
    options: NDArray[np.intp]  # options of each (E,)
    spans: tuple[tuple[int, int], ...]  # (start, width) of every variable
    whole: tuple[bool, ...]  # variables whose entries only make sense together

    @property
    def long(self) -> tuple[Lane, ...]:
        return tuple(lane for lane in self.lanes if lane.width > 1)

    @property
    def only_choices(self) -> bool:
        return sum(lane.width for lane in self.lanes) == self.space.width and not self.space.conditional


def layout_of(space: Space) -> Layout:
    starts = np.cumsum([0, *(v.width for v in space.variables)])[:-1].tolist()
    lanes = tuple(
        Lane(start, v.width, len(v.options))
        for start, v in zip(starts, space.variables, strict=True)
        if isinstance(v, Choice) and len(v.options) > 1
    )
    columns = [np.arange(lane.start, lane.start + lane.width) for lane in lanes]
    options = [np.full(lane.width, lane.options) for lane in lanes]
    empty = [np.empty(0, np.intp)]
    spans = tuple((start, v.width) for start, v in zip(starts, space.variables, strict=True))
    whole = tuple(type(v).__name__ in ("Permutation", "Composition") for v in space.variables)
    return Layout(space, lanes, np.concatenate(columns or empty), np.concatenate(options or empty), spans, whole)


SHARES: Mapping[str, float] = {"reassign": 1.0, "cut": 0.15, "swap": 0.05, "block": 0.1, "copy": 0.3, "mutate": 1.0}
"""How often each kind is tried, relative to the others that apply (tuned on the chains of bench/optimizers.py)."""


def kinds(layout: Layout, *, block_moves: bool, guides: bool) -> tuple[list[str], Array]:
    """The kinds of moves that make sense here, and their probabilities."""
    names = ["reassign"] if layout.lanes else []
    if layout.long:
        names += ["swap", *(("cut", "block") if block_moves else ())]
    if guides and block_moves:
        names += ["copy"]
    if not layout.only_choices or not layout.lanes:
        names += ["mutate"]
    share = np.asarray([SHARES[name] for name in names])
    return names, share / share.sum()


def candidates(layout: Layout, codes: Array, k: int, rng: Rng) -> tuple[Rows, Rows]:
    """``k`` random single reassignments per row: flat columns and new codes, ``(N, k)`` each, never the present."""
    n = len(codes)
    pick = rng.integers(0, len(layout.columns), (n, k))
    column, options = layout.columns[pick], layout.options[pick]
    step = 1 + np.floor(rng.random((n, k)) * (options - 1)).astype(np.intp)
    present = codes[np.arange(n)[:, None], column].astype(np.intp)
    return column, (present + step) % options


def swap(layout: Layout, codes: Array, rng: Rng) -> Array:
    """Two entries of one variable change places, entries that differ where there are such."""
    out, n = codes.copy(), len(codes)
    for lane, rows in _by_lane(layout.long, n, rng):
        block = out[rows, lane.start : lane.start + lane.width]
        i = rng.integers(0, lane.width, len(rows))
        differs = block != block[np.arange(len(rows)), i][:, None]
        j = np.argmax(rng.random(block.shape) * (differs + 1e-9), axis=1)
        a, b = lane.start + i, lane.start + j
        out[rows, a], out[rows, b] = codes[rows, b], codes[rows, a]
    return out


def shift_cut(layout: Layout, codes: Array, rng: Rng) -> Array:
    """A boundary between runs of equal codes moves by a few entries."""
    out, n = codes.copy(), len(codes)
    for lane, rows in _by_lane(layout.long, n, rng):
        block = codes[rows, lane.start : lane.start + lane.width]
        cut = block[:, 1:] != block[:, :-1]
        i = np.argmax(rng.random(cut.shape) * (cut + 1e-9), axis=1)  # the boundary is between i and i + 1
        length = _run_length(lane.width, len(rows), rng, mean=1.6)
        right = rng.random(len(rows)) < 0.5
        low = np.where(right, i + 1, i + 1 - length)
        value = block[np.arange(len(rows)), np.where(right, i, i + 1)]
        _fill(out, rows, lane, low, length, value)
    return out


def set_run(layout: Layout, codes: Array, rng: Rng) -> Array:
    """A run of entries takes one code."""
    out, n = codes.copy(), len(codes)
    for lane, rows in _by_lane(layout.long, n, rng):
        length = _run_length(lane.width, len(rows), rng, mean=max(2.0, lane.width / 6))
        low = rng.integers(0, lane.width, len(rows)) - length // 2
        _fill(out, rows, lane, low, length, rng.integers(0, lane.options, len(rows)).astype(np.float64))
    return out


def copy_run(layout: Layout, codes: Array, guides: Array, rng: Rng, share: float = 0.35) -> Array:
    """A stretch of the design becomes what a guide (an archive member) has there; orders and shares as a whole."""
    n = len(codes)
    middle, half = rng.random((n, 1)), 0.5 * share * rng.exponential(1.0, (n, 1))
    take = np.zeros(codes.shape, bool)
    for (start, width), whole in zip(layout.spans, layout.whole, strict=True):
        if width == 1 or whole:
            take[:, start : start + width] = rng.random((n, 1)) < share
        else:
            place = (np.arange(width) + 0.5) / width
            inside = np.abs(place[None, :] - middle) <= half
            take[:, start : start + width] = inside & (rng.random((n, 1)) < 0.8)
    return np.where(take, guides, codes)


def mutate(layout: Layout, codes: Array, rng: Rng) -> Array:
    """Any kind of variable, as `Space.mutate` says."""
    space = layout.space
    return space.flatten(space.mutate(space.unflatten(codes), rng))


def _by_lane(lanes: tuple[Lane, ...], n: int, rng: Rng) -> list[tuple[Lane, Rows]]:
    which = rng.integers(0, len(lanes), n)
    return [(lane, rows) for k, lane in enumerate(lanes) if len(rows := np.flatnonzero(which == k))]


def _run_length(width: int, n: int, rng: Rng, mean: float) -> NDArray[Any]:
    return np.minimum(rng.geometric(1.0 / mean, n), width)


def _fill(out: Array, rows: Rows, lane: Lane, low: NDArray[Any], length: NDArray[Any], value: Array) -> None:
    place = np.arange(lane.width)
    inside = (place >= low[:, None]) & (place < (low + length)[:, None])
    block = out[rows, lane.start : lane.start + lane.width]
    out[rows, lane.start : lane.start + lane.width] = np.where(inside, value[:, None], block)


MOVES: Mapping[str, Callable[[Layout, Array, Rng], Array]] = {
    "swap": swap,
    "cut": shift_cut,
    "block": set_run,
    "mutate": mutate,
}

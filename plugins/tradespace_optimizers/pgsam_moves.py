"""The neighbours that PGSAM proposes: which moves apply to a space, and how often each is tried.

Choice variables have moves of their own (reassign, swap, shift a cut, set a run, copy a stretch), compiled in
`pgsam_kernel`; other kinds of variables move as they say themselves (`Variable.mutate`). All results are valid designs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.compiled import in_two
from tradespace.designs import Choice, Designs, Space
from tradespace.search.members import NO_CORNERS, Corners
from tradespace_optimizers import pgsam_kernel as kernel

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Rng = np.random.Generator

KINDS = ("reassign", "cut", "swap", "block", "copy", "mutate")  # in the order of the kernel's numbers
SHARES: Mapping[str, float] = {"reassign": 1.0, "cut": 0.15, "swap": 0.05, "block": 0.1, "copy": 0.3, "mutate": 1.0}
"""How often each kind is tried, relative to the others that apply (tuned on the chains of bench/optimizers.py)."""

_FAR = 0.5  # most of the moves that are far runs


@dataclass(frozen=True)
class Layout:
    """Where the moves may act, as the arrays that the compiled loops read."""

    space: Space
    columns: Rows  # flat columns of Choice variables with at least two options (E,)
    options: Rows  # options of each (E,)
    lanes: Rows  # start, width, options of those with several entries (L, 3)
    spans: Rows  # start and width of every variable (V, 2)
    whole: NDArray[np.bool_]  # variables whose entries only make sense together (V,)
    real: NDArray[np.bool_]  # flat columns of real numbers (width,)
    keys: NDArray[np.uint64]  # of the digest (width,)

    @cached_property
    def only_choices(self) -> bool:
        """Whether any change of an entry gives a valid design."""
        return len(self.columns) == self.space.width and not self.space.conditional

    def codes(self, designs: Designs) -> Array:
        """``(N, width)`` flat codes."""
        out = np.empty((len(designs), self.space.width))
        for v, (start, width) in zip(self.space.variables, self.spans.tolist(), strict=True):
            out[:, start : start + width] = designs.columns[v.name]
        return out

    def designs(self, codes: Array) -> Designs:
        """Designs of flat codes that moves made."""
        if not self.only_choices:
            return self.space.unflatten(codes)
        spans = zip(self.space.variables, self.spans.tolist(), strict=True)
        return Designs(self.space, {v.name: codes[:, s : s + w].astype(v.dtype) for v, (s, w) in spans})


def layout_of(space: Space) -> Layout:
    starts = np.cumsum([0, *(v.width for v in space.variables)])[:-1].tolist()
    lanes = [
        (start, v.width, len(v.options))
        for start, v in zip(starts, space.variables, strict=True)
        if isinstance(v, Choice) and len(v.options) > 1
    ]
    columns = [np.arange(start, start + width) for start, width, _ in lanes]
    options = [np.full(width, count) for _, width, count in lanes]
    empty = [np.empty(0, np.intp)]
    return Layout(
        space,
        np.concatenate(columns or empty),
        np.concatenate(options or empty),
        np.asarray([lane for lane in lanes if lane[1] > 1], np.intp).reshape(-1, 3),
        np.asarray([(start, v.width) for start, v in zip(starts, space.variables, strict=True)], np.intp),
        np.asarray([type(v).__name__ in ("Permutation", "Composition") for v in space.variables]),
        np.concatenate([np.full(v.width, v.dtype.kind == "f") for v in space.variables]),
        np.concatenate(space.hash_keys),
    )


def kinds(layout: Layout, *, block_moves: bool, guides: bool) -> Array:
    """``(6,)`` probabilities of the kinds of moves; 0 for those that make no sense here."""
    names = ["reassign"] if len(layout.columns) else []
    if len(layout.lanes):
        names += ["swap", *(("cut", "block") if block_moves else ())]
    if guides and block_moves:
        names += ["copy"]
    if not layout.only_choices:
        names += ["mutate"]
    share = np.asarray([SHARES[kind] if kind in names else 0.0 for kind in KINDS])
    return np.asarray(share / share.sum())


def reaching(share: Array, far: float) -> Array:
    """``(6,)`` probabilities ``share`` with half of ``far`` given to runs, where runs are set at all."""
    if not far or not share[kernel.BLOCK]:
        return share
    more = share * (1.0 - _FAR * far)
    more[kernel.BLOCK] += _FAR * far
    return more


@dataclass(frozen=True)
class Rules:
    """Numbers of the moves: see `PGSAMOptions`. ``copied``: mean share of a design that a copy takes over. ``screen``:
    moves tried for a neighbour that is not expected to be dominated. ``far``: share of runs that are of any length, and
    not screened."""

    tries: int = 24
    sharpness: float = 10.0
    explore: float = 0.2
    copied: float = 0.35
    screen: int = 1
    far: float = 0.0

    @property
    def array(self) -> Array:
        return np.asarray([self.tries, self.sharpness, self.explore, self.copied, self.screen, self.far], np.float64)


@dataclass(frozen=True)
class Guides:
    """What is known besides the chains: effect (width, K, Q) remembered effects; pool (P, width), of which rows members
    (A,) are the archive; corners: what it surely dominates (`tradespace.search.members`), nothing by default."""

    effect: Array
    pool: Array
    members: Rows
    corners: Corners = NO_CORNERS


def neighbours(
    layout: Layout, codes: Array, objectives: Array, shares: Array, rng: Rng, *, n: int, turn: int = 0, slopes: Array,
    guides: Guides, rules: Rules,
) -> tuple[Array, NDArray[np.uint64]]:  # fmt: skip
    """``(n, width)`` codes one move away: row r of chain (turn + r) mod C, and their digests.

    codes (C, width); objectives (C, M); shares as from `kinds`; slopes (C, Q) what a unit of each quantity weighs.
    """
    width = codes.shape[1]
    out, kind, digests = np.empty((n, width)), np.empty(n, np.int64), np.empty(n, np.uint64)
    seed, reached, numbers = rng.integers(0, 1 << 63, dtype=np.uint64), np.cumsum(shares), rules.array

    def work(lo: int, hi: int) -> None:
        state, gains, picks = np.empty(1, np.uint64), np.empty(rules.tries), np.empty((rules.tries, 2), np.int64)
        guess, potential = np.empty(objectives.shape[1]), np.empty((len(layout.columns), guides.effect.shape[1]))
        kernel.propose(
            seed, lo, hi, turn, reached, codes, objectives, slopes, layout.columns, layout.options, layout.lanes,
            layout.spans, layout.whole, guides.effect, numbers, guides.pool, guides.members, *guides.corners,
            layout.keys, layout.real, state, gains, picks, guess, potential, out, kind, digests,
        )  # fmt: skip

    in_two(work, min(n, len(codes)))
    rows = np.flatnonzero(kind == kernel.MUTATE)
    if len(rows):
        moved = layout.space.mutate(layout.space.unflatten(out[rows]), rng)
        out[rows], digests[rows] = layout.space.flatten(moved), moved.digest
    return out, digests

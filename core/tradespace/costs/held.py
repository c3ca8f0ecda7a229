"""Graphs with skipping edges as chains whose states remember one earlier entry.

Entries stand in an order in which data flows forwards. Where at most one earlier entry at a time is still needed by a
later one that is not its neighbour (residual networks: the tensor that skips a branch), a state is the pair of what is
remembered and the entry's own state; `Structure.links` lets what is remembered change only where it may. Every sum over
entries and edges is then a sum over this chain, and everything that solves chains solves the graph (elimination along
a path decomposition of width two; Bodlaender 1998 for the notion). Ours in this form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tradespace.problem import ChainTerm, MaxTerm, Structure

Edge = tuple[int, int]

_CELLS = 4_000_000
"""Entries times states squared that one term may have: 32 MB."""


def kept(edges: Sequence[Edge], n: int, states: int) -> tuple[Edge, ...]:
    """The skipping edges (a, b), b > a + 1, that a chain of remembering states can count, shortest first: never two
    entries remembered at once. Leaving an edge out leaves a lower bound."""
    if n * states**4 > _CELLS:
        return ()
    held = np.full(n, -1)  # what is remembered at entry i, after its own edges are counted
    chosen = []
    for a, b in sorted(set(edges), key=lambda edge: (edge[1] - edge[0], edge)):
        between = held[a + 1 : b]
        if ((between == -1) | (between == a)).all():
            between[:] = a
            chosen.append((a, b))
    return tuple(sorted(chosen))


def lifted(structure: Structure, edges: tuple[Edge, ...]) -> Structure:
    """The structure over remembering states.

    Args:
        structure: every ``pair`` has n - 1 + F rows (S, S): neighbours, then the edges. ``links`` (n - 1, S, S) if any.
        edges: (F,) from `kept`.
    """
    if not edges:
        return structure
    own = next(iter(structure.terms.values())).unary.shape[1]
    n = len(next(iter(structure.terms.values())).unary)
    moves = _moves(n, own, edges)
    links = moves if structure.links is None else moves & np.tile(structure.links, (1, own, own))

    def term(t: ChainTerm) -> ChainTerm:
        return ChainTerm(np.tile(t.unary, (1, own)), None if t.pair is None else _pairs(t.pair, n, edges), t.exact)

    return replace(
        structure,
        terms={name: term(t) for name, t in structure.terms.items()},
        maxima={name: MaxTerm(tuple(map(term, m.groups)), m.exact) for name, m in structure.maxima.items()},
        limits={name: (np.tile(unary, (1, own)), cap) for name, (unary, cap) in structure.limits.items()},
        links=links,
    )


def remembered(links: NDArray[np.bool_], state: NDArray[np.int64], own: int) -> NDArray[np.int64]:
    """The states with their memories of designs whose entries are in ``state`` (N, n), own states below ``own``.

    Raises:
        ValueError: a design that ``links`` (n - 1, S, S) do not allow.
    """
    out = np.array(state)
    every = np.arange(links.shape[1])
    for i in range(1, state.shape[1]):
        may = links[i - 1][out[:, i - 1]] & (every[None, :] % own == state[:, i, None])
        if not may.any(axis=1).all():
            raise ValueError(f"entry {i} of design {int(np.argmin(may.any(axis=1)))}")
        out[:, i] = may.argmax(axis=1)
    return out


def _held(n: int, edges: Sequence[Edge]) -> NDArray[np.intp]:
    """(n,) which entry is remembered at each; -1 for none."""
    held = np.full(n, -1)
    for a, b in edges:
        held[a + 1 : b] = a
    return held


def _moves(n: int, own: int, edges: Sequence[Edge]) -> NDArray[np.bool_]:
    """(n - 1, S * S, S * S): what is remembered stays, is the entry just left, or is nothing (digit 0)."""
    held = _held(n, edges)
    moves = np.zeros((n - 1, own, own, own, own), bool)  # from (memory, state) to (memory, state)
    every = np.arange(own)
    for i in range(1, n):
        if held[i] == -1:
            moves[i - 1, :, :, 0, :] = True
        elif held[i] == i - 1:
            moves[i - 1, :, every, every, :] = True
        else:
            moves[i - 1, every, :, every, :] = True
    return moves.reshape(n - 1, own**2, own**2)


def _pairs(pair: NDArray[np.float64], n: int, edges: Sequence[Edge]) -> NDArray[np.float64]:
    """(n - 1, S * S, S * S): neighbours by their own states, an edge where it ends, by what is remembered before."""
    own = pair.shape[1]
    out = np.tile(pair[: n - 1], (1, own, own)).reshape(n - 1, own, own, own, own)
    for (_, b), cost in zip(edges, pair[n - 1 :], strict=True):
        out[b - 1] += cost[:, None, None, :]
    return out.reshape(n - 1, own**2, own**2)

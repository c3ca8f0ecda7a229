"""Digests of the designs that were told, in an open table: no design is asked twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.compiled import njit_plain
from tradespace.search.streams import below, digest_of, open_stream

Digests = NDArray[np.uint64]

_FIRST = 1 << 12
_ATTEMPTS = 6  # random changes of a design that was asked before


@njit_plain
def slot(table, digest):  # type: ignore[no-untyped-def]
    """Where ``digest`` is, or would be, in an open table whose size is a power of two; 0 is an empty place."""
    mask = np.uint64(table.shape[0] - 1)
    at = digest & mask
    while table[at] != np.uint64(0) and table[at] != digest:
        at = (at + np.uint64(1)) & mask
    return at


@njit_plain
def remember(table, digests):  # type: ignore[no-untyped-def]
    """Put digests into the table; how many were new."""
    count = 0
    for i in range(digests.shape[0]):
        digest = digests[i]
        if digest == np.uint64(0):
            continue
        at = slot(table, digest)
        if table[at] == np.uint64(0):
            table[at] = digest
            count += 1
    return count


@njit_plain
def freshen(seed, codes, columns, options, keys, real, seen, batch, state, again, digests):  # type: ignore[no-untyped-def] # fmt: skip
    """Rows that were asked before, or twice in this batch, get random changes until they are new (six at most).

    ``columns`` empty: nothing is changed, ``again`` (n,) says which rows are old. ``batch``: an empty table; ``state``
    (1,) is used up.
    """
    for r in range(codes.shape[0]):
        again[r] = False
        for attempt in range(_ATTEMPTS + 1):
            digest = digest_of(codes[r], keys, real) if attempt else digests[r]
            at = slot(batch, digest)
            if batch[at] == np.uint64(0) and seen[slot(seen, digest)] == np.uint64(0):
                batch[at] = digest
                break
            if columns.shape[0] == 0 or attempt == _ATTEMPTS:
                again[r] = True
                break
            if attempt == 0:
                open_stream(state, ~seed, r)
            place = below(state, columns.shape[0])
            new = np.int64(codes[r, columns[place]]) + 1 + below(state, options[place] - 1)
            codes[r, columns[place]] = new - options[place] if new >= options[place] else new
        digests[r] = digest


class Seen:
    """A set of digests that grows up to ``most``; what comes later is not remembered."""

    def __init__(self, most: int) -> None:
        self.table: Digests = np.zeros(_FIRST, np.uint64)
        self._count, self._most = 0, most

    def holds(self, digests: Digests) -> NDArray[np.bool_]:
        """``(N,)`` whether each was added."""
        return np.asarray([self.table[slot(self.table, digest)] != 0 for digest in digests], bool)

    def add(self, digests: Digests) -> None:
        if self._count >= self._most:
            return
        if 2 * (self._count + len(digests)) > len(self.table):
            old = self.table[self.table != 0]
            self.table = np.zeros(1 << (4 * (self._count + len(digests))).bit_length(), np.uint64)
            remember(self.table, old)
        self._count += int(remember(self.table, digests))


def places(n: int) -> Digests:
    """An empty table for ``n`` digests."""
    return np.zeros(1 << (2 * n + 1).bit_length(), np.uint64)

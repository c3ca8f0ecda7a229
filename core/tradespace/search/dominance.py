"""Compiled loops of the archive: reject a batch against the present front before anything of it is copied."""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit


@njit
def first_of_each(digest, ok, table, first):  # type: ignore[no-untyped-def]
    """Which rows among ``ok`` are the first of their digest, into ``first`` (N,).

    ``table``: int64 places, all -1, a power of two and at least twice as many as rows.
    """
    mask = np.uint64(table.shape[0] - 1)
    for r in range(digest.shape[0]):
        first[r] = False
        if not ok[r]:
            continue
        at = digest[r] & mask
        while table[at] >= 0 and digest[table[at]] != digest[r]:
            at = (at + np.uint64(1)) & mask
        if table[at] < 0:
            table[at] = r
            first[r] = True


@njit
def corner_table(front, low, scale, table):  # type: ignore[no-untyped-def]
    """The least last objective among members strictly below each grid corner, for two or three objectives.

    front (F, 2 or 3); low, scale (2,) from objectives to cells; table (G + 1, G + 1), or (G + 1, 2) for two.
    """
    m, cells, wide = front.shape[1], table.shape[0] - 1, table.shape[1] - 1
    table[:, :] = np.inf
    for f in range(front.shape[0]):
        i = min(np.int64((front[f, 0] - low[0]) * scale[0]), cells - 1)
        j = min(np.int64((front[f, 1] - low[1]) * scale[1]), wide - 1) if m == 3 else 0
        table[i + 1, j + 1] = min(table[i + 1, j + 1], front[f, m - 1])
    for i in range(1, cells + 1):
        for j in range(1, wide + 1):
            table[i, j] = min(table[i, j], table[i - 1, j], table[i, j - 1])


@njit
def beaten(objectives, low, scale, table, open_):  # type: ignore[no-untyped-def]
    """Clears ``open_`` (N,) for rows that a member in a lower cell surely dominates."""
    m, cells, wide = objectives.shape[1], table.shape[0] - 1, table.shape[1] - 1
    for r in range(objectives.shape[0]):
        if not open_[r]:
            continue
        x, y = (objectives[r, 0] - low[0]) * scale[0], (objectives[r, 1] - low[1]) * scale[1]
        if x < 1.0 or (m == 3 and y < 1.0):
            continue
        i = np.int64(min(x, np.float64(cells)))
        j = np.int64(min(y, np.float64(wide))) if m == 3 else 1
        if table[i, j] <= objectives[r, m - 1]:
            open_[r] = False


@njit
def covers(a, b):  # type: ignore[no-untyped-def]
    """2 where vector ``a`` dominates ``b``, 1 where they are equal, else 0."""
    less = 1
    for k in range(a.shape[0]):
        if a[k] > b[k]:
            return 0
        if a[k] < b[k]:
            less = 2
    return less


@njit
def sift(front, front_digest, new, new_digest, keep_old, keep_new):  # type: ignore[no-untyped-def]
    """Which members and which new rows are non-dominated together; of equal ones that of the smallest digest.

    front (F, M), new (R, M), both in the order of their digests; writes keep_old (F,), keep_new (R,).
    """
    for r in range(new.shape[0]):
        keep_new[r] = True
        for f in range(front.shape[0]):
            how = covers(front[f], new[r])
            if how == 2 or (how == 1 and front_digest[f] < new_digest[r]):
                keep_new[r] = False
                break
        if keep_new[r]:
            for s in range(new.shape[0]):
                if s != r:
                    how = covers(new[s], new[r])
                    if how == 2 or (how == 1 and s < r):
                        keep_new[r] = False
                        break
    for f in range(front.shape[0]):
        keep_old[f] = True
    for r in range(new.shape[0]):
        if keep_new[r]:
            for f in range(front.shape[0]):
                if keep_old[f] and covers(new[r], front[f]) > 0:
                    keep_old[f] = False


@njit
def merged(old, old_digest, rows, digest):  # type: ignore[no-untyped-def]
    """``(K,)`` in the order of digests: positions of old members as they are, rows r of a batch as -1 - r.

    old (A,) positions and rows (B,), both in the order of ``old_digest[old]`` and ``digest[rows]``.
    """
    out = np.empty(old.shape[0] + rows.shape[0], np.int64)
    a, b = 0, 0
    for k in range(out.shape[0]):
        if b == rows.shape[0] or (a < old.shape[0] and old_digest[old[a]] <= digest[rows[b]]):
            out[k] = old[a]
            a += 1
        else:
            out[k] = -1 - rows[b]
            b += 1
    return out


@njit
def gather(old, new, index):  # type: ignore[no-untyped-def]
    """Entries of ``old`` and ``new`` (one dimension) at what `merged` gave."""
    out = np.empty(index.shape[0], old.dtype)
    for k in range(index.shape[0]):
        out[k] = old[index[k]] if index[k] >= 0 else new[-1 - index[k]]
    return out


@njit
def gather_rows(old, new, index):  # type: ignore[no-untyped-def]
    """Rows of ``old`` and ``new`` (two dimensions) at what `merged` gave."""
    out = np.empty((index.shape[0], old.shape[1]), old.dtype)
    for k in range(index.shape[0]):
        if index[k] >= 0:
            out[k] = old[index[k]]
        else:
            out[k] = new[-1 - index[k]]
    return out

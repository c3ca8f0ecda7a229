"""Compiled loops of the archive: reject a batch against the present front before anything of it is copied.

Fronts are columns ``(M, F)``, one row an objective, so that comparing one vector with all members is a few vector
instructions a member. Batches are rows ``(N, M)``.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit


@njit
def put_corner(table, low, scale, row):  # type: ignore[no-untyped-def]
    """Enter one vector (2 or 3,) into a table as of `corner_table`."""
    m, cells, wide = row.shape[0], table.shape[0] - 1, table.shape[1] - 1
    x, y, value = (row[0] - low[0]) * scale[0], (row[1] - low[1]) * scale[1], row[m - 1]
    if x >= cells or (m == 3 and y >= wide):
        return
    first = 1 if m == 2 else np.int64(max(y, 0.0)) + 1
    for i in range(np.int64(max(x, 0.0)) + 1, cells + 1):
        if table[i, first] <= value:  # entries fall with i and j: nothing further on is above
            return
        for j in range(first, wide + 1):
            if table[i, j] <= value:
                break
            table[i, j] = value


@njit
def corner_table(columns, low, scale, table):  # type: ignore[no-untyped-def]
    """The least last objective among members strictly below each grid corner, for two or three objectives.

    columns (2 or 3, F); low, scale (2,) from objectives to cells; table (G + 1, G + 1), or (G + 1, 2) for two.
    """
    table[:, :] = np.inf
    row = np.empty(columns.shape[0])
    for f in range(columns.shape[1]):
        for k in range(columns.shape[0]):
            row[k] = columns[k, f]
        put_corner(table, low, scale, row)


@njit
def beaten(row, low, scale, table):  # type: ignore[no-untyped-def]
    """Whether a member in a lower cell surely dominates one vector (2 or 3,)."""
    m, cells, wide = row.shape[0], table.shape[0] - 1, table.shape[1] - 1
    x, y = (row[0] - low[0]) * scale[0], (row[1] - low[1]) * scale[1]
    if x < 1.0 or (m == 3 and y < 1.0):
        return False
    i = np.int64(min(x, np.float64(cells)))
    j = np.int64(min(y, np.float64(wide))) if m == 3 else 1
    return table[i, j] <= row[m - 1]


@njit
def candidates(objectives, digest, ok, known, places, low, scale, table):  # type: ignore[no-untyped-def]
    """Rows (R,) in the order of their digests that may be new members; they enter ``table`` (empty: there is none).

    A candidate is the first of its digest among ``ok`` rows, its digest is not in the sorted ``known``, and no member
    in a lower cell of the table dominates it. ``places``: int64, all -1, a power of two and at least twice as many as
    rows.
    """
    rows, count = np.empty(digest.shape[0], np.int64), 0
    mask = np.uint64(places.shape[0] - 1)
    for r in range(digest.shape[0]):
        if not ok[r]:
            continue
        at = digest[r] & mask
        while places[at] >= 0 and digest[places[at]] != digest[r]:
            at = (at + np.uint64(1)) & mask
        if places[at] >= 0:
            continue
        places[at] = r
        if table.shape[0] and beaten(objectives[r], low, scale, table):
            continue
        if known.shape[0]:
            found = np.searchsorted(known, digest[r])
            if found < known.shape[0] and known[found] == digest[r]:
                continue
        if table.shape[0]:
            put_corner(table, low, scale, objectives[r])
        rows[count] = r
        count += 1
    rows = rows[:count]
    return rows[np.argsort(digest[rows])]


@njit
def below(columns, row, mask):  # type: ignore[no-untyped-def]
    """Into ``mask`` (F,) uint8: which members are no worse than ``row`` (M,) in any objective; whether any is."""
    for k in range(columns.shape[0]):
        column, limit = columns[k], row[k]
        if k == 0:
            for f in range(mask.shape[0]):
                mask[f] = column[f] <= limit
        else:
            for f in range(mask.shape[0]):
                mask[f] &= column[f] <= limit
    some = np.uint8(0)
    for f in range(mask.shape[0]):
        some |= mask[f]
    return some != 0


@njit
def above(columns, row, keep, mask):  # type: ignore[no-untyped-def]
    """Clears ``keep`` (F,) uint8 for members that are no better than ``row`` (M,) in any objective."""
    for k in range(columns.shape[0]):
        column, limit = columns[k], row[k]
        if k == 0:
            for f in range(mask.shape[0]):
                mask[f] = column[f] >= limit
        else:
            for f in range(mask.shape[0]):
                mask[f] &= column[f] >= limit
    for f in range(mask.shape[0]):
        keep[f] &= np.uint8(1) - mask[f]


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
def sift(columns, known, objectives, digest, rows, keep_old, keep_new):  # type: ignore[no-untyped-def]
    """Which members and which candidates are non-dominated together; of equal ones that of the smallest digest.

    columns (M, F) and known (F,) of the front, objectives (N, M) and digest (N,) of the batch, both in the order of
    digests along ``known`` and ``rows`` (R,); writes keep_old (F,) and keep_new (R,) uint8.
    """
    mask = np.empty(known.shape[0], np.uint8)
    for s in range(rows.shape[0]):
        row, keep_new[s] = objectives[rows[s]], 1
        if below(columns, row, mask):
            for f in range(mask.shape[0]):
                if mask[f]:  # dominates, or is equal
                    equal = True
                    for k in range(row.shape[0]):
                        equal = equal and columns[k, f] == row[k]
                    if not equal or known[f] < digest[rows[s]]:
                        keep_new[s] = 0
                        break
        if keep_new[s]:
            for other in range(rows.shape[0]):
                if other != s:
                    how = covers(objectives[rows[other]], row)
                    if how == 2 or (how == 1 and other < s):
                        keep_new[s] = 0
                        break
    for f in range(keep_old.shape[0]):
        keep_old[f] = 1
    for s in range(rows.shape[0]):
        if keep_new[s]:
            above(columns, objectives[rows[s]], keep_old, mask)


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
def gather_columns(columns, objectives, index, low, high):  # type: ignore[no-untyped-def]
    """Columns (M, K) of members and rows of a batch at what `merged` gave; their least and largest into low, high."""
    out = np.empty((columns.shape[0], index.shape[0]))
    for k in range(columns.shape[0]):
        low[k], high[k] = np.inf, -np.inf
        for i in range(index.shape[0]):
            value = columns[k, index[i]] if index[i] >= 0 else objectives[-1 - index[i], k]
            out[k, i] = value
            low[k], high[k] = min(low[k], value), max(high[k], value)
    return out

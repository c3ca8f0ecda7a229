"""The compiled loops that propose: moves of a whole batch of chains.

A batch is rows of flat codes ``(n, width)`` float64. Every row has a random stream of its own
(`tradespace.search.streams`), so a row does not depend on threads or neighbours, and nothing is drawn that no move
needs. No function creates an array (`njit_plain`): what they use up comes from the caller.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit_plain
from tradespace.search.streams import below, digest_of, high_part, low_part, open_stream, uniform, word

REASSIGN, CUT, SWAP, BLOCK, COPY, MUTATE = 0, 1, 2, 3, 4, 5
"""Kinds of moves. Rows of MUTATE are left as they are: their variables move as they say themselves."""

_FOUR = 4  # entries that one reassignment changes at most
_NEVER = -30.0  # exponent of a chance that is nothing


@njit_plain
def geometric(state, mean, most):  # type: ignore[no-untyped-def]
    """A length of at least 1 with this mean (before it is cut off at ``most``)."""
    if mean <= 1.0 or most <= 1:
        return 1
    length = 1 + np.int64(np.log(1.0 - uniform(state)) / np.log(1.0 - 1.0 / mean))
    return min(max(length, 1), most)


@njit_plain
def weigh(potential, columns, options, effect, slope):  # type: ignore[no-untyped-def]
    """What each option of each entry weighs along one direction, up to a constant, into ``potential`` (E, K)."""
    for e in range(columns.shape[0]):
        for k in range(options[e]):
            total = 0.0
            for q in range(slope.shape[0]):
                total += slope[q] * effect[columns[e], k, q]
            potential[e, k] = total


@njit_plain
def reassign(row, columns, options, potential, tries, sharpness, explore, gains, picks, state):  # type: ignore[no-untyped-def] # fmt: skip
    """One to four entries take other options: random ones, or one of several by remembered gains.

    A candidate of gain g is taken with a probability proportional to exp(sharpness g / mean |g|).
    """
    times = 1
    while times < _FOUR and uniform(state) < 0.4:
        times += 1
    for _ in range(times):
        count = 1 if uniform(state) < explore else tries
        size, top = 0.0, -np.inf
        for k in range(count):
            bits = word(state)
            place = high_part(bits, columns.shape[0])
            old = np.int64(row[columns[place]])
            new = old + 1 + low_part(bits, options[place] - 1)
            if new >= options[place]:
                new -= options[place]
            picks[k, 0], picks[k, 1] = columns[place], new
            gain = potential[place, old] - potential[place, new] if count > 1 else 0.0
            gains[k] = gain
            size += abs(gain)
            top = max(top, gain)
        chosen = 0
        if size > 0.0:
            factor, total = sharpness * count / size, 0.0
            for k in range(count):
                exponent = factor * (gains[k] - top)
                if exponent > _NEVER:
                    total += np.exp(exponent)
                gains[k] = total
            drawn = uniform(state) * total
            while chosen < count - 1 and gains[chosen] <= drawn:
                chosen += 1
        row[picks[chosen, 0]] = picks[chosen, 1]


@njit_plain
def swap(row, start, width, state):  # type: ignore[no-untyped-def]
    """Two entries of one variable change places, entries that differ where there are such."""
    i = start + below(state, width)
    differ = 0
    for j in range(start, start + width):
        differ += row[j] != row[i]
    if differ == 0:
        return
    left = below(state, differ)
    for j in range(start, start + width):
        if row[j] != row[i]:
            if left == 0:
                row[i], row[j] = row[j], row[i]
                return
            left -= 1


@njit_plain
def shift_cut(row, start, width, state):  # type: ignore[no-untyped-def]
    """A boundary between runs of equal codes moves by a few entries."""
    cuts = 0
    for j in range(start, start + width - 1):
        cuts += row[j] != row[j + 1]
    if cuts == 0:
        return
    left, at = below(state, cuts), start
    for j in range(start, start + width - 1):
        if row[j] != row[j + 1]:
            if left == 0:
                at = j
                break
            left -= 1
    length = geometric(state, 1.6, width)
    if uniform(state) < 0.5:
        value = row[at]
        for j in range(at + 1, min(at + 1 + length, start + width)):
            row[j] = value
    else:
        value = row[at + 1]
        for j in range(max(at + 1 - length, start), at + 1):
            row[j] = value


@njit_plain
def set_run(row, start, width, options, far, state):  # type: ignore[no-untyped-def]
    """A run of entries takes one code. ``far``: its length is log-uniform up to the whole variable, else short."""
    if far:
        length = np.int64(np.exp(uniform(state) * np.log(width + 1.0)))
    else:
        length = geometric(state, max(2.0, width / 6.0), width)
    low = start + below(state, width) - length // 2
    value = np.float64(below(state, options))
    for j in range(max(low, start), min(low + length, start + width)):
        row[j] = value


@njit_plain
def copy_run(row, guide, spans, whole, share, state):  # type: ignore[no-untyped-def]
    """A stretch of the design becomes what a guide has there; single values, orders and shares as a whole."""
    middle, half = uniform(state), -0.5 * share * np.log(1.0 - uniform(state))
    for v in range(spans.shape[0]):
        start, width = spans[v, 0], spans[v, 1]
        if width == 1 or whole[v]:
            if uniform(state) < share:
                for j in range(start, start + width):
                    row[j] = guide[j]
            continue
        first = np.int64(np.ceil((middle - half) * width - 0.5))
        last = np.int64(np.floor((middle + half) * width - 0.5))
        for j in range(width):
            if first <= j <= last and uniform(state) < 0.8:
                row[start + j] = guide[start + j]


@njit_plain
def promising(row, parent, objectives, effect, columns, low, scale, table, guess):  # type: ignore[no-untyped-def]
    """Whether remembered effects expect a neighbour that no member surely dominates.

    ``objectives`` (M,) of the parent; low, scale (2,), table: see `dominance.corner_table`. ``guess`` (M,) is used up.
    """
    m, cells, wide = objectives.shape[0], table.shape[0] - 1, table.shape[1] - 1
    for k in range(m):
        guess[k] = objectives[k]
    for e in range(columns.shape[0]):
        c = columns[e]
        if row[c] != parent[c]:
            new, old = np.int64(row[c]), np.int64(parent[c])
            for k in range(m):
                guess[k] += effect[c, new, k] - effect[c, old, k]
    x, y = (guess[0] - low[0]) * scale[0], (guess[1] - low[1]) * scale[1]
    if x < 1.0 or (m == 3 and y < 1.0):
        return True
    i = np.int64(min(x, np.float64(cells)))
    j = np.int64(min(y, np.float64(wide))) if m == 3 else 1
    return table[i, j] > guess[m - 1]


@njit_plain
def propose(seed, lo, hi, turn, shares, codes, objectives, slopes, columns, options, lanes, spans, whole, effect, rules, pool, members, low, scale, table, keys, real, state, gains, picks, guess, potential, out, kind, digests):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Neighbours of chains into ``out`` (n, width), row r of chain (turn + r) mod C; ``kind`` and ``digests`` (n,).

    Rows lo..hi-1, hi at most C, and all later rows of their chains. shares (6,) cumulative; codes (C, width) and
    objectives (C, M); slopes (C, Q); columns, options (E,); lanes (L, 3) start, width, options of long choices;
    spans (V, 2); whole (V,); effect (width, K, Q); rules: see `pgsam_moves.Rules`; pool (P, width), of which rows
    members (A,) are the archive; low, scale, table: see `promising` (an empty table lets all pass). Used up: state
    (1,), gains (tries,), picks (tries, 2), guess (M,), potential (E, K).
    """
    tries, attempts = np.int64(rules[0]), np.int64(rules[4]) if table.shape[0] else 1
    for first in range(lo, hi):
        c = (turn + first) % codes.shape[0]
        if tries > 1:
            weigh(potential, columns, options, effect, slopes[c])
        for r in range(first, out.shape[0], codes.shape[0]):
            open_stream(state, seed, r)
            row, which = out[r], 0
            for attempt in range(attempts):
                u, which, far = uniform(state), 0, False
                for j in range(row.shape[0]):
                    row[j] = codes[c, j]
                while which < MUTATE and u >= shares[which]:
                    which += 1
                if which == REASSIGN:
                    reassign(row, columns, options, potential, tries, rules[1], rules[2], gains, picks, state)
                elif which == COPY:
                    guide = members[below(state, members.shape[0])]
                    copy_run(row, pool[guide], spans, whole, rules[3], state)
                elif which != MUTATE:
                    lane = below(state, lanes.shape[0])
                    start, width = lanes[lane, 0], lanes[lane, 1]
                    if which == CUT:
                        shift_cut(row, start, width, state)
                    elif which == SWAP:
                        swap(row, start, width, state)
                    else:
                        far = uniform(state) < rules[5]
                        set_run(row, start, width, lanes[lane, 2], far, state)
                if which == MUTATE or far or attempt + 1 == attempts:  # a far run goes beyond what gains foretell
                    break
                if promising(row, codes[c], objectives[c], effect, columns, low, scale, table, guess):
                    break
            kind[r] = which
            digests[r] = digest_of(row, keys, real)

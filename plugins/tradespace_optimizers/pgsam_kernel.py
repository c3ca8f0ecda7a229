"""The compiled loops of PGSAM: random streams, moves of a whole batch, what chains learn, accept and return to.

A batch is rows of flat codes ``(n, width)`` float64. Every row has a random stream of its own (splitmix64, Steele, Lea,
Flood 2014) that starts from one number drawn of the caller's generator, so a row does not depend on threads or
neighbours, and nothing is drawn that no move needs. All of it stands in this file: numba does not notice that a
function of another file was edited.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit

REASSIGN, CUT, SWAP, BLOCK, COPY, MUTATE = 0, 1, 2, 3, 4, 5
"""Kinds of moves. Rows of MUTATE are left as they are: their variables move as they say themselves."""

_ATTEMPTS = 6  # further random changes of a design that was asked before
_FOUR = 4  # entries that one reassignment changes at most


@njit
def mixed(z):  # type: ignore[no-untyped-def]
    """splitmix64's finaliser, as in `tradespace.designs`."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit
def uniform(state):  # type: ignore[no-untyped-def]
    """The next number in [0, 1) of a stream; ``state`` (1,) uint64 moves on."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    return np.float64(mixed(state[0]) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit
def below(state, k):  # type: ignore[no-untyped-def]
    """A whole number in [0, k)."""
    return min(np.int64(uniform(state) * k), k - 1)


@njit
def open_stream(state, seed, row):  # type: ignore[no-untyped-def]
    state[0] = mixed(np.uint64(seed) + np.uint64(row + 1) * np.uint64(0xD1342543DE82EF95))


# -- moves ------------------------------------------------------------------------------------------------------------


@njit
def geometric(state, mean, most):  # type: ignore[no-untyped-def]
    """A length of at least 1 with this mean (before it is cut off at ``most``)."""
    if mean <= 1.0 or most <= 1:
        return 1
    length = 1 + np.int64(np.log(1.0 - uniform(state)) / np.log(1.0 - 1.0 / mean))
    return min(max(length, 1), most)


@njit
def reassign(row, columns, options, effect, slope, tries, sharpness, explore, gains, picks, state):  # type: ignore[no-untyped-def] # fmt: skip
    """One to four entries take other options: random ones, or one of several by remembered gains.

    A candidate of gain g is taken with a probability proportional to exp(sharpness g / mean |g|).
    """
    times = 1
    while times < _FOUR and uniform(state) < 0.4:
        times += 1
    quantities = slope.shape[0]
    for _ in range(times):
        count = 1 if uniform(state) < explore else tries
        size = 0.0
        for k in range(count):
            place = below(state, columns.shape[0])
            column = columns[place]
            old = np.int64(row[column])
            new = old + 1 + below(state, options[place] - 1)
            if new >= options[place]:
                new -= options[place]
            picks[k, 0], picks[k, 1] = column, new
            gain = 0.0
            if count > 1:
                for q in range(quantities):
                    gain += slope[q] * (effect[column, old, q] - effect[column, new, q])
            gains[k] = gain
            size += abs(gain)
        chosen = 0
        if count > 1 and size > 0.0:
            factor, top = sharpness * count / size, gains[0]
            for k in range(1, count):
                top = max(top, gains[k])
            total = 0.0
            for k in range(count):
                weight = np.exp(factor * (gains[k] - top))
                total += weight
                if uniform(state) * total < weight:
                    chosen = k
        row[picks[chosen, 0]] = picks[chosen, 1]


@njit
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


@njit
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


@njit
def set_run(row, start, width, options, state):  # type: ignore[no-untyped-def]
    """A run of entries takes one code."""
    length = geometric(state, max(2.0, width / 6.0), width)
    low = start + below(state, width) - length // 2
    value = np.float64(below(state, options))
    for j in range(max(low, start), min(low + length, start + width)):
        row[j] = value


@njit
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


@njit
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


@njit
def digest_of(row, keys, real):  # type: ignore[no-untyped-def]
    """As `Designs.digest`, from flat codes; ``real`` (width,): columns whose bits count."""
    total = np.uint64(0x9E3779B97F4A7C15)
    for j in range(row.shape[0]):
        word = np.uint64(np.int64(row[j]))
        if real[j]:
            word = mixed(np.float64(row[j] + 0.0).view(np.uint64))
        total += word * keys[j]
    return mixed(total)


@njit
def propose(seed, lo, hi, turn, shares, codes, objectives, slopes, columns, options, lanes, spans, whole, effect, rules, members, low, scale, table, keys, real, out, kind, digests):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Neighbours of chains into ``out`` (n, width), row r of chain (turn + r) mod C; ``kind`` and ``digests`` (n,).

    shares (6,) cumulative; codes (C, width) and objectives (C, M); slopes (C, Q); columns, options (E,); lanes (L, 3)
    start, width, options of long choices; spans (V, 2); whole (V,); effect (width, K, Q); rules: see
    `pgsam_moves.Rules`; low, scale, table: see `promising` (an empty table lets all pass).
    """
    state = np.empty(1, np.uint64)
    tries, attempts = np.int64(rules[0]), np.int64(rules[4]) if table.shape[0] else 1
    gains, picks, guess = np.empty(tries), np.empty((tries, 2), np.int64), np.empty(objectives.shape[1])
    for r in range(lo, hi):
        open_stream(state, seed, r)
        c, row, which = (turn + r) % codes.shape[0], out[r], 0
        for attempt in range(attempts):
            u, which = uniform(state), 0
            for j in range(row.shape[0]):
                row[j] = codes[c, j]
            while which < MUTATE and u >= shares[which]:
                which += 1
            if which == REASSIGN:
                reassign(row, columns, options, effect, slopes[c], tries, rules[1], rules[2], gains, picks, state)
            elif which == COPY:
                copy_run(row, members[below(state, members.shape[0])], spans, whole, rules[3], state)
            elif which != MUTATE:
                lane = below(state, lanes.shape[0])
                start, width = lanes[lane, 0], lanes[lane, 1]
                if which == CUT:
                    shift_cut(row, start, width, state)
                elif which == SWAP:
                    swap(row, start, width, state)
                else:
                    set_run(row, start, width, lanes[lane, 2], state)
            if which == MUTATE or attempt + 1 == attempts:
                break
            if promising(row, codes[c], objectives[c], effect, columns, low, scale, table, guess):
                break
        kind[r] = which
        digests[r] = digest_of(row, keys, real)


# -- designs asked before ---------------------------------------------------------------------------------------------


@njit
def slot(table, digest):  # type: ignore[no-untyped-def]
    """Where ``digest`` is, or would be, in an open table whose size is a power of two; 0 is an empty place."""
    mask = np.uint64(table.shape[0] - 1)
    at = digest & mask
    while table[at] != np.uint64(0) and table[at] != digest:
        at = (at + np.uint64(1)) & mask
    return at


@njit
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


@njit
def freshen(seed, codes, columns, options, keys, real, seen, batch, again, digests):  # type: ignore[no-untyped-def]
    """Rows that were asked before, or twice in this batch, get random changes until they are new (six at most).

    ``columns`` empty: nothing is changed, ``again`` (n,) says which rows are old. ``batch``: an empty table.
    """
    state = np.empty(1, np.uint64)
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


# -- what was told ----------------------------------------------------------------------------------------------------


@njit
def energy(objectives, violation, weights, low, span, corner, feasible):  # type: ignore[no-untyped-def]
    """As `Scale.energy`, of one design."""
    count, most, total = objectives.shape[0], -np.inf, 0.0
    for m in range(count):
        weighted = weights[m] * ((objectives[m] - low[m]) / span[m])
        most = max(most, weighted)
        total += weighted
    g = corner * np.sqrt(np.float64(count)) * most + (1.0 - corner) * total
    if not feasible:
        return violation + 0.01 * g
    return g + weights[count] * violation


@njit
def learn(before, after, change, columns, effect, rate, changed):  # type: ignore[no-untyped-def]
    """Normalised least mean squares on one told move: ``change`` (Q,) is what it did, ``effect`` (width, K, Q).

    ``changed`` (E,) is used up.
    """
    count, most = 0, max(4, columns.shape[0] // 4)
    for e in range(columns.shape[0]):
        if before[columns[e]] != after[columns[e]]:
            if count == most:
                return
            changed[count] = columns[e]
            count += 1
    for q in range(change.shape[0] if count else 0):
        predicted = 0.0
        for e in range(count):
            c = changed[e]
            predicted += effect[c, np.int64(after[c]), q] - effect[c, np.int64(before[c]), q]
        step = rate * (change[q] - predicted) / (2.0 * count)
        for e in range(count):
            c = changed[e]
            effect[c, np.int64(after[c]), q] += step
            effect[c, np.int64(before[c]), q] -= step


@njit
def best_for(weights, objectives, violation, low, span, corner, feasible, looks, scaled, state):  # type: ignore[no-untyped-def] # fmt: skip
    """The member of least energy among ``looks`` in a row from a random one on, or all where there are no more.

    Members stand in the order of their digests, so a stretch of them is a random sample. ``scaled`` (M,) is used up.
    """
    m, count = objectives.shape[1], objectives.shape[0]
    total_share, corner_share, strict = 1.0 - corner, corner * np.sqrt(np.float64(m)), weights[m]
    if not feasible:
        total_share, corner_share, strict = 0.01 * total_share, 0.01 * corner_share, 1.0
    for k in range(m):
        scaled[k] = weights[k] / span[k]
    start = below(state, count) if looks < count else 0
    best, least = 0, np.inf
    for step in range(min(looks, count)):
        i = start + step
        if i >= count:
            i -= count
        most, total = -np.inf, 0.0
        for k in range(m):
            weighted = scaled[k] * (objectives[i, k] - low[k])
            most = max(most, weighted)
            total += weighted
        value = corner_share * most + total_share * total + strict * violation[i]
        if value < least:
            best, least = i, value
    return best


@njit
def turn_to(weights, m, state):  # type: ignore[no-untyped-def]
    """Another random direction: Dirichlet(1) weights of the ``m`` objectives."""
    total = 0.0
    for k in range(m):
        weights[k] = -np.log(1.0 - uniform(state))
        total += weights[k]
    for k in range(m):
        weights[k] /= total


@njit
def put(codes, objectives, violation, c, from_codes, from_objectives, from_violation, r):  # type: ignore[no-untyped-def]
    """Chain ``c`` becomes row ``r``."""
    for j in range(codes.shape[1]):
        codes[c, j] = from_codes[r, j]
    for k in range(objectives.shape[1]):
        objectives[c, k] = from_objectives[r, k]
    violation[c] = from_violation[r]


@njit
def anneal(seed, turn, codes, objectives, violation, now_codes, now_objectives, now_violation, weights, low, span, corner, feasible, temperature, momentum, columns, effect, share, turning, looks, members, member_objectives, member_violation):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Each told row against its chain: learn from it, take it or not (Metropolis), go back to the archive or not.

    After its last row of the batch, a chain returns with probability ``share`` to the member that is best along its
    direction among ``looks`` random ones, and before it does so takes another direction with probability ``turning``.
    Chains and ``effect`` are written to.
    """
    state, count, m = np.empty(1, np.uint64), now_codes.shape[0], objectives.shape[1]
    change, scaled, changed = np.empty(m + 1), np.empty(m), np.empty(columns.shape[0], np.int64)
    for r in range(codes.shape[0]):
        open_stream(state, seed, r)
        c = (turn + r) % count
        if momentum > 0.0:
            for k in range(m):
                change[k] = objectives[r, k] - now_objectives[c, k]
            change[m] = violation[r] - now_violation[c]
            learn(now_codes[c], codes[r], change, columns, effect, momentum, changed)
        w = weights[c]
        before = energy(now_objectives[c], now_violation[c], w, low, span, corner, feasible)
        delta = energy(objectives[r], violation[r], w, low, span, corner, feasible) - before
        draw = uniform(state)
        if delta <= 0.0 or (temperature > 0.0 and draw < np.exp(-delta / temperature)):
            put(now_codes, now_objectives, now_violation, c, codes, objectives, violation, r)
        if r + count >= codes.shape[0] and share > 0.0 and uniform(state) < share:
            if c >= m and turning > 0.0 and uniform(state) < turning:
                turn_to(w, m, state)
            to = best_for(w, member_objectives, member_violation, low, span, corner, feasible, looks, scaled, state)
            put(now_codes, now_objectives, now_violation, c, members, member_objectives, member_violation, to)

"""The compiled loops that are told: what chains learn, accept and return to.

Learning runs through a batch in order; what chains do next is for each chain alone, in two threads where there are
many. No function creates an array (`njit_plain`): what they use up comes from the caller.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit_plain
from tradespace.search.streams import below, open_stream, uniform


@njit_plain
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


@njit_plain
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


@njit_plain
def least_between(columns, violation, first, count, scaled, low, shares, best, least):  # type: ignore[no-untyped-def]
    """The member of least energy among ``count`` from ``first`` on, if below ``least``, else ``best``; with its energy.

    ``shares``: of the weighted maximum, the weighted sum and the violation; ``scaled`` (M,): weights over spans.
    """
    for i in range(first, first + count):
        most, total = -np.inf, 0.0
        for k in range(columns.shape[0]):
            weighted = scaled[k] * (columns[k, i] - low[k])
            most = max(most, weighted)
            total += weighted
        value = shares[0] * most + shares[1] * total + shares[2] * violation[i]
        if value < least:
            best, least = i, value
    return best, least


@njit_plain
def best_for(weights, columns, violation, low, span, corner, feasible, looks, scaled, state):  # type: ignore[no-untyped-def] # fmt: skip
    """The member of least energy among ``looks`` in a row from a random one on, or all where there are no more.

    Members stand in the order of their digests, so a stretch of them is a random sample. ``scaled`` (M,) is used up.
    """
    m, count = columns.shape[0], columns.shape[1]
    shares = (corner * np.sqrt(np.float64(m)), 1.0 - corner, weights[m])
    if not feasible:
        shares = (0.01 * shares[0], 0.01 * shares[1], 1.0)
    for k in range(m):
        scaled[k] = weights[k] / span[k]
    start, looks = below(state, count) if looks < count else 0, min(looks, count)
    here = min(looks, count - start)
    best, least = least_between(columns, violation, start, here, scaled, low, shares, 0, np.inf)
    return least_between(columns, violation, 0, looks - here, scaled, low, shares, best, least)[0]


@njit_plain
def turn_to(weights, m, state):  # type: ignore[no-untyped-def]
    """Another random direction: Dirichlet(1) weights of the ``m`` objectives."""
    total = 0.0
    for k in range(m):
        weights[k] = -np.log(1.0 - uniform(state))
        total += weights[k]
    for k in range(m):
        weights[k] /= total


@njit_plain
def learn_all(turn, codes, objectives, violation, now_codes, now_objectives, now_violation, columns, effect, rate, change, changed):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """`learn` from each told row, against the chain that it was proposed from. ``change`` (M + 1,) is used up too."""
    m = objectives.shape[1]
    for r in range(codes.shape[0]):
        c = (turn + r) % now_codes.shape[0]
        for k in range(m):
            change[k] = objectives[r, k] - now_objectives[c, k]
        change[m] = violation[r] - now_violation[c]
        learn(now_codes[c], codes[r], change, columns, effect, rate, changed)


@njit_plain
def settle(seed, lo, hi, turn, codes, objectives, violation, now_codes, now_objectives, now_violation, weights, low, span, corner, feasible, temperature, share, turning, looks, pool, members, member_columns, member_violation, state, scaled):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Told rows lo..hi-1, hi at most C, and all later ones of their chains: take each or not (Metropolis), then go back
    to the archive or not.

    A chain returns with probability ``share`` to the member that is best along its direction among ``looks`` random
    ones, and before it does so takes another direction with probability ``turning``. Chains are written to. state
    (1,) and scaled (M,) are used up.
    """
    count, m = now_codes.shape[0], objectives.shape[1]
    for first in range(lo, hi):
        c, taken = (turn + first) % count, -1
        w = weights[c]
        before = energy(now_objectives[c], now_violation[c], w, low, span, corner, feasible)
        for r in range(first, codes.shape[0], count):
            open_stream(state, seed, r)
            after, draw = energy(objectives[r], violation[r], w, low, span, corner, feasible), uniform(state)
            delta = after - before
            if delta <= 0.0 or (temperature > 0.0 and draw < np.exp(-delta / temperature)):
                before, taken = after, r
        if share > 0.0 and uniform(state) < share:
            if c >= m and turning > 0.0 and uniform(state) < turning:
                turn_to(w, m, state)
            to = best_for(w, member_columns, member_violation, low, span, corner, feasible, looks, scaled, state)
            for j in range(codes.shape[1]):
                now_codes[c, j] = pool[members[to], j]
            for k in range(m):
                now_objectives[c, k] = member_columns[k, to]
            now_violation[c] = member_violation[to]
        elif taken >= 0:
            for j in range(codes.shape[1]):
                now_codes[c, j] = codes[taken, j]
            for k in range(m):
                now_objectives[c, k] = objectives[taken, k]
            now_violation[c] = violation[taken]


@njit_plain
def widen(objectives, low, high):  # type: ignore[no-untyped-def]
    """The range (M,) to (M,) comes to hold the rows (N, M)."""
    for r in range(objectives.shape[0]):
        for k in range(objectives.shape[1]):
            low[k], high[k] = min(low[k], objectives[r, k]), max(high[k], objectives[r, k])

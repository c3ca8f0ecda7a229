"""Compiled ants: assignments and orders built decision by decision with a roulette, from uniforms drawn beforehand.

A decision is a row of a table of weights; it falls on an option with probability weight / sum of the weights that are
left. ``mu`` > 0 mixes two tables: p = (1 - mu) p_colony + mu p_policy, by letting the uniform itself choose the table.
No loop draws numbers, so a plain loop over the same uniforms (`tests/core/search`) builds the same designs.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit

ITEM, POSITION, SUCCESSOR = 0, 1, 2
"""What the row of an order's table is: nothing (one row), the position (in as many bands as there are rows), or the
thing before (row 0: none)."""


@njit
def assign(colony, policy, mu, group, base, fresh, forced, uniform, out):  # type: ignore[no-untyped-def]
    """N assignments of w entries to k options.

    colony, policy (D, w, k) weights; mu in [0, 1]; group (N,) index into D; base (N, w) codes; fresh (N, w): entries
    built anew, the others are base's; forced (N,): an entry that must change, or -1; uniform (N, w); out (N, w) codes.
    """
    ants, width = base.shape
    options = colony.shape[2]
    for a in range(ants):
        for e in range(width):
            out[a, e] = base[a, e]
            if not fresh[a, e]:
                continue
            u, table = uniform[a, e], colony[group[a], e]
            if mu > 0.0:
                if u < mu:
                    u, table = u / mu, policy[group[a], e]
                else:
                    u = (u - mu) / (1.0 - mu)
            skip = base[a, e] if forced[a] == e else -1
            total = 0.0
            for c in range(options):
                if c != skip:
                    total += table[c]
            left, pick = u * total, -1
            for c in range(options):
                if c != skip and table[c] > 0.0:
                    pick = c
                    left -= table[c]
                    if left < 0.0:
                        break
            if pick >= 0:
                out[a, e] = pick


@njit
def row_of(mode, rows, t, n, before):  # type: ignore[no-untyped-def]
    """Row of an order's table for position ``t`` of ``n`` behind ``before`` (-1: none)."""
    if mode == POSITION:
        return t * rows // n
    if mode == SUCCESSOR:
        return before + 1
    return 0


@njit
def arrange(colony, policy, mu, mode, group, base, fresh, uniform, out):  # type: ignore[no-untyped-def]
    """N orders of n things.

    colony, policy (D, R, n) weights; mode: what a row is; group (N,); base (N, n) orders; fresh (N, n): positions that
    are filled anew with the things that stood there, the others keep theirs; uniform (N, n); out (N, n).
    """
    ants, n = base.shape
    rows = colony.shape[1]
    left = np.empty(n, np.int32)
    for a in range(ants):
        count = 0
        for t in range(n):
            if fresh[a, t]:
                left[count] = base[a, t]
                count += 1
        before = -1
        for t in range(n):
            if not fresh[a, t]:
                out[a, t] = base[a, t]
                before = out[a, t]
                continue
            u, table = uniform[a, t], colony[group[a], row_of(mode, rows, t, n, before)]
            if mu > 0.0:
                if u < mu:
                    u, table = u / mu, policy[group[a], row_of(mode, policy.shape[1], t, n, before)]
                else:
                    u = (u - mu) / (1.0 - mu)
            total = 0.0
            for q in range(count):
                total += table[left[q]]
            rest, pick = u * total, count - 1
            for q in range(count):
                rest -= table[left[q]]
                if rest < 0.0:
                    pick = q
                    break
            before = left[pick]
            out[a, t] = before
            count -= 1
            left[pick] = left[count]


@njit
def arrange_gradient(policy, mode, orders, advantage, out):  # type: ignore[no-untyped-def]
    """Adds sum over ants of advantage x d log p(order) / d log weight to ``out`` (R, n); ``policy`` (R, n) are the
    weights of one masked softmax a step, ``orders`` (N, n), ``advantage`` (N,)."""
    ants, n = orders.shape
    rows = policy.shape[0]
    for a in range(ants):
        if advantage[a] == 0.0:
            continue
        before = -1
        for t in range(n):
            row = row_of(mode, rows, t, n, before)
            total = 0.0
            for q in range(t, n):
                total += policy[row, orders[a, q]]
            if total > 0.0:
                scale = advantage[a] / total
                for q in range(t, n):
                    out[row, orders[a, q]] -= scale * policy[row, orders[a, q]]
                out[row, orders[a, t]] += advantage[a]
            before = orders[a, t]

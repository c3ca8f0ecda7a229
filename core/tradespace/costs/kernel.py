"""The compiled loop that prices designs from packed tables: gather, add in a fixed order, finish.

Everything for one design is added entry by entry in index order, so a price does not depend on its batch. Columns of
the packed tables are those of `bind`; rows of the output are the constants below.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.columns import (
    AMBIENT,
    BROKEN,
    CAPACITY,
    COLUMNS,
    CRITICAL,
    ENERGY,
    IDLE,
    LIMIT,
    LOSS,
    MEMORY_ENERGY,
    MOVED,
    RESIDENT,
    RESISTANCE,
    TIME,
    USEFUL,
)
from tradespace.costs.compiled import njit
from tradespace.costs.pressure import kappa
from tradespace.costs.thermal import leakage

OUT_LATENCY, OUT_PERIOD, OUT_ENERGY, OUT_LOSS, OUT_MEMORY, OUT_UNDER, OUT_HOTTEST, OUT_BROKEN, OUT_POWER, OUT_RATE = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
GLOBALS = 10
"""Rows of the output that are there once. Then D rows each of busy, resident, temperature, heat violation, device
capacity violation, kappa, and M rows of memory violation."""
PER_DEVICE = 6

RULE_PIPELINE, RULE_THERMAL, RULE_C, RULE_U0, RULES = 0, 1, 2, 3, 4
"""Entries of `rules`: pipeline schedule, leakage and temperature on, constants of the pressure factor (c = 0: off)."""


@njit
def gather(i, placement, precision, costs, cls, es, ed, ec, edge_time, edge_energy, total, link, pipeline):  # type: ignore[no-untyped-def]
    """Adds design ``i`` into ``total`` (D, COLUMNS) and ``link``: s, J, then s per device."""
    kinds = costs.shape[1] // total.shape[0]
    total[:] = 0.0
    link[:] = 0.0
    for b in range(placement.shape[1]):
        d = placement[i, b]
        row = costs[cls[b], d * kinds + precision[i, b]]
        for c in range(COLUMNS):
            total[d, c] += row[c]
    for e in range(es.shape[0]):
        a = es[e]
        source, dest = placement[i, a], placement[i, ed[e]]
        t = edge_time[ec[e], precision[i, a], source, dest]
        link[0] += t
        link[1] += edge_energy[ec[e], precision[i, a], source, dest]
        if pipeline and source != dest:
            link[2 + source] += t
            link[2 + dest] += t


@njit
def untie(i, placement, precision, ties, saved, home, total):  # type: ignore[no-untyped-def]
    """Takes back what a tied table was counted twice: from the device of the second entry."""
    for t in range(ties.shape[0]):
        a, b = ties[t, 0], ties[t, 1]
        p = precision[i, a]
        if p == precision[i, b] and home[placement[i, a]] == home[placement[i, b]]:
            total[placement[i, b], RESIDENT] -= saved[t, p]


@njit
def price(placement, precision, variant, costs, cls, es, ed, ec, edge_time, edge_energy, ties, saved, home, devices, memories, tokens, rules, out, lo, hi):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Prices designs lo..hi-1 into ``out`` (rows, N).

    placement, precision (N, n) int8; variant (N,) int64 indexes the first axis of costs (K, classes, D * P, COLUMNS),
    edge_time and edge_energy (K, edge classes, P, D, D) and tokens (K,); cls (n,), es, ed, ec (E,) int32; ties (T, 2)
    and saved (T, P); home (D,) the memory of each device; devices (D, DEVICE_COLUMNS); memories (M, 2) capacity and
    bandwidth; rules (RULES,).
    """
    count, stores = devices.shape[0], memories.shape[0]
    total = np.empty((count, COLUMNS))
    link = np.empty(2 + count)
    used = np.empty(stores)
    traffic = np.empty(stores)
    pipeline, thermal = rules[RULE_PIPELINE] > 0.0, rules[RULE_THERMAL] > 0.0
    for i in range(lo, hi):
        k = variant[i]
        gather(i, placement, precision, costs[k], cls, es, ed, ec, edge_time[k], edge_energy[k], total, link, pipeline)
        untie(i, placement, precision, ties, saved, home, total)
        used[:] = 0.0
        traffic[:] = 0.0
        latency, useful, loss, broken, joule, longest = link[0], 0.0, 0.0, 0.0, link[1], 0.0
        for d in range(count):
            used[home[d]] += total[d, RESIDENT]
            traffic[home[d]] += total[d, MOVED]
            latency += total[d, TIME]
            useful += total[d, USEFUL]
            loss += total[d, LOSS]
            broken += total[d, BROKEN]
            joule += total[d, MEMORY_ENERGY]
            longest = max(longest, total[d, TIME] + link[2 + d])
        period = max(latency, 1e-300)  # a job of nothing: no division by zero
        if pipeline:
            period = longest
            for m in range(stores):
                period = max(period, traffic[m] / memories[m, 1])
        memory, hottest = 0.0, 0.0
        for m in range(stores):
            memory += used[m]
            out[GLOBALS + PER_DEVICE * count + m, i] = used[m] / memories[m, 0] - 1.0
        for d in range(count):
            busy, own = total[d, TIME], total[d, ENERGY]
            u = max(total[d, RESIDENT] / devices[d, CAPACITY], used[home[d]] / memories[home[d], 0])
            factor = kappa(u, rules[RULE_C], rules[RULE_U0])
            mean = own / busy if busy > 0.0 else devices[d, IDLE]
            leak = 0.0
            if thermal:
                if busy > 0.0:
                    leak = leakage(mean, devices[d])
                celsius = devices[d, AMBIENT] + devices[d, RESISTANCE] * (mean + leak)
                hot = (celsius - devices[d, AMBIENT]) / (devices[d, LIMIT] - devices[d, AMBIENT]) - 1.0
                if busy > 0.0 and mean > devices[d, CRITICAL] > 0.0:
                    hot = max(hot, mean / devices[d, CRITICAL] - 1.0)
                hottest = max(hottest, celsius)
                out[GLOBALS + 2 * count + d, i] = celsius
                out[GLOBALS + 3 * count + d, i] = hot
            joule += factor * (own + busy * leak) + devices[d, IDLE] * (period - busy)
            out[GLOBALS + d, i] = busy
            out[GLOBALS + count + d, i] = total[d, RESIDENT]
            out[GLOBALS + 4 * count + d, i] = total[d, RESIDENT] / devices[d, CAPACITY] - 1.0
            out[GLOBALS + 5 * count + d, i] = factor
        out[OUT_LATENCY, i] = latency
        out[OUT_PERIOD, i] = period
        out[OUT_ENERGY, i] = joule
        out[OUT_LOSS, i] = loss
        out[OUT_MEMORY, i] = memory
        out[OUT_UNDER, i] = 1.0 - useful / (count * period)
        out[OUT_HOTTEST, i] = hottest
        out[OUT_BROKEN, i] = broken
        out[OUT_POWER, i] = joule / period
        out[OUT_RATE, i] = tokens[k] / period

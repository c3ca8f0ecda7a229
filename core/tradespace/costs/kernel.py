"""The compiled loop that prices designs from packed tables: gather, add in a fixed order, finish.

Everything for one design is added entry by entry in index order, so a price does not depend on its batch. Columns of
the packed tables are in `columns`; rows of the output are the constants below.

Measured on the way: an array view, or a call that takes arrays, costs more than the additions of a design (numba counts
references), so tables are flat and indexed by hand, and each stage takes a tile of designs, whose sums stay in the L1
cache. Output rows must not be a multiple of 4096 B apart, or all of them fall into one set of it (see `Packed.run`).
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.columns import (
    AMBIENT,
    CAPACITY,
    COLUMNS,
    CRITICAL,
    ENERGY,
    IDLE,
    LEAK_TA,
    LIMIT,
    MOVED,
    PER_DEVICE,
    RESIDENT,
    RESISTANCE,
    SCALE,
    TIME,
)
from tradespace.costs.compiled import njit
from tradespace.costs.pressure import kappa
from tradespace.costs.thermal import leakage_of

OUT_LATENCY, OUT_PERIOD, OUT_ENERGY, OUT_LOSS, OUT_MEMORY, OUT_UNDER, OUT_HOTTEST, OUT_BROKEN, OUT_POWER, OUT_RATE = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
GLOBALS = 10
"""Rows of the output that are there once; then D rows of each group below, then M rows of memory violation."""

OUT_BUSY, OUT_RESIDENT, OUT_KELVIN, OUT_HOT = 0, 1, 2, 3
GROUPS = 4
"""Groups of one row a device: s, B, K and violation of temperature (the last two only with leakage on)."""

RULE_PIPELINE, RULE_THERMAL, RULE_C, RULE_U0, RULES = 0, 1, 2, 3, 4
"""Entries of `rules`: pipeline schedule, leakage and temperature on, constants of the pressure factor (c = 0: off)."""


TILE = 64
"""Designs that go through the stages together."""

USED = 2
"""Columns of a tile's `flow`: latency, period; from here on the bytes used in each memory."""


@njit
def add_entries(lo, hi, placement, precision, variant, costs, each, offset, kinds, total, common):  # type: ignore[no-untyped-def]
    """Entries of designs lo..hi-1: per device into ``total`` (TILE, D * PER_DEVICE), the rest into ``common``."""
    for i in range(lo, hi):
        j = i - lo
        start = variant[i] * each
        useful, loss, joule, broken = 0.0, 0.0, 0.0, 0.0
        for c in range(total.shape[1]):
            total[j, c] = 0.0
        for b in range(offset.shape[0]):
            d = np.int64(placement[i, b])
            row = start + offset[b] + (d * kinds + precision[i, b]) * COLUMNS
            at = d * PER_DEVICE
            t, e, w, q = costs[row], costs[row + 1], costs[row + 2], costs[row + 3]
            useful += costs[row + 4]
            loss += costs[row + 5]
            joule += costs[row + 6]
            broken += costs[row + 7]
            total[j, at] += t
            total[j, at + 1] += e
            total[j, at + 2] += w
            total[j, at + 3] += q
        common[j, 0], common[j, 1], common[j, 2], common[j, 3] = useful, loss, joule, broken


@njit
def add_links(lo, hi, placement, precision, variant, links, each, edges, count, pipeline, link):  # type: ignore[no-untyped-def]
    """Transfers of designs lo..hi-1 into ``link`` (TILE, 2 + D): s, J, then s per device (pipeline only)."""
    for i in range(lo, hi):
        j = i - lo
        start = variant[i] * each
        t, joule = 0.0, 0.0
        for c in range(link.shape[1]):
            link[j, c] = 0.0
        for e in range(edges.shape[0]):
            a = edges[e, 0]
            source, dest = np.int64(placement[i, a]), np.int64(placement[i, edges[e, 1]])
            at = start + edges[e, 2] + ((precision[i, a] * count + source) * count + dest) * 2
            t += links[at]
            joule += links[at + 1]
            if pipeline and source != dest:
                link[j, 2 + source] += links[at]
                link[j, 2 + dest] += links[at]
        link[j, 0], link[j, 1] = t, joule


@njit
def untie(lo, hi, placement, precision, ties, saved, home, total):  # type: ignore[no-untyped-def]
    """Takes back what a tied table was counted twice: from the device of the second entry."""
    for i in range(lo, hi):
        for t in range(ties.shape[0]):
            a, b = ties[t, 0], ties[t, 1]
            p = precision[i, a]
            if p == precision[i, b] and home[placement[i, a]] == home[placement[i, b]]:
                total[i - lo, placement[i, b] * PER_DEVICE + RESIDENT] -= saved[t, p]


@njit
def settle(lo, hi, total, link, home, memories, pipeline, flow, out):  # type: ignore[no-untyped-def]
    """Latency, period and use of the memories into ``flow`` (TILE, USED + M), and their rows of ``out``."""
    count, stores = home.shape[0], memories.shape[0]
    traffic = np.empty(stores)
    for i in range(lo, hi):
        j = i - lo
        for m in range(stores):
            flow[j, USED + m] = 0.0
            traffic[m] = 0.0
        latency, longest, memory = link[j, 0], 0.0, 0.0
        for d in range(count):
            at = d * PER_DEVICE
            flow[j, USED + home[d]] += total[j, at + RESIDENT]
            traffic[home[d]] += total[j, at + MOVED]
            latency += total[j, at + TIME]
            longest = max(longest, total[j, at + TIME] + link[j, 2 + d])
        period = latency
        if pipeline:
            period = longest
            for m in range(stores):
                period = max(period, traffic[m] / memories[m, 1])
        for m in range(stores):
            memory += flow[j, USED + m]
            out[GLOBALS + GROUPS * count + m, i] = flow[j, USED + m] / memories[m, 0] - 1.0
        flow[j, 0], flow[j, 1] = latency, max(period, 1e-300)  # a job of nothing: no division by zero
        out[OUT_LATENCY, i], out[OUT_PERIOD, i], out[OUT_MEMORY, i] = latency, flow[j, 1], memory


@njit
def heat(lo, hi, d, total, devices, leak, out):  # type: ignore[no-untyped-def]
    """W of leakage of device ``d`` into ``leak`` (TILE,), and its rows of ``out``: K and violation."""
    count, at = devices.shape[0], d * PER_DEVICE
    ambient, resistance, limit = devices[d, AMBIENT], devices[d, RESISTANCE], devices[d, LIMIT]
    scale, critical, leaked, idle = devices[d, SCALE], devices[d, CRITICAL], devices[d, LEAK_TA], devices[d, IDLE]
    for i in range(lo, hi):
        busy, own = total[i - lo, at + TIME], total[i - lo, at + ENERGY]
        mean, extra = idle, 0.0
        if busy > 0.0:
            mean = own / busy
            extra = leakage_of(mean, leaked, resistance, scale, critical)
        rise = resistance * (mean + extra)
        hot = rise / (limit - ambient) - 1.0
        if busy > 0.0 and mean > critical > 0.0:
            hot = max(hot, mean / critical - 1.0)
        leak[i - lo] = extra
        out[GLOBALS + OUT_KELVIN * count + d, i] = ambient + rise
        out[GLOBALS + OUT_HOT * count + d, i] = hot
        out[OUT_HOTTEST, i] = max(out[OUT_HOTTEST, i] if d > 0 else 0.0, ambient + rise)


@njit
def spend(lo, hi, d, total, flow, home, devices, memories, c, u0, leak, joule, out):  # type: ignore[no-untyped-def]
    """J of device ``d``, at work and waiting, added to ``joule`` (TILE,), and its other rows of ``out``."""
    count, at, store = devices.shape[0], d * PER_DEVICE, home[d]
    capacity, shared, idle = devices[d, CAPACITY], memories[store, 0], devices[d, IDLE]
    for i in range(lo, hi):
        j = i - lo
        busy, resident, factor = total[j, at + TIME], total[j, at + RESIDENT], 1.0
        if c > 0.0:
            factor = kappa(max(resident / capacity, flow[j, USED + store] / shared), c, u0)
        joule[j] += factor * (total[j, at + ENERGY] + busy * leak[j]) + idle * (flow[j, 1] - busy)
        out[GLOBALS + OUT_BUSY * count + d, i] = busy
        out[GLOBALS + OUT_RESIDENT * count + d, i] = resident


@njit
def price(placement, precision, variant, costs, offset, links, edges, ties, saved, home, devices, memories, tokens, rules, out, lo, hi):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Prices designs lo..hi-1 into ``out`` (rows, >= hi).

    placement, precision (N, n) int8; variant (N,) int64 is the sample count k of each design. costs is a flat
    (K, classes, D, P, COLUMNS) and offset (n,) int64 where each entry's class begins; links is a flat
    (K, classes, P, D, D, 2) of s and J and edges (E, 3) int64 source, dest, where the class begins; ties (T, 2) and
    saved (T, P); home (D,) the memory of each device; devices (D, DEVICE_COLUMNS); memories (M, 2) capacity and
    bandwidth; tokens (K,); rules (RULES,).
    """
    count, kinds = devices.shape[0], saved.shape[1]
    total, common = np.empty((TILE, count * PER_DEVICE)), np.empty((TILE, COLUMNS - PER_DEVICE))
    link, flow = np.empty((TILE, 2 + count)), np.empty((TILE, USED + memories.shape[0]))
    leak, joule = np.zeros(TILE), np.empty(TILE)
    costs_each, links_each = costs.shape[0] // tokens.shape[0], links.shape[0] // tokens.shape[0]
    pipeline, thermal = rules[RULE_PIPELINE] > 0.0, rules[RULE_THERMAL] > 0.0
    for first in range(lo, hi, TILE):
        last = min(first + TILE, hi)
        add_entries(first, last, placement, precision, variant, costs, costs_each, offset, kinds, total, common)
        add_links(first, last, placement, precision, variant, links, links_each, edges, count, pipeline, link)
        untie(first, last, placement, precision, ties, saved, home, total)
        settle(first, last, total, link, home, memories, pipeline, flow, out)
        joule[:] = link[:, 1] + common[:, 2]
        for d in range(count):
            if thermal:
                heat(first, last, d, total, devices, leak, out)
            spend(first, last, d, total, flow, home, devices, memories, rules[RULE_C], rules[RULE_U0], leak, joule, out)
        for i in range(first, last):
            j = i - first
            period = flow[j, 1]
            out[OUT_ENERGY, i] = joule[j]
            out[OUT_LOSS, i] = common[j, 1]
            out[OUT_UNDER, i] = 1.0 - common[j, 0] / (count * period)
            out[OUT_BROKEN, i] = common[j, 3]
            out[OUT_POWER, i] = joule[j] / period
            out[OUT_RATE, i] = tokens[variant[i]] / period

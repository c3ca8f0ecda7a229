"""The compiled loop of flow graphs: sizes, rates, rejections, power and delay of every design, node by node."""

from __future__ import annotations

import math

from tradespace.costs.compiled import njit, njit_plain

NONE, GAUSSIAN, POINT, CURVE = range(4)
"""Kinds of classifiers."""
TOTALS = OP_POWER, LINK_POWER, TRUE_POSITIVE, FALSE_POSITIVE, TRUE_NEGATIVE, FALSE_NEGATIVE, UNITS, LINKS, LATENCY = (
    tuple(range(9))
)
"""Rows of the totals of a design."""
PER_NODE = POWER, RATE, SIZE, TRUE_SHARE, FALSE_SHARE = tuple(range(5))
"""Rows of what a design does at a node: W, Hz out, B out, shares of positives and of negatives that pass."""
_HALVINGS = 80  # from 100 standard deviations to the last bit


@njit_plain
def _cut(value, whole):  # type: ignore[no-untyped-def]
    return math.floor(value) if whole else value


@njit_plain
def _below(x):  # type: ignore[no-untyped-def]
    """Normal distribution function."""
    return 0.5 * math.erfc(-x * 0.7071067811865476)


@njit_plain
def _gaussian(negative, positive, reject, separation, spread):  # type: ignore[no-untyped-def]
    """(F0, F1) at the threshold that rejects the share ``reject`` of the mixture: bisection, as it never falls."""
    low, high = min(-50.0, separation - 50.0 * spread), max(50.0, separation + 50.0 * spread)
    wanted = reject * (negative + positive)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if negative * _below(middle) + positive * _below((middle - separation) / spread) < wanted:
            low = middle
        else:
            high = middle
    return _below(high), _below((high - separation) / spread)


@njit_plain
def _curve(negative, positive, reject, f0, f1, first, last):  # type: ignore[no-untyped-def]
    """(F0, F1) where a table of points, linear in between, rejects the share ``reject`` of the mixture."""
    wanted = reject * (negative + positive)
    low, high = first, last - 1
    while high - low > 1:
        middle = (low + high) // 2
        if negative * f0[middle] + positive * f1[middle] < wanted:
            low = middle
        else:
            high = middle
    under = negative * f0[low] + positive * f1[low]
    over = negative * f0[high] + positive * f1[high]
    part = min(max((wanted - under) / (over - under), 0.0), 1.0) if over > under else 1.0
    return f0[low] + part * (f0[high] - f0[low]), f1[low] + part * (f1[high] - f1[low])


@njit_plain
def _kills(i, judge, negative, positive, ratio, skill, f0, f1, span):  # type: ignore[no-untyped-def]
    """(F0, F1): the shares of negatives and of positives that the classifier of node ``i`` rejects at ``ratio``."""
    reject = 1.0 - 1.0 / ratio
    if judge[i] == GAUSSIAN:
        return _gaussian(negative, positive, reject, skill[i, 0], skill[i, 1])
    if judge[i] == POINT:
        return skill[i, 0], skill[i, 1]
    return _curve(negative, positive, reject, f0, f1, span[i, 0], span[i, 1])


@njit_plain
def _born(rate, relevant, overall, whole):  # type: ignore[no-untyped-def]
    """(negatives, positives) a second of a source; negative ``relevant``: one in ``overall``."""
    positive = rate * relevant if relevant >= 0.0 else rate / overall
    return _cut(rate - positive, whole), _cut(positive, whole)


@njit_plain
def _arrived(negative, positive, size, streams, fragments, whole):  # type: ignore[no-untyped-def]
    """(negatives, positives, B of a message) at a stage, from what its inputs sent."""
    if streams:
        return negative, positive, size / (positive + negative) if positive + negative > 0.0 else 0.0
    return _cut(negative / fragments, whole), _cut(positive / fragments, whole), size


@njit_plain
def _chained(ratio, parent, product):  # type: ignore[no-untyped-def]
    """The product of ratios (n,) from each node on; parents stand behind."""
    for i in range(len(parent) - 1, -1, -1):
        product[i] = ratio[i] * (product[parent[i]] if parent[i] >= 0 else 1.0)


@njit
def price_flow(  # type: ignore[no-untyped-def]
    parent, fragments, streams, weight, born, own, reduction, kept, work, judge, skill, span, f0, f1,
    relevant, whole, joule, second, slots, link_joule, link_second, link_rate, ratio, device, link, smart,
    totals, nodes, low, high,
):  # fmt: skip
    """Prices designs [low, high).

    Args:
        parent: (n,) receiver of each node, which stands behind it; -1 for the last.
        fragments: (n,) inputs of each node; streams: (n,) whether their rates add up.
        weight: (n,) see `tradespace.workloads.flow.path_weights`.
        born: (n,) Hz, 0 for stages; own: (n,) B; reduction: (n,) share that smart sensors save; kept: (n,) 1 -
            compression.
        work: (n, 4) coefficients of operations. judge: (n,) kind of classifier; skill: (n, 2); span: (n, 2) rows of
            f0 and f1.
        relevant: share of relevant messages, negative: one in the product of the ratios on the way.
        joule, second: (n, D) of an operation on a device, which does (D,) ``slots`` messages at a time.
        link_joule, link_second, link_rate: (n, L) J/B, s and B/s of what a node sends.
        ratio: (N, n); device, link: (N, n) codes; smart: (N, n) shares of sensors that are smart.
        totals: (9, N) and nodes: (5, N, n), filled.
    """
    n = len(parent)
    for d in range(low, high):
        size, negative, positive, fast, delay = (nodes[SIZE, d], nodes[POWER, d], nodes[RATE, d],
                                                 nodes[TRUE_SHARE, d], nodes[FALSE_SHARE, d])  # fmt: skip
        size[:], negative[:], positive[:], fast[:], delay[:] = 0.0, 0.0, 0.0, 0.0, 0.0
        op_power, link_power, units, links = 0.0, 0.0, 0.0, 0.0
        kill_negative, kill_positive = 0.0, 0.0
        _chained(ratio[d], parent, fast)  # kept there until a node is visited
        for i in range(n):
            if born[i] > 0.0:
                bad, good = _born(born[i], relevant, fast[i], whole)
                message = own[i] * (1.0 - reduction[i] * smart[d, i])
            else:
                bad, good, message = _arrived(negative[i], positive[i], size[i], streams[i], fragments[i], whole)
                message += own[i]
            rate = good + bad
            operations = work[i, 0] + message * (work[i, 1] + message * (work[i, 2] + message * work[i, 3]))
            power = joule[i, device[d, i]] * operations * rate
            busy = second[i, device[d, i]] * operations
            op_power += power
            units += busy * rate / slots[device[d, i]]
            waited = delay[i] + busy
            kill0, kill1 = 0.0, 0.0
            if judge[i] != NONE and ratio[d, i] > 1.0:
                kill0, kill1 = _kills(i, judge, bad, good, ratio[d, i], skill, f0, f1, span)
                kill_negative += weight[i] * _cut(bad * kill0, whole)
                kill_positive += weight[i] * _cut(good * kill1, whole)
                bad, good = _cut(bad * (1.0 - kill0), whole), _cut(good * (1.0 - kill1), whole)
            message *= kept[i]
            to = parent[i]
            if to >= 0:
                j = link[d, i]
                flow = message * (good + bad)
                link_power += link_joule[i, j] * flow
                links += flow / link_rate[i, j]
                waited += link_second[i, j]
                size[to] += flow if streams[to] else message
                negative[to] += bad
                positive[to] += good
                delay[to] = max(delay[to], waited)
            else:
                totals[TRUE_POSITIVE, d], totals[FALSE_POSITIVE, d] = good, bad
                totals[LATENCY, d] = waited
            nodes[POWER, d, i], nodes[RATE, d, i], nodes[SIZE, d, i] = power, good + bad, message
            nodes[TRUE_SHARE, d, i], nodes[FALSE_SHARE, d, i] = 1.0 - kill1, 1.0 - kill0
        totals[OP_POWER, d], totals[LINK_POWER, d], totals[UNITS, d], totals[LINKS, d] = (
            op_power, link_power, units, links,
        )  # fmt: skip
        totals[TRUE_NEGATIVE, d], totals[FALSE_NEGATIVE, d] = kill_negative, kill_positive

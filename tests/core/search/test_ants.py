"""Ants: the compiled construction against a plain one over the same uniforms, its law, and the slope of its law."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tradespace.search import ants


def roulette(weights: list[float], options: list[int], u: float) -> int:
    """Position in ``options`` that a plain roulette takes."""
    rest = u * sum(weights[o] for o in options)
    for at, option in enumerate(options):
        rest -= weights[option]
        if rest < 0:
            return at
    return len(options) - 1


def mixed(mu: float, u: float, colony: list[float], policy: list[float]) -> tuple[list[float], float]:
    if mu > 0:
        return (policy, u / mu) if u < mu else (colony, (u - mu) / (1 - mu))
    return colony, u


def plain_assign(colony, policy, mu, group, base, fresh, forced, uniform):  # type: ignore[no-untyped-def]
    out = base.copy()
    for a, e in itertools.product(*map(range, base.shape)):
        if fresh[a, e]:
            weights, u = mixed(mu, uniform[a, e], list(colony[group[a], e]), list(policy[group[a], e]))
            options = [c for c in range(len(weights)) if not (forced[a] == e and c == base[a, e])]
            out[a, e] = options[roulette(weights, options, u)] if options else base[a, e]
    return out


def plain_arrange(colony, policy, mu, mode, group, base, fresh, uniform):  # type: ignore[no-untyped-def]
    out, n = base.copy(), base.shape[1]
    for a in range(len(base)):
        left, before = [int(t) for t, f in zip(base[a], fresh[a], strict=True) if f], -1
        for t in range(n):
            if fresh[a, t]:
                rows = [t * len(x[group[a]]) // n if mode == ants.POSITION else before + 1 for x in (colony, policy)]
                rows = [0, 0] if mode == ants.ITEM else rows
                weights, u = mixed(mu, uniform[a, t], colony[group[a], rows[0]], policy[group[a], rows[1]])
                at = roulette(list(weights), left, u)
                out[a, t] = left[at]
                left[at] = left[-1]
                left.pop()
            before = int(out[a, t])
    return out


@pytest.mark.parametrize("mu", [0.0, 0.4])
def test_assignments_equal_the_plain_loop(mu: float) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, w, k, d = 7, int(rng.integers(1, 9)), int(rng.integers(1, 6)), 2
        colony, policy = rng.random((d, w, k)) + 1e-3, rng.random((d, w, k)) + 1e-3
        group, base = rng.integers(0, d, n), rng.integers(0, k, (n, w)).astype(np.int32)
        fresh, uniform = rng.random((n, w)) < 0.6, rng.random((n, w))
        forced = np.where(rng.random(n) < 0.5, rng.integers(0, w, n), -1)
        out = np.empty_like(base)
        ants.assign(colony, policy, mu, group, base, fresh, forced, uniform, out)
        assert np.array_equal(out, plain_assign(colony, policy, mu, group, base, fresh, forced, uniform))
        rows = np.flatnonzero(forced >= 0)
        must = fresh[rows, forced[rows]] & (k > 1)
        assert (out[rows, forced[rows]] != base[rows, forced[rows]])[must].all()


@pytest.mark.parametrize("mode", [ants.ITEM, ants.POSITION, ants.SUCCESSOR])
@pytest.mark.parametrize("mu", [0.0, 0.4])
def test_orders_equal_the_plain_loop(mode: int, mu: float) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, things, d = 6, int(rng.integers(1, 10)), 2
        rows = {ants.ITEM: 1, ants.POSITION: int(rng.integers(1, things + 1)), ants.SUCCESSOR: things + 1}[mode]
        colony, policy = rng.random((d, rows, things)) + 1e-3, rng.random((d, rows, things)) + 1e-3
        base = rng.permuted(np.tile(np.arange(things, dtype=np.int32), (n, 1)), axis=1)
        group, fresh, uniform = rng.integers(0, d, n), rng.random((n, things)) < 0.7, rng.random((n, things))
        out = np.empty_like(base)
        ants.arrange(colony, policy, mu, mode, group, base, fresh, uniform, out)
        assert np.array_equal(out, plain_arrange(colony, policy, mu, mode, group, base, fresh, uniform))
        assert np.array_equal(np.sort(out, axis=1), np.sort(base, axis=1))
        assert np.array_equal(out[~fresh], base[~fresh])


def probability(weights: np.ndarray, order: tuple[int, ...], mode: int) -> float:
    """Chance of an order, step by step."""
    p, before = 1.0, -1
    for t, thing in enumerate(order):
        row = {ants.ITEM: 0, ants.POSITION: t * len(weights) // len(order), ants.SUCCESSOR: before + 1}[mode]
        p *= weights[row, thing] / sum(weights[row, other] for other in order[t:])
        before = thing
    return p


def test_orders_come_as_often_as_their_weights_say() -> None:
    rng = np.random.default_rng(1)
    weights, count = rng.uniform(0.2, 2, (5, 4)), 40_000
    base = np.tile(np.arange(4, dtype=np.int32), (count, 1))
    out = np.empty_like(base)
    ants.arrange(
        weights[None], weights[None], 0.0, ants.SUCCESSOR, np.zeros(count, int), base, np.ones((count, 4), bool),
        rng.random((count, 4)), out,
    )  # fmt: skip
    for order in itertools.permutations(range(4)):
        share = float((out == np.array(order)).all(axis=1).mean())
        expected = probability(weights, order, ants.SUCCESSOR)
        assert abs(share - expected) < 5 * np.sqrt(expected / count)


@pytest.mark.parametrize("mode", [ants.ITEM, ants.POSITION, ants.SUCCESSOR])
def test_the_gradient_is_the_slope_of_the_log_probability(mode: int) -> None:
    rng = np.random.default_rng(2)
    n = 4
    rows = {ants.ITEM: 1, ants.POSITION: 3, ants.SUCCESSOR: n + 1}[mode]
    logits = rng.normal(size=(rows, n))
    orders = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (3, 1)), axis=1)
    advantage, slope = rng.normal(size=3), np.zeros((rows, n))
    ants.arrange_gradient(np.exp(logits), mode, orders, advantage, slope)

    def value(x: np.ndarray) -> float:
        chances = [probability(np.exp(x), tuple(o), mode) for o in orders.tolist()]
        return float(advantage @ np.log(chances))

    for row, thing in itertools.product(range(rows), range(n)):
        step = np.zeros_like(logits)
        step[row, thing] = 1e-5
        numeric = (value(logits + step) - value(logits - step)) / 2e-5
        assert slope[row, thing] == pytest.approx(numeric, abs=1e-6)

"""AUC, information, rank correlation and errors against definitions, and intervals against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.costs.quality import auc, information, nrmse, ranks, share, spearman
from tradespace.costs.readouts import Perceptron, delayed, echo_states, logistic, ridge, with_bias

RNG = np.random.default_rng


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = RNG(0)
    scores, labels = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels] for n in scores[~labels]]
    assert auc(scores, labels).value == pytest.approx(np.mean(pairs))


def test_auc_without_a_class_knows_nothing() -> None:
    found = auc(np.arange(5.0), np.ones(5, bool))
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_auc_intervals_hold_the_truth_19_times_in_20() -> None:
    rng = RNG(1)
    held = 0
    for _ in range(400):
        labels = rng.random(300) < 0.3
        found = auc(rng.standard_normal(300) + 1.0 * labels, labels)
        held += found.low <= 0.7602 <= found.high  # Phi(1 / sqrt 2)
    assert 0.91 < held / 400 < 0.99


def test_information_of_a_copy_of_a_coin_is_one_bit_and_of_noise_none() -> None:
    rng = RNG(2)
    labels = rng.random(20_000) < 0.5
    assert information(labels.astype(float), labels).value == pytest.approx(1.0, abs=0.001)
    noise = information(rng.random(20_000), labels)
    assert noise.low == 0.0
    assert noise.high < 0.001


def test_information_never_exceeds_the_bound_in_noise_much_more_than_one_time_in_20() -> None:
    rng = RNG(3)
    above = 0
    for _ in range(200):
        labels = rng.random(500) < 0.5
        above += information(rng.random(500), labels).value > information(rng.random(500), labels).high
    assert above < 20


def test_ranks_and_spearman() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0])).tolist() == [2.5, 1.0, 2.5]
    x = np.arange(50.0)
    assert spearman(x, x**3).value == pytest.approx(1.0)
    assert spearman(x, np.ones(50)).value == 0.0
    low = spearman(RNG(4).random(1000), RNG(5).random(1000))
    assert low.low < 0 < low.high


def test_shares_and_errors() -> None:
    assert share(0, 30).high == pytest.approx(0.1135, abs=1e-3)
    y = RNG(6).random(100)
    assert nrmse(y, np.full(100, y.mean())) == pytest.approx(1.0)
    assert nrmse(np.ones(3), np.ones(3)) == 0.0


def test_ridge_is_the_minimum() -> None:
    rng = RNG(7)
    x, y = rng.standard_normal((50, 4)), rng.standard_normal(50)

    def loss(w: np.ndarray) -> float:
        return float(((x @ w - y) ** 2).sum() + 0.5 * (w**2).sum())

    w = ridge(x, y, 0.5)
    assert all(loss(w + step) > loss(w) for step in 1e-3 * rng.standard_normal((20, 4)))


def test_learners_find_what_is_there() -> None:
    rng = RNG(8)
    x = rng.integers(0, 2, (4000, 8)).astype(np.uint8)
    linear, parity = (x[:, 0] + x[:, 1] + rng.random(4000)) > 1.5, (x[:, 0] ^ x[:, 1]).astype(bool)
    assert auc(logistic(x, linear)(x), linear).value > 0.85
    assert auc(logistic(x, parity)(x), parity).value < 0.55
    assert auc(Perceptron(epochs=30, batch=64).fit(x, parity, RNG(9))(x), parity).value > 0.95


def test_delays_and_states() -> None:
    u = np.arange(1.0, 5.0)
    assert delayed(u, np.array([0, 2])).tolist() == [[1, 0], [2, 0], [3, 1], [4, 2]]
    forgets = echo_states(np.ones(300), 20, RNG(0), radius=0.5, scale=0.5)
    assert np.allclose(forgets[-1], forgets[-2], atol=1e-9)
    assert with_bias(np.zeros((2, 1))).tolist() == [[0, 1], [0, 1]]

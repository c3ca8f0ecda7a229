"""Null tests: knowledge passes, noise, leaks into one feature and memoryless predictors do not."""

from __future__ import annotations

import numpy as np
import pytest

from tradespace.costs.readouts import delayed, logistic
from tradespace.errors import InputError
from tradespace.testing import null_classification, null_regression


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    u = rng.random(2000)
    return u, delayed(u, np.arange(3)).sum(axis=1) + 0.1 * rng.standard_normal(2000), rng


def test_memory_beats_every_null() -> None:
    u, y, rng = data()
    report = null_regression(delayed(u, np.arange(3)), u, y, train=1000, rng=rng)
    assert report.passed
    assert report.gain > 0.3
    assert "beats every null" in str(report)


def test_one_delayed_input_beats_only_the_blind_ones() -> None:
    u, y, rng = data()
    report = null_regression(u[:, None], u, y, train=1000, rng=rng)
    assert set(report.beaten) == {"shuffled", "constant"}
    assert "does not beat one tap" in str(report)


def test_noise_beats_nothing() -> None:
    u, y, rng = data()
    report = null_regression(rng.standard_normal((2000, 20)), u, y, train=1000, rng=rng)
    assert report.beaten == ()


def _fit(x: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    return logistic(x, y > 0.5)(other)


def test_classifiers() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4000, 3))
    both, leak, none = x.sum(axis=1) > 0, x[:, 0] > 0, rng.random(4000) < 0.5
    assert null_classification(x, both, train=2000, rng=rng, fit=_fit).passed
    assert "one feature" not in null_classification(x, leak, train=2000, rng=rng, fit=_fit).beaten
    assert null_classification(x, none, train=2000, rng=rng, fit=_fit).beaten == ()


def test_halves_that_are_too_small_are_refused() -> None:
    u, y, rng = data()
    with pytest.raises(InputError, match="both halves"):
        null_regression(u[:, None], u, y, train=1999, rng=rng)
    with pytest.raises(InputError, match="one row a step"):
        null_regression(u[:10, None], u, y, train=5, rng=rng)

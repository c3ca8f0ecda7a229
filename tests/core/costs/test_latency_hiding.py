"""Jobs in flight: closed forms against the timeline engine, limits, and lotteries against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradespace.costs import lottery
from tradespace.costs.latency_hiding import busy_share, simulate


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
@pytest.mark.parametrize("delay", [0.1, 1.0, 3.0])
def test_equal_jobs_against_the_timeline(depth: int, delay: float) -> None:
    jobs = 2000
    finish = simulate(np.ones((jobs, 1)), np.full((jobs, 1), delay), depth)
    seen = jobs / 2 / (finish[-1, 0] - finish[jobs // 2 - 1, 0])
    assert busy_share(1.0, delay, depth, exponential=False)[0] == pytest.approx(seen, rel=0.01)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("delay", [0.2, 1.0, 4.0])
def test_exponential_jobs_against_the_timeline(depth: int, delay: float) -> None:
    rng = np.random.default_rng(0)
    service = rng.exponential(1.0, (4000, 16))
    finish = simulate(service, np.full_like(service, delay), depth)
    seen = (service[2000:].sum(axis=0) / (finish[-1] - finish[1999])).mean()
    assert busy_share(1.0, delay, depth, exponential=True)[0] == pytest.approx(seen, rel=0.015)


def test_a_dialogue_idles_for_the_whole_delay() -> None:
    for exponential in (True, False):
        assert busy_share(4.0, 1.0, 0, exponential=exponential)[0] == pytest.approx(0.8)


def test_limits() -> None:
    assert busy_share(1.0, 0.0, 0, exponential=True)[0] == 1.0
    assert busy_share(1.0, 0.0, 0, exponential=False)[0] == 1.0
    assert busy_share(1e-9, 1e6, 4096, exponential=True)[0] < 1e-9
    assert busy_share(1.0, 1.0, 4096, exponential=True)[0] == pytest.approx(1.0)
    shares = busy_share(1.0, 1.0, np.arange(20), exponential=True)
    assert (np.diff(shares) >= 0).all()


def test_lotteries() -> None:
    assert lottery.chance(1.0) == 2.0**-32
    assert lottery.chance(1e-12) == 1.0
    assert lottery.gap_quantile(2.0, 0.95) == pytest.approx(math.log(20) / 2)
    low, high = lottery.cv_interval(23)
    assert low < 0.959 < high  # a published run of 23 shares is Poisson
    assert 0.55 < low < 0.75 and 1.2 < high < 1.5


def test_rounds_spent() -> None:
    assert lottery.rounds_spent(64, 5, 0.0) == 5
    assert lottery.rounds_spent(64, 5, 1.0) == 64
    assert lottery.rounds_spent(64, 0, 0.0) == 64


def test_gaps_of_a_dialogue() -> None:
    rng = np.random.default_rng(1)
    gaps = rng.exponential(2.0, 200_000) + 1.0
    assert lottery.gap_cv(2.0, 1.0) == pytest.approx(gaps.std() / gaps.mean(), rel=0.01)

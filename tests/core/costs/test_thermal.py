"""The leakage fixed point: roots, monotony, exact detection of runaway."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tradespace.costs import thermal
from tradespace.costs.columns import CRITICAL, LEAK_TA
from tradespace.costs.pressure import KNEE, cpq, kappa

ROW = thermal.constants(ambient=308.0, resistance=1.5, limit=370.0, leak=2.0, reference=323.0, scale=30.0)


def leak_at(kelvin: float) -> float:
    return 2.0 * math.exp((kelvin - 323.0) / 30.0)


def test_roots_satisfy_the_equation_up_to_the_branch_point() -> None:
    for y in np.concatenate([np.geomspace(1e-12, 0.367, 400), 1 / math.e - np.geomspace(1e-14, 1e-3, 60)]):
        x = thermal.solve(y)
        assert 0.0 < x <= 1.0
        assert x * math.exp(-x) == pytest.approx(y, rel=4e-15)


def test_leakage_is_the_lower_fixed_point() -> None:
    for power in np.linspace(0.0, 0.999 * ROW[CRITICAL], 50):
        leak = thermal.leakage(power, ROW[None, :], 0)
        kelvin = 308.0 + 1.5 * (power + leak)
        assert leak_at(kelvin) == pytest.approx(leak, rel=1e-9)
        assert leak * 1.5 / 30.0 < 1.0  # the stable branch: heat grows slower than cooling


def test_runaway_is_detected_exactly() -> None:
    critical = ROW[CRITICAL]

    def survives(power: float) -> bool:
        kelvin = 308.0
        for _ in range(400_000):
            kelvin = 308.0 + 1.5 * (power + leak_at(min(kelvin, 2000.0)))
            if kelvin > 1500.0:
                return False
        return True

    assert survives(critical * (1 - 1e-6)) and not survives(critical * (1 + 1e-6))


def test_leakage_grows_and_is_convex_through_runaway() -> None:
    powers = np.linspace(0.0, 2.0 * ROW[CRITICAL], 4001)
    leaks = np.array([thermal.leakage(p, ROW[None, :], 0) for p in powers])
    assert np.isfinite(leaks).all()
    slopes = np.diff(leaks)
    assert (slopes > 0).all()
    away = np.abs(powers[1:-1] - ROW[CRITICAL]) > powers[1]  # at runaway itself the slope is infinite
    assert (np.diff(slopes)[away] >= -1e-9 * slopes[:-1][away]).all()


def test_no_leakage_and_no_resistance() -> None:
    assert thermal.leakage(50.0, thermal.constants(300.0, 2.0, 370.0, 0.0, 300.0, 30.0)[None, :], 0) == 0.0
    cold = thermal.constants(330.0, 0.0, 370.0, 3.0, 300.0, 30.0)
    assert thermal.leakage(1e6, cold[None, :], 0) == pytest.approx(3.0 * math.e)


def test_a_device_that_runs_away_while_idle_stays_finite() -> None:
    hot = thermal.constants(360.0, 5.0, 370.0, 50.0, 300.0, 20.0)
    assert hot[CRITICAL] < 0
    cold, warm = (thermal.leakage(power, hot[None, :], 0) for power in (0.0, 1.0))
    assert math.isfinite(cold) and warm > cold


def test_pressure() -> None:
    assert cpq(0.0) == 0.0 and cpq(0.5) == 1.0 and cpq(0.9) == pytest.approx(9.0)
    u = np.linspace(0.0, 3.0, 3001)
    factors = np.array([kappa(x, 0.5, 0.7) for x in u])
    assert (factors[u <= 0.7] == 1.0).all()
    assert (np.diff(factors) >= 0).all() and (np.diff(factors)[u[1:] > 0.71] > 0).all()
    assert kappa(0.9, 0.5, 0.7) == pytest.approx(1.2)
    assert kappa(KNEE + 1e-9, 0.5, 0.7) == pytest.approx(kappa(KNEE - 1e-9, 0.5, 0.7), rel=1e-6)
    assert kappa(0.99, 0.0, 0.7) == 1.0


def test_a_reference_far_above_ambient_leaves_no_leakage_and_no_runaway() -> None:
    """exp((298 - 3e8) / 30) underflows to 0; the critical power still has a logarithm."""
    row = thermal.constants(298.15, 0.5, 373.15, 1.0, 3e8, 30.0)
    assert row[LEAK_TA] == 0.0 and np.isfinite(row[CRITICAL]) and row[CRITICAL] > 1e6

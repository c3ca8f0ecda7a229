"""Leakage and temperature: the fixed point of T = Ta + R (P + L(T)), L(T) = L0 exp((T - T0) / Ts).

Source: the exponential fit of subthreshold leakage over a small range of temperature is standard CMOS practice; the
closed form, the treatment of runaway and every constant that a target does not give are ours.

With x = L R / Ts the fixed point reads x exp(-x) = y, y = (R L0 / Ts) exp((Ta + R P - T0) / Ts). The stable solution is
the smaller one, x = -W0(-y) <= 1. There is none for y > 1/e: the device runs away, exactly when the power exceeds
`critical_power`. Leakage is convex and increasing in P up to there, with slope x / (1 - x).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.columns import AMBIENT, CRITICAL, LEAK0, LEAK_TA, LIMIT, RESISTANCE, SCALE, THERMAL_COLUMNS
from tradespace.costs.compiled import njit

Row = NDArray[np.float64]

STEEP = 1000.0
"""W of leakage per W beyond the critical power: keeps reported numbers finite, monotone and convex (ours)."""


def leakage(power: float, table: Row, d: int) -> float:
    """W of leakage of device ``d`` while ``power`` (W, dynamic) is spent; ``table`` (D, >= THERMAL_COLUMNS)."""
    row = table[d]
    return float(leakage_of(power, row[LEAK_TA], row[RESISTANCE], row[SCALE], row[CRITICAL]))


@njit
def leakage_of(power: float, leak: float, resistance: float, scale: float, critical: float) -> float:
    """`leakage` from scalars: leakage at ambient, K/W, K, critical power."""
    if leak <= 0.0 or resistance <= 0.0:
        return leak
    if power >= critical:
        return scale / resistance + STEEP * (power - critical)
    return float(solve(leak * resistance / scale * math.exp(power * resistance / scale)) * scale / resistance)


@njit
def solve(y: float) -> float:
    """The smaller root of x exp(-x) = y for 0 <= y <= 1/e.

    Newton from the left of the root of an increasing concave function: every step stays on the left, so the sequence
    is monotone. The error after a step is step^2 (2 - x) / (2 - 2x) at most; it stops when that is below rounding.
    """
    # first terms of the series of the tree function: all are positive, so the start is below the root
    x = y * (1.0 + y * (1.0 + y * (1.5 + y * (8.0 / 3.0 + y * (125.0 / 24.0 + y * 10.8)))))
    if y > 0.25:
        x = max(x, 1.0 - math.sqrt(max(0.0, 2.0 - 2.0 * math.e * y)))  # first terms at 1/e: below as well
    for _ in range(60):
        if x >= 1.0:
            return 1.0
        e = math.exp(-x)
        step = (y - x * e) / (e * (1.0 - x))
        x = x + step
        if step * step <= 1e-17 * x * (1.0 - x):
            break
    return min(x, 1.0)


def constants(ambient: float, resistance: float, limit: float, leak: float, reference: float, scale: float) -> Row:
    """One row of thermal constants, SI: K, K/W, K, W at ``reference`` K, growing by e over ``scale`` K."""
    row = np.zeros(THERMAL_COLUMNS)
    row[AMBIENT], row[RESISTANCE], row[LIMIT], row[SCALE] = ambient, resistance, limit, scale
    row[LEAK0], row[CRITICAL] = leak, np.inf
    steps = min((ambient - reference) / scale, 700.0) if scale > 0 else 0.0
    row[LEAK_TA] = leak * math.exp(steps)
    if leak > 0 and resistance > 0:  # by logarithms: far below the reference the leakage itself underflows to 0
        row[CRITICAL] = scale / resistance * (-1.0 - math.log(leak) - math.log(resistance / scale) - steps)
    return row

"""CPQ, the pressure of allocation, and the factor it puts on energy. Both are ours (reconstruction, see `qeil`)."""

from __future__ import annotations

from tradespace.costs.compiled import njit

KNEE = 0.95
"""Used share from which kappa goes on along its tangent: a full memory is a violation, not an infinite price (ours)."""


@njit
def cpq(u: float) -> float:
    """u / (1 - u) for a share ``u`` of the memory in use: mean queue length of a single server at load u."""
    return u / (1.0 - u) if u < 1.0 else 1e9


@njit
def kappa(u: float, c: float, u0: float) -> float:
    """1 + c max(0, u - u0)^2 / (1 - u) >= 1; from `KNEE` on its tangent, so it stays finite and increasing."""
    if u <= u0 or c <= 0.0:
        return 1.0
    if u < KNEE:
        return 1.0 + c * (u - u0) * (u - u0) / (1.0 - u)
    free, over = 1.0 - KNEE, KNEE - u0
    value = c * over * over / free
    slope = c * (2.0 * over / free + over * over / (free * free))
    return 1.0 + value + slope * (u - KNEE)

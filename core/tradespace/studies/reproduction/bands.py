"""Bands: when our value counts as the published one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradespace import units
from tradespace.errors import InputError
from tradespace.studies.reproduction.grammar import BAND, check_keys

WHOLE = ("spearman_at_least", "sign_test")
"""Bands over many values at once; the others judge one value."""

ROUNDING = 1e-12
"""What `equals: true` forgives: turning "51 ms" into seconds and back is not exact."""


@dataclass(frozen=True)
class Scale:
    """A unit as an affine map: SI = offset + factor * shown (degC has an offset)."""

    unit: str
    factor: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, unit: str, where: str) -> Scale:
        zero = units.parse(f"0 {unit}", unit, where=where)
        return cls(unit, units.parse(f"1 {unit}", unit, where=where) - zero, zero)

    def si(self, value: Any, where: str, *, difference: bool = False) -> float:
        """A number in this unit, or text with a unit of its own, as SI."""
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise InputError("a number is needed", value=repr(value)[:80], where=where)
        try:
            number = float(value)
        except ValueError:
            number = units.parse(value, self.unit, where=where)
            return number - self.offset if difference else number
        if not math.isfinite(number):
            raise InputError("a finite number is needed", value=value, where=where)
        return number * self.factor + (0.0 if difference else self.offset)

    def shown(self, si: float) -> float:
        return (si - self.offset) / self.factor


@dataclass(frozen=True)
class Band:
    """One rule with its limits in SI (relative bands: plain numbers). ``given``: the limits as written."""

    rule: str
    low: float
    high: float
    given: Any

    @property
    def text(self) -> str:
        """What people read: "ratio [0.9, 1.1]"."""
        return self.rule if self.given is True else f"{self.rule} {self.given}"

    @classmethod
    def parse(cls, raw: Any, scale: Scale, where: str) -> Band:
        """Raises `InputError` or `UnknownName` unless ``raw`` has exactly one key of the grammar that fits."""
        body = check_keys(raw, BAND, where)
        if len(body) != 1:
            raise InputError("a band has exactly one key", value=", ".join(body) or "none", where=where)
        rule, value = next(iter(body.items()))
        where = f"{where}.{rule}"
        if rule in ("ratio", "between"):
            low, high = ((scale.si if rule == "between" else _plain)(end, where) for end in _pair(value, where))
            if low > high:
                raise InputError("a band from low to high is [low, high]", value=value, where=where)
            return cls(rule, low, high, value)
        if rule in ("at_most", "at_least"):
            limit = scale.si(value, where)
            low, high = (-math.inf, limit) if rule == "at_most" else (limit, math.inf)
            return cls(rule, low, high, value)
        if rule == "plus_minus":
            reach = _reach(scale.si(value, where, difference=True), value, where)
            return cls(rule, -reach, reach, value)
        if rule == "equals":
            reach = ROUNDING if value is True else _reach(_plain(value, where), value, where)
            return cls(rule, -reach, reach, value)
        return cls(rule, _plain(value, where), _plain(value, where), value)

    def holds(self, ours: Any, published: Any) -> bool:
        """One value, SI or text (``equals`` only)."""
        if isinstance(ours, str) or isinstance(published, str):
            return self.rule == "equals" and str(ours) == str(published)
        if not math.isfinite(ours):
            return False
        if self.rule in ("between", "at_most", "at_least"):
            return bool(self.low <= ours <= self.high)
        if self.rule == "ratio":
            return bool(published != 0 and self.low <= ours / published <= self.high)
        if self.rule == "plus_minus":
            return bool(self.low <= ours - published <= self.high)
        return bool(abs(ours - published) <= self.high * abs(published))

    def holds_for_all(self, ours: Sequence[float], published: Sequence[float], neutral: float) -> tuple[bool, float]:
        """The bands of `WHOLE`: (inside, the statistic). ``neutral``: the value that means no difference."""
        if self.rule == "spearman_at_least":
            rho = spearman(ours, published)
            return rho >= self.low, rho
        side = math.copysign(1.0, published[0] - neutral)
        p = sign_test(sum((value - neutral) * side > 0 for value in ours), len(ours))
        return p <= self.low, p


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation with mean ranks for ties; 0 if one side is constant."""
    import numpy as np

    ranks = [np.asarray([np.mean(np.flatnonzero(np.sort(x) == v)) for v in x]) for x in (np.asarray(a), np.asarray(b))]
    if np.ptp(ranks[0]) == 0 or np.ptp(ranks[1]) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def sign_test(successes: int, n: int) -> float:
    """One-sided binomial p-value: chance of at least ``successes`` heads in ``n`` fair throws."""
    return float(sum(math.comb(n, k) for k in range(successes, n + 1)) / 2.0**n)


def published_value(raw: Any, scale: Scale, where: str) -> tuple[float | str, Mapping[str, Any]]:
    """The value in SI (text stays text if it is no quantity) and its own ``source`` and ``kind``."""
    facts: Mapping[str, Any] = {}
    if isinstance(raw, Mapping):
        body = check_keys(raw, ("value", "source", "kind"), where)
        if "value" not in body:
            raise InputError("a value with source or kind needs 'value'", where=where)
        raw, facts = body.pop("value"), body
    if isinstance(raw, str) and not any(c.isdigit() for c in raw):
        return raw, facts
    return scale.si(raw, where), facts


def _pair(value: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError("a band from low to high is [low, high]", value=repr(value)[:80], where=where)
    return value[0], value[1]


def _reach(reach: float, value: Any, where: str) -> float:
    if reach < 0:
        raise InputError("the largest difference is 0 or above", value=value, where=where)
    return reach


def _plain(value: Any, where: str) -> float:
    return units.parse(value, "1", where=where)

"""How a column of numbers is shown: one unit for all its values, as many digits as tell them apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tradespace import units
from tradespace.errors import UnitError

_ZERO_CELSIUS = 273.15


@dataclass(frozen=True, slots=True)
class Column:
    """A metric as a table shows it: ``shown = (SI - offset) / factor`` in ``label``, with ``decimals`` decimals."""

    name: str
    label: str
    factor: float
    offset: float
    decimals: int

    @property
    def title(self) -> str:
        return f"{self.name} ({self.label})" if self.label else self.name

    def value(self, si: float) -> float:
        return (si - self.offset) / self.factor

    def text(self, si: float) -> str:
        """The number alone; numbers too small for the column keep three significant digits."""
        shown = self.value(si)
        if not math.isfinite(shown):
            return str(shown)
        if shown != 0 and abs(shown) < 10.0**-self.decimals:
            return f"{shown:.3g}"
        return f"{shown:.{self.decimals}f}"


def column(name: str, unit: str, values: Iterable[float]) -> Column:
    """The column for these SI values. Temperatures are shown in degC, everything else with one common prefix."""
    finite = [v for v in values if math.isfinite(v)]
    if unit == "K":
        return Column(name, "degC", 1.0, _ZERO_CELSIUS, 1)
    largest = max((abs(v) for v in finite), default=0.0)
    label, factor = _scale(largest, unit)
    return Column(name, label, factor, 0.0, _decimals([abs(v) / factor for v in finite if v]))


def _scale(value: float, unit: str) -> tuple[str, float]:
    """The unit `units.format` picks for a value, and its size in SI."""
    if unit in ("", "1"):
        return "", 1.0
    label = units.format(value, unit).partition(" ")[2] or unit
    try:
        return label, units.parse(f"1 {label}", unit)
    except UnitError:
        return unit, 1.0


def _decimals(values: list[float], digits: int = 4) -> int:
    """Decimals that give the largest value ``digits`` significant ones and the smallest at least two."""
    if not values:
        return 0
    by_largest = digits - 1 - math.floor(math.log10(max(values)))
    by_smallest = 1 - math.floor(math.log10(min(values)))
    return max(0, min(6, max(by_largest, min(by_smallest, by_largest + 2))))


def percent(change: float) -> str:
    """A relative change as people read it: "−12.3 %", "+0 %"."""
    if not math.isfinite(change):
        return "from 0"
    size = abs(change) * 100
    text = f"{size:.0f}" if size >= 100 else f"{size:.1f}" if size >= 0.05 else "0" if size < 5e-4 else f"{size:.2g}"
    return f"{'−' if change < 0 and text != '0' else '+'}{text.removesuffix('.0')} %"

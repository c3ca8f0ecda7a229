"""How a column of numbers is shown: one unit for all its values, as many digits as tell them apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tradespace import units
from tradespace.errors import UnitError

_ZERO_CELSIUS = 273.15
_WIDE = 1e3  # largest over smallest value beyond which a column has no common number of decimals


@dataclass(frozen=True, slots=True)
class Column:
    """A metric as a table shows it: ``(SI - offset) / factor`` in ``label``, which is a unit or a power of ten.

    ``decimals`` is None for values so far apart that each needs its own: three significant digits.
    """

    name: str
    label: str
    factor: float
    offset: float
    decimals: int | None

    @property
    def title(self) -> str:
        return f"{self.name} ({self.label})" if self.label else self.name

    def value(self, si: float) -> float:
        return (si - self.offset) / self.factor

    def text(self, si: float) -> str:
        """The number alone."""
        shown = self.value(si)
        if not math.isfinite(shown):
            return str(shown)
        return f"{shown:.3g}" if self.decimals is None else f"{shown:.{self.decimals}f}"


def column(name: str, unit: str, values: Iterable[float]) -> Column:
    """The column for these SI values. Temperatures are shown in degC, everything else with one common prefix."""
    sizes = [abs(v) for v in values if math.isfinite(v) and v]
    if unit == "K":
        return Column(name, "degC", 1.0, _ZERO_CELSIUS, 1)
    if not sizes:
        return Column(name, "" if unit == "1" else unit, 1.0, 0.0, 0)
    wide = max(sizes) > _WIDE * min(sizes)
    label, factor = ("", 1.0) if wide and unit in ("", "1") else _scale(max(sizes), unit)
    if wide:
        return Column(name, label, factor, 0.0, None)
    digits = 3 - math.floor(math.log10(max(sizes) / factor))
    return Column(name, label, factor, 0.0, min(max(digits, 0), 6))


def _scale(value: float, unit: str) -> tuple[str, float]:
    """The unit `units.format` picks for a value, and its size in SI."""
    if unit in ("", "1"):
        power = 3 * math.floor(math.log10(value) / 3) if 0 < value < 1e-2 else 0
        return (f"×1e{power}", 10.0**power) if power else ("", 1.0)
    label = units.format(value, unit).partition(" ")[2] or unit
    try:
        return label, units.parse(f"1 {label}", unit)
    except UnitError:
        return unit, 1.0


def amount(violation: float) -> str:
    """How far beyond a limit: "24 %", or "a factor 605" where a percentage says little."""
    return f"{violation * 100:.3g} %" if violation < 9.995 else f"a factor {1 + violation:.3g}"


def percent(change: float) -> str:
    """A relative change as people read it: "−12.3 %", "+0 %", and "×25" where a percentage says little."""
    if change >= 9.995:
        return f"×{1 + change:.3g}" if math.isfinite(change) else "from 0"
    size = abs(change) * 100
    text = f"{size:.0f}" if size >= 100 else f"{size:.1f}" if size >= 0.05 else "0" if size < 5e-4 else f"{size:.2g}"
    return f"{'−' if change < 0 and text != '0' else '+'}{text.removesuffix('.0')} %"

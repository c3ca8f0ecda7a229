"""Power of the processor package, where the system lets us read its energy counter (Linux powercap, Intel and AMD).

Written from the kernel's documentation of powercap; tried only where there is no counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_ZONES = Path("/sys/class/powercap")
_IDLE = 0.3


def package_power(busy: Callable[[], object], zones: Path = _ZONES) -> tuple[float, float] | None:
    """(idle W, W above it while `busy` runs), of all packages together; None without a readable counter."""
    counters = [zone / "energy_uj" for zone in sorted(zones.glob("intel-rapl:?"))]
    limits = [zone.with_name("max_energy_range_uj") for zone in counters]
    try:
        wraps = [int(limit.read_text()) for limit in limits]
        if not wraps:
            return None
        idle = _watts(counters, wraps, lambda: time.sleep(_IDLE))
        return idle, max(0.0, _watts(counters, wraps, busy) - idle)
    except (OSError, ValueError):
        return None


def _watts(counters: list[Path], wraps: list[int], run: Callable[[], object]) -> float:
    before, begin = [int(c.read_text()) for c in counters], time.perf_counter()
    run()
    after, end = [int(c.read_text()) for c in counters], time.perf_counter()
    used = sum((b - a) % (wrap + 1) for a, b, wrap in zip(before, after, wraps, strict=True))
    return used * 1e-6 / (end - begin)

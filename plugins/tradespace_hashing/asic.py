"""The device model of a mining chip: hash cores in lock-step with a clock, power by voltage and clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import CostTable
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]

MODEL = "sha256-asic"
ALGORITHMS = ("sha256d", "lbry")
"""Kinds of work a hash core is made for; a file says which with ``runs:``."""


class HashCores:
    """``chips`` x ``cores``; a pipelined core finishes one trial a clock, an iterative one ``rounds_per_clock`` rounds.

    ``voltage`` and ``clock`` are the rated ones, at which the engine's ``dynamic_power`` holds; between the given
    limits dynamic power goes as voltage^2 x clock, and the highest clock as (V - threshold)^alpha / V (Sakurai,
    Newton, JSSC 25(2), 1990), ``headroom`` times the rated one at the rated voltage. ``clock_gating`` is the share of
    the energy of rounds that an aborted trial does not need which a pipelined core saves: 0 unless somebody built it.
    ``share_filter``: the chip reports only hits of this difficulty.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "chips": "1",
        "cores": "1",
        "clock": "Hz",
        "min_clock": "Hz",
        "max_clock": "Hz",
        "voltage": "V",
        "min_voltage": "V",
        "max_voltage": "V",
        "threshold_voltage": "V",
        "alpha": "1",
        "headroom": "1",
        "pipelined": "1 or zero",
        "rounds_per_clock": "1",
        "clock_gating": "1 or zero",
        "share_filter": "1",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "chips": 1.0,
        "min_clock": 1e6,
        "max_clock": 2e9,
        "voltage": 1.0,
        "min_voltage": 1.0,
        "max_voltage": 1.0,
        "threshold_voltage": 0.5,
        "alpha": 1.3,
        "headroom": 1.0,
        "pipelined": 1.0,
        "rounds_per_clock": 1.0,
        "clock_gating": 0.0,
        "share_filter": 1.0,
    }
    runs: ClassVar[tuple[str, ...]] = ALGORITHMS

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        """`flop` counts trials. Precisions do not matter."""
        shape = (len(operators), len(precisions))
        time = operators.flop / (device.chips * device.cores * device.clock)
        return CostTable(time=np.broadcast_to(time[:, None], shape))

    @staticmethod
    def check(device: Any) -> None:
        """Raises `InputError` for chips that cannot be."""
        where = f"devices.{device.name}"
        for key in ("chips", "cores"):
            value = float(getattr(device, key))
            if value != int(value) or not 1 <= value <= 10_000_000:
                raise InputError(f"'{key}' is a whole number from 1 to 10 million", value=value, where=where)
        for key in ("clock", "voltage"):
            low, rated, high = (float(getattr(device, name)) for name in (f"min_{key}", key, f"max_{key}"))
            if not low <= rated <= high:
                raise InputError(f"min_{key} <= {key} <= max_{key}", value=(low, rated, high), where=where)
        if not device.threshold_voltage < device.min_voltage:
            raise InputError("a core switches above its threshold voltage", value=device.min_voltage, where=where)
        if device.pipelined not in (0.0, 1.0):
            raise InputError("'pipelined' is 0 or 1", value=device.pipelined, where=where)
        if not 0.0 <= device.clock_gating <= 1.0 or not 0.0 < device.alpha <= 3.0 or device.headroom < 1.0:
            raise InputError(
                "'clock_gating' is 0 to 1, 'alpha' above 0 and at most 3, 'headroom' 1 or more", where=where
            )
        if not device.dynamic_power > 0:
            raise InputError("a hashing chip states its 'dynamic_power'", value=device.dynamic_power, where=where)


def highest_clock(device: Device, voltage: Floats) -> Floats:
    """Hz that a core reaches at ``voltage``."""

    def speed(v: Floats | float) -> Floats:
        return np.asarray((np.asarray(v) - device.threshold_voltage) ** device.alpha / v)

    return np.asarray(device.clock * device.headroom * speed(voltage) / speed(device.voltage))


def switching(device: Device, voltage: Floats, clock: Floats) -> Floats:
    """W of all cores at work: voltage^2 x clock."""
    return np.asarray(device.dynamic_power * (voltage / device.voltage) ** 2 * (clock / device.clock))

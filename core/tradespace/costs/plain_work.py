"""What a number of operations costs on a device that knows nothing more of them: by its own model, as plain totals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tradespace.errors import PluginError
from tradespace.plugins import foreign
from tradespace.workloads.operators import Operators

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.targets.model import Device


def plain_work(
    kind: str, flop: float, device: Device, registry: Registry, formats: Sequence[str]
) -> tuple[float, float]:
    """(J, s) of one operator of ``kind`` with ``flop`` FLOP, in the fastest of ``formats`` that the device has, else
    in whatever it computes in. Power is all of the device's, idling included, unless its model gives energies.

    Raises:
        PluginError: a device that runs the kind in no precision.
    """
    model = registry.load("device_models", device.model)()
    row = one_operator(kind, flop)
    for names in (tuple(formats), registry.names("precisions")):
        precisions = [registry.load("precisions", name) for name in names]
        with foreign(f"device model '{device.model}'"):
            table = model.table(row, device, precisions).dense(1, len(precisions), device.model)
        times = np.where(table.unsupported[0], np.inf, table.time[0])
        best = int(np.argmin(times))
        if math.isfinite(times[best]):
            break
    else:
        raise PluginError(f"a device that runs '{kind}' does so in some precision", where=f"device {device.name}")
    second = float(times[best])
    if table.energy is not None:
        return float(table.energy[0, best]), second
    return second * (device.idle_power + device.dynamic_power), second


def one_operator(kind: str, flop: float) -> Operators:
    """Totals of FLOP and nothing else."""
    zero = np.zeros(1)
    return Operators(
        ("work",), (kind,), np.zeros(1, np.int32), zero, zero, zero, zero, np.array([flop]), zero, zero, zero,
        zero, zero, np.ones(1), zero, zero,
    )  # fmt: skip

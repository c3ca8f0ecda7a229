"""A microcontroller: one core, an inference library, multiply-adds at a steady rate.

"Latency model good enough for search: multiply-adds / (throughput of the board and library)" (brief of MCUNet; its
figure 5 and the tables of the TinyEngine repository give the rates). Products run at the rate of the library, what is
left (additions, pooling, softmax) at one operation a cycle (ours).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tradespace.costs.contract import CostTable
from tradespace_tinyml.libraries import LIBRARIES

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators


class MCU:
    """time = FLOP / rate of the leanest library whose rate the target states. Formats above 8 bits do not run.

    A rate is stated as "82 MMAC/s" (one multiply-add is two FLOP); 0 means the library was not measured there.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "clock": "Hz",
        **dict.fromkeys(LIBRARIES, "FLOP/s or zero"),
    }
    defaults: ClassVar[Mapping[str, float]] = dict.fromkeys(LIBRARIES, 0.0)
    runs: ClassVar[tuple[str, ...]] = ("conv", "matmul", "elementwise", "aggregate", "softmax", "norm")

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        product = np.isin(np.array(operators.kind), ("conv", "matmul"))
        rate = next(iter(rates(device).values()), float(device.clock))
        time = np.where(product, operators.flop / rate, operators.flop / float(device.clock))
        unsupported = np.array([[precision.bits > 8 for precision in precisions]])
        shape = (len(operators), len(precisions))
        return CostTable(time=np.broadcast_to(time[:, None], shape), unsupported=np.broadcast_to(unsupported, shape))


def rates(device: Device) -> dict[str, float]:
    """Library -> FLOP/s, for the libraries that the target states, leanest first."""
    found = {name: float(device.numbers.get(name, 0.0)) for name in LIBRARIES}
    return {name: rate for name, rate in found.items() if rate > 0}

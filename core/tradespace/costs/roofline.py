"""The roofline model of a device: arithmetic at peak, or memory at full bandwidth, whichever is slower.

Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tradespace.costs.contract import CostTable

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

PRODUCTS = ("matmul", "conv")
"""Kinds that multiply with stored weights: they run at the peak of the weights' compute format."""


class Roofline:
    """time = FLOP / peak. Products with weights use the peak of their precision's compute format; everything else
    (attention, norms, softmax ...) works on activations and uses the activations' format, or the weights' compute
    format on a device that has no other (an integer-only NPU). The engine adds memory: max(time, bytes / bandwidth).
    """

    constants: ClassVar[Mapping[str, str]] = {"peak": "FLOP/s by precision"}
    runs: ClassVar[tuple[str, ...]] = (
        "matmul",
        "conv",
        "attention",
        "norm",
        "elementwise",
        "embedding",
        "softmax",
        "scan",
        "aggregate",
    )

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        product = np.isin(np.array(operators.kind), PRODUCTS)
        time = np.zeros((len(operators), len(precisions)))
        unsupported = np.zeros(time.shape, bool)
        for column, precision in enumerate(precisions):
            weights = device.peak(precision.compute)
            others = device.peak(activation_format(precision)) or weights
            for rows, peak in ((product, weights), (~product, others)):
                if peak:
                    time[rows, column] = operators.flop[rows] / peak
                else:
                    unsupported[rows, column] = True
        return CostTable(time=time, unsupported=unsupported)


def activation_format(precision: Precision) -> str:
    """The format activations are computed in: the weights' own if it is a float format, else fp16."""
    if precision.activation_bits >= 32:
        return "fp32"
    return precision.compute if precision.compute in ("fp16", "bf16") else "fp16"

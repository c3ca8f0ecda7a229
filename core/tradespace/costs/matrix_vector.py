"""A chip with a matrix unit, a vector unit and an on-chip buffer, each with a rate of its own (TPUs, tensor-core GPUs).

- Products run on the matrix unit at `peak`. It is `edge` wide: inner and outer sides of a product are padded to its
  multiples, so a narrow product wastes what it does not fill. Products of activations (attention) take the format of
  the activations, or the widest product format the chip has.
- Everything else runs on the vector unit: `flop` of an operator over `vector` operations a second. Where a workload
  counts 32-bit integer operations, `vector` is their rate.
- Activations stay in `buffer` as far as they fit: of inputs and outputs that need W bytes together, the share
  min(1, buffer / W) never crosses the main memory (ours; a compiler that tiles perfectly keeps more, one that plans
  badly less). Weights always cross it.
- `chips`, each with a memory and a buffer of its own, share every operator evenly; all other numbers are of one. What
  they say to each other is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import Column, CostTable
from tradespace.costs.roofline import PRODUCTS, Roofline, activation_format
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]
MAX_CHIPS = 100_000


class MatrixVector:
    """See the module.

    Constants:
        peak: of the matrix unit.
        vector: operations a second of the vector unit of one chip.
        edge: side of the matrix unit; 1: nothing is padded.
        buffer: B on one chip that keep activations; 0: everything crosses the memory.
        chips: that share a job.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "peak": "FLOP/s by precision",
        "vector": "FLOP/s",
        "edge": "1",
        "buffer": "B or zero",
        "chips": "1",
    }
    defaults: ClassVar[Mapping[str, float]] = {"edge": 1.0, "buffer": 0.0, "chips": 1.0}
    runs: ClassVar[tuple[str, ...]] = Roofline.runs
    columns: ClassVar[Mapping[str, Column]] = {
        "matrix_time": Column("s", "min", "time the matrix unit works"),
        "vector_time": Column("s", "min", "time the vector unit works"),
    }

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for sides and chips that are none."""
        for name, high in (("edge", 65_536), ("chips", MAX_CHIPS)):
            value = device.numbers[name]
            if not 1 <= value <= high or value != int(value):
                raise InputError(f"'{name}' is a whole number from 1 to {high}", value=value)

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        kinds = np.array(operators.kind)
        product, attention = np.isin(kinds, PRODUCTS), kinds == "attention"
        padded = padded_flop(operators, device.edge)
        shape = (len(operators), len(precisions))
        matrix, vector, kept, unsupported = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
        active = operators.act_in + operators.act_out
        for column, precision in enumerate(precisions):
            weights = device.peak(precision.compute)
            others = device.peak(activation_format(precision)) or device.peak("bf16") or weights
            if not weights or not others:  # a format that nothing multiplies is not offered at all
                unsupported[:, column] = True
                continue
            for rows, peak in ((product, weights), (attention, others)):
                matrix[rows, column] = padded[rows] / (peak * device.chips)
            vector[~(product | attention), column] = operators.flop[~(product | attention)] / device.vector
            size = active * (precision.activation_bits / 8)
            kept[:, column] = on_chip(size, device.buffer * device.chips)
        vector /= device.chips
        return CostTable(
            matrix + vector,
            unsupported=unsupported,
            kept=kept,
            copies=device.chips,
            matrix_time=matrix,
            vector_time=vector,
        )


def padded_flop(operators: Operators, edge: float) -> Floats:
    """(n,) FLOP of products with both sides of the stationary matrix padded to multiples of ``edge``; what a shape
    does not tell (biases, products without one) is counted as it is."""
    m, k, n, count = operators.gemm
    inside = 2.0 * m * k * n * count
    wide = 2.0 * m * (np.ceil(k / edge) * edge) * (np.ceil(n / edge) * edge) * count
    return np.asarray(np.where(inside > 0, operators.flop + (wide - inside), operators.flop))


def on_chip(size: Floats, buffer: float) -> Floats:
    """(n,) B of ``size`` that stay in a buffer: all that fit, else the same share of everything."""
    share = np.minimum(1.0, np.divide(buffer, size, out=np.ones_like(size), where=size > 0))
    return np.asarray(share * size)

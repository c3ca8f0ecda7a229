"""The systolic array of SCALE-Sim v2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tradespace.costs.contract import CostTable


class WeightStationary:
    """SCALE-Sim v2: one fold takes 2R + C + m - 2 cycles (prefix, stream, suffix, skew)."""

    constants: ClassVar[Mapping[str, str]] = {"rows": "1", "cols": "1", "clock": "Hz"}
    runs: ClassVar[tuple[str, ...]] = ("matmul", "conv")

    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        m, k, n, count = operators.gemm
        rows, cols = int(device.rows), int(device.cols)
        cycles = count * (-(-k // rows) * -(-n // cols) * (2 * rows + cols + m - 2) - 1)
        return CostTable(time=cycles / device.clock, cycles=cycles)

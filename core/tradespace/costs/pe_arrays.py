"""Arrays of processing elements: systolic ones in SCALE-Sim's timing, and row-stationary ones in Eyeriss's mapping.

Sources:
- SCALE-Sim v2 (Samajdar et al., ISPASS 2020; the demand matrices of its repository). A product of m x k by k x n runs
  in folds on R x C elements. Weight stationary: 2R + C + m - 2 cycles a fold (prefix R, stream m, suffix C - 1, skew
  R - 1), ceil(k/R) ceil(n/C) folds. Output stationary: R + C + k - 2 cycles, ceil(m/R) ceil(n/C) folds. One cycle less
  in all, as the last fold's end is the last cycle's index.
- Row stationary: Chen et al., ISCA 2016, in the mapping of nn_dataflow (Gao et al., `map_strategy.py`), see `mapped`.
- Energy per access by level is Eyeriss's hierarchy (DRAM : buffer : array : register file : MAC); the constants are the
  target's. Main memory is the engine's: it counts every tensor once, and what `refetched` adds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.checks import check_whole
from tradespace.costs.contract import Column, CostTable

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]

PRODUCTS = ("matmul", "conv", "attention")
"""An array multiplies; it does not care whether the second operand is stored weights or cached keys and values."""

SIDES = ("rows", "cols")
MAX_SIDE = 1_000_000_000
"""Most rows or columns of elements."""

ARRAY: Mapping[str, str] = {
    "rows": "1",
    "cols": "1",
    "clock": "Hz",
    "word": "B",
    "buffer": "B or zero",
    **dict.fromkeys(("energy_mac", "energy_register", "energy_array", "energy_buffer"), "J or zero"),
}
DEFAULTS: Mapping[str, float] = {
    "word": 2.0,
    "buffer": 0.0,
    **dict.fromkeys(("energy_mac", "energy_register", "energy_array", "energy_buffer"), 0.0),
}
COLUMNS: Mapping[str, Column] = {
    "cycles": Column(meaning="cycles of the array"),
    "macs": Column(meaning="multiply-adds on the array"),
    "layers": Column(meaning="products that the array runs"),
    "utilisation": Column("1", "max", "multiply-adds per element and cycle, mean over the array's products", "layers"),
}


@dataclass(frozen=True)
class Run:
    """What the products of a workload take on an array; every array is (n,), per execution.

    Args:
        cycles: from the first word in to the last word out.
        buffer: words between the global buffer and the array.
        array: words between elements.
        register: words from and to register files.
    """

    cycles: Floats
    buffer: Floats
    array: Floats
    register: Floats


class WeightStationary:
    """Weights stay in the elements; inputs and partial sums go from element to element (SCALE-Sim v2)."""

    constants: ClassVar[Mapping[str, str]] = ARRAY
    defaults: ClassVar[Mapping[str, float]] = DEFAULTS
    columns: ClassVar[Mapping[str, Column]] = COLUMNS
    runs: ClassVar[tuple[str, ...]] = PRODUCTS

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for sides that are none."""
        check_whole(device, SIDES, MAX_SIDE)

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        m, k, n, count = operators.gemm
        rows, cols = grid(device)
        deep, wide = np.ceil(k / rows), np.ceil(n / cols)
        cycles = count * (deep * wide * (2 * rows + cols + m - 2) - 1)
        buffer = count * (k * n + m * k * wide + m * n * deep)
        return costs(operators, device, precisions, Run(cycles, buffer, 2 * operators.macs, operators.macs))


class OutputStationary:
    """Partial sums stay in the elements; inputs and weights go from element to element (SCALE-Sim v2)."""

    constants: ClassVar[Mapping[str, str]] = ARRAY
    defaults: ClassVar[Mapping[str, float]] = DEFAULTS
    columns: ClassVar[Mapping[str, Column]] = COLUMNS
    runs: ClassVar[tuple[str, ...]] = PRODUCTS

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for sides that are none."""
        check_whole(device, SIDES, MAX_SIDE)

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        m, k, n, count = operators.gemm
        rows, cols = grid(device)
        high, wide = np.ceil(m / rows), np.ceil(n / cols)
        cycles = count * (high * wide * (rows + cols + k - 2) - 1)
        buffer = count * (k * n * high + m * k * wide + m * n)
        return costs(operators, device, precisions, Run(cycles, buffer, 2 * operators.macs, operators.macs))


class RowStationary:
    """Rows of filters meet rows of inputs (Eyeriss). `native_depthwise`: 1 places the channels of a depthwise
    convolution side by side; 0 replicates within one group of channels only, which for a depthwise one is nothing."""

    constants: ClassVar[Mapping[str, str]] = {**ARRAY, "native_depthwise": "1 or zero"}
    defaults: ClassVar[Mapping[str, float]] = {**DEFAULTS, "native_depthwise": 0.0}
    columns: ClassVar[Mapping[str, Column]] = COLUMNS
    runs: ClassVar[tuple[str, ...]] = PRODUCTS

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for sides that are none."""
        check_whole(device, SIDES, MAX_SIDE)

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        rows, cols = grid(device)
        shapes = np.stack(windows(operators), axis=1)
        native = device.native_depthwise > 0
        found = np.array([mapped(row, rows, cols, native) for row in shapes.tolist()]).reshape(-1, 4)
        passes, ins, outs, folds = found.T
        images, high, wide, kernel_h, kernel_w, per_group, n, count = shapes.T
        cycles = passes * kernel_w * wide
        sets = images * per_group * n * count
        read = np.sqrt(operators.act_in / np.maximum(images * per_group * count, 1) * wide / np.maximum(high, 1))
        run = Run(
            cycles,
            images * folds * per_group * n * count * kernel_h * kernel_w + operators.act_in * outs
            + images * high * wide * n * count * ins,
            sets * kernel_h * high * (kernel_w + read + wide),
            3 * operators.macs,
        )  # fmt: skip
        return costs(operators, device, precisions, run)


def windows(operators: Operators) -> tuple[Floats, ...]:
    """(images, out height, out width, filter height, filter width, channels in of a group, outputs of a group, groups).

    A product without a window is a 1 x 1 convolution of one position: its m rows are images.
    """
    m, k, n, count = operators.gemm
    high, wide, kernel_h, kernel_w = (
        np.maximum(column, 1.0)
        for column in (operators.out_height, operators.out_width, operators.kernel_height, operators.kernel_width)
    )
    return m / (high * wide), high, wide, kernel_h, kernel_w, k / (kernel_h * kernel_w), n, count


def mapped(shape: Sequence[float], rows: int, cols: int, native: bool) -> tuple[float, float, float, float]:
    """Passes over the array, loops over inputs, loops over outputs of a group, and folds, of one shape of `windows`.

    A logical set of kernel_h x high elements holds one filter plane and one input plane; an element does kernel_w wide
    multiply-adds a pass. Sets that are too wide fold, and folds use the room above each other first; sets that are
    small are replicated. The vertical room is split exactly, repl_h = a b: a inputs and b repl_w outputs at once, and
    the split with the fewest passes is taken. Source: nn_dataflow `map_strategy.py`; replication within a group only is
    DRACO's reading of it (arXiv 2006.15103 and its repository).
    """
    images, high, _, kernel_h, _, per_group, n, count = shape
    folded = -(-kernel_h // rows)
    room_h = max(int(rows // kernel_h), 1)
    room_w, folds = max(int(cols // high), 1), -(-high // cols)
    above = min(room_h, folds)
    folds, room_h = -(-folds // above) * folded, int(room_h // above)
    if native and per_group == 1 and n == 1:
        outs = -(-count // min(room_h * room_w, max(count, 1)))
        return images * outs * folds, 1.0, 1.0, folds
    split = divisors(room_h)
    ins = np.ceil(per_group / np.minimum(split, max(per_group, 1)))
    ofm = np.minimum(room_h // split * room_w, max(n, 1))
    loops = ins * np.ceil(n * count / ofm)
    best = int(loops.argmin())
    return images * float(loops[best]) * folds, float(ins[best]), float(np.ceil(n / ofm[best])), folds


def divisors(n: int) -> NDArray[np.int64]:
    """Whole numbers that divide n, ascending; by pairs up to the root, so an array of 10^7 rows costs no more."""
    small = np.arange(1, math.isqrt(n) + 1)
    small = small[n % small == 0]
    return np.unique(np.concatenate([small, n // small]))


def grid(device: Device) -> tuple[int, int]:
    """Rows and columns of elements."""
    return max(int(device.rows), 1), max(int(device.cols), 1)


def costs(operators: Operators, device: Device, precisions: Sequence[Precision], run: Run) -> CostTable:
    """Time, energy by level, traffic beyond the compulsory one, and the columns of `COLUMNS`.

    Formats wider than the array's word do not run; narrower ones run at the same rate.
    """
    rows, cols = grid(device)
    macs = operators.macs
    levels = (("mac", macs), ("register", run.register), ("array", run.array), ("buffer", run.buffer))
    energy = sum((device.numbers[f"energy_{level}"] * words for level, words in levels), np.zeros(len(operators)))
    cycles = np.maximum(run.cycles, 0.0)
    # an operator with FLOP but without a shape (an aggregate) is spread evenly over the elements
    cycles = np.where(macs > 0, cycles, operators.flop / 2 / (rows * cols))
    busy = np.maximum(cycles, 1.0)
    return CostTable(
        time=cycles / device.clock,
        energy=energy if energy.any() else None,
        refetched=refetched(operators, device.buffer, precisions) if device.buffer > 0 else None,
        unsupported=np.array([[p.bits > 8 * device.word for p in precisions]]).repeat(len(operators), axis=0),
        cycles=cycles,
        macs=macs,
        layers=np.where(macs > 0, 1.0, 0.0),
        utilisation=macs / (busy * rows * cols),
    )


def refetched(operators: Operators, buffer: float, precisions: Sequence[Precision]) -> Floats:
    """(n, P) bytes that cross the memory again because neither operand of a group fits the buffer (ours).

    Either pieces of the weights stay and all inputs stream past each, or pieces of the inputs stay and all weights
    stream past; the cheaper one is taken.
    """
    groups = np.maximum(operators.count, 1.0)
    found = []
    for precision in precisions:
        weights = np.asarray(precision.bytes(operators.weights)) / groups
        inputs = operators.act_in * (precision.activation_bits / 8) / groups
        by_weights = inputs * np.maximum(np.ceil(weights / buffer) - 1, 0.0)
        by_inputs = weights * np.maximum(np.ceil(inputs / buffer) - 1, 0.0)
        found.append(groups * np.minimum(by_weights, by_inputs))
    return np.stack(found, axis=1)

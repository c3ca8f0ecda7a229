"""A CPU that multiplies low-bit weights by table lookup, or by dequantising: instructions counted, rates derived.

System: "T-MAC: CPU Renaissance via Table Lookup for Low-Bit LLM Deployment on Edge", arXiv 2407.00088, section 3. One
lookup serves four one-bit weights, so its work scales with the bits of a weight; a dequantising kernel spends the same
on a weight of any width. Both stream the weights, so a core is also bound by what it alone can load.

A core in use draws its share of the dynamic power, half of it while it waits for the shared memory (ours).

time = max(vector instructions / (pipes clock threads), weight bytes / (core_bandwidth threads)); the engine adds the
bandwidth that all cores share. The column `rounding` is weights times the relative squared error that looking them up
adds: what fast aggregation costs. Instructions per vector are counted (ours) from the kernels: see `constants`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import CostTable
from tradespace.costs.roofline import activation_format

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

GROUP = 4
"""One-bit weights that one lookup serves (sections 3 and 4)."""
LOW_BIT = 4
"""Widest weights that are looked up."""


class LookupCPU:
    """Products with weights of at most 4 bits are looked up if `lookup` is 1 (averaging bytes if `fast` is), else
    dequantised; wider ones, and everything that has no weights, run at `peak`.

    Constants:
        clock, pipes, width: of one core: Hz, vector instructions a cycle, bytes of a vector.
        cores, threads: there are, are used; more threads than cores gain nothing.
        core_bandwidth: what one core alone can load.
        lookup, fast: 1 or 0.
        exact_ops, fast_ops: vector instructions for one vector of lookups, index and sum included; without a count of
            its own, fast aggregation takes as many as exact sums do on NEON and gains nothing.
        exact_error, fast_error: squared error that tables and sums add to a product, relative to its square.
        dequant_ops: vector instructions for as many weights as a vector has bytes, by precision.
        dequant_stall: cycles that a dequantising kernel takes for each cycle of its counted instructions.
        table_ops: vector instructions to build the table of four activations.
        peak: of one core.
        here: 1 if this is the machine tradespace runs on; then the evaluator `kernel` may measure it.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "clock": "Hz",
        "pipes": "1",
        "width": "B",
        "cores": "1",
        "threads": "1",
        "core_bandwidth": "B/s",
        "lookup": "1 or zero",
        "fast": "1 or zero",
        "exact_ops": "1",
        "fast_ops": "1",
        "exact_error": "1 or zero",
        "fast_error": "1 or zero",
        "dequant_ops": "1 by precision",
        "dequant_stall": "1",
        "table_ops": "1",
        "peak": "FLOP/s by precision",
        "here": "1 or zero",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "threads": 1.0,
        "lookup": 1.0,
        "fast": 0.0,
        "fast_ops": 4.0,
        "here": 0.0,
        "exact_error": 0.0,
        "dequant_stall": 1.0,
        "fast_error": 0.0,
    }
    runs: ClassVar[tuple[str, ...]] = (
        "matmul",
        "conv",
        "attention",
        "norm",
        "elementwise",
        "embedding",
        "softmax",
        "aggregate",
    )

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        threads = min(device.threads, device.cores)
        product = (np.array(operators.kind) == "matmul") & (operators.weights > 0)
        time = np.zeros((len(operators), len(precisions)))
        energy, rounding = np.zeros_like(time), np.zeros_like(time)
        unsupported = np.zeros(time.shape, bool)
        for column, precision in enumerate(precisions):
            instructions = self._instructions(operators, device, precision)
            counted = product & (instructions is not None)
            if instructions is not None:
                time[counted, column] = instructions[counted] / (device.pipes * device.clock)
            for rows, name in ((product & ~counted, precision.compute), (~product, activation_format(precision))):
                peak = device.peak(name)
                time[rows, column] = operators.flop[rows] / (peak or 1.0)
                unsupported[rows, column] = not peak
            if precision.bits <= LOW_BIT and device.lookup:
                error = device.fast_error if device.fast else device.exact_error
                rounding[:, column] = product * operators.weights * error
            loaded = precision.bytes(operators.weights) / device.core_bandwidth
            own = np.maximum(time[:, column], np.where(product, loaded, 0.0)) / threads
            shared = precision.bytes(operators.weights) / device.bandwidth
            power = device.dynamic_power * threads / device.cores
            time[:, column], energy[:, column] = own, power * (own + np.maximum(own, shared)) / 2
        return CostTable(time=time, energy=energy, unsupported=unsupported, rounding=rounding)

    def _instructions(self, operators: Operators, device: Device, precision: Precision) -> NDArray[np.float64] | None:
        """(n,) vector instructions of low-bit products; None for formats that are multiplied as they are."""
        if precision.bits <= LOW_BIT and device.lookup:
            ops = device.fast_ops if device.fast else device.exact_ops
            lookups = operators.macs * precision.bits / GROUP
            tables = operators.m * operators.k / GROUP * operators.count
            return lookups / device.width * ops + tables * device.table_ops
        ops_by_format = device.at("dequant_ops", precision.name)
        return None if ops_by_format is None else operators.macs / device.width * ops_by_format * device.dequant_stall

"""The device model `cpu-kernels`: a processor as the native kernels measure it, per format and number of threads.

Everything here is ours. Rates are measured at 1 thread and at all `cores`; between them a rate follows
``t r(1) / (1 + c (t - 1))`` with the contention c that gives r(cores) (the linear term of Gunther's universal
scalability law, 1993). Times:

- product of m columns: the slower of reading the weights and computing, and before it what the kernel does to the
  activations (`prepare`: quantising, tables). Weights are read out of memory; a byte takes a time of its own and a
  share of its row's, which rows of 2048 (`stream`) and of 512 (`short`) tell apart; longer ones count as 2048. Columns
  compute in fours at the rate of many columns (`gemm`), the others each as one pass over cached weights (`cached`).
  To each product is added what a small one within a step takes longer than these parts (`start`): threads hand
  activations to each other, and a stream of weights takes a while to run.
- attention: FLOP over `attention`, by the thread with most heads; everything else: FLOP (or weights read) over
  `pointwise`. One `dispatch` a kernel.

With `working_set` given, weights that fit into half the `cache` are read at `cached`, those of twice the cache at
`stream`, and between the two the time per byte is interpolated in the logarithm of the size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import CostTable

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]

COLUMNS = 4
"""Columns that share one decoding of the weights, see ``c/blocks.c``."""

SHORT, LONG = 512, 2048
"""Weights of a row at which `short` and `stream` are measured."""

SMALL = 768
"""Rows and columns of the product that `start` is measured with."""

RATES: Mapping[str, str] = {"stream": "B/s", "short": "B/s", "cached": "B/s", "gemm": "FLOP/s", "prepare": "Hz"}
"""By-precision rates that a target states as ``<rate>_one`` and ``<rate>_all``."""


class CPUKernels:
    """A processor whose operators run as our native kernels, with constants that `tradespace calibrate` writes.

    `threads` is one number for the device; as ``{choices: [1, 2, 4]}`` it becomes a decision. Without the numbers for
    all cores more threads gain nothing. The model does not use latencies, triad and peak: they are there to be seen.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "threads": "1",
        "cores": "1",
        **{f"{rate}_one": f"{unit} by precision" for rate, unit in RATES.items()},
        **{f"{rate}_all": f"{unit} or zero by precision" for rate, unit in RATES.items()},
        **dict.fromkeys(("start_one", "start_all"), "s or zero by precision"),
        **dict.fromkeys(("attention_one", "pointwise_one"), "FLOP/s"),
        **dict.fromkeys(("attention_all", "pointwise_all"), "FLOP/s or zero"),
        **dict.fromkeys(("dispatch_one", "dispatch_all"), "s or zero"),
        **dict.fromkeys(("cache", "working_set"), "B or zero"),
        **dict.fromkeys(("cache_latency", "memory_latency", "wake_up", "pass_flag", "loopback"), "s or zero"),
        **dict.fromkeys(("triad_one", "triad_all"), "B/s or zero"),
        "peak": "FLOP/s or zero by precision",
        "here": "1 or zero",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        **{name: 0.0 for name in constants if not name.endswith("_one") or name == "start_one"},
        "threads": 1.0,
        "cores": 1.0,
        "triad_one": 0.0,
    }
    runs: ClassVar[tuple[str, ...]] = ("matmul", "attention", "norm", "elementwise", "embedding", "softmax")

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        kind = np.array(operators.kind)
        product, attention = kind == "matmul", kind == "attention"
        other = np.maximum(operators.flop, operators.weights) / between(device, "pointwise")
        alone = np.maximum(operators.flop, operators.weights) / device.pointwise_one  # the row of one token's norm
        time = np.where(kind == "norm", alone, other)
        heads, threads = np.maximum(1.0, operators.m * operators.count), threads_of(device)
        uneven = np.ceil(heads / threads) * threads / heads
        time = np.where(attention, operators.flop * uneven / between(device, "attention"), time)
        time = np.repeat(time[:, None], len(precisions), axis=1)
        unsupported = np.zeros(time.shape, bool)
        kernels = np.ones(time.shape)
        for column, precision in enumerate(precisions):
            if device.at("stream_one", precision.name) is None:
                unsupported[product, column] = True
                continue
            time[product, column] = product_time(operators, device, precision)[product]
            kernels[product, column] += device.at("prepare_one", precision.name) is not None
        share = between(device, "dispatch")
        return CostTable(time=time, overhead=kernels * share, unsupported=unsupported)


def product_time(operators: Operators, device: Device, precision: Precision) -> Floats:
    """(n,) s of the products, dispatch excluded. Formula: see the module."""
    name = precision.name
    m, k, n, count = operators.gemm
    weights = np.asarray(precision.bytes(operators.weights), np.float64)
    full = np.floor(m / COLUMNS) * COLUMNS
    compute = 2 * k * n * count * full / between(device, "gemm", name)
    compute = compute + (m - full) * weights / between(device, "cached", name)
    rows = 1 / between(device, "short", name) - 1 / between(device, "stream", name)  # negative where tiles are wider
    read = weights * np.maximum(0.0, 1 / weight_rate(device, name) + shortness(k) * rows)
    more = count * between(device, "start", name)
    if device.at("prepare_one", name) is not None:
        more = more + m * k * count / between(device, "prepare", name)
    return np.asarray(np.maximum(read, compute) + more)


def shortness(k: Floats) -> Floats:
    """1 for rows of at most `SHORT` weights, 0 for at least `LONG`, in between as 1/k."""
    return np.clip((SHORT / np.maximum(k, 1.0) - SHORT / LONG) / (1 - SHORT / LONG), 0.0, 1.0)


def threads_of(device: Device) -> float:
    """Threads that run at a time."""
    return min(max(1.0, device.threads), max(1.0, device.cores))


def weight_rate(device: Device, precision: str) -> float:
    """B/s at which weights reach the kernel, by the size of the working set."""
    stream, cached = between(device, "stream", precision), between(device, "cached", precision)
    size, cache = device.working_set, device.cache
    if size <= 0 or cache <= 0:
        return stream
    far = min(1.0, max(0.0, math.log2(size / (cache / 2)) / 2))
    return 1.0 / (far / stream + (1 - far) / max(cached, stream))


def between(device: Device, name: str, precision: str | None = None) -> float:
    """A measured number at the device's number of threads; more threads than cores count as all of them.

    Rates grow as the module says; `dispatch` and `start` are times and go linearly from one to the other.
    """
    ends = []
    for end in ("one", "all"):
        value = device.numbers[f"{name}_{end}"] if precision is None else device.at(f"{name}_{end}", precision)
        ends.append(float(value) if value is not None else 0.0)
    one, most = ends
    cores, threads = max(1.0, device.cores), threads_of(device)
    if threads == 1 or not most:
        return one
    if threads == cores:
        return most
    if name in ("dispatch", "start"):
        return one + (most - one) * (threads - 1) / (cores - 1)
    contention = (cores * one / most - 1) / (cores - 1)
    return threads * one / max(1e-9, 1 + contention * (threads - 1))

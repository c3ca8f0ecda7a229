"""PIM-GPT: a GDDR6 DRAM whose banks multiply, beside a small chip for everything else.

System: "PIM-GPT: A Hybrid Process-in-Memory Accelerator for Autoregressive Transformers", arXiv 2310.09385 (npj
Unconventional Computing 1:4, 2024). Rows, refresh and energy are `tradespace.costs.dram_rows`; this is the mapping.

A product (m, k) x (k, n), `count` of them, is m vector-matrix products. Its outputs are dealt to all banks; each bank
holds k inputs of its outputs, cut to what the channel's input buffer holds. A pass writes a vector to the buffer of
every channel that needs it, visits the rows, and reads one partial sum an output and chunk. All banks of all channels
work in lock step, so the fullest bank sets the time (ours where the publication's tables are not in reach).

Keys: a position is a row, its heads side by side, positions are dealt to banks; every channel needs the query. Values:
a column is a row over positions, all heads' columns are dealt to banks in a run, so a head's probabilities go to the
channel that holds it. Heads not concatenated: one after another, each over all banks, each starting a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import Column, CostTable
from tradespace.costs.dram_rows import RowTiming, refreshed, visit
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PRODUCTS = ("matmul", "conv", "attention")
WORD = 2.0
"""B of a bfloat16 number, all that the banks hold."""
SWITCHES = ("all_bank", "packed", "concatenated", "shared_input", "overlap")
WHOLE = ("channels", "banks", "lanes", "pins")
TIMES = ("t_rcd", "t_rp", "t_ras", "t_ccd", "t_rtp", "t_rrd", "t_faw", "t_rfc", "t_refi")


@dataclass(frozen=True)
class Mapped:
    """How products lie and move; every array is (n,), per execution.

    Args:
        visits, accesses: of rows and columns in the fullest bank.
        array: s that the banks work.
        channels: that hold a part of the product.
        sent, received, written: elements over the pins: vectors to the buffers, partial sums back, keys and values.
    """

    visits: Floats
    accesses: Floats
    array: Floats
    channels: Floats
    sent: Floats
    received: Floats
    written: Floats


class BankProducts:
    """Constants:
    channels, banks, lanes: multipliers are channels x banks x lanes; a column access feeds the lanes of a bank.
    row, buffer: B of a row in a bank, of the input buffer of a channel.
    t_*: timing, see `RowTiming`; t_cl: s from a command to its data, once an execution.
    pin_rate, pins: B/s of a pin, pins of a channel.
    open, closed, activate, read, write, refresh: W of a channel with rows open and closed, of a bank while it
        activates, of a channel that reads, writes and refreshes (the last four beyond standby).
    mac_factor: power of an access by all banks, in reads.
    energy_pin: J/B over the pins.
    input_ways: groups of channels between which the inputs of a product are cut (their outputs are added outside);
        1: every channel has whole inputs, 0: the fastest for each product.
    all_bank: 1: a row opens in all banks at once, 0: one by one (tRRD, tFAW).
    packed: 1: rows are filled to the last column, 0: an output starts a row.
    concatenated: 1: heads of keys and values lie side by side, 0: one after another.
    shared_input: 1: keys and values are computed from the vector that the query's product left in the buffers.
    overlap: 1: pins and banks work at the same time, 0: one after another.
    """

    constants: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(WHOLE, "1"),
        **dict.fromkeys(("row", "buffer"), "B"),
        **{name: "s" if name in ("t_ccd", "t_refi") else "s or zero" for name in TIMES},
        "t_cl": "s or zero",
        "pin_rate": "B/s",
        **dict.fromkeys(("open", "closed", "activate", "read", "write", "refresh"), "W or zero"),
        "mac_factor": "1 or zero",
        "energy_pin": "J/B or zero",
        "input_ways": "1 or zero",
        **dict.fromkeys(SWITCHES, "1 or zero"),
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "t_rtp": 0.0, "t_rrd": 0.0, "t_faw": 0.0, "t_rfc": 0.0, "t_refi": 3.9e-6, "t_cl": 0.0, "mac_factor": 3.0,
        "input_ways": 1.0, "all_bank": 1.0, "packed": 1.0, "concatenated": 1.0, "shared_input": 1.0, "overlap": 0.0,
        **dict.fromkeys(("open", "closed", "activate", "read", "write", "refresh", "energy_pin"), 0.0),
    }  # fmt: skip
    columns: ClassVar[Mapping[str, Column]] = {
        "array_time": Column("s", meaning="time that the banks work"),
        "pin_time": Column("s", meaning="time that vectors and sums cross the pins"),
        "array_bytes": Column(
            "B", meaning="weights, keys and values that the banks read: what a plain DRAM would send"
        ),
        "pin_bytes": Column("B", meaning="bytes over the pins"),
        "activations": Column(meaning="rows opened in the fullest bank"),
        "accesses": Column(meaning="column accesses of the fullest bank"),
        "row_hit_rate": Column("1", "max", "column accesses that find their row open", "accesses"),
    }
    runs: ClassVar[tuple[str, ...]] = (*PRODUCTS, "embedding")

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for numbers that make no such memory."""
        timing(device)
        for name in WHOLE:
            if device.numbers[name] != round(device.numbers[name]) or not 1 <= device.numbers[name] <= 65_536:
                raise InputError(f"'{name}' is a whole number from 1 to 65536", value=device.numbers[name])
        for name in SWITCHES:
            if device.numbers[name] not in (0.0, 1.0):
                raise InputError(f"'{name}' is 0 or 1", value=device.numbers[name])
        access = device.lanes * WORD
        if device.row % access or device.buffer % access:
            rule = "'row' and 'buffer' are multiples of a column access, lanes x 2 B"
            raise InputError(rule, value=(device.row, device.buffer, access))
        if device.input_ways and (device.input_ways < 1 or device.channels % device.input_ways):
            raise InputError("'input_ways' is 0 or divides 'channels'", value=(device.input_ways, device.channels))

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        found = mapped(operators, device)
        moved = WORD * (found.sent + found.received + found.written)
        pins = moved / (found.channels * device.pins * device.pin_rate)
        work = np.maximum(found.array, pins) if device.overlap else found.array + pins
        time = np.where(work > 0, work + device.t_cl, 0.0)
        product = np.isin(np.array(operators.kind), PRODUCTS)
        return CostTable(
            time=time,
            energy=spent(found, moved, time, device),
            unsupported=others(operators, precisions),
            array_time=found.array,
            pin_time=pins,
            array_bytes=np.where(product, operators.k * operators.n * operators.count, 0.0) * WORD,
            pin_bytes=moved,
            activations=found.visits,
            accesses=found.accesses,
            row_hit_rate=np.maximum(found.accesses - found.visits, 0.0),
        )


def others(operators: Operators, precisions: Sequence[Precision]) -> Bools:
    """(n, P) True: both chips compute in bfloat16 and in nothing else."""
    return np.array([[(p.bits, p.compute) != (16, "bf16") for p in precisions]]).repeat(len(operators), axis=0)


def timing(device: Device) -> RowTiming:
    return RowTiming(**{name: device.numbers[name] for name in TIMES})


def mapped(operators: Operators, device: Device) -> Mapped:
    """Products and looked-up rows, each by the fastest cut of its inputs that the device may take."""
    channels = max(int(device.channels), 1)
    ways = [int(device.input_ways)] if device.input_ways else [w for w in range(1, channels + 1) if channels % w == 0]
    each = [_products(operators, device, way) for way in ways]
    rate = device.pins * device.pin_rate / WORD
    times = [f.array + (f.sent + f.received + f.written) / (f.channels * rate) for f in each]
    best = np.argmin(np.stack(times), axis=0)
    rows = np.arange(len(operators))
    return Mapped(*(np.stack([getattr(f, name) for f in each])[best, rows] for name in Mapped.__dataclass_fields__))


def _products(ops: Operators, device: Device, ways: int) -> Mapped:
    m, k, n, count = (np.asarray(column, np.float64) for column in ops.gemm)
    keys, values = attended(ops)
    channels, banks = max(int(device.channels), 1), max(int(device.banks), 1)
    units, per_row = channels // ways * banks, device.row / (device.lanes * WORD)
    buffer = device.buffer / WORD
    apart = (keys | values) & (not device.concatenated)
    dealt = np.where(keys | apart, count * np.ceil(n / units), np.ceil(n * count / units))  # outputs of a bank
    inputs = np.ceil(k / ways)
    chunks = np.ceil(inputs / buffer)
    rest = inputs - np.maximum(chunks - 1, 0) * buffer
    wide = np.maximum(chunks - 1, 0) * buffer / device.lanes + np.ceil(rest / device.lanes)  # columns of an output
    once = dealt * wide
    alone = np.where(apart, np.maximum(count, 1.0), 1.0)
    visits = alone * np.ceil(once / alone / per_row)
    if not device.packed:
        visits = dealt * (np.maximum(chunks - 1, 0) * np.ceil(buffer / device.lanes / per_row)
                          + np.ceil(np.ceil(rest / device.lanes) / per_row))  # fmt: skip
    loaded = np.minimum(np.where(keys, inputs * count, inputs), buffer)
    held = np.clip(np.floor(buffer / np.maximum(loaded, 1.0)), 1.0, np.maximum(m, 1.0))  # vectors in the buffer at once
    passes = np.ceil(m / held)
    opened, accesses = visits * passes, once * m
    spread = np.where(keys | apart, np.ceil(n / banks), np.ceil(n / (banks * np.maximum(dealt, 1.0))))
    copies = np.clip(spread, 1.0, channels / ways)
    reached = np.where(
        keys | apart, copies, np.clip(np.ceil(n * count / (banks * np.maximum(dealt, 1.0))), 1.0, channels / ways)
    )
    again = (np.array(ops.kind) == "matmul") & (ops.kv_write > 0) & bool(device.shared_input)
    each = visit(accesses / np.maximum(opened, 1.0), timing(device), 1 if device.all_bank else banks)
    more, appended = _append(ops, device)
    looked, rows = _lookup(ops, device)
    busy = np.where(opened > 0, opened * each, 0.0) + appended + looked
    product = (m * k * n * count) > 0
    return Mapped(
        visits=opened + more + rows,
        accesses=accesses + more + rows * per_row,
        array=refreshed(busy, timing(device)),
        channels=np.where(product, reached * ways, float(channels)),
        sent=np.where(again, 0.0, m * k * count * copies),
        received=m * n * count * chunks * ways + np.where(rows > 0, ops.act_out, 0.0),
        written=np.asarray(ops.kv_write, np.float64),
    )


def attended(ops: Operators) -> tuple[Bools, Bools]:
    """Which operators read keys and which values: a fused product of keys leaves its scores on the chip, one of values
    finds its probabilities there; of others the longer side is the positions."""
    attention = np.array(ops.kind) == "attention"
    keys = np.where(ops.act_out == 0, True, np.where(ops.act_in == 0, False, ops.n > ops.k))
    return attention & keys, attention & ~keys


def _append(ops: Operators, device: Device) -> tuple[Floats, Floats]:
    """Visits and s of new keys and values: a key fills columns of one row, a value one column of a row in every bank.
    Which of both a product computes is not known: the mean (ours)."""
    banks, row = device.channels * device.banks, device.row / WORD
    new = np.asarray(ops.kv_write, np.float64)
    key, value = np.ceil(new / row), np.ceil(new / banks)
    columns = np.minimum(new, row) / device.lanes
    s = (
        key * visit(columns, timing(device))
        + value * visit(1.0, timing(device), int(device.banks) if not device.all_bank else 1)
    ) / 2
    return (key + value) / 2, np.where(new > 0, s, 0.0)


def _lookup(ops: Operators, device: Device) -> tuple[Floats, Floats]:
    """s and rows of an embedding, read one token after another."""
    looked = np.array(ops.kind) == "embedding"
    rows = np.where(looked, np.maximum(ops.act_in, np.ceil(ops.weights * WORD / device.row)), 0.0)
    return rows * visit(device.row / (device.lanes * WORD), timing(device)), rows


def spent(found: Mapped, moved: Floats, time: Floats, device: Device) -> Floats:
    """(n,) J: activations, accesses by all banks, refresh and standby of all channels, pins. Standby while the other
    chip works is left out."""
    t = timing(device)
    banks = found.channels * device.banks
    opened = found.visits * banks * device.activate * (t.t_ras + t.t_rp)
    accessed = found.accesses * found.channels * device.mac_factor * device.read * t.t_ccd
    written = found.written / device.lanes * device.write * t.t_ccd
    array = np.minimum(found.array, time)
    standby = device.channels * (device.open * array + device.closed * (time - array))
    standby += device.channels * device.refresh * array * t.t_rfc / t.t_refi
    return np.asarray(opened + accessed + written + standby + moved * device.energy_pin)


class CompanionLogic:
    """Lanes that add and multiply, for what is no product: exponentials by Taylor's series, reciprocals and roots by
    Newton's iteration (the publication's arithmetic; how often is ours).

    Constants:
        lanes, clock: operations in a cycle, cycles in a s.
        taylor: terms of an exponential; newton: iterations of a reciprocal or a root, two operations each and one more.
    """

    constants: ClassVar[Mapping[str, str]] = {"lanes": "1", "clock": "Hz", "taylor": "1 or zero", "newton": "1 or zero"}
    defaults: ClassVar[Mapping[str, float]] = {"taylor": 6.0, "newton": 3.0}
    columns: ClassVar[Mapping[str, Column]] = {"operations": Column(meaning="operations of the companion's lanes")}
    runs: ClassVar[tuple[str, ...]] = ("norm", "softmax", "elementwise", "scan", "aggregate")

    def table(self, operators: Operators, device: Device, precisions: Sequence[Precision]) -> CostTable:
        kind = np.array(operators.kind)
        softmax = np.where(kind == "softmax", operators.flop / 5, 0.0)  # the graph's count: 5 a score
        curved = (kind == "elementwise") & (operators.flop >= 5 * operators.act_out) & (operators.act_out > 0)
        exponentials = softmax + np.where(curved, operators.act_out, 0.0)
        quotients = np.where(curved, operators.act_out, 0.0) + np.isin(kind, ("norm", "softmax"))
        operations = operators.flop + exponentials * device.taylor + quotients * (2 * device.newton + 1)
        return CostTable(
            time=operations / (device.lanes * device.clock),
            unsupported=others(operators, precisions),
            operations=operations,
        )

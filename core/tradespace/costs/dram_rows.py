"""Rows of a DRAM: what opening, reading and closing them takes, refresh, energy from currents, and where words lie.

A visit to a row opens it, accesses some of its columns and closes it (open-row policy: only the next row closes it):

    max(tRAS, tRCD + (c - 1) tCCD + max(tRTP, tCCD)) + tRP        for c columns (JEDEC's constraints, JESD250)

Banks that open one by one may start only tRRD apart, and four within tFAW. Refresh is inserted between visits: every
tREFI one of tRFC. `refreshed` is the mean over where in the refresh interval the work begins, `refreshed_from` the
exact time from a fresh interval on; both agree with the event loop of `timeline`, bank by bank (see the tests).

Energy from currents is Micron's power calculation (TN-41-01): activation (IDD0 over the two standby currents), accesses
(IDD4 over active standby), refresh (IDD5 over active standby), standby itself.

`BankMap` says which channel, bank, row and column hold an element of a matrix, and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RowTiming:
    """Seconds: activate to column, precharge, row open, last read to precharge, column to column, activate to activate,
    four activates, refresh, refresh interval. Zero switches a constraint off.

    Raises:
        InputError: negative times, no time between columns, or a refresh as long as its interval.
    """

    t_rcd: float
    t_rp: float
    t_ras: float
    t_ccd: float
    t_rtp: float = 0.0
    t_rrd: float = 0.0
    t_faw: float = 0.0
    t_rfc: float = 0.0
    t_refi: float = 1.0

    def __post_init__(self) -> None:
        if min(self.t_rcd, self.t_rp, self.t_ras, self.t_rtp, self.t_rrd, self.t_faw, self.t_rfc) < 0:
            raise InputError("times of a DRAM are not negative", value=self)
        if not self.t_ccd > 0:
            raise InputError("columns follow each other after some time", value=self.t_ccd, where="t_ccd")
        if not self.t_rfc < self.t_refi:
            raise InputError("a refresh is shorter than its interval", value=(self.t_rfc, self.t_refi), where="t_rfc")


def visit(columns: Floats | float, timing: RowTiming, banks: int = 1) -> Floats:
    """s of a visit to a row, ``columns`` accesses (any shape, 1 or more); ``banks`` open one by one and then work in
    lock step (1: all at once, or alone)."""
    accessed = (np.maximum(columns, 1.0) - 1.0) * timing.t_ccd + max(timing.t_rtp, timing.t_ccd)
    return np.asarray(stagger(banks, timing) + np.maximum(timing.t_ras, timing.t_rcd + accessed) + timing.t_rp)


def stagger(banks: int, timing: RowTiming) -> float:
    """s from the first to the last activation of ``banks`` banks, the soonest that tRRD and tFAW allow."""
    starts = [0.0]
    for bank in range(1, banks):
        soonest = starts[-1] + timing.t_rrd
        starts.append(max(soonest, starts[bank - 4] + timing.t_faw) if bank >= 4 else soonest)
    return starts[-1]


def refreshed(busy: Floats | float, timing: RowTiming) -> Floats:
    """Mean s that ``busy`` s of visits take with refresh between them."""
    return np.asarray(busy) * (timing.t_refi / (timing.t_refi - timing.t_rfc))


def refreshed_from(rows: int, each: float, timing: RowTiming) -> float:
    """s of ``rows`` visits of ``each`` s that begin with a fresh refresh interval: a fixed point on the number of
    refreshes, as a refresh waits for the row that is open."""
    if rows < 1:
        return 0.0
    count = 0
    while True:
        last = (rows - 1) * each + count * timing.t_rfc
        due = int(np.floor(last / timing.t_refi + 1e-12))
        if due == count:
            return last + each
        count = due


@dataclass(frozen=True, slots=True)
class Currents:
    """A of one device at ``vdd`` V: one bank cycling, precharged and active standby, writing, reading, refreshing."""

    vdd: float
    idd0: float
    idd2n: float
    idd3n: float
    idd4w: float
    idd4r: float
    idd5: float


@dataclass(frozen=True, slots=True)
class RowPowers:
    """W: rows open, rows closed, and on top of them an activation (over tRAS + tRP), reading, writing, refreshing."""

    open: float
    closed: float
    activate: float
    read: float
    write: float
    refresh: float


def powers(currents: Currents, timing: RowTiming) -> RowPowers:
    """TN-41-01's differences of currents times voltage; what comes out below zero is zero."""
    c, cycle = currents, timing.t_ras + timing.t_rp
    standby = (c.idd3n * timing.t_ras + c.idd2n * timing.t_rp) / cycle
    found = (c.idd3n, c.idd2n, c.idd0 - standby, c.idd4r - c.idd3n, c.idd4w - c.idd3n, c.idd5 - c.idd3n)
    return RowPowers(*(max(c.vdd * amperes, 0.0) for amperes in found))


@dataclass(frozen=True)
class BankMap:
    """Where the elements of a matrix (outputs, inputs) lie. Exact, both ways.

    Outputs go round over all banks: the bank within a channel first, then the channel. Inputs are cut into chunks that
    fit the input buffer; in a bank one chunk of all its outputs follows the other, an output's chunk padded to whole
    columns, and rows are filled to the last column (``packed``) or every output's chunk starts a row.

    Args:
        outputs, inputs: of the matrix.
        channels, banks: of the memory.
        row, buffer, lanes: elements of a row, of the input buffer, of a column access; the last divides the others.

    Raises:
        InputError: sizes that are no sizes, or do not divide.
    """

    outputs: int
    inputs: int
    channels: int
    banks: int
    row: int = 1024
    buffer: int = 1024
    lanes: int = 16
    packed: bool = True

    def __post_init__(self) -> None:
        sizes = (self.outputs, self.inputs, self.channels, self.banks, self.row, self.buffer, self.lanes)
        if min(sizes) < 1:
            raise InputError("sizes of a bank map are 1 or more", value=sizes)
        if self.row % self.lanes or self.buffer % self.lanes:
            raise InputError(
                "a column access divides the row and the buffer", value=(self.row, self.buffer, self.lanes)
            )

    @property
    def units(self) -> int:
        return self.channels * self.banks

    @property
    def slots(self) -> int:
        """Outputs of the fullest bank."""
        return -(-self.outputs // self.units)

    @cached_property
    def columns(self) -> Longs:
        """(chunks,) columns that a chunk of one output takes, its share of a row start included."""
        left = np.arange(0, self.inputs, self.buffer)
        wide = -(-np.minimum(self.inputs - left, self.buffer) // self.lanes)
        if self.packed:
            return wide
        each = self.row // self.lanes
        return -(-wide // each) * each

    @cached_property
    def starts(self) -> Longs:
        """(chunks,) first column of each chunk in a bank."""
        return np.concatenate([[0], np.cumsum(self.columns * self.slots)[:-1]])

    @property
    def rows(self) -> int:
        """Rows of the fullest bank."""
        return int(-(-(self.columns.sum() * self.slots * self.lanes) // self.row))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the memory: channels, banks, rows, elements of a row."""
        return self.channels, self.banks, self.rows, self.row

    def place(self, output: Longs, inputs: Longs) -> tuple[Longs, Longs, Longs, Longs]:
        """(channel, bank, row, element) of matrix elements; arrays of one shape."""
        slot, unit = np.divmod(output, self.units)
        channel, bank = np.divmod(unit, self.banks)
        chunk, within = np.divmod(inputs, self.buffer)
        at = (self.starts[chunk] + slot * self.columns[chunk]) * self.lanes + within
        row, element = np.divmod(at, self.row)
        return channel, bank, row, element

    def find(self, channel: Longs, bank: Longs, row: Longs, element: Longs) -> tuple[Longs, Longs]:
        """(output, input) of places in the memory, -1 and -1 where there is only padding."""
        column, lane = np.divmod(row * self.row + element, self.lanes)
        chunk = np.clip(np.searchsorted(self.starts, column, side="right") - 1, 0, len(self.starts) - 1)
        slot, inside = np.divmod(column - self.starts[chunk], self.columns[chunk])
        output = slot * self.units + channel * self.banks + bank
        within = inside * self.lanes + lane
        inputs = chunk * self.buffer + within
        real = (slot < self.slots) & (output < self.outputs) & (within < self.buffer) & (inputs < self.inputs)
        return np.where(real, output, -1), np.where(real, inputs, -1)

    def fill(self, matrix: NDArray[np.generic]) -> NDArray[np.generic]:
        """The memory (`shape`) that holds ``matrix`` (outputs, inputs), zeros in the padding."""
        memory = np.zeros(self.shape, matrix.dtype)
        memory[self.place(*np.indices((self.outputs, self.inputs)))] = matrix
        return memory

    def read(self, memory: NDArray[np.generic]) -> NDArray[np.generic]:
        """The matrix that lies in a memory."""
        return np.asarray(memory[self.place(*np.indices((self.outputs, self.inputs)))])

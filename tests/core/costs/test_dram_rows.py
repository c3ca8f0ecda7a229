"""Rows of a DRAM: closed forms against the event loop bank by bank, known currents, and an exact map both ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.costs.dram_rows import BankMap, Currents, RowTiming, powers, refreshed, refreshed_from, stagger, visit
from tradespace.costs.timeline import Resource, TaskTable, events
from tradespace.errors import InputError

NS = 1e-9
AIM = RowTiming(
    14.82 * NS, 14.82 * NS, 30.21 * NS, 1.0 * NS, 2.28 * NS, 3.99 * NS, 15.96 * NS, 119.7 * NS, 1899.81 * NS
)


def bank_by_bank(rows: int, columns: int, banks: int, t: RowTiming, at_once: bool) -> float:
    """s of rows opened, read column by column and closed in every bank of a channel, by the event loop.

    Tasks of a row and bank: ACT (an instant), a delay of tRCD, the columns one by one on the bank, a delay until the
    row may close, PRE on the bank. Lock step: columns wait for all banks, the next row for all precharges.
    """
    edges: list[tuple[int, int]] = []
    lags: list[float] = []
    work: list[float] = []
    resource: list[int] = []

    def task(seconds: float, bank: int, *after: tuple[int, float]) -> int:
        here = len(work)
        work.append(seconds)
        resource.append(bank)
        for source, lag in after:
            edges.append((source, here))
            lags.append(lag)
        return here

    closed: list[int] = []
    for _ in range(rows):
        opened: list[int] = []
        for bank in range(banks):
            after = [(p, 0.0) for p in closed]
            if bank and not at_once:
                after.append((opened[-1], t.t_rrd))
                if bank >= 4:
                    after.append((opened[bank - 4], t.t_faw))
            opened.append(task(0.0, -1, *after))
        last = []
        for bank in range(banks):
            at = task(0.0, bank, *((act, t.t_rcd) for act in opened))
            for _ in range(columns - 1):
                at = task(t.t_ccd, bank, (at, 0.0))
            last.append(task(max(t.t_rtp, t.t_ccd), bank, (at, 0.0)))
        closed = [
            task(t.t_rp, bank, *((at, 0.0) for at in last), *((act, t.t_ras) for act in opened))
            for bank in range(banks)
        ]
    table = TaskTable(len(work), edges, tuple(Resource(f"bank{b}") for b in range(banks)), lag=lags)
    return float(events(table, work, resource).finish.max())


@pytest.mark.parametrize("columns", [1, 2, 13, 48, 64])
@pytest.mark.parametrize(("banks", "at_once"), [(1, True), (4, True), (16, True), (2, False), (6, False), (16, False)])
def test_visits_are_the_event_loop_bank_by_bank(columns: int, banks: int, at_once: bool) -> None:
    expected = bank_by_bank(3, columns, banks, AIM, at_once)
    assert 3 * float(visit(columns, AIM, 1 if at_once else banks)) == pytest.approx(expected, rel=1e-12)


def test_visits_are_the_event_loop_for_any_timing() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        t = RowTiming(*rng.uniform(0.5, 40, 3) * NS, *rng.uniform(0.5, 4, 2) * NS, *rng.uniform(0, 20, 2) * NS)
        columns, banks = int(rng.integers(1, 20)), int(rng.integers(1, 9))
        expected = bank_by_bank(2, columns, banks, t, at_once=False)
        assert 2 * float(visit(columns, t, banks)) == pytest.approx(expected, rel=1e-12)


def by_events(rows: int, each: float, t: RowTiming) -> float:
    """Rows in a queue of the channel; refreshes come by the clock and go before the next row."""
    count = int(rows * each / (t.t_refi - t.t_rfc)) + 2
    release = [0.0] * rows + [(j + 1) * t.t_refi for j in range(count)]
    edges = [(i, i + 1) for i in range(rows - 1)]
    table = TaskTable(rows + count, edges, (Resource("channel"),), release=release)
    work = [each] * rows + [t.t_rfc] * count
    times = events(table, work, [0] * (rows + count), [1.0] * rows + [0.0] * count)
    return float(times.finish[0, :rows].max())


def test_refresh_is_the_event_loop() -> None:
    rng = np.random.default_rng(6)
    for _ in range(80):
        t = replace(AIM, t_rfc=float(rng.uniform(0, 300)) * NS, t_refi=float(rng.uniform(400, 4000)) * NS)
        rows, each = int(rng.integers(1, 200)), float(rng.uniform(20, 300)) * NS
        assert refreshed_from(rows, each, t) == pytest.approx(by_events(rows, each, t), rel=1e-12)


def test_the_mean_over_phases_is_what_a_long_run_takes() -> None:
    each = float(visit(64, AIM))
    long = refreshed_from(200_000, each, AIM)
    assert float(refreshed(200_000 * each, AIM)) == pytest.approx(long, rel=1e-4)
    assert float(refreshed(1.0, replace(AIM, t_rfc=0.0))) == 1.0
    assert refreshed_from(0, each, AIM) == 0.0


def test_known_times() -> None:
    """116 cycles of 1 ns for a row in lock step (52 to switch, 64 columns), by hand; four activates in tFAW."""
    plain = RowTiming(26.0, 26.0, 53.0, 1.0)
    assert float(visit(64, plain)) == 116.0
    assert float(visit(1, plain)) == 79.0  # tRAS + tRP = tRC
    assert stagger(16, replace(plain, t_rrd=7.0, t_faw=28.0)) == 105.0
    assert stagger(16, replace(plain, t_rrd=2.0, t_faw=28.0)) == 3 * 28.0 + 3 * 2.0
    assert stagger(1, AIM) == 0.0


def test_powers_from_currents() -> None:
    t = RowTiming(15.84 * NS, 15.84 * NS, 35.64 * NS, 1.98 * NS)
    found = powers(Currents(1.35, 0.071, 0.060, 0.061, 0.231, 0.248, 0.286), t)
    assert (found.open, found.closed) == pytest.approx((0.08235, 0.081))
    assert (found.read, found.write, found.refresh) == pytest.approx((0.25245, 0.2295, 0.30375))
    assert found.activate == pytest.approx(1.35 * (0.071 - (0.061 * 35.64 + 0.060 * 15.84) / 51.48))


@pytest.mark.parametrize(
    "bad", [{"t_ccd": 0.0}, {"t_rp": -1.0}, {"t_rfc": 2.0, "t_refi": 2.0}, {"t_ccd": float("nan")}]
)
def test_times_that_are_none_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(AIM, **bad)


# -- where words lie --------------------------------------------------------------------------------------------------


SIZES = st.tuples(
    st.integers(1, 70), st.integers(1, 150), st.integers(1, 4), st.integers(1, 5), st.sampled_from([8, 16, 32]),
    st.sampled_from([4, 8, 16, 64]), st.sampled_from([1, 2, 4]), st.booleans(),
)  # fmt: skip


@given(SIZES)
@settings(max_examples=150, deadline=None)
def test_the_map_is_exact_both_ways(sizes: Any) -> None:
    bank = BankMap(*sizes)
    matrix = np.arange(1, bank.outputs * bank.inputs + 1).reshape(bank.outputs, bank.inputs)
    memory = bank.fill(matrix)
    assert np.count_nonzero(memory) == matrix.size  # no two elements in one place
    assert (bank.read(memory) == matrix).all()
    output, inputs = bank.find(*np.indices(bank.shape))
    real = output >= 0
    assert real.sum() == matrix.size
    assert (memory[real] == matrix[output[real], inputs[real]]).all()
    assert (memory[~real] == 0).all()


def test_rows_are_what_the_closed_form_counts() -> None:
    """GPT-2's 3072 x 768: 24 outputs of 48 columns in a bank are 18 full rows; unpacked, 24 rows."""
    assert BankMap(3072, 768, 8, 16).rows == 18
    assert BankMap(3072, 768, 8, 16, packed=False).rows == 24
    wide = BankMap(768, 3072, 8, 16)
    assert (wide.rows, wide.slots, list(wide.columns)) == (18, 6, [64, 64, 64])


def test_neighbouring_outputs_lie_in_neighbouring_banks_of_one_channel() -> None:
    channel, bank, row, element = BankMap(256, 16, 8, 16).place(np.array([0, 1, 15, 16, 127, 128]), np.zeros(6, int))
    assert list(channel) == [0, 0, 0, 1, 7, 0]
    assert list(bank) == [0, 1, 15, 0, 15, 0]
    assert list(row * 1024 + element) == [0, 0, 0, 0, 0, 16]


@pytest.mark.parametrize("bad", [{"outputs": 0}, {"lanes": 3}, {"row": 24}])
def test_maps_that_are_none_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(BankMap(4, 4, 1, 1), **bad)

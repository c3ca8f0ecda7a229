"""Quantities: golden readings, what is shown, what is refused and how."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradespace import units
from tradespace.errors import UnitError

GOLDEN = [
    ("119.5 GB/s", "B/s", 119.5e9),
    ("16 GiB", "B", 17179869184.0),
    ("16 Gbit/s", "B/s", 2e9),
    ("16 Gbps", "B/s", 2e9),
    ("9.2 TFLOPS", "FLOP/s", 9.2e12),
    ("9.2 TFLOP/s", "FLOP/s", 9.2e12),
    ("11 TOPS", "FLOP/s", 11e12),
    ("11 TOP/s", "FLOP/s", 11e12),
    ("2 GMAC/s", "FLOP/s", 4e9),
    ("28 W", "W", 28.0),
    ("28 J/s", "W", 28.0),
    ("1 GHz", "Hz", 1e9),
    ("8 us", "s", 8e-6),
    ("8 µs", "s", 8e-6),
    ("2 min", "s", 120.0),
    ("5 pJ/bit", "J/B", 4e-11),
    ("5 J/MB", "J/B", 5e-6),
    ("1.5 Wh", "J", 5400.0),
    ("45 degC", "K", 318.15),
    ("-10 °C", "K", 263.15),
    ("30 K", "delta K", 30.0),
    ("0.6 K/W", "K/W", 0.6),
    ("35 %", "1", 0.35),
    ("35%", "1", 0.35),
    ("1e9", "B", 1e9),
    ("585e6", "FLOP", 585e6),
    (".5", "1", 0.5),
    ("20 tokens/s", "token/s", 20.0),
    ("119.5GB/s", "B/s", 119.5e9),
    (3, "W", 3.0),
    (2.5, "W", 2.5),
    ("7 points", "points", 7.0),
]


@pytest.mark.parametrize(("text", "unit", "value"), GOLDEN)
def test_golden_readings_are_exact(text: object, unit: str, value: float) -> None:
    assert units.parse(text, unit) == value


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (119.5e9, "B/s", "119.5 GB/s"),
        (63.8, "W", "63.8 W"),
        (0.0412, "s", "41.2 ms"),
        (0.0412, "ms", "41.2 ms"),
        (318.15, "degC", "45.0 degC"),
        (318.15, "K", "318.1 K"),
        (9.2e12, "FLOP/s", "9.2 TFLOP/s"),
        (4e-11, "J/B", "40 pJ/B"),
        (0.35, "1", "0.35"),
        (0.35, "%", "35 %"),
        (120.0, "s", "120 s"),
        (0.0, "W", "0 W"),
        (-2e-3, "W", "-2 mW"),
        (999.96e6, "B", "1 GB"),
        (1234567.0, "token", "1234567 token"),
        (math.inf, "s", "inf s"),
        (3.0, "points", "3 points"),
        (3.0, "", "3"),
        (5e-19, "s", "0.0005 fs"),
    ],
)
def test_golden_displays(value: float, unit: str, text: str) -> None:
    assert units.format(value, unit) == text


SHOWN = ["B", "B/s", "FLOP/s", "W", "J", "J/B", "Hz", "s", "K", "K/W", "1", "token/s", "ms", "GB", "%"]


@given(
    st.floats(1e-18, 1e18) | st.floats(-1e18, -1e-18),
    st.sampled_from(SHOWN),
    st.integers(3, 17),
)
def test_a_shown_value_reads_back(value: float, unit: str, digits: int) -> None:
    back = units.parse(units.format(value, unit, digits=digits), unit)
    assert back == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits) + 1e-15)


@given(st.floats(0, 2000))
def test_celsius_reads_back_to_a_tenth(kelvin: float) -> None:
    assert units.parse(units.format(kelvin, "degC"), "K") == pytest.approx(kelvin, abs=0.0501)


@given(st.text(max_size=80), st.sampled_from(SHOWN))
def test_any_text_is_read_or_refused_in_one_paragraph(text: str, unit: str) -> None:
    try:
        value = units.parse(text, unit)
    except UnitError as error:
        assert str(error).isprintable() and len(str(error)) < 500
    else:
        assert math.isfinite(value)


@pytest.mark.parametrize(
    ("value", "unit", "message"),
    [
        ("1 GB", "Hz", "array.clock: '1 GB' is B, needs Hz. Write for example '1 GHz'."),
        ("119 GB", "B/s", "array.clock: '119 GB' is B, needs B/s. Write for example '119.5 GB/s'."),
        ("3 W", "1", "array.clock: '3 W' is W, needs a plain number. Write for example '0.35'."),
        ("3 W", "points", "array.clock: '3 W' is W, needs points"),
        ("2 J/FLOP", "J/B", "array.clock: '2 J/FLOP' is J/FLOP, needs J/B. Write for example '5 pJ/bit'."),
        (
            "45 degC",
            "delta K",
            "array.clock: '45 degC' is a temperature, needs a difference in K. Write for example '30 K'.",
        ),
        (
            "5 parsec",
            "B",
            "array.clock: '5 parsec': the unit 'parsec' is unknown, needs B. Write for example '16 GiB'.",
        ),
        ("4 FLOPs/s/x", "FLOP/s", "the unit 'FLOPs/s/x' is unknown"),
        ("3 bitt", "B", "Did you mean 'bit'?"),
        ("320 KB", "B", "'KB' means two things, needs B. Write kB (1000 B) or KiB (1024 B)."),
        ("4 Gb/s", "B/s", "Write Gbit (bits) or GB (bytes)."),
        ("1,5 W", "W", "'1,5 W' is not a quantity, needs W"),
        ("", "W", "'' is not a quantity, needs W"),
        ("fast", "W", "'fast' is not a quantity, needs W"),
        ("nan", "W", "'nan' is not a quantity"),
        ("１ W", "W", "is not a quantity"),
        (math.nan, "W", "the number must be finite, in W; got nan"),
        (-math.inf, "W", "the number must be finite, in W; got -inf"),
        ("1e999", "W", "the number must be finite, in W; got '1e999'"),
        ("1e308 GB", "B", "the number must be finite"),
        (10**400, "W", "the number must be finite"),
        (True, "W", "a quantity in W is needed; got True"),
        (True, "1", "a plain number is needed; got True"),
        (None, "W", "a quantity in W is needed; got None"),
        ([1], "W", "a quantity in W is needed; got [1]"),
        ("9" * 65, "W", "a quantity has at most 64 characters; got '9999"),
    ],
)
def test_refusals_say_what_is_needed(value: object, unit: str, message: str) -> None:
    with pytest.raises(UnitError) as caught:
        units.parse(value, unit, where="array.clock")
    assert str(caught.value).startswith("array.clock: ") and message in str(caught.value)


def test_signs_are_refused_where_they_make_no_sense() -> None:
    assert units.parse("-3 W", "W") == -3.0
    assert units.parse(0, "W", positive=False) == 0.0
    with pytest.raises(UnitError, match=r"must be 0 W or above; got '-3 W'"):
        units.parse("-3 W", "W", positive=False)
    with pytest.raises(UnitError, match=r"must be above 0 W; got 0"):
        units.parse(0, "W", positive=True)
    with pytest.raises(UnitError, match="must be above 0 K"):
        units.parse("-300 degC", "K", positive=True)


def test_dimensions_compare_units() -> None:
    assert units.dimension("W") == units.dimension("J/s")
    assert units.dimension("TOPS") == units.dimension("FLOP/s")
    assert units.dimension("B/s") != units.dimension("B")
    with pytest.raises(UnitError, match="unknown"):
        units.dimension("points")

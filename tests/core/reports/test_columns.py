from __future__ import annotations

import pytest

from tradespace.reports.columns import amount, column, percent


def test_one_prefix_for_the_whole_column() -> None:
    c = column("latency", "s", [0.0012, 0.045, 0.9])
    assert c.title == "latency (ms)"
    assert [c.text(v) for v in (0.0012, 0.045, 0.9)] == ["1.2", "45.0", "900.0"]


@pytest.mark.parametrize(
    ("unit", "values", "title", "texts"),
    [
        ("B/s", [119.5e9, 272e9], "x (GB/s)", ["119.5", "272.0"]),
        ("K", [318.15], "x (degC)", ["45.0"]),
        ("1", [0.25, 0.5], "x", ["0.2500", "0.5000"]),
        ("token/s", [138.5], "x (token/s)", ["138.5"]),
        ("widgets", [3.0], "x (widgets)", ["3.000"]),  # a unit that only a plugin knows
        ("J", [0.0, 0.0], "x (J)", ["0", "0"]),
        ("s", [], "x (s)", []),
        ("1", [2e-5, 7e-3], "x (×1e-3)", ["0.020", "7.000"]),
    ],
)
def test_units_and_digits(unit: str, values: list[float], title: str, texts: list[str]) -> None:
    c = column("x", unit, values)
    assert c.title == title
    assert [c.text(v) for v in values] == texts


def test_values_far_apart_keep_their_own_digits() -> None:
    c = column("loss", "1", [7.43e-3, 4.284e-8])
    assert [c.text(v) for v in (7.43e-3, 4.284e-8)] == ["0.00743", "4.28e-08"]
    t = column("time", "s", [0.9, 2e-6])
    assert (t.title, t.text(2e-6)) == ("time (ms)", "0.002")


def test_shown_values_lead_back_to_si() -> None:
    for unit, values in (("s", [0.0371]), ("K", [311.2]), ("B", [1.859e9]), ("1", [3.3e-4])):
        c = column("x", unit, values)
        assert float(c.text(values[0])) * c.factor + c.offset == pytest.approx(values[0], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "text"),
    [(-0.123, "−12.3 %"), (0.0, "+0 %"), (-1e-9, "+0 %"), (2.5, "+250 %"), (24.0, "×25"), (float("inf"), "from 0")],
)
def test_changes_in_words(change: float, text: str) -> None:
    assert percent(change) == text


def test_how_far_beyond_a_limit() -> None:
    assert [amount(v) for v in (0.0123, 0.24, 604.0)] == ["1.23 %", "24 %", "a factor 605"]

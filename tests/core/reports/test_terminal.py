from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from tradespace.reports.columns import column
from tradespace.reports.summary import Certificate, Files, summarise
from tradespace.reports.terminal import make_console, show


class Stream(io.TextIOWrapper):
    def __init__(self, encoding: str, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def read_all(self) -> str:
        self.flush()
        return str(self.buffer.getvalue(), self.encoding)  # type: ignore[attr-defined]


def printed(summary: Any, width: int = 100, encoding: str = "utf-8") -> str:
    stream = Stream(encoding)
    show(summary, make_console(stream, width))
    return stream.read_all()


@pytest.fixture
def summary(front: Any, bound: Any) -> Any:
    return summarise(front, bound, study="s1", files=Files("out/t.db", "out/s1/report.html", "out/s1/plan.yaml"))


def test_the_table_shows_every_picked_plan_with_units(front: Any, summary: Any) -> None:
    text = printed(summary)
    energy = column("energy", "J", (summary.rows[i].values["energy"] for i in summary.picked))
    for i in summary.picked:
        line = next(x for x in text.splitlines() if x.startswith(front.short_ids[i]))
        assert energy.text(front.values[i, 0]) in line
    assert "mJ" in text and "ms" in text
    for why in ("best energy", "best latency", "best loss", "knee"):
        assert why in text
    assert len(summary.picked) == 12


def test_everything_a_reader_needs_is_there(summary: Any) -> None:
    text = printed(summary)
    for words in (
        "chain on box: ",
        "4,096 designs in",
        "no bound: the evaluator declares no structure",
        "3 substitute numbers",
        "devices.npu.dynamic_power = 5 W (a guess (ours))",
        "out/t.db",
        "out/s1/report.html",
        "out/s1/plan.yaml",
        "tradespace explain s1:",
    ):
        assert words in text


def test_a_certified_gap_is_a_sentence(summary: Any) -> None:
    text = printed(replace(summary, certificate=Certificate(0.0123, "label bound", 0.01, 0.9)))
    assert "at most 1.2 % of the possible hypervolume is missing (label bound)" in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(summary: Any, width: int) -> None:
    assert max(len(line) for line in printed(summary, width).splitlines()) <= width


def test_no_line_ends_in_blanks_when_piped(summary: Any) -> None:
    assert all(line == line.rstrip() for line in printed(summary).splitlines())


def test_a_search_that_priced_nothing(summary: Any) -> None:
    text = printed(replace(summary, rows=(), picked=(), evaluations=0, interrupted=True))
    assert "no plan was found (0 designs in" in text and "interrupted" in text


def test_no_colour_and_no_control_codes_when_piped(summary: Any) -> None:
    assert "\x1b" not in printed(summary)


def test_ascii_streams_get_ascii(summary: Any) -> None:
    text = printed(summary, encoding="ascii")
    assert text.isascii()
    assert "best energy" in text


def test_hostile_names_cannot_move_the_cursor_or_style(summary: Any) -> None:
    evil = replace(summary, workload="a\x1b[2J\x1b[31m[bold]b[/bold]", constraints=("x\rfoo<=1",))
    text = printed(evil)
    assert "\x1b" not in text and "\r" not in text
    assert "[bold]b[/bold]" in text  # shown, not obeyed


def test_an_infeasible_search_says_what_binds(make_front: Any, chain: Any, bound: Any) -> None:
    text = printed(summarise(make_front(chain, constraints=["latency<=1 us"]), bound))
    assert "no plan meets the constraints" in text
    assert "'latency<=1 us' binds" in text
    assert "certified gap" not in text
    assert "all dgpu int4 | samples 1" in text  # the nearest plan
    assert "exceeds latency<=1 us by a factor 625" in text


def test_the_baseline_is_set_beside_the_front(front: Any, bound: Any, chain: Any) -> None:
    from tradespace.baseline import compare

    mine = chain.space.parse({"placement": "cpu", "precision": "int8"})
    text = printed(summarise(front, bound, baseline=compare(front.problem, mine, name="mine.yaml", front=front)))
    assert "mine.yaml" in text
    assert "at least as good in everything" in text
    assert "best single change: placement of " in text

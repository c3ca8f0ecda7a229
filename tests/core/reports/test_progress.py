from __future__ import annotations

import io
from typing import Any

import pytest

from tradespace.reports.progress import SearchProgress, done
from tradespace.search.contract import Budget


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Told:
    """What the bar reads of a batch."""

    def __init__(self, evaluations: int, seconds: float) -> None:
        self.evaluations, self.seconds, self.hypervolume, self.front = evaluations, seconds, 0.5, range(7)


def test_quiet_below_two_seconds_and_visible_beyond() -> None:
    clock, stream = Clock(), Terminal()
    with SearchProgress(Budget(1000), file=stream, clock=clock) as progress:
        clock.now = 1.9
        progress.batch(Told(100, 1.9))  # type: ignore[arg-type]
        assert not progress.visible and stream.getvalue() == ""
        clock.now = 2.1
        progress.batch(Told(200, 2.1))  # type: ignore[arg-type]
        assert progress.visible
    assert not progress.visible
    text = stream.getvalue()
    assert "200 designs" in text and "front 7" in text and "hypervolume 0.5000" in text and "8 s left" in text


def test_never_where_nobody_looks(capsys: Any) -> None:
    clock, stream = Clock(), io.StringIO()
    with SearchProgress(Budget(1000), file=stream, clock=clock) as progress:
        clock.now = 60.0
        progress.batch(Told(200, 60.0))  # type: ignore[arg-type]
    assert stream.getvalue() == ""
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("budget", "share"),
    [(Budget(1000), 0.5), (Budget(None, seconds=20.0), 0.25), (Budget(1000, seconds=6.0), 5 / 6), (Budget(400), 1.0)],
)
def test_the_tightest_limit_counts(budget: Budget, share: float) -> None:
    assert done(Told(500, 5.0), budget) == pytest.approx(share)  # type: ignore[arg-type]

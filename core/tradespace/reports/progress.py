"""A progress bar on work over two seconds, on stderr, and only where a person looks."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

    from tradespace.search.contract import Batch, Budget

PATIENCE = 2.0
"""Seconds before a bar appears."""


class SearchProgress:
    """An observer of the search: evaluations, hypervolume, front size, time left. A context manager, so that the bar
    goes away before the result is printed, also after an interrupt."""

    def __init__(
        self, budget: Budget, *, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._budget, self._file, self._clock = budget, file or sys.stderr, clock
        self._quiet = not self._file.isatty()
        self._begin = clock()
        self._bar: Progress | None = None

    def __enter__(self) -> SearchProgress:
        self._begin = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def visible(self) -> bool:
        return self._bar is not None

    def batch(self, batch: Batch) -> None:
        if self._quiet or (self._bar is None and self._clock() - self._begin < PATIENCE):
            return
        if self._bar is None:
            self._bar = _bar(self._file)
            self._bar.add_task("search", total=1.0)
            self._bar.start()
        share = done(batch, self._budget)
        left = math.nan if share <= 0 else batch.seconds * (1.0 - share) / share
        text = (
            f"{batch.evaluations:,} designs, front {len(batch.front):,}, hypervolume {batch.hypervolume:.4f}"
            f"{'' if math.isnan(left) else f', {_clock_text(left)} left'}"
        )
        self._bar.update(self._bar.task_ids[0], completed=share, description=text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def done(batch: Batch, budget: Budget) -> float:
    """Share of the budget that is used: the largest of its limits, in [0, 1]."""
    shares = [0.0]
    if budget.evaluations:
        shares.append(batch.evaluations / budget.evaluations)
    if budget.seconds:
        shares.append(batch.seconds / budget.seconds)
    return min(1.0, max(shares))


def _bar(file: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(file=file),
        transient=True,
        refresh_per_second=8,
    )


def _clock_text(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 90 else f"{whole // 60} min" if whole < 5400 else f"{whole / 3600:.1f} h"

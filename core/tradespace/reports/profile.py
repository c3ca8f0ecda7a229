"""Where the time went: a stopwatch that is handed along, and wrappers that time the parts of a search."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tradespace.problem import Problem
from tradespace.search.contract import Batch, Observer, Optimizer


class Stopwatch:
    """Seconds by section. Sections nest; a section owns its time without that of the sections inside it, so all
    sections add up to the time from first start to last stop."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._stack: list[str] = []
        self._since = 0.0
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator[None]:
        self._charge()
        self._stack.append(name)
        self.calls[name] = self.calls.get(name, 0) + 1
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def add(self, name: str, seconds: float) -> None:
        """Time that was measured elsewhere, such as the start of the process."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.calls[name] = self.calls.get(name, 0) + 1

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def _charge(self) -> None:
        now = self._clock()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    # -- parts of a search ----------------------------------------------------------------------------------------

    def problem(self, problem: Problem) -> Problem:
        """The same problem; pricing and repair are timed as "search: price"."""
        return replace(problem, evaluator=_Timed(problem.evaluator, self, {"price": "price", "repair": "price"}))

    def optimizer(self, optimizer: Optimizer) -> Optimizer:
        """The same optimizer; ask and tell are timed."""
        return _Timed(optimizer, self, {"ask": "ask", "tell": "tell"})  # type: ignore[return-value]

    def observer(self, observer: Observer, name: str = "log") -> Observer:
        """The same observer, timed as "search: log"."""
        return _TimedObserver(observer, self, f"search: {name}")

    def lines(self) -> list[str]:
        """One line a section in the order of their first start, with share and number of calls."""
        width = max((len(name) for name in self.seconds), default=0)
        total = self.total or 1.0
        lines = [
            f"{name:{width}}  {seconds:8.3f} s  {seconds / total:6.1%}  {self.calls.get(name, 0):>7,} x"
            for name, seconds in self.seconds.items()
        ]
        return [*lines, f"{'total':{width}}  {self.total:8.3f} s"]

    def to_json(self) -> dict[str, float]:
        return {name: round(seconds, 6) for name, seconds in self.seconds.items()}


class _Timed:
    """Stands before an object; calls of the named methods are timed, everything else passes through."""

    def __init__(self, inner: Any, watch: Stopwatch, sections: dict[str, str]) -> None:
        self._inner, self._watch, self._sections = inner, watch, sections

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._sections:
            return found

        def timed(*arguments: Any) -> Any:
            with self._watch.section(f"search: {self._sections[name]}"):
                return found(*arguments)

        return timed


class _TimedObserver:
    def __init__(self, inner: Observer, watch: Stopwatch, name: str) -> None:
        self._inner, self._watch, self._name = inner, watch, name

    def batch(self, batch: Batch) -> None:
        with self._watch.section(self._name):
            self._inner.batch(batch)

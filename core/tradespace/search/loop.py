"""The core loop: ask, repair, price, tell, until a budget is spent, nothing is left to propose, or Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tradespace.designs import Designs
from tradespace.errors import PluginError, ProblemError, StudyError, TradespaceError
from tradespace.problem import Prices, Problem, Scores
from tradespace.search.archive import Archive
from tradespace.search.claims import verified
from tradespace.search.contract import (
    Batch,
    Budget,
    Observer,
    Optimizer,
    Recalled,
    Replay,
    digest_designs,
    digest_prices,
    rng,
)
from tradespace.search.diagnosis import Relaxations
from tradespace.search.faults import guarded
from tradespace.search.front import Front, HistoryPoint, front_of
from tradespace.search.indicators import SAMPLED, Box, hypervolume, reference_box, reference_sample

_GAIN = 1e-6
_SAME = 1e-9  # relative: sums over a batch may round differently
_PACE = 1.02
_CHEAP = 1e-3  # seconds a design


@dataclass
class _Run:
    """What one search has found so far. Changed only between interrupts, a whole batch at a time."""

    problem: Problem
    archive: Archive
    relaxations: Relaxations
    box: Box | None = None
    index: int = 0
    evaluations: int = 0
    started: float = field(default_factory=time.perf_counter)
    offset: float = 0.0  # seconds that a resumed log had already taken, less those replaying took
    history: list[HistoryPoint] = field(default_factory=list)
    idle: int = 0
    best_violation: float = np.inf
    stopped: str = ""
    stale: bool = False  # the archive changed since its hypervolume was measured
    due: float = 0.0  # evaluations from which on it is measured next
    doubt: str = ""  # what the reference designs say against the evaluator

    @property
    def seconds(self) -> float:
        return max(time.perf_counter() - self.started + self.offset, 0.0)

    @property
    def hypervolume(self) -> float:
        return self.history[-1].hypervolume if self.history else 0.0


def run(
    problem: Problem,
    optimizer: Optimizer,
    budget: Budget,
    seed: int,
    *,
    name: str,
    batch: int | None = None,
    observers: Sequence[Observer] = (),
    replay: Replay | None = None,
) -> Front:
    """Search until the budget ends and return the front.

    Ctrl-C ends the run after the batch that is being told, or drops the batch that is being priced; what was found is
    kept and ``front.interrupted`` is True. A replayed batch is told, never shown to ``observers`` again. An error that
    ends the search carries what was found before it as ``error.front``.

    Raises:
        PluginError: the evaluator or the optimizer raised or broke its contract; it names the batch.
        StudyError: a replayed batch differs from what was logged.
        ProblemError: the budget or the seed makes no sense.
    """
    check(budget, seed, batch)
    state = _Run(problem, Archive(problem.space, len(problem.objectives)), Relaxations(problem))
    interrupted = False
    try:
        if problem.deterministic:
            with guarded(f"price of {type(problem.evaluator).__name__}, reference designs"):
                designs, scores = reference_sample(problem)
                verified(problem, designs, scores.prices)
                state.box = reference_box(problem, scores, SAMPLED)
                state.doubt = _differing(scores.prices)
        while not state.stopped:
            _step(state, optimizer, budget, seed, batch or int(optimizer.batch), observers, replay)
        if _cheap(state):
            with guarded("diagnosis"):
                state.relaxations.refine(state.archive, seed)
    except KeyboardInterrupt:
        interrupted, state.stopped = True, "interrupted"
    except TradespaceError as error:
        with contextlib.suppress(Exception):  # the first error counts
            state.stopped = f"error: {error.rule}"
            error.front = _front(state, optimizer, name, seed, interrupted) if state.evaluations else None
        raise
    return _front(state, optimizer, name, seed, interrupted)


def _front(state: _Run, optimizer: Optimizer, name: str, seed: int, interrupted: bool) -> Front:
    _settle(state)
    front = front_of(
        state.problem,
        state.archive,
        state.box,
        state.relaxations,
        optimizer=name,
        seed=seed,
        evaluations=state.evaluations,
        seconds=state.seconds,
        history=tuple(state.history),
        stopped=state.stopped,
        interrupted=interrupted,
        note=str(getattr(optimizer, "note", "")),
    )
    return replace(front, note="; ".join(part for part in (front.note, state.doubt) if part))


def _differing(prices: Prices) -> str:
    """The first reference design is also the last: what to say if it has two prices."""
    for name, column in prices.items():
        first, last = float(column[0]), float(column[-1])
        if abs(first - last) > _SAME * max(abs(first), abs(last)):
            two = f"one design is priced {first:.6g} and {last:.6g} in {name}"
            return f"{two}: an evaluator that measures or draws random numbers says deterministic = False"
    return ""


def _cheap(state: _Run) -> bool:
    """Whether nothing feasible was found and two thousand more prices take about a second."""
    known = state.problem.deterministic and state.evaluations > 0 and not state.archive.feasible
    return known and state.seconds / state.evaluations < _CHEAP


def _step(
    state: _Run,
    optimizer: Optimizer,
    budget: Budget,
    seed: int,
    batch: int,
    observers: Sequence[Observer],
    replay: Replay | None,
) -> None:
    """One batch, or the reason to stop."""
    recalled = replay.recall(state.index) if replay is not None else None
    if recalled is None:
        state.stopped = _spent(state, budget)
        if state.stopped:
            return
    left = batch if budget.evaluations is None else min(batch, budget.evaluations - state.evaluations)
    priced = _recall(state, optimizer, recalled, seed, left) if recalled else _ask(state, optimizer, seed, left)
    if priced is None:
        state.stopped = "nothing left to propose"
        return
    designs, prices = priced
    with guarded("objectives"):
        scores = state.problem.score(designs, prices)
    with uninterrupted():
        with guarded(f"tell of the optimizer, batch {state.index}"):
            optimizer.tell(designs, scores, rng(seed, state.index, "tell"))
        watched = bool(observers) and recalled is None
        _take(state, designs, scores, measured=watched or budget.stagnation is not None)
        if recalled is not None and replay is not None:
            state.offset = replay.seconds - (time.perf_counter() - state.started)
        elif observers:
            told = _told(state, designs, scores)
            for observer in observers:
                observer.batch(told)
        state.index += 1


def _ask(state: _Run, optimizer: Optimizer, seed: int, n: int) -> tuple[Designs, Prices] | None:
    designs = _asked(state, optimizer, seed, n)
    return None if designs is None else (designs, _priced(state, designs))


def _asked(state: _Run, optimizer: Optimizer, seed: int, n: int) -> Designs | None:
    with guarded(f"ask of the optimizer, batch {state.index}"):
        asked = optimizer.ask(n, rng(seed, state.index, "ask"))
        if not len(asked):
            return None
        if len(asked) > n:
            raise PluginError("an optimizer asks at most as many designs as it is asked for", value=len(asked))
        return state.problem.repair(asked)


def _priced(state: _Run, designs: Designs) -> Prices:
    with guarded(f"price of {type(state.problem.evaluator).__name__}, batch {state.index}"):
        return state.problem.price(designs)


def _recall(state: _Run, optimizer: Optimizer, recalled: Recalled, seed: int, n: int) -> tuple[Designs, Prices]:
    """The logged batch: taken from the log, or asked and priced again and compared."""
    if recalled.designs is not None and recalled.prices is not None:
        return recalled.designs, recalled.prices
    for count in dict.fromkeys((recalled.count, n)):  # an optimizer may have answered a larger request with fewer
        designs = _asked(state, optimizer, seed, count) if count > 0 else None
        if designs is not None and digest_designs(designs) == recalled.designs_digest:
            prices = _priced(state, designs)
            if digest_prices(prices) == recalled.prices_digest:
                return designs, prices
            raise StudyError(
                "a resumed study prices its designs as before",
                value=f"other prices in batch {state.index}",
                remedy="The evaluator, its data or a library has changed; start a new study.",
            )
    raise StudyError(
        "a resumed study asks the same designs as before",
        value=f"other designs in batch {state.index}",
        remedy="The optimizer, its options or a library has changed; start a new study.",
    )


def _take(state: _Run, designs: Designs, scores: Scores, *, measured: bool) -> None:
    """Put a told batch into the archive and the history. The hypervolume, which costs more than a small batch, is
    ``measured`` now or after 2 % more designs; in between the history repeats the last one."""
    if state.box is None:
        state.box = reference_box(state.problem, scores)
    state.stale |= state.archive.add(designs, scores)
    state.relaxations.add(designs, scores)
    state.evaluations += len(designs)
    feasible = state.archive.feasible
    volume = state.hypervolume
    if state.stale and feasible and (measured or state.evaluations >= state.due):
        volume = hypervolume(state.archive.objectives, state.box)
        state.stale, state.due = False, _PACE * state.evaluations
    violation = 0.0 if feasible else float(state.archive.violation.min())
    gained = volume > state.hypervolume + _GAIN or violation < state.best_violation - _GAIN
    state.idle = 0 if gained else state.idle + 1
    state.best_violation = min(violation, state.best_violation)
    state.history.append(HistoryPoint(state.evaluations, state.seconds, volume))


def _told(state: _Run, designs: Designs, scores: Scores) -> Batch:
    """The batch that was just taken in, for observers."""
    archive, point = state.archive, state.history[-1]
    rows = slice(None) if archive.feasible else slice(0, 0)
    front, objectives = archive.designs.take(rows), archive.objectives[rows]
    return Batch(state.index, designs, scores, point.evaluations, point.seconds, point.hypervolume, front, objectives)


def _settle(state: _Run) -> None:
    """The last point of the history has the last hypervolume."""
    if state.stale and state.history and state.archive.feasible and state.box is not None:
        volume = hypervolume(state.archive.objectives, state.box)
        state.history[-1] = replace(state.history[-1], hypervolume=volume)


def _spent(state: _Run, budget: Budget) -> str:
    if budget.evaluations is not None and state.evaluations >= budget.evaluations:
        return f"{budget.evaluations} evaluations"
    if budget.seconds is not None and state.seconds >= budget.seconds:
        return f"{budget.seconds:g} seconds"
    if budget.stagnation is not None and state.idle >= budget.stagnation:
        return f"no gain in {budget.stagnation} batches"
    return ""


def check(budget: Budget, seed: int, batch: int | None) -> None:
    """Raises `ProblemError` for a budget, seed or batch that makes no sense."""
    limits = {"evaluations": budget.evaluations, "seconds": budget.seconds, "stagnation": budget.stagnation}
    if all(limit is None for limit in limits.values()):
        raise ProblemError("a search needs a budget: evaluations, seconds or stagnation", where="budget")
    for key, limit in {**limits, "batch": batch}.items():
        number = isinstance(limit, int | float | np.number) and not isinstance(limit, bool)
        if limit is not None and not (number and 0 < limit < np.inf):
            raise ProblemError(f"{key} is a positive number", value=limit, where="budget")
        if limit is not None and key != "seconds" and limit != int(limit):
            raise ProblemError(f"{key} is a whole number", value=limit, where="budget")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ProblemError("a seed is a whole number of at least 0", value=seed, where="seed")


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block ends, so a batch is told, archived and logged as a whole or not at all."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is None:
        yield
        return
    caught: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if caught:
        raise KeyboardInterrupt

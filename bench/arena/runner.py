"""Runs cells, each result one line of an append-only file, so that a run that is cut short goes on later."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from bench.arena.cells import CHECKPOINTS, FEW, LONG, Cell, ablations
from bench.arena.code import code_of, prices_of
from bench.arena.instances import Instance, all_instances
from bench.arena.peers import PEERS, run_peer
from bench.arena.record import Record
from numpy.typing import NDArray

from tradespace.search.api import search
from tradespace.search.indicators import nondominated

Array = NDArray[np.float64]

REFERENCE_DESIGNS = 20_000
_TOGETHER = 16


@dataclass(frozen=True)
class Bounds:
    """What hypervolumes of an instance are measured in, fixed before the first run."""

    ideal: Array
    nadir: Array


@dataclass(frozen=True)
class Result:
    """``volumes``: normalised hypervolume by checkpoint (-1: the end), or the least objective where there is only
    one. ``note``: what the optimizer said. ``code``, ``prices``: digests of the optimizer and of the instance.
    ``seconds`` by the wall, ``cpu`` of the core."""

    cell: Cell
    volumes: Mapping[int, float]
    evaluations: int
    seconds: float
    members: int
    note: str = ""
    error: str = ""
    code: str = ""
    prices: str = ""
    cpu: float = 0.0

    def line(self) -> str:
        document = asdict(self) | {"key": self.cell.key, "volumes": {str(k): v for k, v in self.volumes.items()}}
        return json.dumps(document, allow_nan=False)


def result_of(document: Mapping[str, Any]) -> Result:
    volumes = {int(k): float(v) for k, v in document["volumes"].items()}
    rest = {k: document[k] for k in ("evaluations", "seconds", "members", "note", "error")}
    digests = {k: document.get(k, "") for k in ("code", "prices")}
    cpu = float(document.get("cpu", document["seconds"]))
    return Result(Cell(**document["cell"]), volumes, **rest, **digests, cpu=cpu)


def fresh(result: Result, prices: Mapping[str, str]) -> bool:
    """Whether neither the optimizer nor the instance has changed since. ``prices``: digests by instance."""
    return result.code == code_of(result.cell.optimizer, result.note) and result.prices == prices.get(
        result.cell.instance
    )


def load(path: Path) -> dict[str, Result]:
    """Finished cells by key; a last line that was cut off is passed over."""
    done: dict[str, Result] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                document = json.loads(line)
            except json.JSONDecodeError:
                continue
            done[document["key"]] = result_of(document)
    return done


# -- one cell ---------------------------------------------------------------------------------------------------------


def run_cell(cell: Cell, instance: Instance, bounds: Bounds) -> tuple[Result, Array]:
    """(result, final front). Before a run by the clock everything is imported and compiled by two short ones."""
    if cell.seconds is not None:
        _warm(cell.optimizer, instance)
    began = time.process_time()
    record, note, error = _run(cell, instance)
    seconds, cpu = time.perf_counter() - record.started, time.process_time() - began
    fronts = record.archives([c for c in CHECKPOINTS if cell.evaluations is None or c <= cell.evaluations])
    volumes = {k: quality(front, bounds) for k, front in fronts.items()}
    finite = {k: v for k, v in volumes.items() if np.isfinite(v)}
    digests = code_of(cell.optimizer, note), prices_of(instance.problem)
    return Result(cell, finite, record.total, seconds, len(fronts[-1]), note, error, *digests, cpu), fronts[-1]


@lru_cache(maxsize=1024)
def _warm(optimizer: str, instance: Instance) -> None:
    """Once in a process."""
    _run(Cell(instance.name, optimizer, 150, None, 0), instance)
    _run(Cell(instance.name, optimizer, None, 0.5, 0), instance)


def _run(cell: Cell, instance: Instance) -> tuple[Record, str, str]:
    """(what was priced, the optimizer's note, why it ended early)."""
    instance.problem  # noqa: B018 - built before the clock starts
    record = Record(instance.problem, cell.evaluations, cell.seconds)
    note = error = ""
    try:
        if cell.optimizer in PEERS:
            run_peer(cell.optimizer, record, cell.seed)
        else:
            note = run_ours(cell, instance, record)
    except Exception as caught:  # a peer that cannot search an instance is a result, told with its reason
        error = f"{type(caught).__name__}: {caught}".splitlines()[0][:200]
    return record, note, error


def run_ours(cell: Cell, instance: Instance, record: Record) -> str:
    name, _, form = cell.optimizer.partition(" ")
    front = search(
        instance.evaluator if form == "declared" else instance.black_box,
        list(instance.objectives),
        list(instance.constraints),
        optimizer=name,
        options=ablations().get(cell.optimizer),
        evaluations=cell.evaluations,
        seconds=cell.seconds,
        seed=cell.seed,
        observers=(record,),
    )
    return front.note


def quality(front: Array, bounds: Bounds) -> float:
    """Hypervolume below nadir + 10 %, with the ideal at 0 and the nadir at 1; one objective: its least value."""
    import moocore

    if front.shape[1] == 1:
        return float(front.min()) if len(front) else float("inf")
    scaled = (front - bounds.ideal) / (bounds.nadir - bounds.ideal)
    scaled = scaled[(scaled < 1.1).all(axis=1)]
    return float(moocore.hypervolume(scaled, ref=[1.1] * scaled.shape[1])) if len(scaled) else 0.0


# -- references -------------------------------------------------------------------------------------------------------


def reference_front(instance: Instance) -> Array:
    """The exact front, or the best that long runs of several optimizers find together, with seeds apart."""
    if instance.front is not None:
        return instance.front()
    problem, fronts = instance.problem, []
    runs: list[tuple[str, int]] = [("pgsam", 1000), ("nsga2", 1001), ("auto", 1002)]
    for optimizer, seed in runs:
        evaluator = instance.evaluator if optimizer == "auto" else instance.black_box
        front = search(
            evaluator,
            list(instance.objectives),
            list(instance.constraints),
            optimizer=optimizer,
            evaluations=REFERENCE_DESIGNS if optimizer != "nsga2" else REFERENCE_DESIGNS // 4,
            seed=seed,
        )
        fronts.append(front.minimised)
    every = np.concatenate(fronts)
    assert every.shape[1] == len(problem.objectives)
    return every[nondominated(every)]


@dataclass
class References:
    """Reference fronts in a folder: ``NAME.npz`` with the box (fixed for as long as the instance costs the same) and
    the best front known (growing)."""

    folder: Path

    def _path(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '_')}.npz"

    def ensure(self, instance: Instance) -> None:
        path, prices = self._path(instance.name), prices_of(instance.problem)
        if not path.exists() or self.prices(instance.name) != prices:
            self.folder.mkdir(parents=True, exist_ok=True)
            front = reference_front(instance)
            low, high = front.min(axis=0), front.max(axis=0)
            high = np.where(high > low, high, low + np.where(low != 0, 0.1 * np.abs(low), 1.0))
            self._write(path, low, high, front, prices)

    def prices(self, name: str) -> str:
        with np.load(self._path(name), allow_pickle=False) as data:
            return str(data["prices"]) if "prices" in data else ""

    def bounds(self, name: str) -> Bounds:
        with np.load(self._path(name), allow_pickle=False) as data:
            return Bounds(data["ideal"], data["nadir"])

    def best(self, name: str) -> Array:
        with np.load(self._path(name), allow_pickle=False) as data:
            return np.asarray(data["front"])

    def merge(self, name: str, fronts: Sequence[Array]) -> None:
        bounds, best = self.bounds(name), self.best(name)
        every = np.concatenate([best, *fronts])
        self._write(self._path(name), bounds.ideal, bounds.nadir, every[nondominated(every)], self.prices(name))

    @staticmethod
    def _write(path: Path, ideal: Array, nadir: Array, front: Array, prices: str) -> None:
        part = path.with_suffix(".part.npz")
        np.savez(part, ideal=ideal, nadir=nadir, front=front, prices=np.asarray(prices))
        os.replace(part, path)


# -- many cells -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _instance(name: str) -> Instance:
    return all_instances(lambda other: other == name).instances[name]


@lru_cache(maxsize=256)
def _bounds(folder: str, name: str) -> Bounds:
    return References(Path(folder)).bounds(name)


def _work(cell: Cell, folder: str) -> tuple[Result, Array]:
    return run_cell(cell, _instance(cell.instance), _bounds(folder, cell.instance))


def _prepare(name: str, folder: str) -> str:
    """Builds the references; digest of the instance's prices."""
    References(Path(folder)).ensure(_instance(name))
    return prices_of(_instance(name).problem)


def run(plan: Iterable[Cell], folder: Path, *, jobs: int, minutes: float, pinned: bool = False) -> tuple[int, int]:
    """(finished now, left). A cell runs unless the results file holds it in the present state of its optimizer and
    instance; no cell starts after ``minutes``; what takes `LONG` seconds gets `FEW` seeds. ``pinned``: every job has a
    core of its own, and what can wait is done after the last run, for runs by the clock."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = list(plan)
    references, end = References(folder / "references"), time.perf_counter() + 60 * minutes
    names, done = list(dict.fromkeys(cell.instance for cell in plan)), 0
    with _pool(jobs, pinned) as pool, (folder / "results.jsonl").open("a", encoding="utf-8") as out:
        prices = dict(zip(names, pool.map(_prepare, names, [str(references.folder)] * len(names)), strict=True))
        known = {k: r for k, r in load(folder / "results.jsonl").items() if fresh(r, prices)}
        clock, found = Clock(known.values()), Found(references, names, len(plan) if pinned else _TOGETHER)
        queue = (cell for cell in plan if cell.key not in known and not clock.long(cell))
        running: set[Future[tuple[Result, Array]]] = set()
        while True:
            while len(running) < jobs and time.perf_counter() < end and (cell := next(queue, None)) is not None:
                running.add(pool.submit(_work, cell, str(references.folder)))
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                result, front = future.result()
                out.write(result.line() + "\n")
                clock.add(result)
                found.add(result.cell.instance, front)
                done += 1
            out.flush()
        found.merge()
        return done, sum(1 for _ in queue)


def _pool(jobs: int, pinned: bool) -> ProcessPoolExecutor:
    if not pinned:
        return ProcessPoolExecutor(jobs)
    context = multiprocessing.get_context()
    cores = context.SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)) * jobs:
        cores.put(core)
    return ProcessPoolExecutor(jobs, context, _pin, (cores,))


def _pin(cores: Any) -> None:
    os.sched_setaffinity(0, {cores.get()})


class Clock:
    """Seconds of a core that the runs of each kind of cell took."""

    def __init__(self, results: Iterable[Result]) -> None:
        self._seconds: dict[str, list[float]] = {}
        for result in results:
            self.add(result)

    def add(self, result: Result) -> None:
        self._seconds.setdefault(result.cell.kind, []).append(result.cpu or result.seconds)

    def long(self, cell: Cell) -> bool:
        """Whether this seed is one too many for what such runs take."""
        known = self._seconds.get(cell.kind, ())
        return cell.seconds is None and cell.seed >= FEW and len(known) >= FEW and float(np.median(known)) > LONG


class Found:
    """Fronts on their way into the references, some at a time; exact ones cannot grow."""

    def __init__(self, references: References, names: Sequence[str], together: int = _TOGETHER) -> None:
        self._references, self._together = references, together
        self._fronts: dict[str, list[Array]] = {n: [] for n in names if _instance(n).front is None}

    def add(self, name: str, front: Array) -> None:
        if name in self._fronts and len(front):
            self._fronts[name].append(front)
            if len(self._fronts[name]) >= self._together:
                self.merge([name])

    def merge(self, names: Sequence[str] | None = None) -> None:
        for name in list(self._fronts) if names is None else names:
            if self._fronts[name]:
                self._references.merge(name, self._fronts[name])
                self._fronts[name] = []

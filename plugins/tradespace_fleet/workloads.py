"""Workload types that are task graphs: written out, drawn at random, or classic benchmarks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tradespace import units
from tradespace.errors import InputError
from tradespace.workloads.options import check_keys, integer, text, word
from tradespace.workloads.task_graph import MAX_EDGES, MAX_TASKS, TaskGraph, task_graph
from tradespace_fleet.reading import META_KEYS, affinity, between, number, origin, rng_of, seed_of

LITERAL = ("work", "release", "deadline", "weight", "memory", "input")
CLASSES: Mapping[str, tuple[float, float, float]] = {
    "critical": (4.0, 0.2, 0.5),
    "normal": (2.0, 0.5, 1.0),
    "bulk": (1.0, 0.3, 2.0),
}
"""Quality-of-service class -> (weight, share of tasks, its deadlines as a multiple of the drawn slack). Ours: the
publication says "mixed QoS" and gives no numbers."""


def build_literal(options: Mapping[str, Any]) -> TaskGraph:
    """The workload type `task_graph`: ``work`` a number a task; optional columns of the same length; ``edges`` rows of
    [source, destination, bytes]; ``factor`` a list a machine.

    Raises:
        InputError, UnknownName: as `task_graph`.
    """
    name, where = _name(options, "task-graph")
    check_keys(options, (*META_KEYS, *LITERAL, "tasks", "edges", "factor", "affinity"), where)
    work = _row(options.get("work"), "work", where)
    factor, edges = options.get("factor") or {}, options.get("edges") or []
    if not isinstance(factor, Mapping) or not isinstance(edges, Sequence) or len(edges) > MAX_EDGES:
        raise InputError("'factor' maps machines to rows and 'edges' is a list of rows", where=where)
    return task_graph(
        name,
        work,
        names=_names(options.get("tasks"), where),
        edges=[_edge(row, where) for row in edges],
        sources=origin(options, where, "given by the user", "datasheet"),
        factor={str(k): _row(v, f"factor.{k}", where) for k, v in factor.items()} | affinity(options, len(work), where),
        facts={"title": text(options, "title", where, default=name)},
        **{key: _row(options[key], key, where) for key in LITERAL[1:] if options.get(key) is not None},
    )


def build_iot(options: Mapping[str, Any]) -> TaskGraph:
    """The workload type `iot_task_set`: independent tasks that arrive as a Poisson stream.

    Options: ``tasks``, ``seed``, ``rate`` (arrivals per s), ``work`` [low, high] MOP, ``data`` [low, high] bytes,
    ``memory`` [low, high] bytes, ``slack`` [low, high]: deadline = release + slack x class factor x work / 1 GOPS.
    Equal seeds draw equal numbers for the first tasks, however many there are.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit.
    """
    name, where = _name(options, "iot-task-set")
    check_keys(options, (*META_KEYS, "tasks", "seed", "rate", "work", "data", "memory", "slack"), where)
    n = integer(options, "tasks", where, high=MAX_TASKS, default=100)
    rate = number(options, "rate", where, default=10.0, unit="Hz")
    if rate <= 0:
        raise InputError("'rate' is above 0", value=rate, where=where)
    seed = seed_of(options, where)
    work = _uniform(seed, 1, n, between(options, "work", where, default=(5e8, 5e9), unit="FLOP"))
    release = np.cumsum(-np.log1p(-rng_of(seed, 0).random(n))) / rate
    names, (weight, share, reach) = tuple(CLASSES), np.array(list(CLASSES.values())).T
    group = np.searchsorted(np.cumsum(share)[:-1], rng_of(seed, 5).random(n), side="right").astype(np.int32)
    slack = _uniform(seed, 4, n, between(options, "slack", where, default=(2.0, 6.0)))
    return task_graph(
        name,
        work,
        names=[f"{names[g]}-{i}" for i, g in enumerate(group.tolist())],
        release=release,
        deadline=release + slack * reach[group] * work / 1e9,
        weight=weight[group],
        memory=_uniform(seed, 3, n, between(options, "memory", where, default=(16e6, 512e6), unit="B")),
        input=_uniform(seed, 2, n, between(options, "data", where, default=(1e5, 1e7), unit="B")),
        group=group,
        groups=names,
        sources=origin(options, where, "drawn by tradespace; the publication prints no task set", "substitute"),
        facts={"title": text(options, "title", where, default=name), "seed": float(seed), "rate": rate},
    )


def build_smtwtp(options: Mapping[str, Any]) -> TaskGraph:
    """The workload type `smtwtp`: jobs on one machine, total weighted tardiness; due ~ U(0, n), weight and processing
    time ~ U(0, 1) (DeepACO, NeurIPS 2023). Options: ``jobs``; ``seed``, the number of the instance; ``draw``: "philox",
    or "deepaco-test" for the 100 instances of 50 or 100 jobs on which DeepACO's printed results stand.

    Raises:
        InputError, UnknownName: keys or values that do not fit.
    """
    name, where = _name(options, "smtwtp")
    check_keys(options, (*META_KEYS, "jobs", "seed", "draw"), where)
    n = integer(options, "jobs", where, high=2000, default=50)
    seed, draw = seed_of(options, where), word(options, "draw", where, known=DRAWS, default="philox")
    if draw == "deepaco-test" and (n not in DEEPACO_SIZES or seed >= DEEPACO_COUNT):
        rule = f"DeepACO's test instances are numbers 0 to {DEEPACO_COUNT - 1} of 50 or 100 jobs"
        raise InputError(rule, value=f"number {seed} of {n} jobs", where=where)
    due, weight, work = DRAWS[draw](n, seed)
    return task_graph(
        name,
        work,
        names=[f"j{i}" for i in range(n)],
        deadline=due,
        weight=weight,
        sources=origin(options, where, "drawn as DeepACO draws its SMTWTP instances", "derived"),
        facts={
            "title": text(options, "title", where, default=f"{n} jobs on one machine"),
            "smtwtp_seed": float(seed),
            "draw": draw,
        },
    )


def draw_smtwtp(n: int, seed: int) -> tuple[Any, Any, Any]:
    """(due, weight, processing time), (n,) each, of instance ``seed``."""
    rng = rng_of(seed, n)
    return rng.random(n) * n, rng.random(n), rng.random(n)


@functools.cache
def _deepaco_set() -> Mapping[int, tuple[tuple[Any, Any, Any], ...]]:
    """DeepACO's test sets, from the seed of its public generator (smtwtp/utils.py)."""
    twister = torch_twister(DEEPACO_SEED)
    drawn = {}
    for n in DEEPACO_SIZES:  # in this order, from one stream
        parts = [[torch_rand(twister, n) for _ in range(3)] for _ in range(DEEPACO_COUNT)]
        drawn[n] = tuple((due * n, weight, time) for due, weight, time in parts)
    return drawn


def torch_twister(seed: int) -> np.random.RandomState:
    """The Mersenne twister as ``torch.manual_seed`` leaves it: numpy's legacy seeding is the same."""
    return np.random.RandomState(seed)


def torch_rand(twister: np.random.RandomState, n: int) -> Any:
    """``torch.rand(n)`` in float32 on a CPU: the low 24 bits of each 32-bit number, times 2^-24."""
    return (twister.randint(0, 2**32, n, dtype=np.uint32) & 0xFFFFFF) * 2.0**-24


def draw_deepaco(n: int, seed: int) -> tuple[Any, Any, Any]:
    """(due, weight, processing time), (n,) each, of instance ``seed`` of DeepACO's test set."""
    return _deepaco_set()[n][seed]


DEEPACO_SEED, DEEPACO_COUNT, DEEPACO_SIZES = 123456, 100, (50, 100)
DRAWS: Mapping[str, Callable[[int, int], tuple[Any, Any, Any]]] = {
    "philox": draw_smtwtp,
    "deepaco-test": draw_deepaco,
}


def build_job_shop(options: Mapping[str, Any]) -> TaskGraph:
    """The workload type `job_shop`: ``jobs`` as rows [machine, time, machine, time, ...] (JSPLIB's form), or drawn:
    ``jobs`` and ``machines`` as numbers, times ~ U{1..99}, machine orders random (Taillard 1993).

    Raises:
        InputError, UnknownName: keys or values that do not fit.
    """
    name, where = _name(options, "job-shop")
    check_keys(options, (*META_KEYS, "jobs", "machines", "seed"), where)
    raw = options.get("jobs")
    rows = _drawn_jobs(options, where) if not isinstance(raw, list) else [_row(job, "jobs", where) for job in raw]
    if any(len(row) % 2 for row in rows) or not 0 < sum(len(row) for row in rows) <= 2 * MAX_TASKS:
        raise InputError("a job is a row of pairs: machine, time", where=where)
    machine = np.concatenate([row[0::2] for row in rows])
    group = np.concatenate([np.full(len(row) // 2, j) for j, row in enumerate(rows)]).astype(np.int32)
    if (machine % 1 != 0).any() or (machine < 0).any() or (machine >= 256).any():
        raise InputError("machines are whole numbers from 0 to 255", where=where)
    chain = np.flatnonzero(group[1:] == group[:-1])
    step = np.concatenate([np.arange(len(row) // 2) for row in rows])
    return task_graph(
        name,
        np.concatenate([row[1::2] for row in rows]),
        names=[f"j{j}.{s}" for j, s in zip(group.tolist(), step.tolist(), strict=True)],
        edges=[(int(i), int(i) + 1, 0.0) for i in chain],
        group=group,
        groups=[f"j{j}" for j in range(len(rows))],
        pinned=machine.astype(np.int32),
        machines=int(machine.max()) + 1,
        sources=origin(options, where, "drawn by tradespace", "substitute"),
        facts={"title": text(options, "title", where, default=name)},
    )


def _drawn_jobs(options: Mapping[str, Any], where: str) -> list[Any]:
    jobs = integer(options, "jobs", where, high=200, default=6)
    machines = integer(options, "machines", where, high=100, default=6)
    rng = rng_of(seed_of(options, where), 11)
    rows = []
    for _ in range(jobs):
        row = np.empty(2 * machines)
        row[0::2], row[1::2] = rng.permutation(machines), rng.integers(1, 100, machines)
        rows.append(row)
    return rows


def _uniform(seed: int, entity: int, n: int, span: tuple[float, float]) -> Any:
    return span[0] + (span[1] - span[0]) * rng_of(seed, entity).random(n)


def _name(options: Mapping[str, Any], default: str) -> tuple[str, str]:
    name = text(options, "name", "workload", default=default)
    return name, f"workload {name}"


def _names(raw: Any, where: str) -> list[str] | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or not all(isinstance(name, str) and 0 < len(name) <= 200 for name in raw):
        raise InputError("'tasks' lists the tasks' names", value=repr(raw)[:80], where=where)
    return raw


def _edge(row: Any, where: str) -> tuple[Any, Any, Any]:
    if not isinstance(row, list) or len(row) not in (2, 3):
        raise InputError("an edge is [source, destination] or [source, destination, bytes]", value=row, where=where)
    size = row[2] if len(row) == 3 else 0.0
    return row[0], row[1], units.parse(size, "B", where=f"{where}.edges", positive=False)


def _row(raw: Any, key: str, where: str) -> Any:
    if isinstance(raw, list) and 0 < len(raw) <= MAX_TASKS:
        try:
            return np.array([float(v) for v in raw])
        except (TypeError, ValueError, OverflowError):
            pass
    raise InputError(f"'{key}' is a list of 1 to {MAX_TASKS} numbers", value=repr(raw)[:80], where=where)

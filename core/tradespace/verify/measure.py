"""Run a plan's passes on this machine and time every operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import UnknownName
from tradespace.kernels.machine import this_machine
from tradespace.kernels.running import run_tasks
from tradespace.verify.local import LocalPlan
from tradespace.verify.lowering import Lowered, lower, weight_bytes
from tradespace.verify.memory import Arena, arena_size
from tradespace.verify.passes import Pass

Floats = NDArray[np.float64]

Clock = Literal["wall", "processor"]
CLOCKS = ("wall", "processor")

LEAST, MOST = 5, 60
"""Fewest and most timed runs of a pass."""


@dataclass(frozen=True)
class Protocol:
    """How plans are run.

    Args:
        seconds: s for each pass, about.
        seed: of the random weights.
        memory: B to take at most; None: a share of what is available.
        clock: "wall", or "processor" as `run_tasks` has it: for a machine that is busy otherwise.
    """

    seconds: float = 1.0
    seed: int = 0
    memory: int | None = None
    clock: Clock = "wall"

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise UnknownName("clock", self.clock, CLOCKS)


@dataclass(frozen=True, eq=False)
class Measured:
    """One pass, run.

    A run that other work on the machine interrupts is an outlier for the operator it met, so the sum of the operators'
    medians is what the pass takes undisturbed; `step` is what it took.

    Args:
        seconds: (r,) median s of each row of the pass; 0 where another row's kernel does its work.
        step: median s of a whole pass.
        spread: quartile range of whole passes over their median.
        kernels: the kernel of each row.
        runs: how often it was run.
    """

    run: Pass
    seconds: Floats
    step: float
    spread: float
    kernels: tuple[str, ...]
    runs: int

    @property
    def total(self) -> float:
        """s of one pass, undisturbed."""
        return float(self.seconds.sum())

    @property
    def job(self) -> float:
        """s that a job spends in this pass."""
        return float(self.run.times @ self.seconds)


@dataclass(frozen=True, eq=False)
class Measurement:
    """All passes of a plan, and the memory they read: `distinct` B of `wanted` B of weights and caches."""

    passes: tuple[Measured, ...]
    distinct: int
    wanted: int

    @property
    def job(self) -> float:
        """s of a whole job."""
        return sum(found.job for found in self.passes)


def measure(plan: LocalPlan, protocol: Protocol) -> Measurement:
    """Run every pass of a plan.

    Raises:
        ProblemError, KernelError: what cannot be run here, with the operator, and what to change.
    """
    passes, rng = plan.passes(), np.random.Generator(np.random.Philox(protocol.seed))
    needs = [weight_bytes(run, plan.formats(run), plan.kv.name) for run in passes]
    machine = this_machine()
    wanted, largest = int(max(need.sum() for need in needs)), int(max(need.max() for need in needs))
    size = arena_size(wanted, largest, machine.memory, machine.last_cache, protocol.memory)
    arena, heads = Arena(size, rng), (int(plan.graph.facts["heads"]), int(plan.graph.facts["kv_heads"]))
    found = []
    for run in passes:
        arena.rewind()
        lowered = lower(run, plan.formats(run), plan.kv.name, heads, arena, rng)
        found.append(_time(run, lowered, plan.threads, protocol))
    return Measurement(tuple(found), size, wanted)


def _time(run: Pass, lowered: Lowered, threads: int, protocol: Protocol) -> Measured:
    """Two runs warm up and tell how many more fit into the time."""
    warm = float(run_tasks(lowered.tasks, threads=threads, repeat=2).sum(axis=1).min())
    runs = int(np.clip(protocol.seconds / max(warm, 1e-6), LEAST, MOST))
    times = run_tasks(lowered.tasks, threads=threads, repeat=runs, clock=protocol.clock)
    steps = times.sum(axis=1)
    low, middle, high = np.quantile(steps, [0.25, 0.5, 0.75])
    seconds = np.zeros(len(run.rows))
    np.add.at(seconds, lowered.owner, np.median(times, axis=0))
    return Measured(run, seconds, float(middle), float((high - low) / middle), lowered.kernels, runs)

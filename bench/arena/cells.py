"""Which optimizer meets which instance, on what budget: the plan of the arena, seed by seed.

Equal evaluations: seed by seed over all instances, so that a run that is cut short is still balanced. `CORE` and ours
meet every instance; `WIDE` every small one (`wide`) and the larger ones that claims rest on; `NARROW`, which lay a grid
of directions over the objectives, chains of 24 and DTLZ. 50,000 designs on `HUGE` alone. Steady optimizers run once
with the longest budget, which holds the shorter ones. What takes more than `LONG` seconds of a core gets `FEW` seeds.
Equal time is a phase of its own: `timed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.arena.instances import Instance

BUDGETS = (500, 2000, 10_000, 50_000)
CHECKPOINTS = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000]
LONG, FEW = 5.0, 3
"""Seconds of a core a run; seeds of what takes longer."""
HUGE = ("sum 48", "capped 48", "bottleneck 48", "coupled 48", "llama-3.2-1b on laptop", "srasearch", "zdt4", "dtlz2")
HUGE_SEEDS = 3
"""Where and how often 50,000 designs are priced."""
TRIALS = ("coupled 24", "zdt4")
"""The two instances of the optimizers that take tens of milliseconds a trial and more."""
TRIAL_SEEDS, TRIAL_EVALUATIONS = 5, 500
SLOW = ("optuna nsga2", "optuna tpe")
CORE = ("random", "archive local search", "pymoo nsga2")
WIDE = ("pymoo nsga3", "pymoo sms_emoa", "pymoo age_moea2")
NARROW = ("pymoo rvea", "pymoo moead")
STEADY = (*CORE, *WIDE)
"""Their course does not depend on the budget (a test holds them to it), so that a long run holds the shorter ones. All
of ours may cool down, sample or give up by the number of designs they are given, and run at each budget anew; so does
pymoo's RVEA, which bends its directions by the share of the budget that is spent."""
BLACK_BOX = ("auto", "pgsam")
EXACT = "chain_exact declared"
ABLATED = tuple(f"{kind} {n}" for kind in ("sum", "capped", "bottleneck", "coupled") for n in (24, 48))
ABLATION_EVALUATIONS = 2000
CLOCKED = (
    *("capped 48", "bottleneck 48", "coupled 48", "coupled 96", "llama-3.2-1b on laptop", "qeil-v2"),
    *("srasearch", "job shop ft06", "mcunet on stm32f746", "zdt4", "dtlz2"),
)
LONGER = ("coupled 48", "llama-3.2-1b on laptop", "srasearch", "zdt4")
"""Instances with runs of 1 s, and those of 10 s."""
RACERS = ("auto", "archive local search", "pymoo nsga2", "pymoo sms_emoa")
LONGER_RACERS = RACERS[:3]
LONGER_AFTER = (4, 9, 14)
"""Who runs by the clock, and the seeds of 1 s after which one of 10 s is run."""


@dataclass(frozen=True)
class Cell:
    """One run."""

    instance: str
    optimizer: str
    evaluations: int | None
    seconds: float | None
    seed: int

    @property
    def key(self) -> str:
        return f"{self.kind} | {self.seed}"

    @property
    def kind(self) -> str:
        """The cell without its seed."""
        budget = f"{self.evaluations} evaluations" if self.evaluations else f"{self.seconds:g} s"
        return f"{self.instance} | {self.optimizer} | {budget}"


def ablations() -> Mapping[str, Mapping[str, Any]]:
    """Options of pgsam without one part, by what the arena calls it: "pgsam no momentum"."""
    from bench.optimizers import VARIANTS

    return {f"pgsam {n.strip()}": options for n, (_, options) in VARIANTS.items() if n.strip().startswith("no ")}


def cells(instances: Mapping[str, Instance], seeds: int) -> Iterator[Cell]:
    """The phase of equal evaluations."""
    for seed in range(seeds):
        for instance in instances.values():
            for optimizer in optimizers(instance):
                if optimizer != EXACT or seed == 0:  # it knows no chance
                    for budget in budgets(instance, optimizer, seed):
                        yield Cell(instance.name, optimizer, budget, None, seed)
        for name in (n for n in ABLATED if n in instances):
            for part in ablations():
                yield Cell(name, part, ABLATION_EVALUATIONS, None, seed)
        for name in (n for n in TRIALS if n in instances and seed < TRIAL_SEEDS):
            for optimizer in SLOW:
                yield Cell(name, optimizer, TRIAL_EVALUATIONS, None, seed)


def timed(instances: Mapping[str, Instance], seeds: int = 20) -> Iterator[Cell]:
    """The phase of equal time: runs of 1 s on all of `CLOCKED`, now and then of 10 s on `LONGER`."""
    for seed in range(seeds):
        yield from _clocked(instances, CLOCKED, RACERS, 1.0, seed)
        if seed in LONGER_AFTER:
            yield from _clocked(instances, LONGER, LONGER_RACERS, 10.0, LONGER_AFTER.index(seed))


def _clocked(
    instances: Mapping[str, Instance], names: tuple[str, ...], racers: tuple[str, ...], seconds: float, seed: int
) -> Iterator[Cell]:
    for name in (n for n in names if n in instances):
        for optimizer in racers:
            if optimizer in optimizers(instances[name]):
                yield Cell(name, optimizer, None, seconds, seed)


def optimizers(instance: Instance) -> tuple[str, ...]:
    """Ours, then peers."""
    ours = [*BLACK_BOX]
    size = _operators(instance)
    if instance.declares:
        ours.append("auto declared")
        if size in (24, 48) or instance.family == "real chain":
            ours.append("pgsam declared")
    if instance.family in ("chain sum", "chain capped"):
        ours.append(EXACT)
    if instance.family in ("schedule", "workflow"):
        ours.append("rl_aco")
    if instance.family == "networks":
        ours += ["tinynas", "nas_evolution"]
    peers = [*CORE]
    if len(instance.objectives) > 1:
        peers += [name for name in WIDE if wide(instance)]
        if size == 24 or instance.family == "DTLZ":
            peers += [n for n in NARROW if n != "pymoo moead" or not instance.limited]  # pymoo's MOEA/D refuses limits
    return (*ours, *peers)


def wide(instance: Instance) -> bool:
    """Whether more of pymoo than NSGA-II runs: everywhere but on chains between the small ones, and of 96."""
    return _operators(instance) not in (16, 96)


def _operators(instance: Instance) -> int:
    """Length of a generated chain, 0 for all else."""
    return int(instance.name.split()[1]) if instance.family.startswith("chain ") else 0


def budgets(instance: Instance, optimizer: str, seed: int) -> tuple[int, ...]:
    """Steady optimizers get the longest run, which holds the others."""
    if optimizer in ("pymoo moead", EXACT):
        return (BUDGETS[1],)
    huge = instance.name in HUGE and seed < HUGE_SEEDS and optimizer in (*BLACK_BOX, "auto declared", *CORE)
    planned = BUDGETS if huge else BUDGETS[:3]
    return planned[-1:] if optimizer in STEADY else planned

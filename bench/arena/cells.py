"""Which optimizer meets which instance, on what budget: the plan of the arena, seed by seed.

Equal evaluations: everything up to 10,000 designs, seed by seed over all instances, so that a run that is cut short is
still balanced; 50,000 designs on every instance once three seeds are done. Equal time: one run at a time. What takes
more than `LONG` seconds a run gets `FEW` seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.arena.instances import Instance

BUDGETS = (500, 2000, 10_000, 50_000)
CHECKPOINTS = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000]
LONG, FEW = 5.0, 3
"""Seconds a run; seeds of what takes longer."""
HUGE_SEEDS = (0, 1, 2)
"""Seeds with 50,000 designs: the first on every instance, the others on those of `AGAIN`."""
AGAIN = ("sum 48", "capped 48", "bottleneck 48", "coupled 48", "llama-3.2-1b on laptop", "srasearch", "zdt4", "dtlz2")
TRIALS = ("coupled 24", "zdt4")
"""The two instances of the optimizers that take tens of milliseconds a trial and more."""
TRIAL_SEEDS, TRIAL_EVALUATIONS = 5, 500
SLOW = ("optuna nsga2", "optuna tpe")
STEADY = ("random", "archive local search", *(f"pymoo {n}" for n in ("nsga2", "nsga3", "sms_emoa", "age_moea2")))
"""Their course does not depend on the budget (a test holds them to it), so that a long run holds the shorter ones."""
BLACK_BOX = ("auto", "pgsam")
DECLARED = ("auto declared", "pgsam declared")
EXACT = "chain_exact declared"
SEEDS: Mapping[str, int] = {"pymoo age_moea2": 10, "pgsam declared": 10, "pymoo rvea": 10, "pymoo moead": 3, EXACT: 1}
"""Fewer than 20 seeds: what costs most of those that no claim rests on; MOEA/D; and what knows no chance."""
CLOCKED = (
    *("sum 48", "capped 48", "bottleneck 48", "coupled 48", "coupled 96", "llama-3.2-1b on laptop", "qeil-v2"),
    *("srasearch", "job shop ft06", "mcunet on stm32f746", "zdt4", "dtlz2"),
)
LONGER = ("bottleneck 48", "coupled 48", "llama-3.2-1b on laptop", "srasearch", "zdt4")
"""Instances with runs of 1 s, and those of 10 s."""


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


def cells(instances: Mapping[str, Instance], seeds: int) -> Iterator[Cell]:
    """The phase of equal evaluations."""
    for seed in range(seeds):
        for instance in instances.values():
            for optimizer in optimizers(instance):
                if seed < SEEDS.get(optimizer, seeds):
                    for budget in budgets(instance, optimizer):
                        yield Cell(instance.name, optimizer, budget, None, seed)
        if seed == 2:
            yield from _huge(list(instances.values()), HUGE_SEEDS[0])
        if seed == 5:
            yield from _trials(instances)
        if seed == 9:
            for other in HUGE_SEEDS[1:]:
                yield from _huge([instances[name] for name in AGAIN if name in instances], other)


def _huge(instances: list[Instance], seed: int) -> Iterator[Cell]:
    for instance in instances:
        for optimizer in optimizers(instance):
            if optimizer not in SEEDS:
                yield Cell(instance.name, optimizer, BUDGETS[-1], None, seed)


def _trials(instances: Mapping[str, Instance]) -> Iterator[Cell]:
    for seed in range(TRIAL_SEEDS):
        for name in TRIALS:
            for optimizer in SLOW if name in instances else ():
                yield Cell(name, optimizer, TRIAL_EVALUATIONS, None, seed)


def timed(instances: Mapping[str, Instance], seeds: int = 3) -> Iterator[Cell]:
    """The phase of equal time: runs of 1 s on all of `CLOCKED`, of 10 s on `LONGER`, the first seeds first."""
    for seed in range(seeds):
        yield from _clocked(instances, CLOCKED, 1.0, seed)
        if seed == 1:
            yield from _clocked(instances, LONGER, 10.0, 0)


def _clocked(instances: Mapping[str, Instance], names: tuple[str, ...], seconds: float, seed: int) -> Iterator[Cell]:
    for name in names:
        for optimizer in racers(instances[name]) if name in instances else ():
            yield Cell(name, optimizer, None, seconds, seed)


def racers(instance: Instance) -> list[str]:
    """Who runs by the clock: all but what needs a number of designs, or solves instead of searching."""
    return [name for name in optimizers(instance) if name not in ("pymoo rvea", "pymoo moead", EXACT, "pgsam declared")]


def optimizers(instance: Instance) -> tuple[str, ...]:
    ours = [*BLACK_BOX]
    if instance.declares:
        ours += DECLARED
    if instance.family in ("chain sum", "chain capped"):
        ours.append(EXACT)
    if instance.family in ("schedule", "workflow"):
        ours.append("rl_aco")
    if instance.family == "networks":
        ours += ["tinynas", "nas_evolution"]
    peers = ["random", "archive local search", "pymoo nsga2"]
    if len(instance.objectives) > 1:
        peers += [f"pymoo {name}" for name in ("nsga3", "sms_emoa", "age_moea2", "rvea", "moead")]
    if instance.limited:  # pymoo's MOEA/D refuses limits
        peers = [name for name in peers if name != "pymoo moead"]
    return (*ours, *peers)


def budgets(instance: Instance, optimizer: str) -> tuple[int, ...]:
    """Up to 10,000 designs; steady optimizers get the longest run, which holds the others."""
    if optimizer in ("pymoo moead", EXACT):
        return (2000,)
    return (BUDGETS[2],) if optimizer in STEADY else BUDGETS[:3]

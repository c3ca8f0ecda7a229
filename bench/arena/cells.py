"""Which optimizer meets which instance, on what budget: the plan of the arena, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.arena.instances import Instance

CHECKPOINTS = [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000]
BUDGETS = (500, 2000)
LARGE = 10_000
HUGE = ("sum 48", "coupled 24", "zdt4")
"""Instances that also get 50,000 evaluations, and runs by the clock."""
TRIALS = ("coupled 24", "zdt4")
"""The two instances of the optimizers that take milliseconds a trial."""
STEADY = ("random", "archive local search", "pymoo nsga2", "pymoo sms_emoa", "pymoo age_moea2")
"""Their course does not depend on the budget, so that one long run holds the shorter ones."""
SLOW: Mapping[str, int] = {"optuna nsga2": 5, "optuna tpe": 5}
BLACK_BOX = ("auto", "pgsam")
DECLARED = ("auto declared", "pgsam declared")
EXACT = "chain_exact declared"
SCHEDULES = ("rl_aco",)
NETWORKS = ("tinynas", "nas_evolution")
LENGTHY: Mapping[str, int] = dict.fromkeys((*NETWORKS, "pymoo moead"), 2) | {EXACT: 1}
"""Seeds of optimizers that take 5 to 20 s a run, or know no chance."""
PYMOO_SMALL = ("pymoo nsga3", "pymoo moead", "pymoo rvea")


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
        budget = f"{self.evaluations} evaluations" if self.evaluations else f"{self.seconds:g} s"
        return f"{self.instance} | {self.optimizer} | {budget} | {self.seed}"


def cells(instances: Mapping[str, Instance], seeds: int) -> Iterator[Cell]:
    """Seed by seed, so that a run that is cut short is still balanced."""
    for seed in range(seeds):
        for instance in instances.values():
            for optimizer in optimizers(instance):
                if seed >= LENGTHY.get(optimizer, seeds):
                    continue
                for budget in budgets(instance, optimizer):
                    yield Cell(instance.name, optimizer, budget, None, seed)
        for name in HUGE:
            if name in instances:
                yield from _clocked(instances[name], seed)
        if seed == 2:  # the longest runs come once the shorter ones have three seeds
            for name in HUGE:
                if name in instances:
                    yield from _long(instances[name])


def _racers(instance: Instance) -> list[str]:
    """Who runs by the clock: not what would spend it compiling."""
    return [name for name in optimizers(instance) if name not in (*PYMOO_SMALL, EXACT, "pymoo age_moea2")]


def _clocked(instance: Instance, seed: int) -> Iterator[Cell]:
    for optimizer in _racers(instance) if seed < 5 else ():
        yield Cell(instance.name, optimizer, None, 1.0, seed)
    for optimizer, most in SLOW.items() if instance.name in TRIALS else ():
        if seed < most:
            yield Cell(instance.name, optimizer, 500, None, seed)


def _long(instance: Instance) -> Iterator[Cell]:
    for seed in range(3):
        for optimizer in _racers(instance):
            yield Cell(instance.name, optimizer, None, 10.0, seed)
        for optimizer in (*BLACK_BOX, "archive local search", "pymoo nsga2"):
            yield Cell(instance.name, optimizer, 50_000, None, seed)


def optimizers(instance: Instance) -> tuple[str, ...]:
    ours = [*BLACK_BOX]
    if instance.declares:
        ours += DECLARED
    if instance.family in ("chain sum", "chain capped"):
        ours.append(EXACT)
    if instance.family in ("schedule", "workflow"):
        ours += SCHEDULES
    if instance.family == "networks":
        ours += NETWORKS
    single = len(instance.objectives) == 1
    peers = ["random", "archive local search", "pymoo nsga2"]
    peers += [] if single else ["pymoo sms_emoa", "pymoo age_moea2", *PYMOO_SMALL]
    return (*ours, *peers)


def budgets(instance: Instance, optimizer: str) -> tuple[int, ...]:
    """Steady optimizers get their longest run only."""
    most = (*BUDGETS, LARGE) if instance.large and optimizer not in PYMOO_SMALL else BUDGETS
    if optimizer in NETWORKS:
        return (500,)
    if optimizer in PYMOO_SMALL or (optimizer == EXACT and instance.family == "chain capped"):
        return (2000,)
    return (most[-1],) if optimizer in STEADY else most

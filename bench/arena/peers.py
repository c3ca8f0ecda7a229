"""What a user would take instead, used as its own documentation shows: pymoo, Optuna, random search, local search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bench.arena.record import Record, Spent

from tradespace.designs import Choice, Permutation, Space

Peer = Callable[[Record, int], None]

_FOREVER = 10**9


def random_search(record: Record, seed: int) -> None:
    rng = np.random.default_rng(seed)
    while True:
        record.price(record.problem.space.sample(100, rng))


def archive_search(record: Record, seed: int) -> None:
    """A plain local search: change an entry or a few of random archive members, keep what is not dominated."""
    rng, space = np.random.default_rng(seed), record.problem.space
    start = space.concat(
        [space.homogeneous(), space.sample(20, rng)]
    )  # plain designs, such as all on one device, first
    scores = record.price(start)
    codes, values, broken = space.flatten(start), scores.objectives, scores.violation
    while True:
        parents = rng.integers(0, len(codes), 10)
        children = space.mutate(space.unflatten(codes[parents]), rng, rate=1.0 / space.width)
        scores = record.price(children)
        codes = np.concatenate([codes, space.flatten(children)])
        values = np.concatenate([values, scores.objectives])
        broken = np.concatenate([broken, scores.violation])
        keep = _kept(values, broken)
        codes, values, broken = codes[keep], values[keep], broken[keep]


def _kept(values: Any, broken: Any) -> Any:
    from tradespace.search.indicators import nondominated

    feasible = np.flatnonzero(broken <= 0)
    if len(feasible) < 2:
        return np.argsort(broken, kind="stable")[:50]
    return feasible[nondominated(values[feasible])]


def pymoo_peer(name: str, population: int = 100) -> Peer:
    """``minimize`` with the algorithm's own defaults, and the operators that pymoo's guide gives for the variables."""

    def run(record: Record, seed: int) -> None:
        from pymoo.optimize import minimize

        problem = _pymoo_problem(record)
        algorithm = _algorithm(name, population, record.problem.space, len(record.problem.objectives))
        minimize(problem, algorithm, ("n_eval", record.evaluations or _FOREVER), seed=seed, verbose=False)

    return run


def _pymoo_problem(record: Record) -> Any:
    from pymoo.core.problem import Problem

    space, low_high = record.problem.space, record.problem.space.bounds()
    limits = record.problem.score(record.problem.repair(space.homogeneous().take([0]))).violations.shape[1]

    class Wrapped(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(
                n_var=space.width,
                n_obj=len(record.problem.objectives),
                n_ieq_constr=limits,
                xl=low_high[0],
                xu=low_high[1],
            )

        def _evaluate(self, x: Any, out: Any, *args: Any, **kwargs: Any) -> None:
            scores = record.price(space.unflatten(np.asarray(x, np.float64)))
            out["F"], out["G"] = scores.objectives, scores.violations

    return Wrapped()


def _algorithm(name: str, population: int, space: Space, objectives: int) -> Any:
    from pymoo.algorithms.moo import age2, moead, nsga2, nsga3, rvea, sms, unsga3
    from pymoo.util.ref_dirs import get_reference_directions

    operators = _operators(space)
    if name in ("nsga2", "sms_emoa", "age_moea2"):
        cls = {"nsga2": nsga2.NSGA2, "sms_emoa": sms.SMSEMOA, "age_moea2": age2.AGEMOEA2}[name]
        return cls(pop_size=population, **operators)
    partitions = {1: 1, 2: population - 1}.get(objectives, 12)
    lines = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
    if name == "moead":
        return moead.MOEAD(lines, n_neighbors=15, prob_neighbor_mating=0.7, **operators)
    if name == "rvea":
        return rvea.RVEA(lines, **operators)
    return {"nsga3": nsga3.NSGA3, "unsga3": unsga3.UNSGA3}[name](
        lines, pop_size=max(population, len(lines)), **operators
    )


def _operators(space: Space) -> dict[str, Any]:
    from pymoo.operators.crossover.ox import OrderCrossover
    from pymoo.operators.crossover.pntx import TwoPointCrossover
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.bitflip import BitflipMutation
    from pymoo.operators.mutation.inversion import InversionMutation
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import BinaryRandomSampling, IntegerRandomSampling, PermutationRandomSampling

    variables = space.variables
    if all(isinstance(v, Choice) and len(v.options) == 2 for v in variables):
        return {"sampling": BinaryRandomSampling(), "crossover": TwoPointCrossover(), "mutation": BitflipMutation()}
    if all(isinstance(v, Choice) for v in variables):
        return {
            "sampling": IntegerRandomSampling(),
            "crossover": SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            "mutation": PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
        }
    if len(variables) == 1 and isinstance(variables[0], Permutation):
        return {
            "sampling": PermutationRandomSampling(),
            "crossover": OrderCrossover(),
            "mutation": InversionMutation(),
        }
    return {}  # real variables: the defaults; mixed spaces: random keys


def optuna_peer(sampler: str) -> Peer:
    """``study.ask`` and ``study.tell``, one trial at a time, as Optuna's guide to ask-and-tell shows."""

    def run(record: Record, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        space = record.problem.space
        low, high = space.bounds()
        whole = all(isinstance(v, Choice) for v in space.variables)
        make = {"nsga2": optuna.samplers.NSGAIISampler, "tpe": optuna.samplers.TPESampler}[sampler]
        study = optuna.create_study(directions=["minimize"] * len(record.problem.objectives), sampler=make(seed=seed))
        while True:
            trial = study.ask()
            codes = [
                trial.suggest_categorical(f"x{i}", list(range(int(a), int(b) + 1)))
                if whole
                else trial.suggest_float(f"x{i}", a, b)
                for i, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True))
            ]
            scores = record.price(space.unflatten(np.asarray([codes], np.float64)))
            study.tell(trial, scores.objectives[0].tolist())

    return run


PEERS: Mapping[str, Peer] = {
    "random": random_search,
    "archive local search": archive_search,
    **{f"pymoo {name}": pymoo_peer(name) for name in ("nsga2", "nsga3", "sms_emoa", "age_moea2", "moead", "rvea")},
    "optuna nsga2": optuna_peer("nsga2"),
    "optuna tpe": optuna_peer("tpe"),
}


def run_peer(name: str, record: Record, seed: int) -> None:
    try:
        PEERS[name](record, seed)
    except Spent:
        return

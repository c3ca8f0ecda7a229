"""Optuna's samplers, nevergrad and SMAC: they learn, their sequences go on, and no hidden randomness is left."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.stats import qmc

from tradespace.designs import Choice, Designs, Integer, Real, Space
from tradespace.errors import ProblemError, UnknownName
from tradespace.plugins import registry
from tradespace.problem import Metric, Problem
from tradespace.search.api import search
from tradespace.search.contract import SearchView, rng
from tradespace.testing.optimizers import check_optimizer
from tradespace.testing.problems import ToyChain
from tradespace_optimizers import supports
from tradespace_optimizers.optuna_samplers import OptunaNSGA3

CHAIN = ToyChain(length=10)
GOALS = ["cost0", "cost1"]


class Bowl:
    """One objective over numbers: squared distance from a point inside; the second keeps away from it."""

    space = Space(Real("x", -2.0, 3.0, length=4), Integer("k", 1, 40))
    metrics = (Metric("f", "1", "min"), Metric("g", "1", "min"))

    def price(self, designs: Designs) -> dict[str, Any]:
        x, k = designs["x"], designs["k"]
        return {"f": ((x - 0.7) ** 2).sum(axis=1) + ((k - 7) / 10) ** 2, "g": 1.0 - x[:, 0]}


class Four:
    """Two goals over four numbers and categories that both want plain."""

    space = Space(Real("x", 0.0, 1.0, length=2), Choice("c", ("plain", "odd", "bad"), 6))
    metrics = (Metric("a", "1", "min"), Metric("b", "1", "min"))

    def price(self, designs: Designs) -> dict[str, Any]:
        x, waste = designs["x"], designs["c"].sum(axis=1)
        return {"a": x[:, 0] + x[:, 1] + waste, "b": 1 - x[:, 0] + x[:, 1] + waste}


def available(name: str) -> Any:
    """The optimizer's class; skips where its package is not installed."""
    cls = registry().load("optimizers", name)
    known = supports.declared(cls)
    if known is not None and known.extra is not None:
        pytest.importorskip(known.extra[0], reason=f"the extra '{known.extra[1]}' is not installed")
    return cls


def built(name: str, evaluator: Any, goals: list[str], **options: Any) -> tuple[Any, Problem]:
    cls, problem = available(name), Problem.of(evaluator, goals)
    return cls(
        SearchView(problem.space, problem.names, problem.repair, evaluations=400), cls.Options(**options)
    ), problem


@pytest.mark.parametrize("name", ["optuna_nsga2", "optuna_nsga3", "optuna_tpe"])
def test_optuna_learns_from_what_it_is_told(name: str) -> None:
    """A trial that is told belongs to a generation: without one, Optuna's NSGA-II stays in its first, at random."""
    optimizer, problem = built(name, Four(), ["a", "b"])
    worth = []
    for batch in range(8 if name == "optuna_tpe" else 10):
        n = 16 if name == "optuna_tpe" else 50
        designs = optimizer.ask(n, rng(0, batch, "ask"))
        scores = problem.score(designs)
        worth.append(scores.objectives.sum(axis=1).mean())
        optimizer.tell(designs, scores, rng(0, batch, "tell"))
    assert min(worth[-3:]) < 0.5 * worth[0 if name != "optuna_tpe" else 1]


def test_optuna_nsga2_forgets_without_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    monkeypatch.setattr(optuna.trial.Trial, "relative_params", property(lambda self: {}))
    with pytest.raises(AssertionError):
        test_optuna_learns_from_what_it_is_told("optuna_nsga2")


@pytest.mark.parametrize(("objectives", "population", "divisions"), [(2, 50, 49), (3, 50, 8), (6, 50, 2), (2, 3, 2)])
def test_optuna_nsga3_has_as_many_reference_points_as_members(objectives: int, population: int, divisions: int) -> None:
    evaluator = ToyChain(objectives=objectives)
    goals = [m.name for m in evaluator.metrics]
    optimizer, _ = built("optuna_nsga3", evaluator, goals, population=population)
    assert isinstance(optimizer, OptunaNSGA3) and optimizer._divisions() == divisions


def test_the_quasi_random_sequence_goes_on() -> None:
    """Batches after the first are one scrambled Sobol sequence, from where the told designs end."""

    class Unit:
        space = Space(Real("x", 0.0, 1.0, length=3))
        metrics = (Metric("a", "1", "min"),)

        def price(self, designs: Designs) -> dict[str, Any]:
            return {"a": designs["x"].sum(axis=1)}

    optimizer, problem = built("optuna_qmc", Unit(), ["a"])
    asked = []
    for batch in range(4):
        asked.append(optimizer.ask(16, rng(0, batch, "ask")))
        optimizer.tell(asked[-1], problem.score(asked[-1]), rng(0, batch, "tell"))
    later = np.concatenate([d["x"] for d in asked[1:]])
    engine = qmc.Sobol(3, seed=optimizer._sequence, scramble=True).fast_forward(16)
    assert np.allclose(later, engine.random(48))
    assert qmc.discrepancy(later) < 0.5 * qmc.discrepancy(problem.space.sample(48, rng(0, 0, "probe"))["x"])


def test_quasi_random_categories_are_even() -> None:
    """Each option of each choice comes equally often in 64 designs, give or take one."""
    optimizer, _ = built("optuna_qmc", CHAIN, GOALS)
    device = optimizer.ask(64, rng(0, 0, "ask"))["device"]
    counts = np.asarray([(device == k).sum(axis=0) for k in range(3)])
    assert counts.min() >= 64 // 3 - 2 and counts.max() <= 64 // 3 + 3


@pytest.mark.parametrize(("name", "evaluations", "reached"), [("optuna_cmaes", 600, 0.02), ("nevergrad", 400, 0.3)])
def test_numbers_with_one_objective(name: str, evaluations: int, reached: float) -> None:
    available(name)
    front = search(Bowl(), ["f"], optimizer=name, evaluations=evaluations)
    random = search(Bowl(), ["f"], optimizer="random", evaluations=evaluations)
    assert front.minimised.min() < min(reached, random.minimised.min())


@pytest.mark.parametrize("name", ["optuna_cmaes", "nevergrad"])
def test_penalties_lead_back_to_what_is_feasible(name: str) -> None:
    """The best design breaks the limit; the best feasible one lies on it."""
    available(name)
    front = search(Bowl(), ["f"], ["g>=0.8"], optimizer=name, evaluations=600)
    assert len(front) == 1 and front.designs["x"][0, 0] <= 0.2 + 1e-9 and front.minimised.min() < 1.2


@pytest.mark.parametrize(("evaluator", "goals", "rule"), [
    (CHAIN, GOALS, "optuna_cmaes needs one objective"),
    (CHAIN, GOALS[:1], "optuna_cmaes searches only variables of kind Integer, Real"),
])  # fmt: skip
def test_cma_es_refuses_what_it_cannot_search(evaluator: Any, goals: list[str], rule: str) -> None:
    with pytest.raises(ProblemError, match=rule):
        search(evaluator, goals, optimizer="optuna_cmaes", evaluations=10)


def test_nevergrad_suggests_methods() -> None:
    available("nevergrad")
    with pytest.raises(UnknownName, match="DiscreteDE"):
        search(Four(), ["a", "b"], optimizer="nevergrad", options={"method": "DiscretDE"}, evaluations=10)


def test_nevergrad_keeps_its_own_lineage() -> None:
    """After the first batch every told design answers one that nevergrad asked for."""
    optimizer, problem = built("nevergrad", Four(), ["a", "b"], workers=8)
    for batch in range(4):
        designs = optimizer.ask(8, rng(0, batch, "ask"))
        optimizer.tell(designs, problem.score(designs), rng(0, batch, "tell"))
    assert optimizer._optimizer.num_tell_not_asked == 8 and optimizer._optimizer.num_tell == 32


@pytest.mark.parametrize("name", ["nevergrad", "optuna_gp", "smac"])
def test_the_kit_passes_where_the_extra_is_installed(name: str) -> None:
    report = check_optimizer(available(name), name)
    assert report.passed, report


def test_smac_models_what_it_was_told_once_the_first_quarter_is_over() -> None:
    """Each batch builds SMAC anew, with an initial design of its own seed: were that not counted, all were random."""
    available("smac")
    found = search(Bowl(), ["f"], optimizer="smac", evaluations=64)
    blind = search(Bowl(), ["f"], optimizer="random", evaluations=640)
    assert found.minimised.min() < blind.minimised.min()


SCRIPT = """
import sys
from tradespace.search.api import search
from tradespace.testing.problems import Distances, ToyChain, mixed_space
from tradespace_optimizers import supports
from tradespace.plugins import registry
for name in sys.argv[1:]:
    if supports.declared(registry().load("optimizers", name)).installed:
        evaluator = Distances(mixed_space())
        options = {} if not name.startswith("nsga") else {"pop_size": 10}
        goals = ["distance0", "distance1"]
        front = search(evaluator, goals, optimizer=name, options=options, evaluations=80, batch=20)
        print(name, front.ids)
"""


@pytest.mark.slow
def test_no_process_has_randomness_of_its_own() -> None:
    """Equal seeds give equal fronts in processes that hash strings differently."""
    names = ["nsga2", "nsga3", "optuna_tpe", "optuna_nsga2", "optuna_qmc", "amosa", "mosa", "nevergrad"]
    found = [
        subprocess.run([sys.executable, "-c", SCRIPT, *names], env={**os.environ, "PYTHONHASHSEED": h},
                       capture_output=True, text=True, check=True).stdout
        for h in ("1", "2")
    ]  # fmt: skip
    assert found[0] == found[1] and len(found[0].splitlines()) >= len(names) - 1

"""pymoo and Optuna behind the contract: quality floor, constraints, quietness; random and exhaustive."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from tests.core.search.toys import Plain, RandomChain, brute_front, everything
from tests.support.chains import Chain

from tradespace.designs import Real, Space
from tradespace.errors import DesignError, ProblemError
from tradespace.problem import Metric, Problem
from tradespace.search.api import search
from tradespace.search.indicators import Box, hypervolume

GOALS = ["latency", "energy"]


class ZDT1:
    """Zitzler, Deb, Thiele (2000), 30 reals."""

    space = Space(Real("x", 0.0, 1.0, length=30))
    metrics = (Metric("f1", "1", "min"), Metric("f2", "1", "min"))

    def price(self, designs):  # type: ignore[no-untyped-def]
        x = designs["x"]
        g = 1 + 9 * x[:, 1:].mean(axis=1)
        return {"f1": x[:, 0], "f2": g * (1 - np.sqrt(x[:, 0] / g))}


@pytest.mark.slow
def test_nsga2_solves_zdt1_as_published() -> None:
    """100 x 250 generations reach a hypervolume of 0.868 at (1.1, 1.1); the front has 0.8767."""
    options = {"crossover_eta": 15.0, "crossover_prob": 0.9, "mutation_eta": 20.0}
    front = search(ZDT1(), ["f1", "f2"], optimizer="nsga2", options=options, evaluations=25_000)
    box = Box(np.zeros(2), np.ones(2), "")
    assert hypervolume(front.minimised, box) * 1.21 >= 0.868


@pytest.mark.parametrize(
    ("name", "evaluations", "share"), [("nsga2", 1500, 1.0), ("optuna_nsga2", 400, 0.5), ("optuna_tpe", 120, 0.4)]
)
def test_libraries_find_the_front_of_a_small_problem(name: str, evaluations: int, share: float) -> None:
    """They find at least this share of the exact front; random search finds a tenth."""
    _, scores = everything(Problem.of(Plain(), GOALS))
    exact = {tuple(row) for row in brute_front(scores.objectives)}
    front = search(Plain(), GOALS, optimizer=name, evaluations=evaluations)
    assert len({tuple(row) for row in front.minimised} & exact) >= share * len(exact)


@pytest.mark.parametrize("name", ["nsga2", "optuna_nsga2", "optuna_tpe"])
def test_libraries_respect_constraints(name: str) -> None:
    """Nearly nothing is feasible at random; the libraries learn to get there."""
    evaluations = {"nsga2": 1000, "optuna_nsga2": 400, "optuna_tpe": 150}[name]
    front = search(Plain(), GOALS, ["energy<=14"], optimizer=name, evaluations=evaluations)
    assert len(front) >= 1 and (front.values[:, 1] <= 14).all()


def test_optuna_stays_quiet_and_leaves_its_verbosity(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    search(Plain(), GOALS, optimizer="optuna_nsga2", evaluations=60)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    assert capfd.readouterr() == ("", "")


def test_exhaustive_prices_every_design_once() -> None:
    evaluator = RandomChain(0, n=4)
    front = search(evaluator, ["cost0", "cost1"], optimizer="exhaustive", evaluations=None, stagnation=100, batch=7)
    assert front.evaluations == evaluator.space.size == 256 and front.stopped == "nothing left to propose"


@pytest.mark.parametrize("evaluator", [ZDT1(), Chain(0, 16)])
def test_exhaustive_refuses_what_it_cannot_finish(evaluator: object) -> None:
    names = [m.name for m in evaluator.metrics[:2]]  # type: ignore[attr-defined]
    with pytest.raises(DesignError, match="at most 5000000 designs"):
        search(evaluator, names, optimizer="exhaustive")  # type: ignore[arg-type]


def test_random_search_begins_with_the_plain_designs() -> None:
    front = search(Plain(), GOALS, optimizer="random", evaluations=2)
    assert {tuple(row) for row in front.designs["device"]} == {(0,) * 8, (1,) * 8}


@pytest.mark.parametrize(("name", "option"), [("nsga2", "pop_size"), ("optuna_nsga2", "population")])
def test_populations_have_two_members(name: str, option: str) -> None:
    with pytest.raises(ProblemError, match="at least two"):
        search(Plain(), GOALS, optimizer=name, options={option: 1})

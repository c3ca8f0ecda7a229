"""Problems: directions, constraints, checked prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.designs import Choice, Designs, Space
from tradespace.errors import PluginError, ProblemError, TradespaceError, UnknownName
from tradespace.problem import Metric, Prices, Problem


class Toy:
    space = Space(Choice("x", tuple(range(5)), length=1))
    metrics = (
        Metric("latency", "s", "min", "time"),
        Metric("throughput", "token/s", "max", "rate"),
        Metric("memory.dgpu", "B", "min", "bytes"),
        Metric("temperature", "K", "min", "hottest device"),
    )

    def price(self, designs: Designs) -> Any:
        x = designs["x"][:, 0].astype(float)
        return {"latency": 1 + x, "throughput": 10 * x, "memory.dgpu": 1e9 * x, "temperature": 300 + 10 * x}


def problem(*objectives: str, constraints: tuple[str, ...] = ()) -> Problem:
    return Problem.of(Toy(), objectives or ("latency", "throughput"), constraints)


def everything() -> Designs:
    return Toy.space.at(range(5))


def test_objectives_are_minimised_inside_and_natural_outside() -> None:
    p = problem()
    scores = p.score(everything())
    assert scores.objectives[:, 1].tolist() == [0, -10, -20, -30, -40]
    assert p.natural(scores.objectives)[:, 1].tolist() == [0, 10, 20, 30, 40]
    assert p.names == ("latency", "throughput")


def test_constraints_have_units_and_graded_violations() -> None:
    p = problem(constraints=("memory.dgpu<=2 GB", "throughput >= 20", "temperature<=46.85 degC"))
    scores = p.score(everything())
    assert scores.violations[:, 0] == pytest.approx([-1, -0.5, 0, 0.5, 1])
    assert scores.violations[:, 1] == pytest.approx([1, 0.5, 0, -0.5, -1])
    assert scores.feasible.tolist() == [False, False, True, False, False]
    assert p.constraints[0].relaxed(0.5) == "memory.dgpu<=3 GB"
    assert scores.violation[4] == pytest.approx(1 + 20 / 320)


def test_expressions_as_objectives_need_a_direction_when_it_is_not_obvious() -> None:
    with pytest.raises(ProblemError, match="Write 'min:latency / throughput' or 'max:"):
        problem("latency / throughput")
    p = problem("max:throughput / latency", "latency * memory.dgpu")
    assert p.objectives[0].direction == "max" and p.objectives[1].direction == "min"
    assert p.score(everything()).objectives[4, 0] == -8.0


@pytest.mark.parametrize(
    ("objectives", "constraints", "message"),
    [
        (("latensy",), (), "unknown metric 'latensy'.*Did you mean 'latency'"),
        ((), ("memory<=1",), "unknown metric 'memory'"),
        ((), ("memory.dgpu<=8 GB/s",), "needs B"),
        ((), ("memory.dgpu<8 GB",), "compares an expression"),
        (("latency", "latency"), (), "must differ"),
        (("throughput / latency - throughput",), (), "say whether"),
    ],
)
def test_refusals(objectives: tuple[str, ...], constraints: tuple[str, ...], message: str) -> None:
    with pytest.raises((ProblemError, UnknownName, TradespaceError), match=message):
        problem(*objectives, constraints=constraints)
    with pytest.raises(ProblemError, match="at least one metric"):
        Problem.of(Toy(), [])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"latency": np.ones(5)}, "every declared metric"),
        ({"latency": np.ones(4)}, r"shape \(5,\)"),
        (
            {
                "latency": np.array([1, 2, np.nan, 4, 5]),
                "throughput": np.ones(5),
                "memory.dgpu": np.ones(5),
                "temperature": np.ones(5),
            },
            r"nan for design x: 2\.",
        ),
        (np.ones(5), "mapping from metric"),
    ],
)
def test_what_an_evaluator_returns_is_checked(returned: Any, message: str) -> None:
    class Bad(Toy):
        def price(self, designs: Designs) -> Any:
            return returned

    with pytest.raises(PluginError, match=message):
        Problem.of(Bad(), ["latency"]).price(everything())


def test_own_violations_come_first_and_are_named() -> None:
    class Limited(Toy):
        def price(self, designs: Designs) -> Any:
            n = len(designs)
            return Prices(super().price(designs), {"memory.dram": np.full(n, -0.1)})

    p = Problem.of(Limited(), ["latency"], ["latency<=3 s"])
    prices = p.price(everything())
    assert p.violation_names(prices) == ("memory.dram", "latency<=3 s")
    assert p.score(everything(), prices).violations.shape == (5, 2)


def test_an_object_without_the_three_members_is_named() -> None:
    with pytest.raises(PluginError, match="int lacks space, metrics, price"):
        Problem.of(3, ["latency"])  # type: ignore[arg-type]


def test_one_constraint_may_stand_alone() -> None:
    alone = Problem.of(Toy(), ["latency"], "memory.dgpu<=2 GB")
    assert alone.constraints == Problem.of(Toy(), ["latency"], ["memory.dgpu<=2 GB"]).constraints
    assert Problem.of(Toy(), ["latency"], None).constraints == ()  # type: ignore[arg-type]


def test_metrics_without_unit_and_direction_are_refused() -> None:
    class Named(Toy):
        metrics = ("latency", "energy")  # type: ignore[assignment]

    with pytest.raises(PluginError, match=r"metrics of Named.*'latency'.*Metric\('latency', 's', 'min'\)"):
        Problem.of(Named(), ["latency"])


def test_objectives_are_scored_within_what_can_be_squared_and_prices_are_kept() -> None:
    class Huge(Toy):
        def price(self, designs: Designs) -> Any:
            return {**super().price(designs), "latency": np.full(len(designs), 1e300)}

    scores = Problem.of(Huge(), ["latency"]).score(everything())
    assert scores.objectives.tolist() == [[1e100]] * 5 and scores.prices["latency"][0] == 1e300

"""What a front says: order, units and directions, best, knee, picks, plans."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import Plain, RandomChain
from tests.support.chains import Chain

from tradespace.errors import PluginError, ProblemError, UnknownName
from tradespace.plans import Plan
from tradespace.search.api import search
from tradespace.search.knee import knee, spread


def test_values_are_natural_and_minimised_is_what_optimizers_saw() -> None:
    front = search(Plain(), ["energy", "rate"], evaluations=300)
    prices = Plain().price(front.designs)
    assert np.array_equal(front.values, np.stack([prices["energy"], prices["rate"]], axis=1))
    assert np.array_equal(front.minimised, front.values * [1.0, -1.0])
    assert (np.diff(front.minimised[:, 0]) > 0).all()
    assert front.best("rate").values["rate"] == prices["rate"].max()
    assert front.best("energy").values["energy"] == prices["energy"].min()


def test_the_exact_front_of_a_small_problem_is_found() -> None:
    exact = search(Plain(), ["latency", "energy"], optimizer="exhaustive", evaluations=1000)
    found = search(Plain(), ["latency", "energy"], evaluations=600)
    assert exact.stopped == "nothing left to propose" and exact.evaluations == 256
    assert np.array_equal(found.minimised, exact.minimised)


def test_one_objective_gives_one_plan() -> None:
    front = search(Plain(), ["latency"], evaluations=200)
    assert front.values.tolist() == [[1.0]] and front.designs["device"].tolist() == [[0] * 8]
    assert front.best().id == front.best("latency").id == front.ids[0]
    assert [p.why for p in front.pick()] == ["best latency, knee"]
    assert front.hypervolume == pytest.approx(1.0)


def test_a_maximised_expression_is_an_objective() -> None:
    front = search(Plain(), ["max:rate * energy", "latency"], evaluations=300)
    prices = Plain().price(front.designs)
    assert np.allclose(front.values[:, 0], prices["rate"] * prices["energy"])
    assert front.best("rate * energy").values["rate * energy"] == front.values[:, 0].max()


def test_constraints_hold_on_the_front() -> None:
    front = search(Plain(), ["latency", "energy"], ["latency<=6 s", "energy<=22"], evaluations=600)
    assert len(front) and (front.values[:, 0] <= 6).all() and (front.values[:, 1] <= 22).all()


def test_a_plan_without_explain_shows_design_and_values() -> None:
    point = search(Plain(), ["latency", "energy"], evaluations=100).best("knee")
    assert point.plan.id == point.id and point.plan.design == {"device": point.design["device"]}
    assert set(point.plan.values) == {"latency", "energy", "rate"}
    assert "latency" in point.plan.explain() and "device" in point.plan.explain()


def test_the_evaluators_own_explanation_is_taken() -> None:
    class Explains(Plain):
        def explain(self, design):  # type: ignore[no-untyped-def]
            return Plan("own", {"a": len(design)}, {})

    class Wrong(Plain):
        def explain(self, design):  # type: ignore[no-untyped-def]
            return "a plan"

    assert search(Explains(), ["latency"], evaluations=50).best().plan == Plan("own", {"a": 1}, {})
    with pytest.raises(PluginError, match="explain returns a Plan"):
        _ = search(Wrong(), ["latency"], evaluations=50).best().plan


def test_unknown_names_of_best_are_refused() -> None:
    front = search(Plain(), ["latency"], evaluations=50)
    with pytest.raises(UnknownName, match="latency"):
        front.best("latncy")


def test_an_empty_front_has_no_best_and_says_why() -> None:
    front = search(Plain(), ["latency"], ["energy<=1 J"], evaluations=100)
    assert len(front) == 0 and front.hypervolume == 0.0 and front.gap is None
    with pytest.raises(ProblemError, match="energy<="):
        front.best()


def test_picks_are_extremes_knee_and_a_spread_in_order() -> None:
    front = search(Chain(1, 12), ["latency", "energy", "loss"], evaluations=2000)
    picks = front.pick(8)
    assert len(picks) == 8 and [p.index for p in picks] == sorted(p.index for p in picks)
    why = " ".join(p.why for p in picks)
    assert all(w in why for w in ("best latency", "best energy", "best loss", "knee", "spread"))
    for m, name in enumerate(front.problem.names):
        best = next(p.index for p in picks if f"best {name}" in p.why)
        assert front.minimised[best, m] == front.minimised[:, m].min()
    assert len(front.pick(2)) == 2 and len(front.pick(10_000)) == len(front)


def test_the_knee_of_a_bent_line_is_its_corner() -> None:
    x = np.linspace(0, 1, 21)
    front = np.stack([x, np.where(x < 0.3, 1 - 3 * x, 0.1 * (1 - x) / 0.7)], axis=1)
    assert knee(front) == 6
    assert knee(front * [1e-9, 1e9]) == 6  # whatever the units


def test_a_spread_keeps_distance() -> None:
    x = np.linspace(0, 1, 101)[:, None] * [1.0, -1.0]
    assert sorted(spread(x, [0, 100], 5)) == [0, 25, 50, 75, 100]


def test_ids_are_those_of_the_designs_and_short_ones_differ() -> None:
    front = search(RandomChain(0, n=6), ["cost0", "cost1"], evaluations=500)
    assert front.ids == front.designs.ids and len(set(front.short_ids)) == len(front)
    assert all(full.startswith(short) for full, short in zip(front.ids, front.short_ids, strict=True))

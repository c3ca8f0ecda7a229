"""AMOSA and MOSA: the temperature limits, the archive's invariants, and that they beat chance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.support.chains import Chain

from tradespace.designs import Real, Space
from tradespace.errors import ProblemError
from tradespace.plugins import registry
from tradespace.problem import Prices, Scores
from tradespace.search.api import search
from tradespace.search.contract import SearchView, rng
from tradespace.search.indicators import nondominated
from tradespace.testing.optimizers import check_optimizer
from tradespace_optimizers import amosa, mosa
from tradespace_optimizers.amosa import AMOSA, AMOSAOptions, Points, Spans

SPACE = Space(Real("x", 0.0, 1.0, length=2))
GOALS = ["latency", "energy", "loss"]


def points(*values: tuple[float, ...], violation: tuple[float, ...] = ()) -> Points:
    rows = np.asarray(values, float)
    return Points(np.zeros((len(rows), 2)), rows, np.asarray(violation or np.zeros(len(rows)), float))


def dominated_moves(temperature: float, n: int = 4000) -> float:
    """Share of moves to a design that archive and chain dominate which an AMOSA of that temperature takes."""
    options = AMOSAOptions(chains=n, climb=0, start_temperature=temperature, end_temperature=temperature)
    view = SearchView(SPACE, ("a", "b"), lambda d: d, evaluations=10 * n)
    annealer = AMOSA(view, options)
    designs = SPACE.designs({"x": np.full((n, 2), 0.25)})

    def scores(value: float) -> Scores:
        return Scores(np.full((n, 2), value), np.zeros((n, 0)), Prices({}))

    annealer.tell(designs, scores(1.0), rng(0, 0, "tell"))
    annealer.tell(SPACE.designs({"x": np.full((n, 2), 0.75)}), scores(1.5), rng(0, 1, "tell"))
    return float((annealer._chains.codes[:, 0] == 0.75).mean())


def test_amosa_is_indifferent_when_hot_and_strict_when_cold() -> None:
    """The trap: by the article's printed product it would be strict when hot and indifferent when cold."""
    assert dominated_moves(1e9) == pytest.approx(0.5, abs=0.03)
    assert dominated_moves(1e-9) == 0.0
    assert dominated_moves(1.0) == pytest.approx(1 / (1 + np.e), abs=0.03)  # the amount is the whole range: 1


def test_acceptance_falls_with_the_amount_and_rises_with_the_temperature() -> None:
    amounts, temperatures = np.linspace(0.01, 1, 20), (0.01, 0.1, 1.0, 10.0)
    table = np.asarray([amosa.acceptance(amounts, t) for t in temperatures])
    assert (np.diff(table, axis=0) > 0).all() and (np.diff(table, axis=1) <= 0).all() and (table <= 0.5).all()
    assert (amosa.acceptance(amounts, 0.0) == 0).all()


def test_amounts_of_domination_by_hand() -> None:
    """D = product of the differences over the ranges, where they differ; violations come first."""
    a, b = points((1.0, 2.0), (0.0, 5.0)), points((3.0, 2.0), (2.0, 6.0), violation=(0.0, 0.5))
    span = Spans(np.asarray([4.0, 10.0]), 1.0)
    above, amount = amosa.dominating(a, b, span)
    assert above.tolist() == [[True, True], [False, True]]
    assert amount[0, 0] == pytest.approx(2 / 4) and amount[0, 1] == pytest.approx(0.5)  # by the violation
    assert amount[1, 0] == pytest.approx(3 / 4 * 3 / 10)


def test_clustering_keeps_the_number_and_the_spread() -> None:
    """200 points in eight far groups: one of each group stays."""
    r = rng(0, 0, "probe")
    centres = np.stack([np.arange(8.0), 7.0 - np.arange(8.0)], axis=1)
    values = np.repeat(centres, 25, axis=0) + r.uniform(-0.01, 0.01, (200, 2))
    kept = amosa.clustered(Points(np.zeros((200, 2)), values, np.zeros(200)), soft=100, hard=8)
    assert sorted(np.rint(kept.values[:, 0])) == list(range(8))
    assert len(amosa.clustered(kept, 8, 4)) == 8  # not above soft: untouched


@pytest.mark.parametrize("seed", [0, 1])
def test_amosa_keeps_a_bounded_archive_of_nondominated_designs(seed: int) -> None:
    chain = Chain(seed, 8)
    kept: list[Points] = []

    class Watched(AMOSA):
        def tell(self, *told: object) -> None:
            super().tell(*told)  # type: ignore[arg-type]
            kept.append(self._archive)

    search(chain, GOALS, optimizer=Watched, options={"soft": 30, "hard": 20}, evaluations=1500, seed=seed)
    started = kept[10:]
    assert all(len(a) <= 30 and nondominated(a.values).all() for a in started) and len(started) > 20


def test_mosa_accepts_all_when_hot_and_only_improvements_when_cold() -> None:
    """prod_k min(1, exp(-df_k / T_k)): Suppapitnarm et al., equation 2."""
    change = np.asarray([[0.5, -1.0, 0.0], [-0.5, -1.0, 0.0], [0.5, 0.5, 0.0]])
    assert mosa.acceptance(change, np.full(3, np.inf)).tolist() == [1, 1, 1]
    assert mosa.acceptance(change, np.zeros(3)).tolist() == [0, 1, 0]
    assert mosa.acceptance(change, np.full(3, 0.5)) == pytest.approx([np.exp(-1), 1, np.exp(-2)])


def test_isolated_members_are_the_ends_and_the_lonely() -> None:
    values = np.asarray([[0.0, 10.0], [1.0, 9.0], [1.1, 8.9], [6.0, 4.0], [10.0, 0.0]])
    order = np.argsort(-mosa.isolation(values), kind="stable")
    assert set(order[:2]) == {0, 4} and order[2] == 3


@pytest.mark.parametrize("name", ["amosa", "mosa"])
def test_annealers_beat_chance(name: str) -> None:
    found = [search(Chain(7, 24, kind="coupled"), GOALS, optimizer=o, evaluations=2500).hypervolume
             for o in (name, "random")]  # fmt: skip
    assert found[0] > found[1] + 0.04


@pytest.mark.parametrize("name", ["amosa", "mosa"])
def test_the_kit_passes_over_many_moves(name: str) -> None:
    cls = registry().load("optimizers", name)
    extra = [("gamma", float, 0.02)] if name == "amosa" else [("warm", float, 0.01), ("level", float, 0.01)]
    options = dataclasses.make_dataclass("Few", [("chains", int, 3), *extra], bases=(cls.Options,), frozen=True)
    report = check_optimizer(type(cls.__name__, (cls,), {"Options": options}), name)
    assert report.passed, report


@pytest.mark.parametrize(("name", "options"), [("amosa", {"soft": 5, "hard": 10}), ("amosa", {"alpha": 1.0}),
                                               ("mosa", {"chains": 0}), ("mosa", {"warm": 1.5})])  # fmt: skip
def test_senseless_options_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ProblemError, match=f"options of {name}"):
        search(Chain(0, 4), GOALS, optimizer=name, options=options, evaluations=5)

"""`search`: names, classes, instances, options and what is refused."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
from tests.core.search.toys import Plain

import tradespace as ts
from tradespace.errors import PluginError, ProblemError, UnknownName
from tradespace.plugins import registry
from tradespace.problem import Problem
from tradespace.search import Budget, make_optimizer, search, view_of
from tradespace_optimizers.pgsam import PGSAM, PGSAMOptions

GOALS = ["latency", "energy"]


def test_name_class_and_instance_are_the_same_search() -> None:
    problem = Problem.of(Plain(), GOALS)
    instance = PGSAM(view_of(problem, Budget(200)), PGSAMOptions(momentum=False))
    options = {"momentum": False}
    fronts = [search(Plain(), GOALS, optimizer=o, options=options, evaluations=200) for o in ("pgsam", PGSAM)]
    fronts.append(search(Plain(), GOALS, optimizer=instance, evaluations=200))
    assert [f.optimizer for f in fronts] == ["pgsam", "PGSAM", "PGSAM"]
    assert all(np.array_equal(f.minimised, fronts[0].minimised) for f in fronts)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"momentun": True}, UnknownName, "momentum"),
        ({"momentum": 3}, ProblemError, "'momentum' is bool"),
        ({"chains": True}, ProblemError, "'chains' is int"),
        ({"chains": 2.5}, ProblemError, "'chains' is int"),
        ({"warm_start": "hot"}, ProblemError, "'relaxation' or 'none'"),
        ({"explore": 2.0}, ProblemError, "between 0 and 1"),
    ],
)
def test_options_are_checked(options: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        search(Plain(), GOALS, optimizer="pgsam", options=options)


def test_whole_numbers_pass_as_floats() -> None:
    view = view_of(Problem.of(Plain(), GOALS), Budget(100))
    assert make_optimizer("pgsam", {"sharpness": 5}, view, registry()).batch >= 1


def test_options_do_not_go_with_an_instance() -> None:
    view = view_of(Problem.of(Plain(), GOALS), Budget(100))
    with pytest.raises(ProblemError, match="instance"):
        search(Plain(), GOALS, optimizer=PGSAM(view, PGSAMOptions()), options={"momentum": True})


def test_unknown_optimizers_get_suggestions() -> None:
    with pytest.raises(UnknownName, match="pgsam"):
        search(Plain(), GOALS, optimizer="pgsan")


def test_a_class_that_is_no_optimizer_is_refused() -> None:
    with pytest.raises(PluginError, match="Options"):
        search(Plain(), GOALS, optimizer=dict)


def test_an_optimizer_that_fails_to_start_is_named() -> None:
    class Fails:
        Options = PGSAMOptions

        def __init__(self, view: object, options: object) -> None:
            raise KeyError("x")

    with pytest.raises(PluginError, match=r"Fails.*KeyError"):
        search(Plain(), GOALS, optimizer=Fails)


def test_a_broken_structure_is_named() -> None:
    class Broken(Plain):
        def structure(self) -> None:
            raise RuntimeError("no")

    with pytest.raises(PluginError, match=r"structure of Broken.*RuntimeError"):
        search(Broken(), GOALS)


def test_seeds_matter_and_repeat() -> None:
    a, b, c = (ts.search(Plain(), GOALS, optimizer="random", evaluations=30, seed=s) for s in (0, 0, 1))
    assert np.array_equal(a.designs.digest, b.designs.digest)
    assert not np.array_equal(a.designs.digest, c.designs.digest)


def test_the_package_stands_for_the_function() -> None:
    code = (
        "import tradespace.search, tradespace as ts, sys; assert 'numpy' not in sys.modules; assert callable(ts.search)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(inspect.signature(ts.search).parameters)[:3] == ["evaluator", "objectives", "constraints"]


def test_whole_budgets_may_be_written_as_floats() -> None:
    whole = search(Plain(), GOALS, evaluations=100, seed=1, batch=20)
    front = search(Plain(), GOALS, evaluations=1e2, seed=1, batch=20.0)  # type: ignore[arg-type]
    assert front.evaluations == whole.evaluations and np.array_equal(front.designs.digest, whole.designs.digest)
    assert search(Plain(), GOALS, evaluations=np.int64(100)).evaluations == 100  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"evaluations": 10.5}, {"evaluations": "9"}, {"evaluations": True}, {"batch": 2.5},
                                   {"seed": -1}, {"evaluations": float("nan")}, {"stagnation": 0.5}])  # fmt: skip
def test_budgets_are_checked_before_anything_is_built(given: dict[str, object]) -> None:
    class Never:
        Options = PGSAMOptions

        def __init__(self, view: object, options: object) -> None:
            raise AssertionError("built")

    with pytest.raises(ProblemError, match=next(iter(given))):
        search(Plain(), GOALS, optimizer=Never, **given)  # type: ignore[arg-type]

"""Warm starts: priced first, never lost, in the spec of a study, the same after a resume."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.search.toys import Plain, RandomChain
from tests.support.chains import Chain

from tradespace.designs import Choice, Space
from tradespace.errors import ProblemError
from tradespace.problem import Problem
from tradespace.search.api import search, view_of
from tradespace.search.contract import Budget
from tradespace.search.start import MOST, start_of, started, suggesting
from tradespace.studies.spec import StudySpec

GOALS = ["latency", "energy", "loss"]


@pytest.mark.parametrize("optimizer", ["random", "pgsam", "nsga2"])
def test_a_search_never_ends_below_its_start(optimizer: str) -> None:
    evaluator = Chain(1, 16)
    first = search(evaluator, GOALS, optimizer="chain_exact")
    cold = search(evaluator, GOALS, optimizer=optimizer, evaluations=400)
    warm = search(evaluator, GOALS, optimizer=optimizer, evaluations=400, start=first.designs)
    assert cold.hypervolume < first.hypervolume <= warm.hypervolume and warm.evaluations == 400


def test_pgsam_begins_at_its_start_and_goes_on() -> None:
    evaluator = Chain(2, 24, kind="coupled")
    rough = search(evaluator, GOALS, optimizer="pgsam", evaluations=600)
    options = {"warm_start": "none"}
    cold = search(evaluator, GOALS, optimizer="pgsam", evaluations=700, options=options, seed=1)
    warm = search(evaluator, GOALS, optimizer="pgsam", evaluations=700, options=options, seed=1, start=rough.designs)
    early = [max(p.hypervolume for p in f.history if p.evaluations <= 200) for f in (warm, cold)]
    assert early[0] > early[1]  # it stands on its start
    assert warm.hypervolume > rough.hypervolume + 0.002


def test_a_front_of_another_space_with_the_same_variables_starts_too() -> None:
    cheap, true = Chain(1, 8), Chain(1, 8, kind="coupled")
    front = search(cheap, GOALS, evaluations=300)
    started_there = search(true, GOALS, evaluations=len(front), start=front.designs, optimizer="random")
    assert set(started_there.designs.digest.tolist()) <= set(front.designs.digest.tolist())


def test_what_people_write_starts_too() -> None:
    front = search(Plain(), ["latency", "energy"], evaluations=1, start=[{"device": ["b"] * 8}], optimizer="random")
    assert front.designs.show(0) == {"device": ["b"] * 8} or front.designs["device"].tolist() == [[1] * 8]


def test_designs_of_other_variables_are_refused() -> None:
    with pytest.raises(ProblemError, match="a start holds designs of the space") as caught:
        search(RandomChain(0), ["cost0"], start=[{"device": ["a", "z", "a", "a", "a"]}])
    assert "same variables" in str(caught.value)


def test_a_long_start_is_thinned_and_doubles_are_dropped() -> None:
    space = Space(Choice("device", ("a", "b"), 12))
    designs = space.at(np.arange(1000))
    assert len(start_of(space, designs)) == MOST
    assert len(start_of(space, designs.take([3, 3, 4]))) == 2


def test_no_start_changes_nothing() -> None:
    problem = Problem.of(Chain(0, 4), GOALS)
    view, none = view_of(problem, Budget()), start_of(problem.space, [])
    optimizer = object()
    assert suggesting(view, none) is view and started(optimizer, none) is optimizer  # type: ignore[arg-type]


def test_the_start_is_part_of_the_spec_and_old_specs_still_read() -> None:
    spec = StudySpec(None, ("latency",), start=({"device": ["a", "b"]},))
    text = spec.to_json()
    assert StudySpec.from_json(text) == spec
    import json

    old = json.loads(text)
    del old["start"]
    assert StudySpec.from_json(json.dumps(old)).start == ()

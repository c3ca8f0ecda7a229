"""A study that began with given designs, cut off and resumed, ends like one that was not."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from tradespace.plugins import Registry
from tradespace.studies import Store, StudySpec, start
from tradespace.studies import resume as resuming


@pytest.mark.parametrize("optimizer", ["pgsam", "nsga2"])
@pytest.mark.parametrize("fail_at", [2, 3, 12])
def test_a_started_study_is_resumed(
    store: Store, chain: ModuleType, registry: Registry, spec: StudySpec, optimizer: str, fail_at: int
) -> None:
    space = chain.problem().space
    designs = space.sample(40, np.random.default_rng(1))
    shown = tuple(designs.show(i) for i in range(40))
    spec = replace(spec, optimizer=optimizer, start=shown)
    start(store, "a", spec, chain.problem(fail_at=fail_at), registry)
    resumed = resuming.resume(store, "a", registry, problem=chain.problem())
    problem = chain.problem()
    whole = start(store, "whole", spec, problem, registry)
    assert resumed.ids == whole.ids and resumed.values.tobytes() == whole.values.tobytes()
    assert set(designs.digest.tolist()) <= set(problem.evaluator.priced)

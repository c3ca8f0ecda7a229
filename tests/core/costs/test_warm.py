"""Warming: the searches that fill the cache name problems and optimizers that exist."""

from __future__ import annotations

import pytest

from tradespace.costs.warm import SEARCHES
from tradespace.plugins import registry
from tradespace.problem import Problem
from tradespace.settings import Setting, bind


@pytest.mark.parametrize(("workload", "target", "optimizer", "objectives"), SEARCHES)
def test_what_is_searched_to_warm_the_cache_exists(
    workload: str, target: str, optimizer: str, objectives: tuple[str, ...]
) -> None:
    assert registry().load("optimizers", optimizer)
    assert Problem.of(bind(Setting(workload, target), registry()).evaluator, objectives).names == objectives

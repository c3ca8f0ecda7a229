"""Another number of samples gives exactly the workload built with that many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.costs.samples import kept, with_samples
from tradespace.errors import ProblemError
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload
from tradespace.workloads.operators import PRICED

JOBS = [
    {"phase": "request", "prompt": 100, "generate": 50},
    {"phase": "request", "prompt": 100, "generate": 50, "window": 64},
    {"phase": "request", "prompt": 100, "generate": 90, "window": 120},
    {"phase": "request", "prompt": 40, "generate": 50, "window": 45},
    {"phase": "decode", "context": 300},
    {"phase": "decode", "context": 300, "window": 64},
]


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("name", ["toy-decoder", "lfm2-2.6b", "qwen2-0.5b"])
def test_equals_the_workload_built_with_that_many(name: str, job: dict[str, Any]) -> None:
    for before, after in ((1, 4), (4, 1), (2, 7)):
        start, expected = (
            load_workload({"extends": name, **job, "samples": samples}, registry()) for samples in (before, after)
        )
        assert isinstance(start, OperatorGraph) and isinstance(expected, OperatorGraph)
        made = with_samples(start, after)
        for column in (*PRICED, "repeat"):
            np.testing.assert_allclose(
                getattr(made.operators, column), getattr(expected.operators, column), rtol=1e-13, err_msg=column
            )
        np.testing.assert_allclose(made.edges.count, expected.edges.count, rtol=1e-13)
        assert made.tokens == pytest.approx(expected.tokens) and made.samples == after


def test_kept_positions_grow_with_the_window_and_the_copies() -> None:
    for copies in (1, 3):
        grown = [kept(30, 20, window, copies) for window in range(1, 60)]
        assert (np.diff(grown) >= 0).all() and grown[-1] == 30 + copies * 20


def test_a_prefill_draws_no_samples() -> None:
    graph = load_workload({"extends": "toy-decoder", "phase": "prefill"}, registry())
    assert isinstance(graph, OperatorGraph)
    with pytest.raises(ProblemError, match="decode"):
        with_samples(graph, 2)

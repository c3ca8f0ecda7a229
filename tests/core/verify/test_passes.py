"""What is run stands for the whole job: its operators, multiplied, are those of the job."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import ProblemError
from tradespace.plugins import registry
from tradespace.verify.passes import passes_of
from tradespace.workloads import load_workload


def graph(**changes: Any) -> Any:
    return load_workload({"extends": "smollm-135m", **changes}, registry())


def test_a_request_is_a_chunk_of_the_prefill_and_a_decode_step() -> None:
    whole = graph(prompt=512, generate=128, samples=2)
    prefill, decode = passes_of(whole)
    assert (prefill.name, prefill.tokens, prefill.context) == ("prefill", 64, 256)
    assert (decode.name, decode.tokens, decode.context) == ("decode", 1, 576)
    assert set(decode.times.tolist()) == {256.0}
    head = np.array([name in ("norm", "lm_head") for name in prefill.operators.name])
    assert set(prefill.times[~head].tolist()) == {8.0} and set(prefill.times[head].tolist()) == {1.0}


@pytest.mark.parametrize("changes", [{}, {"batch": 3}, {"prompt": 40}, {"phase": "prefill", "prompt": 200}])
def test_passes_times_their_number_are_the_job(changes: dict[str, Any]) -> None:
    whole = graph(**changes)
    for column in ("flop", "act_in", "act_out", "kv_write"):
        total = float(getattr(whole.operators, column) @ whole.operators.repeat)
        run = sum(float(getattr(one.operators, column) @ one.times) for one in passes_of(whole))
        assert run == pytest.approx(total, rel=1e-12), column


def test_every_row_reads_rows_before_it() -> None:
    for one in passes_of(graph()):
        assert all(source < row for row, sources in enumerate(one.source) for source in sources)
        by_name = {name.removesuffix("/decode"): i for i, name in enumerate(one.operators.name)}
        assert one.source[by_name["0.act"]] == (by_name["0.gate"], by_name["0.up"])


def test_only_decoders_are_run() -> None:
    with pytest.raises(ProblemError, match="decoder language models"):
        passes_of(graph(extends="gemv-4096"))

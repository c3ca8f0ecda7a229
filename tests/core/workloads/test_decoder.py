"""Decoder graphs against official parameter counts and against sums that were written down independently."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.errors import InputError, UnknownName
from tradespace.plugins import registry
from tradespace.testing.workloads import check_workload
from tradespace.workloads import OperatorGraph, load_workload, workload_names
from tradespace.workloads.decoder import build
from tradespace.workloads.layers import Step
from tradespace.workloads.operators import PRICED

OFFICIAL = {
    "gpt2": 124_439_808,
    "qwen2-0.5b": 494_032_768,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-8b-int4": 8_030_261_248,
    "mistral-7b": 7_241_732_096,
    "lfm2-2.6b": 2_569_272_320,
}
TOY: dict[str, Any] = {
    "vocab": 100, "hidden": 32, "layers": 3, "heads": 4, "kv_heads": 2, "ffn": 80, "tied": True,
}  # fmt: skip
GPT2_LIKE = TOY | {
    "kv_heads": 4, "gated": False, "norm": "layer", "qkv_bias": True, "out_bias": True, "ffn_bias": True,
    "positions": "learned", "max_context": 256,
}  # fmt: skip
HYBRID = {k: v for k, v in TOY.items() if k != "layers"} | {
    "conv_kernel": 3, "qk_norm": True, "layer_types": ["conv", "attention", "conv"],
}  # fmt: skip
SHAPES = {"llama": TOY, "gpt2": GPT2_LIKE, "window": TOY | {"window": 5}, "hybrid": HYBRID}


def graph(name: str, **changes: Any) -> OperatorGraph:
    workload = load_workload({"extends": name, **changes}, registry())
    assert isinstance(workload, OperatorGraph)
    return workload


def total(workload: OperatorGraph, column: str, *kinds: str) -> float:
    """Per job, over the operators of these kinds (all if none)."""
    rows = workload.operators
    wanted = np.isin(np.array(rows.kind), kinds) if kinds else np.ones(len(rows), bool)
    return float((getattr(rows, column) * rows.repeat)[wanted].sum())


@pytest.mark.parametrize(("name", "parameters"), OFFICIAL.items())
def test_parameters_are_the_official_ones(name: str, parameters: int) -> None:
    assert graph(name).parameters == parameters


def test_every_catalogue_entry_passes_the_conformance_kit() -> None:
    names = workload_names(registry())
    assert set(OFFICIAL) | {"granite-350m", "toy-decoder"} <= set(names)
    for name in names:
        report = check_workload(lambda name=name: load_workload(name, registry()), name)
        assert report.passed, report


def test_a_decode_step_of_llama_1b_costs_what_the_textbook_says() -> None:
    context = 1000
    step = graph("llama-3.2-1b", phase="decode", context=context)
    matmuls = 2 * (OFFICIAL["llama-3.2-1b"] - 33 * 2048)  # every weight but the 33 norms, once; tied head included
    assert total(step, "flop", "matmul") == matmuls
    attention = 4 * context * 32 * 64 * 16  # scores and values: 2 products of 2 FLOP
    assert total(step, "flop", "attention") == attention
    assert total(step, "flop") == pytest.approx(2 * OFFICIAL["llama-3.2-1b"] + attention, rel=2e-3)
    assert total(step, "weights") == OFFICIAL["llama-3.2-1b"] + 2048  # all of them, and one row of the table


def test_the_cache_of_llama_8b_is_128_kib_a_token_in_fp16() -> None:
    for context in (1, 777):
        step = graph("llama-3.1-8b", phase="decode", context=context)
        assert step.operators.kv_resident.sum() * 2 == 128 * 1024 * context
        assert step.operators.kv_read.sum() * 2 == 128 * 1024 * context
        assert step.operators.kv_write.sum() * 2 == 128 * 1024


def test_grouped_attention_shares_keys_among_query_heads() -> None:
    step = graph("llama-3.2-1b", phase="decode", context=10, batch=3).operators
    at = step.name.index("0.scores")
    assert [float(column[at]) for column in step.gemm] == [4, 64, 10, 3 * 8]
    assert step.kv_read[at] == 3 * 8 * 64 * 10
    at = step.name.index("0.values")
    assert [float(column[at]) for column in step.gemm] == [4, 10, 64, 3 * 8]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("length", [1, 4, 23])
def test_prefill_is_the_sum_of_decode_steps_up_to_the_head(shape: dict[str, Any], length: int) -> None:
    """The attention triangle: each query sees itself and what came before; the head runs once instead of each step."""
    prefill = build({**shape, "phase": "prefill", "prompt": length, "batch": 2})
    steps = [build({**shape, "phase": "decode", "context": n, "batch": 2}) for n in range(1, length + 1)]
    body = prefill.operators.block < len(prefill.blocks) - 1
    assert prefill.operators.name == steps[0].operators.name
    for column in ("flop", "act_out", "kv_write") if "conv_kernel" not in shape else ("flop", "act_out"):
        summed = np.sum([getattr(step.operators, column) for step in steps], axis=0)
        assert np.allclose(getattr(prefill.operators, column)[body], summed[body], rtol=1e-12), column
    assert np.array_equal(prefill.operators.flop[~body], steps[0].operators.flop[~body])


@settings(max_examples=80, deadline=None)
@given(first=st.integers(1, 60), span=st.integers(0, 60), window=st.integers(1, 80))
def test_the_mean_number_of_visible_positions(first: int, span: int, window: int) -> None:
    step = Step("", 1.0, 1.0, (first, first + span), False, (1, 1, 1), 1.0)
    seen = [min(window, n) for n in range(first, first + span + 1)]
    assert step.visible(window) == pytest.approx(np.mean(seen), rel=1e-12)
    assert step.visible(0) == pytest.approx(first + span / 2, rel=1e-12)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_request_is_its_prefill_and_its_decode_steps(shape: dict[str, Any]) -> None:
    job = {"prompt": 7, "generate": 5, "batch": 2, "samples": 3}
    request = build({**shape, "phase": "request", **job})
    prefill = build({**shape, "phase": "prefill", "prompt": 7, "batch": 2})
    steps = [build({**shape, "phase": "decode", "context": n, "batch": 2}) for n in range(8, 13)]
    for column in ("flop", "weights", "act_in", "act_out", "kv_write"):
        expected = total(prefill, column) + 3 * sum(total(step, column) for step in steps)
        assert total(request, column) == pytest.approx(expected, rel=1e-12), column
    assert request.tokens == 5 * 2 * 3
    assert request.samples == 3


def test_a_request_counts_weights_once_and_the_cache_at_its_final_size() -> None:
    request = build({**TOY, "prompt": 7, "generate": 5, "batch": 2, "samples": 3})
    second = np.array([name.endswith("/decode") for name in request.operators.name])
    rows = request.operators
    assert second.sum() == len(rows) / 2
    assert rows.weights_resident[second].sum() == 0 and rows.kv_resident[second].sum() == 0
    width = 2 * 3 * 2 * 8  # keys and values, layers, kv heads, head dim
    assert rows.kv_resident.sum() == width * 2 * (7 + 3 * 5)  # the prompt once, each sample's own tokens
    assert set(rows.repeat[~second]) == {1.0} and set(rows.repeat[second]) == {15.0}
    assert np.array_equal(np.unique(rows.block[second]), np.arange(5))


def test_a_window_bounds_the_cache() -> None:
    sizes = [
        build({**TOY, "window": 8, "prompt": 6, "generate": 5, "samples": k}).operators.kv_resident.sum()
        for k in (1, 2, 10)
    ]
    width = 2 * 3 * 2 * 8
    assert sizes == [8 * width, 16 * width, (6 + 10 * 5) * width]


def test_only_the_last_token_reaches_the_head() -> None:
    prefill = build({**TOY, "phase": "prefill", "prompt": 50, "batch": 2})
    at = prefill.operators.name.index("lm_head")
    assert [float(column[at]) for column in prefill.operators.gemm] == [2, 32, 100, 1]
    assert prefill.block_edges().elements.tolist() == [50 * 2 * 32] * 3 + [2 * 32]


def test_the_embedding_reads_rows_and_occupies_its_table() -> None:
    prefill = build({**GPT2_LIKE, "phase": "prefill", "prompt": 50, "batch": 2})
    assert prefill.operators.weights[0] == 2 * 50 * 2 * 32  # a row of each table a token
    assert prefill.operators.weights_resident[0] == (100 + 256) * 32


def test_tied_embeddings_are_stored_once() -> None:
    tied, untied = build(TOY), build({**TOY, "tied": False})
    assert tied.ties == ((0, 4, 100 * 32.0),) and untied.ties == ()
    assert untied.parameters - tied.parameters == 100 * 32
    assert np.array_equal(tied.operators.weights_resident, untied.operators.weights_resident)


def test_unfused_attention_writes_and_reads_its_scores() -> None:
    fused, unfused = (build({**TOY, "phase": "prefill", "prompt": 9, "attention": a}) for a in ("fused", "unfused"))
    triangle = 4 * 9 * 10 / 2 * 3  # heads, queries x mean context, layers
    assert unfused.operators.act_out.sum() - fused.operators.act_out.sum() == 2 * triangle
    assert unfused.operators.act_in.sum() - fused.operators.act_in.sum() == 2 * triangle
    assert total(unfused, "flop") == total(fused, "flop")


@pytest.mark.parametrize("name", ["llama-3.2-1b", "lfm2-2.6b", "gpt2"])
@pytest.mark.parametrize("phase", ["prefill", "decode", "request"])
def test_blocks_form_a_chain_of_residual_streams(name: str, phase: str) -> None:
    workload = graph(name, phase=phase)
    crossing = workload.block_edges()
    layers, passes = len(workload.blocks) - 2, 2 if phase == "request" else 1
    assert workload.is_chain
    assert len(crossing) == passes * (layers + 1)  # the residual is used twice in a layer and crosses once
    assert workload.blocks == ("embed", *map(str, range(layers)), "head")


@pytest.mark.parametrize(("name", "phase", "rows"), [("llama-3.2-1b", "decode", 13), ("llama-3.2-1b", "request", 27)])
def test_distinct_rows_rebuild_the_graph(name: str, phase: str, rows: int) -> None:
    workload = graph(name, phase=phase)
    distinct, index = workload.distinct()
    assert len(distinct) == rows < len(workload.operators) / 15
    for column in PRICED:
        assert np.array_equal(getattr(distinct, column)[index], getattr(workload.operators, column)), column
    assert tuple(distinct.kind[i] for i in index) == workload.operators.kind


def test_one_changed_row_is_one_more_distinct_row() -> None:
    workload = build(TOY)
    for column in PRICED:
        operators = workload.operators.take(np.arange(len(workload.operators)))
        getattr(operators, column)[5] += 1
        parts = {f.name: getattr(workload, f.name) for f in fields(workload)} | {"operators": operators}
        assert len(OperatorGraph(**parts).distinct()[0]) == len(workload.distinct()[0]) + 1, column


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"phase": "decod"}, UnknownName, "Did you mean 'decode'"),
        ({"promt": 3}, UnknownName, "Did you mean 'prompt'"),
        ({"heads": 5}, InputError, "multiple of 'kv_heads'"),
        ({"heads": 6}, InputError, "multiple of 'heads'"),
        ({"layers": 10_001}, InputError, "from 1 to 10000"),
        ({"batch": 1_000_001}, InputError, "from 1 to 1000000"),
        ({"batch": 0}, InputError, "from 1"),
        ({"batch": 1.5}, InputError, "whole number"),
        ({"batch": True}, InputError, "whole number"),
        ({"batch": float("nan")}, InputError, "whole number"),
        ({"batch": float("inf")}, InputError, "whole number"),
        ({"batch": "many"}, InputError, "whole number"),
        ({"vocab": None}, InputError, "'vocab' must be given"),
        ({"tied": "yes"}, InputError, "true or false"),
        ({"positions": "learned"}, InputError, "max_context"),
        ({"max_context": 100}, InputError, "fits the model's 100 positions"),
        ({"layer_types": ["attention", "conv", "attention"]}, InputError, "conv_kernel"),
        ({"layer_types": ["attention"]}, InputError, "one entry per layer"),
        ({"layer_types": ["atention"] * 3}, UnknownName, "Did you mean 'attention'"),
        ({"layer_types": ["sliding"] * 3}, InputError, "window"),
        ({"kind": "guess"}, UnknownName, "kind"),
        ({"name": 7}, InputError, "text"),
    ],
)  # fmt: skip
def test_bad_options_are_refused_with_a_remedy(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(")):
        build({**TOY, **options})


def test_numbers_that_yaml_reads_as_text_count() -> None:
    assert build({**TOY, "prompt": "1e3"}).facts["prompt"] == 1000

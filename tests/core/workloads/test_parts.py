"""Latent attention, routed experts, state-space layers and windows against sums done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError, UnknownName
from tradespace.workloads import OperatorGraph
from tradespace.workloads.decoder import build
from tradespace.workloads.shapes import MoE

BASE: dict[str, Any] = {"vocab": 100, "hidden": 32, "layers": 3, "heads": 4, "ffn": 80}
LATENT = {"kv_rank": 16, "rope": 4, "nope": 8, "value": 8, "q_rank": 12}
EXPERTS = {"experts": 8, "active": 2, "ffn": 24, "shared": 48}
SCAN = {"inner": 64, "state": 4, "rank": 2}
SCAN2 = {"inner": 64, "state": 8, "heads": 8, "groups": 2}
MLA_SHAPE = {**BASE, "layer_types": ["mla"] * 3, "mla": LATENT}
MOE_SHAPE = {**BASE, "kv_heads": 2, "moe": EXPERTS, "ffn_types": ["dense", "moe", "moe"]}
MAMBA_SHAPE = {**BASE, "layer_types": ["mamba"] * 3, "ffn_types": ["none"] * 3, "ssm": SCAN, "positions": "none"}
MAMBA2_SHAPE = {**BASE, "layer_types": ["mamba2"] * 3, "ffn_types": ["none"] * 3, "ssm": SCAN2}
HYBRID_SHAPE = {**BASE, "kv_heads": 2, "layer_types": ["hybrid", "mamba2", "attention"], "ssm": SCAN2}
SHAPES = {
    "mla": MLA_SHAPE, "moe": MOE_SHAPE, "mamba": MAMBA_SHAPE, "mamba2": MAMBA2_SHAPE, "hybrid": HYBRID_SHAPE,
    "sandwich": {**BASE, "norms": "sandwich", "window": 5}, "parallel": {**BASE, "norms": "parallel", "gated": False},
}  # fmt: skip


def row(graph: OperatorGraph, name: str, column: str) -> float:
    return float(getattr(graph.operators, column)[graph.operators.name.index(name)])


def total(graph: OperatorGraph, column: str) -> float:
    return float((getattr(graph.operators, column) * graph.operators.repeat).sum())


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("phase", ["prefill", "decode", "request"])
def test_every_kind_is_a_chain_whose_numbers_are_whole(shape: dict[str, Any], phase: str) -> None:
    graph = build({**shape, "phase": phase, "prompt": 7, "generate": 5, "context": 9, "batch": 2})
    assert graph.is_chain and graph.parameters > 0
    products = graph.operators.macs > 0
    flop, macs = graph.operators.flop[products], graph.operators.macs[products]
    assert (flop >= 2 * macs - 1e-6).all() and (flop <= 2.5 * macs).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_request_is_its_prefill_and_its_decode_steps(shape: dict[str, Any]) -> None:
    request = build({**shape, "prompt": 7, "generate": 5, "batch": 2, "samples": 3})
    prefill = build({**shape, "phase": "prefill", "prompt": 7, "batch": 2})
    steps = [build({**shape, "phase": "decode", "context": n, "batch": 2}) for n in range(8, 13)]
    for column in ("flop", "weights", "act_in", "act_out", "kv_write"):
        expected = total(prefill, column) + 3 * sum(total(step, column) for step in steps)
        assert total(request, column) == pytest.approx(expected, rel=1e-12), column
    assert request.parameters == prefill.parameters == steps[0].parameters


def test_a_latent_is_cached_instead_of_heads() -> None:
    step = build({**MLA_SHAPE, "phase": "decode", "context": 100, "batch": 2})
    assert step.operators.kv_resident.sum() == 3 * 2 * 100 * (16 + 4)
    assert total(step, "kv_write") == 3 * 2 * (16 + 4)
    assert total(step, "kv_read") == 3 * 2 * 100 * (16 + 4)  # a fused kernel reads the latent once
    heads = build({**BASE, "phase": "decode", "context": 100, "batch": 2})
    assert heads.operators.kv_resident.sum() == 3 * 2 * 100 * 2 * 32


def test_absorbed_and_expanded_attention_hold_the_same_weights_and_differ_in_work() -> None:
    absorbed = build({**MLA_SHAPE, "phase": "decode", "context": 100})
    expanded = build({**MLA_SHAPE, "mla": {**LATENT, "absorb": "never"}, "phase": "decode", "context": 100})
    assert absorbed.parameters == expanded.parameters
    # by hand, a layer: queries and outputs through the latent, and scores and values on it
    assert row(absorbed, "0.absorb_k", "flop") == 2 * 4 * 8 * 16
    assert row(absorbed, "0.scores", "flop") == 2 * 4 * 100 * 20
    assert row(absorbed, "0.values", "flop") == 2 * 4 * 100 * 16
    # expanded: 100 positions through kv_b, then heads of 12 and 8
    assert row(expanded, "0.kv_b", "flop") == 2 * 100 * 16 * 4 * 16
    assert row(expanded, "0.scores", "flop") == 2 * 4 * 100 * 12
    assert total(expanded, "flop") > 2 * total(absorbed, "flop")
    prefill = build({**MLA_SHAPE, "phase": "prefill", "prompt": 100})
    assert row(prefill, "0.kv_b", "flop") == 2 * 100 * 16 * 4 * 16  # each position once, for all its queries


def test_the_experts_that_a_batch_touches() -> None:
    moe = MoE(experts=8, active=2, ffn=24)
    rng = np.random.Generator(np.random.Philox(3))
    for tokens in (1, 3, 10):
        drawn = [len({e for _ in range(tokens) for e in rng.choice(8, 2, replace=False)}) for _ in range(3000)]
        assert moe.touched(tokens) == pytest.approx(np.mean(drawn), rel=0.02)
    assert moe.touched(1) == pytest.approx(2) and moe.touched(1e6) == pytest.approx(8)
    assert MoE(experts=4, active=4, ffn=1).touched(1) == 4


def test_all_experts_occupy_memory_and_the_touched_ones_are_read() -> None:
    one = build({**MOE_SHAPE, "phase": "decode", "context": 10})
    many = build({**MOE_SHAPE, "phase": "decode", "context": 10, "batch": 64})
    assert row(one, "1.experts_up", "weights_resident") == 8 * 32 * 24
    assert row(one, "1.experts_up", "weights") == pytest.approx(2 * 32 * 24)
    assert row(many, "1.experts_up", "weights") == pytest.approx(8 * 32 * 24, rel=1e-6)
    for graph, tokens in ((one, 1), (many, 64)):
        assert row(graph, "1.experts_up", "flop") == 2 * tokens * 2 * 32 * 24  # two experts a token, however spread
    idle = 2 * 6 * 3 * 32 * 24  # layers, idle experts, projections
    assert one.parameters - float(one.facts["active_parameters"]) == idle
    assert "0.up" in one.operators.name and "0.router" not in one.operators.name
    assert row(one, "1.shared_up", "weights") == 32 * 48


def test_a_state_does_not_grow_with_the_context() -> None:
    for shape, state in ((MAMBA_SHAPE, 64 * 4 + 64 * 3), (MAMBA2_SHAPE, 64 * 8 + (64 + 2 * 2 * 8) * 3)):
        sizes = [build({**shape, "phase": "decode", "context": n, "batch": 2}) for n in (10, 1000)]
        assert [graph.operators.kv_resident.sum() for graph in sizes] == [3 * 2 * state] * 2
        assert total(sizes[0], "flop") == total(sizes[1], "flop")
        assert total(sizes[0], "kv_read") == total(sizes[0], "kv_write") == 3 * 2 * state
        prefill = build({**shape, "phase": "prefill", "prompt": 50, "batch": 2})
        assert total(prefill, "kv_read") == 3 * 2 * state  # once a pass, not once a token


def test_a_scan_by_hand() -> None:
    mamba = build({**MAMBA_SHAPE, "phase": "prefill", "prompt": 10})
    assert row(mamba, "0.scan", "flop") == 10 * 64 * (9 * 4 + 2)
    step = build({**MAMBA2_SHAPE, "phase": "decode", "context": 10})
    assert row(step, "0.scan", "flop") == 64 * (5 * 8 + 2)
    chunked = build({**MAMBA2_SHAPE, "phase": "prefill", "prompt": 10})
    causal = 5.5 * 2 * (2 * 8 + 64)  # positions seen on average, times products with B and with the channels
    assert row(chunked, "0.scan", "flop") == 10 * (causal + 4 * 64 * 8 + 2 * 64)
    assert mamba.operators.kind[mamba.operators.name.index("0.scan")] == "scan"


def test_only_layers_that_see_everything_grow() -> None:
    types = ["sliding", "sliding", "attention"]
    sizes = [
        build({**BASE, "layer_types": types, "window": 16, "phase": "decode", "context": n}).operators.kv_resident.sum()
        for n in (16, 116)
    ]
    assert sizes[1] - sizes[0] == 100 * 2 * 32


def test_sandwich_norms_parallel_layers_and_sinks_by_hand() -> None:
    plain = build(BASE)
    assert build({**BASE, "norms": "sandwich"}).parameters - plain.parameters == 3 * 2 * 32
    assert plain.parameters - build({**BASE, "norms": "parallel"}).parameters == 3 * 32
    assert build({**BASE, "sinks": True}).parameters - plain.parameters == 3 * 4
    assert build({**BASE, "head_bias": True}).parameters - plain.parameters == 100
    narrow = build({**BASE, "embed_width": 8})
    assert plain.parameters - narrow.parameters == 2 * 100 * (32 - 8) - 2 * 8 * 32


def test_a_prediction_module_is_a_layer_with_a_projection_and_the_shared_head() -> None:
    plain, more = build({**MLA_SHAPE, "phase": "decode"}), build({**MLA_SHAPE, "mtp": 1, "phase": "decode"})
    layer = (plain.parameters - 2 * 100 * 32 - 32) / 3
    assert more.parameters - plain.parameters == layer + 2 * 32 * 32 + 3 * 32
    assert more.blocks[-1] == "mtp0" and more.is_chain
    assert more.operators.weights_resident.sum() - more.parameters == 100 * 32  # the head's weights, tied


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer_types": ["mla"] * 3}, InputError, "need the shape 'mla'"),
        ({"layer_types": ["mamba"] * 3}, InputError, "need the shape 'ssm'"),
        ({"layer_types": ["mamba2"] * 3, "ssm": SCAN}, InputError, "ssm.heads"),
        ({"layer_types": ["mamba"] * 3, "ssm": SCAN2}, InputError, "ssm.rank"),
        ({"ffn_types": ["moe"] * 3}, InputError, "need the shape 'moe'"),
        ({"ffn_types": ["moe"]}, InputError, "one entry for each"),
        ({"moe": {**EXPERTS, "active": 9}}, InputError, "active"),
        ({"moe": {**EXPERTS, "activ": 2}}, UnknownName, "Did you mean 'active'"),
        ({"moe": 8}, InputError, "'moe' is a mapping"),
        ({"mla": {**LATENT, "absorb": "sometimes"}}, UnknownName, "absorb"),
        ({"ssm": {**SCAN2, "heads": 7}}, InputError, "multiple of 'heads'"),
        ({"norms": "parallel", "ffn_types": ["none"] * 3}, InputError, "feed-forward network each"),
        ({"norms": "sandwhich"}, UnknownName, "Did you mean 'sandwich'"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message.replace("(", r"\(")):
        build({**BASE, **options})

"""One layer, operator by operator and tensor by tensor, written down by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tradespace.workloads import OperatorGraph
from tradespace.workloads.decoder import build

# hidden 32, 4 heads of 8, 2 key heads, ffn 80; 3 tokens a sequence, 2 sequences: T = 6 tokens
SHAPE: dict[str, Any] = {"vocab": 100, "hidden": 32, "layers": 1, "heads": 4, "kv_heads": 2, "ffn": 80}
JOB = {"phase": "prefill", "prompt": 3, "batch": 2}
X, Q, C, F = 6 * 32, 6 * 32, 6 * 16, 6 * 80  # elements of the stream, queries, keys, inner width
SEEN = 4 * 6 * 2  # heads x tokens x mean visible positions

ATTENTION = {
    #           act_in act_out kv_read kv_write flop
    "norm1": (X, X, 0, 0, 4 * X),
    "q": (X, Q, 0, 0, 2 * 6 * 32 * 32),
    "k": (X, 0, 0, C, 2 * 6 * 32 * 16),
    "v": (X, 0, 0, C, 2 * 6 * 32 * 16),
    "rope": (Q, Q, 0, 0, 3 * (Q + C)),
    "scores": (Q, 0, C, 0, 2 * SEEN * 8),
    "softmax": (0, 0, 0, 0, 5 * SEEN),
    "values": (0, Q, C, 0, 2 * SEEN * 8),
    "o": (Q, X, 0, 0, 2 * 6 * 32 * 32),
}
FEED_FORWARD = {
    "add1": (2 * X, X, 0, 0, X),
    "norm2": (X, X, 0, 0, 4 * X),
    "gate": (X, F, 0, 0, 2 * 6 * 32 * 80),
    "up": (X, F, 0, 0, 2 * 6 * 32 * 80),
    "act": (2 * F, F, 0, 0, 5 * F),
    "down": (F, X, 0, 0, 2 * 6 * 80 * 32),
    "add2": (2 * X, X, 0, 0, X),
}
STATE = 2 * 32 * 2  # sequences x channels x (kernel - 1)
CONV = {
    "norm1": (X, X, 0, 0, 4 * X),
    "in_proj": (X, 3 * X, 0, 0, 2 * 6 * 32 * 96),
    "gate_b": (2 * X, X, 0, 0, X),
    "conv": (X, X, STATE, STATE, 2 * 3 * X),
    "gate_c": (2 * X, X, 0, 0, X),
    "out_proj": (X, X, 0, 0, 2 * 6 * 32 * 32),
}
ENTER = {("embed", "norm1", X), ("embed", "add1", X)}
FEED_EDGES = {
    ("add1", "norm2", X), ("norm2", "gate", X), ("norm2", "up", X), ("gate", "act", F), ("up", "act", F),
    ("act", "down", F), ("add1", "add2", X), ("down", "add2", X), ("add2", "norm", 2 * 32), ("norm", "lm_head", 2 * 32),
}  # fmt: skip
ATTENTION_EDGES = {
    ("norm1", "q", X), ("norm1", "k", X), ("norm1", "v", X), ("q", "rope", Q), ("rope", "scores", Q),
    ("k", "scores", C), ("scores", "softmax", SEEN), ("softmax", "values", SEEN), ("v", "values", C),
    ("values", "o", Q), ("o", "add1", X),
}  # fmt: skip
CONV_EDGES = {
    ("norm1", "in_proj", X), ("in_proj", "gate_b", 2 * X), ("gate_b", "conv", X), ("conv", "gate_c", X),
    ("in_proj", "gate_c", X), ("gate_c", "out_proj", X), ("out_proj", "add1", X),
}  # fmt: skip

CASES = {
    "attention": ({}, ATTENTION, ATTENTION_EDGES),
    "conv": ({"layer_types": ["conv"], "conv_kernel": 3}, CONV, CONV_EDGES),
}


def named_edges(graph: OperatorGraph) -> set[tuple[str, str, float]]:
    short = [name.removeprefix("0.") for name in graph.operators.name]
    edges = graph.edges
    rows = zip(edges.source.tolist(), edges.dest.tolist(), edges.elements.tolist(), strict=True)
    return {(short[a], short[b], elements) for a, b, elements in rows}


@pytest.mark.parametrize("case", CASES)
def test_every_operator_of_a_layer(case: str) -> None:
    extra, first, _ = CASES[case]
    rows = build({**SHAPE, **JOB, **extra}).operators
    table = {
        name.removeprefix("0."): tuple(float(column[i]) for column in columns)
        for columns in [(rows.act_in, rows.act_out, rows.kv_read, rows.kv_write, rows.flop)]
        for i, name in enumerate(rows.name)
        if name.startswith("0.")
    }
    assert list(table) == [*first, *FEED_FORWARD]
    assert table == first | FEED_FORWARD


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_of_a_layer(case: str) -> None:
    extra, _, edges = CASES[case]
    assert named_edges(build({**SHAPE, **JOB, **extra})) == ENTER | edges | FEED_EDGES


def test_normed_queries_and_keys() -> None:
    rows = build({**SHAPE, **JOB, "qk_norm": True}).operators
    at = rows.name.index("0.qk_norm")
    assert rows.name[at - 1 : at + 2] == ("0.v", "0.qk_norm", "0.rope")
    assert (rows.weights[at], rows.act_out[at], rows.flop[at]) == (16, Q, 4 * (Q + C))


def test_a_plain_feed_forward_has_one_input_projection() -> None:
    rows = build({**SHAPE, **JOB, "gated": False, "norm": "layer", "ffn_bias": True}).operators
    at = rows.name.index("0.up")
    assert rows.name[at - 1 : at + 3] == ("0.norm2", "0.up", "0.act", "0.down")
    assert rows.weights[at - 1 : at + 3].tolist() == [64, 32 * 80 + 80, 0, 80 * 32 + 32]
    assert rows.flop[at - 1 : at + 3].tolist() == [7 * X, 2 * 6 * 32 * 80 + F, 8 * F, 2 * 6 * 32 * 80 + X]

"""Totals of a workload, against sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradespace.plugins import registry
from tradespace.precisions import FP16, INT4
from tradespace.workloads import Edges, OperatorGraph, load_workload
from tradespace.workloads.decoder import build
from tradespace.workloads.summary import peak_activations, summarise, weight_bytes

TOY = {"vocab": 100, "hidden": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 80}


def test_weight_bytes_round_every_operator_up_to_blocks() -> None:
    tied, untied = build({**TOY, "tied": True}), build(TOY)
    # a layer: q and o 32x32, k and v 32x16, three 32x80, two norms of 32; both tables 100x32; the last norm
    blocks = 2 * (2 * 32 + 2 * 16 + 3 * 80 + 2) + 100 + 1 + 100
    assert weight_bytes(untied, INT4) == 18 * blocks
    assert weight_bytes(tied, INT4) == 18 * (blocks - 100)
    odd = build({**TOY, "hidden": 36})
    exact = odd.parameters * 4.5 / 8
    assert exact < weight_bytes(odd, INT4) < exact + 18 * len(odd.operators)
    assert weight_bytes(tied, FP16) == 2 * tied.parameters


def test_llama_1b_weighs_what_its_files_weigh() -> None:
    workload = load_workload("llama-3.2-1b", registry())
    assert isinstance(workload, OperatorGraph)
    assert weight_bytes(workload, FP16) == 2_471_628_800  # model.safetensors without its header


def test_totals_are_counted_per_job_and_kind() -> None:
    request = build({**TOY, "prompt": 3, "generate": 4, "samples": 2})
    summary = summarise(request, [FP16])
    rows = request.operators
    assert summary.flop == pytest.approx(float((rows.flop * rows.repeat).sum()))
    assert summary.macs == pytest.approx(sum(total.macs for total in summary.by_kind.values()))
    layers, passes = 2, 1 + 4 * 2
    assert summary.by_kind["matmul"].executions == passes * (7 * layers + 1)
    assert summary.by_kind["softmax"].macs == 0 and summary.by_kind["softmax"].flop > 0
    assert sum(total.operators for total in summary.by_kind.values()) == len(rows)
    assert summary.kv_elements == 2 * 2 * 2 * 8 * (3 + 2 * 4)
    assert next(iter(summary.by_kind)) == "matmul"


def test_a_tensor_lives_from_its_maker_to_its_last_reader() -> None:
    """a(10) -> b(1) -> c(1), and c also reads a: 12 elements are alive at c."""
    whole = build({**TOY, "layers": 1})
    rows = whole.operators.take(np.arange(3))
    rows.act_out[:] = (10, 1, 1)
    rows.block[:] = 0
    ints = (np.array([0, 0, 1], np.int32), np.array([1, 2, 2], np.int32))
    small = replace(whole, operators=rows, blocks=("all",), edges=Edges(*ints, np.ones(3), np.ones(3)), ties=())
    assert peak_activations(small) == 12
    shorter = replace(small, edges=Edges(ints[0][[0, 2]], ints[1][[0, 2]], np.ones(2), np.ones(2)))
    assert peak_activations(shorter) == 11


def test_gate_and_up_dominate_the_activations_of_a_gated_layer() -> None:
    prefill = build({**TOY, "ffn": 1000, "vocab": 10, "phase": "prefill", "prompt": 50})
    stream = 50 * 32
    assert peak_activations(prefill) == 50 * 3000 + stream  # gate, up and their product, beside the residual

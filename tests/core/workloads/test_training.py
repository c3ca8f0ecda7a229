"""Training jobs: counts against published arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError, TradespaceError
from tradespace.plugins import registry
from tradespace.workloads import load_workload
from tradespace.workloads.training import TrainingJob, build, model_flop

GPT: dict[str, Any] = {
    "vocab": 51200, "hidden": 1024, "layers": 4, "heads": 16, "ffn": 4096, "gated": False, "norm": "layer",
    "qkv_bias": True, "out_bias": True, "ffn_bias": True, "tied": True, "sequence": 512, "global_batch": 8,
}  # fmt: skip


def job(**changed: Any) -> TrainingJob:
    return build(GPT | changed)


def test_parameters_are_twelve_h_squared_a_layer() -> None:
    found = job()
    assert found.weights[0] == pytest.approx(12 * 1024**2 + 13 * 1024)
    assert found.parameters == pytest.approx(4 * (12 * 1024**2 + 13 * 1024) + 51200 * 1024 + 2 * 1024, rel=1e-6)
    assert job(tied=False).parameters - found.parameters == pytest.approx(51200 * 1024)


def test_a_layer_forward_is_24_s_h_squared_and_causal_attention() -> None:
    found, s, h = job(), 512, 1024
    assert found.flop[0] == pytest.approx(24 * s * h**2 + 2 * s * (s + 1) * h, rel=0.01)
    assert found.attention[0] == pytest.approx(2 * s * (s + 1) * h, rel=0.05)
    assert found.head[0] == 2 * s * h * 51200


def test_what_backward_reads_is_32_s_h_bytes_without_dropout() -> None:
    """Korthikanti et al. count 34 with two dropout masks of a byte; 8 of them (norms, additions) on every rank."""
    found, sh = job(), 512 * 1024
    assert 2 * (found.residual[0] + found.inner[0]) == 32 * sh
    assert 2 * found.residual[0] == 8 * sh


def test_unfused_attention_keeps_scores() -> None:
    assert job(attention="unfused").inner[0] > job().inner[0] + 16 * 512 * 512 / 2


def test_reported_flop_are_the_formula_of_megatron() -> None:
    assert model_flop(24, 2304, 2048, 51200) == pytest.approx(
        96 * 2048 * 24 * 2304**2 * (1 + 2048 / (6 * 2304) + 51200 / (16 * 24 * 2304))
    )


def test_any_decoder_of_the_catalogue_can_be_trained() -> None:
    found = load_workload({"extends": "llama-3.2-1b", "type": "training", "sequence": 1024}, registry())
    inference = load_workload("llama-3.2-1b", registry())
    assert isinstance(found, TrainingJob)
    assert found.parameters == inference.parameters
    assert found.precision == "bf16"
    assert np.isfinite(found.flop).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sequence": 0}, "sequence"),
        ({"global_batch": "many"}, "global_batch"),
        ({"precision": "int4"}, "precision"),
        ({"seqence": 5}, "sequence"),
        ({"layers": 10_001}, "layers"),
        ({"max_context": 128}, "context"),
    ],
)
def test_bad_input(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(TradespaceError, match=said):
        job(**changed)


def test_a_sequence_must_be_known() -> None:
    with pytest.raises(InputError, match="sequence"):
        build({key: value for key, value in GPT.items() if key != "sequence"})


def test_a_batch_of_inference_is_refused_where_it_would_change_nothing() -> None:
    with pytest.raises(InputError, match="global_batch"):
        load_workload({"extends": "llama-3.2-1b", "type": "training", "sequence": 512, "batch": 64}, registry())
    assert load_workload({"extends": "llama-3.2-1b", "type": "training", "sequence": 512, "batch": 1}, registry())

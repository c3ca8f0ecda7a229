"""GGUF files of each kind of architecture, written by the `gguf` package with the tensors that its converters write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload

Shapes = dict[str, tuple[int, ...]]
KEYS = {"layers": 4, "hidden": 64, "ffn": 128, "heads": 4, "kv_heads": 2, "vocab": 320}


def read(path: Path, **options: Any) -> OperatorGraph:
    workload = load_workload({"extends": str(path), **options}, registry())
    assert isinstance(workload, OperatorGraph)
    return workload


def whole(
    layers: list[Shapes], more: Shapes | None = None, *, norm: str = "output_norm", output: bool = False
) -> Shapes:
    shapes: Shapes = {"token_embd.weight": (320, 64), f"{norm}.weight": (64,), **(more or {})}
    shapes |= {"output.weight": (320, 64)} if output else {}
    for at, layer in enumerate(layers):
        shapes |= {f"blk.{at}.{name}": shape for name, shape in layer.items()}
    return shapes


def norms(*names: str) -> Shapes:
    return {f"{name}.weight": (64,) for name in names or ("attn_norm", "ffn_norm")}


def attention(*, bias: bool = False, qk: bool = False, width: int = 16) -> Shapes:
    found: Shapes = {}
    for name, rows in (("attn_q", 4 * width), ("attn_k", 2 * width), ("attn_v", 2 * width)):
        found |= {f"{name}.weight": (rows, 64)} | ({f"{name}.bias": (rows,)} if bias else {})
    found["attn_output.weight"] = (64, 4 * width)
    return found | ({"attn_q_norm.weight": (width,), "attn_k_norm.weight": (width,)} if qk else {})


def dense(ffn: int = 128) -> Shapes:
    return {"ffn_gate.weight": (ffn, 64), "ffn_up.weight": (ffn, 64), "ffn_down.weight": (64, ffn)}


def experts(count: int = 8, ffn: int = 32, shared: int = 0) -> Shapes:
    found: Shapes = {
        "ffn_gate_inp.weight": (count, 64), "ffn_gate_exps.weight": (count, ffn, 64), "ffn_up_exps.weight": (count,
        ffn, 64),
        "ffn_down_exps.weight": (count, 64, ffn),
    }  # fmt: skip
    if shared:
        found |= {"ffn_gate_shexp.weight": (shared, 64), "ffn_up_shexp.weight": (shared, 64)}
        found |= {"ffn_down_shexp.weight": (64, shared)}
    return found


def latent() -> Shapes:
    """kv_b in two parts, as newer converters write it."""
    return {
        "attn_q_a.weight": (32, 64), "attn_q_a_norm.weight": (32,), "attn_q_b.weight": (4 * 24, 32),
        "attn_kv_a_mqa.weight": (32 + 8, 64), "attn_kv_a_norm.weight": (32,), "attn_k_b.weight": (4, 32, 16),
        "attn_v_b.weight": (4, 16, 32), "attn_output.weight": (64, 4 * 16),
    }  # fmt: skip


def mamba() -> Shapes:
    return {
        "ssm_in.weight": (256, 64), "ssm_conv1d.weight": (128, 4), "ssm_conv1d.bias": (128,), "ssm_x.weight": (4 + 32,
        128),
        "ssm_dt.weight": (128, 4), "ssm_dt.bias": (128,), "ssm_a": (128, 16), "ssm_d": (128,), "ssm_out.weight": (64,
        128),
    }  # fmt: skip


def mamba2(*, norm: bool = True) -> Shapes:
    conv = 128 + 2 * 2 * 16
    found: Shapes = {
        "ssm_in.weight": (128 + conv + 8, 64), "ssm_conv1d.weight": (conv, 4), "ssm_conv1d.bias": (conv,),
        "ssm_dt.bias": (8,),
        "ssm_a": (8, 1), "ssm_d": (8, 1), "ssm_out.weight": (64, 128),
    }  # fmt: skip
    return found | ({"ssm_norm.weight": (2, 64)} if norm else {})


MOE = {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 32}
MLA = {
    "attention.kv_lora_rank": 32, "attention.q_lora_rank": 32, "rope.dimension_count": 8, "attention.key_length": 40,
    "attention.value_length": 32, "attention.key_length_mla": 24, "attention.value_length_mla": 16,
    "leading_dense_block_count": 1,
}  # fmt: skip
SSM = {"ssm.inner_size": 128, "ssm.state_size": 16, "ssm.conv_kernel": 4, "ssm.time_step_rank": 4}
SSM2 = {**SSM, "ssm.time_step_rank": 8, "ssm.group_count": 2}

CASES: dict[str, tuple[str, Shapes, dict[str, int], dict[str, int]]] = {
    # name: architecture, tensors, metadata, operators that must be there and how many
    "qwen3": ("qwen3", whole([norms() | attention(qk=True) | dense()] * 4), {}, {"0.qk_norm": 1, "3.rope": 1}),
    "gemma3": (
        "gemma3",
        whole([norms("attn_norm", "ffn_norm", "post_attention_norm",
        "post_ffw_norm") | attention(qk=True) | dense()] * 4),
        {"attention.sliding_window": 8}, {"0.norm1_post": 1, "0.norm2_post": 1},
    ),
    "mixtral": ("llama", whole([norms() | attention() | experts()] * 4, output=True), MOE, {"0.router": 1,
    "0.experts_up": 1}),
    "qwen2moe": (
        "qwen2moe",
        whole([norms() | attention(bias=True) | experts(shared=48) | {"ffn_gate_inp_shexp.weight": (64,)}] * 4,
        output=True),
        MOE, {"0.shared_weight": 1, "0.shared_up": 1},
    ),
    "gpt-oss": (
        "gpt-oss",
        whole(
            [
                norms("attn_norm", "post_attention_norm") | attention(bias=True) | experts()
                | {"attn_output.bias": (64,), "attn_sinks.weight": (4,), "ffn_gate_inp.bias": (8,),
                "ffn_gate_exps.bias": (8, 32),
                   "ffn_up_exps.bias": (8, 32), "ffn_down_exps.bias": (8, 64)}
            ] * 4, output=True,
        ),
        {**MOE, "attention.sliding_window": 8}, {"0.experts_down": 1},
    ),
    "deepseek2": (
        "deepseek2",
        whole([norms() | latent() | dense(),
        *[norms() | latent() | experts(shared=64) | {"exp_probs_b.bias": (8,)}] * 3], output=True),
        {**MOE, **MLA}, {"0.kv_a": 1, "0.gate": 1, "1.router": 1, "1.shared_up": 1},
    ),
    "mamba": ("mamba", whole([norms("attn_norm") | mamba()] * 4), SSM, {"0.scan": 1, "0.dt_proj": 1}),
    "mamba2": ("mamba2", whole([norms("attn_norm") | mamba2()] * 4), SSM2, {"0.scan": 1, "0.scan_norm": 1}),
    "jamba": (
        "jamba",
        whole(
            [norms() | mamba() | {"ssm_dt_norm.weight": (4,), "ssm_b_norm.weight": (16,),
            "ssm_c_norm.weight": (16,)} | dense(),
             norms() | attention() | experts(ffn=128)] * 2
        ),
        {**SSM, "expert_count": 8, "expert_used_count": 2}, {"0.scan": 1, "0.x_norm": 1, "1.scores": 1, "1.router": 1},
    ),
    "falcon-h1": (
        "falcon-h1", whole([norms() | attention() | mamba2(norm=False) | dense()] * 4), SSM2, {"0.scan": 1,
        "0.scores": 1, "0.mix": 1},
    ),
    "granitehybrid": (
        "granitehybrid", whole([norms() | mamba2() | dense(), norms() | attention() | dense()] * 2), SSM2,
        {"0.scan": 1, "1.scores": 1},
    ),
    "lfm2": (
        "lfm2",
        whole(
            [norms() | {"shortconv.conv.weight": (64, 3), "shortconv.in_proj.weight": (192, 64),
            "shortconv.out_proj.weight": (64, 64)}
             | dense(), norms() | attention(qk=True) | dense()] * 2, norm="token_embd_norm",
        ),
        {"shortconv.l_cache": 3}, {"0.conv": 1, "1.scores": 1},
    ),
    "phi3": (
        "phi3",
        whole([norms() | {"attn_qkv.weight": (64 + 64, 64), "attn_output.weight": (64, 64), "ffn_up.weight": (256, 64),
                          "ffn_down.weight": (64, 128)}] * 4, output=True),
        {}, {"0.gate": 1},
    ),
    "bloom": (
        "bloom",
        whole(
            [norms() | {"attn_norm.bias": (64,), "ffn_norm.bias": (64,), "attn_qkv.weight": (192, 64),
            "attn_qkv.bias": (192,),
                        "attn_output.weight": (64, 64), "attn_output.bias": (64,), "ffn_up.weight": (128, 64),
                        "ffn_up.bias": (128,),
                        "ffn_down.weight": (64, 128), "ffn_down.bias": (64,)}] * 4,
            {"token_embd_norm.weight": (64,), "token_embd_norm.bias": (64,), "output_norm.bias": (64,)},
        ),
        {"attention.head_count_kv": 4}, {"embed_norm": 1, "0.up": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_architecture_holds_its_tensors(ggufs: Any, name: str) -> None:
    architecture, shapes, numbers, operators = CASES[name]
    keys = dict(KEYS) if "attention.head_count_kv" not in numbers else {**KEYS, "kv_heads": 4}
    extra = {f"{architecture}.{key}": value for key, value in numbers.items() if key != "attention.head_count_kv"}
    path = ggufs.write(shapes, keys, architecture=architecture, extra=extra)
    graph = read(path, phase="decode", context=32)
    assert graph.parameters == sum(int(np.prod(shape)) for shape in shapes.values())
    for operator, count in operators.items():
        assert graph.operators.name.count(operator) == count, operator
    rows = graph.stored["F16"].elements + graph.stored["F32"].elements
    assert rows == graph.parameters and graph.facts["weight_bytes"] == sum(row.bytes for row in graph.stored.values())
    assert read(path, phase="prefill", prompt=16).parameters == graph.parameters


def test_layers_that_slide_are_those_of_the_architecture(ggufs: Any) -> None:
    architecture, shapes, _, _ = CASES["gemma3"]
    path = ggufs.write(shapes, KEYS, architecture=architecture, extra={"gemma3.attention.sliding_window": 8})
    graph = read(path, phase="decode", context=100)
    seen = [graph.operators.n[graph.operators.name.index(f"{layer}.scores")] for layer in range(4)]
    assert seen == [8, 8, 8, 8]  # every sixth layer of Gemma 3 sees everything
    architecture, shapes, numbers, _ = CASES["gpt-oss"]
    extra = {f"gpt-oss.{key}": value for key, value in numbers.items()}
    graph = read(ggufs.write(shapes, KEYS, architecture=architecture, extra=extra), phase="decode", context=100)
    seen = [graph.operators.n[graph.operators.name.index(f"{layer}.scores")] for layer in range(4)]
    assert seen == [8, 100, 8, 100]


def test_a_split_model_is_read_from_all_its_parts(ggufs: Any) -> None:
    _, shapes, _, _ = CASES["qwen3"]
    names = list(shapes)
    for part in (1, 2):
        held = {name: shapes[name] for name in (names[:9] if part == 1 else names[9:])}
        ggufs.write(held, KEYS, architecture="qwen3", name=f"m-0000{part}-of-00002.gguf", extra={"split.count": 2})
    graph = read(ggufs.folder / "m-00002-of-00002.gguf")
    assert graph.parameters == sum(int(np.prod(shape)) for shape in shapes.values())
    (ggufs.folder / "m-00001-of-00002.gguf").unlink()
    with pytest.raises(InputError, match=r"lie beside each other; got m-00001-of-00002.gguf"):
        read(ggufs.folder / "m-00002-of-00002.gguf")


@pytest.mark.parametrize(("kind", "native"), [("Q4_1", "q4_1"), ("Q5_0", "q5_0"), ("TQ2_0", "tq2_0"), ("Q8_0", "int8")])
def test_formats_are_found_by_their_own_names(ggufs: Any, kind: str, native: str) -> None:
    wide = {"layers": 1, "hidden": 256, "ffn": 256, "heads": 4, "vocab": 320}
    shapes: Shapes = {"token_embd.weight": (320, 256), "output_norm.weight": (256,)}
    shapes |= {f"blk.0.{name}.weight": (256, 256) for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate")}
    shapes |= {"blk.0.ffn_up.weight": (256, 256), "blk.0.ffn_down.weight": (256, 256)}
    shapes |= {"blk.0.attn_norm.weight": (256,), "blk.0.ffn_norm.weight": (256,)}
    graph = read(ggufs.write(shapes, wide, kind=kind))
    assert graph.native_precision == native
    size = registry().load("precisions", native).bytes(1.0 * 320 * 256 + 7 * 256 * 256)
    assert graph.stored[kind].bytes == size and graph.stored[kind].tensors == 8
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    assert {(name, tensor.shape) for name, tensor in tensors.items()} == set(shapes.items())
    assert (
        tensors["token_embd.weight"].type == kind and sum(t.bytes for t in graph.tensors) == graph.facts["weight_bytes"]
    )

"""The shape of a decoder from GGUF: numbers from the metadata, structure from the tensor table.

What a layer is (attention, latent attention, state-space, convolution; dense or routed) shows in the names of its
tensors, so one reading serves all architectures; the few habits that do not show are in `_STYLES` and `_WINDOWS`.
Names: gguf-py `constants.py` and `tensor_mapping.py`; windows: llama.cpp `llama-model.cpp`, `set_swa_pattern`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.config import MAX_LAYERS
from tradespace.workloads.families import BIG, GPT2_STYLE
from tradespace.workloads.gguf_header import Header, Tensor
from tradespace.workloads.options import integer

ARCHITECTURES = (
    "bamba", "bloom", "deepseek2", "falcon-h1", "gemma", "gemma2", "gemma3", "gpt-oss", "gpt2", "gptneox", "granite",
    "granitehybrid", "granitemoe", "jamba", "lfm2", "lfm2moe", "llama", "mamba", "mamba2", "mistral3", "phi2", "phi3",
    "phimoe", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "smollm3",
)  # fmt: skip
"""mistral and mixtral models are `llama` in GGUF."""

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {"tied": True, **GPT2_STYLE}, "bloom": {**GPT2_STYLE, "positions": "alibi", "embed_norm": True},
    "qwen2": {"qkv_bias": True}, "qwen3": {"qk_norm": True}, "gemma": {"tied": True}, "jamba": {"positions": "none"},
    "gemma2": {"tied": True, "norms": "sandwich"}, "gemma3": {"tied": True, "norms": "sandwich", "qk_norm": True},
    "phi2": {**GPT2_STYLE, "positions": "rope", "norms": "parallel", "head_bias": True},
    "gptneox": {**GPT2_STYLE, "positions": "rope"}, "mamba": {"positions": "none"}, "mamba2": {"positions": "none"},
    "granitehybrid": {"positions": "none"},
}  # fmt: skip
_WINDOWS: Mapping[str, int] = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2}
"""Each such layer sees everything, the others slide."""
_NEEDS_TABLE = ("deepseek2", "mamba", "mamba2", "jamba", "falcon-h1", "granitehybrid", "bamba", "lfm2", "lfm2moe")
_LAYER = re.compile(r"blk\.(\d{1,6})\.(.+)")

Layer = dict[str, Tensor]


def read_shape(header: Header, architecture: str, where: str) -> dict[str, Any]:
    """Options of the decoder; what the tensor table shows goes before the family's habits.

    Raises:
        InputError: a missing or contradicting value.
    """
    values = _Values(header.metadata, architecture, where)
    hidden = values.number("embedding_length", None)
    heads = values.number("attention.head_count", 1 if "mamba" in architecture else None)
    layers = integer(values.raw, "block_count", where, high=MAX_LAYERS, default=None)
    layers = max(1, layers - values.number("nextn_predict_layers", 0, low=0))
    embedding = header.tensors.get("token_embd.weight")
    if embedding is not None and embedding.dims[0] != hidden:
        rule = "'embedding_length' is the width of token_embd.weight"
        raise InputError(rule, value=f"{hidden} and {embedding.dims[0]}", where=where)
    table = _layers(header, layers)
    if architecture in _NEEDS_TABLE and not table:
        raise InputError(f"a {architecture} file shows its layers in its tensor table", where=where)
    shape: dict[str, Any] = {
        "hidden": hidden,
        "layers": layers,
        "heads": heads,
        "kv_heads": values.number("attention.head_count_kv", heads),
        "max_context": values.number("context_length", 0, low=0),
        "window": values.number("attention.sliding_window", 0, low=0),
    }
    ffn = values.number("feed_forward_length", 0, low=0)
    shape |= {"ffn": ffn} if ffn else {}
    if values.get("attention.key_length") is not None:
        shape["head_dim"] = values.number("attention.key_length", None)
    shape |= {**_STYLES.get(architecture, {}), **_whole_model(header, table)}
    shape |= _structure(values, table, architecture, shape) if table else _unseen(values, architecture, shape)
    if "vocab" not in shape:
        shape["vocab"] = values.number("vocab_size", header.lengths.get("tokenizer.ggml.tokens"))
    return shape


class _Values:
    """Metadata under the architecture's prefix."""

    def __init__(self, metadata: Mapping[str, Any], architecture: str, where: str) -> None:
        self.raw = {key.removeprefix(architecture + "."): value for key, value in metadata.items()}
        self.where = where

    def get(self, key: str) -> object:
        return self.raw.get(key)

    def number(self, key: str, default: int | None, low: int = 1) -> int:
        value = _uniform(self.raw.get(key), key, self.where)
        return integer({key: value}, key, self.where, low=low, high=BIG, default=default)


def _uniform(value: object, key: str, where: str) -> object:
    """The one value of a per-layer list whose entries are equal; 0 stands for layers that have none."""
    if not isinstance(value, list):
        return value
    found = [entry for entry in value if entry != 0] or value
    if not found or any(entry != found[0] for entry in found):
        raise InputError(f"'{key}' is the same in every layer", value=repr(value[:8]), where=where)
    return found[0]


def _layers(header: Header, count: int) -> list[Layer]:
    """Tensors of each layer by their names within it; empty if the table lacks layers."""
    found: list[Layer] = [{} for _ in range(count)]
    for name, tensor in header.tensors.items():
        match = _LAYER.fullmatch(name)
        if match and int(match[1]) < count:
            found[int(match[1])][match[2]] = tensor
    complete = "token_embd.weight" in header.tensors and all("attn_norm.weight" in layer for layer in found)
    return found if complete else []


def _whole_model(header: Header, table: list[Layer]) -> dict[str, Any]:
    """Facts that the table proves about the model as a whole."""
    tensors = header.tensors
    embedding = tensors.get("token_embd.weight")
    if embedding is None or len(embedding.dims) != 2 or not table:
        return {}

    def anywhere(*names: str) -> bool:
        return any(name in layer for layer in table for name in names)

    second = anywhere("ffn_norm.weight") or anywhere("post_attention_norm.weight")
    seen: dict[str, Any] = {
        "vocab": embedding.dims[1],
        "tied": "output.weight" not in tensors,
        "gated": anywhere("ffn_gate.weight", "ffn_gate_exps.weight", "ffn_gate.0.weight") or _fused(table),
        "norm": "layer" if "output_norm.bias" in tensors else "rms",
        "qkv_bias": anywhere("attn_q.bias", "attn_qkv.bias"),
        "out_bias": anywhere("attn_output.bias"),
        "ffn_bias": anywhere("ffn_up.bias"),
        "qk_norm": anywhere("attn_q_norm.weight"),
        "sinks": anywhere("attn_sinks.weight"),
        "head_bias": "output.bias" in tensors,
        "embed_norm": "token_embd_norm.weight" in tensors and "output_norm.weight" in tensors,
        "norms": "sandwich" if anywhere("post_ffw_norm.weight") else "pre",
    }
    if not second and anywhere("ffn_up.weight"):
        seen["norms"] = "parallel"
    positions = tensors.get("position_embd.weight")
    return seen if positions is None else {**seen, "positions": "learned", "max_context": positions.dims[-1]}


def _fused(table: list[Layer]) -> bool:
    """Gate and up in one matrix (Phi-3): twice as wide as `ffn_down` is deep."""
    up, down = table[0].get("ffn_up.weight"), table[0].get("ffn_down.weight")
    return up is not None and down is not None and up.dims[-1] == 2 * down.dims[0]


def _structure(values: _Values, table: list[Layer], architecture: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Layer types, and the shapes of the parts that they need."""
    types = [_mixer(layer) for layer in table]
    ffns = [_ffn(layer) for layer in table]
    if shape["window"]:
        period = _WINDOWS.get(architecture, 0)
        slides = [bool(not period or (layer + 1) % period) for layer in range(len(table))]
        types = ["sliding" if kind == "attention" and here else kind for kind, here in zip(types, slides, strict=True)]
    found: dict[str, Any] = {"layer_types": types, "ffn_types": ffns}
    if "mla" in types:
        found["mla"] = _latent(values)
    if values.get("expert_count") and "moe" not in ffns:
        rule, counted = "the tensor table holds what the metadata describes", repr(values.get("expert_count"))
        raise InputError(rule, value=f"{counted[:40]} experts, none in the table", where=values.where)
    if "moe" in ffns:
        found["moe"] = _experts(values, table[ffns.index("moe")])
    if set(types) & {"mamba", "mamba2", "hybrid"}:
        first = next(layer for layer in table if "ssm_in.weight" in layer)
        found["ssm"] = _state_space(values, first, "mamba" in types)
    if "conv" in types:
        found["conv_kernel"] = values.number("shortconv.l_cache", 3)
    return found


def _mixer(layer: Layer) -> str:
    if "attn_kv_a_mqa.weight" in layer:
        return "mla"
    if "ssm_in.weight" in layer:
        if "ssm_x.weight" in layer:
            return "mamba"
        return "hybrid" if "attn_q.weight" in layer else "mamba2"
    return "conv" if "shortconv.in_proj.weight" in layer else "attention"


def _ffn(layer: Layer) -> str:
    if "ffn_gate_inp.weight" in layer:
        return "moe"
    return "dense" if "ffn_up.weight" in layer else "none"


def _latent(values: _Values) -> dict[str, Any]:
    rope = values.number("rope.dimension_count", 64)
    older = values.get("attention.key_length_mla") is None
    suffix = "" if older else "_mla"
    key = values.number(f"attention.key_length{suffix}", None)
    return {
        "kv_rank": values.number("attention.kv_lora_rank", None), "rope": rope, "nope": key - rope,
        "value": values.number(f"attention.value_length{suffix}", None),
        "q_rank": values.number("attention.q_lora_rank", 0, low=0),
    }  # fmt: skip


def _experts(values: _Values, layer: Layer) -> dict[str, Any]:
    up, shared = layer.get("ffn_up_exps.weight"), layer.get("ffn_up_shexp.weight")
    stated = values.number("expert_feed_forward_length", 0, low=0) or values.number("feed_forward_length", 1)
    return {
        "experts": values.number("expert_count", None), "active": values.number("expert_used_count", None),
        "ffn": up.dims[1] if up is not None and len(up.dims) == 3 else stated,
        "shared": shared.dims[-1] if shared is not None else 0, "shared_gate": "ffn_gate_inp_shexp.weight" in layer,
        "router_bias": "ffn_gate_inp.bias" in layer or "exp_probs_b.bias" in layer,
        "bias": "ffn_up_exps.bias" in layer,
    }  # fmt: skip


def _state_space(values: _Values, layer: Layer, first: bool) -> dict[str, Any]:
    rank = values.number("ssm.time_step_rank", None)
    return {
        "inner": values.number("ssm.inner_size", None), "state": values.number("ssm.state_size", None),
        "conv": values.number("ssm.conv_kernel", 4), "rank": rank if first else 0, "heads": 0 if first else rank,
        "groups": 1 if first else values.number("ssm.group_count", 1), "conv_bias": "ssm_conv1d.bias" in layer,
        "bias": "ssm_in.bias" in layer, "norm": "ssm_norm.weight" in layer,
        "inner_norms": "ssm_dt_norm.weight" in layer,
    }  # fmt: skip


def _unseen(values: _Values, architecture: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Without a table: every layer alike, routed where experts are counted."""
    found: dict[str, Any] = {}
    if values.get("expert_count"):
        found["moe"] = _experts(values, {})
    period = _WINDOWS.get(architecture, 0)
    if shape["window"] and period:
        count = int(shape["layers"])
        found["layer_types"] = ["sliding" if (layer + 1) % period else "attention" for layer in range(count)]
    return found

"""From the keys of a Hugging Face `config.json` to the shape of a decoder: families of transformers.

Each family is one function. Values that a file leaves out are those of the family's configuration class in the
`transformers` library. Families with state-space layers are in `families_hybrid`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.config import MAX_LAYERS
from tradespace.workloads.options import flag, integer

Config = Mapping[str, Any]
Shape = dict[str, Any]
Family = Callable[[Config, str], Shape]

BIG = 10**9  # the decoder's own bounds are tighter; this only keeps arithmetic here finite
LAYER_TYPES = {
    "full_attention": "attention", "attention": "attention", "sliding_attention": "sliding", "conv": "conv",
}  # fmt: skip

GPT2_STYLE: Config = {
    "gated": False, "norm": "layer", "positions": "learned", "qkv_bias": True, "out_bias": True, "ffn_bias": True,
}  # fmt: skip


def common(config: Config, where: str, *, tied: bool = False) -> Shape:
    """What almost all share; `tied` is the family's default."""
    shape: Shape = {
        ours: integer(config, theirs, where, high=BIG, default=None)
        for ours, theirs in (
            ("vocab", "vocab_size"),
            ("hidden", "hidden_size"),
            ("layers", "num_hidden_layers"),
            ("heads", "num_attention_heads"),
        )
    }
    if config.get("intermediate_size") is not None:
        shape["ffn"] = integer(config, "intermediate_size", where, high=BIG, default=None)
    shape["kv_heads"] = integer(config, "num_key_value_heads", where, high=BIG, default=shape["heads"])
    shape["max_context"] = integer(config, "max_position_embeddings", where, low=0, high=BIG, default=0)
    if "head_dim" in config:
        shape["head_dim"] = integer(config, "head_dim", where, high=BIG, default=None)
    return {**shape, "tied": flag(config, "tie_word_embeddings", where, default=tied)}


def layer_count(shape: Shape) -> int:
    """Layers, bounded before a list of them is made; the decoder refuses more."""
    return min(int(shape["layers"]), MAX_LAYERS + 1)


def windows(config: Config, where: str) -> Shape:
    """`window` and, where the file lists them, the layer types."""
    window = integer(config, "sliding_window", where, low=0, high=BIG, default=0)
    if not window:
        return {}
    types = listed_types(config, where)
    return {"window": window, **({"layer_types": types} if types else {})}


def listed_types(config: Config, where: str) -> list[str] | None:
    """The layer types that the file lists, in our words."""
    types = config.get("layer_types")
    if types is None:
        return None
    if not isinstance(types, list) or not all(isinstance(kind, str) and kind in LAYER_TYPES for kind in types):
        raise InputError(f"'layer_types' lists {', '.join(LAYER_TYPES)}", value=repr(types)[:80], where=where)
    return [LAYER_TYPES[kind] for kind in types]


def every(config: Config, key: str, shape: Shape, where: str, *, default: int) -> list[str]:
    """Layer types where each `key`-th layer sees everything and the others slide (Gemma)."""
    period = integer(config, key, where, high=MAX_LAYERS, default=default)
    return ["attention" if (layer + 1) % period == 0 else "sliding" for layer in range(layer_count(shape))]


def llama(config: Config, where: str) -> Shape:
    bias = flag(config, "attention_bias", where, default=False)
    mlp = flag(config, "mlp_bias", where, default=False)
    return {**common(config, where), "qkv_bias": bias, "out_bias": bias, "ffn_bias": mlp}


def mistral(config: Config, where: str) -> Shape:
    config = {"num_key_value_heads": 8, "sliding_window": 4096, **config}
    return {**common(config, where), **windows(config, where)}


def qwen2(config: Config, where: str) -> Shape:
    return {**common(config, where), "qkv_bias": True, **_late_windows(config, where)}


def _late_windows(config: Config, where: str) -> Shape:
    """Qwen: the layers from `max_window_layers` on slide, if `use_sliding_window`."""
    if not flag(config, "use_sliding_window", where, default=False):
        return {}
    found = windows(config, where)
    if "layer_types" not in found and "window" in found:
        count = layer_count({"layers": integer(config, "num_hidden_layers", where, high=BIG, default=None)})
        full = min(count, integer(config, "max_window_layers", where, low=0, high=BIG, default=count))
        found["layer_types"] = ["attention"] * full + ["sliding"] * (count - full)
    return found


def qwen3(config: Config, where: str) -> Shape:
    bias = flag(config, "attention_bias", where, default=False)
    config = {"head_dim": 128, **config}
    shape = {**common(config, where), "qk_norm": True, "qkv_bias": bias, "out_bias": bias}
    return {**shape, **_late_windows(config, where)}


def mixtral(config: Config, where: str) -> Shape:
    config = {"num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2, **config}
    return {**common(config, where), **windows(config, where), "moe": _local_experts(config, where)}


def _local_experts(config: Config, where: str, **more: Any) -> Shape:
    return {
        "experts": integer(config, "num_local_experts", where, high=BIG, default=None),
        "active": integer(config, "num_experts_per_tok", where, high=BIG, default=None),
        "ffn": integer(config, "intermediate_size", where, high=BIG, default=None),
        **more,
    }


def qwen2_moe(config: Config, where: str) -> Shape:
    config = {"num_experts": 60, "num_experts_per_tok": 4, "shared_expert_intermediate_size": 5632, **config}
    shape = qwen2(config, where)
    shared = integer(config, "shared_expert_intermediate_size", where, low=0, high=BIG, default=None)
    moe = {**_experts({"moe_intermediate_size": 1408, **config}, where), "shared": shared, "shared_gate": shared > 0}
    return {**shape, "moe": moe, "ffn_types": _sparse_steps(config, shape, where)}


def qwen3_moe(config: Config, where: str) -> Shape:
    config = {"num_experts": 128, "num_experts_per_tok": 8, **config}
    shape = qwen3(config, where)
    moe = _experts({"moe_intermediate_size": 768, **config}, where)
    return {**shape, "moe": moe, "ffn_types": _sparse_steps(config, shape, where)}


def _experts(config: Config, where: str, experts: str = "num_experts") -> Shape:
    return {
        "experts": integer(config, experts, where, high=BIG, default=None),
        "active": integer(config, "num_experts_per_tok", where, high=BIG, default=None),
        "ffn": integer(config, "moe_intermediate_size", where, high=BIG, default=None),
    }


def _sparse_steps(config: Config, shape: Shape, where: str) -> list[str]:
    """Every `decoder_sparse_step`-th layer is sparse, but those of `mlp_only_layers`."""
    step = integer(config, "decoder_sparse_step", where, high=MAX_LAYERS, default=1)
    only = config.get("mlp_only_layers", [])
    if not isinstance(only, list) or not all(isinstance(layer, int) for layer in only):
        raise InputError("'mlp_only_layers' lists layer numbers", value=repr(only)[:80], where=where)
    dense = set(only)
    return ["dense" if i in dense or (i + 1) % step else "moe" for i in range(layer_count(shape))]


def gemma(config: Config, where: str) -> Shape:
    return common({"head_dim": 256, **config}, where, tied=True)


def gemma2(config: Config, where: str) -> Shape:
    config = {"head_dim": 256, "sliding_window": 4096, **config}
    shape = {**common(config, where, tied=True), "norms": "sandwich", **windows(config, where)}
    if "window" in shape and "layer_types" not in shape:
        shape["layer_types"] = every(config, "sliding_window_pattern", shape, where, default=2)
    return shape


def gemma3(config: Config, where: str) -> Shape:
    defaults = {
        "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096,
        "max_position_embeddings": 131_072,
    }  # fmt: skip
    config = {**defaults, **config}
    shape = {**common(config, where, tied=True), "norms": "sandwich", "qk_norm": True, **windows(config, where)}
    if "window" in shape and "layer_types" not in shape:
        shape["layer_types"] = every(config, "sliding_window_pattern", shape, where, default=6)
    return shape


def phi(config: Config, where: str) -> Shape:
    """Phi-1, Phi-1.5 and Phi-2: attention and feed-forward network side by side, biases everywhere."""
    style = {**GPT2_STYLE, "positions": "rope", "norms": "parallel", "head_bias": True}
    return {**common(config, where), **style}


def phi3(config: Config, where: str) -> Shape:
    return {**common(config, where), **windows(config, where)}


def phimoe(config: Config, where: str) -> Shape:
    """Phi-3.5-MoE: layer norms with biases, sixteen experts."""
    config = {"num_local_experts": 16, "num_experts_per_tok": 2, **config}
    bias = flag(config, "attention_bias", where, default=False)
    head = flag(config, "lm_head_bias", where, default=False)
    shape = {**common(config, where), "norm": "layer", "qkv_bias": bias, "out_bias": bias, "head_bias": head}
    return {**shape, **windows(config, where), "moe": _local_experts(config, where)}


def granitemoe(config: Config, where: str) -> Shape:
    """Granite MoE, with or without a network that all tokens share."""
    config = {"num_local_experts": 8, "num_experts_per_tok": 2, **config}
    shared = integer(config, "shared_intermediate_size", where, low=0, high=BIG, default=0)
    return {**llama(config, where), "moe": _local_experts(config, where, shared=shared)}


def gpt_oss(config: Config, where: str) -> Shape:
    defaults = {
        "num_local_experts": 128, "num_experts_per_tok": 4, "num_key_value_heads": 8, "head_dim": 64,
        "sliding_window": 128,
    }  # fmt: skip
    config = {**defaults, **config}
    bias = flag(config, "attention_bias", where, default=True)
    shape = {**common(config, where), "qkv_bias": bias, "out_bias": bias, "sinks": True, **windows(config, where)}
    if "window" in shape and "layer_types" not in shape:
        shape["layer_types"] = ["attention" if layer % 2 else "sliding" for layer in range(layer_count(shape))]
    return {**shape, "moe": _local_experts(config, where, router_bias=True, bias=True)}


def deepseek_v2(config: Config, where: str) -> Shape:
    return _deepseek(config, where, correction=False)


def deepseek_v3(config: Config, where: str) -> Shape:
    return _deepseek(config, where, correction=True)


def _deepseek(config: Config, where: str, *, correction: bool) -> Shape:
    """Latent attention, `first_k_dense_replace` dense layers, then routed and shared experts.

    MTP modules (`num_nextn_predict_layers`) are not part of the plain model: option `mtp: 1` adds them.
    """

    def number(key: str, default: int, low: int = 1) -> int:
        return integer(config, key, where, low=low, high=BIG, default=default)

    bias = flag(config, "attention_bias", where, default=False)
    shape = {**common(config, where), "qkv_bias": bias, "out_bias": bias}
    shape.pop("head_dim", None)
    rank = 0 if config.get("q_lora_rank", 1536) is None else number("q_lora_rank", 1536, low=0)
    mla = {
        "kv_rank": number("kv_lora_rank", 512), "rope": number("qk_rope_head_dim", 64),
        "nope": number("qk_nope_head_dim", 128), "value": number("v_head_dim", 128), "q_rank": rank,
    }  # fmt: skip
    count = layer_count(shape)
    first = min(count, number("first_k_dense_replace", 0, low=0))
    step = integer(config, "moe_layer_freq", where, high=MAX_LAYERS, default=1)
    moe = _experts(config, where, "n_routed_experts") if config.get("n_routed_experts") else None
    if moe is not None:
        moe |= {"shared": number("n_shared_experts", 0, low=0) * moe["ffn"], "router_bias": correction}
        shape["moe"] = moe
        shape["ffn_types"] = ["dense" if i < first or i % step else "moe" for i in range(count)]
    return {**shape, "layer_types": ["mla"] * count, "mla": mla}


def gpt2(config: Config, where: str) -> Shape:
    hidden = integer(config, "n_embd", where, high=BIG, default=None)
    return {
        "vocab": integer(config, "vocab_size", where, high=BIG, default=None),
        "hidden": hidden,
        "layers": integer(config, "n_layer", where, high=BIG, default=None),
        "heads": integer(config, "n_head", where, high=BIG, default=None),
        "ffn": integer(config, "n_inner", where, high=4 * BIG, default=4 * hidden),
        "max_context": integer(config, "n_positions", where, high=BIG, default=None),
        "tied": flag(config, "tie_word_embeddings", where, default=True),
        **GPT2_STYLE,
    }


def gpt_neox(config: Config, where: str) -> Shape:
    """Pythia and GPT-NeoX: both halves side by side, each with a norm of its own (counted as one with both)."""
    bias = flag(config, "attention_bias", where, default=True)
    style = {**GPT2_STYLE, "positions": "rope", "qkv_bias": bias, "out_bias": bias}
    return {**common(config, where), **style}


def bloom(config: Config, where: str) -> Shape:
    def number(key: str, other: str) -> int:
        return integer(config, key if config.get(key) is not None else other, where, high=BIG, default=None)

    hidden = number("hidden_size", "n_embed")
    return {
        "vocab": number("vocab_size", "vocab_size"), "hidden": hidden, "layers": number("n_layer", "num_hidden_layers"),
        "heads": number("n_head", "num_attention_heads"), "ffn": 4 * hidden,
        "max_context": integer(config, "seq_length", where, low=0, high=BIG, default=0), "embed_norm": True,
        "tied": flag(config, "tie_word_embeddings", where, default=True), **GPT2_STYLE, "positions": "alibi",
    }  # fmt: skip


def opt(config: Config, where: str) -> Shape:
    """OPT: learned positions with two rows of padding; OPT-350M norms behind each half and has no last norm."""
    shape = common({**config, "intermediate_size": config.get("ffn_dim", 4 * 768)}, where, tied=True)
    bias = flag(config, "enable_bias", where, default=True)
    width = integer(config, "word_embed_proj_dim", where, high=BIG, default=shape["hidden"])
    before = flag(config, "do_layer_norm_before", where, default=True)
    last = before and not flag(config, "_remove_final_layer_norm", where, default=False)
    style = {**GPT2_STYLE, "qkv_bias": bias, "out_bias": bias, "ffn_bias": bias, "position_offset": 2}
    return {**shape, **style, "embed_width": 0 if width == shape["hidden"] else width, "final_norm": last}


def smollm3(config: Config, where: str) -> Shape:
    return {**llama(config, where), "tied": flag(config, "tie_word_embeddings", where, default=True)}


TRANSFORMERS: Mapping[str, Family] = {
    "llama": llama, "mistral": mistral, "mixtral": mixtral, "qwen2": qwen2, "qwen3": qwen3, "qwen2_moe": qwen2_moe,
    "qwen3_moe": qwen3_moe, "gemma": gemma, "gemma2": gemma2, "gemma3": gemma3, "gemma3_text": gemma3, "phi": phi,
    "phi3": phi3, "phimoe": phimoe, "granite": llama, "granitemoe": granitemoe, "granitemoeshared": granitemoe,
    "gpt_oss": gpt_oss, "deepseek_v2": deepseek_v2, "deepseek_v3": deepseek_v3, "kimi_k2": deepseek_v3, "gpt2": gpt2,
    "gpt_neox": gpt_neox, "bloom": bloom, "opt": opt, "smollm3": smollm3,
}  # fmt: skip

"""From the keys of a Hugging Face `config.json` to the shape of a decoder: state-space models and hybrids."""

from __future__ import annotations

from collections.abc import Mapping

from tradespace.errors import InputError
from tradespace.workloads.config import MAX_LAYERS
from tradespace.workloads.families import (
    BIG,
    TRANSFORMERS,
    Config,
    Family,
    Shape,
    common,
    layer_count,
    listed_types,
    llama,
)
from tradespace.workloads.options import flag, integer, word


def mamba(config: Config, where: str) -> Shape:
    """Mamba: every layer is one norm and one mixer. `falcon_mamba` norms without weights what is selected."""
    config = {"state_size": 16, "conv_kernel": 4, "expand": 2, **config}
    hidden = integer(config, "hidden_size", where, high=BIG, default=None)
    inner = integer(config, "intermediate_size", where, high=BIG, default=0, low=0) or 2 * hidden
    ssm = {
        "inner": inner,
        "state": integer(config, "state_size", where, high=BIG, default=None),
        "conv": integer(config, "conv_kernel", where, high=1024, default=None),
        "rank": _rank(config, "time_step_rank", hidden, where),
        "conv_bias": flag(config, "use_conv_bias", where, default=True),
        "bias": flag(config, "use_bias", where, default=False),
    }
    return {**_only_mixers(config, "mamba", where), "ssm": ssm}


def mamba2(config: Config, where: str) -> Shape:
    config = {"state_size": 128, "conv_kernel": 4, "expand": 2, "num_heads": 128, "head_dim": 64, "n_groups": 8} | dict(
        config
    )
    hidden = integer(config, "hidden_size", where, high=BIG, default=None)
    ssm = {
        "inner": integer(config, "expand", where, high=1024, default=None) * hidden,
        "state": integer(config, "state_size", where, high=BIG, default=None),
        "conv": integer(config, "conv_kernel", where, high=1024, default=None),
        "heads": integer(config, "num_heads", where, high=BIG, default=None),
        "groups": integer(config, "n_groups", where, high=BIG, default=None),
        "chunk": integer(config, "chunk_size", where, high=BIG, default=256),
        "conv_bias": flag(config, "use_conv_bias", where, default=True),
        "bias": flag(config, "use_bias", where, default=False),
    }
    return {**_only_mixers(config, "mamba2", where), "ssm": ssm}


def _only_mixers(config: Config, kind: str, where: str) -> Shape:
    layers = integer(config, "num_hidden_layers", where, high=BIG, default=None)
    count = layer_count({"layers": layers})
    return {
        "vocab": integer(config, "vocab_size", where, high=BIG, default=None),
        "hidden": integer(config, "hidden_size", where, high=BIG, default=None),
        "layers": layers,
        "heads": 1,
        "layer_types": [kind] * count,
        "ffn_types": ["none"] * count,
        "positions": "none",
        "tied": flag(config, "tie_word_embeddings", where, default=True),
    }


def _rank(config: Config, key: str, hidden: int, where: str) -> int:
    """A rank, "auto" for a sixteenth of the hidden width, rounded up."""
    auto = -(-hidden // 16)
    return auto if config.get(key, "auto") == "auto" else integer(config, key, where, high=BIG, default=auto)


def jamba(config: Config, where: str) -> Shape:
    """Jamba (arXiv 2403.19887): Mamba layers with an attention layer now and then, experts in every other layer."""
    defaults = {
        "num_key_value_heads": 8, "num_experts": 16, "num_experts_per_tok": 2, "expert_layer_period": 2,
        "expert_layer_offset": 1, "attn_layer_period": 8, "attn_layer_offset": 4, "mamba_d_state": 16,
        "mamba_d_conv": 4, "mamba_expand": 2, "max_position_embeddings": 262_144,
    }  # fmt: skip
    config = {**defaults, **config}
    shape = {**common(config, where), "positions": "none"}
    experts = integer(config, "num_experts", where, high=BIG, default=None)
    attends, sparse = _periodic(config, "attn", shape, where), _periodic(config, "expert", shape, where)
    ssm = {
        "inner": integer(config, "mamba_expand", where, high=1024, default=None) * shape["hidden"],
        "state": integer(config, "mamba_d_state", where, high=BIG, default=None),
        "conv": integer(config, "mamba_d_conv", where, high=1024, default=None),
        "rank": _rank(config, "mamba_dt_rank", shape["hidden"], where),
        "conv_bias": flag(config, "mamba_conv_bias", where, default=True),
        "bias": flag(config, "mamba_proj_bias", where, default=False),
        "inner_norms": True,
    }
    if experts > 1:
        active = integer(config, "num_experts_per_tok", where, high=BIG, default=None)
        shape["moe"] = {"experts": experts, "active": active, "ffn": shape.get("ffn", 0)}
        shape["ffn_types"] = ["moe" if here else "dense" for here in sparse]
    return {**shape, "layer_types": ["attention" if here else "mamba" for here in attends], "ssm": ssm}


def _periodic(config: Config, key: str, shape: Shape, where: str) -> list[bool]:
    period = integer(config, f"{key}_layer_period", where, high=MAX_LAYERS, default=None)
    offset = integer(config, f"{key}_layer_offset", where, low=0, high=MAX_LAYERS, default=None)
    return [layer % period == offset for layer in range(layer_count(shape))]


def _mamba_part(config: Config, hidden: int, where: str, *, norm: bool) -> Shape:
    """Mamba-2 as Bamba, Granite and Falcon-H1 name it."""
    wide = integer(config, "mamba_expand", where, high=1024, default=2) * hidden
    return {
        "inner": integer(config, "mamba_d_ssm", where, high=BIG, default=wide),
        "state": integer(config, "mamba_d_state", where, high=BIG, default=256),
        "conv": integer(config, "mamba_d_conv", where, high=1024, default=4),
        "heads": integer(config, "mamba_n_heads", where, high=BIG, default=128),
        "groups": integer(config, "mamba_n_groups", where, high=BIG, default=1),
        "chunk": integer(config, "mamba_chunk_size", where, high=BIG, default=256),
        "conv_bias": flag(config, "mamba_conv_bias", where, default=True),
        "bias": flag(config, "mamba_proj_bias", where, default=False),
        "norm": norm,
    }


def falcon_h1(config: Config, where: str) -> Shape:
    """Falcon-H1 (arXiv 2507.22448): attention and Mamba-2 side by side in every layer."""
    config = {"num_key_value_heads": 8, **config}
    shape = llama(config, where)
    shape["out_bias"] = flag(config, "attention_bias", where, default=False)
    norm = flag(config, "mamba_rms_norm", where, default=False)
    ssm = _mamba_part({"mamba_d_ssm": 1024, **config}, shape["hidden"], where, norm=norm)
    return {**shape, "layer_types": ["hybrid"] * layer_count(shape), "ssm": ssm}


def granitemoehybrid(config: Config, where: str) -> Shape:
    """Granite 4: Mamba-2 or attention, then routed experts (if any) and a network that all tokens share."""
    config = {"num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 1024, **config}
    shape = llama(config, where)
    shape["ffn_bias"] = False
    positions = word(config, "position_embedding_type", where, known=("rope", "nope"), default="nope")
    shape["positions"] = "rope" if positions == "rope" else "none"
    shared = integer(config, "shared_intermediate_size", where, high=BIG, default=None)
    experts = integer(config, "num_local_experts", where, low=0, high=BIG, default=None)
    if experts:
        active = integer(config, "num_experts_per_tok", where, high=BIG, default=None)
        shape["moe"] = {"experts": experts, "active": active, "ffn": shape.pop("ffn", 0), "shared": shared}
    else:
        shape["ffn"] = shared
    shape["layer_types"] = _mamba_or_attention(config, shape, where)
    if "mamba2" in shape["layer_types"]:
        shape["ssm"] = _mamba_part(config, shape["hidden"], where, norm=True)
    return shape


def bamba(config: Config, where: str) -> Shape:
    """Bamba: Mamba-2 layers, attention where `attn_layer_indices` says so."""
    config = {"num_key_value_heads": 8, **config}
    shape = llama(config, where)
    indices = config.get("attn_layer_indices", [])
    if not isinstance(indices, list) or not all(isinstance(layer, int) for layer in indices):
        raise InputError("'attn_layer_indices' lists layer numbers", value=repr(indices)[:80], where=where)
    attends = set(indices)
    types = ["attention" if layer in attends else "mamba2" for layer in range(layer_count(shape))]
    return {**shape, "layer_types": types, "ssm": _mamba_part(config, shape["hidden"], where, norm=True)}


def _mamba_or_attention(config: Config, shape: Shape, where: str) -> list[str]:
    types = config.get("layer_types", config.get("layers_block_type"))
    if types is None:
        return ["mamba2"] * layer_count(shape)
    known = {"mamba": "mamba2", "attention": "attention"}
    if not isinstance(types, list) or not all(isinstance(kind, str) and kind in known for kind in types):
        raise InputError("'layer_types' lists mamba and attention", value=repr(types)[:80], where=where)
    return [known[kind] for kind in types]


def lfm2(config: Config, where: str) -> Shape:
    """LFM2 (arXiv 2511.23404): gated short convolutions with attention layers between them."""
    names = {"num_attention_heads": "num_heads", "intermediate_size": "block_ff_dim", "hidden_size": "block_dim"}
    older = {ours: config[theirs] for ours, theirs in names.items() if ours not in config and theirs in config}
    if "block_ff_dim" in config:
        older["intermediate_size"] = config["block_ff_dim"]
    config = {"num_key_value_heads": 8, **config, **older}
    shape = common(config, where, tied=flag(config, "tie_embedding", where, default=True))
    if flag(config, "block_auto_adjust_ff_dim", where, default=True) and "ffn" in shape:
        shape["ffn"] = _adjusted(config, shape["ffn"], where)
    types = listed_types(config, where)
    if types is None:
        indices = config.get("full_attn_idxs", list(range(layer_count(shape))))
        if not isinstance(indices, list) or not all(isinstance(layer, int) for layer in indices):
            raise InputError("'full_attn_idxs' lists layer numbers", value=repr(indices)[:80], where=where)
        attends = set(indices)
        types = ["attention" if layer in attends else "conv" for layer in range(layer_count(shape))]
    kernel = integer(config, "conv_L_cache", where, high=1024, default=3)
    return {**shape, "qk_norm": True, "layer_types": types, "conv_kernel": kernel}


def _adjusted(config: Config, ffn: int, where: str) -> int:
    """Two thirds of the stated width, times a factor, up to a whole multiple."""
    factor = config.get("block_ffn_dim_multiplier", 1.0)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1000:
        raise InputError("'block_ffn_dim_multiplier' is a number up to 1000", value=repr(factor)[:80], where=where)
    step = integer(config, "block_multiple_of", where, high=1_000_000, default=256)
    return -(-int(factor * int(2 * ffn / 3)) // step) * step


def lfm2_moe(config: Config, where: str) -> Shape:
    """LFM2 with experts behind the first `num_dense_layers` layers."""
    shape = lfm2({**config, "block_auto_adjust_ff_dim": False}, where)
    dense = integer(config, "num_dense_layers", where, low=0, high=BIG, default=2)
    moe = {
        "experts": integer(config, "num_experts", where, high=BIG, default=32),
        "active": integer(config, "num_experts_per_tok", where, high=BIG, default=4),
        "ffn": integer(config, "moe_intermediate_size", where, high=BIG, default=1792),
        "router_bias": flag(config, "use_expert_bias", where, default=True),
    }
    return {**shape, "moe": moe, "ffn_types": ["dense" if i < dense else "moe" for i in range(layer_count(shape))]}


FAMILIES: Mapping[str, Family] = {
    **TRANSFORMERS, "mamba": mamba, "falcon_mamba": mamba, "mamba2": mamba2, "jamba": jamba, "falcon_h1": falcon_h1,
    "granitemoehybrid": granitemoehybrid, "bamba": bamba, "lfm2": lfm2, "lfm2_moe": lfm2_moe,
}  # fmt: skip
"""`model_type` -> the shape that its config.json describes."""

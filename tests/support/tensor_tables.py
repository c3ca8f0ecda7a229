"""Names and shapes of the tensors of published models, written down from the modelling code of `transformers`, module
by module and without our own formulas; and a writer of safetensors headers with a file that holds no data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

Shapes = dict[str, tuple[int, ...]]
WIDTH = {"BF16": 2, "F16": 2, "F32": 4, "U8": 1, "I32": 4}


def write_safetensors(
    file: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str | Mapping[str, str] = "BF16"
) -> None:
    """A file with the header of these tensors; its data is a hole."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        kind = dtype if isinstance(dtype, str) else dtype.get(name, "BF16")
        size = prod(shape) * WIDTH[kind]
        table[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(table).encode()
    with file.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        out.truncate(8 + len(header) + at)


def _attention(
    layer: str, c: Mapping[str, Any], *, bias: bool = False, out: str = "o_proj", norms: bool = False
) -> Shapes:
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    width = c.get("head_dim", hidden // heads)
    kv = c.get("num_key_value_heads", heads)
    found: Shapes = {}
    for name, rows in (("q_proj", heads * width), ("k_proj", kv * width), ("v_proj", kv * width)):
        found[f"{layer}.{name}.weight"] = (rows, hidden)
        if bias:
            found[f"{layer}.{name}.bias"] = (rows,)
    found[f"{layer}.{out}.weight"] = (hidden, heads * width)
    if norms:
        found |= {f"{layer}.q_norm.weight": (width,), f"{layer}.k_norm.weight": (width,)}
    return found


def _swiglu(layer: str, hidden: int, ffn: int) -> Shapes:
    return {
        f"{layer}.gate_proj.weight": (ffn, hidden), f"{layer}.up_proj.weight": (ffn, hidden),
        f"{layer}.down_proj.weight": (hidden, ffn),
    }  # fmt: skip


def _frame(c: Mapping[str, Any], tied: bool) -> Shapes:
    found: Shapes = {
        "model.embed_tokens.weight": (c["vocab_size"], c["hidden_size"]), "model.norm.weight": (c["hidden_size"],)
    }  # fmt: skip
    return found if tied else {**found, "lm_head.weight": (c["vocab_size"], c["hidden_size"])}


def llama(c: Mapping[str, Any], *, tied: bool = False, bias: bool = False, norms: bool = False) -> Shapes:
    found, hidden = _frame(c, tied), c["hidden_size"]
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.post_attention_layernorm.weight": (hidden,)}
        found |= _attention(f"{at}.self_attn", c, bias=bias, norms=norms) | _swiglu(
            f"{at}.mlp", hidden, c["intermediate_size"]
        )
    return found


def gemma(c: Mapping[str, Any], *, norms: bool = False) -> Shapes:
    found = llama(c, tied=True, norms=norms)
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.pre_feedforward_layernorm.weight": (c["hidden_size"],)}
        found |= {f"{at}.post_feedforward_layernorm.weight": (c["hidden_size"],)}
    return found


def mixtral(c: Mapping[str, Any]) -> Shapes:
    found, hidden, ffn = _frame(c, False), c["hidden_size"], c["intermediate_size"]
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.post_attention_layernorm.weight": (hidden,)}
        found |= _attention(f"{at}.self_attn", c)
        found[f"{at}.block_sparse_moe.gate.weight"] = (c["num_local_experts"], hidden)
        for expert in range(c["num_local_experts"]):
            for name, shape in (("w1", (ffn, hidden)), ("w2", (hidden, ffn)), ("w3", (ffn, hidden))):
                found[f"{at}.block_sparse_moe.experts.{expert}.{name}.weight"] = shape
    return found


def qwen_moe(c: Mapping[str, Any], *, shared: int = 0, bias: bool = False, norms: bool = False) -> Shapes:
    found, hidden = _frame(c, False), c["hidden_size"]
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.post_attention_layernorm.weight": (hidden,)}
        found |= _attention(f"{at}.self_attn", c, bias=bias, norms=norms)
        found[f"{at}.mlp.gate.weight"] = (c["num_experts"], hidden)
        for expert in range(c["num_experts"]):
            found |= _swiglu(f"{at}.mlp.experts.{expert}", hidden, c["moe_intermediate_size"])
        if shared:
            found |= _swiglu(f"{at}.mlp.shared_expert", hidden, shared)
            found[f"{at}.mlp.shared_expert_gate.weight"] = (1, hidden)
    return found


def gpt_oss(c: Mapping[str, Any]) -> tuple[Shapes, dict[str, str]]:
    """As shipped: the experts' matrices in MXFP4 blocks of 32, two weights a byte."""
    found, hidden, ffn, experts = _frame(c, False), c["hidden_size"], c["intermediate_size"], c["num_local_experts"]
    kinds: dict[str, str] = {}
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.post_attention_layernorm.weight": (hidden,)}
        found |= _attention(f"{at}.self_attn", c, bias=True)
        found |= {f"{at}.self_attn.o_proj.bias": (hidden,), f"{at}.self_attn.sinks": (c["num_attention_heads"],)}
        found |= {f"{at}.mlp.router.weight": (experts, hidden), f"{at}.mlp.router.bias": (experts,)}
        for name, rows, columns in (("gate_up_proj", 2 * ffn, hidden), ("down_proj", hidden, ffn)):
            base = f"{at}.mlp.experts.{name}"
            found |= {
                f"{base}_blocks": (experts, rows, columns // 32, 16), f"{base}_scales": (experts, rows, columns // 32),
                f"{base}_bias": (experts, rows),
            }  # fmt: skip
            kinds |= {f"{base}_blocks": "U8", f"{base}_scales": "U8"}
    return found, kinds


def deepseek(c: Mapping[str, Any], *, correction: bool = False, mtp: bool = False) -> Shapes:
    found, hidden = _frame(c, False), c["hidden_size"]
    for i in range(c["num_hidden_layers"] + mtp):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.post_attention_layernorm.weight": (hidden,)}
        found |= _latent(f"{at}.self_attn", c)
        if i < c["first_k_dense_replace"]:
            found |= _swiglu(f"{at}.mlp", hidden, c["intermediate_size"])
            continue
        found[f"{at}.mlp.gate.weight"] = (c["n_routed_experts"], hidden)
        if correction:
            found[f"{at}.mlp.gate.e_score_correction_bias"] = (c["n_routed_experts"],)
        for expert in range(c["n_routed_experts"]):
            found |= _swiglu(f"{at}.mlp.experts.{expert}", hidden, c["moe_intermediate_size"])
        found |= _swiglu(f"{at}.mlp.shared_experts", hidden, c["n_shared_experts"] * c["moe_intermediate_size"])
    if mtp:
        at = f"model.layers.{c['num_hidden_layers']}"
        found |= {
            f"{at}.enorm.weight": (hidden,),
            f"{at}.hnorm.weight": (hidden,),
            f"{at}.shared_head.norm.weight": (hidden,),
        }
        found |= {f"{at}.eh_proj.weight": (hidden, 2 * hidden)}
    return found


def _latent(at: str, c: Mapping[str, Any]) -> Shapes:
    hidden, heads, rank = c["hidden_size"], c["num_attention_heads"], c["kv_lora_rank"]
    head = c["qk_nope_head_dim"] + c["qk_rope_head_dim"]
    found: Shapes = {
        f"{at}.kv_a_proj_with_mqa.weight": (rank + c["qk_rope_head_dim"], hidden),
        f"{at}.kv_a_layernorm.weight": (rank,),
        f"{at}.kv_b_proj.weight": (heads * (c["qk_nope_head_dim"] + c["v_head_dim"]), rank),
        f"{at}.o_proj.weight": (hidden, heads * c["v_head_dim"]),
    }  # fmt: skip
    if c["q_lora_rank"] is None:
        return {**found, f"{at}.q_proj.weight": (heads * head, hidden)}
    rank = c["q_lora_rank"]
    return {
        **found, f"{at}.q_a_proj.weight": (rank, hidden), f"{at}.q_a_layernorm.weight": (rank,),
        f"{at}.q_b_proj.weight": (heads * head, rank),
    }  # fmt: skip


def _biased(name: str, rows: int, columns: int) -> Shapes:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _layer_norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def phi(c: Mapping[str, Any]) -> Shapes:
    hidden, ffn = c["hidden_size"], c["intermediate_size"]
    found: Shapes = {"model.embed_tokens.weight": (c["vocab_size"], hidden)}
    found |= _layer_norm("model.final_layernorm", hidden) | _biased("lm_head", c["vocab_size"], hidden)
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= _layer_norm(f"{at}.input_layernorm", hidden)
        for name in ("q_proj", "k_proj", "v_proj", "dense"):
            found |= _biased(f"{at}.self_attn.{name}", hidden, hidden)
        found |= _biased(f"{at}.mlp.fc1", ffn, hidden) | _biased(f"{at}.mlp.fc2", hidden, ffn)
    return found


def gpt2(c: Mapping[str, Any]) -> Shapes:
    """With the causal masks that older files hold: they are no parameters."""
    hidden = c["n_embd"]
    found: Shapes = {"wte.weight": (c["vocab_size"], hidden), "wpe.weight": (c["n_positions"], hidden)}
    found |= _layer_norm("ln_f", hidden)
    for i in range(c["n_layer"]):
        at = f"h.{i}"
        found |= _layer_norm(f"{at}.ln_1", hidden) | _layer_norm(f"{at}.ln_2", hidden)
        found[f"{at}.attn.bias"] = (1, 1, c["n_positions"], c["n_positions"])
        for name, rows, columns in (
            ("attn.c_attn", 3 * hidden, hidden), ("attn.c_proj", hidden, hidden), ("mlp.c_fc", 4 * hidden, hidden),
            ("mlp.c_proj", hidden, 4 * hidden),
        ):  # fmt: skip
            found |= {f"{at}.{name}.weight": (columns, rows), f"{at}.{name}.bias": (rows,)}
    return found


def bloom(c: Mapping[str, Any]) -> Shapes:
    hidden = c["n_embed"]
    found: Shapes = {"word_embeddings.weight": (c["vocab_size"], hidden)}
    found |= _layer_norm("word_embeddings_layernorm", hidden) | _layer_norm("ln_f", hidden)
    for i in range(c["n_layer"]):
        at = f"h.{i}"
        found |= _layer_norm(f"{at}.input_layernorm", hidden) | _layer_norm(f"{at}.post_attention_layernorm", hidden)
        found |= _biased(f"{at}.self_attention.query_key_value", 3 * hidden, hidden)
        found |= _biased(f"{at}.self_attention.dense", hidden, hidden)
        found |= _biased(f"{at}.mlp.dense_h_to_4h", 4 * hidden, hidden) | _biased(
            f"{at}.mlp.dense_4h_to_h", hidden, 4 * hidden
        )
    return found


def opt(c: Mapping[str, Any]) -> Shapes:
    hidden, width = c["hidden_size"], c["word_embed_proj_dim"]
    base = "model.decoder"
    found: Shapes = {
        f"{base}.embed_tokens.weight": (c["vocab_size"], width),
        f"{base}.embed_positions.weight": (c["max_position_embeddings"] + 2, hidden),
    }  # fmt: skip
    if width != hidden:
        found |= {f"{base}.project_in.weight": (hidden, width), f"{base}.project_out.weight": (width, hidden)}
    if c.get("do_layer_norm_before", True):
        found |= _layer_norm(f"{base}.final_layer_norm", hidden)
    for i in range(c["num_hidden_layers"]):
        at = f"{base}.layers.{i}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            found |= _biased(f"{at}.self_attn.{name}", hidden, hidden)
        found |= _layer_norm(f"{at}.self_attn_layer_norm", hidden) | _layer_norm(f"{at}.final_layer_norm", hidden)
        found |= _biased(f"{at}.fc1", c["ffn_dim"], hidden) | _biased(f"{at}.fc2", hidden, c["ffn_dim"])
    return found


def _mamba_mixer(at: str, hidden: int, inner: int, state: int, rank: int, norms: bool = False) -> Shapes:
    found: Shapes = {
        f"{at}.A_log": (inner, state), f"{at}.D": (inner,),
        f"{at}.conv1d.weight": (inner, 1, 4), f"{at}.conv1d.bias": (inner,),
        f"{at}.in_proj.weight": (2 * inner, hidden), f"{at}.x_proj.weight": (rank + 2 * state, inner),
        f"{at}.dt_proj.weight": (inner, rank), f"{at}.dt_proj.bias": (inner,), f"{at}.out_proj.weight": (hidden, inner),
    }  # fmt: skip
    if norms:
        for name, width in (("dt", rank), ("b", state), ("c", state)):
            found[f"{at}.{name}_layernorm.weight"] = (width,)
    return found


def mamba(c: Mapping[str, Any]) -> Shapes:
    hidden = c["hidden_size"]
    found: Shapes = {"backbone.embeddings.weight": (c["vocab_size"], hidden), "backbone.norm_f.weight": (hidden,)}
    for i in range(c["num_hidden_layers"]):
        at = f"backbone.layers.{i}"
        found[f"{at}.norm.weight"] = (hidden,)
        found |= _mamba_mixer(f"{at}.mixer", hidden, 2 * hidden, c["state_size"], hidden // 16)
    return found


def mamba2_mixer(at: str, hidden: int, inner: int, state: int, heads: int, groups: int, *, norm: bool = True) -> Shapes:
    conv = inner + 2 * groups * state
    found: Shapes = {
        f"{at}.A_log": (heads,), f"{at}.D": (heads,), f"{at}.dt_bias": (heads,), f"{at}.conv1d.weight": (conv, 1, 4),
        f"{at}.conv1d.bias": (conv,), f"{at}.in_proj.weight": (inner + conv + heads, hidden),
        f"{at}.out_proj.weight": (hidden, inner),
    }  # fmt: skip
    return {**found, f"{at}.norm.weight": (inner,)} if norm else found


def mamba2(c: Mapping[str, Any]) -> Shapes:
    hidden = c["hidden_size"]
    found: Shapes = {"backbone.embeddings.weight": (c["vocab_size"], hidden), "backbone.norm_f.weight": (hidden,)}
    for i in range(c["num_hidden_layers"]):
        at = f"backbone.layers.{i}"
        found[f"{at}.norm.weight"] = (hidden,)
        found |= mamba2_mixer(f"{at}.mixer", hidden, 2 * hidden, c["state_size"], c["num_heads"], c["n_groups"])
    return found


def jamba(c: Mapping[str, Any]) -> Shapes:
    hidden, ffn = c["hidden_size"], c["intermediate_size"]
    found = {
        ("model.final_layernorm.weight" if k == "model.norm.weight" else k): v for k, v in _frame(c, False).items()
    }
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.pre_ff_layernorm.weight": (hidden,)}
        if i % 8 == 4:
            found |= _attention(f"{at}.self_attn", c)
        else:
            found |= _mamba_mixer(f"{at}.mamba", hidden, 2 * hidden, 16, hidden // 16, norms=True)
        if i % 2 == 1:
            found[f"{at}.feed_forward.router.weight"] = (16, hidden)
            for expert in range(16):
                found |= _swiglu(f"{at}.feed_forward.experts.{expert}", hidden, ffn)
        else:
            found |= _swiglu(f"{at}.feed_forward", hidden, ffn)
    return found


def falcon_h1(c: Mapping[str, Any]) -> Shapes:
    hidden = c["hidden_size"]
    found = {
        ("model.final_layernorm.weight" if k == "model.norm.weight" else k): v for k, v in _frame(c, False).items()
    }
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.pre_ff_layernorm.weight": (hidden,)}
        found |= _attention(f"{at}.self_attn", c) | _swiglu(f"{at}.feed_forward", hidden, c["intermediate_size"])
        inner, heads = c["mamba_d_ssm"], c["mamba_n_heads"]
        found |= mamba2_mixer(f"{at}.mamba", hidden, inner, c["mamba_d_state"], heads, 1, norm=False)
    return found


def granite_hybrid(c: Mapping[str, Any]) -> Shapes:
    hidden, experts, ffn, shared = (
        c["hidden_size"],
        c["num_local_experts"],
        c["intermediate_size"],
        c["shared_intermediate_size"],
    )
    found = _frame(c, True)
    for i, kind in enumerate(c["layer_types"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.input_layernorm.weight": (hidden,), f"{at}.post_attention_layernorm.weight": (hidden,)}
        if kind == "attention":
            found |= _attention(f"{at}.self_attn", c)
        else:
            found |= mamba2_mixer(f"{at}.mamba", hidden, 2 * hidden, c["mamba_d_state"], c["mamba_n_heads"], 1)
        if experts:
            found |= {
                f"{at}.block_sparse_moe.input_linear.weight": (experts, 2 * ffn, hidden),
                f"{at}.block_sparse_moe.output_linear.weight": (experts, hidden, ffn),
                f"{at}.block_sparse_moe.router.layer.weight": (experts, hidden),
            }  # fmt: skip
        found |= {
            f"{at}.shared_mlp.input_linear.weight": (2 * shared, hidden),
            f"{at}.shared_mlp.output_linear.weight": (hidden, shared),
        }
    return found


def lfm2(c: Mapping[str, Any], ffn: int) -> Shapes:
    hidden = c["hidden_size"]
    found: Shapes = {"model.embed_tokens.weight": (c["vocab_size"], hidden), "model.embedding_norm.weight": (hidden,)}
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}"
        found |= {f"{at}.operator_norm.weight": (hidden,), f"{at}.ffn_norm.weight": (hidden,)}
        if i in c["full_attn_idxs"]:
            found |= _attention(f"{at}.self_attn", c, out="out_proj", norms=True)
        else:
            found |= {
                f"{at}.conv.conv.weight": (hidden, 1, 3), f"{at}.conv.in_proj.weight": (3 * hidden, hidden),
                f"{at}.conv.out_proj.weight": (hidden, hidden),
            }  # fmt: skip
        found |= {f"{at}.feed_forward.w{k}.weight": (ffn, hidden) for k in (1, 3)}
        found[f"{at}.feed_forward.w2.weight"] = (hidden, ffn)
    return found

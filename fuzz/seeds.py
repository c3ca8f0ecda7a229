"""Small well-formed files of each format, made here so that nothing but the standard library is needed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
SHAPE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100, "max_position_embeddings": 512, "torch_dtype": "bfloat16",
}  # fmt: skip


def configs() -> tuple[bytes, ...]:
    """One config.json of each kind of family."""
    types = ["sliding_attention", "full_attention"] * 2
    found: list[dict[str, Any]] = [
        {"model_type": "llama", "tie_word_embeddings": True, "rope_scaling": {"factor": 8.0}},
        {"model_type": "mistral", "sliding_window": 16},
        {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
        {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 16, "max_window_layers": 2},
        {"model_type": "qwen3_moe", "head_dim": 8, "num_experts": 8, "moe_intermediate_size": 16,
        "mlp_only_layers": [1]},
        {"model_type": "qwen2_moe", "num_experts": 8, "moe_intermediate_size": 16, "decoder_sparse_step": 2},
        {"model_type": "gemma2", "head_dim": 8, "sliding_window": 16},
        {"model_type": "gemma3", "text_config": {**SHAPE, "sliding_window": 16, "layer_types": types}},
        {"model_type": "phi"},
        {"model_type": "gpt_oss", "num_local_experts": 4, "layer_types": types,
        "quantization_config": {"quant_method": "mxfp4"}},
        {"model_type": "deepseek_v3", "q_lora_rank": None, "kv_lora_rank": 8, "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4, "n_shared_experts": 1,
        "num_experts_per_tok": 2, "moe_intermediate_size": 16, "first_k_dense_replace": 1},
        {"model_type": "mamba", "state_size": 4, "time_step_rank": "auto", "intermediate_size": 64},
        {"model_type": "mamba2", "state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 2},
        {"model_type": "jamba", "num_experts": 4, "attn_layer_period": 4, "attn_layer_offset": 2},
        {"model_type": "falcon_h1", "mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_state": 8},
        {"model_type": "granitemoehybrid", "layer_types": ["mamba", "mamba", "attention", "mamba"],
        "mamba_n_heads": 8, "num_local_experts": 4},
        {"model_type": "lfm2", "block_ff_dim": 96, "full_attn_idxs": [1, 3], "conv_L_cache": 3},
        {"model_type": "opt", "ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ]  # fmt: skip
    more = [
        {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 100},
        {"model_type": "bloom", "n_embed": 32, "n_layer": 2, "n_head": 4, "vocab_size": 100},
    ]
    return tuple(json.dumps({**SHAPE, **config}).encode() for config in found) + tuple(
        json.dumps(c).encode() for c in more
    )


def llama_shapes() -> dict[str, tuple[int, ...]]:
    """Tensors of the first config."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (100, 32), "model.norm.weight": (32,)}
    for layer in range(4):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.input_layernorm.weight": (32,), f"{at}.post_attention_layernorm.weight": (32,),
            f"{at}.self_attn.q_proj.weight": (32, 32), f"{at}.self_attn.k_proj.weight": (16, 32),
            f"{at}.self_attn.v_proj.weight": (16, 32), f"{at}.self_attn.o_proj.weight": (32, 32),
            f"{at}.mlp.gate_proj.weight": (64, 32), f"{at}.mlp.up_proj.weight": (64, 32),
            f"{at}.mlp.down_proj.weight": (32, 64),
        }  # fmt: skip
    return shapes


def safetensors() -> tuple[bytes, ...]:
    """A whole small file, and one with only a few tensors."""
    shapes = llama_shapes()
    return _safetensors(shapes), _safetensors({name: shapes[name] for name in list(shapes)[:4]})


def _safetensors(shapes: Shapes) -> bytes:
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        table[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + 2 * prod(shape)]}
        at += 2 * prod(shape)
    header = json.dumps(table).encode()
    return struct.pack("<Q", len(header)) + header + bytes(at)


def indices() -> tuple[bytes, ...]:
    """model.safetensors.index.json of one shard."""
    places = dict.fromkeys(llama_shapes(), "shard.safetensors")
    return (json.dumps({"metadata": {"total_size": 1}, "weight_map": places}).encode(),)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _gguf(
    architecture: str, numbers: Mapping[str, int], tensors: Mapping[str, tuple[int, ...]], kind: int = 0
) -> bytes:
    """F32 (or F16) tensors, zero data; dims in the file's order."""
    keys = [_text("general.architecture") + struct.pack("<I", 8) + _text(architecture)]
    keys += [_text(f"{architecture}.{key}") + struct.pack("<II", 4, value) for key, value in numbers.items()]
    words = b"".join(_text(f"w{i}") for i in range(100))
    keys += [_text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 100) + words]
    keys += [_text("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 100) + bytes(400)]
    table, at = [], 0
    for name, dims in tensors.items():
        table.append(_text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, at))
        size = prod(dims) * (2 if kind else 4)
        at += size + -size % 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + b"".join(table)
    return head + bytes(-len(head) % 32 + at)


def ggufs() -> tuple[bytes, ...]:
    """A llama, one with experts, latent attention, Mamba, and metadata alone."""
    base = {"block_count": 2, "embedding_length": 32, "attention.head_count": 4, "context_length": 512}
    dense: dict[str, tuple[int, ...]] = {"token_embd.weight": (32, 100), "output_norm.weight": (32,)}
    routed, latent, scan = dict(dense), dict(dense), dict(dense)
    for i in range(2):
        at = f"blk.{i}."
        norms = {f"{at}attn_norm.weight": (32,), f"{at}ffn_norm.weight": (32,)}
        attends = {f"{at}attn_q.weight": (32, 32), f"{at}attn_k.weight": (32, 16), f"{at}attn_v.weight": (32, 16)}
        attends |= {f"{at}attn_output.weight": (32, 32)}
        ffn = {f"{at}ffn_gate.weight": (32, 64), f"{at}ffn_up.weight": (32, 64), f"{at}ffn_down.weight": (64, 32)}
        dense |= {**norms, **attends, **ffn}
        routed |= {
            **norms,
            **attends,
            f"{at}ffn_gate_inp.weight": (32, 4),
            f"{at}ffn_gate_exps.weight": (32, 16, 4),
            f"{at}ffn_up_exps.weight": (32, 16, 4),
            f"{at}ffn_down_exps.weight": (16, 32, 4),
        }
        latent |= {
            **norms,
            **ffn,
            f"{at}attn_q.weight": (32, 48),
            f"{at}attn_kv_a_mqa.weight": (32, 12),
            f"{at}attn_kv_a_norm.weight": (8,),
            f"{at}attn_kv_b.weight": (8, 64),
            f"{at}attn_output.weight": (32, 32),
        }
        scan |= {
            f"{at}attn_norm.weight": (32,), f"{at}ssm_in.weight": (32, 128), f"{at}ssm_conv1d.weight": (4, 64),
            f"{at}ssm_conv1d.bias": (64,),
            f"{at}ssm_x.weight": (64, 10), f"{at}ssm_dt.weight": (2, 64), f"{at}ssm_dt.bias": (64,), f"{at}ssm_a": (4,
            64),
            f"{at}ssm_d": (64,), f"{at}ssm_out.weight": (64, 32),
        }  # fmt: skip
    heads = {**base, "attention.head_count_kv": 2, "feed_forward_length": 64}
    mla = {
        **base, "feed_forward_length": 64, "attention.key_length": 12, "attention.value_length": 8,
        "attention.kv_lora_rank": 8,
        "rope.dimension_count": 4,
    }  # fmt: skip
    ssm = {**base, "ssm.inner_size": 64, "ssm.state_size": 4, "ssm.conv_kernel": 4, "ssm.time_step_rank": 2}
    return (
        _gguf("llama", heads, dense), _gguf("llama", heads, dense, 1), _gguf("deepseek2", mla, latent), _gguf("mamba",
        ssm, scan),
        _gguf("llama", {**heads, "expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 16}, routed),
        _gguf("llama", heads, {}),
    )  # fmt: skip


def traces_csv() -> tuple[bytes, ...]:
    rows = "".join(f"2023-11-16 18:17:{i:02d}.9799600,{100 + 7 * i},{10 + i}\n" for i in range(20))
    plain = "".join(f"{0.5 * i},{10 * i},{i}\n" for i in range(10))
    return (
        b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows.encode(),
        b"arrival_time;input_length;output_length\n" + plain.replace(",", ";").encode(),
    )


def traces_jsonl() -> tuple[bytes, ...]:
    row = {"timestamp": 0, "input_length": 100, "output_length": 20, "hash_ids": [1, 2]}
    return ("".join(json.dumps({**row, "timestamp": 100 * i}) + "\n" for i in range(10)).encode(),)


def workflows() -> tuple[bytes, ...]:
    names = ["a", "b", "c", "d"]
    after = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
    tasks = [
        {
            "id": name, "name": name, "children": after[name], "parents": [x for x in names if name in after[x]],
            "inputFiles": ["in", f"f{name}"], "outputFiles": [f"f{child}" for child in after[name]],
        }
        for name in names
    ]  # fmt: skip
    runs = [{"id": name, "runtimeInSeconds": 1.5, "memoryInBytes": 1000} for name in names]
    files = [{"id": file, "sizeInBytes": 100} for file in ("in", "fa", "fb", "fc", "fd")]
    workflow = {"specification": {"tasks": tasks, "files": files}, "execution": {"tasks": runs, "makespanInSeconds": 4}}
    return (json.dumps({"name": "w", "schemaVersion": "1.5", "workflow": workflow}).encode(),)


def layer_tables() -> tuple[bytes, ...]:
    conv = b"Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
    return (
        conv + b"Conv1,224,224,7,7,3,64,2,\nConv2,56,56,3,3,64,64,1,\n",
        b"Layer,M,N,K,\nQKT,1024,1024,64,\nFC,1024,4800,1600,\n",
    )

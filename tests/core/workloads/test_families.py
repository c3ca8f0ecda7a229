"""Published models: the config's parameters equal the tensors' of the modelling code, and the totals that are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import pytest
from tests.support import tensor_tables as tables

from tradespace.errors import InputError
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload

Config = dict[str, Any]


def sizes(hidden: int, ffn: int, layers: int, heads: int, kv: int, vocab: int, **more: Any) -> Config:
    return {
        "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv, "vocab_size": vocab, **more,
    }  # fmt: skip


LATENT = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}
CONFIGS: dict[str, Config] = {
    "llama-3.2-1b": sizes(2048, 8192, 16, 32, 8, 128256, model_type="llama", head_dim=64, tie_word_embeddings=True),
    "smollm-135m": sizes(576, 1536, 30, 9, 3, 49152, model_type="llama", tie_word_embeddings=True),
    "mistral-7b": sizes(4096, 14336, 32, 32, 8, 32000, model_type="mistral", sliding_window=4096),
    "mixtral-8x7b": sizes(
        4096, 14336, 32, 32, 8, 32000, model_type="mixtral", num_local_experts=8, sliding_window=None,
    ),
    "qwen2-0.5b": sizes(896, 4864, 24, 14, 2, 151936, model_type="qwen2", tie_word_embeddings=True),
    "qwen3-0.6b": sizes(1024, 3072, 28, 16, 8, 151936, model_type="qwen3", head_dim=128, tie_word_embeddings=True),
    "qwen1.5-moe-a2.7b": sizes(
        2048, 5632, 24, 16, 16, 151936, model_type="qwen2_moe", num_experts=60, num_experts_per_tok=4,
        moe_intermediate_size=1408, shared_expert_intermediate_size=5632,
    ),
    "qwen3-30b-a3b": sizes(
        2048, 6144, 48, 32, 4, 151936, model_type="qwen3_moe", head_dim=128, num_experts=128, num_experts_per_tok=8,
        moe_intermediate_size=768, mlp_only_layers=[],
    ),
    "gemma-2-2b": sizes(2304, 9216, 26, 8, 4, 256000, model_type="gemma2", head_dim=256, sliding_window=4096),
    "gemma-3-1b": sizes(1152, 6912, 26, 4, 1, 262144, model_type="gemma3_text", head_dim=256, sliding_window=512),
    "phi-2": sizes(2560, 10240, 32, 32, 32, 51200, model_type="phi"),
    "phi-3-mini": sizes(3072, 8192, 32, 32, 32, 32064, model_type="phi3", sliding_window=2047),
    "granite-3.1-2b": sizes(2048, 8192, 40, 32, 8, 49155, model_type="granite", tie_word_embeddings=True),
    "gpt-oss-20b": sizes(
        2880, 2880, 24, 64, 8, 201088, model_type="gpt_oss", head_dim=64, num_local_experts=32, sliding_window=128,
        quantization_config={"quant_method": "mxfp4"},
    ),
    "deepseek-v2-lite": sizes(
        2048, 10944, 27, 16, 16, 102400, model_type="deepseek_v2", q_lora_rank=None, n_routed_experts=64,
        n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1, moe_intermediate_size=1408, **LATENT,
    ),
    "deepseek-v3": sizes(
        7168, 18432, 61, 128, 128, 129280, model_type="deepseek_v3", q_lora_rank=1536, n_routed_experts=256,
        n_shared_experts=1, num_experts_per_tok=8, first_k_dense_replace=3, moe_intermediate_size=2048,
        num_nextn_predict_layers=1, **LATENT,
    ),
    "mamba-130m": {
        "model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280, "state_size": 16,
    },
    "mamba2-130m": {
        "model_type": "mamba2", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50288, "state_size": 128,
        "num_heads": 24, "head_dim": 64, "n_groups": 1,
    },
    "jamba-v0.1": sizes(4096, 14336, 32, 32, 8, 65536, model_type="jamba"),
    "falcon-h1-0.5b": sizes(
        1024, 2048, 36, 8, 2, 32784, model_type="falcon_h1", head_dim=64, mamba_d_ssm=1536, mamba_d_state=128,
        mamba_n_heads=24,
    ),
    "granite-4.0-h-small": sizes(
        4096, 768, 40, 32, 8, 100352, model_type="granitemoehybrid", num_local_experts=72, num_experts_per_tok=10,
        shared_intermediate_size=1536, mamba_d_state=128, mamba_n_heads=128, tie_word_embeddings=True,
        layer_types=(["mamba"] * 9 + ["attention"]) * 4,
    ),
    "lfm2-1.2b": {
        "model_type": "lfm2", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 65536, "block_ff_dim": 12288, "full_attn_idxs": [2, 5, 8, 10, 12, 14],
    },
    "gpt2": {
        "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257,
    },
    "bloom-560m": {
        "model_type": "bloom", "n_embed": 1024, "n_layer": 24, "num_attention_heads": 16, "vocab_size": 250880,
    },
    "opt-125m": sizes(
        768, 3072, 12, 12, 12, 50272, model_type="opt", ffn_dim=3072, word_embed_proj_dim=768,
        max_position_embeddings=2048,
    ),
    "opt-350m": sizes(
        1024, 4096, 24, 16, 16, 50272, model_type="opt", ffn_dim=4096, word_embed_proj_dim=512,
        max_position_embeddings=2048, do_layer_norm_before=False,
    ),
}  # fmt: skip

TABLES: dict[str, Callable[[Config], tables.Shapes]] = {
    "llama-3.2-1b": lambda c: tables.llama(c, tied=True),
    "smollm-135m": lambda c: tables.llama(c, tied=True),
    "mistral-7b": tables.llama,
    "mixtral-8x7b": tables.mixtral,
    "qwen2-0.5b": lambda c: tables.llama(c, tied=True, bias=True),
    "qwen3-0.6b": lambda c: tables.llama(c, tied=True, norms=True),
    "qwen1.5-moe-a2.7b": lambda c: tables.qwen_moe(c, shared=5632, bias=True),
    "qwen3-30b-a3b": lambda c: tables.qwen_moe(c, norms=True),
    "gemma-2-2b": tables.gemma,
    "gemma-3-1b": lambda c: tables.gemma(c, norms=True),
    "phi-2": tables.phi,
    "phi-3-mini": tables.llama,  # its fused projections hold the same weights
    "granite-3.1-2b": lambda c: tables.llama(c, tied=True),
    "deepseek-v2-lite": tables.deepseek,
    "deepseek-v3": lambda c: tables.deepseek(c, correction=True, mtp=True),
    "mamba-130m": tables.mamba,
    "mamba2-130m": tables.mamba2,
    "jamba-v0.1": tables.jamba,
    "falcon-h1-0.5b": tables.falcon_h1,
    "granite-4.0-h-small": tables.granite_hybrid,
    "lfm2-1.2b": lambda c: tables.lfm2(c, 8192),
    "gpt2": tables.gpt2,
    "bloom-560m": tables.bloom,
    "opt-125m": tables.opt,
    "opt-350m": tables.opt,
}

KNOWN = {
    "llama-3.2-1b": 1_235_814_400, "smollm-135m": 134_515_008, "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704, "qwen2-0.5b": 494_032_768, "qwen3-0.6b": 596_049_920,
    "qwen1.5-moe-a2.7b": 14_315_784_192, "qwen3-30b-a3b": 30_532_122_624, "gemma-2-2b": 2_614_341_888,
    "gemma-3-1b": 999_885_952, "phi-2": 2_779_683_840, "phi-3-mini": 3_821_079_552, "gpt-oss-20b": 20_914_757_184,
    "deepseek-v2-lite": 15_706_484_224, "deepseek-v3": 671_026_419_200, "mamba-130m": 129_135_360,
    "jamba-v0.1": 51_570_323_328, "falcon-h1-0.5b": 521_411_104, "lfm2-1.2b": 1_170_340_608, "gpt2": 124_439_808,
    "bloom-560m": 559_214_592, "opt-125m": 125_239_296, "opt-350m": 331_196_416,
}  # fmt: skip
"""Totals as model cards and the library's own counters give them."""


def write(folder: Path, config: Config) -> None:
    (folder / "config.json").write_text(json.dumps({"torch_dtype": "bfloat16", **config}))


def read(folder: Path, **options: Any) -> OperatorGraph:
    workload = load_workload({"extends": str(folder), **options}, registry())
    assert isinstance(workload, OperatorGraph)
    return workload


@pytest.mark.parametrize("name", KNOWN)
def test_known_totals(tmp_path: Path, name: str) -> None:
    write(tmp_path, CONFIGS[name])
    assert read(tmp_path, phase="decode", context=128).parameters == KNOWN[name]


@pytest.mark.parametrize("name", TABLES)
def test_the_tensors_of_the_modelling_code_are_the_config_s_parameters(tmp_path: Path, name: str) -> None:
    write(tmp_path, CONFIGS[name])
    shapes = TABLES[name](CONFIGS[name])
    tables.write_safetensors(tmp_path / "model.safetensors", shapes)
    graph = read(tmp_path, phase="decode", context=128)  # refuses a difference of more than 0.1 %
    assert graph.facts["header_parameters"] == graph.parameters
    assert graph.native_precision == "bf16" and graph.sources["weights"] == "safetensors headers"
    masks = sum(prod(shape) for tensor, shape in shapes.items() if tensor.endswith("attn.bias") and len(shape) == 4)
    more = graph.facts.get("predictor_parameters", 0)
    assert sum(map(prod, shapes.values())) == graph.parameters + masks + more
    assert graph.facts["weight_bytes"] == 2 * graph.parameters
    assert graph.stored["BF16"].elements == graph.parameters


def test_mxfp4_blocks_hold_two_weights_a_byte(tmp_path: Path) -> None:
    config = CONFIGS["gpt-oss-20b"]
    write(tmp_path, config)
    shapes, kinds = tables.gpt_oss(config)
    tables.write_safetensors(tmp_path / "model.safetensors", shapes, kinds)
    graph = read(tmp_path)
    assert graph.facts["header_parameters"] == graph.parameters == KNOWN["gpt-oss-20b"]
    packed = 24 * 32 * 3 * 2880 * 2880
    assert graph.stored["U8"].elements == packed and graph.stored["U8"].bytes == packed * 17 / 32
    assert graph.native_precision == "mxfp4"


def test_modules_behind_the_last_layer_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, CONFIGS["deepseek-v3"])
    shapes = tables.deepseek(CONFIGS["deepseek-v3"], correction=True, mtp=True)
    tables.write_safetensors(tmp_path / "model.safetensors", shapes)
    plain, more = read(tmp_path), read(tmp_path, mtp=1, headers=False)
    module = sum(prod(shape) for name, shape in shapes.items() if name.startswith("model.layers.61."))
    assert plain.facts["predictor_parameters"] == module == more.parameters - plain.parameters


def shards(folder: Path, shapes: tables.Shapes) -> list[str]:
    names, half = list(shapes), len(shapes) // 2
    files = {"model-00001-of-00002.safetensors": names[:half], "model-00002-of-00002.safetensors": names[half:]}
    for file, part in files.items():
        tables.write_safetensors(folder / file, {name: shapes[name] for name in part})
    places = {name: file for file, part in files.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return list(files)


def test_shards_are_added_up_and_missing_ones_are_named(tmp_path: Path) -> None:
    config = CONFIGS["smollm-135m"]
    write(tmp_path, config)
    files = shards(tmp_path, tables.llama(config, tied=True))
    assert read(tmp_path).facts["header_parameters"] == KNOWN["smollm-135m"]
    assert read(tmp_path / files[0]).parameters == KNOWN["smollm-135m"]  # a file of the folder is the folder
    (tmp_path / files[1]).unlink()
    graph = read(tmp_path)
    assert "header_parameters" not in graph.facts and "1 of 2 safetensors files are missing" in str(graph.facts["note"])


def test_headers_of_another_model_are_refused(tmp_path: Path) -> None:
    config = CONFIGS["smollm-135m"]
    write(tmp_path, {**config, "intermediate_size": 1600})
    tables.write_safetensors(tmp_path / "model.safetensors", tables.llama(config, tied=True))
    with pytest.raises(InputError, match=r"describe one model.*134,515,008 in the headers.*headers=false"):
        read(tmp_path)
    assert read(tmp_path, headers=False).parameters > KNOWN["smollm-135m"]
    assert read(tmp_path, layers=3).parameters < KNOWN["smollm-135m"]  # no longer the model of the folder


@pytest.mark.parametrize(("bits", "name"), [(4, "qweight"), (8, "qweight"), (4, "weight_packed")])
def test_packed_weights_count_as_weights(tmp_path: Path, bits: int, name: str) -> None:
    config = CONFIGS["smollm-135m"]
    quantised = {"quant_method": "gptq", "bits": bits}
    if name == "weight_packed":
        quantised = {"config_groups": {"group_0": {"weights": {"num_bits": bits}}}}
    write(tmp_path, {**config, "quantization_config": quantised})
    shapes: tables.Shapes = {}
    kinds: dict[str, str] = {}
    for tensor, shape in tables.llama(config, tied=True).items():
        if "_proj" not in tensor:
            shapes[tensor] = shape
            continue
        base = tensor.removesuffix("weight")
        shapes |= {f"{base}{name}": (shape[1] * bits // 32, shape[0]), f"{base}scales": (shape[1] // 32, shape[0])}
        kinds[f"{base}{name}"] = "I32"
    tables.write_safetensors(tmp_path / "model.safetensors", shapes, kinds)
    assert read(tmp_path).facts["header_parameters"] == KNOWN["smollm-135m"]


def test_a_multimodal_model_is_its_text_part(tmp_path: Path) -> None:
    text = {**CONFIGS["gemma-3-1b"], "model_type": "gemma3_text"}
    write(tmp_path, {"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}})
    shapes = {f"language_model.{name}": shape for name, shape in tables.gemma(text, norms=True).items()}
    tower: tables.Shapes = {"vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight": (4304, 1152)}
    tables.write_safetensors(tmp_path / "model.safetensors", shapes | tower)
    graph = read(tmp_path)
    assert graph.parameters == KNOWN["gemma-3-1b"] and graph.facts["other_parameters"] == 4304 * 1152

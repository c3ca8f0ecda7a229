"""config.json files as published, and as strangers may write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradespace.errors import InputError, TradespaceError, UnknownName
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192,
    "vocab_size": 128256, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "max_position_embeddings": 131072,
    "attention_bias": False, "mlp_bias": False, "rope_scaling": {"factor": 32.0}, "rms_norm_eps": 1e-05,
}  # fmt: skip
MISTRAL = {
    "model_type": "mistral", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000, "tie_word_embeddings": False,
    "torch_dtype": "bfloat16", "max_position_embeddings": 32768, "sliding_window": 4096,
}  # fmt: skip
QWEN2 = {
    "model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936, "tie_word_embeddings": True,
    "torch_dtype": "bfloat16", "max_position_embeddings": 131072, "sliding_window": 131072, "max_window_layers": 24,
    "use_sliding_window": False,
}  # fmt: skip
GPT2 = {
    "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_ctx": 1024,
    "vocab_size": 50257, "activation_function": "gelu_new", "n_inner": None,
}  # fmt: skip
FILES = {"llama-3.2-1b": LLAMA, "mistral-7b": MISTRAL, "qwen2-0.5b": QWEN2, "gpt2": GPT2}


def read(folder: Path, config: Any, **options: Any) -> OperatorGraph:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    workload = load_workload({"extends": str(folder / "config.json"), **options}, registry())
    assert isinstance(workload, OperatorGraph)
    return workload


@pytest.mark.parametrize(("name", "config"), FILES.items())
def test_a_published_config_is_the_catalogue_entry(tmp_path: Path, name: str, config: dict[str, Any]) -> None:
    ours, listed = read(tmp_path, config), load_workload(name, registry())
    assert isinstance(listed, OperatorGraph)
    assert ours.parameters == listed.parameters
    assert ours.operators.name == listed.operators.name
    for column in ("flop", "weights", "kv_read", "kv_resident", "act_out"):
        assert (getattr(ours.operators, column) == getattr(listed.operators, column)).all(), column
    if name != "gpt2":  # its config.json states no dtype
        assert ours.native_precision == listed.native_precision


def test_a_folder_is_its_config(tmp_path: Path) -> None:
    read(tmp_path, LLAMA)
    folder = load_workload(str(tmp_path), registry())
    assert folder.name == tmp_path.name
    assert folder.sources["shape"] == "config.json (llama)"


def test_options_change_the_job_and_the_shape(tmp_path: Path) -> None:
    step = read(tmp_path, LLAMA, phase="decode", context=9, layers=2)
    assert step.facts["context"] == 9 and len(step.blocks) == 4
    with pytest.raises(UnknownName, match="Did you mean 'phase'"):
        read(tmp_path, LLAMA, phases="decode")


def test_families_have_their_habits(tmp_path: Path) -> None:
    newer = read(tmp_path, MISTRAL | {"sliding_window": None}, phase="decode", context=9000)
    assert newer.operators.kv_resident.max() == 9000 * 1024
    silent = {key: value for key, value in MISTRAL.items() if key not in ("sliding_window", "num_key_value_heads")}
    for config in (MISTRAL, silent):  # transformers' defaults
        assert read(tmp_path, config, phase="decode", context=9000).operators.kv_resident.max() == 4096 * 1024
    some = read(tmp_path, QWEN2 | {"use_sliding_window": True, "sliding_window": 100, "max_window_layers": 20})
    assert len({float(x) for x in some.operators.kv_resident if x}) == 2
    mixed = {"layer_types": ["full_attention", "sliding_attention"] * 12, "sliding_window": 100}
    assert read(tmp_path, QWEN2 | mixed | {"use_sliding_window": True}).parameters == some.parameters
    biased = read(tmp_path, LLAMA | {"attention_bias": True, "mlp_bias": True})
    extra = 16 * (2048 + 2 * 512 + 2048 + 2 * 8192 + 2048)
    assert biased.parameters - read(tmp_path, LLAMA).parameters == extra
    assert read(tmp_path, GPT2 | {"n_inner": 1000}).facts["ffn"] == 1000


@pytest.mark.parametrize(
    ("extra", "native"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "int4"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "int4"),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, "int8"),
        ({"quantization_config": {"quant_method": "fp8"}}, None),
        ({"torch_dtype": "float16"}, "fp16"),
        ({"torch_dtype": "int3"}, None),
        ({"torch_dtype": ["float16"]}, None),
    ],
)
def test_the_precision_of_the_shipped_weights(tmp_path: Path, extra: dict[str, Any], native: str | None) -> None:
    assert read(tmp_path, LLAMA | extra).native_precision == native


def test_a_short_context_shortens_the_default_request(tmp_path: Path) -> None:
    short = read(tmp_path, LLAMA | {"max_position_embeddings": 100})
    assert (short.facts["prompt"], short.facts["generate"]) == (80, 20)
    with pytest.raises(InputError, match="fits the model's 100 positions"):
        read(tmp_path, LLAMA | {"max_position_embeddings": 100}, prompt=200)


@pytest.mark.parametrize("found", ["bert", "lama", None, 7, ["llama"]])
def test_an_unknown_architecture_names_what_is_needed(tmp_path: Path, found: Any) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, {**LLAMA, "model_type": found})
    message = str(error.value)
    for part in (
        "gpt2, gpt_neox",
        "mistral, mixtral",
        "vocab, hidden, layers, heads",
        "tradespace_readers",
        "config.json",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "'hidden_size' must be given"),
        ({"hidden_size": -1}, "'hidden_size' is a whole number"),
        ({"hidden_size": "2048x"}, "whole number"),
        ({"hidden_size": 2048.5}, "whole number"),
        ({"num_hidden_layers": 10**6}, "from 1 to 10000"),
        ({"num_hidden_layers": 10**30}, "whole number"),
        ({"num_attention_heads": 7}, "multiple"),
        ({"tie_word_embeddings": 1}, "true or false"),
        ({"num_key_value_heads": 0}, "whole number"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, LLAMA | change)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"a": NaN', "[" * 100_000, '{"hidden_size": ' + "9" * 5000 + "}", "\ufeff{}", "\x00"],
)
def test_text_that_is_no_config(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read(tmp_path, text)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\xfa{}")
    with pytest.raises(InputError, match="valid JSON"):
        load_workload(str(tmp_path), registry())


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    config=st.sampled_from(list(FILES.values())),
    keys=st.lists(st.integers(0, 15), min_size=1, max_size=3),
    values=st.lists(ANY | st.integers(0, 300), min_size=3, max_size=3),
)
def test_any_value_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any], keys: list[int], values: list[Any]
) -> None:
    names = sorted(config)
    changed = config | {names[key % len(names)]: value for key, value in zip(keys, values, strict=False)}
    folder = tmp_path_factory.mktemp("config")
    try:
        workload = read(folder, changed)
    except TradespaceError as error:
        assert len(str(error)) < 1500
    else:
        assert workload.parameters > 0

"""Decoders from a Hugging Face `config.json` (or the folder that holds one). Weights are never opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tradespace.documents import read_json
from tradespace.errors import InputError, suggestion
from tradespace.workloads.config import MAX_LAYERS, Job
from tradespace.workloads.decoder import build
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.options import flag, integer

_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
_LAYER_TYPES = {"full_attention": "attention", "sliding_attention": "sliding", "attention": "attention"}
_HEAD = 64 * 1024
_SIGNS = (b'"model_type"', b'"architectures"')
_BIG = 10**9  # the decoder's own bounds are tighter; this only keeps arithmetic here finite


class HFReader:
    """Reads `config.json` of llama, mistral, qwen2 and gpt2 models."""

    name = "hf-config"
    reads = "config.json of a Hugging Face model (llama, mistral, qwen2, gpt2), or its folder"

    def recognises(self, path: Path) -> bool:
        """A file or folder's `config.json`, or another `.json` that names a model type or an architecture."""
        try:
            if not path.is_file():
                return (path / "config.json").is_file()
            if path.name == "config.json":
                return True
            if path.suffix != ".json":
                return False
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError:
            return False
        return any(key in head for key in _SIGNS)

    def read(self, path: Path, options: Mapping[str, Any]) -> OperatorGraph:
        """The decoder; `options` override job, name and shape.

        Raises:
            InputError, UnknownName: no JSON, an unknown architecture, missing or contradicting values.
        """
        file = path if path.is_file() else path / "config.json"
        config = _without_nulls(read_json(file))
        where = str(file)
        family = config.get("model_type")
        if not isinstance(family, str) or family not in FAMILIES:
            raise unknown_architecture(family, sorted(FAMILIES), where, "model_type")
        shape = FAMILIES[family](config, where)
        folder = file.resolve().parent.name or "model"
        meta = {
            "name": (folder if file.name == "config.json" else file.stem)[:200],
            "source": f"config.json ({family})",
            "kind": "datasheet",
            "native_precision": _native(config),
        }
        return build(fit_job({**meta, **shape, **options}))


def _without_nulls(raw: Mapping[str, Any]) -> dict[str, Any]:
    """null means "default", except for the window: there it means "none", which is 0 here."""
    config = {key: value for key, value in raw.items() if value is not None}
    return config | {"sliding_window": 0} if raw.get("sliding_window", 0) is None else config


def unknown_architecture(found: object, known: list[str], where: str, key: str) -> InputError:
    """The refusal of a model that no family here describes; it names what is needed instead."""
    hint = f" {suggestion(found, known)}" if isinstance(found, str) else ""
    return InputError(
        f"'{key}' is one of {', '.join(known)}",
        value=repr(found)[:80],
        where=where,
        remedy="To use another decoder, write its shape as a workload file: type: decoder, vocab, hidden, layers, "
        "heads, kv_heads, ffn (and gated, norm, tied, qkv_bias, positions, window where they differ); or register a "
        f"reader with the hook tradespace_readers.{hint}",
    )


def fit_job(options: Mapping[str, Any]) -> dict[str, Any]:
    """Shorten the default request for a model with a short context; what the user gave stays as it is."""
    longest, default = options.get("max_context"), Job()
    asked_prompt, asked_generate = options.get("prompt"), options.get("generate")
    prompt = default.prompt if asked_prompt is None else asked_prompt
    generate = default.generate if asked_generate is None else asked_generate
    if not all(isinstance(number, int) for number in (longest, prompt, generate)) or not longest:
        return dict(options)  # nothing known, or values that are refused later
    if prompt + generate > longest:
        if asked_prompt is None:
            prompt = max(1, longest * 4 // 5 if asked_generate is None else longest - generate)
        if asked_generate is None:
            generate = max(1, longest - prompt)
    return {**options, "prompt": prompt, "generate": generate}


def _common(config: Mapping[str, Any], where: str, *, tied: bool = False) -> dict[str, Any]:
    """What llama, mistral and qwen2 share; `tied` is the family's default."""
    shape = {
        ours: integer(config, theirs, where, high=_BIG, default=None)
        for ours, theirs in (
            ("vocab", "vocab_size"),
            ("hidden", "hidden_size"),
            ("layers", "num_hidden_layers"),
            ("heads", "num_attention_heads"),
            ("ffn", "intermediate_size"),
        )
    }
    shape["kv_heads"] = integer(config, "num_key_value_heads", where, high=_BIG, default=shape["heads"])
    shape["max_context"] = integer(config, "max_position_embeddings", where, low=0, high=_BIG, default=0)
    if "head_dim" in config:
        shape["head_dim"] = integer(config, "head_dim", where, high=_BIG, default=None)
    return {**shape, "tied": flag(config, "tie_word_embeddings", where, default=tied)}


def _llama(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    bias = flag(config, "attention_bias", where, default=False)
    mlp = flag(config, "mlp_bias", where, default=False)
    return {**_common(config, where), "qkv_bias": bias, "out_bias": bias, "ffn_bias": mlp}


def _mistral(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    defaults = {"num_key_value_heads": 8, "sliding_window": 4096}  # of transformers' MistralConfig
    config = {**defaults, **config}
    return {**_common(config, where), **_windows(config, where)}


def _qwen2(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    shape = {**_common(config, where), "qkv_bias": True}
    if not flag(config, "use_sliding_window", where, default=False):
        return shape
    windows = _windows(config, where)
    if "layer_types" not in windows and "window" in windows:
        full = integer(config, "max_window_layers", where, low=0, high=MAX_LAYERS, default=shape["layers"])
        full, layers = min(full, shape["layers"]), min(shape["layers"], MAX_LAYERS + 1)
        windows["layer_types"] = ["attention"] * full + ["sliding"] * (layers - full)
    return {**shape, **windows}


def _windows(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`window` and, where the file lists them, the layer types."""
    window = integer(config, "sliding_window", where, low=0, high=_BIG, default=0)
    if not window:
        return {}
    found: dict[str, Any] = {"window": window}
    types = config.get("layer_types")
    if types is not None:
        if not isinstance(types, list) or not all(isinstance(kind, str) and kind in _LAYER_TYPES for kind in types):
            raise InputError(
                "'layer_types' lists full_attention and sliding_attention", value=repr(types)[:80], where=where
            )
        found["layer_types"] = [_LAYER_TYPES[kind] for kind in types]
    return found


def _gpt2(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    hidden = integer(config, "n_embd", where, high=_BIG, default=None)
    return {
        "vocab": integer(config, "vocab_size", where, high=_BIG, default=None),
        "hidden": hidden,
        "layers": integer(config, "n_layer", where, high=_BIG, default=None),
        "heads": integer(config, "n_head", where, high=_BIG, default=None),
        "ffn": integer(config, "n_inner", where, high=4 * _BIG, default=4 * hidden),
        "max_context": integer(config, "n_positions", where, high=_BIG, default=None),
        "tied": flag(config, "tie_word_embeddings", where, default=True),
        **GPT2_STYLE,
    }


GPT2_STYLE: Mapping[str, Any] = {
    "gated": False, "norm": "layer", "positions": "learned", "qkv_bias": True, "out_bias": True, "ffn_bias": True,
}  # fmt: skip

FAMILIES: Mapping[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "gpt2": _gpt2,
}


def _native(config: Mapping[str, Any]) -> str | None:
    """Precision of the shipped weights, where the file says so in a way we know."""
    quantised = config.get("quantization_config")
    if isinstance(quantised, dict):
        bits = quantised.get("bits", 4 if quantised.get("load_in_4bit") is True else None)
        bits = 8 if bits is None and quantised.get("load_in_8bit") is True else bits
        return {4: "int4", 8: "int8"}.get(bits) if isinstance(bits, int) else None
    dtype = config.get("torch_dtype", config.get("dtype"))
    return _DTYPES.get(dtype) if isinstance(dtype, str) else None

"""Decoders from a Hugging Face folder: shape from `config.json`, formats and bytes from safetensors headers beside it.

Weights are never opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tradespace.documents import read_json
from tradespace.errors import InputError, suggestion
from tradespace.workloads.checkpoint import Contents, check_parameters, summarise_tensors
from tradespace.workloads.config import CONFIG_KEYS, MAX_LAYERS, Job
from tradespace.workloads.decoder import build
from tradespace.workloads.families_hybrid import FAMILIES
from tradespace.workloads.operators import OperatorGraph, StoredTensor
from tradespace.workloads.options import flag
from tradespace.workloads.safetensors import find_tables

_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}
_HEAD = 64 * 1024
_SIGNS = (b'"model_type"', b'"architectures"')
_OUTSIDE = ("model_type", "torch_dtype", "dtype", "tie_word_embeddings", "quantization_config", "quantization")
_NULLS: Mapping[str, int] = {"sliding_window": 0, "q_lora_rank": 0}
"""Keys whose null means "none", which is 0 here; any other null means the family's default."""


class HFReader:
    """Reads the folder of a Hugging Face language model, or a `config.json` alone."""

    name = "hf-config"
    reads = "Hugging Face model: a folder with config.json, or a .json file with 'model_type'"
    priority = 0

    def recognises(self, path: Path) -> bool:
        """A file or folder's `config.json`, or another `.json` that names a model type or an architecture."""
        try:
            if not path.is_file():
                return (path / "config.json").is_file()
            if path.name == "config.json":
                return True
            if path.suffix == ".safetensors":
                return True
            if path.suffix != ".json":
                return False
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError:
            return False
        return any(key in head for key in _SIGNS)

    def read(self, path: Path, options: Mapping[str, Any]) -> OperatorGraph:
        """The decoder; `options` override job, name and shape, `headers: false` leaves safetensors files alone.

        Raises:
            InputError, UnknownName: no JSON, an unknown architecture, missing or contradicting values, damaged headers,
                headers of another model.
        """
        file = path if path.suffix == ".json" and path.is_file() else _folder(path) / "config.json"
        raw = _text_part(read_json(file))
        config, where = _without_nulls(raw), str(file)
        family = config.get("model_type")
        if not isinstance(family, str) or family not in FAMILIES:
            raise unknown_architecture(family, sorted(FAMILIES), where, "model_type")
        wanted = flag(options, "headers", where, default=True) and file.name == "config.json"
        options = {key: value for key, value in options.items() if key != "headers"}
        tensors, remark = find_tables(file.parent) if wanted else ((), "")
        shape = FAMILIES[family](config, where)
        folder = file.resolve().parent.name or "model"
        meta = {
            "name": (folder if file.name == "config.json" else file.stem)[:200],
            "source": f"config.json ({family})",
            "kind": "datasheet",
            "native_precision": _native(config),
            "note": remark or None,
        }
        graph = build(fit_job(with_options({**meta, **shape}, options)))
        if not tensors:
            return graph
        contents = summarise_tensors(tensors, config, int(graph.facts["layers"]), tied=bool(shape.get("tied")))
        if any(key in options for key in CONFIG_KEYS):
            return graph  # no longer the model of the folder
        check_parameters(graph.parameters, contents, where)
        rows = tuple(StoredTensor(tensor.name, tensor.type, tensor.shape, tensor.bytes) for tensor in tensors)
        return replace(_with_contents(graph, contents, config), tensors=rows)


def _folder(path: Path) -> Path:
    if not path.is_file():
        return path
    if not (path.parent / "config.json").is_file():
        raise InputError(
            "a safetensors file has a config.json beside it", where=str(path), remedy="Only config.json says the shape."
        )
    return path.parent


def _text_part(raw: dict[str, Any]) -> dict[str, Any]:
    """The language model of a multimodal one: `text_config`, with what stands outside of it as a default."""
    part = raw.get("text_config")
    if not isinstance(part, dict):
        return raw
    return {**{key: raw[key] for key in _OUTSIDE if key in raw}, **part}


def _with_contents(graph: OperatorGraph, contents: Contents, config: Mapping[str, Any]) -> OperatorGraph:
    """The graph with what its files hold. The precision is that of most weights, where the config states none."""
    facts = dict(graph.facts) | {"weight_bytes": float(contents.bytes), "header_parameters": contents.parameters}
    for key, amount in (("predictor_parameters", contents.predictor), ("other_parameters", contents.other)):
        if amount:
            facts[key] = amount
    most = max(contents.formats, key=lambda kind: contents.formats[kind].elements)
    quantised = "quantization_config" in config or "quantization" in config
    native = graph.native_precision if quantised else _DTYPES.get(most, graph.native_precision)
    sources = dict(graph.sources) | {"weights": "safetensors headers"}
    return replace(graph, native_precision=native, facts=facts, stored=contents.formats, sources=sources)


def _without_nulls(raw: Mapping[str, Any]) -> dict[str, Any]:
    """null means "default", except where it means "none"."""
    config = {key: value for key, value in raw.items() if value is not None}
    return config | {key: none for key, none in _NULLS.items() if key in raw and raw[key] is None}


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


def with_options(shape: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What the user set goes before what the file says: parts are merged key by key, and another number of layers
    repeats (or cuts) the file's pattern of layers."""
    merged = {**shape, **options}
    for part in ("moe", "mla", "ssm"):
        ours, theirs = options.get(part), shape.get(part)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            merged[part] = {**theirs, **ours}
    count = options.get("layers")
    for key in ("layer_types", "ffn_types"):
        types = shape.get(key)
        if types and key not in options and isinstance(count, int) and 0 < count <= MAX_LAYERS:
            merged[key] = [types[layer % len(types)] for layer in range(count)]
    return merged


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


def _native(config: Mapping[str, Any]) -> str | None:
    """Precision of the shipped weights, where the file says so in a way we know."""
    quantised = config.get("quantization_config", config.get("quantization"))
    if isinstance(quantised, dict):
        if quantised.get("quant_method") == "mxfp4":
            return "mxfp4"
        bits = quantised.get("bits", 4 if quantised.get("load_in_4bit") is True else None)
        bits = 8 if bits is None and quantised.get("load_in_8bit") is True else bits
        return {4: "int4", 8: "int8"}.get(bits) if isinstance(bits, int) else None
    dtype = config.get("torch_dtype", config.get("dtype"))
    return _DTYPES.get(dtype) if isinstance(dtype, str) else None

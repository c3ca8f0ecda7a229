"""Decoders from a GGUF file: shape from the metadata, details and bytes from the tensor table, weights never read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.config import CONFIG_KEYS, MAX_LAYERS
from tradespace.workloads.decoder import build
from tradespace.workloads.families import GPT2_STYLE
from tradespace.workloads.gguf_header import TENSOR_TYPES, Header, read_header
from tradespace.workloads.hf import fit_job, unknown_architecture
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.options import integer

ARCHITECTURES = ("gpt2", "llama", "qwen2")
"""mistral models are `llama` in GGUF."""

_NO_WEIGHTS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_EXACT = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "Q8_0": "int8", "Q4_0": "int4"}
_NEAR = {"int4": 4.5, "int8": 8.5}
_TOLERANCE = 0.12
_BIG = 10**9


class GGUFReader:
    """Reads llama, mistral, qwen2 and gpt2 models in GGUF."""

    name = "gguf"
    reads = "GGUF file of a llama, mistral, qwen2 or gpt2 model (header and tensor table only)"

    def recognises(self, path: Path) -> bool:
        """The first four bytes, or the suffix."""
        try:
            if not path.is_file():
                return False
            with path.open("rb") as file:
                return file.read(4) == b"GGUF" or path.suffix == ".gguf"
        except OSError:
            return path.suffix == ".gguf"

    def read(self, path: Path, options: Mapping[str, Any]) -> OperatorGraph:
        """The decoder; `options` override job, name and shape.

        Raises:
            InputError, UnknownName: a damaged or hostile file, an unknown architecture, contradictions.
        """
        header, where = read_header(path), str(path)
        architecture = header.metadata.get("general.architecture")
        if architecture not in ARCHITECTURES:
            raise unknown_architecture(architecture, list(ARCHITECTURES), where, "general.architecture")
        title = header.metadata.get("general.name")
        native, types = native_precision(header)
        meta = {
            "name": path.stem[:200],
            "title": title[:200] if isinstance(title, str) else path.stem[:200],
            "source": f"GGUF metadata and tensor table ({architecture})",
            "kind": "datasheet",
            "native_precision": native,
            "note": f"tensors: {types}" if types else None,
        }
        graph = build(fit_job({**meta, **read_shape(header, str(architecture), where), **options}))
        if any(key in options for key in _SHAPE):
            return graph  # no longer the model of the file
        _check_parameters(graph, header, where)
        stored = float(sum(tensor.bytes for tensor in header.tensors.values()))
        return replace(graph, facts={**graph.facts, "weight_bytes": stored}) if stored else graph


_SHAPE = (*CONFIG_KEYS, "native_precision")


def read_shape(header: Header, architecture: str, where: str) -> dict[str, Any]:
    """Options of the decoder; what the tensor table shows (biases, gate, tied) goes before the family's habits.

    Raises:
        InputError: a missing or contradicting value, a mixture of experts, one part of a split file.
    """
    values = {key.removeprefix(architecture + "."): value for key, value in header.metadata.items()}
    _refuse_variants(values, where)

    def number(key: str, default: int | None, low: int = 1) -> int:
        return integer({key: _uniform(values.get(key), key, where)}, key, where, low=low, high=_BIG, default=default)

    heads = number("attention.head_count", None)
    embedding = header.tensors.get("token_embd.weight")
    if embedding is not None and embedding.dims[0] != number("embedding_length", None):
        rule = "'embedding_length' is the width of token_embd.weight"
        raise InputError(rule, value=f"{values['embedding_length']} and {embedding.dims[0]}", where=where)
    shape: dict[str, Any] = {
        "hidden": number("embedding_length", None),
        "layers": integer(values, "block_count", where, high=MAX_LAYERS, default=None),
        "heads": heads,
        "kv_heads": number("attention.head_count_kv", heads),
        "ffn": number("feed_forward_length", None),
        "max_context": number("context_length", 0, low=0),
        "window": number("attention.sliding_window", 0, low=0),
    }
    if values.get("attention.key_length") is not None:
        shape["head_dim"] = number("attention.key_length", None)
    style = dict(GPT2_STYLE) if architecture == "gpt2" else {"qkv_bias": architecture == "qwen2"}
    shape |= {"tied": architecture == "gpt2", **style, **_seen_in_table(header)}
    if "vocab" not in shape:
        shape["vocab"] = number("vocab_size", header.lengths.get("tokenizer.ggml.tokens"))
    return shape


def _refuse_variants(values: Mapping[str, Any], where: str) -> None:
    if values.get("expert_count"):
        raise InputError(
            "the decoder has one feed-forward network per layer", value=f"{values['expert_count']!r:.40} experts",
            where=where, remedy="Mixtures of experts need a workload type of their own (hook tradespace_workloads).",
        )  # fmt: skip
    if values.get("split.count", 0) not in (0, 1):
        raise InputError(
            "the file holds the whole model", value="one part of a split file", where=where,
            remedy="Merge the parts with llama-gguf-split --merge.",
        )  # fmt: skip


def _uniform(value: object, key: str, where: str) -> object:
    """The one value of a per-layer list whose entries are equal."""
    if not isinstance(value, list):
        return value
    if not value or any(entry != value[0] for entry in value):
        raise InputError(f"'{key}' is the same in every layer", value=repr(value[:8]), where=where)
    return value[0]


def _seen_in_table(header: Header) -> dict[str, Any]:
    """Facts that the tensor table proves, if it holds the embedding and the first layer."""
    tensors = header.tensors
    embedding = tensors.get("token_embd.weight")
    if embedding is None or len(embedding.dims) != 2 or "blk.0.attn_norm.weight" not in tensors:
        return {}
    positions = tensors.get("position_embd.weight")
    seen = {
        "vocab": embedding.dims[1],
        "tied": "output.weight" not in tensors,
        "gated": "blk.0.ffn_gate.weight" in tensors,
        "norm": "layer" if "output_norm.bias" in tensors else "rms",
        "qkv_bias": "blk.0.attn_q.bias" in tensors or "blk.0.attn_qkv.bias" in tensors,
        "out_bias": "blk.0.attn_output.bias" in tensors,
        "ffn_bias": "blk.0.ffn_up.bias" in tensors,
        "qk_norm": "blk.0.attn_q_norm.weight" in tensors,
        "positions": "rope" if positions is None else "learned",
    }
    return seen if positions is None else {**seen, "max_context": positions.dims[-1]}


def native_precision(header: Header) -> tuple[str | None, str]:
    """The precision nearest to the type that holds most elements (None: nothing near), and the shares in words.

    Types whose bits per element are within 12 % of int4 or int8 count as them (Q4_K, IQ4_XS: int4).
    """
    elements: dict[str, int] = {}
    for tensor in header.tensors.values():
        elements[tensor.type] = elements.get(tensor.type, 0) + tensor.elements
    if not elements:
        return None, ""
    total = sum(elements.values())
    ranked = sorted(elements, key=lambda label: -elements[label])
    shares = ", ".join(f"{label} {elements[label] / total:.1%}" for label in ranked[:4])
    bits = {label: 8 * width / block for label, block, width in TENSOR_TYPES.values()}[ranked[0]]
    near = [name for name, ours in _NEAR.items() if abs(bits / ours - 1) <= _TOLERANCE]
    return _EXACT.get(ranked[0], near[0] if near else None), shares


def _check_parameters(graph: OperatorGraph, header: Header, where: str) -> None:
    """More weights in the file than in the shape means tensors that the decoder does not know."""
    stored = sum(tensor.elements for name, tensor in header.tensors.items() if name not in _NO_WEIGHTS)
    if stored <= graph.parameters:
        return
    odd = [name for name in header.tensors if not name.startswith(("blk.", "token_embd", "output", "position_embd"))]
    raise InputError(
        "the tensor table holds what the metadata describes",
        value=f"{stored} elements for a shape of {graph.parameters:.0f}" + (f", e.g. {odd[0][:60]}" if odd else ""),
        where=where,
        remedy="A variant of the architecture: describe its shape in a workload file of 'type: decoder'.",
    )

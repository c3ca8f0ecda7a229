"""What the tensors of a checkpoint say about a model: distinct parameters, stored bytes, formats.

Quantised checkpoints pack several weights into one stored number; the rules for each packing are here. Scales and
tables beside them are bytes, but no parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.operators import StoredFormat
from tradespace.workloads.safetensors import Tensor

TOLERANCE = 1e-3
"""Largest relative difference between the parameters of a config and of its tensors (issue: 0.1 %)."""

_BUFFERS = re.compile(
    r"(rotary_emb\.inv_freq|position_ids|(^|\.)h\.\d+\.attn\.(bias|masked_bias)|attention\.(bias|masked_bias))$"
)
_SIDE = re.compile(
    r"(_scales|\.(qzeros|scales|g_idx|biases|absmax|quant_map|SCB|weight_scale|weight_scale_inv|weight_scale_2"
    r"|weight_shape|weight_zero_point|weight_g_idx|input_scale|k_scale|v_scale)|\.(nested_|quant_state).*)$"
)
_OTHER_PARTS = re.compile(
    r"(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|mm_projector|audio_tower|embed_vision|embed_audio"
    r"|vision_embed_tokens|image_newline)(\.|$)"
)
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output)\.weight$")


@dataclass(frozen=True)
class Contents:
    """Totals of a checkpoint.

    Args:
        parameters: distinct weights of the decoder.
        predictor: weights of modules behind its last layer (multi-token prediction).
        other: weights of parts that are no decoder (a vision tower).
        formats: dtype -> what is stored in it, over the decoder.
    """

    parameters: int
    predictor: int
    other: int
    formats: Mapping[str, StoredFormat]

    @property
    def bytes(self) -> float:
        return sum(stored.bytes for stored in self.formats.values())


def summarise_tensors(tensors: Sequence[Tensor], config: Mapping[str, Any], layers: int, *, tied: bool) -> Contents:
    """Add the tensors up. `config` says how they are packed, `layers` where the decoder ends."""
    names = {tensor.name for tensor in tensors}
    bits = packed_bits(config)
    totals = {"parameters": 0, "predictor": 0, "other": 0}
    formats: dict[str, list[float]] = {}
    for tensor in tensors:
        if _BUFFERS.search(tensor.name) or (tied and _HEAD.search(tensor.name)):
            continue
        part = _part(tensor.name, layers)
        elements = 0 if _SIDE.search(tensor.name) else _weights(tensor, names, bits)
        totals[part] += elements
        if part == "parameters":
            row = formats.setdefault(tensor.type, [0.0, 0.0, 0.0])
            for at, amount in enumerate((1, elements, tensor.bytes)):
                row[at] += amount
    return Contents(
        **totals, formats={kind: StoredFormat(int(row[0]), row[1], row[2]) for kind, row in formats.items()}
    )


def _part(name: str, layers: int) -> str:
    if _OTHER_PARTS.search(name):
        return "other"
    layer = _LAYER.search(name)
    beyond = layer is not None and len(layer[1]) < 10 and int(layer[1]) >= layers
    return "predictor" if beyond or name.startswith("mtp.") else "parameters"


def packed_bits(config: Mapping[str, Any]) -> int:
    """Bits of a packed weight as the config states them (0: none)."""
    for key in ("quantization_config", "quantization"):
        found = config.get(key)
        if isinstance(found, Mapping):
            bits = found.get("bits", found.get("w_bit"))
            if bits is None:
                bits = _group_bits(found)
            return bits if isinstance(bits, int) and not isinstance(bits, bool) and 1 <= bits <= 16 else 4
    return 0


def _group_bits(found: Mapping[str, Any]) -> object:
    """compressed-tensors: the bits of the first group of weights."""
    groups = found.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    return weights.get("num_bits") if isinstance(weights, Mapping) else None


def _weights(tensor: Tensor, names: Iterable[str], bits: int) -> int:
    """Weights in a tensor: GPTQ, AWQ and MLX pack them into 32-bit words, MXFP4 and bitsandbytes into bytes."""
    words = tensor.type in ("I32", "U32") and bits and tensor.name.endswith(("qweight", "weight_packed", ".weight"))
    if words:
        return tensor.elements * 32 // bits
    pairs = tensor.name.endswith(("_blocks", "_packed"))
    pairs |= tensor.name.endswith(".weight") and f"{tensor.name}.absmax" in names and bits == 4
    return tensor.elements * (2 if pairs and tensor.type == "U8" else 1)


def check_parameters(stated: float, contents: Contents, where: str) -> None:
    """Refuse a config that describes another model than its tensors.

    Raises:
        InputError: they differ by more than `TOLERANCE`.
    """
    if abs(stated - contents.parameters) > TOLERANCE * contents.parameters:
        raise InputError(
            "config.json and the safetensors headers describe one model",
            value=f"{stated:,.0f} parameters in the config, {contents.parameters:,} in the headers",
            where=where,
            remedy="A variant of the architecture, an incomplete download, or a packing unknown here; "
            "'headers=false' takes the config alone.",
        )

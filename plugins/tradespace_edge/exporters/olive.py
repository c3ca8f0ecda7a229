"""Olive: a run configuration that builds the ONNX model of a plan on one device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tradespace.exporters import CannotExport, Export, Subject
from tradespace_edge.exporters.decoders import decoder_plan
from tradespace_edge.exporters.onnx_plan import (
    BLOCK,
    HEAD_NODE,
    OPTION,
    TABLE_NODE,
    Formats,
    blocks_of,
    formats,
    provider,
)


class Olive:
    """A run configuration of Olive that builds a language model for one device."""

    name = "Olive 0.13.0"
    writes = "JSON: a run configuration for 'olive run --config'"
    options: ClassVar[Mapping[str, str]] = {
        **OPTION,
        "model": "Hugging Face folder or name (default: the workload's name)",
        "output": "folder that Olive writes to (default out/olive)",
    }

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        decoder_plan(subject, "Olive")
        blocks = blocks_of(subject, "Olive")
        if len(subject.devices) > 1:
            counts = {d: sum(b.device == d for b in blocks.values()) for d in subject.devices}
            raise CannotExport(
                "an Olive run builds a model for one device",
                value=", ".join(f"{count} blocks on {device}" for device, count in counts.items()),
                remedy="Export such a plan to onnxruntime, which assigns layers to devices.",
            )
        home = provider(subject, subject.devices[0], options, "Olive")
        found = formats(subject, blocks, "Olive")
        accelerator: dict[str, Any] = {"device": home.kind, "execution_providers": [home.name]}
        document = {
            "input_model": {"type": "HfModel", "model_path": options.get("model", subject.workload.name)},
            "systems": {"target": {"type": "LocalSystem", "accelerators": [accelerator]}},
            "passes": _passes(found),
            "target": "target",
            "evaluate_input_model": False,
            "output_dir": options.get("output", "out/olive"),
        }
        notes = (f"for Olive {self.name.partition(' ')[2]}: olive run --config FILE",)
        return Export(json.dumps(document, indent=2) + "\n", document, notes)


def _passes(found: Formats) -> dict[str, Any]:
    """The model builder; int8 needs a pass of its own behind it."""
    builder: dict[str, Any] = {"type": "ModelBuilder", "precision": found.dtype}
    excluded = [] if found.head else [HEAD_NODE]
    if found.bits == 4:
        kinds = ["MatMul", *(["Gather"] if found.table else [])]
        builder |= {
            "precision": "int4", "int4_block_size": BLOCK, "int4_is_symmetric": True,
            "int4_op_types_to_quantize": kinds, "int4_nodes_to_exclude": excluded,
        }  # fmt: skip
        if found.dtype == "bf16":
            raise CannotExport("Olive's model builder computes int4 models in fp16", value="bf16")
    if found.bits != 8:
        return {"builder": builder}
    quantize = {
        "type": "OnnxBlockWiseRtnQuantization", "bits": 8, "block_size": BLOCK, "is_symmetric": True,
        "nodes_to_exclude": [*excluded, TABLE_NODE],
    }  # fmt: skip
    return {"builder": builder, "quantize": quantize}

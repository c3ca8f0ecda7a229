"""ONNX Runtime: execution providers, the assignment of nodes to them, and the arguments of its block quantiser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tradespace.exporters import CannotExport, Entry, Export, Subject
from tradespace_edge.exporters.decoders import EMBED, HEAD
from tradespace_edge.exporters.onnx_plan import (
    BLOCK,
    FLOATS,
    HEAD_NODE,
    OPTION,
    TABLE_NODE,
    Formats,
    Provider,
    blocks_of,
    formats,
    provider,
)


class ONNXRuntime:
    """Execution providers, partition and quantisation of ONNX Runtime.

    Nodes are assigned by `session.name_based_layer_assignment`: substrings of node names, the longest wins.
    """

    name = "ONNX Runtime 1.32"
    writes = "JSON: providers, session options with the partition, arguments of MatMulNBitsQuantizer"
    options: ClassVar[Mapping[str, str]] = {**OPTION, "threads": "intra_op_num_threads"}

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        tool = "ONNX Runtime"
        blocks = blocks_of(subject, tool)
        providers = {device: provider(subject, device, options, tool) for device in subject.devices}
        found = formats(subject, blocks, tool)
        document: dict[str, Any] = {
            "release": self.name,
            "model": {"float_type": FLOATS[found.dtype], "native": subject.workload.native_precision},
            "quantization": quantization(found),
            "providers": _listed(list(providers.values())),
            "session_options": _session(subject, blocks, providers, options),
        }
        notes = _notes(found, len(providers))
        return Export(json.dumps(document, indent=2) + "\n", document, notes)


def _notes(found: Formats, devices: int) -> tuple[str, ...]:
    notes = [f"the model must be in {FLOATS[found.dtype]} before it is quantised"] if found.bits else []
    if devices > 1 or found.bits:
        notes.append(
            "node names are those that ONNX Runtime's model builder gives (/model/layers.0/..., /lm_head/MatMul)"
        )
    return tuple(notes)


def quantization(found: Formats) -> dict[str, Any] | None:
    """Keyword arguments of `onnxruntime.quantization.matmul_nbits_quantizer.MatMulNBitsQuantizer`."""
    if not found.bits:
        return None
    kinds = ["MatMul", *(["Gather"] if found.table else [])]
    excluded = ([] if found.head else [HEAD_NODE]) + ([] if found.table else [TABLE_NODE])
    return {
        "bits": found.bits, "block_size": BLOCK, "is_symmetric": True, "op_types_to_quantize": kinds,
        "nodes_to_exclude": excluded,
    }  # fmt: skip


def _listed(providers: Sequence[Provider]) -> list[list[Any]]:
    """Most specialised first; the CPU provider is always last, as ONNX Runtime appends it anyway."""
    order = {"npu": 0, "gpu": 1, "cpu": 2}
    ranked = sorted(providers, key=lambda p: order[p.kind])
    names = [p.name for p in ranked]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CannotExport("a session holds each execution provider once", value=f"two devices use {twice}")
    return [[p.name, dict(p.options)] for p in ranked]


def _session(
    subject: Subject, blocks: Mapping[str, Entry], providers: Mapping[str, Provider], options: Mapping[str, str]
) -> dict[str, str]:
    uses_cpu = any(p.kind == "cpu" for p in providers.values())
    entries = {"session.disable_cpu_ep_fallback": "0" if uses_cpu else "1"}
    if len(providers) > 1:
        entries["session.name_based_layer_assignment"] = _assignment(subject, blocks, providers)
    threads = options.get("threads")
    if threads is not None:
        if not (threads.isdigit() and 1 <= int(threads) <= 4096):
            raise CannotExport("a number of threads is 1 to 4096", value=threads, where="--set threads")
        entries["intra_op_num_threads"] = threads
    return entries


def _assignment(subject: Subject, blocks: Mapping[str, Entry], providers: Mapping[str, Provider]) -> str:
    """``cuda(/layers.0/,/layers.1/);cpu(/embed_tokens/)``"""
    if not {"layers", "phase", "hidden"} <= set(subject.facts):
        raise CannotExport(
            "nodes are assigned by the names that ONNX Runtime's model builder gives language models",
            value=f"'{subject.workload.name}' on {len(providers)} devices",
            remedy="Split such a file into one model a device with onnx.utils.extract_model.",
        )  # fmt: skip
    words: dict[str, list[str]] = {}
    for name, block in blocks.items():
        designator = providers[block.device].designator
        words.setdefault(designator, []).append(_pattern(name))
    if len(words) < len(providers):
        raise CannotExport("two devices have the same designator", value=", ".join(words))
    return ";".join(f"{designator}({','.join(patterns)})" for designator, patterns in words.items())


def _pattern(block: str) -> str:
    return {EMBED: "/embed_tokens/", HEAD: "/lm_head/"}.get(block, f"/layers.{block}/")

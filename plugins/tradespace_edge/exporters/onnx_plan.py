"""What ONNX Runtime and Olive share: providers of devices, and the formats their block quantiser can make.

`MatMulNBits` with blocks of 32, symmetric, is the format called int4 (int8) here: codes of 4 (8) bits and one scale a
block. Node names are those of ONNX Runtime's model builder for language models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tradespace.exporters import CannotExport, Entry, Subject
from tradespace_edge.exporters.decoders import EMBED, HEAD, decoder_plan, kv_precision, whole_blocks
from tradespace_edge.exporters.devices import Class, ask, class_of, maker_of

BITS: Mapping[str, int] = {"int4": 4, "q4_0": 4, "int8": 8, "q8_0": 8}
FLOATS: Mapping[str, str] = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
BLOCK = 32
HEAD_NODE, TABLE_NODE = "/lm_head/MatMul", "/model/embed_tokens/Gather"


@dataclass(frozen=True)
class Provider:
    """An execution provider: its name, its options, and the word that assigns nodes to its device."""

    name: str
    options: Mapping[str, str]
    designator: str
    kind: Class


_PROVIDERS: Mapping[tuple[str, str], tuple[str, Mapping[str, str], str]] = {
    ("gpu", "nvidia"): ("CUDAExecutionProvider", {}, "cuda"),
    ("gpu", "amd"): ("MIGraphXExecutionProvider", {}, "gpu"),
    ("gpu", "intel"): ("OpenVINOExecutionProvider", {"device_type": "GPU"}, "gpu"),
    ("npu", "intel"): ("OpenVINOExecutionProvider", {"device_type": "NPU"}, "npu"),
    ("npu", "qualcomm"): ("QNNExecutionProvider", {"backend_type": "htp"}, "npu"),
    ("gpu", "qualcomm"): ("QNNExecutionProvider", {"backend_type": "gpu"}, "gpu"),
    ("gpu", "apple"): ("CoreMLExecutionProvider", {"MLComputeUnits": "CPUAndGPU"}, "gpu"),
    ("npu", "apple"): ("CoreMLExecutionProvider", {"MLComputeUnits": "CPUAndNeuralEngine"}, "npu"),
}
KNOWN = ("CPUExecutionProvider", *dict.fromkeys(name for name, _, _ in _PROVIDERS.values()), "DmlExecutionProvider",
         "TensorrtExecutionProvider", "XnnpackExecutionProvider", "WebGpuExecutionProvider")  # fmt: skip
OPTION = {"device.*": "a device's execution provider (CUDAExecutionProvider ...), where its sources do not tell"}


def provider(subject: Subject, device: str, options: Mapping[str, str], tool: str) -> Provider:
    """The execution provider of a device. Raises `CannotExport` where neither target nor user names one."""
    kind, maker, given = class_of(device), maker_of(subject, device), options.get(f"device.{device}")
    if given is not None:
        if given not in KNOWN:
            raise CannotExport("no such execution provider", value=given, where=f"--set device.{device}",
                               remedy=f"One of {', '.join(KNOWN)}.")  # fmt: skip
        return Provider(given, {}, "cpu" if given == KNOWN[0] else (kind or "accelerator"), kind or "gpu")
    if kind == "cpu":
        return Provider(KNOWN[0], {}, "cpu", "cpu")
    found = _PROVIDERS.get((kind or "", maker or ""))
    if found is None or kind is None:
        raise ask(subject, device, tool, "the execution provider")
    return Provider(*found, kind)


@dataclass(frozen=True)
class Formats:
    """One float format, and what is quantised to which bits; ``bits`` 0: nothing."""

    dtype: str
    bits: int
    table: bool
    head: bool


def blocks_of(subject: Subject, tool: str) -> dict[str, Entry]:
    """Block -> entry, of a decoder or any other network."""
    if {"layers", "phase", "hidden"} <= set(subject.facts):
        return whole_blocks(decoder_plan(subject, tool), tool)
    return {entry.name: entry for entry in subject.entries}


def formats(subject: Subject, blocks: Mapping[str, Entry], tool: str) -> Formats:
    """Raises `CannotExport` for formats the block quantiser cannot make, naming the block."""
    for name, block in blocks.items():
        if block.precision not in BITS and block.precision not in FLOATS:
            raise CannotExport(
                f"{tool} has no weight format that is '{block.precision}'", where=f"block '{name}'",
                remedy=f"It can be told {', '.join((*FLOATS, *BITS))}.",
            )  # fmt: skip
    layers = {name: block for name, block in blocks.items() if name not in (EMBED, HEAD)}
    base_name, base = next(iter(layers.items()))
    for name, block in layers.items():
        if block.precision != base.precision:
            raise CannotExport(
                f"{tool} quantises all layers alike", value=f"{block.precision}, '{base_name}' is {base.precision}",
                where=f"block '{name}'", remedy="llama.cpp takes a format for each tensor.",
            )  # fmt: skip
    floats = {block.precision for block in blocks.values() if block.precision in FLOATS}
    if len(floats) > 1:
        raise CannotExport(f"{tool} has one float format for a whole model", value=", ".join(sorted(floats)))
    _check_cache(subject, floats, tool)
    bits = BITS.get(base.precision, 0)
    for name in (EMBED, HEAD):
        own = BITS.get(blocks[name].precision, 0) if name in blocks else bits
        if own not in (0, bits):
            raise CannotExport(f"{tool} quantises to one number of bits", value=own, where=f"block '{name}'")
    if bits == 8 and _quantised(blocks, EMBED):
        raise CannotExport(
            f"{tool} quantises an embedding table to 4 bits only", value=blocks[EMBED].precision,
            where="block 'embed'", remedy="Keep it in fp16.",
        )  # fmt: skip
    if bits and "conv" in subject.workload.operators.kind:
        raise CannotExport("the block quantiser takes products, no convolutions", value=base.precision,
                           remedy="Quantise the file beforehand and search with that file.")  # fmt: skip
    dtype = floats.pop() if floats else "fp16"
    if bits and dtype == "fp32":
        raise CannotExport("scales of the blocks are 16 bits in the plan", value="float32 beside block formats",
                           remedy="Keep the rest in fp16.")  # fmt: skip
    return Formats(dtype, bits, table=_quantised(blocks, EMBED), head=_quantised(blocks, HEAD))


def _check_cache(subject: Subject, floats: set[str], tool: str) -> None:
    """The KV cache of a language model is in the model's float format."""
    kept, dtype = kv_precision(subject), next(iter(floats), "fp16")
    if "layers" in subject.facts and kept != dtype:
        raise CannotExport(
            f"{tool} keeps the KV cache in the model's float format", value=f"{kept}, the model is in {dtype}",
            where="option kv_precision",
        )  # fmt: skip


def _quantised(blocks: Mapping[str, Entry], name: str) -> bool:
    return name in blocks and blocks[name].precision in BITS

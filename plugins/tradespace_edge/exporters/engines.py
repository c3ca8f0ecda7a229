"""vLLM and SGLang: argument lists of their servers, and the quantisation config their checkpoint must carry.

Both load weights as float16, bfloat16 or float32, or as GPTQ: 4 or 8 bits, symmetric, one fp16 scale per group. With a
group of 32 that is the format that is called int4 (int8) here: the same codes, the same scale, the same bytes. GPTQ's
``dynamic`` table gives single layers other bits, or none. Everything else a plan may say is refused.
"""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tradespace.exporters import CannotExport, Entry, Export, Subject
from tradespace_edge.exporters.decoders import EMBED, HEAD, DecoderPlan, decoder_plan, kv_precision, whole_blocks
from tradespace_edge.exporters.devices import class_of, maker_of
from tradespace_edge.exporters.option_lists import OptionList, options_of

_DTYPES: Mapping[str, str] = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
_BITS: Mapping[str, int] = {"int4": 4, "int8": 8}
_GROUP = 32
_MAKERS = ("nvidia", "amd", "intel")


@dataclass(frozen=True)
class Engine:
    """How one engine spells what both can do."""

    title: str
    command: tuple[str, ...]
    lists: OptionList
    flags: Mapping[str, str]
    quantization: str
    partition: str  # environment variable: layers of each pipeline stage
    kv: Mapping[str, str]  # KV format -> value of the flag


class VLLM:
    """The argument list of 'vllm serve': whole models on GPUs, in float or GPTQ, layers split into stages."""

    name = f"vLLM {options_of('vllm').release}"
    writes = "the argument list of 'vllm serve'"
    options: ClassVar[Mapping[str, str]] = {"model": "folder or name of the checkpoint (default: the workload's name)"}

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        flags = {
            "dtype": "--dtype", "quantization": "--quantization", "kv": "--kv-cache-dtype",
            "context": "--max-model-len", "sequences": "--max-num-seqs", "tokens": "--max-num-batched-tokens",
            "memory": "--gpu-memory-utilization", "pipeline": "--pipeline-parallel-size",
        }  # fmt: skip
        lists = options_of("vllm")
        kv = {"fp16": "float16", "bf16": "bfloat16"}
        return _export(
            Engine("vLLM", ("vllm", "serve"), lists, flags, "auto_gptq", "VLLM_PP_LAYER_PARTITION", kv),
            subject,
            options,
        )


class SGLang:
    """The argument list of SGLang's server: whole models on GPUs, in float or GPTQ, layers split into stages."""

    name = f"SGLang {options_of('sglang').release}"
    writes = "the argument list of 'python -m sglang.launch_server'"
    options: ClassVar[Mapping[str, str]] = VLLM.options

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        flags = {
            "dtype": "--dtype", "quantization": "--quantization", "kv": "--kv-cache-dtype",
            "context": "--context-length", "sequences": "--max-running-requests", "tokens": "--chunked-prefill-size",
            "memory": "--mem-fraction-static", "pipeline": "--pp-size", "model": "--model-path",
        }  # fmt: skip
        command = ("python", "-m", "sglang.launch_server")
        lists = options_of("sglang")
        engine = Engine("SGLang", command, lists, flags, "gptq_marlin", "SGLANG_PP_LAYER_PARTITION", {"bf16": "bf16"})
        return _export(engine, subject, options)


def _export(engine: Engine, subject: Subject, options: Mapping[str, str]) -> Export:
    plan = decoder_plan(subject, engine.title)
    blocks = whole_blocks(plan, engine.title)
    stages = _stages(engine, subject, plan, blocks)
    dtype = _dtype(engine, blocks)
    config = _quantization(engine, plan, blocks)
    kv = _kv(engine, subject, dtype)
    model = options.get("model", subject.workload.name)
    flags = engine.flags
    words = [flags["model"], model] if "model" in flags else [model]
    words += [flags["dtype"], _DTYPES[dtype], flags["kv"], kv]
    words += [flags["quantization"], engine.quantization] if config else []
    words += [flags["context"], str(plan.context), flags["sequences"], str(plan.batch)]
    words += [flags["tokens"], str(max(plan.context, plan.batch * plan.prompt))]
    words += [flags["memory"], f"{_memory_share(subject):.3f}", flags["pipeline"], str(len(stages))]
    environment = {engine.partition: ",".join(map(str, stages))} if len(stages) > 1 else {}
    assert set(environment) <= engine.lists.environment
    engine.lists.checked(words)
    notes = _notes(engine, plan, config)
    line = shlex.join([*(f"{k}={v}" for k, v in environment.items()), *engine.command, *words])
    text = [f"# {subject.title}, for {engine.title} {engine.lists.release}", line]
    if config:
        text += ["# quantization_config of the checkpoint's config.json", f"# {json.dumps(config)}"]
    document: dict[str, Any] = {"release": engine.lists.release, "command": list(engine.command), "arguments": words}
    document |= {"environment": environment, "quantization_config": config}
    return Export("\n".join([*text, *(f"# {note}" for note in notes)]) + "\n", document, notes)


def _notes(engine: Engine, plan: DecoderPlan, config: Mapping[str, Any] | None) -> tuple[str, ...]:
    found = []
    if config:
        found.append("the checkpoint must be quantised beforehand with this quantization_config (GPTQ file format)")
        if any(row.precision == "int8" for operators in plan.parts.values() for row in operators.values()):
            found.append("GPTQ's 8-bit products are computed in 16 bits; the plan's price takes the device's int8 rate")
    if plan.samples > 1:
        found.append(f"ask for n={plan.samples} answers a request; {engine.title} may draw them at the same time")
    return tuple(found)


def _stages(engine: Engine, subject: Subject, plan: DecoderPlan, blocks: Mapping[str, Entry]) -> list[int]:
    """Layers of each pipeline stage: every GPU one run of layers, the table with the first, the head with the last."""
    for device in subject.devices:
        kind, maker = class_of(device), maker_of(subject, device)
        if kind != "gpu" or maker not in _MAKERS:
            what = f"'{device}'" + (f" ({maker})" if maker else "")
            raise CannotExport(
                f"{engine.title} runs whole models on GPUs of {', '.join(_MAKERS)}",
                value=f"{sum(b.device == device for b in blocks.values())} blocks on {what}",
                remedy="Export such a plan to llama.cpp.",
            )
    homes = [blocks[str(i)].device for i in range(plan.layers)]
    order = list(dict.fromkeys(homes))
    runs = [device for i, device in enumerate(homes) if i == 0 or homes[i - 1] != device]
    if len(runs) != len(order):
        raise CannotExport(
            f"{engine.title} gives each GPU one run of layers", value=", ".join(runs[:6]),
            remedy="Search with options.placement=contiguous.",
        )  # fmt: skip
    for block, home in ((EMBED, homes[0]), (HEAD, homes[-1])):
        if blocks[block].device != home:
            raise CannotExport(
                f"{engine.title} keeps the table with the first layer and the head with the last",
                value=f"on {blocks[block].device}", where=f"block '{block}'",
            )  # fmt: skip
    return [homes.count(device) for device in order]


def _dtype(engine: Engine, blocks: Mapping[str, Entry]) -> str:
    """The one float format of everything that is not quantised."""
    table = blocks[EMBED]
    if table.precision not in _DTYPES:
        raise CannotExport(
            f"{engine.title} keeps the embedding table in float16, bfloat16 or float32",
            value=table.precision, where="block 'embed'",
        )  # fmt: skip
    for name, block in blocks.items():
        if block.precision in _DTYPES and block.precision != table.precision:
            raise CannotExport(
                f"{engine.title} has one float format for the whole model",
                value=f"{block.precision} beside {table.precision} of 'embed'", where=f"block '{name}'",
            )  # fmt: skip
        if block.precision not in _DTYPES and block.precision not in _BITS:
            raise CannotExport(
                f"{engine.title} has no weight format that is '{block.precision}'", where=f"block '{name}'",
                remedy=f"It can be told {', '.join((*_DTYPES, *_BITS))}.",
            )  # fmt: skip
        if block.precision in _BITS and table.precision == "fp32":
            raise CannotExport("GPTQ computes in 16 bits", value="embed in fp32", where=f"block '{name}'")
    return table.precision


def _quantization(engine: Engine, plan: DecoderPlan, blocks: Mapping[str, Entry]) -> dict[str, Any] | None:
    """The checkpoint's GPTQ config; None for a float model."""
    bits = [_BITS.get(blocks[str(i)].precision, 0) for i in range(plan.layers)]
    head = _BITS.get(blocks[HEAD].precision, 0)
    if not any(bits) and not head:
        return None
    base = Counter(b for b in bits if b).most_common(1)[0][0] if any(bits) else head
    if head and (plan.tied or head != base):
        reason = "shares the table of the embedding" if plan.tied else f"has the bits of the layers ({base})"
        raise CannotExport(
            f"the head of a GPTQ checkpoint {reason}", value=f"int{head}", where="block 'head'",
            remedy="Keep it in the format of 'embed'.",
        )  # fmt: skip
    config: dict[str, Any] = {"quant_method": "gptq", "bits": base, "group_size": _GROUP, "sym": True}
    config |= {"desc_act": False, "lm_head": bool(head), "checkpoint_format": "gptq"}
    dynamic: dict[str, dict[str, int]] = {}
    for other in sorted(set(bits) - {base}):
        layers = "|".join(str(i) for i, b in enumerate(bits) if b == other)
        pattern = rf"{'+' if other else '-'}:.*\.layers\.(?:{layers})\..*"
        dynamic[pattern] = {"bits": other} if other else {}
    return config | ({"dynamic": dynamic} if dynamic else {})


def _kv(engine: Engine, subject: Subject, dtype: str) -> str:
    kept = kv_precision(subject)
    if kept == dtype:
        return "auto"
    if kept in engine.kv:
        return engine.kv[kept]
    offered = ", ".join(engine.lists.choices["--kv-cache-dtype"])
    raise CannotExport(
        f"{engine.title} has no KV format that is '{kept}' beside weights in {dtype}",
        value=f"it offers {offered}", where="option kv_precision",
    )  # fmt: skip


def _memory_share(subject: Subject) -> float:
    """The share of a GPU's memory that the target allows, rounded down."""
    shares = []
    for name in subject.devices:
        device, memory = subject.target.device(name), subject.target.memory_of(name)
        shares.append(device.capacity / memory.capacity)
    return math.floor(min(shares) * 1000) / 1000

"""llama.cpp: the command line of `llama-cli` or `llama-server`, and that of `llama-quantize` before it.

What llama.cpp does with its options was read in its sources (release in data/llama_cpp.json): src/llama-model.cpp
offloads the last ``-ngl`` of layers + head, splits them over ``--device`` by ``-ts``, keeps a layer's KV cache and
attention where the layer is and the embedding table on the CPU; ``-ot`` moves single weights; src/llama-quant.cpp takes
``--tensor-type`` as written unless a row does not divide into the format's blocks.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tradespace.exporters import CannotExport, Entry, Export, Subject
from tradespace_edge.exporters.decoders import EMBED, HEAD, DecoderPlan, decoder_plan, kv_precision
from tradespace_edge.exporters.devices import ask, class_of, maker_of
from tradespace_edge.exporters.option_lists import options_of

TENSORS: Mapping[str, str] = {
    "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up",
    "down": "ffn_down", "norm1": "attn_norm", "norm2": "ffn_norm", "q_norm": "attn_q_norm", "k_norm": "attn_k_norm",
}  # fmt: skip
"""Operators with weights -> their tensors in a GGUF file."""

WITH_THE_CACHE = ("scores", "softmax", "values", "rope")
"""Operators that llama.cpp runs where the layer's KV cache is."""

_OURS: Mapping[str, str] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "q8_0", "int4": "q4_0"}
"""Formats of ours by ggml's names; all others are known by ggml's own."""


class LlamaCpp:
    """Command lines of llama-quantize and of llama-cli or llama-server.

    Exact or refused: devices must follow each other in the order of layers, as llama.cpp splits them.
    """

    name = f"llama.cpp {options_of('llama_cpp').release}"
    writes = "command lines of llama-cli or llama-server and of llama-quantize"
    options: ClassVar[Mapping[str, str]] = {
        "model": "GGUF file to write and run (default model.gguf)",
        "source": "GGUF file to quantise, in f16, bf16 or f32 (default model-f16.gguf)",
        "threads": "threads of a decode step (-t), if the plan does not decide them",
        "threads_batch": "threads of a prefill (-tb, default: threads)",
        "device.*": "device's name in llama-cli --list-devices: CPU, CUDA0, Vulkan0, MTL0 ...",
    }

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        plan = decoder_plan(subject, "llama.cpp")
        layout = _layout(subject, plan, options)
        quantize = _quantize(subject, plan, options)
        run, notes = _run(subject, plan, layout, options)
        text = "\n".join(
            (f"# {subject.title}, for {self.name}", shlex.join(quantize), shlex.join(run), *(f"# {n}" for n in notes))
        )
        return Export(text + "\n", {"release": self.name, "quantize": quantize, "run": run}, notes)


@dataclass(frozen=True)
class Layout:
    """Where llama.cpp keeps things: its devices in order with layers (head included) each, and single weights."""

    offloaded: int
    devices: tuple[tuple[str, int], ...]  # (name in llama.cpp, layers)
    overrides: tuple[tuple[str, str], ...]  # (pattern, name)


# -- precisions --------------------------------------------------------------------------------------------------------


def ggml_type(subject: Subject, precision: str, where: str) -> str:
    """The tensor type of ggml that is this format. Raises `CannotExport` where there is none."""
    known = options_of("llama_cpp").choices["--tensor-type"]
    name = _OURS.get(precision, precision.replace("-", "_").lower())
    if name not in known:
        raise CannotExport(
            f"llama.cpp has no tensor type that is '{precision}'", where=where,
            remedy=f"Formats it shares with tradespace: {', '.join(sorted(set(_OURS) | _shared(subject)))}.",
        )  # fmt: skip
    block = subject.precision(precision).block
    rows = {int(subject.facts[key]) for key in ("hidden", "ffn") if key in subject.facts}
    odd = [row for row in rows if row % block]
    if odd:
        raise CannotExport(
            f"rows must divide into blocks of {block} for {name}", value=f"rows of {odd[0]}", where=where,
            remedy="llama-quantize would take another format for them without asking.",
        )  # fmt: skip
    return name


def _shared(subject: Subject) -> set[str]:
    known = options_of("llama_cpp").choices["--tensor-type"]
    return {name for name in subject.registry.names("precisions") if name in known}


def _quantize(subject: Subject, plan: DecoderPlan, options: Mapping[str, str]) -> list[str]:
    """The command that writes the file: the commonest format as base, all others tensor by tensor."""
    types: dict[str, dict[str, str]] = {}
    for block, operators in plan.parts.items():
        types[block] = {
            op: ggml_type(subject, entry.precision, f"block '{block}'" + (f", operator '{op}'" if op else ""))
            for op, entry in operators.items()
            if not op or op in TENSORS or op in (EMBED, "lm_head")
        }
    layers = [types[str(i)] for i in range(plan.layers)]
    base = Counter(kind for layer in layers for kind in layer.values()).most_common(1)[0][0]
    table, head = _only(types[EMBED]), types[HEAD].get("lm_head", types[HEAD].get("", base))
    if plan.tied and table != head:
        raise CannotExport(
            "a GGUF file stores the tied table of embedding and head once, in one format",
            value=f"embedding {table}, head {head}", where="blocks 'embed' and 'head'",
        )  # fmt: skip
    words = ["llama-quantize", "--pure", "--token-embedding-type", table]
    words += [] if plan.tied else ["--output-tensor-type", head]
    words += [word for pattern, kind in _patterns(layers, base) for word in ("--tensor-type", f"{pattern}={kind}")]
    words += [options.get("source", "model-f16.gguf"), options.get("model", "model.gguf"), base.upper()]
    lists = options_of("llama_cpp")
    assert all(word in lists.quantize_options for word in words if word.startswith("--"))
    if base.upper() not in lists.choices["type"]:
        raise CannotExport("llama-quantize cannot make most of a file this type", value=base, remedy=_mixture(base))
    return words


def _mixture(base: str) -> str:
    return f"It has {base.upper()} for single tensors only."


def _only(types: Mapping[str, str]) -> str:
    return next(iter(types.values()))


def _patterns(layers: Sequence[Mapping[str, str]], base: str) -> list[tuple[str, str]]:
    """--tensor-type pairs for everything that is not in the base format; layers that agree share a pattern."""
    groups: dict[tuple[str, str], list[int]] = {}
    for index, operators in enumerate(layers):
        for op, kind in operators.items():
            if kind != base and not TENSORS.get(op, "").endswith("norm"):
                groups.setdefault((op, kind), []).append(index)
    found = []
    for (op, kind), rows in groups.items():
        tensor = TENSORS[op] + r"\.weight" if op else ""
        found.append((rf"blk\.({'|'.join(map(str, rows))})\.{tensor}", kind))
    return found


# -- placement ---------------------------------------------------------------------------------------------------------


def _layout(subject: Subject, plan: DecoderPlan, options: Mapping[str, str]) -> Layout:
    homes = [_home(plan.layer(i), i) for i in range(plan.layers)]
    head = plan.parts[HEAD].get("lm_head", plan.parts[HEAD].get(""))
    assert head is not None
    names = {device: _llama_name(subject, device, options) for device in subject.devices}
    cpu = {device for device, name in names.items() if name == "CPU"}
    first = next((i for i, device in enumerate(homes) if device not in cpu), plan.layers)
    order = list(dict.fromkeys(homes[first:]))
    _check_order(homes, first, order, cpu)
    on_gpu = first < plan.layers or head.device not in cpu
    counts = [homes[first:].count(device) for device in order]
    overrides: list[tuple[str, str]] = []
    if on_gpu and not order:  # only the head is offloaded
        order, counts = [head.device], [0]
    if order:
        counts[-1] += 1  # the head counts as a layer, behind the last one
        if head.device != order[-1]:
            pattern = r"^token_embd\.weight" if plan.tied else r"^output"
            overrides.append((pattern, names[head.device]))
    table = plan.parts[EMBED][next(iter(plan.parts[EMBED]))]
    overrides += _table_override(plan, table, head, names)
    for index in range(plan.layers):
        overrides += _weight_overrides(plan.layer(index), index, homes[index], names)
    used = tuple((names[device], count) for device, count in zip(order, counts, strict=True))
    return Layout(sum(counts), used, _grouped(overrides))


def _home(layer: Mapping[str, Entry], index: int) -> str:
    """The device that keeps the layer's cache: that of its attention."""
    if "" in layer:
        return layer[""].device
    kept = [layer[op] for op in WITH_THE_CACHE if op in layer]
    if not kept:
        raise CannotExport("llama.cpp needs to know where a layer's attention is", where=f"block '{index}'")
    for entry in kept:
        if entry.device != kept[0].device:
            raise CannotExport(
                "llama.cpp runs a layer's attention where its KV cache is",
                value=f"{kept[0].name} on {kept[0].device}, {entry.name} on {entry.device}", where=f"block '{index}'",
            )  # fmt: skip
    return kept[0].device


def _check_order(homes: Sequence[str], first: int, order: Sequence[str], cpu: set[str]) -> None:
    back = next((i for i in range(first, len(homes)) if homes[i] in cpu), None)
    if back is not None:
        raise CannotExport(
            "llama.cpp offloads the last layers: none after an offloaded one stays on the CPU",
            value=f"block {back} on {homes[back]} after block {first} on {homes[first]}",
            remedy="Search with options.placement=contiguous.",
        )
    seen = [device for i, device in enumerate(homes[first:]) if i == 0 or homes[first + i - 1] != device]
    if len(seen) != len(order):
        again = next(d for i, d in enumerate(seen) if d in seen[:i])
        raise CannotExport(
            "llama.cpp gives each device one run of layers", value=f"several runs on {again}",
            remedy="Search with options.placement=contiguous.",
        )  # fmt: skip


def _table_override(plan: DecoderPlan, table: Entry, head: Entry, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The embedding table is on the CPU unless told otherwise; with tied weights the head has a copy of its own."""
    if names[table.device] == "CPU":
        return []
    if plan.tied and head.device != table.device:
        raise CannotExport(
            "llama.cpp moves both copies of a tied table together",
            value=f"embed on {table.device}, head on {head.device}", where="blocks 'embed' and 'head'",
        )  # fmt: skip
    return [(r"^token_embd\.weight", names[table.device])]


def _weight_overrides(
    layer: Mapping[str, Entry], index: int, home: str, names: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Operators whose weights are elsewhere than their layer. Refuses weightless ones on a third device."""
    found, near = [], {home}
    for op, entry in layer.items():
        if op in TENSORS and entry.device != home:
            found.append((rf"blk\.{index}\.{TENSORS[op]}\.", names[entry.device]))
            near.add(entry.device)
    for op, entry in layer.items():
        if op and op not in TENSORS and op not in WITH_THE_CACHE and entry.device not in near:
            raise CannotExport(
                "llama.cpp runs an operator without weights beside one with weights",
                value=f"'{entry.name}' on {entry.device}", where=f"block '{index}'",
            )  # fmt: skip
    return found


def _grouped(overrides: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """``blk\\.0\\.ffn_up\\.`` and ``blk\\.1\\.ffn_up\\.`` as one pattern."""
    groups: dict[tuple[str, str], list[str]] = {}
    order: list[tuple[str, str]] = []
    for pattern, name in overrides:
        head, _, rest = pattern.partition(r"\.")
        index, _, tensor = rest.partition(r"\.")
        key = (tensor, name) if head == "blk" else (pattern, name)
        if key not in groups:
            order.append(key)
        groups.setdefault(key, []).append(index if head == "blk" else "")
    return tuple(
        (key[0] if groups[key] == [""] else rf"blk\.({'|'.join(groups[key])})\.{key[0]}", key[1]) for key in order
    )


def _llama_name(subject: Subject, device: str, options: Mapping[str, str]) -> str:
    given = options.get(f"device.{device}")
    if given:
        return "CPU" if given.upper() == "CPU" else given
    kind, maker = class_of(device), maker_of(subject, device)
    if kind == "cpu":
        return "CPU"
    if kind == "gpu" and maker == "nvidia":
        same = [
            d.name for d in subject.target.devices if class_of(d.name) == "gpu" and maker_of(subject, d.name) == maker
        ]
        return f"CUDA{same.index(device)}"
    if kind == "gpu" and maker == "apple":
        return "MTL0"
    raise ask(subject, device, "llama.cpp", "the name (as in llama-cli --list-devices)")


# -- the command line --------------------------------------------------------------------------------------------------


def _run(
    subject: Subject, plan: DecoderPlan, layout: Layout, options: Mapping[str, str]
) -> tuple[list[str], tuple[str, ...]]:
    notes = ["norms stay F32 in a GGUF file, whatever the plan stores them in"]
    server = plan.batch > 1
    words = ["llama-server" if server else "llama-cli", "-m", options.get("model", "model.gguf"), "-fit", "off"]
    words += ["-ngl", str(layout.offloaded)]
    words += ["-dev", ",".join(name for name, _ in layout.devices) or "none"]
    if len(layout.devices) > 1:
        words += ["-sm", "layer", "-ts", ",".join(str(count) for _, count in layout.devices)]
    if layout.overrides:
        words += ["-ot", ",".join(f"{pattern}={name}" for pattern, name in layout.overrides)]
    words += _threads(subject, options, notes)
    physical = max(plan.batch * (1 if plan.phase == "decode" else plan.prompt), 32)
    words += ["-c", str(plan.context * plan.batch), "-b", str(physical), "-ub", str(physical)]
    words += _cache(subject)
    words += ["-np", str(plan.batch)] if server else (["-n", str(plan.generate)] if plan.generate else [])
    if plan.samples > 1:
        notes.append(
            f"the plan draws {plan.samples} answers one after another: ask {plan.samples} times, prompt cached"
        )
    if any("" not in plan.layer(i) for i in range(plan.layers)):
        notes.append("llama.cpp's scheduler chooses where the residual additions run")
    return options_of("llama_cpp").checked(words), tuple(notes)


def _threads(subject: Subject, options: Mapping[str, str], notes: list[str]) -> list[str]:
    decided = subject.plan.design.get("threads", options.get("threads"))
    batch = options.get("threads_batch", decided)
    for key, value in (("threads", decided), ("threads_batch", batch)):
        if value is not None and not (str(value).isdigit() and 1 <= int(value) <= 4096):
            raise CannotExport("a number of threads is 1 to 4096", value=value, where=f"--set {key}")
    if decided is None:
        notes.append("the plan says nothing of threads: llama.cpp takes one per core (--set threads=N)")
    return (["-t", str(decided)] if decided is not None else []) + (["-tb", str(batch)] if batch is not None else [])


def _cache(subject: Subject) -> list[str]:
    kept = ggml_type(subject, kv_precision(subject), "option kv_precision")
    if kept not in options_of("llama_cpp").choices["-ctk"]:
        raise CannotExport("llama.cpp keeps no KV cache in this format", value=kept, where="option kv_precision")
    fused = _fused(subject)
    if not fused and kept not in ("f32", "f16", "bf16"):
        raise CannotExport(
            "llama.cpp quantises the V cache only with flash attention", value="attention: unfused",
            where="workload", remedy="Use attention: fused.",
        )  # fmt: skip
    return ["-ctk", kept, "-ctv", kept, "-fa", "on" if fused else "off"]


def _fused(subject: Subject) -> bool:
    """Whether scores stay on chip: a fused attention has no softmax that writes them."""
    operators = subject.workload.operators
    rows = [i for i, kind in enumerate(operators.kind) if kind == "softmax"]
    return all(operators.act_in[i] == 0 for i in rows)

"""A language model's plan layer by layer, as the runtimes of language models think of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tradespace.exporters import CannotExport, Entry, Subject

EMBED, HEAD = "embed", "head"
_HEAD_OPERATORS = ("norm", "lm_head")


@dataclass(frozen=True)
class DecoderPlan:
    """Parts of a decoder: block ("embed", "0" ... "head") -> operator ("" is the whole block) -> entry."""

    parts: Mapping[str, Mapping[str, Entry]]
    layers: int
    tied: bool
    prompt: int
    generate: int
    batch: int
    samples: int
    phase: str

    @property
    def context(self) -> int:
        """Tokens of one sequence at most."""
        return self.prompt + self.generate

    def layer(self, index: int) -> Mapping[str, Entry]:
        return self.parts[str(index)]


def decoder_plan(subject: Subject, tool: str) -> DecoderPlan:
    """Raises `CannotExport` where the workload is no decoder."""
    facts = subject.facts
    if not {"layers", "phase", "hidden"} <= set(facts):
        raise CannotExport(
            f"{tool} runs language models",
            value=f"workload '{subject.workload.name}' of kind '{subject.workload.kind}'",
            remedy="'--to json' writes any plan.",
        )
    parts: dict[str, dict[str, Entry]] = {}
    for entry in subject.entries:
        block, _, operator = (HEAD, ".", entry.name) if entry.name in _HEAD_OPERATORS else entry.name.partition(".")
        parts.setdefault(block, {})[operator] = entry
    layers = int(facts["layers"])
    missing = [name for name in (EMBED, HEAD, *map(str, range(layers))) if name not in parts]
    if missing:
        raise CannotExport(f"{tool} needs a plan for every block of a decoder", value=f"none for {missing[0]}")
    phase = str(facts["phase"])
    prompt = int(facts.get("prompt", facts.get("context", 1)))
    samples = int(subject.plan.design.get("k", facts.get("samples", 1)))
    return DecoderPlan(
        parts, layers, bool(subject.workload.ties), prompt, int(facts.get("generate", 1 if phase == "decode" else 0)),
        int(facts["batch"]), samples, phase,
    )  # fmt: skip


def kv_precision(subject: Subject) -> str:
    return str(subject.plan.options.get("kv_precision") or "fp16")


def whole_blocks(plan: DecoderPlan, tool: str) -> dict[str, Entry]:
    """Block -> its one entry. Raises `CannotExport` if a block's operators differ in device or format."""
    found = {}
    for block, operators in plan.parts.items():
        first, *others = operators.values()
        for other in others:
            if (other.device, other.precision) != (first.device, first.precision):
                raise CannotExport(
                    f"{tool} runs a block as one",
                    value=f"{first.name} on {first.device} in {first.precision}, "
                    f"{other.name} on {other.device} in {other.precision}",
                    where=f"block '{block}'",
                )
        found[block] = first
    return found

"""Decoder-only language models as an operator graph: one prefill, one decode step, or a whole request.

A request is one prefill of `prompt` tokens per sequence and then, for each of `samples` answers, `generate` decode
steps. Samples are drawn one after another and share the prompt's KV cache; what each generated stays cached until all
are drawn. Cost is linear in the context, so a decode step at the mean context times the number of steps is exact.
Both phases share blocks, and only the prefill rows own memory: weights once, the KV cache at its final size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradespace.workloads import layers
from tradespace.workloads.config import (
    DecoderConfig,
    Job,
    check_decoder_keys,
    check_job,
    read_config,
    read_job,
)
from tradespace.workloads.layers import Part, Step
from tradespace.workloads.operators import PRICED, Edges, OperatorGraph, Operators
from tradespace.workloads.options import text, word

META_KEYS = ("name", "title", "source", "kind", "native_precision", "note")
SOURCE_KINDS = ("measured", "datasheet", "paper", "derived", "substitute", "fitted")


@dataclass(frozen=True)
class Origin:
    """Where a shape comes from.

    Args:
        name: of the workload.
        source: file, model card or paper.
        kind: one of `SOURCE_KINDS`.
        native_precision: what the weights are shipped in.
        facts: more for people.
    """

    name: str
    source: str
    kind: str = "datasheet"
    native_precision: str | None = None
    facts: Mapping[str, float | str] | None = None


def build(options: Mapping[str, Any]) -> OperatorGraph:
    """The workload type `decoder`: flat options, named as the fields of DecoderConfig and Job, and `META_KEYS`.

    Raises:
        InputError, UnknownName: an unknown key, or a value that is missing, out of bounds or contradicts another.
    """
    name = text(options, "name", "workload", default="decoder")
    where = f"workload {name}"
    check_decoder_keys(options, META_KEYS, where)
    title, note = text(options, "title", where, default=name), text(options, "note", where, default="")
    origin = Origin(
        name=name,
        source=text(options, "source", where, default="given by the user"),
        kind=word(options, "kind", where, known=SOURCE_KINDS, default="datasheet"),
        native_precision=text(options, "native_precision", where, default="") or None,
        facts={"title": title} | ({"note": note} if note else {}),
    )
    return build_decoder(read_config(options, where), read_job(options, where), origin)


def build_decoder(config: DecoderConfig, job: Job, origin: Origin) -> OperatorGraph:
    """The operator graph of `job` on a decoder of shape `config`.

    Raises:
        InputError: the job exceeds the model's context.
    """
    check_job(config, job, f"workload {origin.name}")
    blocks = ("embed", *map(str, range(config.layers)), "head", *(f"mtp{module}" for module in range(config.mtp)))
    operators, edges = _assemble(blocks, [(step, _parts(config, step)) for step in plan_steps(job)])
    last = config.layers + 1
    table = float(config.vocab * (config.embed_width or config.hidden))
    ties = (*(((0, last, table),) if config.tied else ()), *((last, last + 1 + i, table) for i in range(config.mtp)))
    parameters = float(operators.weights_resident.sum()) - sum(elements for _, _, elements in ties)
    return OperatorGraph(
        name=origin.name,
        operators=operators,
        blocks=blocks,
        edges=edges,
        ties=ties,
        tokens=float(job.batch * (job.samples if job.phase != "prefill" else 1))
        * (job.generate if job.phase == "request" else 1),
        samples=job.samples,
        parameters=parameters,
        sources={"shape": origin.source, "kind": origin.kind},
        native_precision=origin.native_precision,
        facts=_facts(config, job) | _expert_facts(config, parameters) | dict(origin.facts or {}),
    )


def plan_steps(job: Job) -> tuple[Step, ...]:
    """The passes of a job; at most two."""
    batch, fused = float(job.batch), job.attention == "fused"
    kept = (job.prompt, job.generate, job.samples) if job.phase == "request" else (job.prompt, 0, 1)
    prefill = Step("", batch, float(job.prompt), (1, job.prompt), True, kept, 1.0, fused=fused)
    if job.phase == "prefill":
        return (prefill,)
    if job.phase == "decode":
        seen, kept = (job.context, job.context), (0, job.context, job.samples)
        return (Step("", batch, 1.0, seen, False, kept, float(job.samples), fused=fused),)
    seen = (job.prompt + 1, job.prompt + job.generate)
    repeat = float(job.generate * job.samples)
    return (prefill, Step("/decode", batch, 1.0, seen, False, kept, repeat, resident=False, fused=fused))


def _parts(config: DecoderConfig, step: Step) -> list[Part]:
    """One part a block; layers of one type share the same object."""
    kinds = tuple(zip(config.layer_types, config.ffn_types, strict=True))
    by_type = {pair: layers.layer(config, *pair, step) for pair in dict.fromkeys(kinds)}
    more = [layers.predictor(config, step)] * config.mtp
    return [layers.embed(config, step), *(by_type[pair] for pair in kinds), layers.head(config, step), *more]


def _assemble(blocks: Sequence[str], passes: Sequence[tuple[Step, Sequence[Part]]]) -> tuple[Operators, Edges]:
    """Stack the parts of all passes and join each block to the one before it."""
    names: list[str] = []
    kinds: list[str] = []
    edges: list[tuple[int, int, float, float]] = []
    sizes: list[int] = []
    for step, parts in passes:
        output = -1
        for block, part in zip(blocks, parts, strict=True):
            start = len(names)
            prefix = "" if block in ("embed", "head") else f"{block}."
            names.extend(f"{prefix}{row.name}{step.suffix}" for row in part.rows)
            kinds.extend(row.kind for row in part.rows)
            sizes.append(len(part.rows))
            edges.extend((output, start + row, elements, step.repeat) for row, elements in part.enters)
            edges.extend((start + a, start + b, elements, step.repeat) for a, b, elements in part.edges)
            output = len(names) - 1
    columns = np.concatenate([part.columns for _, parts in passes for part in parts])
    owners = np.concatenate([np.arange(len(parts)) for _, parts in passes])
    repeat = np.concatenate([np.full(len(parts), step.repeat) for step, parts in passes])
    operators = Operators(
        name=tuple(names),
        kind=tuple(kinds),
        block=np.repeat(owners, sizes).astype(np.int32),
        repeat=np.repeat(repeat, sizes),
        **{column: np.ascontiguousarray(columns[:, index]) for index, column in enumerate(PRICED)},
    )
    source, dest, elements, count = (np.array(column, dtype=np.float64) for column in zip(*edges, strict=True))
    return operators, Edges(source.astype(np.int32), dest.astype(np.int32), elements, count)


def _expert_facts(config: DecoderConfig, parameters: float) -> dict[str, float | str]:
    """Experts, and the parameters that one token passes."""
    moe = config.moe
    if moe is None:
        return {}
    idle = (moe.experts - moe.active) * config.ffn_types.count("moe")
    each = (2 + config.gated) * config.hidden * moe.ffn + moe.bias * ((1 + config.gated) * moe.ffn + config.hidden)
    return {"experts": moe.experts, "experts_active": moe.active, "active_parameters": parameters - idle * each}


def _facts(config: DecoderConfig, job: Job) -> dict[str, float | str]:
    shape = {
        "layers": config.layers,
        "hidden": config.hidden,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "ffn": config.ffn,
        "vocab": config.vocab,
        "max_context": config.max_context,
    }
    lengths = {
        "prefill": {"prompt": job.prompt},
        "decode": {"context": job.context},
        "request": {"prompt": job.prompt, "generate": job.generate},
    }[job.phase]
    return {**shape, "phase": job.phase, **lengths, "batch": job.batch, "samples": job.samples}

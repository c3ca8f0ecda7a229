"""Training jobs: one step of gradient descent on a decoder, as counts per layer.

Any decoder shape can be trained: ``{extends: llama-3.2-1b, type: training, sequence: 4096, global_batch: 256}``. The
counts come from the operator graph of a prefill over the whole sequence, so experts, latent attention and state-space
layers are counted by the same rules as in inference; only the head differs, since every token is predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError
from tradespace.workloads.config import (
    CONFIG_KEYS,
    JOB_KEYS,
    MAX_TOKENS,
    DecoderConfig,
    Job,
    check_job,
    read_config,
    read_job,
)
from tradespace.workloads.decoder import META_KEYS, SOURCE_KINDS, Origin, build_decoder
from tradespace.workloads.operators import OperatorGraph
from tradespace.workloads.options import check_keys, integer, text, word

Floats = NDArray[np.float64]

PRECISIONS = ("fp16", "bf16", "fp32")
TRAINING_KEYS = ("sequence", "global_batch", "precision")


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A workload of kind "training": one step over ``global_batch`` sequences of ``sequence`` tokens.

    All arrays are (layers,), per sequence and forward pass.

    Args:
        flop: of a layer. attention: the part of it that is recomputed selectively (scores, softmax, values).
        weights: parameters of a layer.
        expert_weights: the part of them that routed experts hold. routed: elements that tokens carry to their experts.
        residual: elements kept for backward that every rank of a tensor-parallel group holds whole (outputs of norms
            and additions; Korthikanti et al., arXiv 2205.05198, section 4.2).
        inner: elements kept for backward that are split over the group.
        embedding, head: (FLOP, parameters) at the two ends.
        tied: elements of the table that both ends share, 0 for none; each end of a pipeline holds it.
        parameters: distinct ones.
        experts: routed ones of a layer, 0 for none.
        hidden, vocab: widths of what stages exchange and of the logits.
        precision: of weights, activations and gradients.
    """

    name: str
    flop: Floats
    attention: Floats
    weights: Floats
    expert_weights: Floats
    routed: Floats
    residual: Floats
    inner: Floats
    embedding: tuple[float, float]
    head: tuple[float, float]
    hidden: int
    vocab: int
    sequence: int
    global_batch: int
    precision: str
    tied: float
    parameters: float
    experts: int
    sources: Mapping[str, str]
    facts: Mapping[str, float | str] = field(default_factory=dict)

    kind: ClassVar[str] = "training"

    @property
    def layers(self) -> int:
        return len(self.flop)

    @property
    def tokens(self) -> float:
        return float(self.global_batch) * self.sequence


def build(options: Mapping[str, Any]) -> TrainingJob:
    """The workload type `training`: a decoder's shape, ``sequence`` (tokens), ``global_batch`` (sequences a step),
    ``precision`` (fp16, bf16 or fp32). What a decoder says of inference (phase, prompt, context, ...) is ignored; a
    ``batch`` other than 1 is refused, since it would change nothing.

    Raises:
        InputError, UnknownName: an unknown key, or a value that is missing, out of bounds or contradicts another.
    """
    name = text(options, "name", "workload", default="training")
    where = f"workload {name}"
    check_keys(options, (*CONFIG_KEYS, *JOB_KEYS, *META_KEYS, *TRAINING_KEYS), where)
    config = replace(read_config(options, where), mtp=0)
    sequence = integer(options, "sequence", where, high=MAX_TOKENS, default=config.max_context or None)
    if options.get("batch", 1) != 1:
        raise InputError("the batch of a training job is 'global_batch'", value=options["batch"], where=where)
    asked = read_job({"attention": options.get("attention")}, where)
    job = Job(phase="prefill", prompt=sequence, attention=asked.attention)
    check_job(config, job, where)
    origin = Origin(
        name=name,
        source=text(options, "source", where, default="given by the user"),
        kind=word(options, "kind", where, known=SOURCE_KINDS, default="datasheet"),
    )
    native = text(options, "native_precision", where, default="fp16")
    precision = word(options, "precision", where, known=PRECISIONS, default=native if native in PRECISIONS else "fp16")
    batch = integer(options, "global_batch", where, high=10_000_000, default=256)
    title = text(options, "title", where, default=name)
    return _job(config, build_decoder(config, job, origin), sequence, batch, precision, title)


def _job(
    config: DecoderConfig, graph: OperatorGraph, sequence: int, batch: int, precision: str, title: str
) -> TrainingJob:
    ops, blocks = graph.operators, len(graph.blocks)
    kind = np.array(ops.kind)
    core = np.isin(kind, ("attention", "softmax", "scan"))
    names = np.array([name.rpartition(".")[2] for name in ops.name])
    expert = np.char.startswith(names, "experts_")
    stays = (kind == "norm") | _linear(graph)[0]

    def per_block(values: Floats) -> Floats:
        return np.bincount(ops.block, values, blocks).astype(np.float64)

    kept = np.where(_linear(graph)[1], 0.0, ops.act_out) + ops.kv_write
    inner, residual = per_block(np.where(stays, 0.0, kept)), per_block(np.where(stays, kept, 0.0))
    flop, parameters = per_block(ops.flop), per_block(ops.weights_resident)
    head = 2.0 * sequence * config.hidden * config.vocab
    layers = slice(1, config.layers + 1)
    job = TrainingJob(
        name=graph.name,
        flop=flop[layers],
        attention=per_block(np.where(core, ops.flop, 0.0))[layers],
        weights=parameters[layers],
        expert_weights=per_block(np.where(expert, ops.weights_resident, 0.0))[layers],
        routed=per_block(np.where(names == "experts_down", ops.act_out, 0.0))[layers],
        residual=residual[layers],
        inner=inner[layers],
        embedding=(float(flop[0]), float(parameters[0])),
        head=(head, float(parameters[config.layers + 1])),
        hidden=config.hidden,
        vocab=config.vocab,
        sequence=sequence,
        global_batch=batch,
        precision=precision,
        tied=sum(elements for _, _, elements in graph.ties),
        parameters=graph.parameters,
        experts=config.moe.experts if config.moe is not None else 0,
        sources=graph.sources,
    )
    if not np.isfinite(job.flop).all():
        raise InputError("a layer's arithmetic is a finite number", where=f"workload {graph.name}")
    return replace(job, facts=_facts(config, job, title))


def _linear(graph: OperatorGraph) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """((n,) additions to the residual stream, (n,) outputs that backward does not read: only added or rotated)."""
    names = [name.rpartition(".")[2] for name in graph.operators.name]
    adds = np.array(["add" in name for name in names])
    passes = adds | np.array([name == "rope" for name in names])
    fed, read = np.zeros(len(adds), bool), np.zeros(len(adds), bool)
    fed[graph.edges.source] = True
    read[graph.edges.source[~passes[graph.edges.dest]]] = True
    return adds, fed & ~read & ~adds


def model_flop(layers: int, hidden: int, sequence: int, vocab: int) -> float:
    """FLOP a sequence as training throughput is reported: 96 s l h^2 (1 + s / 6h + V / 16 l h), full recomputation
    included (Narayanan et al., arXiv 2104.04473, eq. 3)."""
    s, depth, h = float(sequence), float(layers), float(hidden)
    return 96.0 * s * depth * h * h * (1.0 + s / (6.0 * h) + vocab / (16.0 * depth * h))


def _facts(config: DecoderConfig, job: TrainingJob, title: str) -> dict[str, float | str]:
    """Numbers for people; `model_flop` is what reported FLOP/s count."""
    return {
        "title": title,
        "layers": job.layers,
        "hidden": job.hidden,
        "heads": config.heads,
        "ffn": config.ffn,
        "vocab": job.vocab,
        "sequence": job.sequence,
        "global_batch": job.global_batch,
        "precision": job.precision,
        "parameters": job.parameters,
        "forward_flop": float(job.flop.sum()) + job.embedding[0] + job.head[0],
        "model_flop": model_flop(job.layers, job.hidden, job.sequence, job.vocab),
    }

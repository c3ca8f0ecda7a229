"""The shape of a decoder-only language model, and the job it is asked to do. Both frozen, both checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.options import check_keys, flag, integer, word

LAYER_TYPES = ("attention", "sliding", "conv")
PHASES = ("prefill", "decode", "request")
MAX_LAYERS = 10_000
MAX_TOKENS = 100_000_000


@dataclass(frozen=True)
class DecoderConfig:
    """Shape of a decoder: llama, mistral, qwen2, GPT-2 and gated-convolution hybrids (LFM2).

    Args:
        vocab, hidden, heads, ffn: as in the model card; `ffn` is the inner width of the feed-forward network.
        kv_heads: heads of keys and values (equal to `heads`: no grouping).
        head_dim: width of a head.
        layer_types: one of `LAYER_TYPES` for each layer; "sliding" sees `window` positions, "conv" is a gated short
            convolution of `conv_kernel` positions.
        gated: two input projections, one gating the other (SwiGLU); else one (GELU).
        norm: "rms" (one weight a channel) or "layer" (two).
        tied: the output projection is the embedding table.
        qkv_bias, out_bias, ffn_bias: which projections carry a bias.
        qk_norm: RMS norms over the heads of queries and keys.
        positions: "rope" or "learned" (a table of `max_context` rows).
        max_context: longest context, 0 if unknown.
    """

    vocab: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    layer_types: tuple[str, ...]
    gated: bool = True
    norm: str = "rms"
    tied: bool = False
    qkv_bias: bool = False
    out_bias: bool = False
    ffn_bias: bool = False
    qk_norm: bool = False
    positions: str = "rope"
    max_context: int = 0
    window: int = 0
    conv_kernel: int = 0

    @property
    def layers(self) -> int:
        return len(self.layer_types)

    @property
    def group(self) -> int:
        """Query heads that share one key and value head."""
        return self.heads // self.kv_heads

    @property
    def norm_weights(self) -> int:
        return self.hidden if self.norm == "rms" else 2 * self.hidden


CONFIG_KEYS = (*(f.name for f in fields(DecoderConfig)), "layers")


def read_config(options: Mapping[str, Any], where: str) -> DecoderConfig:
    """The shape named by `options` (keys: `CONFIG_KEYS`; others are ignored here).

    Raises:
        InputError, UnknownName: a value is missing, out of bounds, or contradicts another.
    """
    hidden = integer(options, "hidden", where, high=1_000_000, default=None)
    heads = integer(options, "heads", where, high=100_000, default=None)
    kv_heads = integer(options, "kv_heads", where, high=100_000, default=heads)
    if heads % kv_heads:
        raise InputError("'heads' is a multiple of 'kv_heads'", value=f"{heads} and {kv_heads}", where=where)
    if options.get("head_dim") is None and hidden % heads:
        raise InputError(
            "without 'head_dim', 'hidden' is a multiple of 'heads'", value=f"{hidden}/{heads}", where=where
        )
    window = integer(options, "window", where, low=0, high=MAX_TOKENS, default=0)
    types = _layer_types(options, "sliding" if window else "attention", where)
    if "sliding" in types and not window:
        raise InputError("sliding layers need a 'window' of at least 1", where=where)
    kernel = integer(options, "conv_kernel", where, low=0, high=1024, default=0)
    if "conv" in types and not kernel:
        raise InputError("conv layers need a 'conv_kernel' of at least 1", where=where)
    positions = word(options, "positions", where, known=("rope", "learned"), default="rope")
    max_context = integer(options, "max_context", where, low=0, high=MAX_TOKENS, default=0)
    if positions == "learned" and not max_context:
        raise InputError("learned positions need 'max_context', the rows of their table", where=where)
    return DecoderConfig(
        vocab=integer(options, "vocab", where, high=100_000_000, default=None),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=integer(options, "head_dim", where, high=100_000, default=max(1, hidden // heads)),
        ffn=integer(options, "ffn", where, high=10_000_000, default=None),
        layer_types=types,
        gated=flag(options, "gated", where, default=True),
        norm=word(options, "norm", where, known=("rms", "layer"), default="rms"),
        tied=flag(options, "tied", where, default=False),
        qkv_bias=flag(options, "qkv_bias", where, default=False),
        out_bias=flag(options, "out_bias", where, default=False),
        ffn_bias=flag(options, "ffn_bias", where, default=False),
        qk_norm=flag(options, "qk_norm", where, default=False),
        positions=positions,
        max_context=max_context,
        window=window,
        conv_kernel=kernel,
    )


def _layer_types(options: Mapping[str, Any], default: str, where: str) -> tuple[str, ...]:
    given = options.get("layer_types")
    if given is None:
        return (default,) * integer(options, "layers", where, high=MAX_LAYERS, default=None)
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MAX_LAYERS:
        raise InputError(f"'layer_types' lists 1 to {MAX_LAYERS} layers", value=repr(given)[:80], where=where)
    if integer(options, "layers", where, high=MAX_LAYERS, default=len(given)) != len(given):
        raise InputError("'layer_types' has one entry per layer", value=len(given), where=where)
    return tuple(word({"layer type": kind}, "layer type", where, known=LAYER_TYPES, default=default) for kind in given)


@dataclass(frozen=True)
class Job:
    """What is asked of the model.

    Args:
        phase: "prefill" (the prompt, one token out), "decode" (one token at `context`), "request" (one prefill of
            `prompt` tokens, then `generate` decode steps for each of `samples` answers).
        prompt, generate: tokens per sequence.
        context: positions that the decode step sees, the new token included. A request ignores it.
        batch: sequences that run together.
        samples: answers per sequence, drawn one after another; all share the prompt's KV cache.
        attention: "fused" keeps scores and probabilities on chip (FlashAttention, arXiv 2205.14135); "unfused" writes
            and reads them.
    """

    phase: str = "request"
    prompt: int = 512
    generate: int = 128
    context: int = 512
    batch: int = 1
    samples: int = 1
    attention: str = "fused"

    @property
    def longest(self) -> int:
        """Longest context that occurs."""
        return {"prefill": self.prompt, "decode": self.context, "request": self.prompt + self.generate}[self.phase]


JOB_KEYS = tuple(f.name for f in fields(Job))


def read_job(options: Mapping[str, Any], where: str) -> Job:
    """The job named by `options` (keys: `JOB_KEYS`; others are ignored here).

    Raises:
        InputError, UnknownName: a value is out of bounds or unknown.
    """
    known = Job()
    prompt = integer(options, "prompt", where, high=MAX_TOKENS, default=known.prompt)
    return Job(
        phase=word(options, "phase", where, known=PHASES, default=known.phase),
        prompt=prompt,
        generate=integer(options, "generate", where, high=MAX_TOKENS, default=known.generate),
        context=integer(options, "context", where, high=MAX_TOKENS, default=prompt),
        batch=integer(options, "batch", where, high=1_000_000, default=known.batch),
        samples=integer(options, "samples", where, high=1_000_000, default=known.samples),
        attention=word(options, "attention", where, known=("fused", "unfused"), default=known.attention),
    )


def check_job(config: DecoderConfig, job: Job, where: str) -> None:
    """Refuse a job that is longer than the model's context.

    Raises:
        InputError: prompt and generated tokens exceed `max_context`.
    """
    if config.max_context and job.longest > config.max_context:
        raise InputError(
            f"the context fits the model's {config.max_context} positions",
            value=f"{job.longest} ({job.phase})",
            where=where,
            remedy="Shorten prompt, generate or context.",
        )


def check_decoder_keys(options: Mapping[str, Any], extra: tuple[str, ...], where: str) -> None:
    """Refuse keys that are neither shape, job nor `extra`.

    Raises:
        UnknownName: with the closest known keys.
    """
    check_keys(options, (*CONFIG_KEYS, *JOB_KEYS, *extra), where)

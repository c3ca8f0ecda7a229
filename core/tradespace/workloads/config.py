"""The shape of a decoder-only language model, and the job it is asked to do. Both frozen, both checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.options import check_keys, flag, integer, word
from tradespace.workloads.shapes import MLA, SSM, MoE, read_mla, read_moe, read_ssm

LAYER_TYPES = ("attention", "sliding", "mla", "conv", "mamba", "mamba2", "hybrid")
"""How a layer mixes positions; "hybrid" runs attention and Mamba-2 side by side (Falcon-H1)."""
FFN_TYPES = ("dense", "moe", "none")
NORMS = ("pre", "sandwich", "parallel")
POSITIONS = ("rope", "learned", "alibi", "none")
PHASES = ("prefill", "decode", "request")
MAX_LAYERS = 10_000
MAX_TOKENS = 100_000_000


@dataclass(frozen=True)
class DecoderConfig:
    """Shape of a decoder: attention (grouped, windowed, latent), routed experts, state-space and hybrid layers.

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
        positions: "rope", "learned" (a table of `max_context` + `position_offset` rows), "alibi" or "none".
        max_context: longest context, 0 if unknown.
        ffn_types: one of `FFN_TYPES` for each layer; "none" has only its mixer.
        norms: "pre" (before each half of a layer), "sandwich" (before and after: Gemma), or "parallel" (one norm, both
            halves read it and are added together: Phi).
        norm_bias: the layer norms carry biases. embed_norm, final_norm: norms behind the embedding, before the head.
        sinks: one learned score a head that the softmax sees beside the positions (gpt-oss).
        head_bias: the output projection has a bias.
        embed_width: width of the embedding where it differs from `hidden` (projected in and out; 0: no such).
        mla, moe, ssm: shapes of the parts that the layers name.
        mtp: modules that predict one token more each (DeepSeek-V3, arXiv 2412.19437, section 2.2), after the head.
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
    ffn_types: tuple[str, ...] = ()
    norms: str = "pre"
    norm_bias: bool = True
    embed_norm: bool = False
    final_norm: bool = True
    sinks: bool = False
    head_bias: bool = False
    embed_width: int = 0
    position_offset: int = 0
    mla: MLA | None = None
    moe: MoE | None = None
    ssm: SSM | None = None
    mtp: int = 0

    @property
    def layers(self) -> int:
        return len(self.layer_types)

    @property
    def group(self) -> int:
        """Query heads that share one key and value head."""
        return self.heads // self.kv_heads


CONFIG_KEYS = (*(f.name for f in fields(DecoderConfig)), "layers")


def read_config(options: Mapping[str, Any], where: str) -> DecoderConfig:
    """The shape named by `options` (keys: `CONFIG_KEYS`; others are ignored here).

    Raises:
        InputError, UnknownName: a value is missing, out of bounds, or contradicts another.
    """
    hidden = integer(options, "hidden", where, high=1_000_000, default=None)
    window = integer(options, "window", where, low=0, high=MAX_TOKENS, default=0)
    types = _layer_types(options, "sliding" if window else "attention", where)
    heads, kv_heads, head_dim = _heads(options, hidden, types, where)
    ffns, ffn = _feed_forward(options, types, where)
    config = DecoderConfig(
        vocab=integer(options, "vocab", where, high=100_000_000, default=None),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn=ffn,
        layer_types=types,
        gated=flag(options, "gated", where, default=True),
        norm=word(options, "norm", where, known=("rms", "layer"), default="rms"),
        positions=word(options, "positions", where, known=POSITIONS, default="rope"),
        max_context=integer(options, "max_context", where, low=0, high=MAX_TOKENS, default=0),
        window=window,
        conv_kernel=integer(options, "conv_kernel", where, low=0, high=1024, default=0),
        ffn_types=ffns,
        norms=word(options, "norms", where, known=NORMS, default="pre"),
        embed_width=integer(options, "embed_width", where, low=0, high=1_000_000, default=0),
        position_offset=integer(options, "position_offset", where, low=0, high=1024, default=0),
        mla=read_mla(options.get("mla"), where),
        moe=read_moe(options.get("moe"), where),
        ssm=read_ssm(options.get("ssm"), where),
        mtp=integer(options, "mtp", where, low=0, high=64, default=0),
        **{key: flag(options, key, where, default=default) for key, default in _FLAGS.items()},
    )
    _check_parts(config, where)
    return config


_FLAGS: Mapping[str, bool] = {
    "tied": False, "qkv_bias": False, "out_bias": False, "ffn_bias": False, "qk_norm": False, "norm_bias": True,
    "embed_norm": False, "final_norm": True, "sinks": False, "head_bias": False,
}  # fmt: skip


def _heads(options: Mapping[str, Any], hidden: int, types: tuple[str, ...], where: str) -> tuple[int, int, int]:
    """(heads, kv_heads, head_dim); a model without any attention needs none."""
    attends = any(kind in ("attention", "sliding", "mla", "hybrid") for kind in types)
    heads = integer(options, "heads", where, high=100_000, default=None if attends else 1)
    kv_heads = integer(options, "kv_heads", where, high=100_000, default=heads)
    if heads % kv_heads:
        raise InputError("'heads' is a multiple of 'kv_heads'", value=f"{heads} and {kv_heads}", where=where)
    if options.get("head_dim") is None and options.get("mla") is None and hidden % heads:
        raise InputError(
            "without 'head_dim', 'hidden' is a multiple of 'heads'", value=f"{hidden}/{heads}", where=where
        )
    return heads, kv_heads, integer(options, "head_dim", where, high=100_000, default=max(1, hidden // heads))


def _feed_forward(options: Mapping[str, Any], types: tuple[str, ...], where: str) -> tuple[tuple[str, ...], int]:
    """(type of each layer's feed-forward network, inner width of the dense ones)."""
    default = "moe" if options.get("moe") is not None else "dense"
    given = options.get("ffn_types")
    if given is None:
        given = [default] * len(types)
    elif not isinstance(given, list | tuple) or len(given) != len(types):
        raise InputError(f"'ffn_types' has one entry for each of the {len(types)} layers", where=where)
    found = tuple(word({"ffn type": kind}, "ffn type", where, known=FFN_TYPES, default=default) for kind in given)
    return found, integer(options, "ffn", where, low=1, high=10_000_000, default=None if "dense" in found else 1)


def _check_parts(config: DecoderConfig, where: str) -> None:
    """Every layer finds the shape that it needs."""
    types, ffns = set(config.layer_types), set(config.ffn_types)
    needs = (
        ("sliding" in types and not config.window, "sliding layers need a 'window' of at least 1"),
        ("conv" in types and not config.conv_kernel, "conv layers need a 'conv_kernel' of at least 1"),
        ("mla" in types and config.mla is None, "mla layers need the shape 'mla'"),
        ("moe" in ffns and config.moe is None, "moe layers need the shape 'moe'"),
        (bool(types & {"mamba", "mamba2", "hybrid"}) and config.ssm is None, "state-space layers need the shape 'ssm'"),
        ("mamba" in types and config.ssm is not None and not config.ssm.rank, "mamba layers need 'ssm.rank'"),
        (
            bool(types & {"mamba2", "hybrid"}) and config.ssm is not None and not config.ssm.heads,
            "mamba2 layers need 'ssm.heads'",
        ),
        (
            config.positions == "learned" and not config.max_context,
            "learned positions need 'max_context', the rows of their table",
        ),
    )
    for missing, rule in needs:
        if missing:
            raise InputError(rule, where=where)
    if config.norms == "parallel" and "none" in ffns:
        raise InputError("parallel layers have a feed-forward network each", where=where)


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

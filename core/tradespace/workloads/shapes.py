"""Shapes of the parts that only some decoders have: latent attention, routed experts, state-space layers.

In a workload file each is a mapping: `moe: {experts: 8, active: 2, ffn: 14336}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import expm1, log1p
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.options import check_keys, flag, integer, word

_WIDTH = 100_000_000


@dataclass(frozen=True)
class MLA:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    Args:
        kv_rank: width of the latent that is cached in place of keys and values.
        rope: width of the key part that carries positions; cached once for all heads.
        nope: width of a head's key part without positions.
        value: width of a head's value.
        q_rank: width of the latent of queries; 0: queries are projected directly.
        absorb: where the up-projections of keys and values are folded into queries and outputs, so that attention runs
            on the latent: "decode" (what engines do), "always", or "never" (each step expands all it sees).
    """

    kv_rank: int
    rope: int
    nope: int
    value: int
    q_rank: int = 0
    absorb: str = "decode"


@dataclass(frozen=True)
class MoE:
    """Routed experts.

    Args:
        experts, active: experts of a layer, and how many of them each token visits.
        ffn: inner width of one expert.
        shared: inner width of the experts that every token visits, together (0: none).
        shared_gate: a gate of one output on the shared experts (Qwen2-MoE).
        router_bias: one number an expert beside the router (a bias, or DeepSeek-V3's correction).
        bias: the experts' projections carry biases.
    """

    experts: int
    active: int
    ffn: int
    shared: int = 0
    shared_gate: bool = False
    router_bias: bool = False
    bias: bool = False

    def touched(self, tokens: float) -> float:
        """Expected number of experts that `tokens` tokens visit, if each picks `active` different ones uniformly and
        independently (ours; real routers are less even, so they touch fewer)."""
        if self.active == self.experts:
            return float(self.experts)
        return self.experts * -expm1(tokens * log1p(-self.active / self.experts))


@dataclass(frozen=True)
class SSM:
    """State-space layers: Mamba (arXiv 2312.00752) and Mamba-2 (arXiv 2405.21060).

    Args:
        inner: width of the scanned channels.
        state: state positions of a channel.
        conv: positions of the short convolution before the scan.
        rank: Mamba's rank of the step size; 0 for Mamba-2.
        heads, groups: Mamba-2's heads, and the groups that share B and C.
        chunk: positions that Mamba-2 processes as one product in a prefill.
        conv_bias, bias: biases of the convolution, and of the projections in and out.
        norm: Mamba-2's gated norm before the projection out.
        inner_norms: Jamba's norms on step size, B and C.
    """

    inner: int
    state: int
    conv: int = 4
    rank: int = 0
    heads: int = 0
    groups: int = 1
    chunk: int = 256
    conv_bias: bool = True
    bias: bool = False
    norm: bool = True
    inner_norms: bool = False


def read_mla(raw: object, where: str) -> MLA | None:
    """Raises `InputError` or `UnknownName` for anything that is no shape of latent attention."""
    options, where = _part(raw, "mla", MLA, where)
    if options is None:
        return None
    return MLA(
        **{
            key: integer(options, key, where, high=_WIDTH, default=None) for key in ("kv_rank", "rope", "nope", "value")
        },
        q_rank=integer(options, "q_rank", where, low=0, high=_WIDTH, default=0),
        absorb=word(options, "absorb", where, known=("decode", "always", "never"), default="decode"),
    )


def read_moe(raw: object, where: str) -> MoE | None:
    """Raises `InputError` or `UnknownName` for anything that is no shape of routed experts."""
    options, where = _part(raw, "moe", MoE, where)
    if options is None:
        return None
    experts = integer(options, "experts", where, high=1_000_000, default=None)
    return MoE(
        experts=experts,
        active=integer(options, "active", where, high=experts, default=None),
        ffn=integer(options, "ffn", where, high=_WIDTH, default=None),
        shared=integer(options, "shared", where, low=0, high=_WIDTH, default=0),
        shared_gate=flag(options, "shared_gate", where, default=False),
        router_bias=flag(options, "router_bias", where, default=False),
        bias=flag(options, "bias", where, default=False),
    )


def read_ssm(raw: object, where: str) -> SSM | None:
    """Raises `InputError` or `UnknownName` for anything that is no shape of a state-space layer."""
    options, where = _part(raw, "ssm", SSM, where)
    if options is None:
        return None
    ssm = SSM(
        inner=integer(options, "inner", where, high=_WIDTH, default=None),
        state=integer(options, "state", where, high=1_000_000, default=None),
        conv=integer(options, "conv", where, high=1024, default=4),
        rank=integer(options, "rank", where, low=0, high=_WIDTH, default=0),
        heads=integer(options, "heads", where, low=0, high=_WIDTH, default=0),
        groups=integer(options, "groups", where, high=_WIDTH, default=1),
        chunk=integer(options, "chunk", where, high=_WIDTH, default=256),
        conv_bias=flag(options, "conv_bias", where, default=True),
        bias=flag(options, "bias", where, default=False),
        norm=flag(options, "norm", where, default=True),
        inner_norms=flag(options, "inner_norms", where, default=False),
    )
    if ssm.heads and (ssm.inner % ssm.heads or ssm.heads % ssm.groups):
        raise InputError(
            "'inner' is a multiple of 'heads', and 'heads' of 'groups'",
            value=f"{ssm.inner}, {ssm.heads}, {ssm.groups}",
            where=where,
        )
    return ssm


def _part(raw: object, key: str, kind: type, where: str) -> tuple[Mapping[str, Any] | None, str]:
    if raw is None:
        return None, where
    if not isinstance(raw, Mapping):
        raise InputError(f"'{key}' is a mapping", value=repr(raw)[:80], where=where)
    check_keys(raw, [field.name for field in fields(kind)], f"{where}: {key}")
    return raw, f"{where}: {key}"

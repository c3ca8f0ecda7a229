"""Feed-forward rows of a decoder layer: one network for all tokens, or routed and shared experts."""

from __future__ import annotations

from tradespace.workloads.config import DecoderConfig
from tradespace.workloads.rows import Builder, Row, pointwise
from tradespace.workloads.shapes import MoE


def dense(builder: Builder, config: DecoderConfig, ffn: int, norm: int, prefix: str = "") -> int:
    """The network that every token passes: gated (SwiGLU) or not (GELU)."""
    step, inner = builder.step, builder.step.tokens * ffn
    if config.gated:
        gate = builder.linear(f"{prefix}gate", config.hidden, ffn, norm, bias=config.ffn_bias)
        up = builder.linear(f"{prefix}up", config.hidden, ffn, norm, bias=config.ffn_bias)
        row = pointwise(f"{prefix}act", "elementwise", step, inner, 5 * inner, inputs=2)
        at = builder.add(row, (gate, inner), (up, inner))
    else:
        up = builder.linear(f"{prefix}up", config.hidden, ffn, norm, bias=config.ffn_bias)
        at = builder.add(pointwise(f"{prefix}act", "elementwise", step, inner, 8 * inner), (up, inner))
    return builder.linear(f"{prefix}down", ffn, config.hidden, at, bias=config.ffn_bias)


def experts(builder: Builder, config: DecoderConfig, moe: MoE, norm: int) -> int:
    """Router, the experts that the batch touches, and their weighted sum; shared experts beside them.

    All experts occupy memory; read are the expected ones (`MoE.touched`), each with its share of the tokens.
    """
    step = builder.step
    hidden, tokens = config.hidden, step.tokens
    routed, inner = tokens * moe.active * hidden, tokens * moe.active * moe.ffn
    router = builder.linear("router", hidden, moe.experts, norm, bias=moe.router_bias)
    choose = pointwise("top_k", "softmax", step, tokens * moe.experts, 5 * tokens * moe.experts)
    chosen = builder.add(choose, (router, tokens * moe.experts))
    if config.gated:
        gate = _projection(builder, moe, "experts_gate", hidden, moe.ffn, norm)
        up = _projection(builder, moe, "experts_up", hidden, moe.ffn, norm)
        at = builder.add(
            pointwise("experts_act", "elementwise", step, inner, 5 * inner, inputs=2), (gate, inner), (up, inner)
        )
        builder.edges.append((chosen, gate, tokens * moe.active))
    else:
        up = _projection(builder, moe, "experts_up", hidden, moe.ffn, norm)
        at = builder.add(pointwise("experts_act", "elementwise", step, inner, 8 * inner), (up, inner))
    builder.edges.append((chosen, up, tokens * moe.active))
    down = _projection(builder, moe, "experts_down", moe.ffn, hidden, at)
    together = Row(
        "combine", "elementwise", flop=2 * routed, act_in=routed + tokens * moe.active, act_out=tokens * hidden
    )
    at = builder.add(together, (down, routed), (chosen, tokens * moe.active))
    return _with_shared(builder, config, moe, norm, at) if moe.shared else at


def _with_shared(builder: Builder, config: DecoderConfig, moe: MoE, norm: int, routed: int) -> int:
    step, elements = builder.step, builder.step.tokens * config.hidden
    at = dense(builder, config, moe.shared, norm, "shared_")
    if moe.shared_gate:
        gate = builder.linear("shared_weight", config.hidden, 1, norm)
        row = pointwise("shared_scale", "elementwise", step, elements, elements + 4 * step.tokens)
        at = builder.add(row, (at, elements), (gate, step.tokens))
    row = pointwise("shared_add", "elementwise", step, elements, elements, inputs=2)
    return builder.add(row, (routed, elements), (at, elements))


def _projection(builder: Builder, moe: MoE, name: str, k: int, n: int, source: int) -> int:
    """A projection k -> n in every touched expert."""
    step = builder.step
    visits = step.tokens * moe.active
    touched, each = moe.touched(step.tokens), float(k * n + moe.bias * n)
    row = Row(
        name, "matmul", m=visits / touched, k=k, n=n, count=touched, flop=2 * visits * k * n + moe.bias * visits * n,
        weights=touched * each, act_in=visits * k, act_out=visits * n,
        weights_resident=moe.experts * each * step.resident,
    )  # fmt: skip
    return builder.add(row, (source, visits * k))

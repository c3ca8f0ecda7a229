"""Rows of layers whose memory does not grow with the context: Mamba, Mamba-2 and gated short convolutions.

A state is read once and written once a pass and a sequence: a prefill keeps it on chip while it scans its positions.
"""

from __future__ import annotations

from tradespace.workloads.config import DecoderConfig
from tradespace.workloads.rows import Builder, Row, pointwise
from tradespace.workloads.shapes import SSM


def convolution(builder: Builder, config: DecoderConfig, norm: int) -> int:
    """Gated short convolution of LFM2 (arXiv 2511.23404, section 2): B, C, x = in(u); out(C * conv(B * x))."""
    step, width = builder.step, config.hidden
    elements = step.tokens * width
    projected = builder.linear("in_proj", width, 3 * width, norm)
    gated = builder.add(
        pointwise("gate_b", "elementwise", step, elements, elements, inputs=2), (projected, 2 * elements)
    )
    at = _short_convolution(builder, width, config.conv_kernel, gated)
    row = pointwise("gate_c", "elementwise", step, elements, elements, inputs=2)
    at = builder.add(row, (at, elements), (projected, elements))
    return builder.linear("out_proj", width, width, at)


def _short_convolution(builder: Builder, width: int, kernel: int, source: int, *, bias: bool = False) -> int:
    """A causal convolution over each channel by itself; its last kernel - 1 inputs are its state."""
    step = builder.step
    elements, state = step.tokens * width, step.sequences * width * (kernel - 1)
    weights = float(width * (kernel + bias))
    conv = Row(
        "conv", "conv", m=step.queries, k=kernel, n=1.0, count=step.sequences * width,
        flop=2 * elements * kernel + bias * elements, weights=weights, act_in=elements, act_out=elements,
        kv_read=state, kv_write=state, weights_resident=weights * step.resident, kv_resident=state * step.resident,
    )  # fmt: skip
    return builder.add(conv, (source, elements))


def mamba(builder: Builder, config: DecoderConfig, ssm: SSM, norm: int) -> int:
    """Mamba (arXiv 2312.00752, section 3.4): in, convolution, selection, scan, gate, out.

    The scan costs 9 FLOP a channel, state position and token, and 2 a channel for the skip (counted by the authors in
    github.com/state-spaces/mamba, issue 110).
    """
    step, inner = builder.step, builder.step.tokens * ssm.inner
    selection = ssm.rank + 2 * ssm.state
    projected = builder.linear("in_proj", config.hidden, 2 * ssm.inner, norm, bias=ssm.bias)
    conv = _short_convolution(builder, ssm.inner, ssm.conv, projected, bias=ssm.conv_bias)
    conv = builder.add(pointwise("conv_act", "elementwise", step, inner, 4 * inner), (conv, inner))
    chosen = builder.linear("x_proj", ssm.inner, selection, conv)
    if ssm.inner_norms:
        chosen = builder.norm("x_norm", config, (chosen, step.tokens * selection), width=selection)
    rate = builder.linear("dt_proj", ssm.rank, ssm.inner, chosen, bias=True)
    weights, state = float(ssm.inner * (ssm.state + 1)), step.sequences * ssm.inner * ssm.state
    selected = step.tokens * 2 * ssm.state
    scan = Row(
        "scan", "scan", flop=inner * (9 * ssm.state + 2), weights=weights, act_in=2 * inner + selected, act_out=inner,
        kv_read=state, kv_write=state, weights_resident=weights * step.resident, kv_resident=state * step.resident,
    )  # fmt: skip
    at = builder.add(scan, (conv, inner), (rate, inner), (chosen, selected))
    gate = pointwise("scan_gate", "elementwise", step, inner, 5 * inner, inputs=2)
    at = builder.add(gate, (at, inner), (projected, inner))
    return builder.linear("out_proj", ssm.inner, config.hidden, at, bias=ssm.bias)


def mamba2(builder: Builder, config: DecoderConfig, ssm: SSM, norm: int) -> int:
    """Mamba-2 (arXiv 2405.21060): one projection for gate, channels, B, C and step sizes, convolution,
    scan, norm, out."""
    step, inner = builder.step, builder.step.tokens * ssm.inner
    width = ssm.inner + 2 * ssm.groups * ssm.state
    projected = builder.linear("in_proj", config.hidden, ssm.inner + width + ssm.heads, norm, bias=ssm.bias)
    conv = _short_convolution(builder, width, ssm.conv, projected, bias=ssm.conv_bias)
    conv = builder.add(
        pointwise("conv_act", "elementwise", step, step.tokens * width, 4 * step.tokens * width),
        (conv, step.tokens * width),
    )
    weights, state = 3.0 * ssm.heads, step.sequences * ssm.inner * ssm.state
    scan = Row(
        "scan", "scan", flop=_scan_flop(builder, ssm), weights=weights, act_in=step.tokens * (width + ssm.heads),
        act_out=inner, kv_read=state, kv_write=state, weights_resident=weights * step.resident,
        kv_resident=state * step.resident,
    )  # fmt: skip
    at = builder.add(scan, (conv, step.tokens * width), (projected, step.tokens * ssm.heads))
    gate = pointwise("scan_gate", "elementwise", step, inner, 5 * inner, inputs=2)
    at = builder.add(gate, (at, inner), (projected, inner))
    if ssm.norm:
        at = builder.norm("scan_norm", config, (at, inner), width=ssm.inner)
    return builder.linear("out_proj", ssm.inner, config.hidden, at, bias=ssm.bias)


def _scan_flop(builder: Builder, ssm: SSM) -> float:
    """A decode step updates its state: decay, outer product, sum, and its product with C, 5 FLOP a state element.

    A prefill runs the chunked form (section 6): within a chunk the products C B' of each group and their product with
    the channels, causal; between chunks one product into the state and one out of it.
    """
    step = builder.step
    if not step.whole:
        return step.tokens * ssm.inner * (5 * ssm.state + 2)
    seen = (min(ssm.chunk, step.queries) + 1) / 2
    within = 2 * seen * (ssm.groups * ssm.state + ssm.inner)
    between = 4 * ssm.inner * ssm.state
    return step.tokens * (within + between + 2 * ssm.inner)

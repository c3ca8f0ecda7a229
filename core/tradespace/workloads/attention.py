"""Attention rows of a decoder layer: grouped queries with full or sliding windows, and latent attention."""

from __future__ import annotations

from tradespace.workloads.config import DecoderConfig
from tradespace.workloads.rows import Builder, Row, pointwise
from tradespace.workloads.shapes import MLA


def attention(builder: Builder, config: DecoderConfig, kind: str, norm: int) -> int:
    """Attention with one key and value head for each group of queries; at most `window` positions where it slides."""
    step, width = builder.step, config.head_dim
    inner, cache = config.heads * width, config.kv_heads * width
    query = builder.linear("q", config.hidden, inner, norm, bias=config.qkv_bias)
    key = builder.linear("k", config.hidden, cache, norm, bias=config.qkv_bias, cache=True)
    value = builder.linear("v", config.hidden, cache, norm, bias=config.qkv_bias, cache=True)
    queries, keys = step.tokens * inner, step.tokens * cache
    if config.qk_norm:
        row = pointwise("qk_norm", "norm", step, queries, 4 * (queries + keys), weights=2 * width)
        query = builder.add(row, (query, queries))
    if config.positions == "rope":
        query = builder.add(pointwise("rope", "elementwise", step, queries, 3 * (queries + keys)), (query, queries))
    window = config.window if kind == "sliding" else 0
    seen = step.visible(window)
    read = step.sequences * cache * (step.sees[1] if step.whole else seen)
    kept = step.cached(window) * cache
    rows, heads = config.group * step.queries, step.sequences * config.kv_heads
    scores = step.tokens * config.heads * seen
    spilled = 0.0 if step.fused else scores
    product = 2 * rows * width * seen * heads
    first = Row(
        "scores", "attention", m=rows, k=width, n=seen, count=heads, flop=product, act_in=queries, act_out=spilled,
        kv_read=read, kv_resident=kept,
    )  # fmt: skip
    second = Row(
        "values", "attention", m=rows, k=seen, n=width, count=heads, flop=product, act_in=spilled, act_out=queries,
        kv_read=read, kv_resident=kept,
    )  # fmt: skip
    at = builder.add(first, (query, queries), (key, keys))
    at = builder.add(_softmax(builder, config, scores), (at, scores))
    at = builder.add(second, (at, scores), (value, keys))
    return builder.linear("o", inner, config.hidden, at, bias=config.out_bias)


def _softmax(builder: Builder, config: DecoderConfig, scores: float) -> Row:
    """5 FLOP a score, one more for a position bias (ALiBi); sinks are weights."""
    flop = (6 if config.positions == "alibi" else 5) * scores
    spilled = 0.0 if builder.step.fused else scores
    return pointwise("softmax", "softmax", builder.step, spilled, flop, weights=config.heads * config.sinks)


def latent_attention(builder: Builder, config: DecoderConfig, mla: MLA, norm: int) -> int:
    """Multi-head latent attention (arXiv 2405.04434, section 2.1): a latent and one rotated key a position are cached.

    A prefill expands keys and values of the new positions once and attends per head. A decode step folds the
    expansion into queries and outputs and attends on the latent itself (section 2.1.2; FlashMLA reads it once for
    scores and values); with `absorb: never` it expands every position it sees instead.
    """
    step, bias = builder.step, config.qkv_bias
    inner = config.heads * (mla.nope + mla.rope)
    if mla.q_rank:
        at = builder.linear("q_a", config.hidden, mla.q_rank, norm, bias=bias)
        at = builder.norm("q_norm", config, (at, step.tokens * mla.q_rank), width=mla.q_rank)
        query = builder.linear("q_b", mla.q_rank, inner, at)
    else:
        query = builder.linear("q", config.hidden, inner, norm)
    latent = mla.kv_rank + mla.rope
    key = builder.linear("kv_a", config.hidden, latent, norm, bias=bias, cache=True)
    row = pointwise("kv_norm", "norm", step, 0.0, 4 * step.tokens * mla.kv_rank, weights=mla.kv_rank)
    key = builder.add(row, (key, step.tokens * mla.kv_rank))
    queries = step.tokens * inner
    rotated = 3 * step.tokens * (config.heads + 1) * mla.rope
    query = builder.add(pointwise("rope", "elementwise", step, queries, rotated), (query, queries))
    absorbed = mla.absorb == "always" or (mla.absorb == "decode" and not step.whole)
    at = (_on_latent if absorbed else _expanded)(builder, config, mla, query, key)
    return builder.linear("o", config.heads * mla.value, config.hidden, at, bias=config.out_bias)


def _on_latent(builder: Builder, config: DecoderConfig, mla: MLA, query: int, key: int) -> int:
    """Attention on the cached latent: one key and value head of width `kv_rank` that all query heads share."""
    step, heads, seen = builder.step, config.heads, builder.step.visible(0)
    latent = mla.kv_rank + mla.rope
    read, kept = step.sequences * (step.sees[1] if step.whole else seen), step.cached(0)
    queries, mixed = step.tokens * heads * latent, step.tokens * heads * mla.kv_rank
    at = _per_head(builder, "absorb_k", heads, mla.nope, mla.kv_rank, query)
    scores = step.tokens * heads * seen
    spilled = 0.0 if step.fused else scores
    rows = heads * step.queries
    first = Row(
        "scores", "attention", m=rows, k=latent, n=seen, count=step.sequences, flop=2 * scores * latent,
        act_in=queries, act_out=spilled, kv_read=read * latent, kv_resident=kept * latent,
    )  # fmt: skip
    second = Row(
        "values", "attention", m=rows, k=seen, n=mla.kv_rank, count=step.sequences, flop=2 * scores * mla.kv_rank,
        act_in=spilled, act_out=mixed, kv_read=0.0 if step.fused else read * mla.kv_rank,
    )  # fmt: skip
    at = builder.add(first, (at, queries), (key, step.tokens * latent))
    at = builder.add(_softmax(builder, config, scores), (at, scores))
    at = builder.add(second, (at, scores))
    return _per_head(builder, "absorb_v", heads, mla.kv_rank, mla.value, at)


def _expanded(builder: Builder, config: DecoderConfig, mla: MLA, query: int, key: int) -> int:
    """Attention per head on keys and values that are expanded first: in a prefill those of its own positions."""
    step, heads, seen = builder.step, config.heads, builder.step.visible(0)
    latent, width = mla.kv_rank + mla.rope, mla.nope + mla.rope
    positions = step.sequences * (step.sees[1] if step.whole else seen)
    weights = float(mla.kv_rank * heads * (mla.nope + mla.value))
    expanded = positions * heads * (mla.nope + mla.value)
    expand = Row(
        "kv_b", "matmul", m=positions, k=mla.kv_rank, n=heads * (mla.nope + mla.value), count=1.0,
        flop=2 * positions * weights, weights=weights, act_in=0.0, act_out=expanded, kv_read=positions * latent,
        weights_resident=weights * step.resident, kv_resident=step.cached(0) * latent,
    )  # fmt: skip
    key = builder.add(expand, (key, step.tokens * mla.kv_rank))
    scores = step.tokens * heads * seen
    spilled = 0.0 if step.fused else scores
    groups = step.sequences * heads
    first = Row(
        "scores", "attention", m=step.queries, k=width, n=seen, count=groups, flop=2 * scores * width,
        act_in=step.tokens * heads * width + positions * heads * mla.nope, act_out=spilled,
    )  # fmt: skip
    second = Row(
        "values", "attention", m=step.queries, k=seen, n=mla.value, count=groups, flop=2 * scores * mla.value,
        act_in=spilled + positions * heads * mla.value, act_out=step.tokens * heads * mla.value,
    )  # fmt: skip
    at = builder.add(first, (query, step.tokens * heads * width), (key, positions * heads * mla.nope))
    at = builder.add(_softmax(builder, config, scores), (at, scores))
    return builder.add(second, (at, scores), (key, positions * heads * mla.value))


def _per_head(builder: Builder, name: str, heads: int, k: int, n: int, source: int) -> int:
    """A projection k -> n of each head by itself."""
    step, weights = builder.step, float(heads * k * n)
    tokens = step.tokens
    row = Row(
        name, "matmul", m=tokens, k=k, n=n, count=heads, flop=2 * tokens * weights, weights=weights,
        act_in=tokens * heads * k, act_out=tokens * heads * n, weights_resident=weights * step.resident,
    )  # fmt: skip
    return builder.add(row, (source, tokens * heads * k))

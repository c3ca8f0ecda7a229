"""The operators of each part of a decoder: embedding, attention layer, convolution layer, head.

Counting rules (all ours where no source is named):

- A product costs 2 m k n FLOP (multiply and add) plus one add per output for a bias. Norms cost 4 (RMS) or 7 (layer)
  FLOP per element, softmax 5, SiLU-and-gate 5, GELU 8, a rotation 3, an addition 1.
- Keys and values go straight into the cache: `act_out` of k and v is 0 and `kv_write` counts them. Keys are rotated on
  their way, so only the rotated queries are activations.
- Attention is causal: `n` of the scores is the mean number of positions that a query sees, so prefill over n tokens
  costs exactly the sum of n decode steps. The prefill reads each cached element once, a decode step all it sees.
- Only the last token of each sequence reaches the head: its norm and the output projection run on one row a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tradespace.workloads.config import DecoderConfig
from tradespace.workloads.operators import PRICED

Edge = tuple[int, int, float]


@dataclass(frozen=True)
class Row:
    """One operator; the columns of `Operators` without block and repeat."""

    name: str
    kind: str
    m: float = 0.0
    k: float = 0.0
    n: float = 0.0
    count: float = 0.0
    flop: float = 0.0
    weights: float = 0.0
    act_in: float = 0.0
    act_out: float = 0.0
    kv_read: float = 0.0
    kv_write: float = 0.0
    weights_resident: float = 0.0
    kv_resident: float = 0.0


@dataclass(frozen=True)
class Part:
    """The operators of one block, with the edges inside it.

    Args:
        edges: (row, row, elements) within the part.
        enters: (row, elements) of the rows that read the block's input.
    The last row produces the block's output.
    """

    rows: tuple[Row, ...]
    edges: tuple[Edge, ...] = ()
    enters: tuple[tuple[int, float], ...] = ()

    @cached_property
    def columns(self) -> NDArray[np.float64]:
        """(rows, len(PRICED))."""
        return np.array([[getattr(row, column) for column in PRICED] for row in self.rows], dtype=np.float64)


@dataclass(frozen=True)
class Step:
    """One pass through the model.

    Args:
        suffix: behind operator names, "" or "/decode".
        sequences: sequences in the batch.
        queries: new tokens per sequence.
        sees: (fewest, most) positions that a query sees over the whole phase; the mean is taken in between.
        whole: the pass reads each position once (prefill) instead of once per query.
        kept: (shared, own, copies) positions of one sequence that stay cached: shared once, own once per copy.
        resident: rows own their memory (False: another pass of the same job already counted it).
        repeat: passes per job.
        fused: scores and probabilities stay on chip.
    """

    suffix: str
    sequences: float
    queries: float
    sees: tuple[int, int]
    whole: bool
    kept: tuple[int, int, int]
    repeat: float
    resident: bool = True
    fused: bool = True

    @property
    def tokens(self) -> float:
        return self.sequences * self.queries

    def visible(self, window: int) -> float:
        """Mean number of positions that a query sees; at most `window` of them (0: all)."""
        first, last = self.sees
        if not window or last <= window:
            return (first + last) / 2
        if first >= window:
            return float(window)
        below = window - first  # queries that still see fewer than the window
        return (below * (first + window - 1) / 2 + (last - first + 1 - below) * window) / (last - first + 1)

    def cached(self, window: int) -> float:
        """Positions that stay in memory, over the batch and all samples (0 if another pass counts them)."""
        shared, own, copies = self.kept
        limit = window or shared + own
        together = min(shared, limit) + copies * min(own, limit)
        return self.resident * self.sequences * min(together, copies * min(shared + own, limit))


@dataclass
class _Builder:
    """Collects rows and edges of one part."""

    step: Step
    rows: list[Row] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    def add(self, row: Row, *inputs: tuple[int, float]) -> int:
        self.rows.append(row)
        here = len(self.rows) - 1
        self.edges.extend((source, here, elements) for source, elements in inputs)
        return here

    def linear(self, name: str, k: float, n: float, source: int, *, bias: bool = False, cache: bool = False) -> int:
        """A projection k -> n of every token; with `cache` its output goes to the KV cache."""
        tokens, weights = self.step.tokens, k * n + bias * n
        out = tokens * n
        row = Row(
            name, "matmul", m=tokens, k=k, n=n, count=1.0, flop=2 * tokens * k * n + bias * out, weights=weights,
            act_in=tokens * k, act_out=0.0 if cache else out, kv_write=out if cache else 0.0,
            weights_resident=weights * self.step.resident,
        )  # fmt: skip
        return self.add(row, (source, tokens * k)) if source >= 0 else self.add(row)

    def norm(self, name: str, config: DecoderConfig, *inputs: tuple[int, float], rows: float = 0.0) -> int:
        """A norm over the hidden width of `rows` rows (default: every token)."""
        elements = (rows or self.step.tokens) * config.hidden
        flop = (4 if config.norm == "rms" else 7) * elements
        return self.add(_pointwise(name, "norm", self.step, elements, flop, weights=config.norm_weights), *inputs)

    def part(self, *enters: int, elements: float) -> Part:
        return Part(tuple(self.rows), tuple(self.edges), tuple((row, elements) for row in enters))


def _pointwise(
    name: str, kind: str, step: Step, elements: float, flop: float, *, inputs: int = 1, weights: float = 0.0
) -> Row:
    return Row(
        name, kind, flop=flop, weights=weights, act_in=inputs * elements, act_out=elements,
        weights_resident=weights * step.resident,
    )  # fmt: skip


def embed(config: DecoderConfig, step: Step) -> Part:
    """Looks up the rows of the new tokens, and adds learned positions where the model has them. Resident whole."""
    tables = 2 if config.positions == "learned" else 1
    looked_up = step.tokens * config.hidden
    table = config.vocab * config.hidden + (config.max_context * config.hidden if tables == 2 else 0)
    row = Row(
        "embed", "embedding", flop=(tables - 1) * looked_up, weights=tables * looked_up, act_in=step.tokens,
        act_out=looked_up, weights_resident=table * step.resident,
    )  # fmt: skip
    return Part((row,))


def head(config: DecoderConfig, step: Step) -> Part:
    """Final norm and output projection of the last token of each sequence."""
    builder = _Builder(step)
    rows, width = step.sequences, config.hidden
    norm = builder.norm("norm", config, rows=rows)
    weights = float(config.vocab * width)
    lm_head = Row(
        "lm_head", "matmul", m=rows, k=width, n=config.vocab, count=1.0, flop=2 * rows * weights, weights=weights,
        act_in=rows * width, act_out=rows * config.vocab, weights_resident=weights * step.resident,
    )  # fmt: skip
    builder.add(lm_head, (norm, rows * width))
    return builder.part(norm, elements=rows * width)


def layer(config: DecoderConfig, kind: str, step: Step) -> Part:
    """One layer: mixing of positions (attention or convolution), then the feed-forward network."""
    builder = _Builder(step)
    elements = step.tokens * config.hidden
    norm = builder.norm("norm1", config)
    mixed = _convolution(builder, config, norm) if kind == "conv" else _attention(builder, config, kind, norm)
    added = builder.add(_pointwise("add1", "elementwise", step, elements, elements, inputs=2), (mixed, elements))
    down = _feed_forward(builder, config, builder.norm("norm2", config, (added, elements)))
    residual = _pointwise("add2", "elementwise", step, elements, elements, inputs=2)
    builder.add(residual, (added, elements), (down, elements))
    return builder.part(norm, added, elements=elements)


def _attention(builder: _Builder, config: DecoderConfig, kind: str, norm: int) -> int:
    step, width = builder.step, config.head_dim
    inner, cache = config.heads * width, config.kv_heads * width
    query = builder.linear("q", config.hidden, inner, norm, bias=config.qkv_bias)
    key = builder.linear("k", config.hidden, cache, norm, bias=config.qkv_bias, cache=True)
    value = builder.linear("v", config.hidden, cache, norm, bias=config.qkv_bias, cache=True)
    queries, keys = step.tokens * inner, step.tokens * cache
    if config.qk_norm:
        row = _pointwise("qk_norm", "norm", step, queries, 4 * (queries + keys), weights=2 * width)
        query = builder.add(row, (query, queries))
    if config.positions == "rope":
        query = builder.add(_pointwise("rope", "elementwise", step, queries, 3 * (queries + keys)), (query, queries))
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
    at = builder.add(_pointwise("softmax", "softmax", step, spilled, 5 * scores), (at, scores))
    at = builder.add(second, (at, scores), (value, keys))
    return builder.linear("o", inner, config.hidden, at, bias=config.out_bias)


def _convolution(builder: _Builder, config: DecoderConfig, norm: int) -> int:
    """Gated short convolution of LFM2 (arXiv 2511.23404, section 2): B, C, x = in(u); out(C * conv(B * x))."""
    step, width, kernel = builder.step, config.hidden, config.conv_kernel
    elements, state = step.tokens * width, step.sequences * width * (kernel - 1)
    weights = float(width * kernel)
    projected = builder.linear("in_proj", width, 3 * width, norm)
    gated = builder.add(
        _pointwise("gate_b", "elementwise", step, elements, elements, inputs=2), (projected, 2 * elements)
    )
    conv = Row(
        "conv", "conv", m=step.queries, k=kernel, n=1.0, count=step.sequences * width, flop=2 * elements * kernel,
        weights=weights, act_in=elements, act_out=elements, kv_read=state, kv_write=state,
        weights_resident=weights * step.resident, kv_resident=state * step.resident,
    )  # fmt: skip
    at = builder.add(conv, (gated, elements))
    row = _pointwise("gate_c", "elementwise", step, elements, elements, inputs=2)
    at = builder.add(row, (at, elements), (projected, elements))
    return builder.linear("out_proj", width, width, at)


def _feed_forward(builder: _Builder, config: DecoderConfig, norm: int) -> int:
    step, inner = builder.step, builder.step.tokens * config.ffn
    if config.gated:
        gate = builder.linear("gate", config.hidden, config.ffn, norm, bias=config.ffn_bias)
        up = builder.linear("up", config.hidden, config.ffn, norm, bias=config.ffn_bias)
        row = _pointwise("act", "elementwise", step, inner, 5 * inner, inputs=2)
        at = builder.add(row, (gate, inner), (up, inner))
    else:
        up = builder.linear("up", config.hidden, config.ffn, norm, bias=config.ffn_bias)
        at = builder.add(_pointwise("act", "elementwise", step, inner, 8 * inner), (up, inner))
    return builder.linear("down", config.ffn, config.hidden, at, bias=config.ffn_bias)

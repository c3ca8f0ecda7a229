"""The blocks of a decoder: embedding, one layer of any type, head, and modules that predict further tokens.

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

from tradespace.workloads.attention import attention, latent_attention
from tradespace.workloads.config import DecoderConfig
from tradespace.workloads.experts import dense, experts
from tradespace.workloads.rows import Builder, Part, Row, Step, pointwise
from tradespace.workloads.state_space import convolution, mamba, mamba2

__all__ = ["Part", "Row", "Step", "embed", "head", "layer", "predictor"]


def embed(config: DecoderConfig, step: Step) -> Part:
    """Looks up the rows of the new tokens, and adds learned positions where the model has them. Resident whole."""
    builder = Builder(step)
    learned = config.positions == "learned"
    width = config.embed_width or config.hidden
    looked_up, positions = step.tokens * width, step.tokens * config.hidden * learned
    table = config.vocab * width + (config.max_context + config.position_offset) * config.hidden * learned
    row = Row(
        "embed", "embedding", flop=positions, weights=looked_up + positions, act_in=step.tokens, act_out=looked_up,
        weights_resident=table * step.resident,
    )  # fmt: skip
    at = builder.add(row)
    if width != config.hidden:
        at = builder.linear("project_in", width, config.hidden, at)
    if config.embed_norm:
        builder.norm("embed_norm", config, (at, step.tokens * config.hidden))
    return builder.part(elements=0.0)


def head(config: DecoderConfig, step: Step) -> Part:
    """Final norm and output projection of the last token of each sequence."""
    builder = Builder(step)
    rows, width = step.sequences, config.embed_width or config.hidden
    at = builder.norm("norm", config, rows=rows) if config.final_norm else -1
    if width != config.hidden:
        at = builder.linear("project_out", config.hidden, width, at, rows=rows)
    at = builder.linear("lm_head", width, config.vocab, at, rows=rows, bias=config.head_bias)
    return builder.part(0, elements=rows * config.hidden)


def layer(config: DecoderConfig, kind: str, ffn: str, step: Step) -> Part:
    """One layer: mixing of positions, then the feed-forward network (or both side by side)."""
    builder = Builder(step)
    elements = step.tokens * config.hidden
    added = _layer(builder, config, kind, ffn, builder.norm("norm1", config))
    return builder.part(0, *added, elements=elements)


def _layer(builder: Builder, config: DecoderConfig, kind: str, ffn: str, norm: int) -> tuple[int, ...]:
    """Rows behind the first norm; returns those that read the block's input, beside that norm."""
    elements = builder.step.tokens * config.hidden
    mixed = _mix(builder, config, kind, norm)
    if config.norms == "parallel":
        down = _feed(builder, config, ffn, norm)
        both = pointwise("add1", "elementwise", builder.step, elements, 2 * elements, inputs=3)
        return (builder.add(both, (mixed, elements), (down, elements)),)
    if config.norms == "sandwich":
        mixed = builder.norm("norm1_post", config, (mixed, elements))
    added = builder.add(_sum("add1", builder.step, elements), (mixed, elements))
    if ffn == "none":
        return (added,)
    down = _feed(builder, config, ffn, builder.norm("norm2", config, (added, elements)))
    if config.norms == "sandwich":
        down = builder.norm("norm2_post", config, (down, elements))
    builder.add(_sum("add2", builder.step, elements), (added, elements), (down, elements))
    return (added,)


def _sum(name: str, step: Step, elements: float) -> Row:
    return pointwise(name, "elementwise", step, elements, elements, inputs=2)


def _mix(builder: Builder, config: DecoderConfig, kind: str, norm: int) -> int:
    if kind == "mla":
        assert config.mla is not None  # checked when the shape was read
        return latent_attention(builder, config, config.mla, norm)
    if kind == "conv":
        return convolution(builder, config, norm)
    if kind in ("attention", "sliding"):
        return attention(builder, config, kind, norm)
    assert config.ssm is not None
    if kind == "mamba":
        return mamba(builder, config, config.ssm, norm)
    scanned = mamba2(builder, config, config.ssm, norm)
    if kind == "mamba2":
        return scanned
    elements = builder.step.tokens * config.hidden
    attended = attention(builder, config, "attention", norm)
    return builder.add(_sum("mix", builder.step, elements), (scanned, elements), (attended, elements))


def _feed(builder: Builder, config: DecoderConfig, ffn: str, norm: int) -> int:
    if ffn == "moe":
        assert config.moe is not None
        return experts(builder, config, config.moe, norm)
    return dense(builder, config, config.ffn, norm)


def predictor(config: DecoderConfig, step: Step) -> Part:
    """A multi-token prediction module (DeepSeek-V3, arXiv 2412.19437, section 2.2): two norms, a projection of both
    to the hidden width, one layer of the last layer's type, a norm and the shared output projection.

    The projection reads the head's weights again; the model stores them once (the graph ties them).
    """
    builder = Builder(step)
    width, elements = config.hidden, step.tokens * config.hidden
    token = pointwise("token", "embedding", step, elements, 0.0)
    at = builder.add(token)
    first, second = builder.norm("enorm", config, (at, elements)), builder.norm("hnorm", config)
    row = builder.linear("eh_proj", 2 * width, width, first)
    builder.edges.append((second, row, elements))
    norm = builder.norm("norm1", config, (row, elements))
    (added,) = _layer(builder, config, config.layer_types[-1], config.ffn_types[-1], norm)
    builder.edges.append((row, added, elements))
    last = len(builder.rows) - 1
    rows = step.sequences
    at = builder.norm("norm", config, (last, rows * width), rows=rows)
    builder.linear("lm_head", width, config.vocab, at, rows=rows)
    return builder.part(second, elements=elements)

"""Rows of a decoder's graph: one operator, the operators of a block, one pass through the model, and their builder."""

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
    out_height: float = 0.0
    out_width: float = 0.0
    kernel_height: float = 0.0
    kernel_width: float = 0.0
    sparsity: float = 0.0


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
class Builder:
    """Collects rows and edges of one part."""

    step: Step
    rows: list[Row] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    def add(self, row: Row, *inputs: tuple[int, float]) -> int:
        self.rows.append(row)
        here = len(self.rows) - 1
        self.edges.extend((source, here, elements) for source, elements in inputs)
        return here

    def linear(
        self, name: str, k: float, n: float, source: int, *, bias: bool = False, cache: bool = False, rows: float = 0.0
    ) -> int:
        """A projection k -> n of `rows` rows (default: every token); with `cache` its output goes to the KV cache."""
        tokens, weights = rows or self.step.tokens, float(k * n + bias * n)
        out = tokens * n
        row = Row(
            name, "matmul", m=tokens, k=k, n=n, count=1.0, flop=2 * tokens * k * n + bias * out, weights=weights,
            act_in=tokens * k, act_out=0.0 if cache else out, kv_write=out if cache else 0.0,
            weights_resident=weights * self.step.resident,
        )  # fmt: skip
        return self.add(row, (source, tokens * k)) if source >= 0 else self.add(row)

    def norm(
        self, name: str, config: DecoderConfig, *inputs: tuple[int, float], rows: float = 0.0, width: float = 0.0
    ) -> int:
        """A norm over `width` channels (default: hidden) of `rows` rows (default: every token)."""
        channels = width or config.hidden
        elements = (rows or self.step.tokens) * channels
        flop = (4 if config.norm == "rms" else 7) * elements
        weights = channels * (2 if config.norm == "layer" and config.norm_bias else 1)
        return self.add(pointwise(name, "norm", self.step, elements, flop, weights=weights), *inputs)

    def part(self, *enters: int, elements: float) -> Part:
        return Part(tuple(self.rows), tuple(self.edges), tuple((row, elements) for row in enters))


def pointwise(
    name: str, kind: str, step: Step, elements: float, flop: float, *, inputs: int = 1, weights: float = 0.0
) -> Row:
    return Row(
        name, kind, flop=flop, weights=weights, act_in=inputs * elements, act_out=elements,
        weights_resident=weights * step.resident,
    )  # fmt: skip

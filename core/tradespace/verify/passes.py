"""What of a job is run: one decode step at the mean context, and one chunk of the prefill with the mean context.

A request repeats its decode step and goes through its prompt in chunks. Cost is linear in the context, so the step
(chunk) in the middle times their number is the whole; only what runs once a sequence (the head) is not multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.entries import SECOND_PHASE
from tradespace.errors import ProblemError
from tradespace.workloads.operators import OperatorGraph, Operators

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

CHUNK = 64
"""Tokens of a sequence that a prefill takes at once: enough columns for the kernels of many columns."""
HEAD = "head"


@dataclass(frozen=True, eq=False)
class Pass:
    """One run through the model.

    Args:
        name: "decode" or "prefill".
        rows: (r,) operators of the graph.
        operators: those rows as they are run; whole numbers of positions, and for a prefill those of one chunk.
        times: (r,) how often a job runs each of them.
        sequences, queries: sequences, and new tokens of each of them.
        context: positions that a token sees on average.
        source: (r,) rows of this pass that each of them reads, in order.
    """

    name: str
    rows: Rows
    operators: Operators
    times: Floats
    sequences: int
    queries: int
    context: int
    source: tuple[tuple[int, ...], ...]

    @property
    def tokens(self) -> int:
        return self.sequences * self.queries


def passes_of(graph: OperatorGraph, chunk: int = CHUNK) -> tuple[Pass, ...]:
    """The passes of a decoder's job: a prefill, a decode step, or both.

    Raises:
        ProblemError: no decoder (its graph has no head or states no heads).
    """
    if HEAD not in graph.blocks or "kv_heads" not in graph.facts:
        raise ProblemError(
            "the native kernels run decoder language models with attention",
            value=graph.name,
            remedy="Networks, state-space models and traces are priced, not run.",
        )
    second = np.array([name.endswith(SECOND_PHASE) for name in graph.operators.name])
    phase = str(graph.facts.get("phase", "decode"))
    everything = [(phase, np.ones(len(second), bool))]
    found = [("prefill", ~second), ("decode", second)] if phase == "request" else everything
    return tuple(_pass(graph, name, np.flatnonzero(rows), chunk) for name, rows in found if rows.any())


def _pass(graph: OperatorGraph, name: str, rows: Rows, chunk: int) -> Pass:
    whole = graph.operators.take(rows)
    sequences = int(graph.facts.get("batch", 1))
    head = whole.block == graph.blocks.index(HEAD)
    queries = max(1, round(float(whole.m[(np.array(whole.kind) == "matmul") & ~head].max()) / sequences))
    few = min(queries, chunk) if name == "prefill" else queries
    share = np.where(head, 1.0, few / queries)
    seen = max(
        (float(whole.n[i]) for i, n in enumerate(whole.name) if n.split("/")[0].endswith(".scores")), default=1.0
    )
    operators = _shortened(whole, share)
    return Pass(
        name, rows, operators, np.asarray(whole.repeat / share), sequences, few, max(1, round(seen)),
        _sources(graph, rows),
    )  # fmt: skip


def _shortened(whole: Operators, share: Floats) -> Operators:
    """The rows with `share` of their tokens, and whole numbers of positions."""
    kind = np.array(whole.kind)
    product = (kind == "matmul") | (kind == "attention")
    lookup = kind == "embedding"
    columns: dict[str, Any] = {name: getattr(whole, name) * share for name in ("flop", "act_in", "act_out", "kv_write")}
    columns["m"] = np.where(product, whole.m * share, whole.m)
    columns["weights"] = np.where(lookup, whole.weights * share, whole.weights)
    return replace(whole, **columns)


def _sources(graph: OperatorGraph, rows: Rows) -> tuple[tuple[int, ...], ...]:
    place = {int(row): i for i, row in enumerate(rows)}
    found: list[list[int]] = [[] for _ in rows]
    for a, b in zip(graph.edges.source.tolist(), graph.edges.dest.tolist(), strict=True):
        if a in place and b in place:
            found[place[b]].append(place[a])
    return tuple(map(tuple, found))

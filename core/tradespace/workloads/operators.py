"""Operators as a struct of arrays, and the graph they form.

A workload says *what* is computed in shapes and element counts. It knows no bytes (precisions make them), no time and
no device. One row is one operator; counts are per execution, `repeat` says how often a job executes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

KINDS = (
    "matmul", "conv", "attention", "norm", "elementwise", "embedding", "softmax", "scan", "aggregate", "select",
    "reconstruct", "sha256d", "lbry",
)  # fmt: skip
"""attention = the two matmuls between queries and the KV cache; scan = a recurrence over positions (state-space
layers); aggregate = totals only, no shape; select, reconstruct = stages of a flow graph, whose `flop` are operations
of the workload's own unit (see `tradespace.workloads.flow`); sha256d, lbry = trials of a proof of work, counted by
`flop`."""

SHAPE = ("m", "k", "n", "count")
WINDOW = ("out_height", "out_width", "kernel_height", "kernel_width")
"""What a convolution's gemm view forgets: the sizes of one output map and of the filter; 0 where nobody said."""
PRICED = (
    *SHAPE, *WINDOW, "flop", "weights", "act_in", "act_out", "kv_read", "kv_write", "weights_resident", "kv_resident",
    "sparsity",
)  # fmt: skip
"""Columns that a device model may read: rows equal in `kind` and in these are priced once."""


def _unknown() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Operators:
    """One row an operator; every array is (n,) float64 unless said otherwise.

    Args:
        name: unique names, "<block>.<operator>", with "/decode" behind it for the second phase of a request.
        kind: one of `KINDS`.
        block: (n,) int32, index into the graph's blocks.
        m, k, n, count: `count` independent products (m, k) x (k, n); all 0 where the operator is no product.
            A convolution is grouped: m output positions, k = kernel x channels of a group, n outputs of a group,
            count = groups. n or k of attention is the mean number of visible positions, so it may be fractional.
        flop: floating-point operations per execution (a multiply-add counts 2).
        weights: weight elements read per execution.
        act_in, act_out: activation elements read and written per execution.
        kv_read, kv_write: elements of the KV cache (or another state kept between steps) read and written.
        repeat: executions per job.
        weights_resident, kv_resident: elements that occupy memory. 0 on a second phase that reuses the first's.
        out_height, out_width, kernel_height, kernel_width: of a convolution, 0 where unknown and for other kinds
            (left out: unknown everywhere). m = images x out_height x out_width.
        sparsity: share of `act_in` that is zero on average; 0 where nobody said. Event-driven devices skip zeros.
    """

    name: tuple[str, ...]
    kind: tuple[str, ...]
    block: Ints
    m: Floats
    k: Floats
    n: Floats
    count: Floats
    flop: Floats
    weights: Floats
    act_in: Floats
    act_out: Floats
    kv_read: Floats
    kv_write: Floats
    repeat: Floats
    weights_resident: Floats
    kv_resident: Floats
    out_height: Floats = field(default_factory=_unknown)
    out_width: Floats = field(default_factory=_unknown)
    kernel_height: Floats = field(default_factory=_unknown)
    kernel_width: Floats = field(default_factory=_unknown)
    sparsity: Floats = field(default_factory=_unknown)

    def __post_init__(self) -> None:
        for column in (*WINDOW, "sparsity"):
            if not getattr(self, column).size:
                object.__setattr__(self, column, np.zeros(len(self.name)))

    def __len__(self) -> int:
        return len(self.name)

    @property
    def gemm(self) -> tuple[Floats, Floats, Floats, Floats]:
        """(m, k, n, count), zeros where the operator is no product."""
        return self.m, self.k, self.n, self.count

    @property
    def macs(self) -> Floats:
        """Multiply-adds per execution of the products (0 for norms, softmax, elementwise)."""
        return self.m * self.k * self.n * self.count

    def take(self, rows: NDArray[np.integer[Any]]) -> Operators:
        """The given rows, in that order (names are not made unique)."""
        columns: dict[str, Any] = {
            column.name: getattr(self, column.name)[rows] for column in fields(self) if column.name not in _TEXT
        }
        for column in _TEXT:
            values = getattr(self, column)
            columns[column] = tuple(values[row] for row in rows)
        return Operators(**columns)


_TEXT = ("name", "kind")


@dataclass(frozen=True, eq=False)
class Edges:
    """Tensors that flow from one operator (or block) to another; every array is (E,).

    Args:
        source, dest: int32 indices.
        elements: float64, elements per execution.
        count: float64, executions per job.
    """

    source: Ints
    dest: Ints
    elements: Floats
    count: Floats

    def __len__(self) -> int:
        return int(self.source.size)


@dataclass(frozen=True, slots=True)
class StoredFormat:
    """What a model file holds in one number format: tensors, weights in them, and bytes with scales."""

    tensors: int
    elements: float
    bytes: float


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a model file: its format as the file names it, its shape (rows first), its exact bytes."""

    name: str
    type: str
    shape: tuple[int, ...]
    bytes: int


@dataclass(frozen=True, eq=False)
class OperatorGraph:
    """What must run for one job.

    Args:
        name: as the user knows it.
        operators: the rows, in an order in which they can execute.
        blocks: names of the units that are placed together; both phases of a request share a block's weights.
        edges: tensors between operators; the KV cache and the fed-back token id are no edges.
        ties: (block a, block b, elements): stored once if both blocks share memory and precision.
        tokens: tokens a job produces, over the whole batch and all samples.
        samples: answers drawn per sequence.
        parameters: distinct weight elements (a tied table counts once).
        sources: what -> where it comes from; "shape" and "kind" are always there.
        native_precision: precision the weights are shipped in, None if unknown or not one of ours.
        facts: numbers and words for people (layers, hidden, phase, context ...).
        stored: format -> what the file holds in it, as the file names it; empty where no tensors were seen.
        tensors: the file's tensors, in its order.
    """

    name: str
    operators: Operators
    blocks: tuple[str, ...]
    edges: Edges
    ties: tuple[tuple[int, int, float], ...] = ()
    tokens: float = 1.0
    samples: int = 1
    parameters: float = 0.0
    sources: Mapping[str, str] = field(default_factory=dict)
    native_precision: str | None = None
    facts: Mapping[str, float | str] = field(default_factory=dict)
    stored: Mapping[str, StoredFormat] = field(default_factory=dict)
    tensors: tuple[StoredTensor, ...] = ()

    kind = "operator-graph"

    def __post_init__(self) -> None:
        _check_operators(self.name, self.operators, len(self.blocks))
        _check_edges(self.name, self.edges, len(self.operators))
        for a, b, elements in self.ties:
            if not (0 <= a < len(self.blocks) and 0 <= b < len(self.blocks) and a != b and elements > 0):
                raise InputError("a tie names two different blocks and a positive count", value=(a, b), where=self.name)

    @cached_property
    def _distinct(self) -> tuple[Operators, Ints]:
        kinds = np.unique(np.array(self.operators.kind), return_inverse=True)[1].astype(np.float64)
        table = np.column_stack([kinds, *(getattr(self.operators, column) for column in PRICED)])
        _, first, index = np.unique(table, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)  # rows keep the order of their first appearance
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size)
        rows = self.operators.take(first[order])
        return replace(rows, repeat=np.ones(len(rows))), rank[index.reshape(-1)].astype(np.int32)

    def distinct(self) -> tuple[Operators, Ints]:
        """Rows that differ in something a device model may read, and (n,) int32: which of them each operator is.

        `distinct()[0].take(index)` equals `operators` in `kind` and in every column of `PRICED`. Names and blocks are
        those of the first such operator; `repeat` is 1, as a device model prices one execution.
        """
        return self._distinct

    def block_edges(self) -> Edges:
        """Edges between blocks, one row for each (source operator, destination block): a tensor crosses once.

        `source` and `dest` are block indices; rows are sorted by source operator.
        """
        block = self.operators.block
        from_block, to_block = block[self.edges.source], block[self.edges.dest]
        crossing = np.flatnonzero(from_block != to_block)
        pairs = np.column_stack([self.edges.source[crossing], to_block[crossing]])
        unique, index = np.unique(pairs, axis=0, return_inverse=True)
        elements, count = np.zeros(len(unique)), np.zeros(len(unique))
        np.maximum.at(elements, index.reshape(-1), self.edges.elements[crossing])
        np.maximum.at(count, index.reshape(-1), self.edges.count[crossing])
        return Edges(block[unique[:, 0]], unique[:, 1].astype(np.int32), elements, count)

    @cached_property
    def is_chain(self) -> bool:
        """True if data flows from each block to the next one and nowhere else."""
        edges = self.block_edges()
        steps = set(zip(edges.source.tolist(), edges.dest.tolist(), strict=True))
        return steps == {(block, block + 1) for block in range(len(self.blocks) - 1)}

    @property
    def substitutes(self) -> tuple[str, ...]:
        """Names of the sources that are stand-ins, for the list of substitutes a result rests on."""
        return (f"{self.name}: {self.sources.get('shape', '')}",) if self.sources.get("kind") == "substitute" else ()


def _check_operators(where: str, operators: Operators, blocks: int) -> None:
    rows = len(operators)
    if rows == 0 or blocks == 0:
        raise InputError("a workload has at least one operator and one block", where=where)
    if len(set(operators.name)) != rows:
        raise InputError("operator names are unique", where=where)
    unknown = sorted(set(operators.kind) - set(KINDS))
    if unknown:
        raise InputError(f"an operator's kind is one of {', '.join(KINDS)}", value=unknown[0], where=where)
    for column in (*PRICED, "repeat", "block"):
        values = getattr(operators, column)
        if values.shape != (rows,):
            raise InputError(f"column '{column}' has one entry per operator", value=values.shape, where=where)
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise InputError(f"column '{column}' is finite and not negative", where=where)
    if (operators.sparsity > 1).any():
        raise InputError("sparsity is a share from 0 to 1", value=float(operators.sparsity.max()), where=where)
    if set(operators.block.tolist()) != set(range(blocks)):
        raise InputError("every block has operators and every operator a block", where=where)


def _check_edges(where: str, edges: Edges, operators: int) -> None:
    if not len(edges):
        return
    if min(edges.source.min(), edges.dest.min()) < 0 or max(edges.source.max(), edges.dest.max()) >= operators:
        raise InputError("an edge joins two operators of the graph", where=where)
    if not (edges.source < edges.dest).all():
        raise InputError("an edge goes from an earlier operator to a later one", where=where)
    if not (np.isfinite(edges.elements).all() and (edges.elements >= 0).all() and (edges.count >= 0).all()):
        raise InputError("elements and count of an edge are finite and not negative", where=where)

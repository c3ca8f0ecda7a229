"""A network as a file holds it, without its format: stored constants, activations, and operators with their work.

The readers of ONNX and TFLite make one of these. It travels between processes as JSON, so it holds only plain data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_OPERATORS = 100_000
MAX_TENSORS = 1_000_000
MAX_RANK = 16
MAX_ELEMENTS = 1 << 50
"""Elements of one tensor: far beyond any memory, far below where float64 counts inexactly."""

BITS: Mapping[str, int] = {
    "fp64": 64, "fp32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "fp4": 4,
    "int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2,
    "uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "uint2": 2,
    "bool": 8, "complex64": 64, "complex128": 128, "string": 64, "other": 32,
}  # fmt: skip
"""Bits of one stored element; a string counts as one pointer (ours)."""

INDICES = ("int64", "int32", "uint64", "uint32", "bool", "string")
"""Types of shapes, axes and positions: constants of these types are no weights unless a product adds them (bias)."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation: elements of one execution and their type; "view" of another tensor (its index) or -1."""

    elements: float
    dtype: str
    view: int = -1

    @property
    def bytes(self) -> float:
        return self.elements * BITS[self.dtype] / 8


@dataclass(frozen=True, slots=True)
class Stored:
    """A constant that is stored with the network: a weight, a bias, a table."""

    name: str
    elements: float
    dtype: str

    @property
    def bytes(self) -> float:
        return self.elements * BITS[self.dtype] / 8


@dataclass(frozen=True, slots=True)
class Op:
    """One operator of the file.

    Args:
        name: as in the file, or made from its position.
        type: as the format names it ("Conv", "CONV_2D", "CUSTOM TFLite_Detection_PostProcess").
        kind: one of the house's kinds.
        gemm: m, k, n, count; zeros where it is no product.
        flop: per execution.
        reads: (activation, elements read) pairs.
        writes: activations.
        weights: (stored constant, elements read) pairs.
        repeat: executions per job; 0 in a branch that is not taken.
        window: of a convolution in two dimensions: output height and width, filter height and width; else zeros.
    """

    name: str
    type: str
    kind: str
    gemm: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    flop: float = 0.0
    reads: tuple[tuple[int, float], ...] = ()
    writes: tuple[int, ...] = ()
    weights: tuple[tuple[int, float], ...] = ()
    repeat: float = 1.0
    window: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Network:
    """A whole file.

    Args:
        tensors, stored: what `Op` points into.
        ops: in an order in which they can execute.
        inputs, outputs: activations that live from the start, or to the end.
        samples: items in the batch (the first axis of the first input), for people.
        notes: what a person should know (assumed sizes, branches, unknown operators).
        facts: numbers and words for people.
    """

    tensors: tuple[Tensor, ...]
    stored: tuple[Stored, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, float | str] = field(default_factory=dict)


def dumps(network: Network) -> str:
    """As JSON."""
    return json.dumps(asdict(network))


def loads(text: str) -> Network:
    """From JSON that `dumps` wrote."""
    data: dict[str, Any] = json.loads(text)
    return Network(
        tensors=tuple(Tensor(**row) for row in data["tensors"]),
        stored=tuple(Stored(**row) for row in data["stored"]),
        ops=tuple(
            Op(
                **{key: row[key] for key in ("name", "type", "kind", "flop", "repeat")},
                gemm=tuple(row["gemm"]),
                window=tuple(row["window"]),
                reads=tuple((index, elements) for index, elements in row["reads"]),
                writes=tuple(row["writes"]),
                weights=tuple((index, elements) for index, elements in row["weights"]),
            )
            for row in data["ops"]
        ),
        inputs=tuple(data["inputs"]),
        outputs=tuple(data["outputs"]),
        notes=tuple(data["notes"]),
        facts=data["facts"],
    )

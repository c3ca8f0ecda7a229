"""Shapes that the inference left open (sizes known only at run time), taken from what an operator reads. All ours."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tradespace.workloads.networks.builder import Value
from tradespace.workloads.networks.onnx_ops import TYPES, attribute
from tradespace.workloads.networks.work import NORMS, POINTWISE, SOFTMAX, VIEWS, plain

Open = tuple[int | None, ...]


def described(value: Any) -> tuple[Open | None, str]:
    """(sizes with None for open ones, or None without a rank; type) of a ValueInfoProto."""
    tensor = value.type.tensor_type
    dtype = TYPES.get(tensor.elem_type, "other")
    if not tensor.HasField("shape"):
        return None, dtype
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim), dtype


def settle(node: Any, known: Open | None, inputs: Sequence[Value | None]) -> tuple[tuple[int, ...], bool]:
    """A complete shape, and whether anything in it was assumed."""
    if known is not None and None not in known:
        return tuple(size or 0 for size in known), False
    given = [value for value in inputs if value is not None]
    guessed = _guess(node, known, given)
    if guessed is not None:
        return guessed, True
    if known is None:
        largest = max(given, key=lambda value: value.elements, default=None)
        return (largest.shape if largest else ()), True
    return tuple(1 if size is None else size for size in known), True


def _guess(node: Any, known: Open | None, given: Sequence[Value]) -> tuple[int, ...] | None:
    what = plain(node.op_type)
    if not given:
        return None
    first = given[0]
    if what in POINTWISE or what in ("sum", "mean"):
        return _broadcast([value.shape for value in given])
    if what in NORMS or what in SOFTMAX:
        return first.shape
    if what == "transpose":
        order = attribute(node, "perm", list(range(len(first.shape)))[::-1])
        if sorted(order) == list(range(len(first.shape))):
            return tuple(first.shape[axis] for axis in order)
    if what in VIEWS and known is not None and known.count(None) == 1:
        rest = prod(size for size in known if size is not None)
        if rest and first.elements % rest == 0:
            return tuple(int(first.elements) // rest if size is None else size for size in known)
    if what in VIEWS and known is None:
        return (int(first.elements),)
    if what == "matmul" and len(given) > 1 and first.shape and len(given[1].shape) >= 2:
        return (*first.shape[:-1], given[1].shape[-1])
    return None


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    longest = max(len(shape) for shape in shapes)
    padded = [(1,) * (longest - len(shape)) + shape for shape in shapes]
    return tuple(max(sizes) if 0 not in sizes else 0 for sizes in zip(*padded, strict=True))

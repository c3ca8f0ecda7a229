"""Operators of ONNX Runtime that hold several products, or weights in a packing of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tradespace.workloads.networks.builder import Builder, Value, product_flop
from tradespace.workloads.networks.onnx_ops import attribute, heads


def packed(builder: Builder, node: Any, inputs: Sequence[Value | None]) -> None:
    """Weights of a few bits packed into bytes count as what they are."""
    held, bits = inputs[1], attribute(node, "bits", 4)
    if held is not None and held.stored >= 0 and bits in (2, 4, 8):
        k, n = attribute(node, "K", 0), attribute(node, "N", 0)
        builder.stored[held.stored] = replace(builder.stored[held.stored], elements=float(k * n), dtype=f"int{bits}")


def attention(
    builder: Builder, node: Any, name: str, label: str, inputs: list[Value | None], outputs: list[Value]
) -> bool:
    """A fused attention as its parts: the projection that it may hold, scores with softmax, values."""
    data, weight = (inputs[i] if len(inputs) > i else None for i in (0, 1))
    own = node.domain == "com.microsoft" and node.op_type in ("Attention", "QAttention")
    query: list[Value | None] = list(inputs)
    if data is None or not outputs:
        return False
    if own:
        if weight is None or len(weight.shape) != 2 or len(data.shape) != 3:
            return False
        k, n = weight.shape
        m = data.shape[0] * data.shape[1]
        projected = builder.activation((data.shape[0], data.shape[1], n), data.dtype, f"{name}.qkv")
        gemm = (float(m), float(k), float(n), 1.0)
        builder.emit(
            f"{name}.qkv", label, "matmul", inputs[:3], [projected], gemm=gemm,
            flop=product_flop(gemm, len(inputs) > 2 and inputs[2] is not None, projected.elements), weights=(1, 2),
        )  # fmt: skip
        query = [replace(projected, shape=(data.shape[0], data.shape[1], n // 3))]
    found = heads(node, query)
    if found is None:
        return False
    scores, mixed = found
    rows, _, sees, count = scores
    inner = builder.activation((int(count), int(rows), int(sees)), "fp32", f"{name}.scores")
    flop = product_flop(scores, False, 0) + 5 * inner.elements
    builder.emit(f"{name}.scores", label, "attention", query[:2], [inner], gemm=scores, flop=flop, weights=())
    rest = [inner, *(query[2:3] if not own else query)]
    builder.emit(
        f"{name}.values", label, "attention", rest, outputs, gemm=mixed, flop=product_flop(mixed, False, 0), weights=()
    )
    return True

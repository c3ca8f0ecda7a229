"""Work of ONNX's operators that are products; the operator set's own text gives the layouts (NCHW, OIHW)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tradespace.workloads.networks.builder import Gemm, Value

Inputs = Sequence[Value | None]
TYPES: Mapping[int, str] = {
    1: "fp32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "fp16", 11: "fp64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bf16", 17: "fp8",
    18: "fp8", 19: "fp8", 20: "fp8", 21: "uint4", 22: "int4", 23: "fp4", 24: "fp8", 25: "uint2", 26: "int2",
}  # fmt: skip
"""TensorProto.DataType."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product: how it multiplies, what it is, and which inputs are its weights."""

    gemm: Gemm
    kind: str
    bias: bool
    weights: tuple[int, ...]


def attribute(node: Any, name: str, default: Any) -> Any:
    """An attribute of a node: int, float, list of ints or text."""
    for found in node.attribute:
        if found.name == name:
            if found.type == 2:
                return int(found.i)
            if found.type == 7:
                return [int(i) for i in found.ints][:64]
            if found.type == 1:
                return float(found.f)
            if found.type == 3:
                return found.s[:500].decode("utf-8", "replace")
    return default


def _at(inputs: Inputs, *positions: int) -> list[Value] | None:
    found = [inputs[p] if p < len(inputs) else None for p in positions]
    return None if any(v is None for v in found) else [v for v in found if v is not None]


def _conv(data: int, filters: int, bias: int) -> Callable[[Any, Inputs, list[Value]], Product | None]:
    def rule(node: Any, inputs: Inputs, outputs: list[Value]) -> Product | None:
        found = _at(inputs, data, filters)
        if not found or len(found[1].shape) < 3 or len(outputs[0].shape) != len(found[1].shape):
            return None
        groups = max(1, attribute(node, "group", 1))
        shape, out = found[1].shape, outputs[0].shape
        gemm = (out[0] * prod(out[2:]), prod(shape[1:]), shape[0] / groups, groups)
        return Product(_floats(gemm), "conv", _there(inputs, bias), (filters, bias))

    return rule


def _conv_transpose(node: Any, inputs: Inputs, outputs: list[Value]) -> Product | None:
    """Each input position scatters a window: m = input positions, k = input channels, n = window x outputs."""
    found = _at(inputs, 0, 1)
    if not found or len(found[1].shape) < 3 or len(found[0].shape) < 3:
        return None
    groups, (data, filters) = max(1, attribute(node, "group", 1)), (found[0].shape, found[1].shape)
    gemm = (data[0] * prod(data[2:]), filters[0] / groups, prod(filters[1:]), groups)
    return Product(_floats(gemm), "conv", _there(inputs, 2), (1, 2))


def _gemm(left: int, right: int, bias: int) -> Callable[[Any, Inputs, list[Value]], Product | None]:
    def rule(node: Any, inputs: Inputs, outputs: list[Value]) -> Product | None:
        found = _at(inputs, left, right)
        if not found or any(len(value.shape) != 2 for value in found):
            return None
        a, b = (value.shape for value in found)
        m, k = (a[1], a[0]) if attribute(node, "transA", 0) else a
        n = b[0] if attribute(node, "transB", 0) else b[1]
        kind = "matmul" if any(value.constant for value in found) else "attention"
        return Product(_floats((m, k, n, 1)), kind, _there(inputs, bias), (left, right, bias))

    return rule


def _matmul(left: int, right: int, bias: int = -1) -> Callable[[Any, Inputs, list[Value]], Product | None]:
    def rule(node: Any, inputs: Inputs, outputs: list[Value]) -> Product | None:
        found = _at(inputs, left, right)
        if not found or any(not value.shape for value in found):
            return None
        a, b = (_transposed(v.shape, attribute(node, t, 0)) for v, t in zip(found, ("transA", "transB"), strict=True))
        a, b = (a if len(a) > 1 else (1, *a)), (b if len(b) > 1 else (*b, 1))
        kind = "matmul" if any(value.constant for value in found) else "attention"
        if len(b) == 2:
            gemm = (prod(a[:-1]), a[-1], b[1], 1)
        else:
            count = _broadcast(a[:-2], b[:-2])
            gemm = (a[-2], a[-1], b[-1], count)
        return Product(_floats(gemm), kind, _there(inputs, bias), (left, right, bias))

    return rule


def _transposed(shape: tuple[int, ...], swap: int) -> tuple[int, ...]:
    return (*shape[:-2], shape[-1], shape[-2]) if swap and len(shape) > 1 else shape


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Products of a batched multiplication."""
    longest = max(len(a), len(b))
    pairs = zip((1,) * (longest - len(a)) + a, (1,) * (longest - len(b)) + b, strict=True)
    return prod(max(x, y) for x, y in pairs)


def _recurrent(node: Any, inputs: Inputs, outputs: list[Value]) -> Product | None:
    """LSTM, GRU, RNN: every step multiplies input and state with their matrices, in each direction."""
    found = _at(inputs, 0, 1, 2)
    if not found or any(len(value.shape) != 3 for value in found):
        return None
    data, w, r = (value.shape for value in found)
    steps, batch = (data[1], data[0]) if attribute(node, "layout", 0) else data[:2]
    gemm = (batch, w[2] + r[2], w[1], steps * w[0])
    return Product(_floats(gemm), "matmul", _there(inputs, 3), (1, 2, 3, 7))


def _einsum(node: Any, inputs: Inputs, outputs: list[Value]) -> Product | None:
    """m over the labels of the left alone, n of the right alone, k of the summed ones, count of the rest."""
    left, _, right = attribute(node, "equation", "").replace(" ", "").partition("->")
    terms, found = left.split(","), _at(inputs, 0, 1)
    if len(terms) != 2 or not found or "." in left or any(
        len(t) != len(v.shape) for t, v in zip(terms, found, strict=True)
    ):  # fmt: skip
        return None
    size = {letter: s for t, v in zip(terms, found, strict=True) for letter, s in zip(t, v.shape, strict=True)}
    out = set(right) if right else {letter for letter in size if left.count(letter) == 1}
    a, b = (set(term) for term in terms)

    def over(letters: set[str]) -> int:
        return prod(size[letter] for letter in letters)

    gemm = (over(a & out - b), over((a | b) - out), over(b & out - a), over(a & b & out))
    kind = "matmul" if any(value.constant for value in found) else "attention"
    return Product(_floats(gemm), kind, False, (0, 1))


def _n_bits(node: Any, inputs: Inputs, outputs: list[Value]) -> Product | None:
    """MatMulNBits of com.microsoft: packed weights, sizes in the attributes."""
    found = _at(inputs, 0, 1)
    k, n = attribute(node, "K", 0), attribute(node, "N", 0)
    if not found or not (isinstance(k, int) and isinstance(n, int) and 0 < k < 2**31 and 0 < n < 2**31):
        return None
    return Product(_floats((found[0].elements / k, k, n, 1)), "matmul", _there(inputs, 5), (1, 5))


def heads(node: Any, inputs: Inputs) -> tuple[Gemm, Gemm] | None:
    """The two products of a fused attention: (scores, values), from query, key and value tensors.

    Queries (batch, positions, width) with `num_heads` or `q_num_heads`, or (batch, heads, positions, width).
    """
    found = _at(inputs, 0)
    if not found or len(found[0].shape) not in (3, 4):
        return None
    query, key = found[0].shape, inputs[1].shape if len(inputs) > 1 and inputs[1] is not None else found[0].shape
    if len(query) == 4:
        batch, count, positions, width = query
    else:
        count = max(1, int(attribute(node, "num_heads", attribute(node, "q_num_heads", 1))))
        batch, positions, width = query[0], query[1], query[2] // count
    sees = key[-2] if len(key) in (3, 4) else positions
    scores = (positions, width, sees, batch * count)
    return _floats(scores), _floats((positions, sees, width, batch * count))


def _there(inputs: Inputs, at: int) -> bool:
    return 0 <= at < len(inputs) and inputs[at] is not None


def _floats(gemm: tuple[float, float, float, float]) -> Gemm:
    m, k, n, count = gemm
    return float(m), float(k), float(n), float(count)


PRODUCTS: Mapping[str, Callable[[Any, Inputs, list[Value]], Product | None]] = {
    "Conv": _conv(0, 1, 2),
    "FusedConv": _conv(0, 1, 2),
    "DeformConv": _conv(0, 1, 3),
    "ConvInteger": _conv(0, 1, -1),
    "QLinearConv": _conv(0, 3, 8),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm(0, 1, 2),
    "QGemm": _gemm(0, 3, 6),
    "MatMul": _matmul(0, 1),
    "FusedMatMul": _matmul(0, 1),
    "MatMulInteger": _matmul(0, 1),
    "QLinearMatMul": _matmul(0, 3),
    "MatMulIntegerToFloat": _matmul(0, 1, 6),
    "DynamicQuantizeMatMul": _matmul(0, 1, 4),
    "MatMulNBits": _n_bits,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Einsum": _einsum,
}
SCALES: Mapping[str, tuple[int, ...]] = {
    "QuantizeLinear": (0,), "DequantizeLinear": (0,), "QLinearAdd": (0, 3), "QLinearMul": (0, 3), "Resize": (0,),
    "QLinearSigmoid": (0,), "QLinearLeakyRelu": (0,), "QLinearGlobalAveragePool": (0,), "QLinearAveragePool": (0,),
    "QLinearSoftmax": (0,), "Clip": (0,), "Upsample": (0,), "Pad": (0,), "Dropout": (0,),
}  # fmt: skip
"""Inputs that hold data; the others are scales, zero points and bounds, which are no weights."""

"""Work of TFLite's operators. Layouts are those of the TFLite schema: activations NHWC, weights OHWI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from tradespace.workloads.networks.builder import Builder, Gemm, Value, activation_cost, product_flop, window_of
from tradespace.workloads.networks.work import elements

ACTIVATIONS: Mapping[int, str] = {1: "relu", 2: "relun1to1", 3: "relu6", 4: "tanh", 5: "sign"}
WITH_ACTIVATION: Mapping[str, str] = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions", "CONV_3D": "Conv3DOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions", "FULLY_CONNECTED": "FullyConnectedOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "MAX_POOL_2D": "Pool2DOptions",
    "L2_POOL_2D": "Pool2DOptions", "ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions",
    "CONCATENATION": "ConcatenationOptions", "L2_NORMALIZATION": "L2NormOptions", "SVDF": "SVDFOptions",
}  # fmt: skip
REDUCTIONS = {"SUM": "reducesum", "MEAN": "reducemean"}
STABLEHLO = {
    "divide": "div", "multiply": "mul", "clamp": "clip", "broadcastindim": "broadcastto", "cosine": "cos",
    "exponential": "exp", "negate": "neg", "power": "pow", "remainder": "mod", "subtract": "sub", "compare": "equal",
    "convert": "cast", "reduce": "reducesum", "sort": "topk", "iota": "range", "cbrt": "sqrt", "shiftleft": "bitshift",
}  # fmt: skip
FREE = ("varhandle", "callonce")


def add_operator(
    builder: Builder, name: str, kind: str, what: str, table: Any, inputs: Sequence[Value | None], outputs: list[Value]
) -> None:
    """Add one operator with its work; what has no product rule, or misses what its rule needs, is counted generally."""
    fused = _fused(kind, table)
    product = PRODUCTS.get(kind)
    found = product(inputs, outputs, table) if product and outputs else None
    written = sum(value.elements for value in outputs)
    if found is not None:
        gemm, biased, how = found
        flop = product_flop(gemm, biased, written, fused)
        weights = range(len(inputs)) if how != "attention" else ()
        filters = inputs[1] if kind in ("CONV_2D", "DEPTHWISE_CONV_2D") else None
        window = window_of(outputs[0].shape[1:3], filters.shape[1:3] if filters is not None else ())
        builder.emit(name, kind, how, inputs, outputs, gemm=gemm, window=window, flop=flop, weights=weights)
        return
    if product is not None:
        builder.notes.append(f"{kind} '{name[:40]}' has shapes that no product has; counted by elements.")
    if what.startswith("stablehlo"):
        what = what.removeprefix("stablehlo")
        what = STABLEHLO.get(what, what)
    if what in FREE:
        builder.emit(name, kind, "elementwise", (), outputs)
        return
    what = REDUCTIONS.get(kind, what)
    pooled = _window(table) if kind.endswith("POOL_2D") else 1.0
    builder.general(name, kind, what, inputs, outputs, window=pooled, extra=fused * written)


def _fused(kind: str, table: Any) -> float:
    """FLOP per output of the activation that an operator applies itself."""
    options = _options(table, WITH_ACTIVATION[kind]) if kind in WITH_ACTIVATION else None
    return activation_cost(ACTIVATIONS.get(options.FusedActivationFunction(), "")) if options else 0.0


def _options(table: Any, name: str, second: bool = False) -> Any:
    import tflite

    union = table.BuiltinOptions2() if second else table.BuiltinOptions()
    if union is None:
        return None
    options = getattr(tflite, name)()
    options.Init(union.Bytes, union.Pos)
    return options


def _window(table: Any) -> float:
    options = _options(table, "Pool2DOptions")
    return float(max(1, options.FilterHeight()) * max(1, options.FilterWidth())) if options else 1.0


Found = tuple[Gemm, bool, str] | None


def _has(inputs: Sequence[Value | None], *ranks: int) -> list[Value] | None:
    """The first inputs, if they are there with these ranks (0: any)."""
    found = [value for value in inputs[: len(ranks)] if value is not None]
    if len(found) < len(ranks) or any(rank and len(v.shape) != rank for v, rank in zip(found, ranks, strict=True)):
        return None
    return found


def _bias(inputs: Sequence[Value | None], at: int) -> bool:
    return len(inputs) > at and inputs[at] is not None


def _conv(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    found = _has(inputs, 4, 4)
    if not found or len(outputs[0].shape) != 4 or not (found[1].shape[3] and found[0].shape[3]):
        return None
    data, filters = found
    n_out, *window, per_group = filters.shape
    groups = max(1, data.shape[3] // per_group)
    gemm = (prod(outputs[0].shape[:3]), prod(window) * per_group, n_out / groups, groups)
    return _floats(gemm), _bias(inputs, 2), "conv"


def _depthwise(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    found = _has(inputs, 4, 4)
    if not found or len(outputs[0].shape) != 4 or not found[0].shape[3]:
        return None
    channels, filters = found[0].shape[3], found[1].shape
    gemm = (prod(outputs[0].shape[:3]), filters[1] * filters[2], filters[3] / channels, channels)
    return _floats(gemm), _bias(inputs, 2), "conv"


def _conv_3d(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    found = _has(inputs, 5, 5)
    if not found or len(outputs[0].shape) != 5 or not found[1].shape[3]:
        return None
    *window, per_group, n_out = found[1].shape
    groups = max(1, found[0].shape[4] // per_group)
    gemm = (prod(outputs[0].shape[:4]), prod(window) * per_group, n_out / groups, groups)
    return _floats(gemm), _bias(inputs, 2), "conv"


def _transposed(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    """Each input position scatters a window: m = input positions, k = input channels, n = window x outputs."""
    found = _has(inputs, 0, 4, 4) or _has(inputs, 0, 5, 5)
    if not found:
        return None
    filters, data = found[1].shape, found[2].shape
    gemm = (prod(data[:-1]), data[-1], elements(filters) / max(data[-1], 1), 1.0)
    return _floats(gemm), _bias(inputs, 3), "conv"


def _fully(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    found = _has(inputs, 0, 2)
    if not found or not found[1].shape[1]:
        return None
    n, k = found[1].shape
    how = "matmul" if found[1].constant else "attention"
    return _floats((found[0].elements / k, k, n, 1.0)), _bias(inputs, 2), how


def _batch(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    found = _has(inputs, 0, 0)
    if not found or min(len(value.shape) for value in found) < 2 or len(outputs[0].shape) < 2:
        return None
    options = _options(table, "BatchMatMulOptions")
    k = found[0].shape[-2 if options and options.AdjX() else -1]
    m, n = outputs[0].shape[-2:]
    held = any(value.constant for value in found)
    return _floats((m, k, n, prod(outputs[0].shape[:-2]))), False, "matmul" if held else "attention"


def _recurrent(steps_axis: int | None) -> Callable[[Sequence[Value | None], list[Value], Any], Found]:
    """LSTM, RNN, SVDF: every step multiplies with every stored matrix once."""

    def rule(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
        matrices = [v for v in inputs[1:] if v is not None and v.constant and len(v.shape) == 2]
        data = inputs[0] if inputs else None
        if data is None or not matrices or len(data.shape) < 2:
            return None
        sequence = steps_axis is not None and len(data.shape) == 3
        steps, batch = (data.shape[0], data.shape[1]) if sequence else (1, data.shape[0])
        units = max(matrices[0].shape[0], 1)
        k = sum(matrix.elements for matrix in matrices) / units
        return _floats((batch, k, units, steps)), True, "matmul"

    return rule


def _dot_general(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    found, options = _has(inputs, 0, 0), _options(table, "StablehloDotGeneralOptions", second=True)
    if not found or options is None:
        return None
    left, right = found
    axes = [options.LhsContractingDimensions(i) for i in range(min(options.LhsContractingDimensionsLength(), 16))]
    batch = [options.LhsBatchingDimensions(i) for i in range(min(options.LhsBatchingDimensionsLength(), 16))]
    if any(not 0 <= axis < len(left.shape) for axis in (*axes, *batch)):
        return None
    k, count = prod(left.shape[axis] for axis in axes), prod(left.shape[axis] for axis in batch)
    whole = max(k * count, 1)
    gemm = (left.elements / whole, k, right.elements / whole, count)
    return _floats(gemm), False, "matmul" if left.constant or right.constant else "attention"


def _hlo_conv(inputs: Sequence[Value | None], outputs: list[Value], table: Any) -> Found:
    found, options = _has(inputs, 0, 0), _options(table, "StablehloConvolutionOptions", second=True)
    if not found or options is None or not 0 <= options.KernelOutputFeatureDimension() < len(found[1].shape):
        return None
    n = max(found[1].shape[options.KernelOutputFeatureDimension()], 1)
    groups = max(options.FeatureGroupCount(), 1)
    gemm = (outputs[0].elements / n, found[1].elements / n, n / groups, groups)
    return _floats(gemm), False, "conv"


def _floats(gemm: tuple[float, float, float, float]) -> Gemm:
    m, k, n, count = gemm
    return float(m), float(k), float(n), float(count)


PRODUCTS: Mapping[str, Callable[[Sequence[Value | None], list[Value], Any], Found]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "CONV_3D": _conv_3d,
    "TRANSPOSE_CONV": _transposed,
    "CONV_3D_TRANSPOSE": _transposed,
    "FULLY_CONNECTED": _fully,
    "BATCH_MATMUL": _batch,
    "LSTM": _recurrent(None),
    "RNN": _recurrent(None),
    "SVDF": _recurrent(None),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent(0),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _recurrent(0),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _recurrent(0),
    "BIDIRECTIONAL_SEQUENCE_RNN": _recurrent(0),
    "STABLEHLO_DOT_GENERAL": _dot_general,
    "STABLEHLO_CONVOLUTION": _hlo_conv,
}

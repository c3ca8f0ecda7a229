"""An ONNX model made ready: bounded, stripped of its weights' values, its axes set, its shapes inferred.

Runs in a process of its own (see `isolation`): the protobuf parser and the shape inference of the `onnx` package are
compiled code that a hostile file may crash.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tradespace.errors import InputError, UnknownName
from tradespace.workloads.networks.network import BITS, MAX_ELEMENTS, MAX_OPERATORS, MAX_RANK, MAX_TENSORS
from tradespace.workloads.networks.onnx_constants import ROUNDS, SMALL, fix, open_shapes
from tradespace.workloads.networks.onnx_ops import TYPES
from tradespace.workloads.networks.onnx_shapes import described

MAX_FILE = 2**31 - 1
"""Protobuf's own limit; larger models keep their weights in external data, which is never read."""
MAX_SUBGRAPHS = 32
MAX_EXPANDED = MAX_OPERATORS
BATCH = re.compile(r"^(n|b|bs|none|unk.*|dyn.*|.*batch.*|\?)$", re.IGNORECASE)
"""Names of a first axis that is taken for the batch: 1 unless told otherwise."""


def load(path: Path, where: str) -> Any:
    """The model without external data.

    Raises:
        InputError: too large, not protobuf, not ONNX, or beyond the limits.
    """
    import onnx

    size = path.stat().st_size
    if size > MAX_FILE:
        raise InputError(
            f"an ONNX file is at most {MAX_FILE} bytes (the format's own limit)", value=size, where=where,
            remedy="Keep the weights of larger networks in external data.",
        )  # fmt: skip
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            "the file is an ONNX model; it is truncated, damaged or of another kind", value=reason, where=where,
            remedy="Download or export it again.",
        ) from None  # fmt: skip
    if not model.graph.node and not model.graph.initializer:
        raise InputError("an ONNX model has a graph with operators", where=where)
    _bound(model, where)
    return model


def graphs(graph: Any, depth: int = 0) -> Iterator[tuple[Any, int]]:
    """A graph and all below it, with their depth."""
    stack = [(graph, depth)]
    while stack:
        here, level = stack.pop()
        yield here, level
        for node in here.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    stack.append((attribute.g, level + 1))
                stack.extend((inner, level + 1) for inner in attribute.graphs)


def _bound(model: Any, where: str) -> None:
    """Refuse what is larger than any network, and tensors whose data do not fit their shapes."""
    nodes = tensors = 0
    for graph, depth in graphs(model.graph):
        nodes, tensors = nodes + len(graph.node), tensors + len(graph.initializer)
        if depth > MAX_SUBGRAPHS:
            raise InputError(f"subgraphs nest at most {MAX_SUBGRAPHS} deep", where=where)
        for tensor in graph.initializer:
            _check_tensor(tensor, where)
        _check_texts(_texts(graph), where)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    _check_tensor(attribute.t, where)
    for function in model.functions:
        _check_texts((function.name, function.domain, *function.input, *function.output, *_node_texts(function)), where)
    _check_texts((model.producer_name, model.producer_version, *(entry.domain for entry in model.opset_import)), where)
    nodes += sum(len(function.node) for function in model.functions)
    for count, limit, what in ((nodes, MAX_OPERATORS, "operators"), (tensors, MAX_TENSORS, "constants")):
        if count > limit:
            raise InputError(f"a network has at most {limit} {what}", value=count, where=where)


def _texts(graph: Any) -> Iterator[object]:
    """Every text of a graph that is used as one. Protobuf gives bytes for what is no UTF-8."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (sparse.values.name for sparse in graph.sparse_initializer)
    yield from _node_texts(graph)


def _node_texts(graph: Any) -> Iterator[object]:
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.t.name, attribute.sparse_tensor.values.name)


def _check_texts(texts: Iterable[object], where: str) -> None:
    for text in texts:
        if not isinstance(text, str):
            raise InputError("names in an ONNX model are UTF-8 text", value=repr(text)[:80], where=where)


def _check_tensor(tensor: Any, where: str) -> None:
    total = 1
    for size in tensor.dims:
        total *= max(size, 1)
        if size < 0 or total > MAX_ELEMENTS:
            break
    if len(tensor.dims) > MAX_RANK or any(size < 0 for size in tensor.dims) or total > MAX_ELEMENTS:
        rule = f"a constant has at most {MAX_RANK} axes, none negative, and at most {MAX_ELEMENTS} elements"
        raise InputError(rule, value=list(tensor.dims)[:MAX_RANK], where=f"{where}: {tensor.name[:80]}")
    bits = _bits(tensor.data_type)
    if tensor.HasField("raw_data") and bits and tensor.data_location != 1:
        needed = (-(-_count(tensor) * bits // 8),)
        if len(tensor.raw_data) not in (*needed, 0):
            raise InputError(
                "a constant holds as many bytes as its shape needs",
                value=f"{len(tensor.raw_data)} bytes for {list(tensor.dims)}", where=f"{where}: {tensor.name[:80]}",
            )  # fmt: skip


def _count(tensor: Any) -> int:
    total = 1
    for size in tensor.dims:
        total *= size
    return total


def _bits(kind: int) -> int:
    name = TYPES.get(kind)
    return 0 if name in (None, "string") else BITS[str(name)]


def strip(model: Any) -> None:
    """Throw the values of large constants away: nothing here reads them, and the inference would copy them. Constants
    of at most `SMALL` elements keep theirs: they are shapes, axes and sizes."""
    for graph, _ in graphs(model.graph):
        for tensor in graph.initializer:
            _strip(tensor)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    _strip(attribute.t)


def _strip(tensor: Any) -> None:
    if _count(tensor) > SMALL:
        for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"):
            tensor.ClearField(name)


def axis_name(value: str, axis: int, dim: Any) -> str | None:
    """What an open axis is called on the command line; None if its size is known."""
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return None
    if dim.HasField("dim_param") and dim.dim_param.strip():
        return re.sub(r"\W+", "_", dim.dim_param.strip())[:64] or "axis"
    return f"{re.sub(r'[^0-9A-Za-z_]+', '_', value)[:64]}_{axis}"


def set_axes(model: Any, given: Mapping[str, int], where: str) -> list[str]:
    """Set the open axes of the inputs; returns notes. `given` maps names (as `axis_name` makes them) to sizes.

    Raises:
        UnknownName: a name that no open axis has.
        InputError: an axis that is neither given nor the batch.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, bool] = {}  # name -> stands first somewhere, and looks like a batch
    shown: dict[str, str] = {}
    for value in model.graph.input:
        if value.name in constants or not value.type.HasField("tensor_type"):
            continue
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            name = axis_name(value.name, axis, dim)
            if name is not None:
                label = dim.dim_param.strip() or "?"
                found[name] = (
                    found.get(name, False)
                    or (axis == 0 and BATCH.match(label) is not None)
                    or ("batch" in label.lower())
                )
                shown.setdefault(name, f"axis {axis} of '{value.name[:60]}'")
    for name in given:
        if name not in found:
            raise UnknownName("axis", name[:80], found, where=where)
    missing = [name for name, batch in found.items() if name not in given and not batch]
    if missing:
        raise InputError(
            "the size of every open axis is given",
            value=", ".join(f"{name} ({shown[name]})" for name in missing[:12]), where=where,
            remedy="Set them: " + " ".join(f"axes.{name}=N" for name in missing[:12])
            + " (in a search: workload.axes.…; a batch is 1 unless given).",
        )  # fmt: skip
    sizes = {name: given.get(name, 1) for name in found}
    _put_axes(model, sizes, constants)
    assumed = [name for name in found if name not in given]
    return [f"Axes of size 1 unless given: {', '.join(assumed)}."] if assumed else []


def _put_axes(model: Any, sizes: Mapping[str, int], constants: set[str]) -> None:
    for value in model.graph.input:
        if value.name in constants:
            continue
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            name = axis_name(value.name, axis, dim)
            if name is not None:
                dim.dim_value = sizes[name]
    for graph, _ in graphs(model.graph):
        for value in (*graph.value_info, *graph.output, *graph.input):
            for dim in value.type.tensor_type.shape.dim:
                name = axis_name("", 0, dim) if dim.HasField("dim_param") else None
                if name is not None and name in sizes:
                    dim.dim_value = sizes[name]


def expand_functions(model: Any, where: str) -> Any:
    """Functions of the model inlined. Their calls form no circle, and do not multiply without bound.

    Raises:
        InputError: recursion, or more than `MAX_EXPANDED` operators after inlining.
    """
    if not model.functions:
        return model
    import onnx.inliner

    bodies = {(f.domain, f.name): f for f in model.functions}
    weight: dict[tuple[str, str], int] = {}

    def size(key: tuple[str, str], path: tuple[tuple[str, str], ...]) -> int:
        if key in path or len(path) > 64:
            raise InputError("functions do not call themselves, and nest at most 64 deep", value=key[1], where=where)
        if key not in weight:
            weight[key] = sum(cost(node, (*path, key)) for node in _all_nodes(bodies[key].node))
            if weight[key] > MAX_EXPANDED:
                raise InputError(f"a network has at most {MAX_EXPANDED} operators with functions inlined", where=where)
        return weight[key]

    def cost(node: Any, path: tuple[tuple[str, str], ...]) -> int:
        key = (node.domain, node.op_type)
        return size(key, path) if key in bodies else 1

    total = sum(cost(node, ()) for graph, _ in graphs(model.graph) for node in graph.node)
    for key in bodies:
        size(key, ())
    if total > MAX_EXPANDED:
        raise InputError(
            f"a network has at most {MAX_EXPANDED} operators with functions inlined", value=total, where=where
        )
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError("the functions of the model can be inlined", value=reason, where=where) from None


def _all_nodes(nodes: Any) -> Iterator[Any]:
    stack = list(nodes)
    while stack:
        node = stack.pop()
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                stack.extend(attribute.g.node)
            for graph in attribute.graphs:
                stack.extend(graph.node)


SAME_SHAPE = (
    "Gelu",
    "FastGelu",
    "QuickGelu",
    "BiasGelu",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "SimplifiedLayerNormalization",
    "QLinearSigmoid",
    "QLinearLeakyRelu",
    "QLinearSoftmax",
    "RotaryEmbedding",
    "GroupNorm",
    "BiasAdd",
    "MultiHeadAttention",
    "GroupQueryAttention",
    "Attention",
    "QAttention",
)
"""Operators of other domains whose first output has the shape of their first input."""


def stand_ins(model: Any) -> Any:
    """A copy for the inference in which operators of other domains are standard ones with the same output shapes."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for graph, _ in graphs(copy.graph):
        for node in graph.node:
            like, inputs = _like(node)
            if like and all(at < len(node.input) for at in inputs):
                names, kept = [node.input[at] for at in inputs], node.output[0] if node.output else ""
                del node.input[:], node.output[:]
                if like == "Identity":
                    del node.attribute[:]
                node.op_type, node.domain = like, ""
                node.input.extend(names)
                node.output.append(kept)
            elif node.op_type in ("DequantizeLinear", "QuantizeLinear"):
                node.domain = ""
    return copy


def _like(node: Any) -> tuple[str, tuple[int, ...]]:
    """The standard operator that gives the same output shape, and which inputs it needs; ("", ()) for none."""
    if node.domain in ("", "ai.onnx"):  # the inference of these two takes a scale for the weights
        return {"QLinearConv": ("Conv", (0, 3)), "QLinearMatMul": ("MatMul", (0, 3))}.get(node.op_type, ("", ()))
    if node.op_type in SAME_SHAPE:
        return "Identity", (0,)
    if node.op_type == "QLinearGlobalAveragePool":
        return "GlobalAveragePool", (0,)
    if node.op_type in ("QLinearAdd", "QLinearMul"):
        return "Add", (0, 3)
    return ("MatMul", (0, 1)) if node.op_type in ("MatMulIntegerToFloat", "DynamicQuantizeMatMul") else ("", ())


def check_values(model: Any, values: Mapping[str, int], where: str) -> None:
    """Raises `UnknownName` for a value of something that is no input."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    for name in values:
        if name not in inputs:
            raise UnknownName("input", name[:80], inputs, where=where)


def infer(model: Any, where: str, values: Mapping[str, int]) -> Any:
    """The model with the shapes of its values. What cannot be inferred stays open; the walk counts it by its inputs.

    Args:
        values: inputs that hold one whole number -> that number.
    """
    import onnx.shape_inference

    copy = stand_ins(model)
    shapes = {value.name: described(value)[0] for value in model.graph.input}
    given = {name: np.full([size or 1 for size in shapes.get(name) or ()], value) for name, value in values.items()}
    try:
        branching = any(depth for _, depth in graphs(model.graph))
        for attempt in range(ROUNDS):
            found = onnx.shape_inference.infer_shapes(copy, check_type=False, strict_mode=False, data_prop=True)
            settled = not open_shapes(found.graph) and (attempt or not branching)
            if settled or not fix(copy.graph, found.graph, ChainMap(dict(given)), ChainMap()):
                break
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError("the shapes of the network fit together", value=reason, where=where) from None
    return found

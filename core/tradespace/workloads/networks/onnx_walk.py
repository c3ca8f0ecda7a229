"""Walks an ONNX model whose shapes are known, and makes a `Network` of it.

What runtimes do once is no operator here: shape arithmetic and whatever else has constant inputs only is folded, and a
DequantizeLinear of an int8 weight leaves an int8 weight. Quantise/dequantise pairs between operators are folded too:
the operator before them writes int8 (ONNX Runtime fuses them the same way). Of an If the costlier branch counts, the
body of a Scan as often as its axis is long, of a Loop as often as its constant trip count says, else `trips`.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.networks.builder import Builder, Value, activation_cost, product_flop, window_of
from tradespace.workloads.networks.network import INDICES, Network
from tradespace.workloads.networks.onnx_fused import attention, packed
from tradespace.workloads.networks.onnx_ops import PRODUCTS, SCALES, TYPES, attribute
from tradespace.workloads.networks.onnx_shapes import Open, described, settle
from tradespace.workloads.networks.work import plain

Info = MutableMapping[str, tuple[Open | None, str]]
Values = MutableMapping[str, Value]
FUSED_ATTENTION = ("Attention", "QAttention", "MultiHeadAttention", "GroupQueryAttention")
SQUASHES = ("Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "HardSwish", "HardSigmoid", "Tanh")


@dataclass
class Walk:
    """State of walking one model."""

    builder: Builder
    trips: int
    uses: Counter[str] = field(default_factory=Counter)
    readers: dict[str, set[str]] = field(default_factory=dict)
    source: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    """Tensor -> (type of the operator that wrote it, name of its first input, tensor it read if only one)."""
    numbers: dict[str, int] = field(default_factory=dict)  # constants that hold one whole number
    assumed: int = 0
    loops: int = 0
    ends: frozenset[str] = frozenset()


def walk_model(
    model: Any, inferred: Any, where: str, *, values: Mapping[str, int], trips: int, notes: Sequence[str]
) -> Network:
    """The network of a model.

    Args:
        model: functions inlined, axes set.
        inferred: the same graph with inferred shapes.
        values: inputs whose number is known.
    """
    ends = frozenset(value.name for value in model.graph.output)
    walk = Walk(Builder(where), trips, numbers=dict(values), ends=ends)
    walk.builder.notes.extend(notes)
    made: ChainMap[str, Value] = ChainMap()
    info: ChainMap[str, tuple[Open | None, str]] = ChainMap()
    _enter(walk, model.graph, inferred.graph, made, info)
    inputs = []
    for value in model.graph.input:
        if value.name not in made:
            shape, dtype = info.get(value.name, (None, "other"))
            made[value.name] = walk.builder.activation([size or 0 for size in shape or ()], dtype, value.name)
            inputs.append(made[value.name])
    _nodes(walk, model.graph, inferred.graph, made, info)
    outputs = [made[value.name] for value in model.graph.output if value.name in made]
    if walk.assumed:
        walk.builder.notes.append(
            f"{walk.assumed} tensors have sizes known only at run time: taken from what they read."
        )
    if walk.loops:
        walk.builder.notes.append(f"{walk.loops} loops run {trips} times (the file does not say): trips=N.")
    return walk.builder.network(inputs, outputs, _facts(model, inputs))


def _facts(model: Any, inputs: Sequence[Value]) -> dict[str, float | str]:
    versions = {entry.domain or "ai.onnx": entry.version for entry in list(model.opset_import)[:20]}
    facts: dict[str, float | str] = {
        "format": "ONNX",
        "opset": ", ".join(f"{domain[:40]} {version}" for domain, version in versions.items()),
    }
    if model.producer_name:
        facts["producer"] = f"{model.producer_name[:60]} {model.producer_version[:30]}".strip()
    if inputs:
        facts["input"] = "x".join(map(str, inputs[0].shape)) or "1"
    return facts


def _enter(walk: Walk, graph: Any, inferred: Any, values: Values, info: Info) -> None:
    """Constants, known shapes and uses of a graph (not of those below it)."""
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        info[value.name] = described(value)
    for tensor in graph.initializer:
        values[tensor.name] = _stored(walk, tensor, tensor.name)
    for sparse in graph.sparse_initializer:
        _sparse(walk, sparse, values)
    for node in graph.node:
        for name in node.input:
            walk.uses[name] += 1
            walk.readers.setdefault(name, set()).add(node.op_type)
    for value in graph.output:
        walk.uses[value.name] += 1


def _stored(walk: Walk, tensor: Any, name: str) -> Value:
    if len(tensor.dims) <= 1 and tensor.data_type in (6, 7) and prod(tensor.dims) == 1:
        number = _number(tensor)
        if number is not None:
            walk.numbers[name] = number
    return walk.builder.constant(list(tensor.dims), TYPES.get(tensor.data_type, "other"), name)


def _number(tensor: Any) -> int | None:
    """The value of a constant that is one whole number."""
    data = tensor.int64_data or tensor.int32_data
    if data:
        return int(data[0])
    width = 8 if tensor.data_type == 7 else 4
    return int.from_bytes(tensor.raw_data, "little", signed=True) if len(tensor.raw_data) == width else None


def _computed(walk: Walk, twin: Any) -> None:
    """A number that `onnx_constants` found: trip counts and conditions are looked up by name."""
    tensor = next((a.t for a in twin.attribute if a.name == "value"), None)
    if tensor is not None and prod(tensor.dims) == 1 and tensor.raw_data and twin.output:
        walk.numbers[twin.output[0]] = int.from_bytes(tensor.raw_data, "little", signed=True)


def _sparse(walk: Walk, sparse: Any, values: Values) -> None:
    held = float(prod(sparse.values.dims))
    name = sparse.values.name
    values[name] = walk.builder.constant(
        list(sparse.dims), TYPES.get(sparse.values.data_type, "other"), name, stored_elements=held
    )


def _nodes(walk: Walk, graph: Any, inferred: Any, values: Values, info: Info) -> None:
    for at, (node, twin) in enumerate(zip(graph.node, inferred.node, strict=True)):
        inputs = [_read(walk, name, values) for name in node.input]
        if twin.op_type == "Constant" and node.op_type != "Constant":
            _computed(walk, twin)
        if node.op_type in ("If", "Loop", "Scan") and node.domain in ("", "ai.onnx"):
            _control(walk, node, twin, inputs, values, info)
        elif not _folded(walk, node, inputs, values, info) and not _requantised(walk, node, inputs, values):
            _operator(walk, node, f"{node.op_type}_{at}", inputs, values, info)


def _read(walk: Walk, name: str, values: Values) -> Value | None:
    if not name:
        return None
    found = values.get(name)
    if found is None:
        rule = "an operator reads what the network's inputs or earlier operators give"
        raise InputError(rule, value=name[:80], where=walk.builder.where)
    return found


def _shape(walk: Walk, node: Any, name: str, inputs: Sequence[Value | None], info: Info) -> tuple[tuple[int, ...], str]:
    known, dtype = info.get(name, (None, "other"))
    shape, assumed = settle(node, known, inputs)
    walk.assumed += assumed
    if dtype == "other":
        dtype = next((value.dtype for value in inputs if value is not None), "fp32")
    return shape, dtype


def _folded(walk: Walk, node: Any, inputs: Sequence[Value | None], values: Values, info: Info) -> bool:
    """Constants, and operators on constants alone."""
    given = [value for value in inputs if value is not None]
    measured = node.op_type in ("Shape", "Size")
    if node.op_type == "Constant":
        _constant(walk, node, values)
        return True
    if not measured and (any(not value.constant for value in given) or node.op_type.startswith("Random")):
        return False
    root = max(given, key=lambda value: value.elements, default=None) if not measured else None
    for name in node.output:
        if not name:
            continue
        shape, dtype = _shape(walk, node, name, [], info)
        if root is not None and root.stored >= 0 and root.elements == prod(shape) and root.dtype not in INDICES:
            values[name] = Value(walk.builder.check_shape(shape, name), root.dtype, stored=root.stored)
        elif measured or dtype in INDICES:
            values[name] = Value(walk.builder.check_shape(shape, name), dtype)
        else:
            values[name] = walk.builder.constant(shape, dtype, name)
        _follow_number(walk, node, name)
    walk.builder.folded += not measured
    return True


def _follow_number(walk: Walk, node: Any, name: str) -> None:
    same = node.op_type in ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape")
    if same and node.input and node.input[0] in walk.numbers:
        walk.numbers[name] = walk.numbers[node.input[0]]


def _constant(walk: Walk, node: Any, values: Values) -> None:
    if not node.output:
        return
    name = node.output[0]
    for found in node.attribute:
        if found.name == "value":
            values[name] = _stored(walk, found.t, name)
            return
        if found.name == "sparse_value":
            _sparse(walk, found.sparse_tensor, values)
            values[name] = values[found.sparse_tensor.values.name]
            return
    kinds: Mapping[str, tuple[str, bool]] = {
        "value_float": ("fp32", False), "value_int": ("int64", False), "value_string": ("string", False),
        "value_floats": ("fp32", True), "value_ints": ("int64", True), "value_strings": ("string", True),
    }  # fmt: skip
    for found in node.attribute:
        if found.name in kinds:
            dtype, many = kinds[found.name]
            if found.name == "value_int":
                walk.numbers[name] = int(found.i)
            length = max(len(found.floats), len(found.ints), len(found.strings))
            values[name] = walk.builder.constant([length] if many else [], dtype, name)
            return
    raise InputError("a Constant has a value", value=name[:80], where=walk.builder.where)


def _requantised(walk: Walk, node: Any, inputs: Sequence[Value | None], values: Values) -> bool:
    """Quantise and dequantise operators between others: fused into them, as runtimes do."""
    data = inputs[0] if inputs else None
    if data is None or data.constant or not node.output or not node.output[0]:
        return False
    out = node.output[0]
    if node.op_type == "DequantizeLinear" and out not in walk.ends and data.tensor in walk.source:
        values[out] = data
    elif node.op_type == "QuantizeLinear" and out not in walk.ends:
        alone = walk.uses[node.input[0]] == 1 and data.tensor in walk.source
        if not alone or walk.readers.get(out) != {"DequantizeLinear"}:
            return False
        dtype = _zero_type(inputs)
        _narrow(walk, data.tensor, dtype)
        values[out] = Value(data.shape, dtype, data.tensor)
    else:
        return False
    walk.builder.folded += 1
    return True


def _zero_type(inputs: Sequence[Value | None]) -> str:
    zero = inputs[2] if len(inputs) > 2 else None
    return zero.dtype if zero is not None else "uint8"


def _narrow(walk: Walk, tensor: int, dtype: str) -> None:
    """The tensor is kept in `dtype`; so is what an activation function alone turned into it."""
    for _ in range(8):
        while walk.builder.tensors[tensor].view >= 0:
            walk.builder.retype(tensor, dtype)
            tensor = walk.builder.tensors[tensor].view
        walk.builder.retype(tensor, dtype)
        maker, read, before = walk.source.get(tensor, ("", "", -1))
        if maker not in SQUASHES or walk.uses[read] != 1 or before not in walk.source:
            return
        tensor = before


def _operator(walk: Walk, node: Any, name: str, inputs: list[Value | None], values: Values, info: Info) -> None:
    builder = walk.builder
    outputs: list[Value] = []
    what = plain(node.op_type)
    read = [value.tensor for value in inputs if value is not None and not value.constant]
    only = read[0] if len(read) == 1 else -1
    label = node.op_type if node.domain in ("", "ai.onnx", "com.microsoft") else f"{node.domain}.{node.op_type}"
    for out in node.output:
        if out:
            shape, dtype = _shape(walk, node, out, inputs, info)
            made = builder.outputs_of(what, inputs if len(outputs) == 0 else (), shape, dtype, out)
            values[out] = made
            walk.source[made.tensor] = (node.op_type, node.input[0] if node.input else "", only)
            outputs.append(made)
    _work(walk, node, node.name or name, label, what, inputs, outputs)


def _work(
    walk: Walk, node: Any, name: str, label: str, what: str, inputs: list[Value | None], outputs: list[Value]
) -> None:
    builder = walk.builder
    rule = PRODUCTS.get(node.op_type)
    product = rule(node, inputs, outputs) if rule and outputs else None
    if product is not None:
        fused = activation_cost(plain(str(attribute(node, "activation", ""))))
        flop = product_flop(product.gemm, product.bias, outputs[0].elements, fused)
        if node.op_type == "MatMulNBits":
            packed(builder, node, inputs)
        weights = product.weights if product.kind != "attention" else ()
        window = (0.0, 0.0, 0.0, 0.0)
        if product.kind == "conv" and node.op_type != "ConvTranspose":
            filters = inputs[product.weights[0]]
            window = window_of(outputs[0].shape[2:], filters.shape[2:] if filters is not None else ())
        builder.emit(
            name, label, product.kind, inputs, outputs, gemm=product.gemm, window=window, flop=flop, weights=weights
        )
    elif node.op_type in FUSED_ATTENTION and attention(builder, node, name, label, inputs, outputs):
        pass
    elif node.op_type == "EmbedLayerNormalization" and outputs:
        part = outputs[0].elements
        builder.emit(name, label, "embedding", inputs, outputs, flop=9 * part, part=part)
    else:
        what = "where" if what == "where" and len(inputs) == 3 else what
        pooled = prod(attribute(node, "kernel_shape", [1])) if "pool" in what else 1.0
        builder.general(name, label, what, inputs, outputs, window=float(pooled), weights=SCALES.get(node.op_type))


def _control(walk: Walk, node: Any, twin: Any, inputs: list[Value | None], values: Values, info: Info) -> None:
    bodies = {a.name: (a.g, t.g) for a, t in zip(node.attribute, twin.attribute, strict=True) if a.HasField("g")}
    if node.op_type == "If":
        results = _branches(walk, node, bodies, values, info)
    elif "body" in bodies:
        results = _loop(walk, node, bodies["body"], inputs, values, info)
    else:
        raise InputError(f"a {node.op_type} has a body", value=node.name[:80], where=walk.builder.where)
    for at, name in enumerate(node.output):
        if not name:
            continue
        shape, dtype = _shape(walk, node, name, results[at : at + 1], info)
        if at < len(results) and not results[at].constant:
            values[name] = walk.builder.activation(shape, dtype, name, view=results[at].tensor)
            walk.source[values[name].tensor] = (node.op_type, "", -1)
        elif at < len(results):
            values[name] = results[at]
        else:
            values[name] = Value(walk.builder.check_shape(shape, name), dtype)


def _body(walk: Walk, pair: tuple[Any, Any], given: Sequence[Value | None], values: Values, info: Info) -> list[Value]:
    """Adds the operators of a subgraph; the values that it gives."""
    graph, inferred = pair
    inner_values: ChainMap[str, Value] = ChainMap({}, *getattr(values, "maps", [values]))
    inner_info: ChainMap[str, tuple[Open | None, str]] = ChainMap({}, *getattr(info, "maps", [info]))
    _enter(walk, graph, inferred, inner_values, inner_info)
    for at, value in enumerate(graph.input):
        outer = given[at] if at < len(given) else None
        known, dtype = inner_info.get(value.name, (None, "other"))
        shape = tuple(size or 1 for size in known) if known is not None else outer.shape if outer else ()
        dtype = outer.dtype if outer is not None and dtype == "other" else dtype
        if outer is not None and not outer.constant:
            inner_values[value.name] = walk.builder.activation(shape, dtype, value.name, view=outer.tensor)
        else:
            inner_values[value.name] = Value(walk.builder.check_shape(shape, value.name), dtype, stored=-1)
    _nodes(walk, graph, inferred, inner_values, inner_info)
    return [inner_values[v.name] for v in graph.output if v.name in inner_values]


def _branches(walk: Walk, node: Any, bodies: Mapping[str, tuple[Any, Any]], values: Values, info: Info) -> list[Value]:
    certain = walk.numbers.get(node.input[0] if node.input else "")
    if certain is not None and "then_branch" in bodies and "else_branch" in bodies:
        return _body(walk, bodies["then_branch" if certain else "else_branch"], (), values, info)
    ops, spans, results = walk.builder.ops, [], []
    for key in ("then_branch", "else_branch"):
        if key not in bodies:
            raise InputError("an If has two branches", value=node.name[:80], where=walk.builder.where)
        start = len(ops)
        results.append(_body(walk, bodies[key], (), values, info))
        spans.append((start, len(ops)))
    work = [sum(row.flop * row.repeat for row in ops[start:end]) for start, end in spans]
    taken = int(work[1] > work[0])
    start, end = spans[1 - taken]
    ops[start:end] = [replace(row, repeat=0.0) for row in ops[start:end]]
    if start < end:
        walk.builder.notes.append(f"Of the branches of If '{(node.name or 'If')[-40:]}' the costlier one is counted.")
    return results[taken]


def _loop(
    walk: Walk, node: Any, pair: tuple[Any, Any], inputs: list[Value | None], values: Values, info: Info
) -> list[Value]:
    before, scans = walk.builder.repeat, 0
    if node.op_type == "Loop":
        trips = walk.numbers.get(node.input[0] if node.input else "")
        walk.loops += trips is None
        times = walk.trips if trips is None else max(0, min(trips, 10**9))
        given: list[Value | None] = [Value((), "int64"), Value((), "bool"), *inputs[2:]]
    else:
        scans = int(attribute(node, "num_scan_inputs", 0))
        last = next((value for value in reversed(inputs[-scans:] if scans else []) if value is not None), None)
        times, given = (last.shape[0] if last and last.shape else 1), list(inputs)
    walk.builder.repeat = min(before * times, 1e15)
    results = _body(walk, pair, given, values, info)
    walk.builder.repeat = before
    return results[1:] if node.op_type == "Loop" else results

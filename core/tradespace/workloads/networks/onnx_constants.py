"""Whole numbers that a model computes from shapes: the inference of the `onnx` package follows only the simplest.

Exporters write paddings, sizes and conditions as little programs over `Shape`. They are run here on arrays of at most
`SMALL` numbers, and their results put into the model as constants, until no more shapes become known.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.workloads.networks.onnx_ops import attribute
from tradespace.workloads.networks.onnx_shapes import Open, described

SMALL = 4096
ROUNDS = 8
Numbers = NDArray[np.int64]
Known = MutableMapping[str, Numbers]
_CASTS = (6, 7, 9, 2, 3, 4, 5, 12, 13)
"""TensorProto types of whole numbers and truth values."""


def open_shapes(graph: Any) -> bool:
    """Whether some value of a graph (or below it) has no complete shape."""
    for value in (*graph.value_info, *graph.output):
        shape, _ = described(value)
        if shape is None or None in shape:
            return True
    known = {value.name for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        if any(name and name not in known for name in node.output):
            return True
        if any(a.HasField("g") and open_shapes(a.g) for a in node.attribute):
            return True
    return False


def fix(graph: Any, inferred: Any, known: ChainMap[str, Numbers], shapes: ChainMap[str, Open | None]) -> int:
    """Replaces operators of `graph` whose results are known by constants; how many.

    Args:
        graph: changed.
        inferred: the same graph with the shapes that are known so far.
        known, shapes: of the graphs around this one.
    """
    import onnx.numpy_helper

    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        shapes[value.name] = described(value)[0]
    for tensor in graph.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
        _note(known, tensor.name, tensor)
    changed = 0
    for node, twin in zip(graph.node, inferred.node, strict=True):
        if node.op_type == "Constant":
            for found in node.attribute:
                _constant(known, node, found)
            continue
        changed += _bring_in(graph, node, known) + _decide(node, known)
        decided = node.doc_string == _DECIDED and twin.doc_string != _DECIDED  # its twin still has both branches
        for a, b in zip(node.attribute, twin.attribute, strict=True):
            if a.HasField("g") and not decided:
                changed += fix(a.g, b.g, known.new_child(), shapes.new_child())
        result = _run(node, known, shapes) if len(node.output) == 1 and node.domain in ("", "ai.onnx") else None
        if result is not None and result.size <= SMALL:
            name = node.output[0]
            known[name] = result
            kind = np.bool_ if node.op_type in _TRUTHS else np.int64
            tensor = onnx.numpy_helper.from_array(result.astype(kind), name)
            node.CopyFrom(onnx.helper.make_node("Constant", [], [name], name=node.name, value=tensor))
            changed += 1
    return changed


_DECIDED = "decided"


def _decide(node: Any, known: Known) -> int:
    """An If whose condition is known has the taken branch twice: the inference would mix the shapes of both."""
    if node.op_type != "If" or not node.input or known.get(node.input[0]) is None or node.doc_string == _DECIDED:
        return 0
    branches = {a.name: a.g for a in node.attribute if a.HasField("g")}
    if set(branches) != {"then_branch", "else_branch"}:
        return 0
    taken, other = ("then_branch", "else_branch") if np.any(known[node.input[0]]) else ("else_branch", "then_branch")
    branches[other].CopyFrom(branches[taken])
    node.doc_string = _DECIDED
    return 1


def _bring_in(graph: Any, node: Any, known: ChainMap[str, Numbers]) -> int:
    """The inference does not see constants of the graphs around a subgraph: give the subgraph copies of its own."""
    import onnx.numpy_helper

    if len(known.maps) == 1:
        return 0
    own, found = known.maps[0], 0
    for at, name in enumerate(node.input):
        if name and name not in own and name in known:
            copied = f"{name}::known"
            if copied not in own:
                own[copied] = known[name]
                graph.initializer.append(onnx.numpy_helper.from_array(known[name], copied))
            node.input[at] = copied
            found += 1
    return found


def _note(known: Known, name: str, tensor: Any) -> None:
    import onnx.numpy_helper

    if (
        tensor.data_type in _CASTS
        and np.prod(list(tensor.dims), dtype=np.float64) <= SMALL
        and tensor.data_location != 1
    ):
        try:
            known[name] = onnx.numpy_helper.to_array(tensor).astype(np.int64)
        except (ValueError, TypeError):  # a shape without values
            return


def _constant(known: Known, node: Any, found: Any) -> None:
    if not node.output:
        return
    if found.name == "value":
        _note(known, node.output[0], found.t)
    elif found.name == "value_int":
        known[node.output[0]] = np.array(found.i, np.int64)
    elif found.name == "value_ints" and len(found.ints) <= SMALL:
        known[node.output[0]] = np.array(list(found.ints), np.int64)


def _run(node: Any, known: Known, shapes: Mapping[str, Open | None]) -> Numbers | None:
    """The numbers that an operator gives, if they can be known."""
    rule = _RULES.get(node.op_type)
    if node.op_type in ("Shape", "Size") and node.input:
        shape = shapes.get(node.input[0])
        if shape is None or None in shape:
            return None
        whole = np.array(shape, np.int64)
        start, end = attribute(node, "start", 0), attribute(node, "end", None)
        return whole[start:end] if node.op_type == "Shape" else np.array(np.prod(whole), np.int64)
    if rule is None or (node.op_type == "Cast" and attribute(node, "to", 0) not in _CASTS):
        return None
    inputs = [known.get(name) if name else None for name in node.input]
    if any(value is None for value, name in zip(inputs, node.input, strict=True) if name) or not inputs:
        return None
    try:
        with np.errstate(all="ignore"):
            return np.asarray(rule(node, inputs)).astype(np.int64)
    except (ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, MemoryError):
        return None


def _gather(node: Any, inputs: Sequence[Any]) -> Any:
    return np.take(inputs[0], inputs[1], axis=attribute(node, "axis", 0))


def _concat(node: Any, inputs: Sequence[Any]) -> Any:
    return np.concatenate(list(inputs), axis=attribute(node, "axis", 0))


def _slice(node: Any, inputs: Sequence[Any]) -> Any:
    data = inputs[0]
    if len(inputs) < 3:
        starts, ends = attribute(node, "starts", []), attribute(node, "ends", [])
        axes, steps = attribute(node, "axes", list(range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = inputs[1].tolist(), inputs[2].tolist()
        axes = inputs[3].tolist() if len(inputs) > 3 and inputs[3] is not None else list(range(len(starts)))
        steps = inputs[4].tolist() if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cut = slice(start, None if step < 0 and end <= -data.shape[axis] - 1 else end, step)
        data = data[(slice(None),) * (axis % data.ndim) + (cut,)]
    return data


def _axes(node: Any, inputs: Sequence[Any]) -> tuple[int, ...]:
    given = inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else attribute(node, "axes", [])
    return tuple(int(axis) for axis in given)


def _unsqueeze(node: Any, inputs: Sequence[Any]) -> Any:
    return np.expand_dims(inputs[0], _axes(node, inputs))


def _squeeze(node: Any, inputs: Sequence[Any]) -> Any:
    return np.squeeze(inputs[0], _axes(node, inputs) or None)


def _reshape(node: Any, inputs: Sequence[Any]) -> Any:
    sizes = inputs[1].tolist()
    return inputs[0].reshape([inputs[0].shape[i] if size == 0 else size for i, size in enumerate(sizes)])


def _filled(node: Any, inputs: Sequence[Any]) -> Any:
    import onnx.numpy_helper

    shape = inputs[0].tolist()
    value = next(
        (onnx.numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"), np.zeros(1, np.float32)
    )
    if np.prod(shape, dtype=np.float64) > SMALL or value.dtype.kind not in "iub":
        raise ValueError
    return np.full(shape, value.ravel()[0])


def _range(node: Any, inputs: Sequence[Any]) -> Any:
    start, end, step = (int(value.ravel()[0]) for value in inputs)
    if len(range(start, end, step)) > SMALL:
        raise ValueError
    return np.arange(start, end, step)


def _expand(node: Any, inputs: Sequence[Any]) -> Any:
    if np.prod(inputs[1], dtype=np.float64) > SMALL:
        raise ValueError
    return np.broadcast_to(inputs[0], np.broadcast_shapes(inputs[0].shape, tuple(inputs[1].tolist())))


def _divide(node: Any, inputs: Sequence[Any]) -> Any:
    """ONNX divides whole numbers towards zero."""
    a, b = inputs
    if not np.all(b):
        raise ZeroDivisionError
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


def _pairwise(function: Callable[[Any, Any], Any]) -> Callable[[Any, Sequence[Any]], Any]:
    return lambda node, inputs: function(inputs[0], inputs[1])


def _transpose(node: Any, inputs: Sequence[Any]) -> Any:
    return np.transpose(inputs[0], attribute(node, "perm", None))


_TRUTHS = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Not", "And", "Or")
_RULES: Mapping[str, Callable[[Any, Sequence[Any]], Any]] = {
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "ConstantOfShape": _filled,
    "Range": _range,
    "Expand": _expand,
    "Div": _divide,
    "Cast": lambda node, inputs: inputs[0],
    "Identity": lambda node, inputs: inputs[0],
    "Neg": lambda node, inputs: -inputs[0],
    "Abs": lambda node, inputs: np.abs(inputs[0]),
    "Not": lambda node, inputs: inputs[0] == 0,
    "Where": lambda node, inputs: np.where(inputs[0] != 0, inputs[1], inputs[2]),
    "ReduceProd": lambda node, inputs: np.prod(inputs[0], keepdims=bool(attribute(node, "keepdims", 1))),
    "Add": _pairwise(np.add),
    "Sub": _pairwise(np.subtract),
    "Mul": _pairwise(np.multiply),
    "Mod": _pairwise(np.mod),
    "Min": _pairwise(np.minimum),
    "Max": _pairwise(np.maximum),
    "Equal": _pairwise(np.equal),
    "Greater": _pairwise(np.greater),
    "Less": _pairwise(np.less),
    "GreaterOrEqual": _pairwise(np.greater_equal),
    "LessOrEqual": _pairwise(np.less_equal),
    "And": _pairwise(np.logical_and),
    "Or": _pairwise(np.logical_or),
}

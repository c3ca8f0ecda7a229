"""A TFLite file as a `Network`. The flatbuffer is read where it lies (memory-mapped): weights are never loaded.

The Python flatbuffer classes check nothing, so everything here is bounded: a vector is as long as the file has room
for, indices are checked, and whatever a damaged offset raises becomes an `InputError` in the reader.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tradespace.errors import InputError
from tradespace.workloads.networks.builder import Builder, Value
from tradespace.workloads.networks.network import MAX_OPERATORS, MAX_RANK, MAX_TENSORS, Network
from tradespace.workloads.networks.tflite_ops import add_operator
from tradespace.workloads.networks.work import plain

TYPES: Mapping[int, str] = {
    0: "fp32", 1: "fp16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16", 8: "complex64",
    9: "int8", 10: "fp64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16", 17: "int4", 18: "bf16",
    19: "int2", 20: "uint4",
}  # fmt: skip
"""TensorType of the TFLite schema."""
MAX_SUBGRAPHS, MAX_DEPTH, MAX_OPERANDS, MAX_CODES = 1000, 16, 4096, 2000
MAX_STEPS, FREE_STEPS = 1_000_000, 10_000
SECONDS, BYTES_PER_SECOND = 60.0, 2**20
FOLDS = ("dequantize", "densify", "cast", "transpose", "reshape", "squeeze", "expanddims", "identity", "quantize")
"""Of a constant they give the same constant in another form: a runtime does this once."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator of a subgraph: its type's name, its place, and the flatbuffer it came from."""

    name: str
    type: str
    what: str
    table: Any
    inputs: tuple[Value | None, ...]


@dataclass
class Walk:
    """State of reading one file."""

    model: Any
    builder: Builder
    size: int
    trips: int
    constants: dict[int, int] = field(default_factory=dict)  # buffer -> stored constant
    dynamic: int = 0
    loops: int = 0
    steps: int = 0
    until: float = float("inf")

    def spend(self, steps: int) -> None:
        """Counts what is read: offsets may lead to the same operators and lists many times over."""
        self.steps += steps
        most = min(MAX_STEPS, FREE_STEPS + self.size // 4)  # an operand takes four bytes
        if self.steps > most:
            rule = f"a network of {self.size} bytes has at most {most} operators and operands"
            raise InputError(rule, where=self.builder.where, remedy="The file is damaged, or made to take long.")
        if time.thread_time() > self.until:
            rule = "a network is read in a few seconds of processor time"
            raise InputError(rule, where=self.builder.where, remedy="The file is damaged, or made to take long.")

    def length(self, count: int, limit: int, what: str) -> int:
        """A vector's length, checked against the limit and the file's size (an entry takes at least 4 bytes)."""
        most = min(limit, self.size // 4)
        if not 0 <= count <= most:
            raise InputError(f"the number of {what} is at most {most}", value=count, where=self.builder.where)
        return count

    def damaged(self, rule: str, value: object) -> InputError:
        return InputError(rule, value=value, where=self.builder.where)


def read_network(model: Any, size: int, where: str, *, subgraph: int = 0, trips: int = 1) -> Network:
    """The network that begins at `subgraph`.

    Args:
        model: the root table.
        size: bytes of the file.
        trips: how often the body of a WHILE runs (files do not say).

    Raises:
        InputError: counts, indices, shapes out of bounds. A damaged flatbuffer raises anything; callers convert it.
    """
    seconds = min(SECONDS, 4.0 + size / BYTES_PER_SECOND)
    walk = Walk(model, Builder(where), size, trips, until=time.thread_time() + seconds)
    count = walk.length(model.SubgraphsLength(), MAX_SUBGRAPHS, "subgraphs")
    walk.length(model.OperatorCodesLength(), MAX_CODES, "operator codes")
    walk.length(model.BuffersLength(), MAX_TENSORS, "buffers")
    if not 0 <= subgraph < count:
        raise InputError("'subgraph' is one of the file's", value=f"{subgraph} of {count}", where=where)
    graph = model.Subgraphs(subgraph)
    values: dict[int, Value] = {}
    inputs = [_tensor(walk, graph, values, i) for i in _indices(walk, graph, "Inputs")]
    _operators(walk, graph, values, depth=0)
    outputs = [_tensor(walk, graph, values, i) for i in _indices(walk, graph, "Outputs")]
    facts: dict[str, float | str] = {"format": "TFLite", "version": float(model.Version())}
    description = model.Description()
    if description:
        facts["producer"] = description[:100].decode("utf-8", "replace")
    if count > 1:
        facts["subgraphs"] = float(count)
    if walk.loops and trips == 1:
        walk.builder.notes.append("Bodies of WHILE are counted once (the file does not say how often): trips=N.")
    if walk.dynamic:
        walk.builder.notes.append("Open axes count as 1: a TFLite runtime sizes them when it starts.")
    if inputs and inputs[0].shape:
        facts["input"] = "x".join(map(str, inputs[0].shape))
    return walk.builder.network(inputs, outputs, facts)


def _operators(walk: Walk, graph: Any, values: dict[int, Value], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise walk.damaged(f"subgraphs call each other at most {MAX_DEPTH} deep", depth)
    for at in range(walk.length(graph.OperatorsLength(), MAX_OPERATORS, "operators")):
        walk.spend(1)
        table = graph.Operators(at)
        code = _code(walk, table.OpcodeIndex())
        inputs = tuple(
            None if i < 0 else _tensor(walk, graph, values, i) for i in _indices(walk, table, "Inputs", least=-1)
        )
        outputs = _indices(walk, table, "Outputs")
        name = f"{at}" if not outputs else _name(graph.Tensors(outputs[0]).Name(), f"{at}")
        op = Operation(name, code, plain(code), table, inputs)
        if _control(walk, graph, op, values, outputs, depth) or _folded(walk, graph, op, values, outputs):
            continue
        made = [_output(walk, graph, op, i) for i in outputs]
        values.update(zip(outputs, made, strict=True))
        add_operator(walk.builder, op.name, op.type, op.what, table, inputs, made)


def _name(raw: bytes | None, default: str) -> str:
    return raw[:200].decode("utf-8", "replace") if raw else default


def _code(walk: Walk, index: int) -> str:
    from tflite.utils import BUILTIN_OPCODE2NAME

    if not 0 <= index < walk.model.OperatorCodesLength():
        raise walk.damaged("an operator names one of the file's operator codes", index)
    code = walk.model.OperatorCodes(index)
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == 32:
        return f"CUSTOM {_name(code.CustomCode(), 'without name')[:80]}"
    return str(BUILTIN_OPCODE2NAME.get(number, f"BUILTIN {number}"))


def _indices(walk: Walk, table: Any, what: str, least: int = 0) -> list[int]:
    count = walk.length(getattr(table, f"{what}Length")(), MAX_OPERANDS, what.lower())
    walk.spend(count)
    found = [int(getattr(table, what)(i)) for i in range(count)]
    if any(i < least for i in found):
        raise walk.damaged("a tensor's index is not negative", min(found))
    return found


def _tensor(walk: Walk, graph: Any, values: dict[int, Value], index: int) -> Value:
    """The value of a tensor: what an operator wrote, else a constant, else an input or a variable."""
    if index in values:
        return values[index]
    tensor, shape, dtype, name = _described(walk, graph, index)
    buffer = tensor.Buffer()
    if not 0 <= buffer < max(walk.model.BuffersLength(), 1):
        raise walk.damaged("a tensor names one of the file's buffers", buffer)
    stored = walk.model.Buffers(buffer) if buffer else None
    length = 0 if stored is None else max(stored.DataLength(), stored.Size() if stored.Offset() > 1 else 0)
    if length:
        values[index] = _constant(walk, tensor, buffer, length, shape, dtype, name)
    else:
        values[index] = walk.builder.activation(shape, dtype, name)
    return values[index]


def _constant(
    walk: Walk, tensor: Any, buffer: int, length: int, shape: tuple[int, ...], dtype: str, name: str
) -> Value:
    from tradespace.workloads.networks.network import BITS

    if length > walk.size:
        raise walk.damaged(f"a buffer lies inside the file of {walk.size} bytes", length)
    builder = walk.builder
    value = Value(builder.check_shape(shape, name), dtype)
    needed, held = value.elements * BITS[dtype] / 8, length * 8 / BITS[dtype]
    sparse = tensor.Sparsity() is not None
    if dtype != "string" and not sparse and length < needed:
        raise InputError(
            "a buffer holds all elements of its tensor", value=f"{length} bytes for {list(shape)} {dtype}",
            where=f"{builder.where}: {name}",
        )  # fmt: skip
    if buffer not in walk.constants:
        made = builder.constant(shape, dtype, name, min(held, value.elements) if sparse else None)
        walk.constants[buffer] = made.stored
    return Value(value.shape, dtype, stored=walk.constants[buffer])


def _described(walk: Walk, graph: Any, index: int) -> tuple[Any, tuple[int, ...], str, str]:
    if not 0 <= index < walk.length(graph.TensorsLength(), MAX_TENSORS, "tensors"):
        raise walk.damaged("an operator names one of its subgraph's tensors", index)
    tensor = graph.Tensors(index)
    rank = walk.length(tensor.ShapeLength(), MAX_RANK, "axes")
    name = _name(tensor.Name(), f"tensor {index}")
    shape = tuple(int(tensor.Shape(axis)) for axis in range(rank))
    if any(size == -1 for size in shape):
        walk.dynamic += 1
        shape = tuple(1 if size == -1 else size for size in shape)
    return tensor, shape, TYPES.get(tensor.Type(), "other"), name


def _output(walk: Walk, graph: Any, op: Operation, index: int) -> Value:
    _, shape, dtype, name = _described(walk, graph, index)
    return walk.builder.outputs_of(op.what, op.inputs, shape, dtype, name)


def _folded(walk: Walk, graph: Any, op: Operation, values: dict[int, Value], outputs: list[int]) -> bool:
    """An operator on a constant alone runs once, not in every inference: its output is that constant."""
    given = [value for value in op.inputs if value is not None]
    if op.what not in FOLDS or not given or not all(value.constant for value in given) or len(outputs) != 1:
        return False
    _, shape, _, name = _described(walk, graph, outputs[0])
    values[outputs[0]] = Value(walk.builder.check_shape(shape, name), given[0].dtype, stored=given[0].stored)
    walk.builder.folded += 1
    return True


def _control(walk: Walk, graph: Any, op: Operation, values: dict[int, Value], outputs: list[int], depth: int) -> bool:
    """Operators that run other subgraphs: IF (the costlier branch counts), WHILE, CALL; True if `op` is one."""
    import tflite

    table, builder = op.table, walk.builder
    if op.type == "IF":
        options = _options(tflite.IfOptions, table)
        branches = (options.ThenSubgraphIndex(), options.ElseSubgraphIndex())
        _branches(walk, graph, op, values, outputs, branches, depth)
    elif op.type in ("WHILE", "STABLEHLO_WHILE"):
        walk.loops += 1
        body, before = _body(tflite, table, op.type), builder.repeat
        builder.repeat = before * walk.trips
        results = _call(walk, body, list(op.inputs), depth)
        builder.repeat = before
        _bind(walk, graph, op, values, outputs, results)
    elif op.type in ("CALL", "STABLEHLO_COMPOSITE"):
        composite = op.type == "STABLEHLO_COMPOSITE"
        options = _options(
            tflite.StableHLOCompositeOptions if composite else tflite.CallOptions, table, second=composite
        )
        called = options.DecompositionSubgraphIndex() if composite else options.Subgraph()
        _bind(walk, graph, op, values, outputs, _call(walk, called, list(op.inputs), depth))
    else:
        return False
    return True


def _body(tflite: Any, table: Any, kind: str) -> int:
    if kind == "WHILE":
        return int(_options(tflite.WhileOptions, table).BodySubgraphIndex())
    return int(_options(tflite.StablehloWhileOptions, table, second=True).BodySubgraphIndex())


def _options(kind: Any, table: Any, second: bool = False) -> Any:
    union = table.BuiltinOptions2() if second else table.BuiltinOptions()
    options = kind()
    if union is None:
        raise InputError("an operator that runs subgraphs says which", value=kind.__name__)
    options.Init(union.Bytes, union.Pos)
    return options


def _call(walk: Walk, index: int, inputs: list[Value | None], depth: int) -> list[Value]:
    """Adds the operators of a subgraph whose inputs are `inputs`; the values that it gives."""
    if not 0 <= index < walk.model.SubgraphsLength():
        raise walk.damaged("an operator runs one of the file's subgraphs", index)
    body = walk.model.Subgraphs(index)
    formal = _indices(walk, body, "Inputs")
    values = {i: value for i, value in zip(formal, inputs, strict=False) if value is not None}
    _operators(walk, body, values, depth + 1)
    return [_tensor(walk, body, values, i) for i in _indices(walk, body, "Outputs")]


def _branches(
    walk: Walk, graph: Any, op: Operation, values: dict[int, Value], outputs: list[int], branches: tuple[int, int],
    depth: int,
) -> None:  # fmt: skip
    from dataclasses import replace

    ops, spans, results = walk.builder.ops, [], []
    for branch in branches:
        start = len(ops)
        results.append(_call(walk, branch, list(op.inputs[1:]), depth))
        spans.append((start, len(ops)))
    work = [sum(row.flop * row.repeat for row in ops[start:end]) for start, end in spans]
    taken = int(work[1] > work[0])
    start, end = spans[1 - taken]
    ops[start:end] = [replace(row, repeat=0.0) for row in ops[start:end]]
    walk.builder.notes.append(f"Of the branches of IF '{op.name[:40]}' the costlier one is counted.")
    _bind(walk, graph, op, values, outputs, results[taken])


def _bind(
    walk: Walk, graph: Any, op: Operation, values: dict[int, Value], outputs: list[int], results: list[Value]
) -> None:
    """What a subgraph gave becomes what its caller writes."""
    for at, index in enumerate(outputs):
        if at < len(results):
            values[index] = results[at]
        else:
            values[index] = _output(walk, graph, op, index)

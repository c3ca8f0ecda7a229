"""Writers of small network files for the tests: TFLite by its flatbuffer classes, ONNX by its own package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import onnx
import pytest
import tflite

BUILTINS = {name: value for name, value in vars(tflite.BuiltinOperator).items() if name.isupper()}
KINDS = {name: value for name, value in vars(tflite.TensorType).items() if name.isupper()}


@dataclass(frozen=True)
class T:
    """A tensor: shape, type, bytes of its data (0: an activation)."""

    shape: Sequence[int]
    kind: str = "FLOAT32"
    data: int = 0


@dataclass(frozen=True)
class O:  # noqa: E742 - a short name reads best in tables of operators
    """An operator: builtin name or a custom one's, inputs, outputs, and a writer of its options."""

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Callable[[flatbuffers.Builder], int] | None = None


@dataclass(frozen=True)
class G:
    """A subgraph."""

    tensors: Sequence[T]
    operators: Sequence[O]
    inputs: Sequence[int]
    outputs: Sequence[int]


def option(kind: str, **values: int) -> Callable[[flatbuffers.Builder], int]:
    """A writer of an options table, e.g. option("Conv2DOptions", FusedActivationFunction=1)."""

    def write(builder: flatbuffers.Builder) -> int:
        getattr(tflite, f"{kind}Start")(builder)
        for key, value in values.items():
            getattr(tflite, f"{kind}Add{key}")(builder, value)
        return int(getattr(tflite, f"{kind}End")(builder))

    return write


def _vector(builder: flatbuffers.Builder, items: Sequence[int], offsets: bool = False) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item) if offsets else builder.PrependInt32(item)
    return int(builder.EndVector())


def tflite_bytes(*graphs: G) -> bytes:
    """A TFLite file of these subgraphs."""
    b = flatbuffers.Builder(1024)
    names = sorted({op.name for graph in graphs for op in graph.operators})
    sizes = [0]
    subgraphs = []
    for graph in graphs:
        tensors = [_tensor(b, f"t{i}", tensor, sizes) for i, tensor in enumerate(graph.tensors)]
        operators = [_operator(b, op, names.index(op.name)) for op in graph.operators]
        parts = [_vector(b, tensors, True), _vector(b, graph.inputs), _vector(b, graph.outputs)]
        parts.append(_vector(b, operators, True))
        tflite.SubGraphStart(b)
        adders = (tflite.SubGraphAddTensors, tflite.SubGraphAddInputs, tflite.SubGraphAddOutputs)
        for add, part in zip((*adders, tflite.SubGraphAddOperators), parts, strict=True):
            add(b, part)
        subgraphs.append(tflite.SubGraphEnd(b))
    buffers = [_buffer(b, size) for size in sizes]
    codes = [_code(b, name) for name in names]
    vectors = [_vector(b, rows, True) for rows in (subgraphs, buffers, codes)]
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    for add, part in zip(
        (tflite.ModelAddSubgraphs, tflite.ModelAddBuffers, tflite.ModelAddOperatorCodes), vectors, strict=True
    ):
        add(b, part)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


def _tensor(b: flatbuffers.Builder, name: str, tensor: T, sizes: list[int]) -> int:
    buffer = 0
    if tensor.data:
        sizes.append(tensor.data)
        buffer = len(sizes) - 1
    text, shape = b.CreateString(name), _vector(b, tensor.shape)
    tflite.TensorStart(b)
    tflite.TensorAddName(b, text)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, KINDS[tensor.kind])
    tflite.TensorAddBuffer(b, buffer)
    return int(tflite.TensorEnd(b))


def _operator(b: flatbuffers.Builder, op: O, code: int) -> int:
    inputs, outputs = _vector(b, op.inputs), _vector(b, op.outputs)
    options = op.options(b) if op.options else None
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, code)
    tflite.OperatorAddInputs(b, inputs)
    tflite.OperatorAddOutputs(b, outputs)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(b, 1)
        tflite.OperatorAddBuiltinOptions(b, options)
    return int(tflite.OperatorEnd(b))


def _code(b: flatbuffers.Builder, name: str) -> int:
    number = BUILTINS.get(name, 32)
    custom = b.CreateString(name) if number == 32 else None
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddBuiltinCode(b, number)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
    if custom is not None:
        tflite.OperatorCodeAddCustomCode(b, custom)
    return int(tflite.OperatorCodeEnd(b))


def _buffer(b: flatbuffers.Builder, size: int) -> int:
    data = b.CreateByteVector(bytes(size)) if size else None
    tflite.BufferStart(b)
    if data is not None:
        tflite.BufferAddData(b, data)
    return int(tflite.BufferEnd(b))


def weight(name: str, shape: Sequence[int], kind: int = onnx.TensorProto.FLOAT) -> onnx.TensorProto:
    """A constant of zeros."""
    size = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 10: 2}[kind]
    count = 1
    for length in shape:
        count *= length
    return onnx.helper.make_tensor(name, kind, list(shape), bytes(size * count), raw=True)


def onnx_model(
    nodes: Sequence[Any], inputs: dict[str, Sequence[Any]], outputs: Sequence[str], weights: Sequence[Any] = (),
    **changes: Any,
) -> onnx.ModelProto:  # fmt: skip
    """A model; inputs are floats, outputs have no shape of their own."""
    graph = onnx.helper.make_graph(
        list(nodes),
        "g",
        [onnx.helper.make_tensor_value_info(name, 1, list(shape)) for name, shape in inputs.items()],
        [onnx.helper.make_tensor_value_info(name, 1, None) for name in outputs],
        list(weights),
    )
    opsets = [onnx.helper.make_opsetid("", 17), *changes.pop("opsets", ())]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8, **changes)


@pytest.fixture
def write_tflite(tmp_path: Path) -> Callable[..., Path]:
    def write(*graphs: G) -> Path:
        file = tmp_path / "net.tflite"
        file.write_bytes(tflite_bytes(*graphs))
        return file

    return write


@pytest.fixture
def write_onnx(tmp_path: Path) -> Callable[..., Path]:
    def write(*arguments: Any, **changes: Any) -> Path:
        file = tmp_path / "net.onnx"
        file.write_bytes(onnx_model(*arguments, **changes).SerializeToString())
        return file

    return write


@pytest.fixture
def kit() -> Any:
    """The tables and writers above, for test modules (test folders are no packages)."""

    class Kit:
        tensor, operator, graph = T, O, G
        options = staticmethod(option)
        weight = staticmethod(weight)
        node = staticmethod(onnx.helper.make_node)

    return Kit

"""ONNX models made by hand: work, weights in every place they stand, quantisation, subgraphs, axes, hostile files."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tradespace.errors import InputError, TradespaceError, UnknownName
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload
from tradespace.workloads.networks import isolation, onnx_model
from tradespace.workloads.networks.graph import Origin, build
from tradespace.workloads.networks.onnx_file import read_network

Writer = Callable[..., Path]
REGRESSIONS = Path(__file__).parents[4] / "fuzz" / "regressions" / "onnx"
INT8, INT64, FLOAT = onnx.TensorProto.INT8, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT


def read(path: Path, **options: Any) -> OperatorGraph:
    """In this process: what the reader does in one of its own."""
    network = read_network(
        path, str(path), axes=options.get("axes", {}), values=options.get("values", {}), trips=options.get("trips", 1)
    )
    return build(network, Origin("net", "net", "test", str(path)))


def number(name: str, *values: int) -> Any:
    return onnx.helper.make_tensor(name, INT64, [len(values)] if len(values) != 1 else [], list(values))


def test_convolutions_and_products(write_onnx: Writer, kit: Any) -> None:
    w, n = kit.weight, kit.node
    nodes = [
        n("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        n("Conv", ["a", "d"], ["c"], group=8, pads=[1, 1, 1, 1]),
        n("ConvTranspose", ["c", "t"], ["e"], strides=[2, 2]),
        n("GlobalAveragePool", ["e"], ["f"]),
        n("Flatten", ["f"], ["g"]),
        n("Gemm", ["g", "m", "v"], ["y"], transB=1),
    ]
    weights = [
        w("w", (8, 3, 3, 3)), w("b", (8,)), w("d", (8, 1, 3, 3)), w("t", (8, 4, 2, 2)), w("m", (10, 4)), w("v", (10,)),
    ]  # fmt: skip
    graph = read(write_onnx(nodes, {"x": (2, 3, 16, 16)}, ["y"], weights))
    rows = graph.operators
    assert rows.kind == ("conv", "conv", "conv", "aggregate", "elementwise", "matmul")
    assert rows.macs.tolist() == [2 * 64 * 8 * 27, 2 * 64 * 8 * 9, 2 * 64 * 8 * 16, 0, 0, 2 * 4 * 10]
    assert graph.parameters == 216 + 8 + 72 + 128 + 40 + 10
    assert graph.facts["weight_bytes"] == 4 * graph.parameters
    assert graph.native_precision == "fp32"
    assert graph.is_chain


def test_weights_in_constant_nodes_and_made_of_shapes(write_onnx: Writer, kit: Any) -> None:
    w, n = kit.weight, kit.node
    nodes = [
        n("Constant", [], ["k"], value=w("k", (16, 32))),
        n("Transpose", ["k"], ["kt"]),
        n("MatMul", ["x", "kt"], ["h"]),
        n("ConstantOfShape", ["s"], ["made"]),
        n("MatMul", ["h", "made"], ["y"]),
    ]
    shape = onnx.helper.make_tensor("s", INT64, [2], [16, 4])
    graph = read(write_onnx(nodes, {"x": (5, 32)}, ["y"], [shape]))
    assert graph.operators.macs.tolist() == [5 * 32 * 16, 5 * 16 * 4]
    assert graph.operators.kind == ("matmul", "matmul")
    assert graph.parameters == 16 * 32 + 16 * 4


def test_shared_weights_are_stored_once(write_onnx: Writer, kit: Any) -> None:
    n = kit.node
    nodes = [n("MatMul", ["x", "w"], ["h"]), n("MatMul", ["h", "w"], ["y"])]
    graph = read(write_onnx(nodes, {"x": (5, 8)}, ["y"], [kit.weight("w", (8, 8))]))
    assert graph.parameters == 64
    assert graph.ties == ((0, 1, 64.0),)
    assert graph.operators.weights.tolist() == [64, 64]


def test_quantise_dequantise_pairs(write_onnx: Writer, kit: Any) -> None:
    """int8 weights behind DequantizeLinear are int8; pairs between operators leave int8 activations."""
    w, n = kit.weight, kit.node

    def pair(name: str, after: str) -> list[Any]:
        return [
            n("QuantizeLinear", [name, "s", "z"], [f"{name}_q"]),
            n("DequantizeLinear", [f"{name}_q", "s", "z"], [after]),
        ]

    nodes = [
        *pair("x", "xd"),
        n("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        n("Conv", ["xd", "wd"], ["c"]),
        n("Relu", ["c"], ["r"]),
        *pair("r", "rd"),
        n("GlobalMaxPool", ["rd"], ["p"]),
        *pair("p", "y"),
    ]
    weights = [w("w", (8, 4, 1, 1), INT8), w("ws", (8,)), w("wz", (8,), INT8), w("s", ()), w("z", (), INT8)]
    graph = read(write_onnx(nodes, {"x": (1, 4, 10, 10)}, ["y"], weights))
    types = [name.split(".")[-1].split("_")[0] for name in graph.operators.name]
    assert types == ["QuantizeLinear", "Conv", "Relu", "GlobalMaxPool", "DequantizeLinear"]
    assert graph.native_precision == "int8"
    assert graph.parameters == 32 and graph.facts["weight_bytes"] == 32
    assert graph.facts["activation_types"].startswith("int8")
    assert graph.facts["peak_activation_bytes"] <= 1600 + 800  # the float input, then int8


def test_qlinear_and_integer_products(write_onnx: Writer, kit: Any) -> None:
    w, n = kit.weight, kit.node
    nodes = [
        n("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
        n("MatMulInteger", ["q", "w", "qz", "z"], ["i"]),
        n("Cast", ["i"], ["f"], to=1),
        n("Mul", ["f", "qs"], ["g"]),
        n("QLinearMatMul", ["v", "s", "z", "w2", "s", "z", "s", "z"], ["h"]),
        n("QLinearConv", ["img", "s", "z", "cw", "s", "z", "s", "z", "cb"], ["y"]),
    ]
    weights = [
        w("w", (32, 16), INT8), w("z", (), INT8), w("s", ()), w("w2", (32, 8), INT8), w("cw", (8, 4, 3, 3), INT8),
        w("cb", (8,), onnx.TensorProto.INT32),
    ]  # fmt: skip
    shapes = {"x": (2, 32), "v": (2, 32), "img": (1, 4, 8, 8)}
    graph = read(write_onnx(nodes, shapes, ["g", "h", "y"], weights))
    assert graph.operators.macs.tolist() == [0, 2 * 32 * 16, 0, 0, 2 * 32 * 8, 36 * 8 * 36]
    assert graph.parameters == 32 * 16 + 32 * 8 + 288
    assert graph.facts["weight_bytes"] == graph.parameters + 32


def test_recurrent_and_attention(write_onnx: Writer, kit: Any) -> None:
    w, n = kit.weight, kit.node
    ms = onnx.helper.make_opsetid("com.microsoft", 1)
    nodes = [
        n("LSTM", ["x", "w", "r"], ["h"], hidden_size=8, direction="bidirectional"),
        n("Attention", ["a", "q"], ["b"], domain="com.microsoft", num_heads=4),
        n("SkipLayerNormalization", ["b", "a", "g"], ["c"], domain="com.microsoft"),
        n("Einsum", ["c", "e"], ["y"], equation="bsd,de->bse"),
    ]
    weights = [w("w", (2, 32, 6)), w("r", (2, 32, 8)), w("q", (16, 48)), w("g", (16,)), w("e", (16, 5))]
    graph = read(write_onnx(nodes, {"x": (7, 3, 6), "a": (2, 10, 16)}, ["h", "y"], weights, opsets=[ms]))
    rows = graph.operators
    assert rows.kind == ("matmul", "matmul", "attention", "attention", "norm", "matmul")
    assert rows.macs.tolist() == [
        7 * 2 * 3 * 14 * 32, 20 * 16 * 48, 2 * 10 * 10 * 16, 2 * 10 * 10 * 16, 0, 20 * 16 * 5
    ]  # fmt: skip


def body(nodes: list[Any], inputs: dict[str, tuple[int, tuple[int, ...]]], outputs: list[str]) -> Any:
    info = onnx.helper.make_tensor_value_info
    return onnx.helper.make_graph(
        nodes, "body", [info(k, t, s) for k, (t, s) in inputs.items()], [info(o, 1, None) for o in outputs]
    )


def test_if_loop_and_scan(write_onnx: Writer, kit: Any) -> None:
    w, n = kit.weight, kit.node
    heavy = body([n("MatMul", ["x", "w"], ["t"])], {}, ["t"])
    light = body([n("Relu", ["x"], ["u"])], {}, ["u"])
    turn = body(
        [n("Identity", ["go"], ["on"]), n("MatMul", ["state", "w"], ["next"])],
        {"i": (INT64, ()), "go": (9, ()), "state": (FLOAT, (2, 8))}, ["on", "next"],
    )  # fmt: skip
    sweep = body([n("MatMul", ["row", "w"], ["out"])], {"row": (FLOAT, (2, 8))}, ["out"])
    nodes = [
        n("If", ["cond"], ["a"], then_branch=light, else_branch=heavy),
        n("Loop", ["trips", "true", "a"], ["b"], body=turn),
        n("Scan", ["rows"], ["y"], body=sweep, num_scan_inputs=1),
    ]
    weights = [w("w", (8, 8)), number("trips", 6), onnx.helper.make_tensor("true", 9, [], [True])]
    inputs = {"x": (2, 8), "cond": (), "rows": (5, 2, 8)}
    graph = read(write_onnx(nodes, inputs, ["b", "y"], weights))
    rows = graph.operators
    counts = {kind: rows.repeat[[k == kind for k in rows.kind]].tolist() for kind in ("matmul",)}
    assert counts["matmul"] == [1, 6, 5]
    assert float((rows.macs * rows.repeat).sum()) == 12 * 2 * 64
    assert graph.parameters == 64
    assert rows.repeat[0] == 0  # the branch that is not taken
    chosen = read(write_onnx(nodes, inputs, ["b", "y"], weights), values={"cond": 1})
    assert float((chosen.operators.macs * chosen.operators.repeat).sum()) == 11 * 2 * 64


def test_shapes_computed_by_the_model(write_onnx: Writer, kit: Any) -> None:
    """A padding that a little program makes, as PyTorch exports it: the inference of the package leaves it open."""
    n = kit.node
    nodes = [
        n("ConstantOfShape", ["two"], ["zeros"], value=onnx.helper.make_tensor("v", INT64, [1], [0])),
        n("Concat", ["pair", "zeros"], ["flat"], axis=0),
        n("Reshape", ["flat", "square"], ["table"]),
        n("Transpose", ["table"], ["turned"], perm=[1, 0]),
        n("Reshape", ["turned", "line"], ["pads"]),
        n("Cast", ["pads"], ["cast"], to=7),
        n("Pad", ["x", "cast"], ["p"], mode="reflect"),
        n("MatMul", ["p", "w"], ["y"]),
    ]
    weights = [
        onnx.helper.make_tensor("two", INT64, [1], [2]), number("pair", 0, 3), number("square", 2, 2),
        onnx.helper.make_tensor("line", INT64, [1], [-1]), kit.weight("w", (8, 4)),
    ]  # fmt: skip
    graph = read(write_onnx(nodes, {"x": (5, 8)}, ["y"], weights))
    assert "note" not in graph.facts
    assert graph.operators.macs.sum() == (5 + 3) * 8 * 4


def test_functions_are_inlined(write_onnx: Writer, kit: Any) -> None:
    n = kit.node
    opset = [onnx.helper.make_opsetid("", 17)]
    inner = onnx.helper.make_function("own", "Twice", ["a", "b"], ["d"], [
        n("MatMul", ["a", "b"], ["c"]), n("MatMul", ["c", "b"], ["d"]),
    ], opset)  # fmt: skip
    own = [onnx.helper.make_opsetid("own", 1)]
    nodes = [n("Twice", ["x", "w"], ["y"], domain="own")]
    graph = read(write_onnx(nodes, {"x": (3, 8)}, ["y"], [kit.weight("w", (8, 8))], functions=[inner], opsets=own))
    assert graph.operators.macs.tolist() == [192, 192]


def test_functions_that_never_end(write_onnx: Writer, kit: Any) -> None:
    n = kit.node
    own, opset = [onnx.helper.make_opsetid("own", 1)], [onnx.helper.make_opsetid("own", 1)]
    circle = onnx.helper.make_function("own", "F", ["a"], ["b"], [n("F", ["a"], ["b"], domain="own")], opset)
    path = write_onnx([n("F", ["x"], ["y"], domain="own")], {"x": (1,)}, ["y"], functions=[circle], opsets=own)
    with pytest.raises(InputError, match="do not call themselves"):
        read(path)
    bomb = [
        onnx.helper.make_function("own", f"F{i}", ["a"], ["c"], [
            n(f"F{i + 1}" if i < 40 else "Relu", ["a"], ["b"], domain="own" if i < 40 else ""),
            n(f"F{i + 1}" if i < 40 else "Relu", ["b"], ["c"], domain="own" if i < 40 else ""),
        ], [*opset, onnx.helper.make_opsetid("", 17)]) for i in range(41)
    ]  # fmt: skip
    path = write_onnx([n("F0", ["x"], ["y"], domain="own")], {"x": (1,)}, ["y"], functions=bomb, opsets=own)
    with pytest.raises(InputError, match="with functions inlined"):
        read(path)


def test_open_axes(write_onnx: Writer, kit: Any) -> None:
    n = kit.node
    path = write_onnx(
        [n("MatMul", ["x", "w"], ["y"])], {"x": ("batch", "sequence", None, 8)}, ["y"], [kit.weight("w", (8, 8))]
    )
    with pytest.raises(InputError, match=r"axes\.sequence=N axes\.x_2=N"):
        read(path)
    graph = read(path, axes={"sequence": 10, "x_2": 3})
    assert graph.operators.macs.sum() == 30 * 64
    assert "batch" in str(graph.facts["note"])
    assert read(path, axes={"sequence": 10, "x_2": 3, "batch": 4}).operators.macs.sum() == 120 * 64
    with pytest.raises(UnknownName, match="sequence"):
        read(path, axes={"sequenc": 10})


def test_external_data_is_never_opened(write_onnx: Writer, kit: Any) -> None:
    """4 TB of weights whose data file is not there."""
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1 << 20, 1 << 20], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="missing.bin")
    graph = read(write_onnx([kit.node("MatMul", ["x", "w"], ["y"])], {"x": (1, 1 << 20)}, ["y"], [tensor]))
    assert graph.parameters == 2.0**40
    assert graph.facts["weight_bytes"] == 2.0**42


def test_the_reader_runs_apart_and_gives_the_same(write_onnx: Writer, kit: Any) -> None:
    """In a process of its own, from hostile names to the errors that come back."""
    path = write_onnx(
        [kit.node("MatMul", ["x", "w"], ["y"], name="a/b.c é")], {"x": ("n", 8)}, ["y"], [kit.weight("w", (8, 8))]
    )
    graph = load_workload({"extends": path, "axes.n": 5}, registry())
    assert isinstance(graph, OperatorGraph)
    here = read(path, axes={"n": 5})
    assert graph.operators.macs.tolist() == here.operators.macs.tolist() == [320]
    assert graph.operators.name == here.operators.name
    with pytest.raises(UnknownName, match="unknown axis 'm'"):
        load_workload({"extends": path, "axes.m": 5}, registry())
    path.write_bytes(b"\x08\x07" + b"not protobuf")
    with pytest.raises(InputError, match="ONNX model"):
        load_workload(path, registry())


def test_limits_of_the_other_process(write_onnx: Writer, kit: Any, monkeypatch: Any) -> None:
    path = write_onnx([kit.node("Relu", ["x"], ["y"])], {"x": (2,)}, ["y"])
    monkeypatch.setattr(isolation, "BASE_MEMORY", 40 << 20)
    with pytest.raises(InputError, match=r"limit of|bounded memory|well-formed"):
        load_workload(path, registry())


@pytest.mark.parametrize(("name", "limit"), [("MAX_OPERATORS", "operators"), ("MAX_TENSORS", "constants")])
def test_counts_are_bounded(write_onnx: Writer, kit: Any, monkeypatch: Any, name: str, limit: str) -> None:
    nodes = [kit.node("Relu", ["x"], ["h"]), kit.node("Add", ["h", "w"], ["y"])]
    path = write_onnx(nodes, {"x": (2,)}, ["y"], [kit.weight("w", (2,)), kit.weight("v", (2,))])
    monkeypatch.setattr(onnx_model, name, 1)
    with pytest.raises(InputError, match=f"at most 1 {limit}"):
        read(path)


def test_constants_that_cannot_be(write_onnx: Writer, kit: Any) -> None:
    short = onnx.TensorProto(name="w", data_type=1, dims=[8, 8], raw_data=b"1234")
    huge = onnx.TensorProto(name="w", data_type=1, dims=[1 << 40, 1 << 40])
    for tensor, message in ((short, "as many bytes"), (huge, "elements")):
        with pytest.raises(InputError, match=message):
            read(write_onnx([kit.node("MatMul", ["x", "w"], ["y"])], {"x": (1, 8)}, ["y"], [tensor]))


def test_names_that_are_no_text(write_onnx: Writer, kit: Any) -> None:
    path = write_onnx([kit.node("Relu", ["x"], ["y"], name="QQQQ")], {"x": (2,)}, ["y"])
    path.write_bytes(path.read_bytes().replace(b"QQQQ", b"\xff\xfe\xff\xfe"))
    with pytest.raises(InputError, match="UTF-8"):
        read(path)


@pytest.mark.parametrize(
    "kind", ["Cast", "Shape", "QuantizeLinear", "DequantizeLinear", "Concat", "Loop", "If", "Conv"]
)
def test_operators_without_inputs(write_onnx: Writer, kit: Any, kind: str) -> None:
    """Found by fuzzing: an operator that lost its inputs, outputs or attributes is read or refused."""
    for outputs in ([], ["h"]):
        nodes = [kit.node(kind, [], outputs), kit.node("Relu", ["x"], ["y"])]
        with contextlib.suppress(TradespaceError):
            assert np.isfinite(read(write_onnx(nodes, {"x": (2,)}, ["y"])).operators.flop).all()


def test_a_missing_package_is_named(write_onnx: Writer, kit: Any, monkeypatch: Any) -> None:
    path = write_onnx([kit.node("Relu", ["x"], ["y"])], {"x": (2,)}, ["y"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install tradespace\[onnx\]"):
        load_workload(path, registry())


def test_unknown_operators_cost_their_bytes(write_onnx: Writer, kit: Any) -> None:
    own = [onnx.helper.make_opsetid("own", 1)]
    graph = read(write_onnx([kit.node("Magic", ["x"], ["y"], domain="own")], {"x": (3, 4)}, ["y"], opsets=own))
    assert graph.operators.kind == ("aggregate",)
    assert graph.operators.act_in[0] == 12 and graph.operators.flop[0] == 24
    assert "own.Magic" in str(graph.facts["note"])


@pytest.mark.parametrize("file", sorted(REGRESSIONS.glob("*-net.onnx")), ids=lambda path: path.name)
def test_what_fuzzing_found(file: Path) -> None:
    with contextlib.suppress(TradespaceError):
        assert np.isfinite(read(file).operators.flop).all()

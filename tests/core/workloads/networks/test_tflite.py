"""TFLite files made by hand: work, weights, subgraphs, folding, and what a damaged file is answered."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError, TradespaceError, UnknownName
from tradespace.plugins import registry
from tradespace.workloads import OperatorGraph, load_workload


def read(path: Path, **options: Any) -> OperatorGraph:
    graph = load_workload({"extends": path, **options}, registry())
    assert isinstance(graph, OperatorGraph)
    return graph


@pytest.fixture
def residual(kit: Any) -> Any:
    """conv 3x3 (4 -> 8, int8, bias, ReLU), depthwise 3x3, add of both, mean, fully connected."""
    t, o = kit.tensor, kit.operator
    tensors = [
        t((1, 6, 6, 4), "INT8"), t((8, 3, 3, 4), "INT8", 288), t((8,), "INT32", 32), t((1, 6, 6, 8), "INT8"),
        t((1, 3, 3, 8), "INT8", 72), t((8,), "INT32", 32), t((1, 6, 6, 8), "INT8"), t((1, 6, 6, 8), "INT8"),
        t((2,), "INT32", 8), t((1, 8), "INT8"), t((5, 8), "INT8", 40), t((1, 5), "INT8"),
    ]  # fmt: skip
    relu = kit.options("Conv2DOptions", FusedActivationFunction=1)
    operators = [
        o("CONV_2D", (0, 1, 2), (3,), relu), o("DEPTHWISE_CONV_2D", (3, 4, 5), (6,)), o("ADD", (3, 6), (7,)),
        o("MEAN", (7, 8), (9,)), o("FULLY_CONNECTED", (9, 10, -1), (11,)),
    ]  # fmt: skip
    return kit.graph(tensors, operators, (0,), (11,))


def test_work_weights_and_lifetimes(write_tflite: Callable[..., Path], residual: Any) -> None:
    graph = read(write_tflite(residual))
    rows = graph.operators
    assert rows.kind == ("conv", "conv", "elementwise", "aggregate", "matmul")
    assert rows.macs.tolist() == [36 * 8 * 36, 36 * 8 * 9, 0, 0, 40]
    assert [column[1] for column in rows.gemm] == [36, 9, 1, 8]  # depthwise: one group a channel
    outputs = 36 * 8
    assert rows.flop.tolist() == [2 * rows.macs[0] + 2 * outputs, 2 * rows.macs[1] + outputs, outputs, outputs, 80]
    assert rows.weights.tolist() == [288, 72, 0, 0, 40]  # int32 biases are bytes, not weight elements
    assert graph.parameters == 400
    assert graph.facts["weight_bytes"] == 400 + 64
    assert graph.native_precision == "int8"
    assert set(zip(graph.edges.source.tolist(), graph.edges.dest.tolist(), strict=True)) == {
        (0, 1), (0, 2), (1, 2), (2, 3), (3, 4)
    }  # fmt: skip
    assert graph.facts["peak_activation_bytes"] == 3 * outputs  # the shortcut lives while the addition writes
    assert graph.blocks[0].startswith("t3") and len(graph.blocks) == 3


def test_int8_weights_behind_dequantize_stay_int8(write_tflite: Callable[..., Path], kit: Any) -> None:
    t, o = kit.tensor, kit.operator
    tensors = [t((2, 16)), t((4, 16), "FLOAT16", 128), t((4, 16)), t((2, 4))]
    operators = [o("DEQUANTIZE", (1,), (2,)), o("FULLY_CONNECTED", (0, 2), (3,))]
    graph = read(write_tflite(kit.graph(tensors, operators, (0,), (3,))))
    assert len(graph.operators) == 1
    assert graph.facts["weight_bytes"] == 128
    assert graph.native_precision == "fp16"
    assert graph.facts["folded_operators"] == 1


def test_views_move_nothing_and_share_a_lifetime(write_tflite: Callable[..., Path], kit: Any) -> None:
    t, o = kit.tensor, kit.operator
    tensors = [t((1, 64)), t((1, 64)), t((8, 8)), t((2,), "INT32", 8), t((8, 8))]
    operators = [o("RELU", (0,), (1,)), o("RESHAPE", (1, 3), (2,)), o("TRANSPOSE", (2,), (4,))]
    graph = read(write_tflite(kit.graph(tensors, operators, (0,), (4,))))
    rows = graph.operators
    assert (rows.act_in[1], rows.act_out[1], rows.flop[1]) == (0, 0, 0)
    assert (0, 2) in set(zip(graph.edges.source.tolist(), graph.edges.dest.tolist(), strict=True))
    assert graph.facts["peak_activation_bytes"] == 2 * 64 * 4


def test_subgraphs(write_tflite: Callable[..., Path], kit: Any) -> None:
    """IF counts the costlier branch, WHILE runs `trips` times, another entry can be picked."""
    t, o = kit.tensor, kit.operator
    small = kit.graph([t((1, 8)), t((1, 8))], [o("RELU", (0,), (1,))], (0,), (1,))
    large = kit.graph([t((1, 8)), t((8, 8), data=256), t((1, 8))], [o("FULLY_CONNECTED", (0, 1), (2,))], (0,), (2,))
    main = kit.graph(
        [t((), "BOOL"), t((1, 8)), t((1, 8)), t((1, 8))],
        [
            o("IF", (0, 1), (2,), kit.options("IfOptions", ThenSubgraphIndex=1, ElseSubgraphIndex=2)),
            o("WHILE", (2,), (3,), kit.options("WhileOptions", CondSubgraphIndex=1, BodySubgraphIndex=2)),
        ],
        (0, 1), (3,),
    )  # fmt: skip
    path = write_tflite(main, small, large)
    graph = read(path, trips=10)
    assert graph.operators.repeat.tolist() == [0, 1, 10]
    assert float((graph.operators.macs * graph.operators.repeat).sum()) == 11 * 64
    assert graph.parameters == 64  # one table, used twice
    assert "trips=N" in str(read(path).facts["note"])
    assert len(read(path, subgraph=1).operators) == 1
    with pytest.raises(InputError, match="'subgraph' is one of"):
        read(path, subgraph=3)


def test_recursion_ends(write_tflite: Callable[..., Path], kit: Any) -> None:
    t, o = kit.tensor, kit.operator
    call = o("WHILE", (0,), (1,), kit.options("WhileOptions", CondSubgraphIndex=0, BodySubgraphIndex=0))
    with pytest.raises(InputError, match="at most 16 deep"):
        read(write_tflite(kit.graph([t((1,)), t((1,))], [call], (0,), (1,))))


def test_calls_that_multiply(write_tflite: Callable[..., Path], kit: Any) -> None:
    """Twelve subgraphs, each of which runs the next one eight times: 10^10 operators in a small file."""
    t, o = kit.tensor, kit.operator
    graphs = []
    for level in range(1, 13):
        call = kit.options("WhileOptions", CondSubgraphIndex=level, BodySubgraphIndex=level)
        graphs.append(kit.graph([t((1,)), t((1,))], [o("WHILE", (0,), (1,), call)] * 8, (0,), (1,)))
    last = kit.graph([t((1,)), t((1,))], [o("RELU", (0,), (1,))], (0,), (1,))
    with pytest.raises(InputError, match="at most"):
        read(write_tflite(*graphs, last))


def test_custom_operators_are_named_and_cost_something(write_tflite: Callable[..., Path], kit: Any) -> None:
    t, o = kit.tensor, kit.operator
    graph = read(write_tflite(kit.graph([t((1, 9)), t((1, 3))], [o("Detection", (0,), (1,))], (0,), (1,))))
    assert graph.operators.kind == ("aggregate",)
    assert graph.operators.flop[0] == 12
    assert "CUSTOM Detection" in str(graph.facts["operator_types"]) and "CUSTOM Detection" in str(graph.facts["note"])


@pytest.mark.parametrize(
    ("shape", "data", "message"),
    [((1 << 30, 1 << 30), 4, "product is at most"), ((-5, 2), 4, "not negative"), ((8, 8), 4, "holds all elements")],
)
def test_tensors_that_cannot_be(
    write_tflite: Callable[..., Path], kit: Any, shape: tuple[int, ...], data: int, message: str
) -> None:
    t, o = kit.tensor, kit.operator
    path = write_tflite(kit.graph([t((1, 8)), t(shape, data=data), t((1, 8))], [o("ADD", (0, 1), (2,))], (0,), (2,)))
    with pytest.raises(InputError, match=message):
        read(path)


def test_unknown_options_are_refused(write_tflite: Callable[..., Path], residual: Any) -> None:
    with pytest.raises(UnknownName, match="unknown key 'trip'"):
        read(write_tflite(residual), trip=3)


def test_a_missing_package_is_named(write_tflite: Callable[..., Path], residual: Any, monkeypatch: Any) -> None:
    path = write_tflite(residual)
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(InputError, match=r"pip install tradespace\[tflite\]"):
        read(path)


def test_every_truncation_is_refused(write_tflite: Callable[..., Path], residual: Any) -> None:
    path = write_tflite(residual)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 600, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read(path)


def test_a_damaged_file_is_read_or_refused(write_tflite: Callable[..., Path], residual: Any) -> None:
    """600 files with a few bytes or words changed: never another error (the large runs are in the fuzz folder)."""
    path, rng = write_tflite(residual), np.random.default_rng(0)
    whole = path.read_bytes()
    refused = 0
    for _ in range(600):
        data = bytearray(whole)
        for at in rng.integers(0, len(data) - 4, rng.integers(1, 5)):
            word = rng.choice([0, 1, 255, 2**31, 2**32 - 1, int(rng.integers(0, 2**16))])
            data[at : at + 4] = int(word).to_bytes(4, "little")
        path.write_bytes(data)
        try:
            read(path)
        except TradespaceError:
            refused += 1
    assert 60 < refused < 600
    with contextlib.suppress(TradespaceError):
        read(path)

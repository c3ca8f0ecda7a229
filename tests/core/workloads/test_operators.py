"""The graph itself: validation, edges between blocks, chains."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from tradespace.errors import InputError
from tradespace.workloads import Edges, OperatorGraph, Operators
from tradespace.workloads.operators import PRICED


def operators(blocks: list[int], **columns: Any) -> Operators:
    rows = len(blocks)
    values: dict[str, Any] = {column: np.zeros(rows) for column in PRICED} | {
        "name": tuple(f"op{i}" for i in range(rows)),
        "kind": ("matmul",) * rows,
        "block": np.array(blocks, np.int32),
        "repeat": np.ones(rows),
    }
    return Operators(**values | columns)


def edges(*rows: tuple[int, int, float]) -> Edges:
    source, dest, elements = zip(*rows, strict=True)
    ints = (np.array(column, np.int32) for column in (source, dest))
    return Edges(*ints, np.array(elements, np.float64), np.ones(len(rows)))


def graph(blocks: list[int], *rows: tuple[int, int, float], **columns: Any) -> OperatorGraph:
    names = tuple(f"b{i}" for i in range(max(blocks) + 1))
    return OperatorGraph("test", operators(blocks, **columns), names, edges(*rows))


def test_a_tensor_used_twice_in_a_block_crosses_once() -> None:
    crossing = graph([0, 0, 1, 1, 2], (0, 2, 5), (0, 3, 5), (1, 2, 7), (0, 4, 5), (2, 3, 9), (3, 4, 1)).block_edges()
    found = list(zip(crossing.source.tolist(), crossing.dest.tolist(), crossing.elements.tolist(), strict=True))
    assert found == [(0, 1, 5.0), (0, 2, 5.0), (0, 1, 7.0), (1, 2, 1.0)]
    assert crossing.source.dtype == crossing.dest.dtype == np.int32


@pytest.mark.parametrize(
    ("rows", "chain"),
    [
        ([(0, 1, 1), (1, 2, 1)], True),
        ([(0, 1, 1), (1, 2, 1), (0, 2, 1)], False),  # a skip connection
        ([(0, 1, 1)], False),  # block 2 hangs free
    ],
)
def test_chains(rows: list[tuple[int, int, float]], chain: bool) -> None:
    assert graph([0, 1, 2], *rows).is_chain is chain


def test_one_block_is_a_chain() -> None:
    assert graph([0, 0], (0, 1, 1)).is_chain


def test_macs_and_take() -> None:
    rows = operators([0, 0], m=np.array([2.0, 0]), k=np.array([3.0, 0]), n=np.array([5.0, 0]), count=np.array([7.0, 0]))
    assert rows.macs.tolist() == [210, 0]
    assert rows.take(np.array([1, 0])).name == ("op1", "op0")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"kind": ("matmul", "magic")}, "kind is one of"),
        ({"name": ("a", "a")}, "unique"),
        ({"flop": np.array([1.0, -1.0])}, "not negative"),
        ({"flop": np.array([1.0, np.nan])}, "finite"),
        ({"flop": np.ones(3)}, "one entry per operator"),
        ({"block": np.array([0, 2], np.int32)}, "every block"),
    ],
)
def test_operators_that_cannot_be_are_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OperatorGraph("test", operators([0, 1], **columns), ("a", "b"), edges((0, 1, 1)))


@pytest.mark.parametrize(
    ("row", "message"), [((0, 2, 1), "two operators"), ((1, 0, 1), "later"), ((0, 1, -1), "not negative")]
)
def test_edges_that_cannot_be_are_refused(row: tuple[int, int, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        graph([0, 1], row)


def test_kinds_are_distinct_even_with_equal_numbers_and_executions_are_not_priced() -> None:
    whole = graph([0, 1, 2], (0, 1, 1), kind=("matmul", "conv", "matmul"), repeat=np.array([5.0, 6, 7]))
    distinct, index = whole.distinct()
    assert distinct.kind == ("matmul", "conv") and index.tolist() == [0, 1, 0]
    assert distinct.repeat.tolist() == [1, 1]


def test_ties_join_two_blocks() -> None:
    whole = graph([0, 1], (0, 1, 1))
    assert replace(whole, ties=((0, 1, 3.0),)).ties
    for tie in ((0, 0, 3.0), (0, 2, 3.0), (0, 1, 0.0)):
        with pytest.raises(InputError, match="tie"):
            replace(whole, ties=(tie,))


def test_substitutes_are_named() -> None:
    whole = graph([0, 1], (0, 1, 1))
    assert replace(whole, sources={"shape": "a guess", "kind": "substitute"}).substitutes == ("test: a guess",)
    assert replace(whole, sources={"shape": "a card", "kind": "datasheet"}).substitutes == ()


def test_columns_of_operators_are_all_priced_or_named() -> None:
    assert {f.name for f in fields(Operators)} == {"name", "kind", "block", "repeat", *PRICED}

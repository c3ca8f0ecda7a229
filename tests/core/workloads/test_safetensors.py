"""Tensor tables of safetensors files that were damaged on purpose, or point where they must not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.tensor_tables import write_safetensors

from tradespace.errors import InputError
from tradespace.workloads.safetensors import INDEX, find_tables, read_table
from tradespace.workloads.strict_json import parse


def file(folder: Path, header: Any, data: int = 64, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + bytes(data))
    return path


def tensor(dtype: Any = "F32", shape: Any = (2, 4), span: Any = (0, 32)) -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": list(shape), "data_offsets": list(span)}}


def test_a_table_is_read_without_its_data(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors", {"w": (1000, 1000), "b": (1000,)}, {"b": "F32"})
    found = {row.name: row for row in read_table(tmp_path / "a.safetensors")}
    assert found["w"].bytes == 2_000_000 and found["b"].bytes == 4_000 and found["w"].elements == 1_000_000
    assert len(find_tables(tmp_path)[0]) == 2  # the only such file of a folder is its model


def test_odd_widths_are_whole_bytes(tmp_path: Path) -> None:
    (row,) = read_table(file(tmp_path, tensor("F4", (3, 5), (0, 8))))
    assert row.bytes == 8


@pytest.mark.parametrize(
    ("header", "more", "message"),
    [
        (tensor(), {"data": 16}, "positions inside the file"),
        (tensor(), {"length": 2**63}, "header fits into the file"),
        (tensor(), {"length": 20}, "valid JSON"),
        (b"", {"data": 0}, "header fits"),
        (b"[]", {}, "holds one object"),
        (b'{"w": 1}', {}, "described by an object"),
        (b"[" * 100_000, {"data": 0}, "valid JSON"),
        (tensor(dtype="F33"), {}, "known dtype"),
        (tensor(dtype=["F32"]), {}, "known dtype"),
        (tensor(shape=(2, -4)), {}, "at most 8 dimensions"),
        (tensor(shape=(2, True)), {}, "at most 8 dimensions"),
        (tensor(shape=(2**40, 2**40)), {}, "at most 8 dimensions"),
        (tensor(shape=(1,) * 9), {}, "at most 8 dimensions"),
        (tensor(shape=(2, 5)), {}, "span the 40 bytes"),
        (tensor(span=(32, 0)), {}, "positions inside the file"),
        (tensor(span=(0, 2**62)), {}, "positions inside the file"),
        (b'{"w": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, ' + b"9" * 5000 + b"]}}", {}, "valid JSON"),
    ],
)
def test_tables_that_cannot_be(tmp_path: Path, header: Any, more: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(file(tmp_path, header, **more))


def test_a_large_header_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.safetensors"
    with path.open("wb") as out:
        out.write((17 * 2**20).to_bytes(8, "little"))
        out.truncate(2**30)
    with pytest.raises(InputError, match="at most 16 MiB"):
        read_table(path)


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "", ".", "x" * 300, "a\0b"]
)
def test_shards_lie_beside_their_index(tmp_path: Path, name: str) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(InputError, match="beside its index"):
        find_tables(tmp_path)


def test_headers_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradespace.workloads.safetensors.MAX_HEADERS", 300)
    names = [f"m-{i}.safetensors" for i in range(5)]
    for name in names:
        write_safetensors(tmp_path / name, {name: (2, 2)})
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {name: name for name in names}}))
    with pytest.raises(InputError, match="together"):
        find_tables(tmp_path)


def test_json_that_would_fill_the_memory_is_refused_uncounted() -> None:
    with pytest.raises(InputError, match="at most 1000 values"):
        parse(b'{"a": [' + b"[]," * 2000 + b"1]}", "bomb", values=1000)

"""Tensor tables of safetensors files, read with hard bounds; nothing behind a header is touched.

Format: huggingface/safetensors README, "Format": u64 length of a JSON object, name -> {dtype, shape, data_offsets},
then the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from tradespace.documents import read_bytes
from tradespace.errors import InputError
from tradespace.workloads.strict_json import parse

MAX_HEADER = 16 * 1024 * 1024
MAX_HEADERS = 64 * 1024 * 1024
MAX_TENSORS = 200_000
MAX_NAME = 1_000
MAX_SHARDS = 2_000
MAX_INDEX = 32 * 1024 * 1024
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""dtype -> bits of an element."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the table; `bytes` are exact."""

    name: str
    type: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def elements(self) -> int:
        return prod(self.shape)


def read_table(path: Path) -> tuple[Tensor, ...]:
    """The tensor table of one file.

    Raises:
        InputError: no safetensors file, truncated, or an entry that cannot be.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 10 or length > size - 8:
                value = f"{length} in {size} bytes"
                raise InputError(
                    "the header fits into the file (truncated or no safetensors)", value=value, where=where
                )
            if length > MAX_HEADER:
                raise InputError(f"a safetensors header has at most {MAX_HEADER >> 20} MiB", value=length, where=where)
            raw = file.read(length)
    except OSError as error:
        raise InputError("the file can be read", value=error.strerror, where=where) from None
    if len(raw) != length:
        raise InputError("the file does not shrink while it is read", where=where)
    table = parse(raw, where)
    if len(table) > MAX_TENSORS:
        raise InputError(f"a file has at most {MAX_TENSORS} tensors", value=len(table), where=where)
    room = size - 8 - length
    return tuple(_tensor(name, entry, room, where) for name, entry in table.items() if name != "__metadata__")


def _tensor(name: str, entry: Any, room: int, where: str) -> Tensor:
    place = f"{where}: {name[:80]}"
    if len(name) > MAX_NAME:
        raise InputError(f"a tensor's name has at most {MAX_NAME} characters", value=len(name), where=place)
    if not isinstance(entry, dict):
        raise InputError("a tensor is described by an object", value=type(entry).__name__, where=place)
    kind: Any = entry.get("dtype")
    shape: Any = entry.get("shape")
    span: Any = entry.get("data_offsets")
    if not isinstance(kind, str) or kind not in BITS:
        raise InputError("a tensor has a known dtype", value=repr(kind)[:80], where=place, remedy=", ".join(BITS))
    if not _whole_numbers(shape, 8) or prod(shape) >= 1 << 60:
        raise InputError("a shape lists at most 8 dimensions", value=repr(shape)[:80], where=place)
    if not _whole_numbers(span, 2) or len(span) != 2 or not span[0] <= span[1] <= room:
        raise InputError("data_offsets are two positions inside the file", value=repr(span)[:80], where=place)
    size = -(-prod(shape) * BITS[kind] // 8)
    if span[1] - span[0] != size:
        raise InputError(f"data_offsets span the {size} bytes of the tensor", value=repr(span)[:80], where=place)
    return Tensor(name, kind, tuple(shape), size)


def _whole_numbers(value: Any, limit: int) -> bool:
    if not isinstance(value, list) or len(value) > limit:
        return False
    return all(type(number) is int and 0 <= number < 1 << 62 for number in value)


def find_tables(folder: Path) -> tuple[tuple[Tensor, ...], str]:
    """All tensors of the model in `folder` and a remark; no tensors where there are none, or where shards are missing.

    Raises:
        InputError: a damaged index or file, or a tensor that two shards hold.
    """
    if (folder / INDEX).is_file():
        return _sharded(folder)
    single = folder / SINGLE
    if single.is_file():
        return read_table(single), ""
    try:
        files = [path for path in sorted(folder.glob("*.safetensors"))[:2] if path.is_file()]
    except OSError:
        files = []
    return (read_table(files[0]), "") if len(files) == 1 else ((), "")


def _sharded(folder: Path) -> tuple[tuple[Tensor, ...], str]:
    index = folder / INDEX
    content = parse(read_bytes(index, MAX_INDEX), str(index))
    places = content.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise InputError("'weight_map' says which file holds each tensor", where=str(index))
    names = sorted(set(places.values()))
    if len(names) > MAX_SHARDS:
        raise InputError(f"a model has at most {MAX_SHARDS} files", value=len(names), where=str(index))
    for name in names:
        if not name or Path(name).name != name or "\0" in name or "\\" in name or len(name) > 255:
            raise InputError("a shard lies beside its index", value=name[:80], where=str(index))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        return (), f"{len(missing)} of {len(names)} safetensors files are missing (first: {missing[0][:80]})"
    _check_headers([folder / name for name in names], str(index))
    found: dict[str, Tensor] = {}
    for name in names:
        for tensor in read_table(folder / name):
            if tensor.name in found:
                raise InputError("a tensor is in one file", value=tensor.name[:80], where=str(folder / name))
            found[tensor.name] = tensor
        if len(found) > MAX_TENSORS:
            raise InputError(f"a model has at most {MAX_TENSORS} tensors", where=str(index))
    return tuple(found.values()), ""


def _check_headers(files: list[Path], where: str) -> None:
    """Refuse headers that are too large together, before any is read."""
    total = 0
    for path in files:
        try:
            with path.open("rb") as file:
                total += int.from_bytes(file.read(8), "little")
        except OSError as error:
            raise InputError("the file can be read", value=error.strerror, where=str(path)) from None
    if total > MAX_HEADERS:
        rule = f"the headers of a model have at most {MAX_HEADERS >> 20} MiB together"
        raise InputError(rule, value=f"{total} bytes", where=where)

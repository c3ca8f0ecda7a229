"""Header, metadata and tensor table of a GGUF file (version 2 and 3, little endian), read with hard bounds.

Nothing behind the tensor table is read. Every length in the file is checked against the bytes that are left before it
is used, so time and memory are bounded by the header's true size and by the limits below.
Format: ggml `docs/gguf.md`; block sizes: ggml `ggml.c`, table `type_traits`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from tradespace.errors import InputError

MAX_HEADER = 128 * 1024 * 1024
MAX_ITEMS = 4_000_000
MAX_KEYS = 100_000
MAX_TENSORS = 200_000
MAX_KEPT = 20_000
MAX_DEPTH = 4
MAX_NAME = 1 << 16
MAX_ALIGNMENT = 1 << 20
_CHUNK = 1 << 20

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Type number -> (name, elements per block, bytes per block)."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of the tensor table: dims in file order (the first is the row), type name, exact bytes."""

    name: str
    dims: tuple[int, ...]
    type: str
    bytes: int
    offset: int

    @property
    def elements(self) -> int:
        return prod(self.dims)


@dataclass(frozen=True)
class Header:
    """What a GGUF file says about itself.

    Attributes:
        version: 2 or 3.
        metadata: key -> scalar, text, or a list of at most `MAX_KEPT` numbers.
        lengths: key -> length of each array, kept or not.
        tensors: name -> entry.
    """

    version: int
    metadata: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: Mapping[str, Tensor]


class _Cursor:
    """Reads forward through the header, never beyond the file's end or `MAX_HEADER`."""

    def __init__(self, file: BinaryIO, size: int, where: str) -> None:
        self.file, self.size, self.where = file, size, where
        self.data, self.at, self.items = bytearray(), 0, 0

    def fail(self, rule: str, value: object = None) -> InputError:
        return InputError(rule, value=value, where=f"{self.where}, byte {self.at}")

    def _left(self, length: int) -> str:
        return f"{length} bytes where {max(self.size - self.at, 0)} are left"

    def need(self, length: int, what: str) -> int:
        """Make `length` more bytes available; returns where they start."""
        start = self.at
        if length > self.size - start:
            raise self.fail(
                f"the file is complete ({what} ends beyond its end: truncated or damaged)", self._left(length)
            )
        if start + length > MAX_HEADER:
            raise self.fail(f"header and tensor table have at most {MAX_HEADER >> 20} MiB")
        if start + length > len(self.data):
            missing = max(_CHUNK, start + length - len(self.data))
            self.data += self.file.read(min(missing, self.size - len(self.data)))
            if start + length > len(self.data):
                raise self.fail("the file does not shrink while it is read")
        self.at = start + length
        return start

    def number(self, code: str, what: str) -> Any:
        start = self.need(struct.calcsize("<" + code), what)
        return struct.unpack_from("<" + code, self.data, start)[0]

    def count(self, what: str, each: int, limit: int) -> int:
        """A count of things of at least `each` bytes."""
        found = int(self.number("Q", what))
        if found > limit:
            raise self.fail(f"{what} is at most {limit}", found)
        if found * each > self.size - self.at:
            raise self.fail(f"{what} fits into the file (it is truncated or damaged)", found)
        return found

    def text(self, what: str, limit: int = MAX_HEADER) -> str:
        length = int(self.number("Q", what))
        if length > limit:
            raise self.fail(f"{what} has at most {limit} bytes", length)
        start = self.need(length, what)
        kept = min(length, MAX_NAME)  # longer ones are chat templates, which nobody here reads
        return self.data[start : start + kept].decode("utf-8", errors="replace")

    def spend(self, items: int) -> None:
        self.items += items
        if self.items > MAX_ITEMS:
            raise self.fail(f"the metadata holds at most {MAX_ITEMS} array elements that are kept or read one by one")


def read_header(path: Path) -> Header:
    """Header, metadata and tensor table of `path`.

    Raises:
        InputError: no GGUF file, an unsupported version, truncated, or a length, count, type or offset that cannot be.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            return _read(_Cursor(file, size, str(path)))
    except OSError as error:
        raise InputError("the file can be read", value=error.strerror, where=str(path)) from None


def _read(cursor: _Cursor) -> Header:
    start = cursor.need(4, "the magic number")
    if cursor.data[start : start + 4] != b"GGUF":
        raise cursor.fail("a GGUF file starts with 'GGUF'", bytes(cursor.data[:4]))
    version = cursor.number("I", "the version")
    if version not in (2, 3):
        raise cursor.fail("the GGUF version is 2 or 3, little endian", version)
    tensors = cursor.count("the number of tensors", 24, MAX_TENSORS)
    keys = cursor.count("the number of metadata keys", 12, MAX_KEYS)
    metadata: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for _ in range(keys):
        key = cursor.text("a metadata key", MAX_NAME)
        if key in metadata or key in lengths:
            raise cursor.fail("a metadata key occurs once", key)
        value = _value(cursor, int(cursor.number("I", "a value type")), 0)
        if isinstance(value, _Array):
            lengths[key] = value.length
            if value.kept is not None:
                metadata[key] = value.kept
        else:
            metadata[key] = value
    table = [_tensor(cursor) for _ in range(tensors)]
    _check_data(cursor, metadata, table)
    return Header(version, metadata, lengths, {tensor.name: tensor for tensor in table})


@dataclass(frozen=True, slots=True)
class _Array:
    length: int
    kept: list[Any] | None


def _value(cursor: _Cursor, kind: int, depth: int) -> Any:
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind], "a value")
    if kind == _STRING:
        return cursor.text("a text value")
    if kind == _ARRAY:
        return _array(cursor, depth + 1)
    raise cursor.fail("a metadata value has a known type (0 to 12)", kind)


def _array(cursor: _Cursor, depth: int) -> _Array:
    if depth > MAX_DEPTH:
        raise cursor.fail(f"arrays nest at most {MAX_DEPTH} deep")
    kind = int(cursor.number("I", "an array type"))
    if kind in _SCALARS:
        width = struct.calcsize("<" + _SCALARS[kind])
        length = cursor.count("the length of an array", width, MAX_HEADER)
        start = cursor.need(length * width, "an array")
        if length > MAX_KEPT:
            return _Array(length, None)
        cursor.spend(length)
        return _Array(length, list(struct.unpack_from(f"<{length}{_SCALARS[kind]}", cursor.data, start)))
    if kind not in (_STRING, _ARRAY):
        raise cursor.fail("an array has a known type (0 to 12)", kind)
    length = cursor.count("the length of an array", 8 if kind == _STRING else 12, MAX_ITEMS)
    cursor.spend(length)
    for _ in range(length):
        if kind == _STRING:
            cursor.need(int(cursor.number("Q", "a text length")), "a text in an array")
        else:
            _array(cursor, depth + 1)
    return _Array(length, None)


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text("a tensor name", MAX_NAME)
    rank = int(cursor.number("I", "a tensor's rank"))
    if not 1 <= rank <= 4:
        raise cursor.fail("a tensor has 1 to 4 dimensions", f"{rank} ({name[:80]})")
    dims = tuple(int(cursor.number("Q", "a dimension")) for _ in range(rank))
    kind = int(cursor.number("I", "a tensor type"))
    offset = int(cursor.number("Q", "a tensor offset"))
    if kind not in TENSOR_TYPES:
        raise cursor.fail("a tensor has a known type", f"{kind} ({name[:80]})")
    label, block, width = TENSOR_TYPES[kind]
    elements = prod(dims)
    if not 1 <= elements < 1 << 60 or dims[0] % block:
        raise cursor.fail(f"a {label} tensor has whole rows of {block} elements", f"{dims} ({name[:80]})")
    return Tensor(name, dims, label, elements // block * width, offset)


def _check_data(cursor: _Cursor, metadata: Mapping[str, Any], table: list[Tensor]) -> None:
    """Every tensor lies behind the header, aligned, inside the file, and no two have one name."""
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 1 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
        raise cursor.fail(f"general.alignment is a power of two up to {MAX_ALIGNMENT}", repr(alignment)[:80])
    if len({tensor.name for tensor in table}) != len(table):
        raise cursor.fail("a tensor's name occurs once")
    room = cursor.size - (cursor.at + -cursor.at % alignment)
    for tensor in table:
        if tensor.offset % alignment or tensor.offset + tensor.bytes > room:
            rule = "a tensor starts aligned and ends inside the file (truncated or damaged)"
            raise cursor.fail(rule, f"{tensor.name[:80]}: {tensor.bytes} bytes at {tensor.offset} of {max(room, 0)}")
    if sum(tensor.bytes for tensor in table) > max(room, 0):
        raise cursor.fail("tensors do not overlap")

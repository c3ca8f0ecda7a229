"""GGUF files that were damaged on purpose: refused in little time and memory, never a crash."""

from __future__ import annotations

import contextlib
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradespace.errors import InputError, TradespaceError
from tradespace.plugins import registry
from tradespace.workloads import gguf_header, load_workload
from tradespace.workloads.gguf_header import read_header

HUGE = 1 << 60


def read(path: Path) -> None:
    load_workload(path, registry())


def test_every_truncation_is_refused(ggufs: Any) -> None:
    whole = ggufs.write(ggufs.llama()).read_bytes()
    file = ggufs.write({}, name="cut.gguf")
    header = whole.index(b"output_norm.weight")
    for length in [*range(600), *range(600, header, 97), header + 30, len(whole) // 2, len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="truncated or damaged"):
            read(file)


def integers(data: bytes) -> list[int]:
    """Where the header of a file holds 8-byte counts and lengths: everything that looks like a small one."""
    end = data.index(b"blk.1.ffn_norm")
    found = (at for at in range(8, end) if 0 < struct.unpack_from("<Q", data, at)[0] < 1000)
    return list(found)


@pytest.mark.parametrize("value", [HUGE, (1 << 64) - 1, 1 << 31, 1 << 24])
def test_absurd_counts_and_lengths_cost_nothing(ggufs: Any, value: int) -> None:
    """Each 8-byte number of the header in turn is made huge: refused, fast, in little memory."""
    path = ggufs.write(ggufs.llama())
    whole = path.read_bytes()
    file = path.with_name("hostile.gguf")
    places = integers(whole)
    assert len(places) > 100
    refused, start = 0, time.perf_counter()
    tracemalloc.start()
    for at in [8, 16, *places[:: max(1, len(places) // 150)]]:
        file.write_bytes(whole[:at] + struct.pack("<Q", value) + whole[at + 8 :])
        try:
            read_header(file)
        except InputError:
            refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 100
    assert peak < 16e6
    assert time.perf_counter() - start < 60  # a count taken at its word would need hours


def header(keys: bytes = b"", count: int = 0, tensors: bytes = b"", table: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, table, count) + keys + tensors


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def nested(depth: int) -> bytes:
    return text(b"deep") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * depth + struct.pack("<IQ", 4, 0)


def tensor(dims: list[int], kind: int = 0, offset: int = 0, rank: int | None = None) -> bytes:
    shape = struct.pack(f"<{len(dims)}Q", *dims)
    return (
        text(b"t") + struct.pack("<I", len(dims) if rank is None else rank) + shape + struct.pack("<IQ", kind, offset)
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "complete"),
        (b"GGML" + bytes(40), "starts with 'GGUF'"),
        (header(version=1), "version is 2 or 3"),
        (struct.pack("<I", 0x46554747) + struct.pack(">IQQ", 3, 0, 0), "little endian"),
        (header(count=HUGE), "number of metadata keys"),
        (header(table=HUGE), "number of tensors"),
        (header(text(b"k", HUGE) + bytes(99), 1), "metadata key has at most"),
        (header(text(b"k") + struct.pack("<I", 99) + bytes(99), 1), "known type"),
        (header(text(b"k") + struct.pack("<I", 8) + text(b"v", HUGE), 1), "at most"),
        (header(text(b"k") + struct.pack("<I", 8) + text(b"v", 99), 1), "complete"),
        (header(text(b"k") + struct.pack("<IIQ", 9, 8, HUGE) + bytes(99), 1), "length of an array"),
        (header(text(b"k") + struct.pack("<IIQ", 9, 0, HUGE) + bytes(99), 1), "length of an array"),
        (header(text(b"k") + struct.pack("<IIQ", 9, 99, 1) + bytes(99), 1), "known type"),
        (header(nested(5), 1), "nest at most 4"),
        (header(nested(100_000), 1), "nest at most 4"),
        (header((text(b"k") + struct.pack("<II", 4, 1)) * 2, 2), "occurs once"),
        (header(table=1, tensors=tensor([4], rank=5) + bytes(99)), "1 to 4 dimensions"),
        (header(table=1, tensors=tensor([4], kind=77) + bytes(99)), "known type"),
        (header(table=1, tensors=tensor([HUGE, HUGE]) + bytes(99)), "whole rows"),
        (header(table=1, tensors=tensor([33], kind=8) + bytes(99)), "whole rows of 32"),
        (header(table=1, tensors=tensor([0]) + bytes(99)), "whole rows"),
        (header(table=1, tensors=tensor([4], offset=HUGE) + bytes(99)), "inside the file"),
        (header(table=1, tensors=tensor([4], offset=8) + bytes(99)), "aligned"),
        (header(table=2, tensors=tensor([4]) * 2 + bytes(99)), "name occurs once"),
    ],
)  # fmt: skip
def test_hostile_headers(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "hostile.gguf"
    file.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_header(file)
    with pytest.raises(InputError):
        read(file)


def test_tensors_that_overlap(tmp_path: Path) -> None:
    file = tmp_path / "overlap.gguf"
    file.write_bytes(header(table=2, tensors=tensor([16]) + tensor([16]).replace(b"t", b"u") + bytes(64 + 32)))
    with pytest.raises(InputError, match="do not overlap"):
        read_header(file)


@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_HEADER", "at most 0 MiB"), ("MAX_ITEMS", "length of an array is at most 100")]
)
def test_a_well_formed_file_beyond_the_limits(ggufs: Any, limit: str, message: str, monkeypatch: Any) -> None:
    path = ggufs.write(ggufs.llama())
    read_header(path)
    monkeypatch.setattr(gguf_header, limit, 100)
    with pytest.raises(InputError, match=message):
        read_header(path)


def test_many_short_arrays_are_limited_together(ggufs: Any, monkeypatch: Any) -> None:
    """320 tokens and 320 scores fit singly, not together."""
    path = ggufs.write(ggufs.llama())
    monkeypatch.setattr(gguf_header, "MAX_ITEMS", 400)
    with pytest.raises(InputError, match="at most 400 array elements"):
        read_header(path)


def test_hostile_metadata_values(tmp_path: Path) -> None:
    """Well-formed, with values of the wrong kind."""
    file = tmp_path / "odd.gguf"
    architecture = text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")
    heads = text(b"llama.attention.head_count")
    for value in (
        struct.pack("<If", 6, float("nan")), struct.pack("<I", 8) + text(b"\xff\xfe"), struct.pack("<I?", 7, True),
        struct.pack("<IIQII", 9, 4, 2, 32, 16), struct.pack("<IIQ", 9, 4, 0), struct.pack("<Iq", 11, -4),
    ):  # fmt: skip
        size = text(b"llama.embedding_length") + struct.pack("<II", 4, 64)
        file.write_bytes(header(architecture + size + heads + value, 3))
        with pytest.raises(InputError, match="head_count"):
            read(file)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 9000), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**64 - 1), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_file_is_read_or_refused(ggufs: Any, edits: list[tuple[int, int, int, bool]]) -> None:
    data = bytearray(ggufs.write({} if edits[0][3] else ggufs.llama()).read_bytes())
    file = ggufs.write({}, name="damaged.gguf")
    for at, width, value, insert in edits:
        place, patch = at % len(data), value.to_bytes(8, "little")[:width]
        data[place : place if insert else place + width] = patch
    file.write_bytes(data)
    with contextlib.suppress(TradespaceError):  # anything else would be a crash
        read(file)

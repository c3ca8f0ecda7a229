"""Mutations of a file. The same seed, reader and number give the same file in any process."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

MAX_BYTES = 1 << 18
NUMBERS = (0, 1, 2, 3, 7, 8, 31, 32, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    "-1", "0", "1", "2", "3", "7", "64", "1000", "10000", "100001", "999999999", "4294967295", "9223372036854775808",
    "1e3", "1.5", "-0.0",
    "1e308", "1e999", "NaN", "Infinity", "null", "true", "false", "[]", "{}", '""', '"x"', "[0]", '[{"a":[]}]',
    "9" * 5000,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 64, 10**4, 10**5 + 1, 10**9, 2**31, 2**63, 10**40, 0.5, -1.5, 1e308,
    float("nan"), float("inf"),
    "", "x", "auto", "full_attention", "\0", "é" * 300, [], {}, [0], [[]], {"a": 1}, [None] * 3, ["attention"],
    ["mamba"] * 4,
)  # fmt: skip

Mutation = Callable[[bytearray, Random, Sequence[bytes]], bytearray]


def mutant(seeds: Sequence[bytes], random: Random) -> bytes:
    """One mutated file: one to four mutations of one of the seeds."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        data = random.choice(MUTATIONS)(data, random, seeds)
    return bytes(data[:MAX_BYTES])


def _at(data: bytearray, random: Random) -> int:
    """A place in the file; mostly before the zeros that stand for weights."""
    told = len(data.rstrip(b"\0")) + 8 if random.random() < 0.9 else len(data)
    return random.randrange(min(told, len(data))) if data else 0


def flip_bits(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    for _ in range(random.randint(1, 8)):
        if data:
            data[_at(data, random)] ^= 1 << random.randrange(8)
    return data


def set_bytes(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    at, value = _at(data, random), random.choice((0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x2C, 0x5B, 0x7B))
    data[at : at + random.choice((1, 2, 4, 8))] = bytes([value]) * random.choice((1, 1, 2, 4, 8))
    return data


def truncate(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    return data[: _at(data, random)]


def length_field(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    """A number of 2, 4 or 8 bytes somewhere becomes an interesting one."""
    width, code = random.choice(((2, "<H"), (4, "<I"), (8, "<Q")))
    value = random.choice(NUMBERS) if random.random() < 0.8 else random.randrange(2**16)
    at = _at(data, random)
    data[at : at + width] = struct.pack(code, value % 2 ** (8 * width))
    return data


def splice(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    other = random.choice(seeds)
    return data[: _at(data, random)] + bytearray(other[random.randrange(len(other) + 1) :])


def repeat(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    start = _at(data, random)
    part = data[start : start + random.choice((1, 8, 64, 512))]
    return data[:start] + part * random.choice((2, 3, 50)) + data[start:]


def remove(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    start = _at(data, random)
    del data[start : start + random.choice((1, 4, 8, 32, 256))]
    return data


def nest(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    """Deep nesting at some place."""
    at, depth = _at(data, random), random.choice((10, 100, 2000, 20000))
    return data[:at] + bytearray(random.choice((b"[", b'{"a":', b"(", b"\x09\x00\x00\x00"))) * depth + data[at:]


def number_text(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    """A number written as text becomes another value."""
    places = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not places:
        return length_field(data, random, seeds)
    place = random.choice(places)
    return data[: place.start()] + bytearray(random.choice(WORDS).encode()) + data[place.end() :]


def structure(data: bytearray, random: Random, seeds: Sequence[bytes]) -> bytearray:
    """A value of a JSON file becomes another, goes, or comes twice."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return number_text(data, random, seeds)
    places: list[tuple[Any, Any]] = []
    _walk(content, places)
    if not places:
        return number_text(data, random, seeds)
    for _ in range(random.choice((1, 1, 2, 5))):
        holder, key = random.choice(places)
        if isinstance(holder, list) and not (isinstance(key, int) and key < len(holder)):
            continue
        action = random.random()
        if action < 0.7:
            holder[key] = random.choice(VALUES)
        elif isinstance(holder, list):
            holder.append(random.choice(holder)) if action < 0.85 else holder.pop(key)
        else:
            holder.pop(key, None)
    try:
        return bytearray(json.dumps(content).encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return number_text(data, random, seeds)


def _walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        if len(places) < 2000:
            places.append((value, key))
            _walk(child, places)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, set_bytes, truncate, length_field, length_field, splice, repeat, remove, nest, number_text,
    number_text, structure,
    structure, structure,
)  # fmt: skip

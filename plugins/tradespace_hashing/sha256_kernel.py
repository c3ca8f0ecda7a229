"""Double SHA-256 of block headers: the native kernel, its references (hashlib, and numpy for inner states), its inputs.

FIPS 180-4; header layout and byte order: Bitcoin's protocol documentation, "Block Headers".
"""

from __future__ import annotations

import ctypes
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

import tradespace.kernels
from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import zeros
from tradespace.kernels.running import Task, run_tasks, task_function

Words = NDArray[np.uint32]
Mode = Literal["hash", "search", "state"]
HEADER = 80
ROUNDS = 64
EARLY = 61
"""Rounds of the second hash after which the word that a target tests first is known."""
_LANES = 16
_MODES: tuple[Mode, ...] = ("hash", "search", "state")
_START = np.array(
    [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19], np.uint32
)


class _Mining(ctypes.Structure):
    _fields_ = (
        ("midstate", ctypes.c_void_p), ("tail", ctypes.c_void_p), ("out", ctypes.c_void_p), ("count", ctypes.c_int64),
        ("first", ctypes.c_uint32), ("limit", ctypes.c_uint32), ("mode", ctypes.c_int32), ("rounds", ctypes.c_int32),
    )  # fmt: skip


def _constants() -> Words:
    """(64,) cube-root constants of FIPS 180-4, read from the kernel's source: one truth."""
    source = Path(str(tradespace.kernels.__file__)).parent / "c" / "sha256d.c"
    table = source.read_text(encoding="utf-8").split("K[64] = {")[1].split("}")[0]
    return np.array([int(word, 16) for word in re.findall(r"0x[0-9a-f]{8}", table)], np.uint32)


def compress(state: Words, block: Words, rounds: int = ROUNDS) -> Words:
    """(8, n) working variables after ``rounds`` rounds on ``block`` (16, n) from ``state`` (8, n), nothing added."""

    def rotate(x: Words, n: int) -> Words:
        return (x >> np.uint32(n)) | (x << np.uint32(32 - n))

    w, constants = [np.array(row) for row in block], _constants()
    a, b, c, d, e, f, g, h = state
    for i in range(rounds):
        if i >= 16:
            x, y = w[i - 15], w[i - 2]
            small = rotate(x, 7) ^ rotate(x, 18) ^ (x >> np.uint32(3))
            large = rotate(y, 17) ^ rotate(y, 19) ^ (y >> np.uint32(10))
            w.append(w[i - 16] + small + w[i - 7] + large)
        t = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + constants[i] + w[i]
        u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)))
        a, b, c, d, e, f, g, h = t + u, a, b, c, d + t, e, f, g
    return np.stack([np.broadcast_to(row, t.shape) if rounds else row for row in (a, b, c, d, e, f, g, h)])


def midstate(header: bytes) -> Words:
    """(8,) state after the first 64 bytes: the same for every nonce."""
    block = np.frombuffer(header[:64], ">u4").astype(np.uint32)[:, None]
    return np.asarray(compress(_START[:, None], block)[:, 0] + _START)


def batch(header: bytes, first: int, count: int, mode: Mode = "hash", rounds: int = ROUNDS, limit: int = 0) -> Arrays:
    """What kernel and references read: ``count`` nonces from ``first`` in ``header``'s last four bytes.

    Args:
        mode: "hash" gives (count, 8) big-endian words of the double hash; "state" the working variables of the second
            hash after ``rounds`` rounds; "search" (count,) 1 where the hash's most significant word, as a target reads
            it, is at most ``limit``.
    """
    return {
        "header": np.frombuffer(header, np.uint8).copy(),
        "midstate": midstate(header),
        "tail": np.frombuffer(header[64:76], ">u4").astype(np.uint32),
        "facts": np.array([first, limit, _MODES.index(mode), rounds], np.int64),
        "out": zeros((count,) if mode == "search" else (count, 8), np.uint32),
    }


def task(inputs: Arrays, isa: str = "native") -> Task:
    """Writes ``inputs["out"]``."""
    arrays = tuple(inputs[key] for key in ("midstate", "tail", "out"))
    first, limit, mode, rounds = map(int, inputs["facts"])
    count = len(inputs["out"])
    args = _Mining(*(a.ctypes.data for a in arrays), count, first, limit, mode, rounds)
    function = task_function(load_shipped("sha256d", isa), "double_sha256")
    return Task(function, args, -(-count // _LANES), 1, arrays, "double SHA-256")


def reference(inputs: Arrays) -> Words:
    """By hashlib; inner states by numpy."""
    head = inputs["header"][:76].tobytes()
    first, limit, mode, rounds = map(int, inputs["facts"])
    nonces = ((first + i) % 2**32 for i in range(len(inputs["out"])))
    singles = b"".join(hashlib.sha256(head + nonce.to_bytes(4, "little")).digest() for nonce in nonces)
    if _MODES[mode] == "state":
        words = np.frombuffer(singles, ">u4").astype(np.uint32).reshape(-1, 8)
        pad = np.zeros((len(words), 8), np.uint32)
        pad[:, 0], pad[:, 7] = 0x80000000, 256
        start = np.broadcast_to(_START[:, None], (8, len(words)))
        return np.ascontiguousarray(compress(start, np.concatenate([words, pad], axis=1).T, rounds).T)
    doubles = b"".join(hashlib.sha256(singles[i : i + 32]).digest() for i in range(0, len(singles), 32))
    if _MODES[mode] == "hash":
        return np.frombuffer(doubles, ">u4").astype(np.uint32).reshape(-1, 8)
    top = np.frombuffer(doubles, "<u4").reshape(-1, 8)[:, 7]
    return np.asarray(top <= limit, np.uint32)


def mine(inputs: Arrays, threads: int = 1) -> Words:
    """`reference`, by the native kernel where a compiler is at hand (equal bits)."""
    try:
        run_tasks([task(inputs)], threads=threads)
    except KernelError:
        return reference(inputs)
    return np.asarray(inputs["out"])


@dataclass(frozen=True)
class DoubleSha256:
    """Hashes of a batch of headers with one midstate; ``mode`` as in `batch`."""

    name: ClassVar[str] = "double-sha256"
    tolerance: ClassVar[float] = 1e-300  # equal bits
    mode: Mode = "hash"
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        per = 1 if self.mode == "search" else 8
        return self.shaped(max(1, size // per), rng)

    def shaped(self, count: int, rng: np.random.Generator) -> Arrays:
        """A random header, a random first nonce; a search keeps about one nonce in four."""
        return batch(rng.bytes(HEADER), int(rng.integers(2**32)), count, self.mode, EARLY, 2**30)

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """Edges of a group of lanes, nonces that wrap around, every mode, few and all rounds."""
        for count in (1, 15, 16, 17, 33):
            yield f"{count} nonces", self.shaped(count, rng)
        yield "nonces wrap", batch(rng.bytes(HEADER), 2**32 - 5, 40, self.mode)
        yield "search", batch(rng.bytes(HEADER), 7, 1000, "search", limit=2**30)
        for rounds in (1, 5, 15, 16, 17, EARLY, ROUNDS):
            yield f"state after {rounds}", batch(rng.bytes(HEADER), 0, 50, "state", rounds)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return reference(inputs)

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [task(inputs, self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["out"]

    def work(self, inputs: Arrays) -> Work:
        """37 operations of 32 bits a round (13 of them extend the message), counted in the kernel; midstate shared."""
        _, _, mode, rounds = map(int, inputs["facts"])
        second = {"hash": ROUNDS, "search": EARLY, "state": rounds}[_MODES[mode]]
        return Work(37.0 * (ROUNDS + second) * len(inputs["out"]), float(inputs["out"].nbytes))

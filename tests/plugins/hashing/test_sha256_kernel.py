"""Double SHA-256 and ridge readouts: native code against hashlib and numpy, and against blocks that exist."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tradespace.testing import check_kernel
from tradespace_hashing.ridge_kernel import RidgeReadout
from tradespace_hashing.sha256_kernel import EARLY, DoubleSha256, batch, compress, midstate, mine, reference

GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a"
    "51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)


@pytest.mark.parametrize("kernel", [DoubleSha256(), DoubleSha256("search"), DoubleSha256("state"), RidgeReadout()])
def test_conformance(kernel: DoubleSha256 | RidgeReadout) -> None:
    report = check_kernel(kernel)
    assert report.passed, str(report)


def test_the_first_block_of_bitcoin() -> None:
    nonce = int.from_bytes(GENESIS[76:], "little")
    word = mine(batch(GENESIS, nonce, 1))[0].astype(">u4").tobytes()
    assert word[::-1].hex() == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    around = mine(batch(GENESIS, nonce - 500, 1000, "search", limit=0))
    assert np.flatnonzero(around).tolist() == [500]


def test_a_hundred_thousand_hashes_equal_hashlib() -> None:
    header = np.random.default_rng(3).bytes(80)
    inputs = batch(header, 12_345, 100_000)
    assert np.array_equal(mine(inputs), reference(inputs))


def test_the_midstate_is_the_first_block() -> None:
    """FIPS 180-4's "abc": one block from the start value, everything from here."""
    message = b"abc" + b"\x80" + b"\x00" * 52 + (24).to_bytes(8, "big")
    assert midstate(message).astype(">u4").tobytes() == hashlib.sha256(b"abc").digest()


def test_the_state_after_61_rounds_decides_the_search() -> None:
    header = np.random.default_rng(4).bytes(80)
    state = mine(batch(header, 0, 200, "state", EARLY))
    final = mine(batch(header, 0, 200))
    assert np.array_equal(state[:, 4] + np.uint32(0x5BE0CD19), final[:, 7])


def test_no_rounds_change_nothing() -> None:
    state = np.arange(8, dtype=np.uint32)[:, None]
    assert np.array_equal(compress(state, np.zeros((16, 1), np.uint32), 0), state)

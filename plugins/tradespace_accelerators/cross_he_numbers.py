"""Exact arithmetic behind the kernels: primes, roots, and constants as bytes.

Published moduli are in ``cross_he_moduli.txt``; `primes` derives others. Transforms are those of Z_q[X] / (X^N + 1):
A[k] = sum_n a[n] psi^((2k + 1) n) with a primitive 2N-th root psi, in bit-reversed order of k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import InputError

Words = NDArray[np.uint32]
Wide = NDArray[np.uint64]

RADIX = 1 << 32
"""Factor of Montgomery's form."""


@cache
def published() -> Mapping[str, tuple[int, tuple[int, ...]]]:
    """Set -> (degree, moduli) of CROSS's repository."""
    found: dict[str, tuple[int, tuple[int, ...]]] = {}
    name, degree, moduli = "", 0, list[int]()
    for line in (Path(__file__).parent / "cross_he_moduli.txt").read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        if line.startswith(" "):
            moduli += [int(text) for text in line.split()]
        else:
            name, degree, moduli = line.split()[0], int(line.split()[1]), []
        found[name] = (degree, tuple(moduli))
    return found


def is_prime(number: int) -> bool:
    """Miller-Rabin with the bases that decide every number below 3.2e9 (Jaeschke 1993)."""
    if number < 2 or number >= 3_215_031_751:
        raise InputError("primes from 2 to 3.2e9 can be told", value=number)
    for base in (2, 3, 5, 7):
        if number % base == 0:
            return number == base
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        if not any((power := power * power % number) == number - 1 for _ in range(twos - 1)):
            return False
    return True


def primes(degree: int, count: int, below: int = 1 << 28) -> tuple[int, ...]:
    """The largest primes 1 modulo 2N under a limit (ours; the published lists are `published`).

    Raises:
        InputError: there are not that many.
    """
    found, candidate = list[int](), (below - 2) // (2 * degree) * (2 * degree) + 1
    while len(found) < count:
        if candidate <= 1:
            raise InputError(f"{count} primes 1 modulo {2 * degree} lie below {below}", value=len(found))
        if is_prime(candidate):
            found.append(candidate)
        candidate -= 2 * degree
    return tuple(found)


def root(degree: int, q: int) -> int:
    """A primitive 2N-th root modulo q: psi^N = -1. Raises `InputError` for a modulus that has none."""
    if (q - 1) % (2 * degree) or not is_prime(q):
        raise InputError(f"a modulus is a prime 1 modulo {2 * degree}", value=q)
    for base in range(2, q):
        found = pow(base, (q - 1) // (2 * degree), q)
        if pow(found, degree, q) == q - 1:
            return found
    raise AssertionError("every prime field has generators")


def reversed_bits(size: int) -> NDArray[np.int64]:
    """(size,) indices with their bits in reverse."""
    out = np.zeros(size, np.int64)
    bits = size.bit_length() - 1
    for bit in range(bits):
        out |= (np.arange(size) >> bit & 1) << (bits - 1 - bit)
    return out


def powers(base: int, exponents: NDArray[np.int64], order: int, q: int) -> Wide:
    """base^exponents modulo q, of a base whose order divides ``order``."""
    table = np.empty(order, np.uint64)
    table[0] = 1
    filled = 1
    while filled < order:
        step = min(filled, order - filled)
        table[filled : filled + step] = table[:step] * np.uint64(pow(base, filled, q)) % np.uint64(q)
        filled += step
    return table[exponents % order]


def steps(rows: int, cols: int, q: int, *, back: bool = False) -> tuple[Wide, Wide, Wide]:
    """(R, R) left, (R, C) middle, (C, C) right of a transform in three steps, bit reversal folded into them.

    Y = left X; Z = middle * Y; result = Z right, in bit-reversed order. Back: Y = X right; Z = middle * Y; left Z.
    """
    degree = rows * cols
    psi = root(degree, q)
    base = pow(psi, -1, q) if back else psi
    k_row, k_col = 2 * reversed_bits(rows)[:, None] + 1, 2 * reversed_bits(cols)[None, :]
    n_row, n_col = np.arange(rows)[None, :], np.arange(cols)
    left = powers(base, cols * n_row * k_row, 2 * degree, q)
    middle = powers(base, n_col[None, :] * k_row, 2 * degree, q)
    right = powers(base, rows * n_col[:, None] * k_col, 2 * degree, q)
    if not back:
        return left, middle, right
    scale = np.uint64(pow(degree, -1, q))
    return np.ascontiguousarray(left.T), middle * scale % np.uint64(q), np.ascontiguousarray(right.T)


def montgomery(values: Wide, q: int) -> Wide:
    """values 2^32 modulo q."""
    return values * np.uint64(RADIX % q) % np.uint64(q)


def constant_bytes(values: Wide, q: int) -> Words:
    """(..., 4): for each constant w the words whose byte j is byte i of w 2^(8j) modulo q, i = 0..3."""
    out = np.zeros((*values.shape, 4), np.uint32)
    for j in range(4):
        shifted = values * np.uint64((1 << 8 * j) % q) % np.uint64(q)
        for i in range(4):
            out[..., i] |= ((shifted >> np.uint64(8 * i) & np.uint64(255)) << np.uint64(8 * j)).astype(np.uint32)
    return out


def dense_product(constants: Wide, words: Words, q: int) -> Words:
    """Constants (M, K) times words (K, P) modulo q as one product of byte matrices, (4M x 4K) times (4K x P) (BAT)."""
    matrix = constant_bytes(constants % np.uint64(q), q).view(np.uint8).reshape(*constants.shape, 4, 4)
    wide = matrix.transpose(0, 2, 1, 3).reshape(4 * constants.shape[0], 4 * constants.shape[1]).astype(np.int64)
    columns = words.view(np.uint8).reshape(*words.shape, 4).transpose(0, 2, 1).reshape(-1, words.shape[1])
    sums = (wide @ columns.astype(np.int64)).reshape(constants.shape[0], 4, -1).astype(np.uint64)
    total = sum((sums[:, i] << np.uint64(8 * i) for i in range(4)), np.zeros_like(sums[:, 0]))
    return (total % np.uint64(q)).astype(np.uint32)


def transform(x: Words, moduli: Sequence[int], *, back: bool = False) -> Words:
    """(polynomials, N): the N log N transform of each modulo moduli[p % L], in numpy. Exact for moduli below 2^31."""
    out = np.empty_like(x)
    for limb, q in enumerate(moduli):
        a, size, wide = x[limb :: len(moduli)].astype(np.uint64), x.shape[1], np.uint64(q)
        psi = root(size, q)
        table = powers(pow(psi, -1, q) if back else psi, reversed_bits(size), 2 * size, q)
        blocks = size // 2 if back else 1
        while 1 <= blocks < size:
            view = a.reshape(len(a), blocks, 2, -1)
            low, high, turn = view[:, :, 0].copy(), view[:, :, 1].copy(), table[blocks : 2 * blocks][None, :, None]
            if back:
                view[:, :, 0], view[:, :, 1] = (low + high) % wide, (low + wide - high) * turn % wide
            else:
                high = high * turn % wide
                view[:, :, 0], view[:, :, 1] = (low + high) % wide, (low + wide - high) % wide
            blocks = blocks // 2 if back else blocks * 2
        out[limb :: len(moduli)] = a * np.uint64(pow(size, -1, q)) % wide if back else a
    return out

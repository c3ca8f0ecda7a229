"""Compiled random streams and digests of flat codes, for the loops of optimizers.

A stream is one uint64 (splitmix64: Steele, Lea, Flood 2014), opened by a seed and a row number, so that a row of a
batch does not depend on threads or neighbours. The file stands in this folder because the cache of compiled loops is
named after what is here: numba does not notice that a function of another file was edited.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit_plain


@njit_plain
def mixed(z):  # type: ignore[no-untyped-def]
    """splitmix64's finaliser, as in `tradespace.designs`."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit_plain
def open_stream(state, seed, row):  # type: ignore[no-untyped-def]
    state[0] = mixed(np.uint64(seed) + np.uint64(row + 1) * np.uint64(0xD1342543DE82EF95))


@njit_plain
def word(state):  # type: ignore[no-untyped-def]
    """The next 64 bits of a stream; ``state`` (1,) uint64 moves on."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    return mixed(state[0])


@njit_plain
def uniform(state):  # type: ignore[no-untyped-def]
    """The next number in [0, 1)."""
    return np.float64(word(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit_plain
def below(state, k):  # type: ignore[no-untyped-def]
    """A whole number in [0, k)."""
    return min(np.int64(uniform(state) * k), k - 1)


@njit_plain
def high_part(bits, k):  # type: ignore[no-untyped-def]
    """A whole number in [0, k) from the upper half of 64 bits; k below 2^32."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(k)) >> np.uint64(32))


@njit_plain
def low_part(bits, k):  # type: ignore[no-untyped-def]
    """The same from the lower half."""
    return np.int64(((bits & np.uint64(0xFFFFFFFF)) * np.uint64(k)) >> np.uint64(32))


@njit_plain
def digest_of(row, keys, real):  # type: ignore[no-untyped-def]
    """As `Designs.digest`, from flat codes; ``real`` (width,): columns whose bits count."""
    total = np.uint64(0x9E3779B97F4A7C15)
    for j in range(row.shape[0]):
        code = np.uint64(np.int64(row[j]))
        if real[j]:
            code = mixed(np.float64(row[j] + 0.0).view(np.uint64))
        total += code * keys[j]
    return mixed(total)

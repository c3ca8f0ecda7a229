"""What the inner state of a hash tells of its result: states after k rounds, a learner, and its operating curve.

The states are real: double SHA-256 of consecutive nonces of one random header, by the native kernel.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.quality import Estimate, auc, information
from tradespace.costs.readouts import Perceptron, logistic
from tradespace.workloads.classifiers import Curve, empirical, share
from tradespace.workloads.options import check_keys, integer, word
from tradespace_hashing.sha256_kernel import HEADER, ROUNDS, batch, mine

Floats = NDArray[np.float64]

MAX_NONCES = 4_000_000
LEARNERS = ("logistic", "mlp")


@dataclass(frozen=True)
class HashState:
    """A classifier of trials trained on states of the second hash after ``rounds`` rounds.

    Args:
        winners: share of the hashes that count as hits when it learns: 0.5 is below the median, 0.01 the top per cent.
        nonces: of which one half is learned and the other judged.
    """

    rounds: int
    nonces: int
    winners: float
    learner: str
    seed: int

    def operating(self) -> Curve:
        return _trained(self)[0]

    def quality(self) -> Estimate:
        return _trained(self)[1]

    def information(self) -> Estimate:
        """bit a trial, of the other half."""
        return _trained(self)[2]


@functools.lru_cache(maxsize=16)
def _trained(spec: HashState) -> tuple[Curve, Estimate, Estimate]:
    bits, labels = states(spec)
    half = len(labels) // 2
    if spec.learner == "logistic":
        score = logistic(bits[:half], labels[:half])
    else:
        rng = np.random.Generator(np.random.Philox(spec.seed))
        score = Perceptron(epochs=max(2, 400_000 // half)).fit(bits[:half], labels[:half], rng)
    found, truth = score(bits[half:]), labels[half:]
    curve = empirical(np.sort(found[~truth]), np.sort(found[truth]))
    return curve, auc(found, truth), information(found, truth)


def states(spec: HashState) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """((n, 256) bits of the working variables, (n,) whether the hash is among the ``winners``)."""
    header = b"".join(hashlib.sha256(bytes([spec.seed % 256, i])).digest() for i in range(3))[:HEADER]
    first = (spec.seed * MAX_NONCES) % 2**32
    inner = mine(batch(header, first, spec.nonces, "state", spec.rounds))
    final = mine(batch(header, first, spec.nonces))
    top = final[:, 7].byteswap()  # the word that a target reads first
    labels = top < np.uint32(min(spec.winners * 2.0**32, 2.0**32 - 1))
    return np.unpackbits(inner.astype(">u4").view(np.uint8), axis=1), labels


def build_hash_state(options: Mapping[str, Any], where: str) -> HashState:
    """``rounds`` k, ``nonces``, ``winners``, ``learner`` (logistic, mlp), ``seed``.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit.
    """
    check_keys(options, ("rounds", "nonces", "winners", "learner", "seed"), where)
    return HashState(
        integer(options, "rounds", where, low=1, high=ROUNDS, default=5),
        integer(options, "nonces", where, low=1000, high=MAX_NONCES, default=100_000),
        share(options, "winners", where, low=1e-3, high=0.999, default=0.5),
        word(options, "learner", where, known=LEARNERS, default=LEARNERS[0]),
        integer(options, "seed", where, low=0, high=2**31, default=0),
    )

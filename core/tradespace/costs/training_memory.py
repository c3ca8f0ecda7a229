"""What a rank of a training job holds: weights, gradients, optimizer state and activations, in bytes.

Rajbhandari et al., "ZeRO", SC 2020, section 3 (mixed precision with Adam: 12 B a parameter of optimizer state);
Korthikanti et al., "Reducing activation recomputation in large transformer models", arXiv 2205.05198, section 4 (what
backward reads, tensor and sequence parallelism, selective and full recomputation, micro-batches in flight). Dropout
masks are not counted: large models train without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ADAM = 12.0
"""B a parameter: master weight and two moments in fp32."""
RECOMPUTE = ("selective", "none", "full")
"""Words of the decision; selective recomputes the core of attention."""
SELECTIVE, NONE, FULL = range(3)


def states(parameters: Any, weight_bytes: Any, gradient_bytes: Any, shards: Any) -> Floats:
    """B of weights, gradients and optimizer state on a rank with ``parameters``; the last is divided by ``shards``."""
    each = np.asarray(weight_bytes + gradient_bytes + ADAM / np.asarray(shards, np.float64), np.float64)
    return np.asarray(np.asarray(parameters, np.float64) * each)


def in_flight(stages: Any, stage: Any, micro: Any, chunks: Any) -> Floats:
    """Micro-batches whose activations a stage holds at most, in units of all its layers: its warm-up and one more."""
    p, s, v = (np.asarray(x, np.float64) for x in (stages, stage, chunks))
    warm = np.where(v > 1, (p - s - 1.0) * 2.0 + (v - 1.0) * p + 1.0, p - s)
    return np.asarray(np.minimum(warm, np.asarray(micro, np.float64) * v) / v)


def activations(
    residual: Any, inner: Any, entering: Any, largest: Any, micro: Any, tensor: Any, sequence_parallel: bool
) -> Floats:
    """Elements a rank keeps of one pass of ``micro`` sequences through its layers.

    ``residual`` and ``inner`` are elements a sequence, split over the ``tensor`` group with sequence parallelism, or
    only the inner ones without. ``entering`` > 0: full recomputation keeps that (the inputs of layers) instead, and the
    ``largest`` layer while it is computed again.
    """
    split = np.asarray(tensor, np.float64)
    whole = split if sequence_parallel else np.ones_like(split)
    kept = np.asarray(residual) / whole + np.asarray(inner) / split
    again = np.asarray(entering) / whole + np.asarray(largest) / split
    return np.asarray(np.where(np.asarray(entering) > 0, again, kept) * np.asarray(micro, np.float64))

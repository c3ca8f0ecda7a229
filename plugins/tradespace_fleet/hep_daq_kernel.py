"""Scores of simulated trigger events: the native kernel, its numpy reference, and the tables both read."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.contract import Arrays, Work
from tradespace.kernels.memory import aligned, zeros
from tradespace.kernels.running import Task, run_tasks, task_function

Floats = NDArray[np.float64]
POINTER, INT = ctypes.c_void_p, ctypes.c_int64
KNOTS = 64
"""Most points of an efficiency curve."""
_LANES = 128
_MIX_BLOCK = 0xFFFFFFFF


class _Trigger(ctypes.Structure):
    _fields_ = (
        ("scale", POINTER), ("below", POINTER), ("knots", POINTER), ("cubic", POINTER), ("mix", POINTER),
        ("above", POINTER), ("scores", POINTER), ("last", POINTER), ("objects", INT), ("rows", INT), ("events", INT),
        ("seed", ctypes.c_uint64),
    )  # fmt: skip


def pchip(x: Floats, y: Floats) -> Floats:
    """(4, n - 1) coefficients of the monotone piecewise cubic through (x, y): Fritsch and Butland, SIAM J. Sci. Stat.
    Comput. 5(2), 1984; one-sided three-point slopes at the ends, limited to keep the shape."""
    step, rise = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:  # a straight line
        return np.stack([y[:1], rise, np.zeros(1), np.zeros(1)])
    slope = np.zeros(len(x))
    same = rise[:-1] * rise[1:] > 0
    w1, w2 = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    left, right = np.where(same, rise[:-1], 1.0), np.where(same, rise[1:], 1.0)
    slope[1:-1] = np.where(same, (w1 + w2) / (w1 / left + w2 / right), 0.0)
    slope[0], slope[-1] = (_end(step[k], step[m], rise[k], rise[m]) for k, m in ((0, 1), (-1, -2)))
    c2 = (3 * rise - 2 * slope[:-1] - slope[1:]) / step
    c3 = (slope[:-1] + slope[1:] - 2 * rise) / step**2
    return np.stack([y[:-1], slope[:-1], c2, c3])


def _end(h0: float, h1: float, d0: float, d1: float) -> float:
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    return 3 * d0 if d0 * d1 < 0 and abs(slope) > 3 * abs(d0) else slope


def tables(
    curves: Sequence[tuple[Floats, Floats]],
    mean: Sequence[float] | Floats,
    thresholds: Sequence[float] | Floats,
    mix: Sequence[float] | Floats,
    above: Any,
    events: int,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """What kernel and reference read.

    Args:
        curves: of each object, energies (rising, at most 64) and efficiencies.
        mean: of each object's exponential energies.
        mix: shares of the kinds of positive events, adding up to 1; above: (rows, objects) bool.
    """
    n = len(curves)
    knots, cubic = np.full((n, KNOTS), np.inf), np.zeros((4, n, KNOTS))
    for o, (x, y) in enumerate(curves):
        knots[o, : len(x)] = x
        cubic[:, o, : len(x) - 1] = pchip(x, y)
    return {
        "scale": np.array(mean, np.float64),
        "below": -np.expm1(-np.array(thresholds, np.float64) / np.array(mean, np.float64)),
        "knots": knots,
        "cubic": cubic,
        "last": np.array([len(x) - 2 for x, _ in curves], np.int64),
        "mix": np.cumsum(np.array(mix, np.float64)),
        "above": np.ascontiguousarray(above, np.uint8),
        "seed": np.array([seed], np.uint64),
        "scores": zeros((2, events), np.float64),
    }


def philox(seed: int, event: NDArray[np.uint64], block: int, kind: int) -> NDArray[np.uint64]:
    """(4, n) random words of 32 bit: Philox4x32-10 (Salmon et al., SC 2011), counter (event, block, kind)."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    a, b = event & low, event >> half
    c, d = np.full_like(event, block), np.full_like(event, kind)
    k, m = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = (q >> half) ^ b ^ np.uint64(k), q & low, (p >> half) ^ d ^ np.uint64(m), p & low
        k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d])


def logarithm(v: Floats) -> Floats:
    """ln v as the kernel computes it, basic operations only, so that both have the same bits."""
    bits = v.view(np.uint64)
    e = (bits >> np.uint64(52)).astype(np.int64).astype(np.float64) - 1022.0
    m = ((bits & np.uint64(0xFFFFFFFFFFFFF)) | np.uint64(0x3FE0000000000000)).view(np.float64)
    small = m < 0.70710678118654752
    m, e = np.where(small, m + m, m), np.where(small, e - 1.0, e)
    s = (m - 1.0) / (m + 1.0)
    z, p = s * s, np.full(v.shape, 2.0 / 23)
    for odd in range(21, 1, -2):
        p = p * z + 2.0 / odd
    return np.asarray(e * 0.69314718055994531 + s * (2.0 + z * p))


def reference_scores(inputs: Arrays) -> Floats:
    """(2, events) scores of null and of positive events."""
    events, objects = inputs["scores"].shape[1], len(inputs["scale"])
    seed, event = int(inputs["seed"][0]), np.arange(events, dtype=np.uint64)
    scores = np.zeros((2, events))
    for kind in (0, 1):
        draw = _uniform(philox(seed, event, _MIX_BLOCK, kind)[0])
        row = np.searchsorted(inputs["mix"][:-1], draw, side="right")
        for o in range(objects):
            u = _uniform(philox(seed, event, o // 4, kind)[o % 4])
            below = inputs["below"][o]
            above = inputs["above"][row, o].astype(bool) & bool(kind)
            energy = -logarithm(1.0 - np.where(above, u * (1.0 - below) + below, u * below)) * inputs["scale"][o]
            at = np.searchsorted(inputs["knots"][o], energy, side="right") - 1
            at = at.clip(0, inputs["last"][o])
            c0, c1, c2, c3 = inputs["cubic"][:, o, at]
            x = energy - inputs["knots"][o, at]
            y = ((c3 * x + c2) * x + c1) * x + c0
            scores[kind] += np.minimum(np.maximum(y, 0.0), 1.0)
    return scores


def _uniform(words: NDArray[np.uint64]) -> Floats:
    return np.asarray((words.astype(np.float64) + 0.5) * 2.0**-32)


def score_task(inputs: Arrays, isa: str = "native") -> Task:
    """Writes ``inputs["scores"]``. Events are dealt in blocks, so it splits over threads."""
    keys = ("scale", "below", "knots", "cubic", "mix", "above", "scores", "last")
    arrays = tuple(inputs[key] for key in keys)
    rows, objects = inputs["above"].shape
    events = inputs["scores"].shape[1]
    args = _Trigger(*(a.ctypes.data for a in arrays), objects, rows, events, int(inputs["seed"][0]))
    function = task_function(load_shipped("trigger", isa), "score_events")
    return Task(function, args, -(-events // _LANES), 1, arrays, "score events")


def scores(inputs: Arrays) -> Floats:
    """`reference_scores`, by the native kernel where a compiler is at hand (equal bits)."""
    try:
        run_tasks([score_task(inputs)])
    except KernelError:
        return reference_scores(inputs)
    return np.asarray(inputs["scores"])


@dataclass(frozen=True)
class TriggerScores:
    """Monte-Carlo scores of a Level-1 trigger: exponential energies, piecewise-cubic efficiencies, coincidences."""

    name: ClassVar[str] = "trigger-scores"
    tolerance: ClassVar[float] = 1e-300  # equal bits
    isa: str = "native"

    def inputs(self, size: int, rng: np.random.Generator) -> Arrays:
        return self.shaped(max(1, size // 4), 4, 24, 12, rng)

    def shaped(self, events: int, objects: int, points: int, rows: int, rng: np.random.Generator) -> Arrays:
        """Random curves of ``points`` points, and a random mix of ``rows`` kinds of positive events."""
        curves = [
            (np.cumsum(rng.uniform(0.5, 4.0, points)), np.sort(rng.random(points)).clip(0.02, 0.98))
            for _ in range(objects)
        ]
        mix = rng.dirichlet(np.ones(rows))
        found = tables(
            curves, rng.uniform(10, 60, objects), rng.uniform(5, 40, objects), mix, rng.random((rows, objects)) < 0.4,
            events, int(rng.integers(2**63)),
        )  # fmt: skip
        return {key: aligned(array) for key, array in found.items()}

    def awkward(self, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
        """Block edges, one and eight objects, curves of two and of 64 points, one kind of event."""
        for events in (1, 127, 128, 129, 1000):
            yield f"{events} events", self.shaped(events, 4, 24, 12, rng)
        yield "one object, one kind", self.shaped(500, 1, 2, 1, rng)
        yield "eight objects, 64 points", self.shaped(500, 8, KNOTS, 40, rng)

    def reference(self, inputs: Arrays) -> NDArray[Any]:
        return reference_scores(inputs)

    def tasks(self, inputs: Arrays) -> list[Task]:
        return [score_task(inputs, self.isa)]

    def run(self, inputs: Arrays) -> NDArray[Any]:
        run_tasks(self.tasks(inputs))
        return inputs["scores"]

    def work(self, inputs: Arrays) -> Work:
        """About 50 operations of doubles an object (logarithm 34, draw 5, cubic 9); scores are written once."""
        return Work(50.0 * inputs["scores"].size * len(inputs["scale"]), float(inputs["scores"].nbytes))

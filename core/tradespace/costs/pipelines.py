"""Pipeline-parallel training steps on `timeline.ordered`: 1F1B and interleaved schedules, transfers, optimizer.

The order of work on every stage is known, so a step is a longest path: forward and backward of each micro-batch and
model chunk, transfers as pure delays (those of one boundary and direction follow each other), and at both ends of the
step the traffic of the data-parallel group. Schedules: Narayanan et al., "Efficient large-scale language model training
on GPU clusters using Megatron-LM", arXiv 2104.04473, section 2.2 (PipeDream-Flush and interleaved).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.timeline import TaskTable, ordered
from tradespace.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_CELLS = 1024
"""Stages x chunks x micro-batches that are simulated; longer steps go on at the pace of their middle."""
MAX_NUMBERS = 4_000_000
"""Tasks x designs of one call."""


@dataclass(frozen=True)
class Step:
    """Times of N designs of one shape, s.

    Args:
        forward, backward: (N, p, v) one micro-batch through one chunk of one stage.
        send: (N, p) its activations from a stage to the next (the last one: to the first, for its next chunk).
            Gradients take as long on the way back.
        gather: (N, p) all-gather of parameters before the first forward; reduce: (N, p) reduce-scatter of gradients
            after the last backward.
        update: (N, p) optimizer.
        overlap: (N,) gather hides behind the first forward, reduce behind the last backward.
    """

    forward: Floats
    backward: Floats
    send: Floats
    gather: Floats
    reduce: Floats
    update: Floats
    overlap: NDArray[np.bool_]


def step_time(step: Step, micro: int) -> Floats:
    """(N,) s of one step of ``micro`` micro-batches.

    Beyond `MAX_CELLS` a prefix is simulated and its middle's pace kept up: exact once the schedule is periodic.

    Raises:
        InputError: an interleaved schedule whose micro-batches are no multiple of the stages.
    """
    stages, chunks = step.forward.shape[1:]
    longest = max(4 * stages, MAX_CELLS // (stages * chunks) // stages * stages)
    if micro <= longest:
        return _simulate(step, micro)
    window = max(stages, longest // 2 // stages * stages)
    small = longest - window + (micro - longest) % stages
    near, far = _simulate(step, small), _simulate(step, small + window)
    return np.asarray(far + (far - near) * ((micro - small - window) / window))


def _simulate(step: Step, micro: int) -> Floats:
    n, stages, chunks = step.forward.shape
    shape = schedule(stages, micro, chunks)
    out = np.empty(n)
    width = max(1, MAX_NUMBERS // shape.tasks)
    for first in range(0, n, width):
        rows = slice(first, min(n, first + width))
        out[rows] = ordered(shape, _durations(step, micro, rows))[-stages:].max(axis=0)
    return out


def _durations(step: Step, micro: int, rows: slice) -> Floats:
    """(T, n) in the numbering of `schedule`."""
    overlap = step.overlap[rows, None]

    def cells(block: Floats) -> Floats:  # (n, p, v) -> (p v m, n)
        return np.repeat(block[rows].transpose(1, 2, 0).reshape(-1, block[rows].shape[0]), micro, axis=0)

    send = np.broadcast_to(step.send[:, :, None], step.forward.shape).copy()
    back = np.roll(send, 1, axis=1)  # gradients of stage s go to stage s - 1
    send[:, -1, -1] = back[:, 0, 0] = 0.0
    ends = (
        np.where(overlap, 0.0, step.gather[rows]),
        np.where(overlap, step.gather[rows], 0.0),
        np.where(overlap, step.reduce[rows], 0.0),
        np.where(overlap, 0.0, step.reduce[rows]),
        step.update[rows],
    )
    return np.concatenate([*map(cells, (step.forward, step.backward, send, back)), *(e.T for e in ends)])


@functools.lru_cache(maxsize=256)
def schedule(stages: int, micro: int, chunks: int = 1) -> TaskTable:
    """The task table of one step. Tasks in blocks of stages x chunks x micro: forward, backward, activations sent,
    gradients sent; then one a stage each: gather (exposed), gather (hidden), reduce (hidden), reduce (exposed), update.
    """
    cells = stages * chunks * micro
    at = np.arange(cells).reshape(stages, chunks, micro)
    f, b, sf, sb = at, at + cells, at + 2 * cells, at + 3 * cells
    gather, behind, hidden, reduce, update = (4 * cells + k * stages + np.arange(stages) for k in range(5))
    edges = [_pairs(f, sf), _pairs(b, sb), _pairs(f[-1, -1], b[-1, -1])]
    if stages > 1:
        edges += [_pairs(sf[:-1], f[1:]), _pairs(sb[1:], b[:-1])]
    if chunks > 1:
        edges += [_pairs(sf[-1, :-1], f[0, 1:]), _pairs(sb[0, 1:], b[-1, :-1])]
    queues = []
    for s in range(stages):
        order = stage_order(stages, micro, chunks, s)
        line = [int((b if back else f)[s, c, i]) for back, c, i in order]
        last = line[-1]
        fed = sb[s + 1, 0, -1] if s + 1 < stages else (f[s, 0, -1] if chunks == 1 else sb[0, 1, -1])
        edges += [
            np.array([[gather[s], line[0]], [behind[s], line[1]], [behind[s], sf[s, 0, 0]], [last, reduce[s]],
                      [line[-2], hidden[s]], [fed, hidden[s]], [reduce[s], update[s]], [hidden[s], update[s]]])
        ]  # fmt: skip
        queues += [line, [x + 2 * cells for x in line if x < cells], [x + 2 * cells for x in line if x >= cells]]
    return TaskTable(4 * cells + 5 * stages, np.concatenate(edges)).chained(queues)


def stage_order(stages: int, micro: int, chunks: int, stage: int) -> list[tuple[bool, int, int]]:
    """What a stage does: (backward?, chunk, micro-batch), in order.

    Raises:
        InputError: an interleaved schedule whose micro-batches are no multiple of the stages.
    """
    if chunks > 1 and micro % stages:
        raise InputError("interleaved pipelines run multiples of their stages", value=(micro, stages))
    total = micro * chunks
    warm = stages - stage - 1 if chunks == 1 else (stages - stage - 1) * 2 + (chunks - 1) * stages
    warm = min(warm, total)
    runs = [_unit(k, stages, chunks) for k in range(total)] if chunks > 1 else [(0, k) for k in range(total)]
    forward = [(False, c, i) for c, i in runs]
    backward = [(True, chunks - 1 - c, i) for c, i in runs]
    steady = [x for pair in zip(forward[warm:], backward[: total - warm], strict=True) for x in pair]
    return [*forward[:warm], *steady, *backward[total - warm :]]


def _unit(k: int, stages: int, chunks: int) -> tuple[int, int]:
    """(chunk, micro-batch) of the k-th forward of an interleaved stage: groups of ``stages`` micro-batches in turn."""
    group, inside = divmod(k, stages * chunks)
    return inside // stages, group * stages + inside % stages


def _pairs(source: Ints, dest: Ints) -> Ints:
    return np.column_stack([source.ravel(), dest.ravel()])

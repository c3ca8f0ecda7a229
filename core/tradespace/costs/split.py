"""A device made of two: both compute a part of one product, or one of them computes all of it, whichever is fastest.

Per operator (the objective of HeteroInfer, arXiv 2501.14794, section 4.4; the rest of this page is ours):

    T = min( together(T_1(part), T_2(rest)) + sync,  T_1(all),  T_2(all) + sync )

- by rows: the first device computes a share of the weight rows, in steps of 1 / `steps`, the second the others.
- by sequence: the second takes as many tokens as fill standard lengths (`chunk` times a power of two), the first the
  rest.
- hybrid: by rows at a number of tokens that is no standard length, so that a device with fixed graphs pads it.

`together` lets both share the composite device's bandwidth (`two_flows`). `sync` is the memory's handoff: the results
are waited for. A split is taken only if it saves `gain` of the faster device's time. Energy is what both spend.

Columns: `only_<part>`, `split_rows`, `split_sequence`, `split_hybrid` (products run so), `share_<first>` (sum of the
first device's shares of multiply-adds) and `inside.<part>` (s that a part works inside).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.contract import CostTable, Part, Run
from tradespace.costs.roofline import PRODUCTS, Roofline
from tradespace.costs.two_flows import together
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.precisions import Precision
    from tradespace.targets.model import Device
    from tradespace.workloads.operators import Operators

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_STEPS = 256
FIRST, SECOND, ROWS, SEQUENCE, HYBRID = range(5)
BY_ROWS = ("n", "flop", "weights", "act_out", "kv_write", "weights_resident")
BY_TOKENS = ("m", "flop", "act_in", "act_out", "kv_write")
"""Columns of a product that a cut divides; the others are needed in full on both sides."""


@dataclass(frozen=True)
class _Way:
    """One way to run every operator: (n, P) s, J and which operators it is open to, (n,) share of the first device."""

    kind: int
    time: Floats
    energy: Floats
    possible: Bools
    share: Floats
    busy: tuple[Floats, Floats]


class Split:
    """Constants:
    share: of the first device in a split by rows; 0: the best of the steps.
    steps: parts into which rows may be cut.
    chunk: shortest standard length of the second device.
    gain: share of the faster device's time that a split must save.
    rows, sequence, hybrid, alone: 0 switches that way to run a product off.
    """

    constants: ClassVar[Mapping[str, str]] = {
        "share": "1 or zero",
        "steps": "1",
        "chunk": "1",
        "gain": "1 or zero",
        "rows": "1 or zero",
        "sequence": "1 or zero",
        "hybrid": "1 or zero",
        "alone": "1 or zero",
    }
    defaults: ClassVar[Mapping[str, float]] = {
        "share": 0.0,
        "steps": 20.0,
        "chunk": 64.0,
        "gain": 0.0,
        "rows": 1.0,
        "sequence": 1.0,
        "hybrid": 1.0,
        "alone": 1.0,
    }
    runs: ClassVar[tuple[str, ...]] = Roofline.runs
    parts: ClassVar[int] = 2

    @staticmethod
    def check(device: Device) -> None:
        """Raises `InputError` for numbers that make no split."""
        if not (0.0 <= device.share < 1.0 and 0.0 <= device.gain < 1.0):
            raise InputError("'share' and 'gain' are below 1", value=(device.share, device.gain))
        if not (2 <= device.steps <= MAX_STEPS and device.chunk >= 1):
            raise InputError(f"'steps' is 2 to {MAX_STEPS} and 'chunk' 1 or more", value=(device.steps, device.chunk))
        if not any((device.rows, device.sequence, device.hybrid, device.alone)):
            raise InputError("one of 'rows', 'sequence', 'hybrid' and 'alone' is 1", value="all are 0")

    def table(
        self, operators: Operators, device: Device, precisions: Sequence[Precision], parts: tuple[Part, ...]
    ) -> CostTable:
        whole = list(_alone(operators, device, parts))
        cuts = [*_by_rows(operators, device, parts), *_by_sequence(operators, device, parts)]
        ways = whole + cuts
        times = np.stack([np.where(way.possible, way.time, np.inf) for way in ways])
        usable = np.asarray(np.stack([way.possible for way in ways]).any(axis=0))
        if device.gain > 0 and device.alone:
            fastest = times[: len(whole)].min(axis=0)
            times[len(whole) :][times[len(whole) :] > (1.0 - device.gain) * fastest] = np.inf
        chosen = times.argmin(axis=0)
        return _table(operators, ways, chosen, ~usable, parts)


def _alone(ops: Operators, device: Device, parts: tuple[Part, ...]) -> Iterator[_Way]:
    """One device computes everything. The second one's result has to be waited for."""
    for kind, part in enumerate(parts):
        run = part.run(ops)
        able = ~run.unsupported & bool(device.alone)
        share = np.full(len(ops), 1.0 if kind == FIRST else 0.0)
        none = np.zeros_like(run.time)
        busy = (run.time, none) if kind == FIRST else (none, run.time)
        yield _Way(kind, run.time + (part.handoff if kind == SECOND else 0.0), run.energy, able, share, busy)


def _by_rows(ops: Operators, device: Device, parts: tuple[Part, ...]) -> Iterator[_Way]:
    standard = np.array([_standard(m, device.chunk) for m in ops.m])
    product = np.isin(np.array(ops.kind), PRODUCTS) & (ops.n >= 2)
    steps = int(device.steps)
    shares = [device.share] if device.share > 0 else [step / steps for step in range(1, steps)]
    for kind, rows in ((ROWS, product & standard), (HYBRID, product & ~standard)):
        if not (device.rows, device.hybrid)[kind == HYBRID] or not rows.any():
            continue
        for share in shares:
            first = np.clip(np.rint(share * ops.n), 1.0, np.maximum(ops.n - 1.0, 1.0))
            yield _cut(kind, ops, first / np.maximum(ops.n, 1.0), BY_ROWS, rows, device, parts)


def _by_sequence(ops: Operators, device: Device, parts: tuple[Part, ...]) -> Iterator[_Way]:
    """The second device takes whole multiples of one standard length, for each of them."""
    if not device.sequence:
        return
    product = np.array(ops.kind) == "matmul"
    longest = float(ops.m.max(initial=0.0))
    length = device.chunk
    while length < longest:
        taken = np.floor(ops.m / length) * length
        rows = product & (taken > 0) & (taken < ops.m)
        if rows.any():
            yield _cut(SEQUENCE, ops, 1.0 - taken / np.maximum(ops.m, 1.0), BY_TOKENS, rows, device, parts)
        length *= 2.0


def _cut(
    kind: int,
    ops: Operators,
    share: Floats,
    columns: Sequence[str],
    rows: Bools,
    device: Device,
    parts: tuple[Part, ...],
) -> _Way:
    """The first device computes ``share`` (n,) of the cut columns."""
    a, b = (part.run(_scaled(ops, columns, x)) for part, x in zip(parts, (share, 1.0 - share), strict=True))
    both = _together(a, b, device.bandwidth) + max(part.handoff for part in parts)
    able = rows[:, None] & ~a.unsupported & ~b.unsupported
    return _Way(kind, both, a.energy + b.energy, able, share, (a.time, b.time))


def _together(a: Run, b: Run, channel: float) -> Floats:
    return together(a.time, b.time, a.moved, b.moved, channel)


def _scaled(ops: Operators, columns: Sequence[str], share: Floats) -> Operators:
    return replace(ops, **{name: getattr(ops, name) * share for name in columns})


def _standard(tokens: float, chunk: float) -> bool:
    """Whether a number of tokens is one, or a standard length."""
    if tokens <= 1.0:
        return True
    power = math.log2(tokens / chunk)
    return power >= 0 and power == math.floor(power)


def _table(
    ops: Operators, ways: Sequence[_Way], chosen: NDArray[np.int64], unsupported: Bools, parts: tuple[Part, ...]
) -> CostTable:
    def pick(columns: Sequence[Floats]) -> Floats:
        return np.asarray(np.take_along_axis(np.stack(columns), chosen[None], axis=0)[0])

    shape = chosen.shape
    kinds = np.array([way.kind for way in ways])[chosen]
    product = np.isin(np.array(ops.kind), PRODUCTS)[:, None]
    names = (*(f"only_{part.device.name}" for part in parts), "split_rows", "split_sequence", "split_hybrid")
    columns = {name: ((kinds == kind) & product).astype(np.float64) for kind, name in enumerate(names)}
    share = pick([np.broadcast_to(way.share[:, None], shape) for way in ways])
    columns[f"share_{parts[0].device.name}"] = share * product
    for index, part in enumerate(parts):
        columns[f"inside.{part.device.name}"] = pick([way.busy[index] for way in ways])
    return CostTable(
        time=pick([way.time for way in ways]),
        energy=pick([way.energy for way in ways]),
        unsupported=unsupported,
        **columns,
    )

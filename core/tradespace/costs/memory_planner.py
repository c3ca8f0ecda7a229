"""Where tensors live: buffers with lifetimes, placed by first fit, so that a network's peak memory is known exactly.

A buffer is a rectangle: it exists from step `start` to step `end` (inclusive) and takes `size` bytes at one address. It
may shrink in place: after step `cut` only its first `rest` bytes are still needed (a strided depthwise convolution that
overwrites its own input). Buffers are placed one after another, large ones first, each at the lowest address that is
free over its whole life.

Source: MCUNet (arXiv 2007.10319) section 3.2 and the allocator of the TinyEngine repository (MIT), which sorts by size
or by lifetime and lets a stride-2 in-place buffer shrink. Brute force on small cases shows how far first fit is from
the optimum; `live_bytes` is a lower bound always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tradespace.errors import InputError

Order = Literal["size", "lifetime"]
ORDERS: tuple[Order, ...] = ("size", "lifetime")


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that exist over a range of steps.

    Args:
        start, end: first and last step, both inclusive.
        size: bytes.
        cut: last step at which all `size` bytes are needed; None: `end`.
        rest: bytes needed after `cut`, at the same address; at most `size`.
    """

    start: int
    end: int
    size: int
    cut: int | None = None
    rest: int | None = None

    def __post_init__(self) -> None:
        whole = self.end if self.cut is None else self.cut
        if not (0 <= self.start <= whole <= self.end and 0 <= self.tail <= self.size):
            raise InputError("a buffer needs 0 <= start <= cut <= end and 0 <= rest <= size", value=self)

    @property
    def tail(self) -> int:
        return self.size if self.rest is None else self.rest

    @property
    def phases(self) -> tuple[tuple[int, int, int], ...]:
        """(first step, last step, bytes) of its rectangles."""
        if self.cut is None or self.cut == self.end:
            return ((self.start, self.end, self.size),)
        return ((self.start, self.cut, self.size), (self.cut + 1, self.end, self.tail))


@dataclass(frozen=True, slots=True)
class Placement:
    """Addresses in the order of the buffers, and the bytes of the arena that holds them all."""

    addresses: tuple[int, ...]
    peak: int


def plan(buffers: Sequence[Buffer], order: Order | Sequence[int] = "size") -> Placement:
    """Place buffers by first fit. Ties of size fall to the longer life (and the other way round), then to the
    earlier start, then to the index; or in the order of the indices given.

    The readable twin of `tradespace.costs.memory_planner_batch.peaks`: it collects what is forbidden and sweeps.
    """
    addresses = [0] * len(buffers)
    placed: list[int] = []
    ranked = sorted(range(len(buffers)), key=lambda i: _rank(buffers[i], order)) if isinstance(order, str) else order
    for index in ranked:
        if buffers[index].size:
            addresses[index] = _lowest(buffers[index], [(buffers[j], addresses[j]) for j in placed])
            placed.append(index)
    peak = max((addresses[i] + buffers[i].size for i in placed), default=0)
    return Placement(tuple(addresses), peak)


def live_bytes(buffers: Sequence[Buffer]) -> int:
    """The largest sum of bytes that exist at one step: no placement needs less."""
    total: dict[int, int] = {}
    for buffer in buffers:
        for first, last, size in buffer.phases:
            for step in range(first, last + 1):
                total[step] = total.get(step, 0) + size
    return max(total.values(), default=0)


def _rank(buffer: Buffer, order: Order) -> tuple[int, int, int]:
    life = buffer.end - buffer.start
    first, second = (buffer.size, life) if order == "size" else (life, buffer.size)
    return (-first, -second, buffer.start)


def _lowest(buffer: Buffer, placed: Sequence[tuple[Buffer, int]]) -> int:
    """The lowest address at which no phase of `buffer` meets a phase of a placed one."""
    forbidden = []  # open intervals of addresses
    for other, address in placed:
        for first, last, size in buffer.phases:
            for begin, until, taken in other.phases:
                if first <= until and begin <= last and size and taken:
                    forbidden.append((address - size, address + taken))
    free = 0
    for low, high in sorted(forbidden):
        if low < free < high:
            free = high
    return free


# -- from operators to buffers ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TensorOp:
    """One step of a network.

    Args:
        reads: tensors it reads.
        writes: the tensor it produces.
        in_place: it may overwrite the first tensor it reads, channel by channel (a depthwise convolution).
        pads: it only copies its input between zeros.
    """

    reads: tuple[int, ...]
    writes: int
    in_place: bool = False
    pads: bool = False


def buffers_of(sizes: Sequence[int], ops: Sequence[TensorOp], *, in_place: bool = True) -> list[Buffer]:
    """Buffers of a network whose op `i` runs at step `i`. `sizes`: bytes per tensor.

    A tensor lives from the op that writes it (the first op for an input) to the last op that reads it. With `in_place`,
    an op that may overwrites its input if nothing reads that input later: one buffer then serves both, and shrinks to
    the output after the op. The channel that such an op holds back is scratch, see the library's model.
    """
    start, end = _lives(sizes, ops)
    shares: dict[int, int] = {}  # tensor -> the one it overwrites
    if in_place:
        for step, op in enumerate(ops):
            if op.in_place and end[op.reads[0]] == step and sizes[op.writes] <= sizes[op.reads[0]]:
                shares[op.writes] = op.reads[0]
    overwritten = set(shares.values())
    out = []
    for tensor, size in enumerate(sizes):
        if tensor in shares:
            continue
        if tensor in overwritten:
            heir = next(t for t, source in shares.items() if source == tensor)
            if heir in overwritten:
                raise InputError("of three tensors in a row only two can share a buffer", value=tensor)
            out.append(Buffer(start[tensor], end[heir], size, end[tensor], sizes[heir]))
        else:
            out.append(Buffer(start[tensor], end[tensor], size))
    return out


def _lives(sizes: Sequence[int], ops: Sequence[TensorOp]) -> tuple[list[int], list[int]]:
    start, end = [0] * len(sizes), [-1] * len(sizes)
    for step, op in enumerate(ops):
        start[op.writes] = step
        for tensor in (*op.reads, op.writes):
            end[tensor] = max(end[tensor], step)
    if -1 in end:
        raise InputError("every tensor is read or written by an operator", value=end.index(-1))
    return start, end

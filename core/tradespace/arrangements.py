"""Decision variables whose entries hang together: an order (Permutation) and shares of a whole (Composition)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import DesignError
from tradespace.variables import Array, When, check_shape, number, spread


@dataclass(frozen=True)
class Permutation:
    """An order of ``n`` things: entry i says which thing stands at position i."""

    name: str
    n: int
    entries: tuple[str, ...] = ()
    when: When = field(default_factory=dict)
    prefix: str | None = None
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int32)

    def __post_init__(self) -> None:
        check_shape(self.name, self.n, self.entries)

    @property
    def length(self) -> int:
        return self.n

    @property
    def width(self) -> int:
        return self.n

    @property
    def count(self) -> int:
        return math.factorial(self.n)

    def bounds(self) -> tuple[Array, Array]:
        return np.zeros(self.n), np.full(self.n, self.n - 1.0)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.permuted(np.tile(np.arange(self.n, dtype=np.int32), (n, 1)), axis=1)

    def mutate(self, columns: Array, mask: Array, rng: np.random.Generator) -> Array:
        """Rotates the things at the masked positions by one; a single masked position swaps with a random other."""
        mask = mask.copy()
        if self.n < 2:
            return columns.copy()
        lone = np.flatnonzero(mask.sum(axis=1) == 1)
        mask[lone, (np.argmax(mask[lone], axis=1) + rng.integers(1, self.n, len(lone))) % self.n] = True
        order = np.argsort(~mask, axis=1, kind="stable")  # masked positions first
        count, step = mask.sum(axis=1, keepdims=True), np.arange(self.n)
        source = np.where(step < count, (step + 1) % np.maximum(count, 1), step)
        out = np.empty_like(columns)
        things = np.take_along_axis(np.take_along_axis(columns, order, axis=1), source, axis=1)
        np.put_along_axis(out, order, things, axis=1)
        return out

    def repair(self, columns: Array) -> Array:
        order = np.argsort(columns, axis=1, kind="stable")
        out = np.empty(columns.shape, np.int32)
        np.put_along_axis(out, order, np.arange(self.n, dtype=np.int32)[None, :], axis=1)
        return out

    def at(self, index: NDArray[np.int64]) -> Array:
        rest, digits = index.copy(), np.empty((len(index), self.n), np.int64)
        for j in range(self.n):
            digits[:, self.n - 1 - j] = rest % (j + 1)
            rest = rest // (j + 1)
        out = np.empty((len(index), self.n), np.int32)
        for r, row in enumerate(digits):
            pool = list(range(self.n))
            out[r] = [pool.pop(int(d)) for d in row]
        return out

    def show(self, row: Array) -> Any:
        return [int(v) for v in row]

    def parse(self, value: Any, where: str) -> Array:
        row = list(range(self.n)) if value is None else [number(v, where) for v in spread(self, value, where)]
        if sorted(row) != list(range(self.n)):
            raise DesignError(f"an order of 0..{self.n - 1}", value=value, where=f"{where}.{self.name}")
        return np.asarray(row, np.int32)


@dataclass(frozen=True)
class Composition:
    """Shares of ``total`` units over ``parts`` parts, each ``at_least`` units."""

    name: str
    total: int
    parts: int
    at_least: int = 0
    entries: tuple[str, ...] = ()
    when: When = field(default_factory=dict)
    prefix: str | None = None
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int32)

    def __post_init__(self) -> None:
        check_shape(self.name, self.parts, self.entries)
        if self.at_least < 0 or self.total < self.parts * self.at_least:
            raise DesignError(
                "total must cover the parts", value=(self.total, self.parts, self.at_least), where=self.name
            )

    @property
    def length(self) -> int:
        return self.parts

    @property
    def width(self) -> int:
        return self.parts

    @property
    def free(self) -> int:
        return self.total - self.parts * self.at_least

    @property
    def count(self) -> int:
        return math.comb(self.free + self.parts - 1, self.parts - 1)

    def bounds(self) -> tuple[Array, Array]:
        return np.full(self.parts, float(self.at_least)), np.full(self.parts, float(self.at_least + self.free))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Uniform over all compositions: bars among stars."""
        slots = self.free + self.parts - 1
        keys = rng.random((n, slots)) if slots else np.empty((n, 0))
        bars = np.sort(np.argsort(keys, axis=1)[:, : self.parts - 1], axis=1)
        edges = np.concatenate([np.full((n, 1), -1), bars, np.full((n, 1), slots)], axis=1)
        return (np.diff(edges, axis=1) - 1 + self.at_least).astype(np.int32)

    def mutate(self, columns: Array, mask: Array, rng: np.random.Generator) -> Array:
        """One masked part takes some units from a random other part that has any (or gives, if none has)."""
        out = columns.copy()
        rows = np.flatnonzero(mask.any(axis=1))
        if self.parts < 2 or not self.free or not len(rows):
            return out
        taker = np.argmax(rng.random((len(rows), self.parts)) * mask[rows], axis=1)
        keys = rng.random((len(rows), self.parts)) + 1.0
        keys[np.arange(len(rows)), taker] = 0.0
        spare = out[rows] - self.at_least
        giver = np.argmax(keys * (1.0 + (spare > 0)), axis=1)  # keys are in [1, 2): a part with spare units wins
        starved = spare[np.arange(len(rows)), giver] == 0
        taker, giver = np.where(starved, giver, taker), np.where(starved, taker, giver)
        units = np.ceil(spare[np.arange(len(rows)), giver] * (1.0 - rng.random(len(rows))) ** 2).astype(np.int32)
        out[rows, taker] += units
        out[rows, giver] -= units
        return out

    def repair(self, columns: Array) -> Array:
        """Largest-remainder shares of what is left above ``at_least``."""
        raw = np.nan_to_num(columns.astype(np.float64)).clip(self.at_least, None) - self.at_least
        sums = raw.sum(axis=1, keepdims=True)
        raw = np.where(sums > 0, raw, 1.0)
        ideal = raw * (self.free / raw.sum(axis=1, keepdims=True))
        base = np.floor(ideal + 1e-9)
        short = (self.free - base.sum(axis=1)).astype(np.int64)
        rank = np.argsort(np.argsort(-(ideal - base), axis=1, kind="stable"), axis=1, kind="stable")
        return np.asarray(base + (rank < short[:, None]) + self.at_least, dtype=np.int32)

    def at(self, index: NDArray[np.int64]) -> Array:
        out = np.empty((len(index), self.parts), np.int32)
        for r, rest in enumerate(index.tolist()):
            left = self.free
            for j in range(self.parts - 1):
                tail, units = self.parts - 1 - j, 0
                while rest >= (block := math.comb(left - units + tail - 1, tail - 1)):
                    rest, units = rest - block, units + 1
                out[r, j], left = units, left - units
            out[r, self.parts - 1] = left
        return np.asarray(out + self.at_least, dtype=np.int32)

    def show(self, row: Array) -> Any:
        return [int(v) for v in row]

    def parse(self, value: Any, where: str) -> Array:
        if value is None:
            return np.asarray(self.repair(np.ones((1, self.parts)))[0])
        row = [0.0 if v is None else number(v, where) for v in spread(self, value, where)]
        if sum(row) != self.total or min(row) < self.at_least or any(v != int(v) for v in row):
            raise DesignError(
                f"{self.parts} whole numbers of at least {self.at_least} that add up to {self.total}",
                value=value,
                where=f"{where}.{self.name}",
            )
        return np.asarray(row, np.int32)

"""Kinds of decision variables. Each turns random numbers, single changes and foreign values into valid columns.

A column block of a variable is an array ``(N, width)``: N designs, ``width`` entries. Entries that do not count
(see `tradespace.designs.Space.active`) hold 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import DesignError, UnknownName, suggestion

Array = NDArray[Any]
When = Mapping[str, tuple[Any, ...]]


@runtime_checkable
class Variable(Protocol):
    """What a `Space` needs of a variable. ``length=None`` is one value a design; a number, one value an entry."""

    @property
    def name(self) -> str: ...
    @property
    def length(self) -> int | None: ...
    @property
    def when(self) -> When: ...
    @property
    def prefix(self) -> str | None: ...
    @property
    def entries(self) -> tuple[str, ...]: ...
    @property
    def width(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def count(self) -> int | None:
        """Number of distinct column rows; None when not finite."""

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest code of each entry, ``(width,)`` float64."""

    def sample(self, n: int, rng: np.random.Generator) -> Array: ...
    def mutate(self, columns: Array, mask: Array, rng: np.random.Generator) -> Array:
        """A copy in which every entry under ``mask`` (N, width) has changed (as far as it can)."""

    def repair(self, columns: Array) -> Array:
        """The nearest valid columns; valid columns come back unchanged. Accepts float codes."""

    def at(self, index: NDArray[np.int64]) -> Array:
        """Rows number ``index`` in the enumeration of all `count` rows."""

    def show(self, row: Array) -> Any:
        """One row ``(width,)`` as plain values a person reads."""

    def parse(self, value: Any, where: str) -> Array:
        """A row from what a person writes: a value, a list, or ``{pattern: value}`` over the entry names."""


def _check(name: str, length: int | None, entries: tuple[str, ...]) -> None:
    if not name or not isinstance(name, str):
        raise DesignError("a variable needs a name", value=name)
    if length is not None and length < 1:
        raise DesignError("the length of a variable is at least 1", value=length, where=name)
    if entries and len(entries) != (length or 1):
        raise DesignError("entry names must be as many as entries", value=len(entries), where=name)


def _spread(variable: Variable, value: Any, where: str) -> list[Any]:
    """One value per entry from a value, a list, or patterns; None where nothing was said."""
    width = variable.width
    if isinstance(value, Mapping):
        names = variable.entries or tuple(str(i) for i in range(width))
        row: list[Any] = [None] * width
        for pattern, chosen in value.items():
            hits = [i for i, entry in enumerate(names) if fnmatchcase(entry, str(pattern))]
            if not hits:
                raise DesignError(
                    "a pattern must match an entry",
                    value=pattern,
                    where=f"{where}.{variable.name}",
                    remedy=suggestion(str(pattern), names),
                )
            for i in hits:
                row[i] = chosen
        return row
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != width:
            raise DesignError(f"needs {width} values", value=len(value), where=f"{where}.{variable.name}")
        return list(value)
    return [value] * width


@dataclass(frozen=True)
class Choice:
    """One of ``options`` per entry, held as int8 codes (int32 beyond 127 options)."""

    name: str
    options: tuple[Any, ...]
    length: int | None = None
    entries: tuple[str, ...] = ()
    when: When = field(default_factory=dict)
    prefix: str | None = None

    def __post_init__(self) -> None:
        _check(self.name, self.length, self.entries)
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise DesignError("a choice needs at least one option", where=self.name)
        if len({str(o) for o in self.options}) != len(self.options):
            raise DesignError("options must differ", value=self.options, where=self.name)

    @property
    def width(self) -> int:
        return self.length or 1

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int8 if len(self.options) <= 127 else np.int32)

    @property
    def count(self) -> int:
        return int(len(self.options) ** self.width)

    def bounds(self) -> tuple[Array, Array]:
        return np.zeros(self.width), np.full(self.width, len(self.options) - 1.0)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        return rng.integers(0, len(self.options), (n, self.width), dtype=self.dtype)

    def mutate(self, columns: Array, mask: Array, rng: np.random.Generator) -> Array:
        k = len(self.options)
        if k == 1:
            return columns.copy()
        step = rng.integers(1, k, columns.shape, dtype=self.dtype)
        moved = (columns.astype(np.int32) + step) % k
        return np.where(mask, moved, columns).astype(self.dtype)

    def repair(self, columns: Array) -> Array:
        if columns.dtype != self.dtype:
            columns = np.rint(np.nan_to_num(columns)).clip(-1, len(self.options))
        return columns.clip(0, len(self.options) - 1).astype(self.dtype)

    def at(self, index: NDArray[np.int64]) -> Array:
        k, out = len(self.options), np.empty((len(index), self.width), self.dtype)
        rest = index.copy()
        for j in range(self.width - 1, -1, -1):
            rest, out[:, j] = np.divmod(rest, k)
        return out

    def show(self, row: Array) -> Any:
        values = [self.options[int(c)] for c in row]
        return values if self.length is not None else values[0]

    def parse(self, value: Any, where: str) -> Array:
        known = {str(o): i for i, o in enumerate(self.options)}
        row = np.zeros(self.width, self.dtype)
        for i, chosen in enumerate(_spread(self, value, where)):
            if chosen is None:
                continue
            if str(chosen) not in known:
                raise UnknownName(self.name, str(chosen), known, where=where)
            row[i] = known[str(chosen)]
        return row


@dataclass(frozen=True)
class Integer:
    """A whole number in ``[low, high]`` per entry; ``log`` samples and moves by ratio."""

    name: str
    low: int
    high: int
    log: bool = False
    length: int | None = None
    entries: tuple[str, ...] = ()
    when: When = field(default_factory=dict)
    prefix: str | None = None

    def __post_init__(self) -> None:
        _check(self.name, self.length, self.entries)
        if self.low > self.high or (self.log and self.low < 1) or abs(self.low) > 2**31 or abs(self.high) > 2**31:
            raise DesignError(
                "needs low <= high within 32 bits (low >= 1 if log)", value=(self.low, self.high), where=self.name
            )

    @property
    def width(self) -> int:
        return self.length or 1

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.int64)

    @property
    def count(self) -> int:
        return int((self.high - self.low + 1) ** self.width)

    def bounds(self) -> tuple[Array, Array]:
        return np.full(self.width, float(self.low)), np.full(self.width, float(self.high))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        if not self.log:
            return rng.integers(self.low, self.high + 1, (n, self.width))
        u = rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5), (n, self.width))
        return self.repair(np.exp(u))

    def mutate(self, columns: Array, mask: Array, rng: np.random.Generator) -> Array:
        """Half of the changes are near (a tenth of the range), half anywhere; never to the same value."""
        if self.low == self.high:
            return columns.copy()
        draw = rng.standard_normal(columns.shape)
        if self.log:
            near = columns * np.exp(draw * 0.1 * math.log(self.high / self.low))
        else:
            near = columns + draw * 0.1 * (self.high - self.low)
        moved = np.where(rng.random(columns.shape) < 0.5, self.repair(near), self.sample(len(columns), rng))
        up = np.where(columns < self.high, 1, -1)
        moved = np.where(moved == columns, columns + np.where(draw > 0, up, np.where(columns > self.low, -1, 1)), moved)
        return np.asarray(np.where(mask, moved, columns), dtype=np.int64)

    def repair(self, columns: Array) -> Array:
        if not np.issubdtype(columns.dtype, np.integer):
            columns = np.rint(np.nan_to_num(columns, nan=self.low).clip(self.low, self.high))
        return columns.clip(self.low, self.high).astype(np.int64)

    def at(self, index: NDArray[np.int64]) -> Array:
        k, out = self.high - self.low + 1, np.empty((len(index), self.width), np.int64)
        rest = index.copy()
        for j in range(self.width - 1, -1, -1):
            rest, out[:, j] = np.divmod(rest, k)
        return out + self.low

    def show(self, row: Array) -> Any:
        values = [int(v) for v in row]
        return values if self.length is not None else values[0]

    def parse(self, value: Any, where: str) -> Array:
        row = np.full(self.width, self.low, np.int64)
        for i, v in enumerate(_spread(self, value, where)):
            if v is None:
                continue
            number = _number(v, f"{where}.{self.name}")
            if number != int(number) or not self.low <= number <= self.high:
                raise DesignError(
                    f"a whole number from {self.low} to {self.high}", value=v, where=f"{where}.{self.name}"
                )
            row[i] = int(number)
        return row


@dataclass(frozen=True)
class Real:
    """A number in ``[low, high]`` per entry."""

    name: str
    low: float
    high: float
    log: bool = False
    length: int | None = None
    entries: tuple[str, ...] = ()
    when: When = field(default_factory=dict)
    prefix: str | None = None

    def __post_init__(self) -> None:
        _check(self.name, self.length, self.entries)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high) or (
            self.log and self.low <= 0
        ):
            raise DesignError("needs finite low <= high (low > 0 if log)", value=(self.low, self.high), where=self.name)

    @property
    def width(self) -> int:
        return self.length or 1

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float64)

    @property
    def count(self) -> None:
        return None

    def bounds(self) -> tuple[Array, Array]:
        return np.full(self.width, float(self.low)), np.full(self.width, float(self.high))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        if self.log:
            return self.repair(np.exp(rng.uniform(math.log(self.low), math.log(self.high), (n, self.width))))
        return rng.uniform(self.low, self.high, (n, self.width))

    def mutate(self, columns: Array, mask: Array, rng: np.random.Generator) -> Array:
        draw = rng.standard_normal(columns.shape) * 0.1
        if self.log:
            moved = columns * np.exp(draw * math.log(self.high / self.low))
        else:
            moved = columns + draw * (self.high - self.low)
        return np.asarray(np.where(mask, self.repair(moved), columns), dtype=np.float64)

    def repair(self, columns: Array) -> Array:
        return np.nan_to_num(columns.astype(np.float64), nan=self.low).clip(self.low, self.high) + 0.0

    def at(self, index: NDArray[np.int64]) -> Array:
        raise DesignError("a real variable cannot be enumerated", where=self.name)

    def show(self, row: Array) -> Any:
        values = [float(v) for v in row]
        return values if self.length is not None else values[0]

    def parse(self, value: Any, where: str) -> Array:
        row = np.full(self.width, self.low, np.float64)
        for i, v in enumerate(_spread(self, value, where)):
            if v is None:
                continue
            row[i] = _number(v, f"{where}.{self.name}")
            if not self.low <= row[i] <= self.high:
                raise DesignError(f"a number from {self.low} to {self.high}", value=v, where=f"{where}.{self.name}")
        return row


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
        _check(self.name, self.n, self.entries)

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
        row = list(range(self.n)) if value is None else [_number(v, where) for v in _spread(self, value, where)]
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
        _check(self.name, self.parts, self.entries)
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
        for r, number in enumerate(index.tolist()):
            left = self.free
            for j in range(self.parts - 1):
                tail, units = self.parts - 1 - j, 0
                while number >= (block := math.comb(left - units + tail - 1, tail - 1)):
                    number, units = number - block, units + 1
                out[r, j], left = units, left - units
            out[r, self.parts - 1] = left
        return np.asarray(out + self.at_least, dtype=np.int32)

    def show(self, row: Array) -> Any:
        return [int(v) for v in row]

    def parse(self, value: Any, where: str) -> Array:
        if value is None:
            return np.asarray(self.repair(np.ones((1, self.parts)))[0])
        row = [0.0 if v is None else _number(v, where) for v in _spread(self, value, where)]
        if sum(row) != self.total or min(row) < self.at_least or any(v != int(v) for v in row):
            raise DesignError(
                f"{self.parts} whole numbers of at least {self.at_least} that add up to {self.total}",
                value=value,
                where=f"{where}.{self.name}",
            )
        return np.asarray(row, np.int32)


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DesignError("needs a number", value=value, where=where) from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise DesignError("needs a finite number", value=value, where=where)
    return number

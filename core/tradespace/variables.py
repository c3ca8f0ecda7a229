"""Decision variables with a value per entry: Choice, Integer, Real.

Each turns random numbers, single changes and foreign values into valid columns. A column block of a variable is an
array ``(N, width)``: N designs, ``width`` entries. Entries that do not count (see `tradespace.designs.Space.active`)
hold 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tradespace.errors import DesignError, UnknownName, suggestion

Array = NDArray[Any]
When = Mapping[str, tuple[Any, ...]]

_WIDE = 100  # range of whole numbers beyond which near changes are of all scales


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


def check_shape(name: str, length: int | None, entries: tuple[str, ...]) -> None:
    if not name or not isinstance(name, str):
        raise DesignError("a variable needs a name", value=name)
    if length is not None and length < 1:
        raise DesignError("the length of a variable is at least 1", value=length, where=name)
    if entries and len(entries) != (length or 1):
        raise DesignError("entry names must be as many as entries", value=len(entries), where=name)


def spread(variable: Variable, value: Any, where: str) -> list[Any]:
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
        check_shape(self.name, self.length, self.entries)
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
        return _digits(index, len(self.options), self.width).astype(self.dtype)

    def show(self, row: Array) -> Any:
        values = [self.options[int(c)] for c in row]
        return values if self.length is not None else values[0]

    def parse(self, value: Any, where: str) -> Array:
        known = {str(o): i for i, o in enumerate(self.options)}
        row = np.zeros(self.width, self.dtype)
        for i, chosen in enumerate(spread(self, value, where)):
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
        check_shape(self.name, self.length, self.entries)
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

    def _reach(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array | int:
        span = self.high - self.low
        return span if span <= _WIDE else span * (0.1 * span) ** -rng.random(shape)

    def mutate(self, columns: Array, mask: Array, rng: np.random.Generator) -> Array:
        """Half of the changes are near, half anywhere; never to the same value. Near: a tenth of the range; where
        that is wide, down to one, all scales alike, since steps of one size hardly settle there (ours)."""
        if self.low == self.high:
            return columns.copy()
        draw = rng.standard_normal(columns.shape)
        if self.log:
            near = columns * np.exp(draw * 0.1 * math.log(self.high / self.low))
        else:
            near = columns + draw * 0.1 * self._reach(columns.shape, rng)
        moved = np.where(rng.random(columns.shape) < 0.5, self.repair(near), self.sample(len(columns), rng))
        up = np.where(columns < self.high, 1, -1)
        moved = np.where(moved == columns, columns + np.where(draw > 0, up, np.where(columns > self.low, -1, 1)), moved)
        return np.asarray(np.where(mask, moved, columns), dtype=np.int64)

    def repair(self, columns: Array) -> Array:
        if not np.issubdtype(columns.dtype, np.integer):
            columns = np.rint(np.nan_to_num(columns, nan=self.low).clip(self.low, self.high))
        return columns.clip(self.low, self.high).astype(np.int64)

    def at(self, index: NDArray[np.int64]) -> Array:
        return _digits(index, self.high - self.low + 1, self.width) + self.low

    def show(self, row: Array) -> Any:
        values = [int(v) for v in row]
        return values if self.length is not None else values[0]

    def parse(self, value: Any, where: str) -> Array:
        row = np.full(self.width, self.low, np.int64)
        for i, v in enumerate(spread(self, value, where)):
            if v is None:
                continue
            whole = number(v, f"{where}.{self.name}")
            if whole != int(whole) or not self.low <= whole <= self.high:
                raise DesignError(
                    f"a whole number from {self.low} to {self.high}", value=v, where=f"{where}.{self.name}"
                )
            row[i] = int(whole)
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
        check_shape(self.name, self.length, self.entries)
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
        for i, v in enumerate(spread(self, value, where)):
            if v is None:
                continue
            row[i] = number(v, f"{where}.{self.name}")
            if not self.low <= row[i] <= self.high:
                raise DesignError(f"a number from {self.low} to {self.high}", value=v, where=f"{where}.{self.name}")
        return row


def _digits(index: NDArray[np.int64], base: int, width: int) -> NDArray[np.int64]:
    """(N, width) digits of the numbers (N,), the last one running fastest."""
    digits, rest = np.empty((len(index), width), np.int64), index.copy()
    for j in range(width - 1, -1, -1):
        rest, digits[:, j] = np.divmod(rest, base)
    return digits


def number(value: Any, where: str) -> float:
    try:
        parsed = float(value)
    except (TypeError, ValueError):
        raise DesignError("needs a number", value=value, where=where) from None
    if isinstance(value, bool) or not math.isfinite(parsed):
        raise DesignError("needs a finite number", value=value, where=where)
    return parsed

"""Design spaces and designs as a struct of arrays.

A `Space` is a tuple of decision variables; `Designs` hold one array per variable. Variables of ``length=None`` give
``(N,)``, others ``(N, length)``. Equal designs have equal arrays, hence equal digests: entries that do not count
(``when`` not met, beyond ``prefix``) are 0.
"""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.arrangements import Composition, Permutation
from tradespace.errors import DesignError, UnknownName
from tradespace.variables import Array, Choice, Integer, Real, Variable

__all__ = ["Choice", "Composition", "Designs", "Integer", "Permutation", "Real", "Space", "Variable", "short_ids"]

_MAX_ENTRIES = 1_000_000
_HOMOGENEOUS = 256
_COMPILED = 32  # designs from which on digests are compiled: numba is not loaded for a few


@dataclass(frozen=True, eq=False)
class Designs:
    """N designs of one space. Never written to after it was made; index with a slice, mask or integer array."""

    space: Space
    columns: Mapping[str, Array]  # (N, width) each

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Array:
        """``(N,)`` for a single value, ``(N, length)`` otherwise: codes of a Choice, numbers of the others."""
        variable = self.space[name]
        block = self.columns[name]
        return block[:, 0] if variable.length is None else block

    def take(self, rows: Any) -> Designs:
        """The designs at ``rows`` (slice, mask or integer array)."""
        return Designs(self.space, {name: block[rows] for name, block in self.columns.items()})

    def __iter__(self) -> Iterator[Designs]:
        """One design at a time, each as `Designs` of length 1."""
        return (self.take(slice(i, i + 1)) for i in range(len(self)))

    def show(self, row: int = 0) -> dict[str, Any]:
        """One design as plain values: option names, numbers, lists."""
        return {v.name: v.show(self.columns[v.name][row]) for v in self.space.variables}

    def brief(self, row: int = 0) -> str:
        """One design on a line for messages, equal neighbours counted: "device: 3 × cpu, gpu; width: 8"."""
        parts = []
        for name, value in self.show(row).items():
            runs = itertools.groupby(value if isinstance(value, list) else [value])
            counted = [(each, len(list(same))) for each, same in runs]
            said = ", ".join(f"{count} × {each}" if count > 1 else f"{each}" for each, count in counted)
            parts.append(f"{name}: {said}")
        return "; ".join(parts)

    @cached_property
    def digest(self) -> NDArray[np.uint64]:
        """``(N,)`` 64-bit digests, equal for equal designs in any process (ours: keyed multiply-add, mixed)."""
        total = np.full(len(self), np.uint64(0x9E3779B97F4A7C15))
        compiled = importlib.import_module("tradespace.digests") if len(self) >= _COMPILED else None
        for v, keys in zip(self.space.variables, self.space.hash_keys, strict=True):
            block = np.ascontiguousarray(self.columns[v.name])
            if compiled is not None and v.dtype.kind != "f":
                compiled.add_codes(block, keys, total)
                continue
            if v.dtype.kind == "f":
                words = _mix((block + 0.0).view(np.uint64))
            else:
                words = block.astype(np.int64).view(np.uint64)
            total += (words * keys).sum(axis=1, dtype=np.uint64)
        if compiled is None:
            return _mix(total)
        compiled.finish(total)
        return total

    @property
    def ids(self) -> tuple[str, ...]:
        """Full plan ids: 16 hex digits of the digest. `short_ids` shortens them."""
        return tuple(f"{int(d):016x}" for d in self.digest)


@dataclass(frozen=True, init=False)
class Space:
    """The decisions of a problem. ``when`` and ``prefix`` name variables declared before."""

    variables: tuple[Variable, ...]

    def __init__(self, *variables: Variable) -> None:
        object.__setattr__(self, "variables", tuple(variables))
        if not variables:
            raise DesignError("a design space needs at least one variable")
        seen: dict[str, Variable] = {}
        for v in variables:
            if v.name in seen:
                raise DesignError("names of variables must differ", value=v.name)
            _check_parents(v, seen)
            seen[v.name] = v
        if sum(v.width for v in variables) > _MAX_ENTRIES:
            raise DesignError(f"a design has at most {_MAX_ENTRIES} entries", value=sum(v.width for v in variables))

    def __getitem__(self, name: str) -> Variable:
        for v in self.variables:
            if v.name == name:
                return v
        raise UnknownName("design variable", name, [v.name for v in self.variables])

    def __contains__(self, name: object) -> bool:
        return any(v.name == name for v in self.variables)

    @property
    def width(self) -> int:
        """Entries of one design over all variables."""
        return sum(v.width for v in self.variables)

    @property
    def size(self) -> int | None:
        """Number of designs (an upper bound where ``when`` or ``prefix`` is used); None with a Real variable."""
        counts = [v.count for v in self.variables]
        return None if None in counts else math.prod(c for c in counts if c is not None)

    @cached_property
    def hash_keys(self) -> tuple[NDArray[np.uint64], ...]:
        keys = _mix(np.arange(1, self.width + 1, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)) | np.uint64(1)
        return tuple(np.split(keys, np.cumsum([v.width for v in self.variables])[:-1]))

    @cached_property
    def conditional(self) -> bool:
        return any(v.when or v.prefix for v in self.variables)

    # -- making designs -------------------------------------------------------------------------------------------

    def designs(self, columns: Mapping[str, Any]) -> Designs:
        """Valid designs from codes per variable, ``(N,)`` or ``(N, width)``; missing variables take their first row."""
        for name in columns:
            self[name]
        n = max((len(np.atleast_1d(c)) for c in columns.values()), default=1)
        blocks = {}
        for v in self.variables:
            block = np.asarray(columns[v.name]) if v.name in columns else np.tile(v.parse(None, "design"), (n, 1))
            block = block.reshape(len(block), -1) if block.ndim != 2 else block
            if block.shape != (n, v.width):
                raise DesignError("columns must agree in shape", value=block.shape, where=v.name)
            blocks[v.name] = block
        return self.repair(Designs(self, blocks))

    def sample(self, n: int, rng: np.random.Generator) -> Designs:
        """``n`` random designs, each variable uniform over its values."""
        return self._canonical({v.name: v.sample(n, rng) for v in self.variables})

    def mutate(self, designs: Designs, rng: np.random.Generator, rate: float | None = None) -> Designs:
        """Each entry changes with probability ``rate`` (default 1/width); at least one entry of each design does."""
        n, active = len(designs), self.active(designs)
        on = np.concatenate([active[v.name] for v in self.variables], axis=1)
        mask = (rng.random((n, self.width)) < (rate or 1.0 / self.width)) & on
        idle = np.flatnonzero(~mask.any(axis=1))
        mask[idle, np.argmax(rng.random((len(idle), self.width)) * on[idle], axis=1)] = True
        parts = np.split(mask, np.cumsum([v.width for v in self.variables])[:-1], axis=1)
        columns = {
            v.name: v.mutate(designs.columns[v.name], m, rng) for v, m in zip(self.variables, parts, strict=True)
        }
        moved = Designs(self, columns)
        for v in self.variables:
            if v.when or v.prefix:  # what a change brought to life starts at a random value
                now = self.active(moved)[v.name]
                fresh = np.where(now & ~active[v.name], v.sample(n, rng), columns[v.name])
                columns[v.name] = np.where(now, fresh, 0).astype(v.dtype)
        return moved

    def homogeneous(self) -> Designs:
        """The plain designs: every Choice constant over its entries, all combinations (at most 256), others at their
        first row. Natural baselines such as "all on the GPU in fp16", and the anchors of the reference box."""
        choices = [v for v in self.variables if isinstance(v, Choice)]
        combos: Iterable[tuple[int, ...]]
        if math.prod(len(v.options) for v in choices) <= _HOMOGENEOUS:
            combos = itertools.product(*(range(len(v.options)) for v in choices))
        else:
            combos = (tuple(k if u is v else 0 for u in choices) for v in choices for k in range(len(v.options)))
        rows = list(itertools.islice(combos, _HOMOGENEOUS))
        codes = np.asarray(rows, np.int32).reshape(len(rows), len(choices))
        columns: dict[str, Array] = {v.name: np.tile(v.parse(None, "design"), (len(rows), 1)) for v in self.variables}
        columns |= {v.name: np.repeat(codes[:, [i]], v.width, axis=1) for i, v in enumerate(choices)}
        return self.repair(Designs(self, columns))

    def at(self, index: Sequence[int] | NDArray[np.int64]) -> Designs:
        """Designs number ``index`` in the enumeration of the whole space (last variable fastest)."""
        if self.size is None or self.size > 2**62:
            raise DesignError("a space can be enumerated when it is finite and below 2^62 designs", value=self.size)
        rest, columns = np.asarray(index, np.int64), {}
        for v in reversed(self.variables):
            rest, own = np.divmod(rest, v.count or 1)
            columns[v.name] = v.at(own)
        return self.repair(Designs(self, columns))

    def parse(self, values: Mapping[str, Any], where: str = "design") -> Designs:
        """One design from what a person writes; variables not named take their first option."""
        for name in values:
            if name not in self:
                raise UnknownName("design variable", str(name), [v.name for v in self.variables], where=where)
        return self._canonical({v.name: v.parse(values.get(v.name), where)[None, :] for v in self.variables})

    def concat(self, parts: Sequence[Designs]) -> Designs:
        return Designs(self, {v.name: np.concatenate([p.columns[v.name] for p in parts]) for v in self.variables})

    # -- validity -------------------------------------------------------------------------------------------------

    def active(self, designs: Designs) -> dict[str, NDArray[np.bool_]]:
        """``(N, width)`` masks: which entries count."""
        n = len(designs)
        masks: dict[str, NDArray[np.bool_]] = {}
        for v in self.variables:
            mask = np.ones((n, v.width), bool)
            for parent, values in v.when.items():
                p = self[parent]
                met = masks[parent] & np.isin(designs.columns[parent], _codes(p, values))
                mask &= met if p.width == v.width and p.length is not None else met.all(axis=1, keepdims=True)
            if v.prefix:
                depth = _numbers(self[v.prefix], designs.columns[v.prefix])
                mask &= np.arange(v.width) < depth
            masks[v.name] = mask
        return masks

    def repair(self, designs: Designs) -> Designs:
        """The nearest valid designs in canonical form. Idempotent."""
        return self._canonical({v.name: v.repair(designs.columns[v.name]) for v in self.variables})

    def _canonical(self, columns: dict[str, Array]) -> Designs:
        designs = Designs(self, columns)
        if not self.conditional:
            return designs
        for v in self.variables:  # parents come first, so one pass settles chains of conditions
            if v.when or v.prefix:
                columns[v.name] = np.where(self.active(designs)[v.name], columns[v.name], 0).astype(v.dtype)
        return designs

    # -- flat codes for library optimizers ------------------------------------------------------------------------

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest flat code, ``(width,)`` float64 each."""
        pairs = [v.bounds() for v in self.variables]
        return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])

    def flatten(self, designs: Designs) -> NDArray[np.float64]:
        """``(N, width)`` float codes."""
        return np.concatenate([designs.columns[v.name].astype(np.float64) for v in self.variables], axis=1)

    def unflatten(self, codes: Array) -> Designs:
        """Valid designs from any ``(N, width)`` numbers: rounded, clipped, repaired."""
        codes = np.asarray(codes, np.float64)
        parts = np.split(codes, np.cumsum([v.width for v in self.variables])[:-1], axis=1)
        return self._canonical({v.name: v.repair(p) for v, p in zip(self.variables, parts, strict=True)})


def short_ids(ids: Sequence[str], least: int = 4) -> tuple[str, ...]:
    """The shortest common length (at least ``least``) at which these ids still differ."""
    unique = set(ids)
    for length in range(least, 16):
        if len({i[:length] for i in unique}) == len(unique):
            return tuple(i[:length] for i in ids)
    return tuple(ids)


def _check_parents(v: Variable, seen: Mapping[str, Variable]) -> None:
    for parent, values in v.when.items():
        if parent not in seen:
            raise UnknownName("earlier design variable", parent, seen, where=f"{v.name}.when")
        if not isinstance(seen[parent], Choice):
            raise DesignError("a condition looks at a Choice", value=parent, where=f"{v.name}.when")
        _codes(seen[parent], values)
    if v.prefix is not None:
        if v.prefix not in seen:
            raise UnknownName("earlier design variable", v.prefix, seen, where=f"{v.name}.prefix")
        if seen[v.prefix].length is not None:
            raise DesignError("a prefix is counted by a single number", value=v.prefix, where=f"{v.name}.prefix")
    if isinstance(v, Permutation | Composition) and (v.prefix or any(seen[p].length is not None for p in v.when)):
        raise DesignError("an order or shares exist as a whole or not at all", where=v.name)


def _codes(parent: Variable, values: tuple[Any, ...]) -> list[int]:
    assert isinstance(parent, Choice)
    known = {str(o): i for i, o in enumerate(parent.options)}
    values = values if isinstance(values, tuple | list) else (values,)
    for value in values:
        if str(value) not in known:
            raise UnknownName(parent.name, str(value), known, where="when")
    return [known[str(value)] for value in values]


def _numbers(variable: Variable, block: Array) -> Array:
    if isinstance(variable, Choice):
        return np.asarray([float(o) for o in variable.options])[block]
    return block


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finaliser (Steele, Lea, Flood 2014, fig. 16)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))

"""Collects a network while a reader walks through a file: the same rules for every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from tradespace.errors import InputError
from tradespace.workloads.networks.network import (
    BITS,
    INDICES,
    MAX_ELEMENTS,
    MAX_OPERATORS,
    MAX_RANK,
    MAX_TENSORS,
    Network,
    Op,
    Stored,
    Tensor,
)
from tradespace.workloads.networks.work import POINTWISE, READS_PART, VIEWS, elements, simple

Gemm = tuple[float, float, float, float]
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Value:
    """What an operator reads or writes: an activation (`tensor` >= 0) or a constant (`tensor` < 0).

    Args:
        stored: the constant that is stored; -1 for an activation and for constants that are made, not stored.
    """

    shape: tuple[int, ...]
    dtype: str
    tensor: int = -1
    stored: int = -1

    @property
    def elements(self) -> float:
        return elements(self.shape)

    @property
    def constant(self) -> bool:
        return self.tensor < 0


@dataclass
class Builder:
    """`where` names the file in errors; `repeat` is how often the operators now added execute per job."""

    where: str
    repeat: float = 1.0
    tensors: list[Tensor] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    folded: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def check_shape(self, shape: Sequence[int], name: str) -> tuple[int, ...]:
        """Raises `InputError` for a shape that no tensor has."""
        if len(shape) > MAX_RANK:
            raise InputError(f"a tensor has at most {MAX_RANK} axes", value=len(shape), where=f"{self.where}: {name}")
        total = 1
        for size in shape:
            total *= max(size, 1)
            if size < 0 or total > MAX_ELEMENTS:
                rule = f"the sizes of a tensor are not negative, and their product is at most {MAX_ELEMENTS}"
                raise InputError(rule, value=list(shape), where=f"{self.where}: {name}")
        return tuple(int(size) for size in shape)

    def activation(self, shape: Sequence[int], dtype: str, name: str, view: int = -1) -> Value:
        """A new activation, or with `view` another shape of one that exists."""
        if len(self.tensors) >= MAX_TENSORS:
            raise InputError(f"a network has at most {MAX_TENSORS} tensors", where=self.where)
        found = self.check_shape(shape, name)
        self.tensors.append(Tensor(elements(found), dtype, view))
        return Value(found, dtype, len(self.tensors) - 1)

    def constant(self, shape: Sequence[int], dtype: str, name: str, stored_elements: float | None = None) -> Value:
        """A new stored constant; `stored_elements` where fewer are stored than the shape has (sparse)."""
        if len(self.stored) >= MAX_TENSORS:
            raise InputError(f"a network has at most {MAX_TENSORS} constants", where=self.where)
        found = self.check_shape(shape, name)
        count = elements(found) if stored_elements is None else stored_elements
        self.stored.append(Stored(name[:MAX_NAME], count, dtype))
        return Value(found, dtype, stored=len(self.stored) - 1)

    def retype(self, tensor: int, dtype: str) -> None:
        """An activation is kept in another type than the file says (quantisation fused into its producer)."""
        self.tensors[tensor] = replace(self.tensors[tensor], dtype=dtype)

    def emit(
        self,
        name: str,
        kind_of: str,
        kind: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        *,
        gemm: Gemm = (0.0, 0.0, 0.0, 0.0),
        window: Gemm = (0.0, 0.0, 0.0, 0.0),
        flop: float = 0.0,
        weights: Collection[int] | None = None,
        part: float | None = None,
    ) -> None:
        """Add one operator.

        Args:
            weights: positions of `inputs` whose constants are weights; None: every constant that is no index.
            part: elements that it really reads of each input, where fewer than all.
        """
        if len(self.ops) >= MAX_OPERATORS:
            raise InputError(f"a network has at most {MAX_OPERATORS} operators", where=self.where)
        reads: list[tuple[int, float]] = []
        held: list[tuple[int, float]] = []
        for position, value in enumerate(inputs):
            if value is None:
                continue
            size = value.elements if part is None else min(part, value.elements)
            if not value.constant:
                reads.append((value.tensor, size))
            elif value.stored >= 0 and self._is_weight(position, value, weights):
                read = min(size, self.stored[value.stored].elements) if part is None else size
                held.append((value.stored, read))
        writes = tuple(value.tensor for value in outputs if not value.constant)
        row = Op(
            name[:MAX_NAME], kind_of[:MAX_NAME], kind, gemm, flop, tuple(reads), writes, tuple(held), self.repeat,
            window,
        )  # fmt: skip
        self.ops.append(row)

    def _is_weight(self, position: int, value: Value, weights: Collection[int] | None) -> bool:
        return value.dtype not in INDICES if weights is None else position in weights

    def general(
        self,
        name: str,
        kind_of: str,
        what: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        *,
        window: float = 1.0,
        extra: float = 0.0,
        weights: Collection[int] | None = None,
    ) -> None:
        """Add an operator that is no product, by the plain name of what it does; `extra` FLOP are fused into it."""
        given = [value for value in inputs if value is not None]
        read = sum(value.elements for value in given if not value.constant)
        written = sum(value.elements for value in outputs)
        found = simple(what, read, written, window, len(given))
        table = what in ("gather", "embeddinglookup") and bool(given) and given[0].constant and given[0].stored >= 0
        if found is None:
            self.unknown[kind_of] += 1
            found = "aggregate", read + written
        kind, flop = found
        if table:
            kind, weights = "embedding", (0,)
        part = written if what in READS_PART else None
        self.emit(name, kind_of, kind, inputs, outputs, flop=flop + extra, weights=weights, part=part)

    def outputs_of(
        self, what: str, inputs: Sequence[Value | None], shape: Sequence[int], dtype: str, name: str
    ) -> Value:
        """The value that an operator writes: a view where it only names the same bytes otherwise."""
        first = next((value for value in inputs if value is not None), None)
        view = first.tensor if what in VIEWS and first is not None and not first.constant else -1
        return self.activation(shape, dtype, name, view)

    def network(self, inputs: Sequence[Value], outputs: Sequence[Value], facts: dict[str, float | str]) -> Network:
        """What was collected, with notes on what was folded or unknown."""
        notes = list(self.notes)
        if self.unknown:
            listed = ", ".join(f"{name} ({count})" for name, count in self.unknown.most_common(8))
            notes.append(f"Counted by what they read and write, as nobody here knows them: {listed}.")
        if self.folded:
            facts = {**facts, "folded_operators": float(self.folded)}
        return Network(
            tuple(self.tensors), tuple(self.stored), tuple(self.ops),
            tuple(value.tensor for value in inputs if not value.constant),
            tuple(value.tensor for value in outputs if not value.constant),
            tuple(notes), facts,
        )  # fmt: skip


def window_of(output: Sequence[int], filters: Sequence[int]) -> Gemm:
    """Output height and width, filter height and width, from the sizes of one plane of each; zeros unless both are
    planes (or lines: one high)."""
    if len(output) == len(filters) == 1:
        return 1.0, float(output[0]), 1.0, float(filters[0])
    if len(output) == len(filters) == 2:
        return float(output[0]), float(output[1]), float(filters[0]), float(filters[1])
    return 0.0, 0.0, 0.0, 0.0


def product_flop(gemm: Gemm, bias: bool, outputs: float, activation: float = 0.0) -> float:
    """2 m k n count, one addition an output with a bias, and what a fused activation costs an output."""
    m, k, n, count = gemm
    return 2 * m * k * n * count + (bool(bias) + activation) * outputs


def activation_cost(name: str) -> float:
    """FLOP per element of a fused activation, by its plain name; 0 for none."""
    return POINTWISE.get(name, 0.0)


def known_type(dtype: str) -> str:
    return dtype if dtype in BITS else "other"

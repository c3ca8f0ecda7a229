"""Open numbers: `{choices: [16, 32, 64]}` anywhere in a workload, a target or the options is a decision variable.

The variable has the path of the number as its name ("devices.array.rows"). Alternatives may set several fields:
`{clock: 1 GHz, choices: {small: {rows: 16, cols: 16}, large: {rows: 64, cols: 64}}}`. Any evaluator is bound once per
combination of values that a search asks for, and knows nothing of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tradespace.designs import Choice, Designs, Space
from tradespace.errors import InputError, ProblemError, TradespaceError
from tradespace.problem import Evaluator, Metric, Prices

if TYPE_CHECKING:
    from tradespace.plans import Plan

KEY = "choices"
MAX_NUMBERS = 16
MAX_VALUES = 256
MAX_BOUND = 4096
"""Combinations kept bound at once; beyond, the oldest is bound anew when it is asked for again."""

FAR = 10.0
"""A combination that cannot be bound costs this many times what the first one costs: finite, and never attractive."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Open:
    """One open number: where it is, how its values are called, and what is put in its place."""

    part: str  # workload, target or options
    path: Path
    names: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def variable(self) -> Choice:
        return Choice(self.name, self.names)


def find(tree: Mapping[str, Any], part: str, path: Path = ()) -> Iterator[Open]:
    """The open numbers of a nested mapping, in its order.

    Raises:
        InputError: `choices` beside other keys, without values, or with too many.
    """
    for key, value in tree.items():
        if not isinstance(value, Mapping):
            continue
        here = (*path, str(key))
        if KEY not in value:
            yield from find(value, part, here)
            continue
        beside = {k: v for k, v in value.items() if k not in (KEY, "source", "kind")}
        yield _open(value[KEY], beside, part, here)


def _open(raw: Any, beside: Mapping[str, Any], part: str, path: Path) -> Open:
    choices, where = getattr(raw, "value", raw), f"{part}: {'.'.join(path)}"
    if not isinstance(choices, list | tuple | Mapping) or not 1 <= len(choices) <= MAX_VALUES:
        rule = f"'choices' is a list, or a mapping of named alternatives, of 1 to {MAX_VALUES}"
        raise InputError(rule, value=repr(choices)[:80], where=where)
    if isinstance(choices, Mapping):
        if not all(isinstance(body, Mapping) for body in choices.values()):
            raise InputError("a named alternative is a mapping of fields", value=list(choices)[:5], where=where)
        return Open(part, path, tuple(map(str, choices)), tuple({**beside, **body} for body in choices.values()))
    if beside:
        raise InputError("a list of choices stands alone", value=sorted(beside), where=where)
    values = tuple(replace(raw, value=v) if raw is not choices else v for v in choices)  # leaves keep their source
    return Open(part, path, tuple(str(v) for v in choices), values)


def put(tree: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of ``tree`` with ``value`` at ``path``."""
    key, rest = path[0], path[1:]
    return {**tree, key: put(tree[key], rest, value) if rest else value}


def check_numbers(numbers: tuple[Open, ...]) -> None:
    """Raises `InputError` for too many, or for two of one path in different parts."""
    if len(numbers) > MAX_NUMBERS:
        raise InputError(f"at most {MAX_NUMBERS} open numbers", value=len(numbers))
    names = [n.name for n in numbers]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise InputError("open numbers have different paths", value=twice)


@dataclass(frozen=True, eq=False)
class OpenEvaluator:
    """Any evaluator over its own space and the open numbers of its setting. Pure where the evaluator is.

    Args:
        numbers: the open numbers; their variables come first.
        bind: the evaluator of one combination of indices into ``names``.
    """

    numbers: tuple[Open, ...]
    bind: Callable[[tuple[int, ...]], Evaluator]
    _bound: dict[tuple[int, ...], Evaluator | TradespaceError] = field(default_factory=dict)

    @cached_property
    def first(self) -> Evaluator:
        """The evaluator of the first combination that can be bound; it gives metrics and inner decisions."""
        counts = [range(len(n.names)) for n in self.numbers]
        error: TradespaceError | None = None
        for combination in itertools.islice(itertools.product(*counts), MAX_VALUES):
            found = self._at(combination)
            if not isinstance(found, TradespaceError):
                return cast(Evaluator, found)
            error = error or found
        raise ProblemError("some choice of the open numbers can be priced", value=error, where=self.names)

    @property
    def names(self) -> str:
        return ", ".join(n.name for n in self.numbers)

    @cached_property
    def space(self) -> Space:
        return Space(*(n.variable for n in self.numbers), *self.first.space.variables)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self.first.metrics

    @property
    def deterministic(self) -> bool:
        return bool(getattr(self.first, "deterministic", True))

    @property
    def default_objectives(self) -> tuple[str, ...] | None:
        return getattr(self.first, "default_objectives", None)

    @property
    def substitutes(self) -> tuple[Any, ...]:
        return tuple(getattr(self.first, "substitutes", ()))

    def price(self, designs: Designs) -> Prices:
        columns = {m.name: np.empty(len(designs)) for m in self.metrics}
        violations: dict[str, Any] = {}
        for combination, rows in self._groups(designs):
            evaluator = self._at(combination)
            failed = isinstance(evaluator, TradespaceError)
            prices = self._prices(
                self.first if isinstance(evaluator, TradespaceError) else evaluator, designs.take(rows)
            )
            for metric in self.metrics:
                factor = 1.0 if not failed else FAR if metric.direction == "min" else 1 / FAR
                columns[metric.name][rows] = prices.columns[metric.name] * factor
            for name, column in (*prices.violations.items(), ("open", np.full(len(rows), 1.0 if failed else -1.0))):
                violations.setdefault(name, np.full(len(designs), -1.0))[rows] = column
        return Prices(columns, dict(sorted(violations.items())))

    def repair(self, designs: Designs) -> Designs:
        out = {name: np.array(block) for name, block in designs.columns.items()}
        for combination, rows in self._groups(designs):
            evaluator = self._at(combination)
            repair = getattr(evaluator, "repair", None)
            if repair is not None:
                for name, block in repair(_inner(evaluator.space, designs.take(rows))).columns.items():
                    out[name][rows] = block
        return Designs(designs.space, out)

    def explain(self, design: Designs) -> Plan:
        """The plan of the evaluator of this combination, with the open numbers among its decisions."""
        from tradespace.plans import Plan

        design = design.take(slice(0, 1))
        ((combination, _),) = self._groups(design)
        evaluator, prices = self._at(combination), self.price(design)
        explain = getattr(evaluator, "explain", None)
        values = {name: float(column[0]) for name, column in prices.columns.items()}
        plan = (
            Plan(design.ids[0], design.show(0), values) if explain is None else explain(_inner(evaluator.space, design))
        )
        broken = {name: float(column[0]) for name, column in prices.violations.items()}
        return replace(plan, id=design.ids[0], design=design.show(0), values=values, violations=broken)

    def inner(self, design: Designs) -> tuple[Evaluator, Designs]:
        """The evaluator of the first design's choices, and that design in its space.

        Raises:
            TradespaceError: these choices cannot be bound.
        """
        design = design.take(slice(0, 1))
        ((combination, _),) = self._groups(design)
        evaluator = self._at(combination)
        if isinstance(evaluator, TradespaceError):
            raise evaluator
        return evaluator, _inner(evaluator.space, design)

    def _prices(self, evaluator: Evaluator, designs: Designs) -> Prices:
        raw = evaluator.price(_inner(evaluator.space, designs))
        return raw if isinstance(raw, Prices) else Prices(raw)

    def _groups(self, designs: Designs) -> Iterator[tuple[tuple[int, ...], Any]]:
        """(combination, its rows) for every combination in a batch."""
        codes = np.concatenate([designs.columns[n.name] for n in self.numbers], axis=1).astype(np.int64)
        unique, index = np.unique(codes, axis=0, return_inverse=True)
        for i, row in enumerate(unique.tolist()):
            yield tuple(row), np.flatnonzero(index.reshape(-1) == i)

    def _at(self, combination: tuple[int, ...]) -> Any:
        if combination not in self._bound:
            while len(self._bound) >= MAX_BOUND:
                del self._bound[next(iter(self._bound))]
            self._bound[combination] = self._new(combination)
        return self._bound[combination]

    def _new(self, combination: tuple[int, ...]) -> Evaluator | TradespaceError:
        try:
            evaluator = self.bind(combination)
        except TradespaceError as error:  # a combination that makes no sense costs only itself
            return error
        known = next((e for e in self._bound.values() if not isinstance(e, TradespaceError)), None)
        if known is not None and evaluator.space.variables != known.space.variables:
            chosen = ", ".join(f"{n.name}={n.names[i]}" for n, i in zip(self.numbers, combination, strict=True))
            raise ProblemError("an open number leaves the other decisions as they are", value=chosen)
        return evaluator


def _inner(space: Space, designs: Designs) -> Designs:
    return Designs(space, {v.name: designs.columns[v.name] for v in space.variables})

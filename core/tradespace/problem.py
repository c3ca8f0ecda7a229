"""Metrics, evaluators and problems: what a design costs, and what the user asks of it.

An `Evaluator` prices designs in natural units and directions. A `Problem` adds objectives and constraints chosen by
the user; only here are directions turned, so optimizers always minimise and nobody else negates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tradespace import expressions, units
from tradespace.designs import Designs, Space
from tradespace.errors import PluginError, ProblemError, UnknownName
from tradespace.expressions import Expression
from tradespace.forms import ChainTerm, Graph, MaxTerm, Structure

if TYPE_CHECKING:
    from tradespace.plugins import Registry

__all__ = [
    "ChainTerm", "Constraint", "Declined", "Evaluator", "EvaluatorFactory", "Graph", "MaxTerm", "Metric", "Objective",
    "Prices", "Problem", "Scores", "Structure", "check_prices",
]  # fmt: skip

Array = NDArray[np.float64]

_MOST = 1e100  # of a scored objective: optimizers square and add; a price may be larger and is kept as it is


@dataclass(frozen=True, slots=True)
class Metric:
    """A number an evaluator gives: SI unit, the direction that is better, and one line of meaning."""

    name: str
    unit: str
    direction: Literal["min", "max"]
    meaning: str = ""

    def __post_init__(self) -> None:
        if self.direction not in ("min", "max"):
            raise ProblemError("a metric's direction is 'min' or 'max'", value=self.direction, where=self.name)


@dataclass(frozen=True)
class Prices(Mapping[str, Array]):
    """Metrics of N designs, ``(N,)`` float64 each, and graded violations (relative amounts, feasible <= 0)."""

    columns: Mapping[str, Array]
    violations: Mapping[str, Array] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, rows: Any) -> Prices:
        return Prices({k: v[rows] for k, v in self.columns.items()}, {k: v[rows] for k, v in self.violations.items()})


@runtime_checkable
class Evaluator(Protocol):
    """What `search` needs of an object: nothing is registered, nothing is inherited.

    ``price`` may return `Prices` or a plain dict of metrics, shapes ``(N,)``; it must be pure: a design has one price
    in any batch, order and process. Optional members, used where present:

    - ``repair(designs) -> Designs``, called before price;
    - ``explain(design) -> Plan``; ``substitutes: Sequence[Sourced]``, what the prices rest on;
    - ``structure() -> Structure | None``;
    - ``suggest() -> Mapping[str, Designs]``, named plans made by construction, which optimizers may start from;
    - ``deterministic: bool``, False for measurements: logged and never measured again.
    """

    @property
    def space(self) -> Space: ...
    @property
    def metrics(self) -> tuple[Metric, ...]: ...
    def price(self, designs: Designs) -> Prices | Mapping[str, Array]: ...


@dataclass(frozen=True)
class Declined:
    """Why an evaluator does not take a pair of workload and target. Falsy, so ``if factory.accepts(...)`` reads.

    ``other_kind``: it takes no workload of this kind on any target, or only measures on the machine it runs on, so
    that nobody needs to hear of it.
    """

    reason: str
    other_kind: bool = False

    def __bool__(self) -> bool:
        return False


class EvaluatorFactory(Protocol):
    """What the hook ``tradespace_evaluators`` names. ``fidelity`` ranks factories that accept the same pair."""

    fidelity: int

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined: ...
    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry) -> Evaluator:
        """Tabulate once. Names in ``options`` and device models are looked up in ``registry``; unknown options are
        refused."""


@dataclass(frozen=True)
class Objective:
    """An expression to be made small or large. ``text`` is as the user wrote it."""

    text: str
    expression: Expression
    direction: Literal["min", "max"]
    unit: str

    @property
    def name(self) -> str:
        return self.expression.text

    def minimised(self, values: Array) -> Array:
        return np.negative(values) if self.direction == "max" else values


@dataclass(frozen=True)
class Constraint:
    """``expression <= limit`` or ``>= limit``; violations are relative to the limit (absolute for a limit of 0)."""

    text: str
    expression: Expression
    sense: Literal["<=", ">="]
    limit: float
    unit: str

    def violation(self, values: Mapping[str, Array]) -> Array:
        over = np.asarray(self.expression(values), np.float64) - self.limit
        over = -over if self.sense == ">=" else over
        return np.nan_to_num(over / (abs(self.limit) or 1.0), nan=1e300, posinf=1e300, neginf=-1e300)

    def relaxed(self, violation: float) -> str:
        """The constraint that a design with this violation just meets, as text."""
        sign = 1.0 if self.sense == "<=" else -1.0
        value = self.limit + sign * violation * (abs(self.limit) or 1.0)
        return f"{self.expression.text}{self.sense}{units.format(value, self.unit)}"


@dataclass(frozen=True)
class Scores:
    """What optimizers and archives see of N designs: ``objectives`` (N, M) minimised, ``violations`` (N, K)."""

    objectives: Array
    violations: Array
    prices: Prices

    @cached_property
    def violation(self) -> Array:
        """``(N,)`` total amount by which constraints are broken; 0 = feasible."""
        total = np.zeros(len(self.violations))
        for amount in self.violations.T:  # column by column: reducing over a short last axis is ten times slower
            total += np.maximum(amount, 0.0)
        return total

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        ok = np.ones(len(self.violations), bool)
        for amount in self.violations.T:
            ok &= amount <= 0.0
        return ok

    def take(self, rows: Any) -> Scores:
        return Scores(self.objectives[rows], self.violations[rows], self.prices.take(rows))


@dataclass(frozen=True)
class Problem:
    """An evaluator with the user's objectives and constraints. Build with `Problem.of`."""

    evaluator: Evaluator
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]

    @classmethod
    def of(cls, evaluator: Evaluator, objectives: Sequence[str], constraints: Sequence[str] | str = ()) -> Problem:
        """Objectives are metric names or expressions, optionally "min:..." or "max:..."; constraints compare, and one
        may be given alone."""
        _check_evaluator(evaluator)
        if not objectives or isinstance(objectives, str):
            raise ProblemError(
                "objectives are a list with at least one metric",
                value=objectives,
                remedy=f"Known: {', '.join(m.name for m in evaluator.metrics)}.",
            )
        chosen = tuple(_objective(text, evaluator.metrics) for text in objectives)
        if len({o.name for o in chosen}) != len(chosen):
            raise ProblemError("objectives must differ", value=", ".join(objectives))
        limits = (constraints,) if isinstance(constraints, str) else tuple(constraints or ())
        return cls(evaluator, chosen, tuple(_constraint(text, evaluator.metrics) for text in limits))

    @property
    def space(self) -> Space:
        return self.evaluator.space

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(o.name for o in self.objectives)

    @property
    def deterministic(self) -> bool:
        return bool(getattr(self.evaluator, "deterministic", True))

    def structure(self) -> Structure | None:
        own = getattr(self.evaluator, "structure", None)
        if own is not None and not callable(own):
            raise PluginError(
                "structure is a method that returns a Structure or None",
                value=f"an attribute of type {type(own).__name__}",
                where=type(self.evaluator).__name__,
                remedy="Write 'def structure(self): return ...'.",
            )
        return own() if own is not None else None

    def repair(self, designs: Designs) -> Designs:
        own = getattr(self.evaluator, "repair", None)
        return designs if own is None else cast(Designs, own(designs))

    def price(self, designs: Designs) -> Prices:
        """Checked prices. Raises `PluginError` for missing metrics, wrong shapes or numbers that are not finite."""
        return check_prices(self.evaluator.price(designs), self.evaluator.metrics, designs)

    def score(self, designs: Designs, prices: Prices | None = None) -> Scores:
        prices = self.price(designs) if prices is None else prices
        objectives = np.stack([o.minimised(self._value(o, prices)) for o in self.objectives], axis=1)
        columns = [*prices.violations.values(), *(c.violation(prices) for c in self.constraints)]
        violations = np.stack(columns).T if columns else np.zeros((len(designs), 0))
        return Scores(np.ascontiguousarray(objectives), violations, prices)

    def violation_names(self, prices: Prices) -> tuple[str, ...]:
        """Names of the columns of `Scores.violations`: the evaluator's own, then the user's constraints."""
        return (*prices.violations, *(c.text for c in self.constraints))

    def natural(self, objectives: Array) -> Array:
        """Minimised objectives (N, M) back in natural directions."""
        return objectives * np.where([o.direction == "max" for o in self.objectives], -1.0, 1.0)

    def _value(self, objective: Objective, prices: Prices) -> Array:
        values = np.asarray(objective.expression(prices), np.float64)
        if objective.expression.single is None and not np.isfinite(values).all():  # a metric was checked as a price
            raise ProblemError("an objective must be finite for every design", value=objective.text)
        return np.clip(values, -_MOST, _MOST)


def check_prices(raw: Prices | Mapping[str, Any], metrics: tuple[Metric, ...], designs: Designs) -> Prices:
    """`Prices` in float64 from what an evaluator returned; see `Problem.price`."""
    n, where = len(designs), "price"
    if not isinstance(raw, Mapping):
        raise PluginError("price returns a mapping from metric to (N,) numbers", value=type(raw).__name__, where=where)
    values = {m.name: _column(raw, m.name, n) for m in metrics}
    raw_violations = raw.violations if isinstance(raw, Prices) else {}
    violations = {k: _column(raw_violations, k, n) for k in raw_violations}
    if not np.isfinite(np.concatenate([*values.values(), *violations.values()])).all():
        for name, column in (*values.items(), *violations.items()):
            _check_finite(column, name, designs)
    return Prices(values, violations)


def _column(raw: Mapping[str, Any], name: str, n: int) -> Array:
    if name not in raw:
        raise PluginError(
            "price must return every declared metric", value=f"no '{name}'", where="price", remedy=f"Got: {list(raw)}."
        )
    column = np.asarray(raw[name], np.float64)
    if column.ndim == 0:
        column = np.full(n, float(column))
    if column.shape != (n,):
        raise PluginError(f"a metric of {n} designs has shape ({n},)", value=column.shape, where=name)
    return column


def _check_finite(column: Array, name: str, designs: Designs) -> None:
    if not np.isfinite(column).all():
        bad = int(np.flatnonzero(~np.isfinite(column))[0])
        raise PluginError(
            "prices are finite numbers",
            value=f"{column[bad]} for design {designs.brief(bad)}",
            where=name,
            remedy="Return a large finite price and a violation for a design that cannot run.",
        )


def _check_evaluator(evaluator: Any) -> None:
    missing = [a for a in ("space", "metrics", "price") if not hasattr(evaluator, a)]
    if missing:
        raise PluginError(
            "an evaluator has space, metrics and price", value=f"{type(evaluator).__name__} lacks {', '.join(missing)}"
        )
    if not isinstance(evaluator.space, Space) or not evaluator.metrics:
        raise PluginError("an evaluator has a Space and at least one Metric", value=type(evaluator).__name__)
    for metric in evaluator.metrics:
        if not isinstance(metric, Metric):
            raise PluginError(
                "a metric states its unit and the direction that is better",
                value=repr(metric),
                where=f"metrics of {type(evaluator).__name__}",
                remedy=f"Write Metric('{metric if isinstance(metric, str) else 'latency'}', 's', 'min').",
            )
    names = [m.name for m in evaluator.metrics]
    if len(set(names)) != len(names):
        raise PluginError("metric names must differ", value=names)


def _objective(text: str, metrics: tuple[Metric, ...]) -> Objective:
    if not isinstance(text, str):
        raise ProblemError("an objective is the name of a metric or an expression", value=text)
    prefix, _, rest = text.strip().partition(":")
    asked = prefix.strip() if prefix.strip() in ("min", "max") and rest else ""
    body = rest if asked else text
    known = {m.name: m for m in metrics}
    bare = body.strip()
    if bare not in known and bare.replace(".", "").replace("_", "").isalnum() and not bare[:1].isdigit():
        raise UnknownName("metric", bare, known, where="objectives")
    expression = expressions.parse(body, known, where="objectives")
    metric = known.get(expression.single or "")
    if metric is None and not asked and any(known[n].direction == "max" for n in expression.names):
        raise ProblemError(
            "say whether an expression is to be small or large",
            value=text,
            where="objectives",
            remedy=f"Write 'min:{body.strip()}' or 'max:{body.strip()}'.",
        )
    direction = asked or (metric.direction if metric else "min")
    return Objective(text, expression, "max" if direction == "max" else "min", metric.unit if metric else "")


def _constraint(text: str, metrics: tuple[Metric, ...]) -> Constraint:
    left, sense, right = expressions.split_comparison(text, "constraints")
    known = {m.name: m for m in metrics}
    expression = expressions.parse(left, known, where="constraints")
    metric = known.get(expression.single or "")
    limit = units.parse(right, metric.unit if metric else "1", where=f"constraint '{text}'")
    if not math.isfinite(limit):
        raise ProblemError("a limit is a finite number", value=right, where=f"constraint '{text}'")
    return Constraint(text, expression, "<=" if sense == "<=" else ">=", limit, metric.unit if metric else "")

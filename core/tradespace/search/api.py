"""`search`: one call from an evaluator to a front."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tradespace.designs import Designs
from tradespace.errors import PluginError, ProblemError, TradespaceError, UnknownName
from tradespace.plugins import Registry
from tradespace.problem import Evaluator, Problem
from tradespace.search.claims import check_shape
from tradespace.search.contract import Budget, Observer, Optimizer, SearchView, whole
from tradespace.search.directions import minimised
from tradespace.search.faults import guarded
from tradespace.search.front import Front
from tradespace.search.gap import with_constraints
from tradespace.search.loop import check, run
from tradespace.search.start import checked_start, started, suggesting


def search(
    evaluator: Evaluator,
    objectives: Sequence[str],
    constraints: Sequence[str] | str = (),
    *,
    optimizer: str | type | Optimizer = "auto",
    options: Mapping[str, Any] | None = None,
    evaluations: int | None = 10_000,
    seconds: float | None = None,
    stagnation: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    start: Designs | Sequence[Mapping[str, Any]] | None = None,
    observers: Sequence[Observer] = (),
    registry: Registry | None = None,
) -> Front:
    """Search any object with ``space``, ``metrics`` and ``price`` for its Pareto front.

    Args:
        evaluator: see `tradespace.problem.Evaluator`; ``price`` may return a plain dict of ``(N,)`` arrays.
        objectives: metric names or expressions, optionally "min:..." or "max:...".
        constraints: comparisons such as "memory.dgpu<=8 GB", or one of them.
        optimizer: a registered name, a class ``(view, options)``, or an instance; "auto" picks one and says why.
        options: fields of the optimizer's ``Options``; not with an instance.
        evaluations, seconds, stagnation: the budget; the first that is reached ends the search.
        seed: equal seeds give equal fronts (unless ``seconds`` ends the search).
        batch: designs per batch; default: what the optimizer likes.
        start: designs to price first, such as ``front.designs`` of an earlier or cheaper search, at most 256.
        observers: told of every batch.
        registry: where names are looked up; default: all installed plugins.

    Raises:
        TradespaceError: names, units, options or budgets that do not fit, or an evaluator that breaks its contract; in
            the middle of a search ``error.front`` is the front of the designs priced before.
    """
    problem = Problem.of(evaluator, objectives, constraints)
    budget, batch = Budget(evaluations, seconds, stagnation), whole(batch)
    check(budget, seed, batch)
    first = checked_start(problem.space, start)
    if isinstance(optimizer, str | type):
        view = suggesting(view_of(problem, budget), first)
        chosen, name = _built(optimizer, options or {}, view, registry)
    elif options:
        raise ProblemError("options go with an optimizer's name or class, not with an instance", where="options")
    else:
        chosen, name = optimizer, type(optimizer).__name__
    try:
        return run(problem, started(chosen, first), budget, seed, name=name, batch=batch, observers=observers)
    except TradespaceError as error:
        if error.front is not None:
            kept = f"The front of the {error.front.evaluations:,} designs priced before is this error's 'front'."
            error.args = (f"{error.args[0].rstrip('.')}. {kept}", *error.args[1:])
        raise


def view_of(problem: Problem, budget: Budget) -> SearchView:
    """What an optimizer may know of a problem and its budget."""
    with guarded(f"structure of {type(problem.evaluator).__name__}"):
        check_shape(problem, problem.structure())
        structure = minimised(problem, with_constraints(problem))
    suggest = getattr(problem.evaluator, "suggest", None)
    return SearchView(
        problem.space,
        problem.names,
        problem.repair,
        structure,
        budget.evaluations,
        suggest,
        seconds=budget.seconds,
        constraints=tuple(c.text for c in problem.constraints),
    )


def make_optimizer(name: str, options: Mapping[str, Any], view: SearchView, registry: Registry) -> Optimizer:
    """The registered optimizer ``name``, built. Raises UnknownName for unknown names and option keys."""
    return _build(registry.load("optimizers", name), name, options, view)


def _built(
    optimizer: str | type, options: Mapping[str, Any], view: SearchView, registry: Registry | None
) -> tuple[Optimizer, str]:
    if isinstance(optimizer, str):
        if registry is None:
            from tradespace.plugins import registry as default

            registry = default()
        return make_optimizer(optimizer, options, view, registry), optimizer
    return _build(optimizer, optimizer.__name__, options, view), optimizer.__name__


def _build(cls: Any, name: str, options: Mapping[str, Any], view: SearchView) -> Optimizer:
    if not dataclasses.is_dataclass(getattr(cls, "Options", None)):
        raise PluginError("an optimizer class has a dataclass 'Options'", value=name)
    fields = {f.name: f for f in dataclasses.fields(cls.Options)}
    for key in options:
        if key not in fields:
            raise UnknownName(f"option of {name}", str(key), fields, where="options")
    try:
        chosen = cls.Options(**{key: _typed(fields[key], value, name) for key, value in options.items()})
    except (TypeError, ValueError) as error:
        raise ProblemError("options of an optimizer must fit", value=str(error), where=f"options of {name}") from None
    try:
        built: Optimizer = cls(view, chosen)
    except TradespaceError:
        raise
    except Exception as error:
        raise PluginError(
            "an optimizer is built from (view, options)", value=f"{type(error).__name__}: {error}", where=name
        ) from error
    return built


def _typed(field: dataclasses.Field[Any], value: Any, name: str) -> Any:
    """``value`` in the type of the field's default: whole numbers pass as floats, nothing else is converted."""
    default = field.default
    if default is dataclasses.MISSING or default is None or value is None:
        return value
    kind = type(default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ProblemError(
            f"'{field.name}' is {kind.__name__}",
            value=repr(value),
            where=f"options of {name}",
            remedy=f"Default: {default}.",
        )
    return value

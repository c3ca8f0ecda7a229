"""Whether a declared structure has the shape it must have, and whether priced designs bear it out.

A wrong declaration is worse than none: solvers would prove the front of other numbers. So shapes are checked before
anything is built, and every sum is compared with the prices of the reference designs, which are priced anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.held import remembered
from tradespace.designs import Choice, Composition, Designs, Space
from tradespace.errors import PluginError, UnknownName
from tradespace.problem import ChainTerm, Prices, Problem, Structure
from tradespace.search.graph_labels import graph_sums
from tradespace.search.labels import path_sums

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

TOLERANCE = 1e-6
"""Relative to the price: prices may be of single precision, and are summed in another order than the terms."""
_CANCELLED = 1e-12  # relative to the largest price: what is left of numbers that cancel
_ORDER = "Does an entry's state number its options with the last variable fastest?"


@dataclass(frozen=True)
class _Sum:
    """What the structure says of one metric or limit: ``(N,)`` of the designs, equal to the price or at most it."""

    what: str
    values: Array
    prices: Array
    exact: bool
    slack: float = 0.0  # absolute


def check_shape(problem: Problem, structure: Structure | None) -> None:
    """Raises `PluginError` or `UnknownName` for a structure that cannot be read: unknown metrics or variables, terms of
    another shape, numbers that are not finite."""
    if structure is None:
        return
    where = f"structure of {type(problem.evaluator).__name__}"
    if not isinstance(structure, Structure):
        raise PluginError("structure() returns a Structure or None", value=type(structure).__name__, where=where)
    _check_metrics(problem, structure, where)
    claimed = [*_claimed(structure)]
    if not claimed:
        return
    if not structure.variables:
        raise PluginError("a structure names the variables that its terms are about", where=where)
    entries, options = _size(structure, problem.space, where)
    graph = structure.graph
    states = options if structure.links is None else structure.links.shape[-1]
    for name, term in claimed:
        _check_term(term, (entries, states), (entries - 1, states, states), f"{where}, '{name}'")
    for name, term in _claimed(graph) if graph is not None else ():
        _check_term(term, (entries, options), (len(graph.edges), options, options), f"{where}, graph, '{name}'")  # type: ignore[union-attr]


def check_values(
    structure: Structure,
    designs: Designs,
    prices: Prices,
    where: str,
    *,
    tolerance: float = TOLERANCE,
    strict: bool = False,
) -> None:
    """Compare what a structure of the right shape says with the prices of ``designs``.

    Variables outside the structure may raise a metric, so that its exact form is then only what they leave at best;
    ``strict``: they must not.

    Raises:
        PluginError: names the metric and shows the design that contradicts it most.
    """
    whole = strict or set(structure.variables) == {v.name for v in designs.space.variables}
    for said in _sums(structure, designs, prices, where):
        exact = said.exact and whole
        off = said.values - said.prices
        size = np.maximum(np.abs(said.values), np.abs(said.prices))
        room = tolerance * np.maximum(size, said.slack) + _CANCELLED * float(size.max(initial=0.0))
        wrong = (np.abs(off) if exact else off) > room
        if not wrong.any():
            continue
        worst = int(np.argmax(np.where(wrong, np.abs(off) / np.maximum(size, 1e-300), -1.0)))
        numbers = f"{said.values[worst]:.6g} declared, {said.prices[worst]:.6g} priced"
        many = f"the largest of {int(wrong.sum())} disagreements in {len(designs)} designs"
        how = "equal to" if exact else "at most"
        instead = "Declare a sum that is only a lower bound with exact=False" if said.exact else "Lower the bound"
        raise PluginError(
            f"a declared {'exact form' if said.exact else 'lower bound'} is {how} what is priced",
            value=f"{numbers}, {many}, for {designs.brief(worst)}",
            where=f"{where}, {said.what}",
            remedy=f"{_ORDER} {instead}, or leave it out.",
        )


def verified(problem: Problem, designs: Designs, prices: Prices) -> None:
    """`check_values` on those of the designs that can run: others may be priced as dear as their author likes."""
    structure = problem.structure()
    if structure is None or structure.tasks is not None:
        return
    able = np.ones(len(designs), bool)
    for amount in prices.violations.values():
        able &= amount <= 0.0
    where = f"structure of {type(problem.evaluator).__name__}"
    if able.any():
        check_values(structure, designs.take(able), prices.take(able), where)


def _check_metrics(problem: Problem, structure: Structure, where: str) -> None:
    known = [m.name for m in problem.evaluator.metrics]
    graph = structure.graph
    more = [*graph.terms, *graph.maxima] if graph is not None else []
    for name in (*structure.terms, *structure.maxima, *more):
        if name not in known:
            raise UnknownName("metric", str(name), known, where=where)


def _claimed(form: Any) -> Iterator[tuple[str, ChainTerm]]:
    """Every term of a structure or graph, those of maxima and limits included."""
    yield from form.terms.items()
    for name, largest in form.maxima.items():
        yield from ((name, group) for group in largest.groups)
    yield from ((name, ChainTerm(unary)) for name, (unary, _) in form.limits.items())


def _check_term(term: ChainTerm, unary: tuple[int, ...], pair: tuple[int, ...], where: str) -> None:
    if not isinstance(term, ChainTerm):
        raise PluginError("a term is a ChainTerm", value=type(term).__name__, where=where)
    parts = [("unary", term.unary, unary), *([("pair", term.pair, pair)] if term.pair is not None else [])]
    for part, numbers, wanted in parts:
        array = np.asarray(numbers)
        if array.shape != wanted:
            raise PluginError(
                f"'{part}' has shape {wanted}: entries, then states",
                value=array.shape,
                where=where,
                remedy="An entry's states are the products of the options of the structure's variables.",
            )
        if not np.isfinite(array).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise PluginError(
                f"'{part}' holds finite numbers",
                value=f"{array[at]} at {list(at)}",
                where=where,
                remedy="States that an entry may not take are declared by Structure(allowed=...).",
            )


def _size(structure: Structure, space: Space, where: str) -> tuple[int, int]:
    """Entries of the chain, and the states that its variables make."""
    found = [space[name] for name in structure.variables]
    for v in found:
        if not isinstance(v, Choice) and (structure.apart or not isinstance(v, Composition)):
            raise PluginError("the variables of a structure are Choices", value=v.name, where=where)
    if structure.apart:
        most = max(len(v.options) for v in found)  # type: ignore[attr-defined]
        return sum(v.width for v in found), most
    lengths = {v.name: v.total if isinstance(v, Composition) else v.width for v in found}
    if len(set(lengths.values())) > 1:
        raise PluginError("the variables of a structure have one length", value=lengths, where=where)
    options = [v.width if isinstance(v, Composition) else len(v.options) for v in found]  # type: ignore[attr-defined]
    return next(iter(lengths.values())), int(np.prod(options))


def _states(structure: Structure, designs: Designs) -> Codes:
    """(N, n) own states of the entries: mixed radix with the last variable fastest, or the codes one after another."""
    if structure.apart:
        return np.concatenate([designs.columns[name].astype(np.int64) for name in structure.variables], axis=1)
    state: Codes = np.zeros((len(designs), 1), np.int64)
    for name in structure.variables:
        variable, codes = designs.space[name], designs.columns[name].astype(np.int64)
        if isinstance(variable, Composition):
            codes = np.stack([np.repeat(np.arange(len(row)), row) for row in codes])
        options = variable.width if isinstance(variable, Composition) else len(variable.options)  # type: ignore[attr-defined]
        state = state * options + codes
    return state


def _sums(structure: Structure, designs: Designs, prices: Prices, where: str) -> Iterator[_Sum]:
    if not [*_claimed(structure)]:
        return
    own = state = _states(structure, designs)
    if structure.links is not None:
        states = _size(structure, designs.space, where)[1]
        try:
            state = remembered(structure.links, own, states)
        except ValueError as error:
            raise PluginError("links allow every design of the space", value=error, where=where) from None

    def chain(term: ChainTerm) -> Array:
        return path_sums(term, state)

    if structure.graph is not None:  # first: the chain beside it was made from it
        graph = structure.graph
        yield from _of(graph.terms, graph.maxima, lambda term: graph_sums(graph, term, own), prices, "graph, ")
    yield from _of(structure.terms, structure.maxima, chain, prices, "")
    for name, (unary, cap) in structure.limits.items():
        if name not in prices.violations:
            raise PluginError(
                "a limit bears the name of a violation that price returns",
                value=name,
                where=where,
                remedy=f"Violations: {', '.join(prices.violations) or 'none'}.",
            )
        yield _Sum(f"limit '{name}'", chain(ChainTerm(unary)) / cap - 1.0, prices.violations[name], False, 1.0)


def _of(
    terms: Mapping[str, ChainTerm], maxima: Mapping[str, Any], total: Any, prices: Prices, prefix: str
) -> Iterator[_Sum]:
    for name, term in terms.items():
        yield _Sum(f"{prefix}'{name}'", total(term), prices[name], term.exact)
    for name, largest in maxima.items():
        values = np.max([total(group) for group in largest.groups], axis=0)
        yield _Sum(f"{prefix}'{name}', largest of {len(largest.groups)} sums", values, prices[name], largest.exact)

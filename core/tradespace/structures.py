"""Structures from what an evaluator's author knows: sums over a graph, and what each option of a variable adds.

Both are declared by returning the result from the evaluator's ``structure()``; see docs/plugins.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tradespace.costs.held import kept, lifted
from tradespace.designs import Choice, Space
from tradespace.errors import PluginError
from tradespace.problem import ChainTerm, Graph, MaxTerm, Structure


def per_variable(
    space: Space,
    adds: Mapping[str, Mapping[str, ArrayLike]],
    *,
    exact: Collection[str] = (),
    limits: Mapping[str, tuple[Mapping[str, ArrayLike], float]] | None = None,
) -> Structure:
    """The structure of metrics that are at least a sum of what the variables add one by one.

    Args:
        adds: metric of direction "min" -> variable -> what each option adds at least: ``(options,)`` for all entries
            of the variable, or ``(width, options)``. Negative numbers are fine. A variable that is not named adds
            nothing, so it must not lower the metric. Only Choices can be named.
        exact: metrics that are the sum itself.
        limits: what is priced as a violation under this name is at least ``sum / limit - 1``.

    Raises:
        PluginError: a variable is no Choice of the space, or numbers have another shape.
    """
    limits = limits or {}
    every = [*adds.values(), *(table for table, _ in limits.values())]
    named = {name for table in every for name in table}
    known = {v.name: v for v in space.variables if isinstance(v, Choice)}
    for name in sorted(named - set(known)):
        raise PluginError("bounds per variable are declared for choices of the space", value=name, where="structure")
    variables = [v for v in known.values() if v.name in named]
    if not adds or not variables:
        raise PluginError("bounds per variable name a metric and a variable", value=dict(adds), where="structure")
    most = max(len(v.options) for v in variables)

    def unary(table: Mapping[str, ArrayLike], where: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.concatenate([_added(v, table.get(v.name, np.zeros(len(v.options))), most, where) for v in variables])

    terms = {name: ChainTerm(unary(table, name), None, name in exact) for name, table in adds.items()}
    caps = {name: (unary(table, name), cap) for name, (table, cap) in limits.items()}
    return Structure(tuple(v.name for v in variables), terms, caps, apart=True)


def _added(variable: Choice, numbers: ArrayLike, most: int, where: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(width, most): states beyond an entry's options repeat the last one."""
    table = np.asarray(numbers, np.float64)
    wanted = variable.width, len(variable.options)
    if table.shape not in (wanted, wanted[1:]) or not np.isfinite(table).all():
        raise PluginError(
            f"what the options of '{variable.name}' add has shape {wanted[1:]} or {wanted} and is finite",
            value=table.shape,
            where=f"structure, {where}",
        )
    table = np.broadcast_to(table, wanted)
    return np.pad(table, ((0, 0), (0, most - wanted[1])), mode="edge")


def graph_structure(variables: tuple[str, ...], graph: Graph) -> Structure:
    """The structure of a graph: as a chain alone where the chain counts every edge, else the graph, beside it the chain
    whose sums are lower bounds.

    Args:
        variables: Choices of one length n; their codes make the state of an entry as in `Structure`.
        graph: entries 0 to n - 1 in the order of the variables; edges between two of them in any direction.
    """
    if not graph.terms:
        raise ValueError("a graph needs a term")
    n, own = next(iter(graph.terms.values())).unary.shape
    near = [(i, i + 1) for i in range(n - 1)]
    ahead = [tuple(sorted(edge)) for edge in graph.edges]
    far = kept([(a, b) for a, b in ahead if b > a + 1], n, own)
    rows = {edge: k for k, edge in enumerate([*near, *far])}
    whole = graph.links is None and all(edge in rows for edge in ahead)

    def term(t: ChainTerm) -> ChainTerm:
        if t.pair is None:
            return t
        unary, pair = np.array(t.unary, np.float64), np.zeros((len(rows), own, own))
        for edge, forward, cost in zip(ahead, graph.edges, t.pair, strict=True):
            if edge in rows:
                pair[rows[edge]] += cost if edge == forward else cost.T
            elif n:
                unary[0] += cost.min()  # an edge left out costs that much at least
        return ChainTerm(unary, pair, t.exact and whole)

    chain = Structure(
        variables,
        {name: term(t) for name, t in graph.terms.items()},
        graph.limits,
        {name: MaxTerm(tuple(map(term, m.groups)), m.exact and whole) for name, m in graph.maxima.items()},
        graph.allowed if not far or graph.allowed is None else np.tile(graph.allowed, (1, own)),
    )
    found = lifted(chain, far)
    return found if whole else replace(found, graph=graph)

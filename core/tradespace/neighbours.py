"""All designs one step away from a design, as one batch with a sentence for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.designs import Choice, Composition, Designs, Integer, Permutation, Real, Space
from tradespace.reports.describe import entry_names, runs

MOST = 200_000
"""Neighbours that are tried at most; a space with more is thinned evenly."""
_GRID = 11

Step = tuple[int, Any, str]  # entry (-1: the whole row), new value or row, sentence


@dataclass(frozen=True)
class Neighbours:
    """``designs`` (N); for each the variable that changed and what was done, as text."""

    designs: Designs
    variables: tuple[str, ...]
    texts: tuple[str, ...]


def entry_changes(space: Space, designs: Designs) -> Neighbours:
    """Every change of a single entry of one variable of the one design given (a swap, for an order; one unit moved,
    for a composition; a grid of values, for a real number)."""
    return _gather(space, designs, [(v.name, step) for v in space.variables for step in _steps(space, v, designs)])


def whole_changes(space: Space, designs: Designs) -> Neighbours:
    """Every setting of one Choice of several entries to one option throughout, and of each maximal run of equal
    entries to another option: what a person calls one change."""
    found: list[tuple[str, Step]] = []
    for v in space.variables:
        if not isinstance(v, Choice) or v.length is None:
            continue
        row = designs.columns[v.name][0]
        for code, option in enumerate(v.options):
            if (row != code).any():
                found.append((v.name, (-1, np.full_like(row, code), f"{v.name} {option} everywhere")))
        found += [(v.name, step) for step in _run_steps(space, v, row)]
    return _gather(space, designs, found)


def _run_steps(space: Space, v: Choice, row: NDArray[Any]) -> Iterator[Step]:
    """Each maximal run of equal entries set to each other option; runs of one entry are entry changes already."""
    names, start = entry_names(space, v.name), 0
    for end in range(1, len(row) + 1):
        if end < len(row) and row[end] == row[start]:
            continue
        if 1 < end - start < len(row):
            for code, option in enumerate(v.options):
                if code != row[start]:
                    new = row.copy()
                    new[start:end] = code
                    span = runs(names[start:end], [""] * (end - start))[0][0]
                    yield -1, new, f"{v.name} of {span}: {v.options[row[start]]} → {option}"
        start = end


def _gather(space: Space, designs: Designs, found: list[tuple[str, Step]]) -> Neighbours:
    if len(found) > MOST:
        found = [found[int(i)] for i in np.linspace(0, len(found) - 1, MOST)]
    columns = {name: np.repeat(block[:1], len(found), axis=0) for name, block in designs.columns.items()}
    for i, (name, (entry, value, _)) in enumerate(found):
        columns[name][i if entry < 0 else (i, entry)] = value
    return Neighbours(
        space.repair(Designs(space, columns)), tuple(n for n, _ in found), tuple(step[2] for _, step in found)
    )


def _steps(space: Space, v: Any, designs: Designs) -> Iterator[Step]:
    row = designs.columns[v.name][0]
    active = space.active(designs)[v.name][0]
    names = entry_names(space, v.name)
    if isinstance(v, Permutation):
        yield from _swaps(v.name, row)
    elif isinstance(v, Composition):
        yield from _moves(v, row)
    else:
        for i in np.flatnonzero(active).tolist():
            place = v.name if v.length is None else f"{v.name} of {names[i]}"
            for value in _values(v, row[i]):
                yield i, value, f"{place}: {_show(v, row[i])} → {_show(v, value)}"


def _values(v: Any, now: Any) -> list[Any]:
    """Other values of one entry: all of a Choice and of a short Integer, else near and far ones."""
    if isinstance(v, Choice):
        return [c for c in range(len(v.options)) if c != now]
    if isinstance(v, Integer):
        if v.high - v.low <= 64:
            values = set(range(v.low, v.high + 1))
        else:
            values = {v.low, v.high, now - 1, now + 1, now * 2, now // 2}
        return sorted(x for x in values if x != now and v.low <= x <= v.high)
    assert isinstance(v, Real)
    low, high = v.bounds()
    return [x for x in np.linspace(low[0], high[0], _GRID).tolist() if x != now]


def _swaps(name: str, row: NDArray[Any]) -> Iterator[Step]:
    for i in range(len(row)):
        for j in range(i + 1, len(row)):
            new = row.copy()
            new[i], new[j] = row[j], row[i]
            yield -1, new, f"{name}: swap {row[i]} and {row[j]}"


def _moves(v: Composition, row: NDArray[Any]) -> Iterator[Step]:
    for i in range(len(row)):
        for j in range(len(row)):
            if i != j and row[i] > 0:
                new = row.copy()
                new[i], new[j] = row[i] - 1, row[j] + 1
                yield -1, new, f"{v.name}: one from part {i} to part {j}"


def _show(v: Any, value: Any) -> str:
    return str(v.options[int(value)]) if isinstance(v, Choice) else f"{value:.4g}"

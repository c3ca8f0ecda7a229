"""One design in one line: "embed..7 dgpu int4 | 8..head npu int8"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradespace.designs import Composition, Permutation, Space

MAX_RUNS = 6
"""Runs that a one-line description shows before it counts the rest."""


def entry_names(space: Space, name: str) -> tuple[str, ...]:
    """Names of the entries of a variable; their numbers where it has none."""
    variable = space[name]
    return tuple(variable.entries) or tuple(str(i) for i in range(variable.width))


def kind_of(space: Space, name: str) -> str:
    """ "value" (one for the design), "shares" (of units over parts), "order", or "entries" (one an entry)."""
    variable = space[name]
    if isinstance(variable, Composition):
        return "shares"
    if isinstance(variable, Permutation):
        return "order"
    return "value" if variable.length is None else "entries"


@dataclass(frozen=True, slots=True)
class Group:
    """Variables that decide over the same entries; every other kind of variable is alone."""

    names: tuple[str, ...]
    kind: str
    entries: tuple[str, ...] = ()


def groups_of(space: Space) -> tuple[Group, ...]:
    """Placement and precision together, shares and orders next, single values last."""
    found: dict[tuple[str, ...], list[str]] = {}
    alone: list[Group] = []
    for v in space.variables:
        kind, entries = kind_of(space, v.name), entry_names(space, v.name)
        if kind == "entries":
            found.setdefault(entries, []).append(v.name)
        else:
            alone.append(Group((v.name,), kind, () if kind == "value" else entries))
    together = [Group(tuple(names), "entries", entries) for entries, names in found.items()]
    return (*(g for g in alone if g.kind == "shares"), *together, *(g for g in alone if g.kind != "shares"))


def runs(names: Sequence[str], texts: Sequence[str]) -> list[tuple[str, str]]:
    """Equal neighbours joined: ``[("embed..7", "dgpu int4"), ("head", "npu int8")]``."""
    spans: list[tuple[str, str, str]] = []
    for name, text in zip(names, texts, strict=True):
        if spans and spans[-1][2] == text:
            spans[-1] = (spans[-1][0], name, text)
        else:
            spans.append((name, name, text))
    return [(a if a == b else f"{a}..{b}", text) for a, b, text in spans]


def describer(space: Space, most: int = MAX_RUNS) -> Callable[[Mapping[str, Any]], str]:
    """Turns designs as `Designs.show` gives them into one line each; one of many runs is given as counts."""
    groups = groups_of(space)
    return lambda design: " | ".join(part for group in groups for part in _parts(group, design, most))


def describe(space: Space, design: Mapping[str, Any], most: int = MAX_RUNS) -> str:
    """One design in one line."""
    return describer(space, most)(design)


def _parts(group: Group, design: Mapping[str, Any], most: int) -> list[str]:
    if group.kind != "entries":
        name, value = group.names[0], design[group.names[0]]
        if group.kind == "shares":
            parts = [f"{entry} {units}" for entry, units in zip(group.entries, value, strict=True) if units]
            return [f"{name} {', '.join(parts)}"]
        return [f"{name} {' '.join(map(_plain, value)) if group.kind == 'order' else _plain(value)}"]
    texts = [" ".join(row) for row in zip(*(map(_plain, design[v]) for v in group.names), strict=True)]
    spans = runs(group.entries, texts)
    if len(spans) == 1:
        return [f"all {spans[0][1]}"]
    if len(spans) <= most:
        return [f"{span} {text}" for span, text in spans]
    counts = Counter(texts).most_common()
    parts = [f"{count}× {text}" for text, count in counts[:most]]
    parts += [f"{sum(c for _, c in counts[most:])} others"] if len(counts) > most else []
    parts[-1] += f" (in {len(spans)} runs)"
    return parts


def _plain(value: Any) -> str:
    return value if type(value) is str else f"{value:.4g}" if isinstance(value, float) else str(value)

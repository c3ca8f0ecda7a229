"""Where a plan's cost goes, for thousands of plans at once: by block and by device, names said once.

Explaining a plan takes a fraction of a millisecond, a front has thousands. So only some are explained: the picked ones,
and enough others that every choice of every block occurs. If a block's costs turn out to depend on nothing but its
own choices in all of them (tested, not assumed), the page puts any other plan together from its blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.plans import Plan, PlanRow
from tradespace.reports.summary import Decision, Summary

COST_UNITS: Mapping[str, str] = {
    "time": "s",
    "latency": "s",
    "busy": "s",
    "transfer": "s",
    "overhead": "s",
    "start": "s",
    "finish": "s",
    "wait": "s",
    "energy": "J",
    "memory": "B",
    "capacity": "B",
    "weights": "B",
    "kv": "B",
    "bytes": "B",
    "moved": "B",
    "resident": "B",
    "flop": "FLOP",
    "utilisation": "%",
    "power": "W",
    "temperature": "K",
}
"""Units of the costs that plans break down by block and device; others are shown as plain numbers. "%": a share."""
LIMITED: Mapping[str, str] = {"memory": "capacity", "resident": "capacity", "temperature": "temperature"}
_HIDDEN = ("capacity",)  # the target says it, and it is shown as the limit of others


COVER = 400
"""Plans that are explained at most."""
_SAME = 1e-9  # relative difference up to which two costs are one


def mapped(summary: Summary) -> tuple[Decision, ...]:
    """Decisions that a map over entries can show: choices an entry, and shares of as many units as there are entries
    (a contiguous placement), which are drawn as the entries they come to."""
    choices = [d for d in summary.decisions if d.options and d.kind == "entries"]
    rows = summary.rows or summary.nearest
    found = list(choices)
    for d in summary.decisions:
        units = sum(rows[0].design[d.name]) if rows and d.kind == "shares" else 0
        over = next((c.entries for c in choices if len(c.entries) == units), None)
        if over is not None:
            found.append(Decision(d.name, d.kind, d.entries, over))
    return tuple(found)


def codes_of(decision: Decision, value: Sequence[Any]) -> list[int]:
    if decision.kind == "shares":
        return [part for part, units in enumerate(value) for _ in range(units)]
    known = {o: i for i, o in enumerate(decision.options)}
    return [known[str(v)] for v in value]


def explained_rows(summary: Summary) -> list[int]:
    """Rows of the front to explain: the picked ones, then the first with each choice of each block; at most `COVER`."""
    group, states = _states(summary)
    chosen = dict.fromkeys(summary.picked or range(len(summary.rows)))
    if group:
        firsts = {int(i) for column in states.T for i in np.unique(column, return_index=True)[1]}
        chosen |= dict.fromkeys(sorted(firsts))
    return list(chosen)[:COVER]


def _states(summary: Summary) -> tuple[tuple[Decision, ...], NDArray[np.int64]]:
    """The decisions over the blocks and, per plan and block, their codes as one mixed-radix number, ``(N, n)``."""
    decisions = mapped(summary)
    group = tuple(d for d in decisions if d.entries == decisions[0].entries)
    rows = summary.rows or summary.nearest
    states = np.zeros((len(rows), len(group[0].entries) if group else 0), np.int64)
    for d in group:
        states = states * len(d.options) + np.asarray([codes_of(d, r.design[d.name]) for r in rows], np.int64)
    return group, states


def blocks(summary: Summary, plans: Mapping[str, Plan]) -> dict[str, Any]:
    """Costs by block. ``by``: the decisions that make a block's state; ``states[block][state]``: its costs. Where
    costs depend on more than that, ``states`` is None and ``table[id]`` has the costs of the explained plans."""
    found = _table({i: p.rows for i, p in plans.items()})
    group, states = _states(summary)
    ids = [r.id for r in summary.rows or summary.nearest]
    lookup = _lookup(found, dict(zip(ids, states, strict=True))) if found["names"] and len(group) else None
    by = [{"name": d.name, "options": len(d.options)} for d in group]
    return {**found, "by": by, "states": lookup, "table": found["table"] if lookup is None else {}}


def devices(plans: Mapping[str, Plan]) -> dict[str, Any]:
    """Costs by device of the explained plans: ``table[id][device][cost]``."""
    return _table({i: p.devices for i, p in plans.items()})


def _lookup(
    found: Mapping[str, Any], states: Mapping[str, NDArray[np.int64]]
) -> list[dict[str, list[float | None]]] | None:
    """Per block, state -> costs; None if one state of a block has two costs, or blocks are not the entries."""
    cells: list[dict[str, list[float | None]]] = [{} for _ in found["names"]]
    for identity, rows in found["table"].items():
        own = states.get(identity)
        if own is None or len(own) != len(rows):
            return None
        for cell, state, costs in zip(cells, own.tolist(), rows, strict=True):
            known = cell.setdefault(str(state), costs)
            if known is not costs and not _equal(known, costs):
                return None
    return cells


def _equal(a: Sequence[float | None], b: Sequence[float | None]) -> bool:
    return all(
        x == y or (x is not None and y is not None and math.isclose(x, y, rel_tol=_SAME))
        for x, y in zip(a, b, strict=True)
    )


def _table(plans: Mapping[str, Sequence[PlanRow]]) -> dict[str, Any]:
    """``table[id][row][cost]``. Plans whose rows are named otherwise than the first one's are left out."""
    names = [r.name for r in next(iter(plans.values()), ())]
    costs = [
        n for n in dict.fromkeys(n for found in plans.values() for r in found for n in r.costs) if n not in _HIDDEN
    ]
    same = [i for i, found in plans.items() if [r.name for r in found] == names]
    flat = rounded([[r.costs.get(n, math.nan) for n in costs] for i in same for r in plans[i]])
    cells = [[None if v != v else v for v in row] for row in flat]
    table = {i: cells[k * len(names) : (k + 1) * len(names)] for k, i in enumerate(same)}
    shown = [{"name": n, "unit": COST_UNITS.get(n, ""), "limit": LIMITED.get(n)} for n in costs]
    return {"names": names, "costs": shown, "table": table}


def rounded(rows: list[list[float]]) -> list[list[float]]:
    """`round_to` of a whole table at once: a front has a hundred thousand numbers."""
    table = np.asarray(rows, np.float64)
    if not table.size:
        return rows
    places = 6 - np.floor(np.log10(np.abs(table), where=table != 0, out=np.zeros_like(table))).clip(-290, 290)
    unit = 10.0 ** np.abs(places)  # a power of ten below 10^22 is exact, its inverse is not
    with np.errstate(over="ignore"):
        rounded = np.where(places >= 0, np.rint(table * unit) / unit, np.rint(table / unit) * unit)
    found: list[list[float]] = np.where(np.isfinite(rounded), rounded, table).tolist()
    return found


def round_to(value: float) -> float:
    """Seven significant digits: enough for any picture, half the bytes."""
    return float(f"{value:.7g}")

"""Two plans side by side: what was decided differently, and what that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradespace.plans import Plan
from tradespace.reports.columns import percent
from tradespace.reports.describe import runs
from tradespace.reports.plan import same_setting, shown, title, values_table
from tradespace.reports.terminal import grid, is_unicode, make_console, safe, tidy

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Decided:
    """One variable over a run of entries ("" for a single value) that two plans set differently."""

    variable: str
    entries: str
    a: str
    b: str

    def to_json(self) -> dict[str, str]:
        return {"variable": self.variable, "entries": self.entries, "a": self.a, "b": self.b}


def decisions(a: Plan, b: Plan) -> list[Decided]:
    """Where two designs differ, equal neighbours joined. What only one plan decides differs from "–"."""
    found: list[Decided] = []
    names = [r.name for r in a.rows]
    told: set[str] = set()
    if names and names == [r.name for r in b.rows]:  # what runs where, however the variables put it
        told = {key for row in (*a.rows, *b.rows) for key in row.choices}
        for key in dict.fromkeys(key for row in (*a.rows, *b.rows) for key in row.choices):
            left, right = ([_text(row.choices.get(key, "–")) for row in plan.rows] for plan in (a, b))
            found += _spans(key, names, left, right)
    for name in dict.fromkeys((*a.design, *b.design)):
        left, right = a.design.get(name, "–"), b.design.get(name, "–")
        if name in told or left == right:
            continue
        if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
            entries = [str(i) for i in range(len(left))]
            found += _spans(name, entries, [_text(v) for v in left], [_text(v) for v in right])
        else:
            found.append(Decided(name, "", _text(left), _text(right)))
    return found


def _spans(name: str, entries: list[str], a: list[str], b: list[str]) -> list[Decided]:
    pairs = [f"{x}\0{y}" if x != y else "" for x, y in zip(a, b, strict=True)]
    return [Decided(name, span, *pair.split("\0")) for span, pair in runs(entries, pairs) if pair]


def changes(a: Plan, b: Plan) -> dict[str, tuple[float | None, float | None, float | None]]:
    """Metric -> value of a, value of b, relative change (None where one is missing, or a is 0 and b is not)."""
    found: dict[str, tuple[float | None, float | None, float | None]] = {}
    for name in dict.fromkeys((*a.values, *b.values)):
        x, y = a.values.get(name), b.values.get(name)
        change = None
        if x is not None and y is not None and (x != 0 or y == 0):
            change = (y - x) / abs(x) if x else 0.0
        found[name] = (x, y, change)
    return found


def to_json(a: Plan, b: Plan) -> dict[str, Any]:
    return {
        "a": {"id": a.id, "workload": a.workload, "target": a.target, "feasible": a.feasible},
        "b": {"id": b.id, "workload": b.workload, "target": b.target, "feasible": b.feasible},
        "setting": {k: {"a": x, "b": y} for k, (x, y) in same_setting(a, b).items()},
        "design": [d.to_json() for d in decisions(a, b)],
        "values": {k: {"a": x, "b": y, "change": change} for k, (x, y, change) in changes(a, b).items()},
    }


def show_difference(a: Plan, b: Plan, console: Console | None = None) -> None:
    console = console or make_console()
    with tidy(console):
        _show(a, b, console, is_unicode(console))


def _show(a: Plan, b: Plan, console: Console, unicode: bool) -> None:
    for label, plan in (("a", a), ("b", b)):
        console.print(safe(f"{label}: {title(plan)}", unicode), style="bold")
    setting = [(name, f"{x} → {y}") for name, (x, y) in same_setting(a, b).items()]
    decided = [(f"{d.variable} of {d.entries}" if d.entries else d.variable, f"{d.a} → {d.b}") for d in decisions(a, b)]
    for heading, pairs in (("other settings", setting), ("decided differently", decided)):
        if pairs:
            console.print(f"\n{heading}", style="bold")
            console.print(grid(pairs, unicode, "cyan"))
    if not decided:
        console.print("\nthe designs are equal")
    units = {**b.units, **a.units}
    rows = [
        (
            name,
            *(shown(v, units.get(name, "")) if v is not None else "–" for v in (x, y)),
            _change(x, y, change, units.get(name)),
        )
        for name, (x, y, change) in changes(a, b).items()
        if x or y
    ]
    console.print()
    console.print(values_table(("", "a", "b", "change"), rows, unicode))


def _change(x: float | None, y: float | None, change: float | None, unit: str | None) -> str:
    if unit == "K" and x is not None and y is not None:  # a share of absolute zero says nothing
        return "=" if x == y else f"{'−' if y < x else '+'}{abs(y - x):.1f} K"
    return "" if change is None else "=" if change == 0 else percent(change)


def _text(value: Any) -> str:
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)

"""One plan on the terminal: what it costs, what runs where, what each device does, what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradespace import units
from tradespace.plans import Plan, PlanRow
from tradespace.reports.breakdown import COST_UNITS
from tradespace.reports.columns import amount, column
from tradespace.reports.describe import runs
from tradespace.reports.summary import reference_text
from tradespace.reports.terminal import grid, is_unicode, make_console, safe, tidy

if TYPE_CHECKING:
    from rich.console import Console

SUBSTITUTES = 5


def show_plan(plan: Plan, console: Console | None = None) -> None:
    """Print a plan. Names from files cannot style or move anything."""
    console = console or make_console()
    with tidy(console):
        _show(plan, console, is_unicode(console))


def _show(plan: Plan, console: Console, unicode: bool) -> None:
    console.print(safe(title(plan), unicode), style="bold")
    devices = {d.name for d in plan.devices}
    values = {k: v for k, v in plan.values.items() if k.rpartition(".")[2] not in devices or "." not in k}
    console.print(grid([(k, shown(v, plan.units.get(k, ""))) for k, v in values.items()], unicode))
    for label, lines in (("what runs where", placement(plan)), ("does not meet", broken(plan))):
        if lines:
            console.print(f"\n{label}", style="bold")
            console.print(grid(lines, unicode, "cyan"))
    if plan.devices:
        console.print()
        console.print(_table(plan.devices, "device", unicode))
    if plan.substitutes:
        count = len(plan.substitutes)
        console.print(safe(f"\nrests on {count} substitute number{'' if count == 1 else 's'}", unicode), style="bold")
        more = [f"… and {count - SUBSTITUTES} more"] if count > SUBSTITUTES else []
        for line in (*plan.substitutes[:SUBSTITUTES], *more):
            console.print(safe(f"  {line}", unicode))


def title(plan: Plan) -> str:
    subject = f": {reference_text(plan.workload)} on {reference_text(plan.target)}" if plan.workload else ""
    return f"plan {plan.id[:8]}{subject}{'' if plan.feasible else ' (not feasible)'}"


def placement(plan: Plan) -> list[tuple[str, str]]:
    """Runs of equal entries, then single values: ``[("embed..7", "dgpu int4"), ("samples", "1")]``."""
    names = [r.name for r in plan.rows]
    pairs = runs(names, [" ".join(str(v) for v in r.choices.values()) for r in plan.rows]) if names else []
    told = {key for row in plan.rows for key in row.choices}
    for name, value in plan.design.items():
        if name not in told:
            pairs.append((name, ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)))
    return pairs


def broken(plan: Plan) -> list[tuple[str, str]]:
    return [(name, f"exceeded by {amount(v)}") for name, v in plan.violations.items() if v > 0]


def shown(value: float, unit: str) -> str:
    return units.format(value, "degC" if unit == "K" else unit)


def to_json(plan: Plan) -> dict[str, Any]:
    """A plan as one document, SI units."""

    def rows(found: Sequence[PlanRow]) -> list[dict[str, Any]]:
        return [{"name": r.name, "choices": dict(r.choices), "costs": dict(r.costs)} for r in found]

    return {
        "id": plan.id,
        "workload": plan.workload,
        "target": plan.target,
        "evaluator": plan.evaluator,
        "options": dict(plan.options),
        "design": dict(plan.design),
        "values": dict(plan.values),
        "units": dict(plan.units),
        "violations": dict(plan.violations),
        "feasible": plan.feasible,
        "rows": rows(plan.rows),
        "devices": rows(plan.devices),
        "substitutes": list(plan.substitutes),
    }


def _table(rows: Sequence[PlanRow], head: str, unicode: bool) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = list(dict.fromkeys(name for r in rows for name in r.costs))
    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column(head, style="cyan", no_wrap=True)
    shown_as = [column(n, COST_UNITS.get(n, ""), (r.costs[n] for r in rows if n in r.costs)) for n in names]
    for c in shown_as:
        heading = f"{c.name}\n{c.label}" if c.label else c.name
        table.add_column(Text(safe(heading, unicode), justify="right"), justify="right")
    for r in rows:
        cells = [c.text(r.costs[c.name]) if c.name in r.costs else "" for c in shown_as]
        table.add_row(Text(safe(r.name, unicode)), *cells)
    return table


def values_table(head: Sequence[str], rows: Sequence[tuple[str, ...]], unicode: bool) -> Any:
    """A small table: a name, then right-aligned texts."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII, pad_edge=False, show_edge=False, header_style="bold")
    for i, name in enumerate(head):
        table.add_column(Text(safe(name, unicode)), justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(Text(safe(cell, unicode)) for cell in row))
    return table


def same_setting(a: Plan, b: Plan) -> Mapping[str, tuple[str, str]]:
    """What differs between the settings of two plans: ``{"target": ("laptop", "phone")}``."""
    pairs = {
        "workload": (reference_text(a.workload), reference_text(b.workload)),
        "target": (reference_text(a.target), reference_text(b.target)),
        "evaluator": (str(a.evaluator), str(b.evaluator)),
        "options": (str(dict(a.options)), str(dict(b.options))),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

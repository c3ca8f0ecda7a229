"""A plan: one design as something a person can read, keep in a file, price again and compare."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace import units
from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.designs import Designs
    from tradespace.problem import Evaluator, Prices

FORMAT = "tradespace plan 1"
_KEYS = ("format", "id", "workload", "target", "evaluator", "options", "design", "values", "substitutes")


def in_runs(value: Any) -> str:
    """A decision in words; equal neighbours of a list are counted: "10× cpu, npu"."""
    if not isinstance(value, list | tuple):
        return str(value)
    runs = [(str(entry), len(list(run))) for entry, run in itertools.groupby(value)]
    return ", ".join(entry if count == 1 else f"{count}× {entry}" for entry, count in runs)


@dataclass(frozen=True)
class PlanRow:
    """One entry of a design (a block, a stage) or one device: what was chosen and what it costs, SI units."""

    name: str
    choices: Mapping[str, Any]
    costs: Mapping[str, float]


@dataclass(frozen=True)
class Plan:
    """One priced design. ``workload`` and ``target`` are references as in a setting (name, path or mapping)."""

    id: str
    design: Mapping[str, Any]
    values: Mapping[str, float]
    units: Mapping[str, str] = field(default_factory=dict)
    violations: Mapping[str, float] = field(default_factory=dict)
    workload: Any = None
    target: Any = None
    evaluator: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[PlanRow, ...] = ()  # per entry
    devices: tuple[PlanRow, ...] = ()  # per device
    substitutes: tuple[str, ...] = ()

    @property
    def feasible(self) -> bool:
        return all(v <= 0 for v in self.violations.values())

    def explain(self) -> str:
        """The plan in words: values, what runs where, what each device does, what is broken, what it rests on."""
        lines = [f"plan {self.id[:8]}" + (f": {self.workload} on {self.target}" if self.workload else "")]
        lines += [f"  {name:18} {units.format(v, self.units.get(name, ''))}" for name, v in self.values.items()]
        if self.rows:
            lines += ["placement"] + [f"  {span:10} {choices}" for span, choices in _runs(self.rows)]
        else:
            lines += ["design"] + [f"  {name}: {in_runs(value)}" for name, value in self.design.items()]
        if self.devices:
            lines += ["devices"] + [f"  {d.name:10} {_costs(d.costs)}" for d in self.devices]
        broken = {k: v for k, v in self.violations.items() if v > 0}
        if broken:
            lines += ["not feasible"] + [f"  {name} exceeded by {v:.1%}" for name, v in broken.items()]
        if self.substitutes:
            lines += [f"rests on {len(self.substitutes)} substitute numbers, first: {self.substitutes[0]}"]
        return "\n".join(lines)

    def to_yaml(self) -> str:
        import yaml

        document = {
            "format": FORMAT,
            "id": self.id,
            "workload": _plain(self.workload),
            "target": _plain(self.target),
            "evaluator": self.evaluator,
            "options": _plain(self.options),
            "design": _plain(self.design),
            "values": {k: units.format(v, self.units.get(k, "")) for k, v in self.values.items()},
            "substitutes": list(self.substitutes),
        }
        return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110))


@dataclass(frozen=True)
class PlanFile:
    """What a plan file says before it is priced again. ``values`` in it are for people and are not read."""

    id: str
    design: Mapping[str, Any]
    workload: Any
    target: Any
    evaluator: str | None
    options: Mapping[str, Any]


def read_plan(path: str | Path) -> PlanFile:
    """Read a plan file. Raises `InputError` naming file and key; the file is data only, nothing in it is executed."""
    from tradespace.documents import read_document

    where = str(path)
    document = read_document(Path(path))
    if document.get("format") != FORMAT:
        raise InputError(
            f"a plan file starts with 'format: {FORMAT}'",
            where=where,
            remedy="Plans are written by 'tradespace search' and 'tradespace explain --output'.",
        )
    for key in document:
        if key not in _KEYS:
            raise InputError("unknown key of a plan", value=key, where=where, remedy=f"Known: {', '.join(_KEYS)}.")
    if "${" in repr(document):
        raise InputError("plans hold plain values, no ${...}", where=where)
    for key in ("design", "workload", "target"):
        if not document.get(key):
            raise InputError(f"a plan needs '{key}'", where=where)
    design, options = document["design"], document.get("options") or {}
    if not isinstance(design, dict) or not isinstance(options, dict):
        raise InputError("'design' and 'options' are mappings", where=where)
    evaluator = document.get("evaluator")
    return PlanFile(str(document.get("id", "")), design, document["workload"], document["target"], evaluator, options)


def _runs(rows: tuple[PlanRow, ...]) -> list[tuple[str, str]]:
    """Equal neighbours as one line: ("0..7", "placement dgpu, precision int4")."""
    spans: list[tuple[str, str, str]] = []
    for row in rows:
        text = ", ".join(f"{k} {v}" for k, v in row.choices.items())
        if spans and spans[-1][2] == text:
            spans[-1] = (spans[-1][0], row.name, text)
        else:
            spans.append((row.name, row.name, text))
    return [(a if a == b else f"{a}..{b}", text) for a, b, text in spans]


def _costs(costs: Mapping[str, float]) -> str:
    return ", ".join(f"{k} {v:.4g}" for k, v in costs.items())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return value if value is None or isinstance(value, bool | int | str | float) else str(value)


def plan_of_prices(
    evaluator: Evaluator, design: Designs, prices: Prices, setting: tuple[str, str, str], given: Mapping[str, Any]
) -> Plan:
    """The first design as a plan without rows. ``setting``: names of workload, target and evaluator; ``given``: its
    options as the user wrote them."""
    workload, target, name = setting
    return Plan(
        id=design.ids[0],
        design=design.show(0),
        values={metric: float(column[0]) for metric, column in prices.columns.items()},
        units={metric.name: metric.unit for metric in evaluator.metrics},
        violations={rule: float(column[0]) for rule, column in prices.violations.items()},
        workload=workload,
        target=target,
        evaluator=name,
        options=dict(given),
        substitutes=tuple(f"{s.path}: {s.source}" for s in getattr(evaluator, "substitutes", ())),
    )

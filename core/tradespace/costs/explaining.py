"""One design of a tables evaluator as a readable plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tradespace.costs import kernel
from tradespace.costs.columns import ENERGY, MOVED, RESIDENT, TIME, USEFUL
from tradespace.costs.pressure import cpq, kappa
from tradespace.designs import Designs
from tradespace.plans import Plan, PlanRow

if TYPE_CHECKING:
    from tradespace.costs.evaluator import TablesEvaluator


def plan_of(evaluator: TablesEvaluator, design: Designs) -> Plan:
    """The plan of the first design of ``design``."""
    design = design.take(slice(0, 1))
    prices = evaluator.price(design)
    binding = evaluator.binding
    placement, precision, variant = binding.codes(design)
    costs = binding.costs[int(variant[0])]
    return Plan(
        id=design.ids[0],
        design=design.show(0),
        values={name: float(column[0]) for name, column in prices.columns.items()},
        units={metric.name: metric.unit for metric in evaluator.metrics},
        violations={name: float(column[0]) for name, column in prices.violations.items()},
        workload=binding.graph.name,
        target=binding.target.name,
        evaluator=evaluator.name,
        options=dict(evaluator.given),
        rows=tuple(
            _entry(evaluator, costs[b, d, p], name, int(d), int(p))
            for b, (name, d, p) in enumerate(zip(binding.entries.names, placement[0], precision[0], strict=True))
        ),
        devices=_devices(evaluator, design, costs, placement[0], precision[0]),
        substitutes=tuple(f"{s.path}: {s.source}" for s in evaluator.substitutes),
    )


def _entry(evaluator: TablesEvaluator, row: Any, name: str, d: int, p: int) -> PlanRow:
    binding = evaluator.binding
    choices = {"placement": binding.target.devices[d].name, "precision": binding.precisions[p].name}
    return PlanRow(name, choices, {**_costs(row), "utilisation": _ratio(row[USEFUL], row[TIME])})


def _devices(
    evaluator: TablesEvaluator, design: Designs, costs: Any, placement: Any, precision: Any
) -> tuple[PlanRow, ...]:
    out = evaluator.packed.run(*evaluator.binding.codes(design))[:, 0]
    target = evaluator.binding.target
    count, rows = len(target.devices), []
    group = [out[kernel.GLOBALS + g * count : kernel.GLOBALS + (g + 1) * count] for g in range(kernel.GROUPS)]
    shares = out[kernel.GLOBALS + kernel.GROUPS * count :] + 1.0
    for d, device in enumerate(target.devices):
        here = np.flatnonzero(placement == d)
        total = costs[here, d, precision[here]].sum(axis=0)
        busy, resident = float(group[kernel.OUT_BUSY][d]), float(group[kernel.OUT_RESIDENT][d])
        numbers = {**_costs(total), "time": busy, "resident": resident, "utilisation": _ratio(total[USEFUL], busy)}
        if evaluator.rules[kernel.RULE_THERMAL] > 0:
            kelvin = float(group[kernel.OUT_KELVIN][d])
            numbers |= {"temperature": kelvin, "phi": yield_of(evaluator, d, float(total[ENERGY]), busy)}
        if evaluator.rules[kernel.RULE_C] > 0:
            u = max(resident / device.capacity, float(shares[list(target.memories).index(device.memory)]))
            c, u0 = evaluator.rules[kernel.RULE_C], evaluator.rules[kernel.RULE_U0]
            numbers |= {"cpq": float(cpq(u)), "kappa": float(kappa(u, c, u0))}
        rows.append(PlanRow(device.name, {"entries": len(here), "model": device.model}, numbers))
    return tuple(rows)


def yield_of(evaluator: TablesEvaluator, d: int, energy: float, busy: float) -> float:
    """Phi: the share of a device's power that does work."""
    from tradespace.costs import thermal

    if busy <= 0 or energy <= 0:
        return 1.0
    mean = energy / busy
    return mean / (mean + float(thermal.leakage(mean, evaluator.packed.devices, d)))


def _costs(row: Any) -> dict[str, float]:
    names = {"time": TIME, "energy": ENERGY, "moved": MOVED, "resident": RESIDENT}
    return {name: float(row[column]) for name, column in names.items()}


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0

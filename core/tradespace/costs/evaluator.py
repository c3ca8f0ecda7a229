"""The evaluator over packed tables. Which metrics it offers and which mechanisms are on is decided by its factory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs import bounds, kernel
from tradespace.costs.binding import Binding
from tradespace.costs.explaining import plan_of
from tradespace.costs.pack import Packed, pack
from tradespace.designs import Designs, Space
from tradespace.plans import Plan
from tradespace.problem import Metric, Prices, Structure
from tradespace.targets.model import Sourced

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TablesEvaluator:
    """Prices placements and precisions by gathering from tables. Pure.

    Args:
        binding: workload and target, tabulated.
        rules: (RULES,) of the kernel.
        metrics: what is offered; each is a row of the kernel, a device column, or in `by_samples`.
        by_samples: metrics that depend on the number of samples alone, (K,) each.
        model_constants: the model's own numbers, listed with the substitutes a result rests on.
        name, given: name of the evaluator and options as the user wrote them, for plans.
    """

    binding: Binding
    rules: Floats
    metrics: tuple[Metric, ...]
    by_samples: Mapping[str, Floats] = field(default_factory=dict)
    model_constants: tuple[Sourced, ...] = ()
    name: str = "tables"
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def space(self) -> Space:
        return self.binding.space

    @property
    def default_objectives(self) -> tuple[str, ...]:
        """What a search without objectives is about: time, energy and what the formats give up, where offered."""
        offered = {m.name for m in self.metrics}
        return tuple(name for name in ("latency", "energy", "loss") if name in offered)

    @cached_property
    def packed(self) -> Packed:
        return pack(self.binding, self.rules)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Metric -> row of the kernel's output."""
        return metric_rows([d.name for d in self.binding.target.devices])

    @cached_property
    def limits(self) -> dict[str, int]:
        """Violation -> row of the kernel's output."""
        target, base = self.binding.target, kernel.GLOBALS
        count = len(target.devices)
        rows = {f"memory.{m}": base + kernel.GROUPS * count + i for i, m in enumerate(target.memories)}
        for d, device in enumerate(target.devices):
            if self.rules[kernel.RULE_THERMAL] > 0 and (device.thermal_resistance > 0 or device.leakage_power > 0):
                rows[f"thermal.{device.name}"] = base + kernel.OUT_HOT * count + d
        return rows

    @cached_property
    def device_limits(self) -> tuple[tuple[int, float, str], ...]:
        """(row of the bytes held, capacity, violation) of devices that may not use their whole memory."""
        target = self.binding.target
        return tuple(
            (self.rows[f"memory.{device.name}"], device.capacity, f"memory.{device.name}")
            for device in target.devices
            if device.capacity < target.memories[device.memory].capacity
        )

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        graph = self.binding.graph
        own = tuple(Sourced(f"workload.{graph.name}", text, "1", text, "substitute") for text in graph.substitutes)
        return (*self.binding.target.substitutes, *own, *self.model_constants)

    def price(self, designs: Designs) -> Prices:
        placement, precision, variant = self.binding.codes(designs)
        out = self.packed.run(placement, precision, variant)
        values = {}
        for metric in self.metrics:
            if metric.name in self.rows:
                values[metric.name] = out[self.rows[metric.name]]
            elif metric.name in self.by_samples:
                values[metric.name] = self.by_samples[metric.name][variant]
            else:
                values[metric.name] = self._extra(metric.name, placement, precision, variant)
        violations = {name: out[row] for name, row in self.limits.items()}
        for row, capacity, name in self.device_limits:
            violations[name] = out[row] / capacity - 1.0
        if self.binding.broken.any():
            violations["runs"] = 2.0 * out[kernel.OUT_BROKEN] - 1.0
        return Prices(values, violations)

    def repair(self, designs: Designs) -> Designs:
        return self.binding.repair(designs)

    @cached_property
    def _structure(self) -> Structure | None:
        found = bounds.structure(self.binding, self.packed)
        if found is None:
            return None
        offered = {m.name for m in self.metrics}
        terms = {k: v for k, v in found.terms.items() if k in offered}
        return replace(found, terms=terms, maxima={k: v for k, v in found.maxima.items() if k in offered})

    def structure(self) -> Structure | None:
        return self._structure

    def explain(self, design: Designs) -> Plan:
        return plan_of(self, design)

    def _extra(self, name: str, placement: Any, precision: Any, variant: Any) -> Floats:
        """A further column of a device model, summed over entries, or its mean weighted by another column."""
        table = np.stack([t.extra[name] for t in self.binding.tables])
        entries = np.arange(placement.shape[1])[None, :]
        total = np.asarray(table[variant[:, None], entries, placement, precision].sum(axis=1))
        column = self.binding.tables[0].described.get(name)
        if column is None or column.over is None:
            return total
        weight = self._extra(column.over, placement, precision, variant)
        return np.asarray(np.divide(total, weight, out=np.zeros_like(total), where=weight > 0))


def metric_rows(devices: list[str]) -> dict[str, int]:
    rows = {
        "latency": kernel.OUT_LATENCY,
        "period": kernel.OUT_PERIOD,
        "energy": kernel.OUT_ENERGY,
        "loss": kernel.OUT_LOSS,
        "memory": kernel.OUT_MEMORY,
        "underutilisation": kernel.OUT_UNDER,
        "temperature": kernel.OUT_HOTTEST,
        "power": kernel.OUT_POWER,
        "throughput": kernel.OUT_RATE,
    }
    groups = {"busy": kernel.OUT_BUSY, "memory": kernel.OUT_RESIDENT, "temperature": kernel.OUT_KELVIN}
    for prefix, group in groups.items():
        start = kernel.GLOBALS + group * len(devices)
        rows |= {f"{prefix}.{name}": start + d for d, name in enumerate(devices)}
    return rows

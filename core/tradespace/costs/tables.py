"""The tables evaluator: placement and precision priced from roofline-like tables, nothing thermal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import plugins
from tradespace.costs import kernel
from tradespace.costs.binding import Binding, accepts, bind
from tradespace.costs.contract import Column
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.options import read_options
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric
from tradespace.targets.model import Sourced

OPTIONS = ("per", "placement", "schedule", "kv_precision", "precisions", "samples")

COMPUTE_SHARE = Sourced(
    "tables.a",
    0.5,
    "1",
    "ours: arithmetic and memory traffic each draw half of the dynamic power at the ridge point, as no data sheet says",
    "substitute",
)
"""Share of a device's dynamic power that arithmetic at peak draws; full memory traffic draws the rest."""

LOSS = (
    "parameter-weighted mean of the number formats' relative squared error on normal weights (ours; a proxy, "
    "not an accuracy)"
)


class TablesFactory:
    """Takes operator graphs on any target whose devices run all their kinds."""

    fidelity = 10

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        answer = accepts(workload, target)
        return answer if isinstance(answer, Declined) else True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> TablesEvaluator:
        """Device models and formats come from ``registry`` (default: the installed plugins).

        Raises:
            UnknownName, ProblemError: options that do not fit.
        """
        found = registry or plugins.registry()
        chosen = read_options(options, OPTIONS, found)
        binding = bind(workload, target, chosen, found, compute_share=float(COMPUTE_SHARE.value))
        metrics = (*common_metrics(chosen.schedule), *device_metrics(binding), *extra_metrics(binding))
        return TablesEvaluator(
            binding,
            rules(chosen.schedule),
            metrics,
            model_constants=(COMPUTE_SHARE,),
            name="tables",
            given=dict(options),
        )


def rules(schedule: str, *, thermal: bool = False, c: float = 0.0, u0: float = 0.0) -> NDArray[np.float64]:
    """(RULES,) of the kernel."""
    out = np.zeros(kernel.RULES)
    out[kernel.RULE_PIPELINE] = schedule == "pipeline"
    out[kernel.RULE_THERMAL] = thermal
    out[kernel.RULE_C], out[kernel.RULE_U0] = c, u0
    return out


def common_metrics(schedule: str) -> tuple[Metric, ...]:
    pace = "the busiest device's time" if schedule == "pipeline" else "latency"
    return (
        Metric("latency", "s", "min", "time of one job: all entries one after another, and the transfers between them"),
        Metric("period", "s", "min", f"time from one job to the next: {pace}"),
        Metric("energy", "J", "min", f"energy of one job: devices at work, idle devices for {pace}, transfers"),
        Metric("loss", "1", "min", LOSS),
        Metric("memory", "B", "min", "weights and KV cache in all memories"),
        Metric("throughput", "token/s", "max", f"tokens of one job over {pace}"),
        Metric("power", "W", "min", f"energy of one job over {pace}"),
    )


def device_metrics(binding: Binding, extra: Sequence[str] = ()) -> tuple[Metric, ...]:
    names = [device.name for device in binding.target.devices]
    out = [Metric(f"memory.{n}", "B", "min", f"weights and KV cache held for {n}") for n in names]
    out += [Metric(f"busy.{n}", "s", "min", f"time {n} works on one job") for n in names]
    if "temperature" in extra:
        out += [Metric(f"temperature.{n}", "K", "min", f"steady temperature of {n} while it works") for n in names]
    return tuple(out)


def extra_metrics(binding: Binding) -> tuple[Metric, ...]:
    """Further columns of the device models."""
    found = binding.tables[0]
    known = {name: found.described.get(name, Column()) for name in found.extra}
    return tuple(
        Metric(name, column.unit, column.direction, column.meaning or f"sum of '{name}' of the device models")
        for name, column in known.items()
        if column.over is None or column.over in known
    )

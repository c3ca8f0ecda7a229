"""QEIL v2 on any target: DASI, CPQ and Phi in one energy equation. A reconstruction: every formula here is ours.

System: "QEIL v2: Heterogeneous Computing for Edge Intelligence via Roofline-Derived Pareto-Optimal Energy Modeling and
Multi-Objective Orchestration", arXiv 2602.06057v3. Its abstract names the three metrics; their formulas are not
published in reach, so these are ours, as is every constant in `CONSTANTS`:

- DASI = min(1, arithmetic intensity / ridge point) per operator: the share of peak that the roofline attains. It
  splits the dynamic power: P_dyn = idle + dynamic * (a * DASI + (1 - a) * achieved bandwidth / bandwidth).
- CPQ = u / (1 - u), u the used share of a device's memory (its own limit, or the memory it shares, whichever is
  fuller). On energy it acts through kappa = 1 + c * max(0, u - u0)^2 / (1 - u).
- Phi = P_dyn / (P_dyn + P_leak(T)) with T = Ta + R * (P_dyn + P_leak(T)), P_dyn the mean power of a device at work.
- E(plan) = sum over devices of busy time * P_dyn * kappa / Phi, + idle power while a device waits, + transfers.

A device without leakage has Phi = 1; one without thermal resistance stays at ambient. Runaway (no fixed point) and
temperatures above the device's maximum are graded violations `thermal.<device>`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import plugins
from tradespace.costs.binding import Binding, accepts, bind
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.options import read_options
from tradespace.costs.tables import OPTIONS, common_metrics, device_metrics, extra_metrics, rules
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric
from tradespace.targets.model import Sourced


def _ours(name: str, value: float, why: str) -> tuple[str, Sourced]:
    return name, Sourced(f"qeil.{name}", value, "1", f"ours: {why}", "substitute")


CONSTANTS: Mapping[str, Sourced] = dict(
    [
        _ours("a", 0.5, "arithmetic and memory traffic each draw half of the dynamic power at the ridge point"),
        _ours(
            "c", 0.5, "a memory filled to 90 % costs 1.2 times the energy: a nearly full allocator searches and evicts"
        ),
        _ours("u0", 0.7, "below 70 % of a memory, allocation costs nothing"),
        _ours("coverage_alpha", 0.35, "one sample of a model of 1e9 parameters covers 30 % of the tasks"),
        _ours("coverage_size", 0.7, "exponent of the model's size; beta ~ 0.7 is quoted for QEIL v1"),
        _ours("coverage_samples", 0.7, "exponent of the number of samples; beta ~ 0.7 is quoted for QEIL v1"),
    ]
)
"""Every constant of the model that is not a device's."""

SWITCHES = ("dasi", "cpq", "phi")


class QEILFactory:
    """Takes operator graphs on any target whose devices run all their kinds.

    Options: those of the tables evaluator, and ``dasi``, ``cpq``, ``phi``: false switches a mechanism off (a busy
    device counts as fully utilised; memory pressure costs nothing; no leakage, no temperature).
    """

    fidelity = 20

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
        chosen = read_options(options, (*OPTIONS, *SWITCHES), found)
        binding = bind(workload, target, chosen, found, compute_share=constant("a"))
        pressure = constant("c") if chosen.cpq else 0.0
        return TablesEvaluator(
            binding,
            rules(chosen.schedule, thermal=chosen.phi, c=pressure, u0=constant("u0")),
            metrics(binding, chosen.schedule, chosen.phi),
            by_samples={"coverage": coverage(binding.graph.parameters, np.array(binding.samples, np.float64))},
            model_constants=tuple(CONSTANTS.values()),
            name="qeil",
            given=dict(options),
        )


def constant(name: str) -> float:
    return float(CONSTANTS[name].value)


def metrics(binding: Binding, schedule: str, phi: bool) -> tuple[Metric, ...]:
    heat = (Metric("temperature", "K", "min", "temperature of the hottest device while it works"),) if phi else ()
    return (
        *common_metrics(schedule),
        Metric("underutilisation", "1", "min", "1 - mean over devices of the share of time spent at peak (ours)"),
        Metric("coverage", "1", "max", "share of tasks that one of k samples solves: exponential law of QEIL v1"),
        *heat,
        *device_metrics(binding, ("temperature",) if phi else ()),
        *extra_metrics(binding),
    )


def coverage(parameters: float, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) C(S) = 1 - exp(-alpha N^b1 S^b2), N in 1e9 parameters: the form quoted for QEIL v1, constants ours."""
    size = max(parameters, 1.0) / 1e9
    rate = constant("coverage_alpha") * math.pow(size, constant("coverage_size"))
    return np.asarray(1.0 - np.exp(-rate * samples ** constant("coverage_samples")))

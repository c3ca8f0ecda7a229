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
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import plugins, units
from tradespace.costs.binding import Binding, accepts, bind
from tradespace.costs.evaluator import TablesEvaluator
from tradespace.costs.options import read_options
from tradespace.costs.tables import OPTIONS, common_metrics, device_metrics, extra_metrics, rules
from tradespace.errors import ProblemError, UnknownName
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric
from tradespace.targets.model import Sourced


def _constant(name: str, value: float, source: str, kind: str = "substitute") -> tuple[str, Sourced]:
    return name, Sourced(f"qeil.{name}", value, "1", source, kind)


CONSTANTS: Mapping[str, Sourced] = dict(
    [
        _constant(
            "a", 0.5, "ours: arithmetic and memory traffic each draw half of the dynamic power at the ridge point"
        ),
        _constant(
            "c", 0.5, "ours: a memory filled to 90 % costs 1.2 times the energy, as its allocator searches and evicts"
        ),
        _constant("u0", 0.7, "ours: below 70 % of a memory, allocation costs nothing"),
        _constant("coverage_alpha", 0.35, "ours: one sample of a model of 1e9 parameters covers 30 % of the tasks"),
        _constant("coverage_size", 0.7, "QEIL v1 as public notes quote it (beta ~ 0.7); to which exponent is ours"),
        _constant("coverage_samples", 0.7, "QEIL v1 as public notes quote it (beta ~ 0.7); to which exponent is ours"),
    ]
)
"""Every constant of the model that is not a device's. The option ``constants`` overrides them by name."""

BOUNDS: Mapping[str, tuple[float, float]] = {"a": (0.0, 1.0), "u0": (0.0, 0.94)}
"""Where a constant makes sense; the others are at least 0 and at most 1000."""

SWITCHES = ("dasi", "cpq", "phi")


class QEILFactory:
    """Takes operator graphs on any target whose devices run all their kinds.

    Options: those of the tables evaluator, and ``dasi``, ``cpq``, ``phi``: false switches a mechanism off (a busy
    device counts as fully utilised; memory pressure costs nothing; no leakage, no temperature). ``constants``: numbers
    of `CONSTANTS` to replace, for sensitivity.
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
        numbers = read_constants(options.get("constants"))
        rest = {key: value for key, value in options.items() if key != "constants"}
        chosen = read_options(rest, (*OPTIONS, *SWITCHES, "constants"), found)
        value = {name: float(number.value) for name, number in numbers.items()}
        binding = bind(workload, target, chosen, found, compute_share=value["a"])
        pressure = value["c"] if chosen.cpq else 0.0
        samples = np.array(binding.samples, np.float64)
        return TablesEvaluator(
            binding,
            rules(chosen.schedule, thermal=chosen.phi, c=pressure, u0=value["u0"]),
            metrics(binding, chosen.schedule, chosen.phi),
            by_samples={"coverage": coverage(binding.graph.parameters, samples, numbers)},
            model_constants=tuple(numbers.values()),
            name="qeil",
            given=dict(options),
        )


def constant(name: str) -> float:
    return float(CONSTANTS[name].value)


def read_constants(given: Any) -> Mapping[str, Sourced]:
    """`CONSTANTS` with the user's numbers in place. Raises `UnknownName` or `ProblemError`."""
    if given is None:
        return CONSTANTS
    where = "option constants"
    if not isinstance(given, Mapping):
        raise ProblemError("is a mapping from the name of a constant to a number", value=given, where=where)
    out = dict(CONSTANTS)
    for name, value in given.items():
        if name not in CONSTANTS:
            raise UnknownName("constant of qeil", str(name)[:80], CONSTANTS, where=where)
        low, high = BOUNDS.get(name, (0.0, 1000.0))
        number = units.parse(value, "1", where=f"{where}.{name}")
        if not low <= number <= high:
            raise ProblemError(f"is a number from {low:g} to {high:g}", value=value, where=f"{where}.{name}")
        out[name] = replace(CONSTANTS[name], value=number, source="given by the user")
    return out


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


def coverage(
    parameters: float, samples: NDArray[np.float64], numbers: Mapping[str, Sourced] = CONSTANTS
) -> NDArray[np.float64]:
    """(K,) C(S) = 1 - exp(-alpha N^b1 S^b2), N in 1e9 parameters: the form quoted for QEIL v1, constants ours."""
    alpha, size, drawn = (float(numbers[f"coverage_{name}"].value) for name in ("alpha", "size", "samples"))
    rate = alpha * math.pow(max(parameters, 1.0) / 1e9, size)
    return np.asarray(1.0 - np.exp(-rate * samples**drawn))

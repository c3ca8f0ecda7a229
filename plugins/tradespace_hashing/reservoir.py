"""The NARMA benchmark of reservoirs: what predicts it, what that costs, and whether it beats predictors without memory.

System: "Speaking to Silicon", arXiv 2601.12032, table 7. NARMA: Atiya, Parlos, IEEE Trans. Neural Networks 11(3), 2000.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace import units
from tradespace.costs import lottery
from tradespace.costs.option_numbers import Bounded, read_numbers
from tradespace.costs.plain_work import plain_work
from tradespace.costs.readouts import delayed, echo_states
from tradespace.designs import Choice, Designs, Space
from tradespace.errors import InputError
from tradespace.plans import Plan, plan_of_prices
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.targets.model import Device, Sourced, Target
from tradespace.testing.null_tests import NullReport, null_regression
from tradespace.workloads.options import check_keys, integer, text
from tradespace_hashing.asic import MODEL
from tradespace_hashing.sha256_kernel import EARLY, ROUNDS

Floats = NDArray[np.float64]

METRICS = (
    Metric(
        "nrmse", "1", "min", "error of the test half over the deviation of the series; 1 is no better than the mean"
    ),
    Metric("energy", "J", "min", "of one step"),
    Metric("latency", "s", "min", "of one step"),
    Metric("weights", "1", "min", "trained numbers"),
    Metric("nrmse_null", "1", "min", "of the strongest null: shuffled states, the mean, one delayed input"),
    Metric("nrmse_one_tap", "1", "min", "of a line through one delayed input"),
    Metric("nrmse_shuffled", "1", "min", "of the same readout on states in random order"),
    Metric("gain", "1", "max", "strongest null less nrmse: what the states know beyond it"),
    Metric("beats_nulls", "1", "max", "1 if every null is beaten by two deviations"),
)
TRIAL = float(ROUNDS + EARLY)
"""Rounds of a double hash with midstate and early reject."""
DIGITAL = ("echo_state", "taps", "one_tap", "constant")
PHYSICAL = ("shares", "taps", "one_tap", "constant")
_OPTIONS: Mapping[str, Bounded] = {
    "seed": Bounded(0, 0, 2**31, whole=True),
    "nodes": Bounded(200, 1, 2000, whole=True),
    "taps": Bounded(10, 1, 256, whole=True),
    "delay": Bounded(0, 0, 255, whole=True),
    "radius": Bounded(0.9, 0.0, 2.0),
    "scale": Bounded(1.0, 1e-6, 100.0),
    "leak": Bounded(1.0, 1e-3, 1.0),
    "penalty": Bounded(1e-6, 0.0, 1e6),
    "difficulty": Bounded(1024.0, 1e-9, 1e15),
    "modulation": Bounded(0.5, 0.0, 0.99),
}


@dataclass(frozen=True)
class Narma:
    """y' = a y + b y (sum of the last ``order`` y) + c u[t - order + 1] u[t] + d, u uniform in [low, high]."""

    name: str
    order: int
    train: int
    test: int
    washout: int
    low: float
    high: float
    coefficients: tuple[float, float, float, float]
    sources: Mapping[str, str] = field(compare=False)
    facts: Mapping[str, float | str] = field(default_factory=dict, compare=False)
    kind: ClassVar[str] = "driven-series"

    def series(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """(inputs, targets) of all steps behind the washout; target t is the y that follows input t.

        Raises:
            InputError: coefficients for which the series grows without bound, twenty times over.
        """
        a, b, c, d = self.coefficients
        n, steps = self.order, self.washout + self.train + self.test
        for _ in range(20):
            u, y = rng.uniform(self.low, self.high, steps), np.zeros(steps + n + 1)
            for t in range(steps):
                at = t + n  # y[at] is the value before input t
                past = u[t - n + 1] if t >= n - 1 else 0.0
                y[at + 1] = a * y[at] + b * y[at] * y[at - n + 1 : at + 1].sum() + c * past * u[t] + d
                if not abs(y[at + 1]) < 1e3:
                    break
            else:
                return u[self.washout :], y[n + 1 + self.washout :]
        raise InputError("a NARMA series stays bounded", value=f"order {n}", where=f"workload {self.name}")


def build(options: Mapping[str, Any]) -> Narma:
    """The workload type `narma`.

    Raises:
        InputError, UnitError, UnknownName: keys or values that do not fit.
    """
    name = text(options, "name", "workload", default="narma")
    where = f"workload {name}"
    sizes = {
        "order": (10, 1, 100),
        "train": (1000, 10, 100_000),
        "test": (1000, 10, 100_000),
        "washout": (200, 0, 10_000),
    }
    numbers = {"low": 0.0, "high": 0.5, "a": 0.3, "b": 0.05, "c": 1.5, "d": 0.1}
    check_keys(options, ("name", "title", "source", "kind", *sizes, *numbers), where)
    whole = {k: integer(options, k, where, low=low, high=high, default=d) for k, (d, low, high) in sizes.items()}
    given = {k: units.parse(options.get(k, d), "1", where=f"{where}.{k}") for k, d in numbers.items()}
    if not given["low"] < given["high"] or max(map(abs, given.values())) > 1e3:
        raise InputError("inputs run from 'low' up to 'high', numbers are at most 1000", value=given, where=where)
    sources = {
        "shape": text(options, "source", where, default="given by the user"),
        "kind": text(options, "kind", where, default="paper"),
    }
    facts: dict[str, float | str] = {"title": text(options, "title", where, default=name), **whole}
    coefficients = (given["a"], given["b"], given["c"], given["d"])
    return Narma(
        name, **whole, low=given["low"], high=given["high"], coefficients=coefficients, sources=sources, facts=facts
    )


class ReservoirFactory:
    """Takes driven series on anything that computes, and on mining chips, whose times of shares are the only states.

    Options: ``seed`` of series and network; ``nodes``, ``radius``, ``scale``, ``leak`` of the echo-state network;
    ``taps`` from the present input back; ``delay`` of the one tap; ``penalty`` of the ridge readout; on a mining chip a
    step is ``nodes`` shares at ``difficulty``, which the input raises and lowers by ``modulation``.
    """

    fidelity = 20

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        if not isinstance(workload, Narma):
            kind = getattr(workload, "kind", type(workload).__name__)
            return Declined(f"predicts driven series, not {kind}", other_kind=True)
        if not able(target):
            return Declined(f"no device of {target.name} does plain arithmetic ('aggregate') or mines")
        return True

    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry) -> ReservoirEvaluator:
        """Raises `UnknownName`, `UnitError` or `ProblemError` for options that do not fit."""
        numbers = read_numbers(options, _OPTIONS)
        return ReservoirEvaluator(workload, target, tuple(numbers.items()), registry, dict(options))


def able(target: Target) -> tuple[Device, ...]:
    """The devices that can predict: mining chips alone, or those that compute."""
    whole = tuple(device for device in target.devices if not device.of)
    return tuple(d for d in whole if d.model == MODEL) or tuple(d for d in whole if "aggregate" in d.runs)


@dataclass(frozen=True, eq=False)
class ReservoirEvaluator:
    """Prices readouts of a driven series, each judged by the null tests. Pure: the seed is an option."""

    workload: Narma
    target: Target
    numbers: tuple[tuple[str, float], ...]
    registry: Registry
    given: Mapping[str, Any] = field(default_factory=dict)

    metrics = METRICS
    default_objectives = ("nrmse", "energy", "weights")

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        return able(self.target)

    @cached_property
    def space(self) -> Space:
        readouts = PHYSICAL if self.devices[0].model == MODEL else DIGITAL
        return Space(Choice("readout", readouts), Choice("device", tuple(d.name for d in self.devices)))

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        return self.target.substitutes

    def price(self, designs: Designs) -> Prices:
        columns = {metric.name: np.empty(len(designs)) for metric in METRICS}
        for row in range(len(designs)):
            for name, value in self._row(designs.show(row)).items():
                columns[name][row] = value
        return Prices(columns)

    def _row(self, design: Mapping[str, Any]) -> dict[str, float]:
        readout = str(design["readout"])
        report, width = judged(self.workload, self.numbers, readout)
        joule, second = self._cost(readout, width, self.target.device(str(design["device"])))
        return {
            "nrmse": report.claimed,
            "energy": joule,
            "latency": second,
            "weights": width + 1.0,
            "nrmse_null": report.best,
            "nrmse_one_tap": report.nulls["one tap"],
            "nrmse_shuffled": report.nulls["shuffled"],
            "gain": report.gain,
            "beats_nulls": float(report.passed),
        }

    def _cost(self, readout: str, width: int, device: Device) -> tuple[float, float]:
        """(J, s) of a step: the readout, the network's products, or waiting for shares."""
        options = dict(self.numbers)
        if device.model == MODEL:
            shares = options["nodes"] if readout == "shares" else 0.0
            rate = device.chips * device.cores * device.clock
            if not device.pipelined:
                rate *= device.rounds_per_clock / TRIAL
            hits = lottery.chance(max(options["difficulty"], device.share_filter))
            second = float(shares / (rate * hits))
            return second * (device.idle_power + device.dynamic_power), second
        flop = 2.0 * (width + 1) + (2.0 * width * (width + 1) if readout == "echo_state" else 0.0)
        return plain_work("aggregate", flop, device, self.registry, ("fp32", "fp16"))

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        return plan_of_prices(
            self, design, self.price(design), (self.workload.name, self.target.name, "reservoir"), self.given
        )


@functools.lru_cache(maxsize=256)
def judged(workload: Narma, numbers: tuple[tuple[str, float], ...], readout: str) -> tuple[NullReport, int]:
    """(verdict of the null tests on the test half, number of states)."""
    options = dict(numbers)
    seed = int(options["seed"])
    inputs, target = workload.series(_rng(seed, 0))
    states = _states(workload, options, readout, inputs, target, _rng(seed, 1))
    penalty = options["penalty"]

    def fit(x: Floats, y: Floats, other: Floats) -> Floats:
        from tradespace.costs.readouts import ridge, with_bias

        return np.asarray(with_bias(other) @ ridge(with_bias(x), y, max(penalty, 1e-12)))

    report = null_regression(
        states, inputs, target, train=workload.train, rng=_rng(seed, 2), fit=fit, taps=workload.order
    )
    return report, states.shape[1]


def _states(
    workload: Narma, options: Mapping[str, float], readout: str, u: Floats, y: Floats, rng: np.random.Generator
) -> Floats:
    if readout == "constant":
        return np.zeros((len(u), 0))
    if readout == "taps":
        return delayed(u, np.arange(int(options["taps"])))
    if readout == "one_tap":
        return delayed(u, np.array([int(options["delay"])]))
    nodes = int(options["nodes"])
    if readout == "echo_state":
        return echo_states(u, nodes, rng, radius=options["radius"], scale=options["scale"], leak=options["leak"])
    middle, reach = (workload.low + workload.high) / 2, (workload.high - workload.low) / 2
    mean = 1 + options["modulation"] * (u - middle) / reach  # of a gap, relative: the difficulty that the input sets
    return rng.exponential(mean[:, None], (len(u), nodes))


def _rng(seed: int, role: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, role))))

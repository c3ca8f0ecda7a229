"""The device-model kit passes honest models and catches each way of breaking the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from tradespace.costs.contract import Column, CostTable
from tradespace.costs.roofline import Roofline
from tradespace.plugins import registry
from tradespace.targets import load_target, target_names
from tradespace.testing.device_models import check_device_model


class Array:
    """The weight-stationary array of SCALE-Sim v2 (one fold takes 2R + C + m - 2 cycles)."""

    constants: ClassVar[Mapping[str, str]] = {"rows": "1", "cols": "1", "clock": "Hz"}
    runs: ClassVar[tuple[str, ...]] = ("matmul", "conv")

    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        m, k, n, count = operators.gemm
        rows, cols = int(device.rows), int(device.cols)
        cycles = count * (-(-k // rows) * -(-n // cols) * (2 * rows + cols + m - 2) - 1)
        return CostTable(time=cycles / device.clock, cycles=cycles)


@pytest.mark.parametrize("model", registry().names("device_models"))
def test_registered_models_pass_on_the_catalogue(model: str) -> None:
    targets = [load_target(name, registry()) for name in target_names(registry())]
    devices = [device for target in targets for device in target.devices if device.model == model]
    subject = registry().load("device_models", model)
    for report in (check_device_model(subject), check_device_model(subject, devices=devices)):
        assert report.passed, str(report)


def test_an_honest_model_passes() -> None:
    report = check_device_model(Array)
    assert report.passed, str(report)
    outcomes = {check.name: check.outcome for check in report.checks}
    assert outcomes.pop("copes_with_missing_precisions") == "not applicable"
    assert set(outcomes.values()) == {"passed"} and len(outcomes) == 11


class UnknownUnit(Array):
    constants: ClassVar[Mapping[str, str]] = {"rows": "furlong", "cols": "1", "clock": "Hz"}


class UnknownKind(Array):
    runs: ClassVar[tuple[str, ...]] = ("matmul", "quantum")


class NeedsArguments(Array):
    def __init__(self, mode: str) -> None:
        self.mode = mode


class ReturnsArray(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> Any:
        return super().table(operators, device, precisions).time


class WrongShape(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        return CostTable(time=super().table(operators, device, precisions).time[:-1])


class Infinite(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        time = super().table(operators, device, precisions).time
        return CostTable(time=np.where(operators.m > 64, np.inf, time))


class ReadsUndeclared(Array):
    constants: ClassVar[Mapping[str, str]] = {"rows": "1", "cols": "1"}


class MeanOfNothing(Array):
    columns: ClassVar[Mapping[str, Column]] = {"cycles": Column(over="layers")}


class CannotConv(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        good = super().table(operators, device, precisions)
        return CostTable(time=good.time, unsupported=np.array(operators.kind) == "conv")


class SilentlyFree(Array):
    """The fault of a prototype: an operator kind it has no formula for costs nothing."""

    runs: ClassVar[tuple[str, ...]] = ("matmul", "conv", "norm")

    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        return CostTable(time=np.maximum(0.0, super().table(operators, device, precisions).time))


class Shrinks(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        good = super().table(operators, device, precisions)
        return CostTable(time=np.where(operators.m >= 128, 0.4, 1.0) * good.time)


class SlowClock(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        good = super().table(operators, device, precisions)
        return CostTable(time=good.time * device.clock * device.clock / 1e18)


class IgnoresCols(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        return super().table(operators, replace(device, numbers={**device.numbers, "cols": 8.0}), precisions)


class Averages(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        good = super().table(operators, device, precisions)
        return CostTable(time=good.time + good.time.mean())


class FirstPrecision(Roofline):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        good = super().table(operators, device, precisions)
        return CostTable(time=good.time * precisions[0].bits, unsupported=good.unsupported)


class Scribbles(Array):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        good = super().table(operators, device, precisions)
        operators.flop[:] = 1.0
        return good


class Counts(Array):
    calls: ClassVar[list[int]] = []

    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        self.calls.append(1)
        return CostTable(time=super().table(operators, device, precisions).time + len(self.calls) * 1e-9)


class NeedsInt8(Roofline):
    def table(self, operators: Any, device: Any, precisions: Sequence[Any]) -> CostTable:
        device.by_precision["peak"].get("*") or device.by_precision["peak"]["int8"]
        return super().table(operators, device, precisions)


MUTANTS = {
    "declares_constants_and_kinds": (UnknownUnit, UnknownKind, NeedsArguments),
    "gives_a_cost_table": (ReturnsArray, WrongShape, Infinite, ReadsUndeclared),
    "describes_columns_that_it_gives": (MeanOfNothing,),
    "runs_what_it_declares": (CannotConv,),
    "work_takes_time": (SilentlyFree,),
    "more_work_is_never_faster": (Shrinks,),
    "faster_parts_never_slow_it": (SlowClock,),
    "constants_are_used": (IgnoresCols,),
    "rows_do_not_meet": (Averages,),
    "precisions_do_not_meet": (FirstPrecision,),
    "is_pure": (Scribbles, Counts),
    "copes_with_missing_precisions": (NeedsInt8,),
}


@pytest.mark.parametrize(
    ("check", "mutant"), [(check, mutant) for check, mutants in MUTANTS.items() for mutant in mutants]
)
def test_a_wrong_device_model_fails(check: str, mutant: Any) -> None:
    report = check_device_model(mutant)
    assert check in [failure.name for failure in report.failures], str(report)
    assert all(failure.reason for failure in report.failures)

"""The evaluator kits pass honest evaluators and catch each way of breaking the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.plans import Plan
from tradespace.problem import Declined, Metric, Prices, Structure
from tradespace.testing.evaluators import check_evaluator
from tradespace.testing.factories import check_factory
from tradespace.testing.problems import Distances, ToyChain, conditional_space, mixed_space, only_space, single_space


class Honest(ToyChain):
    """The toy chain with a repair and plans: entry 0 never runs on the last device."""

    def repair(self, designs: Designs) -> Designs:
        columns = dict(designs.columns)
        device = columns["device"].copy()
        device[device[:, 0] == self.devices - 1, 0] = 0
        return designs.space.repair(Designs(designs.space, columns | {"device": device}))

    def explain(self, design: Designs) -> Plan:
        prices = self.price(design)
        return Plan(
            design.ids[0],
            design.show(),
            {name: float(value[0]) for name, value in prices.items()},
            violations={name: float(value[0]) for name, value in prices.violations.items()},
        )


@pytest.mark.parametrize("objectives", [1, 4])
def test_an_honest_evaluator_passes_every_check(objectives: int) -> None:
    report = check_evaluator(Honest(objectives=objectives))
    assert report.passed and all(check.outcome == "passed" for check in report.checks), str(report)
    assert len(report.checks) == 13


@pytest.mark.parametrize("space", [single_space, only_space, mixed_space, conditional_space])
def test_the_toy_problems_are_honest(space: Any) -> None:
    report = check_evaluator(Distances(space()))
    assert report.passed, str(report)


def changed(prices: Prices, **columns: Any) -> Prices:
    return replace(prices, columns={**prices.columns, **columns})


class NoMeaning(Honest):
    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("cost0", "1", "min"), Metric("cost1", "1", "min", "sum"))


class OddUnit(Honest):
    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("cost0", "parsec", "min", "sum"), Metric("cost1", "1", "min", "sum"))


class MetricMissing(Honest):
    def price(self, designs: Designs) -> Any:
        return {"cost0": super().price(designs)["cost0"]}


class MetricUndeclared(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        return changed(prices, secret=prices["cost0"])


class NotFinite(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        return changed(prices, cost0=np.where(designs["device"][:, 0] == 1, np.inf, prices["cost0"]))


class EdgeFails(Honest):
    def price(self, designs: Designs) -> Prices:
        if (designs["device"] == self.devices - 2).all(axis=1).any():
            raise IndexError("index 3 is out of bounds")
        return super().price(designs)


class WrongShape(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        return changed(prices, cost0=prices["cost0"][:, None])


class YesNo(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        return replace(prices, violations={"memory": (prices.violations["memory"] > 0).astype(float)})


class ViolationsCome(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        return prices if (prices.violations["memory"] > 0).any() else replace(prices, violations={})


class Drifts(Honest):
    def price(self, designs: Designs) -> Prices:
        object.__setattr__(self, "calls", getattr(self, "calls", 0) + 1)
        prices = super().price(designs)
        return changed(prices, cost0=prices["cost0"] + 1e-12 * self.calls)  # type: ignore[attr-defined]


class Normalises(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        return changed(prices, cost0=prices["cost0"] / prices["cost0"].max())


class Noise(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        noise = np.random.Generator(np.random.Philox(0)).normal(size=len(designs))
        return changed(prices, cost0=prices["cost0"] + noise)


class Wraps(Honest):
    def price(self, designs: Designs) -> Prices:
        prices = super().price(designs)
        return changed(prices, cost0=prices["cost0"] + (np.arange(len(designs)) >= 4096))


class WritesDesigns(Honest):
    def price(self, designs: Designs) -> Prices:
        designs["device"][:, 0] = 0
        return super().price(designs)


class RepairWanders(Honest):
    def repair(self, designs: Designs) -> Designs:
        device = (designs.columns["device"] + 1) % self.devices
        return Designs(designs.space, dict(designs.columns) | {"device": device.astype(np.int8)})


class RepairLeaves(Honest):
    def repair(self, designs: Designs) -> Designs:
        device = np.where(designs.columns["device"] == 0, -1, designs.columns["device"])
        return Designs(designs.space, dict(designs.columns) | {"device": device.astype(np.int8)})

    def price(self, designs: Designs) -> Prices:
        return super().price(designs.space.repair(designs))


class PlanLies(Honest):
    def explain(self, design: Designs) -> Plan:
        plan = super().explain(design)
        return replace(plan, values={**plan.values, "cost0": plan.values["cost0"] * 1.001})


class PlanOfAnother(Honest):
    def explain(self, design: Designs) -> Plan:
        plan = super().explain(design)
        return replace(plan, design={**plan.design, "precision": "fp16", "device": "d0"})


class SuggestsNonsense(Honest):
    def suggest(self) -> Any:
        good = super().suggest()["least cost0"]
        return {"odd": Designs(good.space, {name: block + np.int8(9) for name, block in good.columns.items()})}


class SuggestsAnew(Honest):
    def suggest(self) -> Any:
        return {"luck": self.space.sample(1, np.random.default_rng())}


class SumIsOff(Honest):
    def structure(self) -> Structure:
        good = super().structure()
        term = good.terms["cost1"]
        return replace(good, terms={**good.terms, "cost1": replace(term, pair=None)})


class BoundTooHigh(Honest):
    def structure(self) -> Structure:
        good = super().structure()
        term = replace(good.terms["cost0"], unary=good.terms["cost0"].unary * 1.2, exact=False)
        return replace(good, terms={"cost0": term})


class StatesSwapped(Honest):
    def structure(self) -> Structure:
        return replace(super().structure(), variables=("precision", "device"))


class LimitIsOff(Honest):
    def structure(self) -> Structure:
        good = super().structure()
        unary, limit = good.limits["memory"]
        return replace(good, limits={"memory": (unary, limit / 2)})


class ShapeIsOff(Honest):
    def structure(self) -> Structure:
        good = super().structure()
        term = good.terms["cost0"]
        return replace(good, terms={"cost0": replace(term, unary=term.unary.T)})


MUTANTS = {
    "has_space_and_metrics": (NoMeaning, OddUnit),
    "returns_what_it_declares": (MetricMissing, MetricUndeclared, WrongShape, NotFinite),
    "prices_extreme_designs": (EdgeFails, NotFinite),
    "violations_are_graded": (YesNo, ViolationsCome),
    "repeats_its_prices": (Drifts,),
    "batch_does_not_matter": (Normalises, Noise, Drifts),
    "order_does_not_matter": (Noise, Drifts),
    "large_batches_agree": (Wraps,),
    "leaves_designs_alone": (WritesDesigns,),
    "repair_is_idempotent": (RepairWanders, RepairLeaves),
    "plans_agree_with_prices": (PlanLies, PlanOfAnother),
    "suggestions_are_designs": (SuggestsNonsense, SuggestsAnew),
    "structure_holds": (SumIsOff, BoundTooHigh, StatesSwapped, LimitIsOff, ShapeIsOff),
}


@pytest.mark.parametrize(
    ("check", "mutant"), [(check, mutant) for check, mutants in MUTANTS.items() for mutant in mutants]
)
def test_a_wrong_evaluator_fails(check: str, mutant: Any) -> None:
    report = check_evaluator(mutant())
    assert check in [failure.name for failure in report.failures], str(report)
    assert all(failure.reason for failure in report.failures)


def test_a_true_lower_bound_passes() -> None:
    class Bound(Honest):
        def structure(self) -> Structure:
            good = super().structure()
            term = replace(good.terms["cost0"], unary=good.terms["cost0"].unary * 0.9, exact=False)
            return replace(good, terms={"cost0": term})

    assert check_evaluator(Bound()).passed


def test_a_measuring_evaluator_is_not_held_to_purity() -> None:
    class Measures(Drifts):
        deterministic = False

        def explain(self, design: Designs) -> Plan:
            raise NotImplementedError

    report = check_evaluator(Measures(), expected={"plans_agree_with_prices": "no plans yet"})
    outcomes = {check.name: check.outcome for check in report.checks}
    assert outcomes["repeats_its_prices"] == outcomes["batch_does_not_matter"] == "not applicable"
    assert outcomes["plans_agree_with_prices"] == "expected failure"
    # its structure is exact up to 1e-9, more than the drift of this one
    assert report.passed, str(report)


def test_a_slow_evaluator_is_told_why_the_large_batch_was_left_out() -> None:
    import time

    class Slow(Honest):
        def price(self, designs: Designs) -> Prices:
            time.sleep(0.06 if len(designs) > 50 else 0)
            return super().price(designs)

    (large,) = [check for check in check_evaluator(Slow()).checks if check.name == "large_batches_agree"]
    assert large.outcome == "not applicable" and "would take too long" in large.reason


# -- factories --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    kind: str = "toy"
    name: str = "toy"


class Factory:
    fidelity = 1

    def accepts(self, workload: Any, target: Any) -> Any:
        return True if workload.kind == "toy" else Declined(f"prices toy workloads, not '{workload.kind}'")

    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Any) -> Any:
        if options:
            raise ProblemError("unknown option", value=next(iter(options)))
        return Honest()


PAIRS = [(Job(), None, {}), (Job("other"), None, {})]


def test_an_honest_factory_passes() -> None:
    report = check_factory(Factory(), PAIRS)
    assert report.passed and all(check.outcome == "passed" for check in report.checks), str(report)


class NoFidelity(Factory):
    fidelity: Any = None


class SaysNo(Factory):
    def accepts(self, workload: Any, target: Any) -> Any:
        return workload.kind == "toy"


class TakesAll(Factory):
    def accepts(self, workload: Any, target: Any) -> Any:
        return True


class Crashes(Factory):
    def accepts(self, workload: Any, target: Any) -> Any:
        return True if len(workload.operators) else Declined("empty")


class CannotBind(Factory):
    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Any) -> Any:
        raise KeyError("npu")


class TakesAnyOption(Factory):
    def bind(self, workload: Any, target: Any, options: Mapping[str, Any], registry: Any) -> Any:
        return Honest()


FACTORIES = {
    "states_its_fidelity": NoFidelity,
    "answers_every_pair": SaysNo,
    "declines_what_it_does_not_know": TakesAll,
    "binds_what_it_accepts": CannotBind,
    "refuses_unknown_options": TakesAnyOption,
}


@pytest.mark.parametrize("check", FACTORIES)
def test_a_wrong_factory_fails(check: str) -> None:
    report = check_factory(FACTORIES[check](), PAIRS)
    assert check in [failure.name for failure in report.failures], str(report)


def test_a_factory_that_crashes_on_strange_workloads_fails() -> None:
    assert "declines_what_it_does_not_know" in [f.name for f in check_factory(Crashes(), PAIRS).failures]


def test_a_factory_that_accepts_nothing_is_told_so() -> None:
    report = check_factory(Factory(), [(Job("other"), None, {})])
    (binds,) = [check for check in report.checks if check.name == "binds_what_it_accepts"]
    assert binds.outcome == "not applicable" and "none of the 1 pairs" in binds.reason

"""An evaluator whose only decision is which of another evaluator's suggested plans to take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from tradespace.designs import Choice, Designs, Space
from tradespace.plans import Plan
from tradespace.problem import Metric, Prices
from tradespace.targets.model import Sourced


class Suggesting(Protocol):
    """An evaluator that suggests plans and explains designs."""

    @property
    def space(self) -> Space: ...
    @property
    def metrics(self) -> tuple[Metric, ...]: ...
    @property
    def default_objectives(self) -> tuple[str, ...]: ...
    @property
    def substitutes(self) -> tuple[Sourced, ...]: ...
    def price(self, designs: Designs) -> Prices: ...
    def suggest(self) -> dict[str, Designs]: ...
    def explain(self, design: Designs) -> Plan: ...


@dataclass(frozen=True, eq=False)
class NamedPlans:
    """Prices list schedulers by name: the variable ``scheduler``. Pure."""

    inner: Suggesting

    @cached_property
    def _plans(self) -> tuple[tuple[str, ...], Designs]:
        found = self.inner.suggest()
        return tuple(found), self.inner.space.concat(list(found.values()))

    @cached_property
    def space(self) -> Space:
        return Space(Choice("scheduler", self._plans[0]))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self.inner.metrics

    @property
    def default_objectives(self) -> tuple[str, ...]:
        return self.inner.default_objectives

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        return self.inner.substitutes

    def price(self, designs: Designs) -> Prices:
        return self.inner.price(self._chosen(designs))

    def explain(self, design: Designs) -> Plan:
        design = design.take(slice(0, 1))
        own: Any = {"id": design.ids[0], "design": design.show(0)}
        return replace(self.inner.explain(self._chosen(design)), **own)

    def _chosen(self, designs: Designs) -> Designs:
        return self._plans[1].take(designs["scheduler"].astype(int))

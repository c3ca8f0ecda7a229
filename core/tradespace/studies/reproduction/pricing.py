"""Prices of settings, each bound and searched once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradespace.errors import InputError, ProblemError
from tradespace.studies.reproduction.decide import decide
from tradespace.studies.reproduction.priced import Priced

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.settings import Bound
    from tradespace.studies.reproduction.memory import Memory

_BOUND = 16
"""Evaluators kept: rows that share a setting usually stand together."""


@dataclass
class Pricer:
    """Binds settings and prices designs, remembering both. ``memory``: prices of earlier runs of the same code."""

    registry: Registry
    memory: Memory | None = None
    _bound: dict[str, Bound] = field(default_factory=dict)
    _priced: dict[str, Priced] = field(default_factory=dict)

    def price(self, setting: Mapping[str, Any], same: Priced | None = None) -> Priced:
        """The plan of a setting, priced. ``same``: what ``design: same`` stands for.

        Raises:
            TradespaceError: whatever does not fit, or a plan that cannot run.
        """
        if setting.get("design") == "same":
            if same is None:
                raise InputError("'design: same' needs the plan of the setting beside it", where="over.design")
            setting = {**setting, "design": same.design}
        key = _key(setting)
        if key not in self._priced:
            known = self.memory.get(setting) if self.memory is not None else None
            self._priced[key] = known or self._price(setting)
            if known is None and self.memory is not None:
                self.memory.keep(setting, self._priced[key])
        return self._priced[key]

    def bind(self, setting: Mapping[str, Any]) -> Bound:
        """The evaluator of a setting."""
        from tradespace.settings import Setting, bind

        for name in ("workload", "target"):
            if name not in setting:
                raise InputError(f"a setting names its {name}", where="setting")
        key = _key({k: v for k, v in setting.items() if k != "design"})
        if key not in self._bound:
            while len(self._bound) >= _BOUND:
                self._bound.pop(next(iter(self._bound)))
            written = Setting(
                setting["workload"], setting["target"], setting.get("evaluator"), setting.get("options") or {}
            )
            self._bound[key] = bind(written, self.registry)
        return self._bound[key]

    def _price(self, setting: Mapping[str, Any]) -> Priced:
        from tradespace.problem import check_prices

        bound, design = self.bind(setting), setting.get("design") or {}
        evaluator, found = bound.evaluator, ""
        if "search" in design:
            designs, found = decide(evaluator, design["search"], self.registry)
        else:
            designs = evaluator.space.parse(design)
            repair = getattr(evaluator, "repair", None)
            designs = repair(designs) if repair is not None else designs
        prices = check_prices(evaluator.price(designs), evaluator.metrics, designs)
        broken = {name: float(amount[0]) for name, amount in prices.violations.items() if amount[0] > 0}
        if broken:
            raise ProblemError("the plan cannot run", value=breach(broken), where="design")
        values = {name: float(column[0]) for name, column in prices.columns.items()}
        known = {m.name: m.unit for m in evaluator.metrics}
        entries = {
            v.name: v.entries or tuple(str(i) for i in range(v.width))
            for v in evaluator.space.variables
            if v.length is not None
        }
        return Priced({**facts_of(bound.workload), **values}, known, designs.show(0), entries, found)


def breach(broken: Mapping[str, float]) -> str:
    """The broken limit in words: a share for what can be exceeded, none for operators that a device does not run."""
    worst = max(broken, key=lambda name: broken[name])
    if "runs" in broken:
        return "operators lie on a device that does not run them, or in a precision that it does not run them in"
    return f"{worst} is exceeded by {broken[worst]:.1%}"


def facts_of(workload: Any) -> dict[str, float]:
    """What a workload counts about itself: items (its tokens), samples, parameters, and its numeric facts."""
    facts = {
        str(k): float(v)
        for k, v in getattr(workload, "facts", {}).items()
        if isinstance(v, int | float) and not isinstance(v, bool)
    }
    for name, attribute in (("items", "tokens"), ("samples", "samples"), ("parameters", "parameters")):
        value = getattr(workload, "items", None) if name == "items" else None
        value = getattr(workload, attribute, None) if value is None or callable(value) else value
        if isinstance(value, int | float):
            facts[name] = float(value)
    return facts


def _key(setting: Mapping[str, Any]) -> str:
    return json.dumps(setting, sort_keys=True, default=str)

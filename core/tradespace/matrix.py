"""Every workload on every target: which pairs can be priced, and why the others decline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradespace.errors import TradespaceError
from tradespace.plugins import Registry, foreign
from tradespace.problem import Problem
from tradespace.settings import NO_EVALUATOR, Setting, bind_pair, has_open_numbers

MOST_PLAIN = 256
"""Plain designs that are tried until one of them runs."""

NOWHERE = "no device executes all of its operators in any number format they may have"


@dataclass(frozen=True, slots=True)
class Pair:
    """One workload on one target. ``evaluator``: what prices it; ``reason``: why nothing does."""

    workload: str
    target: str
    prices: bool
    evaluator: str = ""
    reason: str = ""
    failed: bool = False  # accepted, and could not be priced after all: a defect

    @property
    def document(self) -> dict[str, Any]:
        return {
            "workload": self.workload,
            "target": self.target,
            "prices": self.prices,
            "reason": self.reason,
            "evaluator": self.evaluator,
        }


def matrix(
    workloads: Sequence[str],
    targets: Sequence[str],
    registry: Registry,
    told: Callable[[Pair], None] = lambda _: None,
) -> tuple[Pair, ...]:
    """All pairs, workload by workload. ``told`` hears of each as it is known.

    A pair counts as priced when the evaluator that would be searched gives finite prices for plain designs, and one of
    them can run (it may exceed a memory).

    Raises:
        UnknownName, InputError: a workload or target that cannot be loaded.
    """
    from tradespace.targets import load_target
    from tradespace.workloads import load_workload

    loaded = {name: load_target(name, registry) for name in targets}
    pairs = []
    for name in workloads:
        workload = None if has_open_numbers(name, registry) else load_workload(name, registry)
        for other, target in loaded.items():
            pairs.append(_pair(name, other, workload, target, registry))
            told(pairs[-1])
    return tuple(pairs)


def _pair(name: str, other: str, workload: Any, target: Any, registry: Registry) -> Pair:
    from tradespace.settings import bind

    setting = Setting(name, other)
    try:
        bound = bind(setting, registry) if workload is None else bind_pair(setting, workload, target, registry)
    except TradespaceError as error:
        return Pair(name, other, False, reason=_reason(error))
    try:
        with foreign(f"evaluator '{bound.evaluator_name}'"):
            problem = Problem.of(bound.evaluator, [bound.evaluator.metrics[0].name])
            plain = problem.space.homogeneous()
            prices = problem.price(problem.repair(plain.take(np.arange(min(len(plain), MOST_PLAIN)))))
    except TradespaceError as error:
        return Pair(name, other, False, bound.evaluator_name, str(error), failed=True)
    if (prices.violations.get("runs", np.zeros(1)) > 0).all():
        return Pair(name, other, False, bound.evaluator_name, NOWHERE)
    return Pair(name, other, True, bound.evaluator_name)


def _reason(error: TradespaceError) -> str:
    """Why each evaluator declined, without the rule that every refusal begins with."""
    text = error.remedy if error.remedy and error.rule == NO_EVALUATOR else str(error)
    return text.rstrip(".")

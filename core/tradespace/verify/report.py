"""Predicted beside measured: per class of operators, per pass, for a job, and over the plans of a front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradespace.verify.local import LocalPlan
from tradespace.verify.measure import Measured, Measurement, Protocol, measure

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.verify.passes import Floats

DISTURBED = 1.15
"""A whole pass that takes this many times the sum of its operators was interrupted by other work."""
_CLASSES = {"softmax": "attention"}


def error_of(predicted: float, measured: float) -> float:
    """predicted / measured - 1; 0 where nothing was measured and nothing predicted."""
    return predicted / measured - 1.0 if measured > 0 else (0.0 if predicted == 0 else float("inf"))


@dataclass(frozen=True)
class Line:
    """Operators of one class in one pass: s of one pass, all of them together."""

    name: str
    kernel: str
    count: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        return error_of(self.predicted, self.measured)

    def to_json(self, where: str) -> dict[str, Any]:
        return {
            "pass": where, "name": self.name, "kernel": self.kernel, "count": self.count,
            "predicted": self.predicted, "measured": self.measured, "error": self.error,
        }  # fmt: skip


@dataclass(frozen=True)
class PassReport:
    """One pass: s predicted and measured; `step` is the median of whole passes, `spread` their quartile range."""

    name: str
    tokens: int
    context: int
    predicted: float
    measured: float
    step: float
    spread: float
    runs: int
    lines: tuple[Line, ...]

    @property
    def error(self) -> float:
        return error_of(self.predicted, self.measured)

    @property
    def disturbed(self) -> bool:
        return self.step > DISTURBED * self.measured

    def to_json(self) -> dict[str, Any]:
        keys = ("name", "tokens", "context", "predicted", "measured", "error", "step", "spread", "runs")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True)
class Verification:
    """A plan that was run. `job`: s of the whole job, (predicted by the evaluator, measured)."""

    id: str
    workload: str
    target: str
    device: str
    threads: int
    kv: str
    passes: tuple[PassReport, ...]
    job: tuple[float, float]
    distinct: int
    wanted: int

    @property
    def main(self) -> PassReport:
        """The decode step, or the prefill of a job that has no other."""
        return self.passes[-1]

    def to_json(self) -> dict[str, Any]:
        """The document of ``--json``: s and B; `error` is predicted / measured - 1."""
        main = self.main
        return {
            "plan": self.id, "workload": self.workload, "target": self.target, "device": self.device,
            "threads": self.threads, "kv_precision": self.kv, "what": _what(main),
            "predicted": main.predicted, "measured": main.measured, "error": main.error,
            "operators": [line.to_json(p.name) for p in self.passes for line in p.lines],
            "passes": [p.to_json() for p in self.passes],
            "job": {"predicted": self.job[0], "measured": self.job[1], "error": error_of(*self.job)},
            "memory": {"distinct": self.distinct, "wanted": self.wanted},
            "notes": list(self.notes),
        }  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know to judge the numbers."""
        out = [
            f"other work on this machine disturbed the {p.name}: whole passes took {p.step / p.measured:.2f} times the "
            "sum of their operators' medians"
            for p in self.passes
            if p.disturbed
        ]
        if self.distinct < self.wanted:
            out.append(
                f"{self.distinct / 1e6:.0f} MB of random weights and caches stood for {self.wanted / 1e6:.0f} MB"
            )
        return tuple(out)


def _what(found: PassReport) -> str:
    if found.name == "decode":
        return f"one decode step at {found.context} positions"
    return f"a prefill of {found.tokens} tokens that see {found.context} positions on average"


def verify(plan: LocalPlan, registry: Registry, protocol: Protocol) -> Verification:
    """Run a plan and set what was measured beside what was predicted. Raises as `measure`."""
    return verification(plan, measure(plan, protocol), registry)


def verification(plan: LocalPlan, found: Measurement, registry: Registry) -> Verification:
    """The report of a measurement."""
    return Verification(
        id=plan.id,
        workload=plan.graph.name,
        target=plan.target.name,
        device=plan.device.name,
        threads=plan.threads,
        kv=plan.kv.name,
        passes=tuple(_pass(plan, one, plan.times(one.run, registry)) for one in found.passes),
        job=(plan.predicted, found.job),
        distinct=found.distinct,
        wanted=found.wanted,
    )


def _pass(plan: LocalPlan, found: Measured, predicted: Floats) -> PassReport:
    run, formats = found.run, plan.formats(found.run)
    groups: dict[str, list[int]] = {}
    for i, kind in enumerate(run.operators.kind):
        name = f"matmul {formats[i]}" if kind == "matmul" else _CLASSES.get(kind, kind)
        groups.setdefault(name, []).append(i)
    lines = [
        Line(
            name,
            next((found.kernels[i] for i in rows if found.kernels[i]), ""),
            len(rows),
            float(predicted[rows].sum()),
            float(found.seconds[rows].sum()),
        )
        for name, rows in groups.items()
    ]
    lines.sort(key=lambda line: -line.measured)
    return PassReport(
        run.name, run.tokens, run.context, float(predicted.sum()), found.total, found.step, found.spread, found.runs,
        tuple(lines),
    )  # fmt: skip


@dataclass(frozen=True)
class FrontVerification:
    """Plans of a front that were run: `tau` is Kendall's rank correlation of predicted and measured times of a job."""

    study: str
    plans: tuple[Verification, ...]
    tau: float | None

    def to_json(self) -> dict[str, Any]:
        predicted, measured = (float(np.sum([p.job[i] for p in self.plans])) for i in (0, 1))
        return {
            "study": self.study, "tau": self.tau,
            "predicted": predicted, "measured": measured, "error": error_of(predicted, measured),
            "plans": [p.to_json() for p in self.plans],
        }  # fmt: skip


def verify_front(study: str, plans: Sequence[Verification]) -> FrontVerification:
    """What the plans of a front say together."""
    from tradespace.search.promotion import kendall

    predicted, measured = (np.array([p.job[i] for p in plans]) for i in (0, 1))
    return FrontVerification(study, tuple(plans), kendall(predicted, measured))

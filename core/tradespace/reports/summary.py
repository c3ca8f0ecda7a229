"""One document about a finished search: terminal, JSON and HTML say what stands here and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tradespace.designs import short_ids
from tradespace.reports.describe import describer, entry_names, kind_of

if TYPE_CHECKING:
    from tradespace.baseline import Baseline
    from tradespace.costs.schedules_structure import TaskStructure
    from tradespace.designs import Designs, Space
    from tradespace.problem import Objective, Problem, Scores
    from tradespace.search import Front
    from tradespace.settings import Bound

PICKED = 12
"""Plans a terminal table shows at most."""
NEAREST = 8
"""Plans shown of a problem that none solves."""


@dataclass(frozen=True, slots=True)
class Measure:
    """An objective or another metric: SI unit, better direction, meaning."""

    name: str
    unit: str
    direction: str
    meaning: str
    objective: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One plan of the front. ``values``: objectives first, then the other metrics, SI. ``violations``: relative
    amounts, negative = slack."""

    id: str
    short_id: str
    values: Mapping[str, float]
    design: Mapping[str, Any]
    violations: Mapping[str, float]
    text: str
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "values": dict(self.values),
            "design": dict(self.design),
            "violations": dict(self.violations),
        }


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far from optimal the front can be at most, or why nothing is known."""

    gap: float | None
    method: str
    epsilon: float | None = None
    hypervolume_bound: float | None = None

    def to_json(self) -> dict[str, Any]:
        """How the gap was found, or why there is none; the gap itself is a key of its own."""
        return {"method": self.method, "epsilon": self.epsilon, "hypervolume_bound": self.hypervolume_bound}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one number comes from."""

    path: str
    value: float | str
    unit: str
    source: str
    kind: str

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "value": self.value, "unit": self.unit, "source": self.source, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class Files:
    """Where the results are; None where nothing was written."""

    database: str | None = None
    report: str | None = None
    plan: str | None = None

    def to_json(self) -> dict[str, str | None]:
        return {"database": self.database, "report": self.report, "plan": self.plan}


@dataclass(frozen=True, slots=True)
class Start:
    """``designs``: how many were priced before the optimizer proposed any; ``source``: the study or plan file they are
    of, None where it was not recorded."""

    designs: int
    source: str | None = None

    @property
    def text(self) -> str:
        source = self.source or "an earlier study or plan"
        return f"{self.designs:,} design{'' if self.designs == 1 else 's'} of {source}, priced first"

    def to_json(self) -> dict[str, Any]:
        return {"designs": self.designs, "source": self.source}


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision variable as a report needs it; ``kind`` as in `describe.kind_of`, ``options`` of a Choice as text."""

    name: str
    kind: str
    options: tuple[str, ...]
    entries: tuple[str, ...]  # empty for a single value


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device can take: B of memory it may use, K at most; None where the target does not say."""

    device: str
    capacity: float | None
    temperature: float | None


@dataclass(frozen=True)
class Summary:
    """Built by `summarise`. Everything in SI; nothing here is formatted but `Row.text` and `diagnosis`."""

    study: str | None
    workload: str
    target: str
    optimizer: str
    seed: int
    evaluations: int
    seconds: float
    measures: tuple[Measure, ...]
    constraints: tuple[str, ...]
    hypervolume: float
    certificate: Certificate
    rows: tuple[Row, ...]
    picked: tuple[int, ...]
    substitutes: tuple[Origin, ...]
    sources: tuple[Origin, ...]
    decisions: tuple[Decision, ...]
    entries: str  # what the decisions are about: "blocks", "operators", "tasks", "entries"
    devices: tuple[Limits, ...]
    history: tuple[tuple[int, float, float], ...]  # evaluations, seconds, hypervolume
    stopped: str = ""
    note: str = ""  # what the optimizer says of its choice and of its designs
    interrupted: bool = False
    diagnosis: str | None = None
    nearest: tuple[Row, ...] = ()  # when nothing is feasible: the plans that break least
    baseline: Baseline | None = None
    start: Start | None = None  # a warm start
    files: Files = field(default_factory=Files)
    command: str | None = None

    @property
    def objectives(self) -> tuple[Measure, ...]:
        return tuple(m for m in self.measures if m.objective)

    @property
    def reference(self) -> str:
        """What stands before the colon of a plan reference."""
        return self.study or "STUDY"

    def to_json(self) -> dict[str, Any]:
        """The document of ``--json``; values in SI units, ids in full, violations relative (negative = slack)."""
        document: dict[str, Any] = {
            "study": self.study,
            "workload": self.workload,
            "target": self.target,
            "optimizer": self.optimizer,
            "seed": self.seed,
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 6),
            "objectives": [m.name for m in self.objectives],
            "hypervolume": self.hypervolume,
            "gap": self.certificate.gap,
            "certificate": self.certificate.to_json(),
            "front": [r.to_json() for r in self.rows],
            "substitutes": [s.to_json() for s in self.substitutes],
            "files": self.files.to_json(),
        }
        if self.start is not None:
            document["start"] = self.start.to_json()
        if self.stopped:
            document["stopped"] = self.stopped
        if self.note:
            document["note"] = self.note
        if self.diagnosis is not None:
            document["diagnosis"] = self.diagnosis
            document["nearest"] = [r.to_json() for r in self.nearest]
        if self.baseline is not None:
            document["baseline"] = self.baseline.to_json()
        return document


def summarise(
    front: Front,
    bound: Bound | None = None,
    *,
    study: str | None = None,
    files: Files | None = None,
    baseline: Baseline | None = None,
    start: Start | None = None,
    command: str | None = None,
) -> Summary:
    """Gather what terminal, JSON and HTML show. ``bound`` adds workload, target and the sources of their numbers."""
    problem = front.problem
    why = {p.index: p.why for p in front.pick(PICKED)} if len(front.ids) else {}
    sources = _origins(bound.target.sources) if bound else ()
    own = _origins(getattr(problem.evaluator, "substitutes", ()))
    return Summary(
        study=study,
        workload=reference_text(bound.setting.workload) if bound else "",
        target=reference_text(bound.setting.target) if bound else "",
        optimizer=front.optimizer,
        seed=front.seed,
        evaluations=front.evaluations,
        seconds=front.seconds,
        measures=_measures(front),
        constraints=tuple(c.text for c in problem.constraints),
        hypervolume=float(front.hypervolume),
        certificate=_certificate(front),
        rows=_rows(problem, front.designs, front.scores, front.short_ids, why),
        picked=tuple(why),
        substitutes=_merged((s for s in sources if s.kind == "substitute"), own),
        sources=_merged(sources, own),
        decisions=_decisions(problem.space),
        entries=_entries(problem.space, bound),
        devices=_devices(bound),
        history=tuple((h.evaluations, h.seconds, h.hypervolume) for h in front.history),
        stopped=front.stopped,
        note=front.note,
        interrupted=front.interrupted,
        diagnosis=None if front.diagnosis is None else front.diagnosis.text,
        nearest=_nearest(front),
        baseline=baseline,
        start=start,
        files=files or Files(),
        command=command,
    )


def reference_text(reference: Any) -> str:
    """A workload or target reference in few words: its name, its path, or "laptop with 2 changes"."""
    if isinstance(reference, Mapping):
        base = str(reference.get("extends", "inline"))
        changes = [f"{k}={v}" for k, v in reference.items() if k != "extends"]
        if len(changes) > 4:
            return f"{base} with {len(changes)} changes"
        return f"{base} with {', '.join(changes)}" if changes else base
    return str(reference)


def _measures(front: Front) -> tuple[Measure, ...]:
    known = {m.name: m for m in front.problem.evaluator.metrics}
    chosen = [
        Measure(o.name, o.unit, o.direction, known[o.name].meaning if o.name in known else f"= {o.text}", True)
        for o in front.problem.objectives
    ]
    rest = [m for m in known.values() if m.name not in {c.name for c in chosen}]
    return (*chosen, *(Measure(m.name, m.unit, m.direction, m.meaning, False) for m in rest))


def _rows(
    problem: Problem, designs: Designs, scores: Scores, short: Sequence[str], why: Mapping[int, str]
) -> tuple[Row, ...]:
    natural = problem.natural(scores.objectives)
    columns = [(o.name, natural[:, m].tolist()) for m, o in enumerate(problem.objectives)]
    columns += [(name, v.tolist()) for name, v in scores.prices.columns.items() if name not in problem.names]
    broken = list(zip(problem.violation_names(scores.prices), scores.violations.T.tolist(), strict=True))
    rows, text = [], describer(problem.space)
    for i, full in enumerate(designs.ids):
        design = designs.show(i)
        values, violations = {n: c[i] for n, c in columns}, {n: c[i] for n, c in broken}
        rows.append(Row(full, short[i], values, design, violations, text(design), why.get(i, "")))
    return tuple(rows)


def _nearest(front: Front) -> tuple[Row, ...]:
    if front.diagnosis is None:
        return ()
    few = slice(0, NEAREST)
    designs, scores = front.diagnosis.nearest.take(few), front.diagnosis.nearest_scores.take(few)
    return _rows(front.problem, designs, scores, short_ids(designs.ids), {0: "nearest"})


def _certificate(front: Front) -> Certificate:
    if front.gap is not None:
        return Certificate(front.gap.gap, front.gap.method, front.gap.epsilon, front.gap.hypervolume_bound)
    structure = front.problem.structure()
    if structure is None:
        return Certificate(None, "the evaluator declares no structure")
    loose = [n for n in front.problem.names if n not in structure.terms]
    if structure.tasks is not None:
        loose = [o.name for o in front.problem.objectives if not _bounded(structure.tasks, o)]
    if loose:
        return Certificate(None, f"the structure bounds no {', '.join(loose)}")
    return Certificate(None, "interrupted before it was computed" if front.interrupted else "none was computed")


def _bounded(tasks: TaskStructure, objective: Objective) -> bool:
    """Whether a lower bound of schedules is known for an objective."""
    name = objective.expression.single
    return objective.direction == "min" and name is not None and math.isfinite(tasks.bound(name))


def _decisions(space: Space) -> tuple[Decision, ...]:
    return tuple(
        Decision(
            v.name,
            kind_of(space, v.name),
            tuple(str(o) for o in getattr(v, "options", ())),
            () if v.length is None else entry_names(space, v.name),
        )
        for v in space.variables
    )


def _entries(space: Space, bound: Bound | None) -> str:
    """What a workload calls the things that variables of several entries decide about."""
    count = next((v.length for v in space.variables if kind_of(space, v.name) == "entries"), None)
    for noun in ("blocks", "operators", "tasks"):
        part = getattr(bound.workload, noun, ()) if bound is not None else ()
        if isinstance(part, Sized) and len(part) == count:
            return noun
    return "entries"


def _devices(bound: Bound | None) -> tuple[Limits, ...]:
    if bound is None:
        return ()
    return tuple(
        Limits(d.name, d.numbers.get("capacity"), d.numbers.get("max_temperature")) for d in bound.target.devices
    )


def _origins(found: Sequence[Any]) -> tuple[Origin, ...]:
    return tuple(Origin(s.path, s.value, s.unit, s.source, s.kind) for s in found)


def _merged(*groups: Iterable[Origin]) -> tuple[Origin, ...]:
    return tuple({o.path: o for group in groups for o in group}.values())

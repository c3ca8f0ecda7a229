"""One search from what the user asked to files on disk: bind, search, log, certify, publish, report."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace.errors import DesignError, ProblemError, UnknownName
from tradespace.studies.spec import StudySpec, check_name

if TYPE_CHECKING:
    from tradespace.baseline import Baseline
    from tradespace.designs import Designs
    from tradespace.plans import Plan
    from tradespace.plugins import Registry
    from tradespace.problem import Evaluator, Problem
    from tradespace.reports.profile import Stopwatch
    from tradespace.reports.summary import Start, Summary
    from tradespace.search import Front
    from tradespace.search.contract import Optimizer
    from tradespace.settings import Bound
    from tradespace.studies.log import Store

DATABASE = "tradespace.db"
DEFAULT_OBJECTIVES = 3
"""How many of its metrics an evaluator without ``default_objectives`` is searched for."""


@dataclass(frozen=True)
class SearchRequest:
    """A search as the command line asks for it. ``spec.objectives`` may be empty: the evaluator's own are taken.

    Attributes:
        name: of the study; None: made of workload, target, optimizer and seed, numbered if taken.
        out: folder of the database (unless ``storage`` says otherwise), reports and plans.
        storage: database URL or path; None: ``out/tradespace.db``.
        baseline: a plan file to set beside the front.
        start: a plan file, or a study of the same database, whose designs are priced first.
        command: what was typed, for the report.
    """

    spec: StudySpec
    name: str | None = None
    out: Path = Path("out")
    storage: str | None = None
    keep_designs: bool = False
    baseline: Path | None = None
    start: str | None = None
    command: str | None = None

    @property
    def database(self) -> str:
        """URL or path of the study log."""
        return self.storage or str(self.out / DATABASE)


@dataclass(frozen=True)
class Prepared:
    """A request turned into objects; nothing has been written yet."""

    request: SearchRequest
    spec: StudySpec
    bound: Bound
    problem: Problem
    optimizer: Optimizer  # built once: some solve while they are built
    baseline: Designs | None = None


def prepare(request: SearchRequest, registry: Registry, clock: Stopwatch | None = None) -> Prepared:
    """Load, tabulate and check everything that can be wrong, before anything is written.

    Raises:
        TradespaceError: whatever of workload, target, objectives, constraints, optimizer or baseline does not fit.
    """
    from tradespace.problem import Problem
    from tradespace.reports.profile import Stopwatch
    from tradespace.settings import bind
    from tradespace.studies.resume import build_optimizer

    clock = clock or Stopwatch()
    spec = request.spec
    if spec.setting is None:
        raise ProblemError("a search needs a workload and a target")
    if request.name is not None:
        check_name(request.name)
    with clock.section("load and tabulate"):
        bound = bind(spec.setting, registry)
    spec = replace(spec, objectives=spec.objectives or default_objectives(bound.evaluator))
    problem = Problem.of(bound.evaluator, spec.objectives, spec.constraints)
    if request.start is not None:
        spec = replace(spec, start=_read_start(request, bound))
    with clock.section("build the optimizer"):
        optimizer = build_optimizer(spec, problem, registry)
    return Prepared(request, spec, bound, problem, optimizer, _read_baseline(request.baseline, bound))


def default_objectives(evaluator: Evaluator) -> tuple[str, ...]:
    """The evaluator's ``default_objectives``, else its first three metrics."""
    own = getattr(evaluator, "default_objectives", None)
    return tuple(own) if own else tuple(m.name for m in evaluator.metrics[:DEFAULT_OBJECTIVES])


def default_name(spec: StudySpec) -> str:
    """ "llama-3.2-1b-laptop-auto-s0"."""
    setting = spec.setting
    assert setting is not None
    parts = (_short(setting.workload), _short(setting.target), spec.optimizer, f"s{spec.seed}")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-._")
    return check_name(name[:90] or "study")


def _short(reference: Any) -> str:
    """The name in a reference: a file's stem, or its folder's for names that say nothing."""
    if isinstance(reference, Mapping):
        reference = reference.get("extends") or reference.get("name") or "inline"
    text = str(reference)
    if "/" not in text and not text.endswith((".yaml", ".yml", ".json", ".gguf")):
        return text
    path = Path(text).expanduser().absolute()
    return path.parent.name if path.stem in ("config", "model") else path.stem


def search(request: SearchRequest, registry: Registry, *, watch: Stopwatch | None = None) -> Summary:
    """Search, log, publish and report; returns what terminal and JSON show.

    An interrupted search reports what it found (``summary.interrupted``); if that is nothing, the interrupt passes.

    Raises:
        TradespaceError: as `prepare`; the study's name is taken; a file cannot be written.
    """
    from tradespace.reports.profile import Stopwatch
    from tradespace.reports.progress import SearchProgress
    from tradespace.studies.log import Store
    from tradespace.studies.resume import start

    clock = watch or Stopwatch()
    if watch is not None:
        with clock.section("import"):
            _import()
    prepared = prepare(request, registry, clock)
    spec = prepared.spec
    problem = clock.problem(prepared.problem) if watch is not None else prepared.problem
    with contextlib.ExitStack() as stack:
        with clock.section("open the log"):
            store = stack.enter_context(Store.open(request.database))
            name = request.name or store.free_name(default_name(spec))
        progress = stack.enter_context(SearchProgress(spec.budget))
        with clock.section("search"):
            front = start(
                store,
                name,
                spec,
                problem,
                registry,
                optimizer=prepared.optimizer,
                observers=[progress],
                keep_designs=request.keep_designs,
                watch=watch,
            )
        progress.close()
        if front.interrupted and not front.evaluations:
            raise KeyboardInterrupt  # nothing was found; the log says that the study was interrupted
        front = dataclasses.replace(front, problem=prepared.problem)
        return conclude(prepared, front, store, name, clock)


def _import() -> None:
    """What the parts would import when they are first used, so that a profile shows it apart from their work."""
    for module in ("numpy", "numba", "sqlalchemy", "moocore", "tradespace.search", "tradespace.studies.publish"):
        importlib.import_module(module)


def conclude(prepared: Prepared, front: Front, store: Store, name: str, clock: Stopwatch) -> Summary:
    """Certify, publish and write the files of a finished search."""
    from tradespace.reports.summary import Files, summarise

    request = prepared.request
    folder = request.out / name
    with clock.section("certified gap"):
        _ = front.gap
    with clock.section("publish"):
        _publish(store, name)
    with clock.section("baseline"):
        baseline = _baseline(prepared, front)
    with clock.section("files"):
        plan = _write_plan(prepared, front, folder)
        files = Files(store.shown, str(folder / "report.html"), str(plan) if plan else None)
        summary = summarise(
            front,
            prepared.bound,
            study=name,
            files=files,
            baseline=baseline,
            start=_started(prepared),
            command=request.command,
        )
    with clock.section("report"):
        _report(summary, front, folder / "report.html")
    return summary


def plan_of(front: Front, bound: Bound, what: str = "knee") -> Plan:
    """The best plan of a front with the references that let it be priced again."""
    from tradespace.plugins import foreign
    from tradespace.search.front import FrontPoint

    point: FrontPoint = front.best(what)
    with foreign(f"explain of {type(bound.evaluator).__name__}"):
        plan = point.plan
    setting = bound.setting
    return replace(
        plan,
        id=point.id,
        workload=setting.workload,
        target=setting.target,
        evaluator=bound.evaluator_name,
        options=dict(setting.options),
        substitutes=plan.substitutes or tuple(s.path for s in bound.target.substitutes),
    )


def _write_plan(prepared: Prepared, front: Front, folder: Path) -> Path | None:
    from tradespace.reports.files import write_atomic

    if not len(front):
        return None
    return write_atomic(folder / "plan.yaml", plan_of(front, prepared.bound).to_yaml())


def _read_baseline(path: Path | None, bound: Bound) -> Designs | None:
    """The design of a plan file in the space that is searched."""
    if path is None:
        return None
    from tradespace.baseline import parse_design
    from tradespace.plans import read_plan

    plan = read_plan(path)
    try:
        return parse_design(plan, bound, str(path))
    except (DesignError, UnknownName) as error:
        if (plan.workload, plan.target) == (bound.setting.workload, bound.setting.target):
            raise
        raise ProblemError(
            "a baseline is a plan of the workload and target that are searched",
            value=f"a plan of {plan.workload} on {plan.target} ({error})",
            where=str(path),
        ) from None


def _read_start(request: SearchRequest, bound: Bound) -> tuple[dict[str, Any], ...]:
    """The designs of a plan file or of a study's front, as a person reads them, in the space that is searched."""
    from tradespace.search.start import checked_start
    from tradespace.studies.log import Store

    ref = str(request.start)
    if Path(ref).suffix in (".yaml", ".yml"):
        designs = _read_baseline(Path(ref), bound)
        assert designs is not None
    else:
        with Store.open(request.database, create=False) as store:
            designs = store.load(ref).front.designs
    designs = checked_start(bound.evaluator.space, designs)
    if not len(designs):
        raise ProblemError("a start holds at least one design", value=f"none in '{ref}'", where="start")
    return tuple(designs.show(i) for i in range(len(designs)))


def _started(prepared: Prepared) -> Start | None:
    """Where the search started, if not from nothing. A resumed study knows the designs, not where they were read."""
    from tradespace.reports.summary import Start

    given = prepared.spec.start
    return Start(len(given), prepared.request.start) if given else None


def _baseline(prepared: Prepared, front: Front) -> Baseline | None:
    if prepared.baseline is None:
        return None
    from tradespace.baseline import compare

    return compare(prepared.problem, prepared.baseline, name=str(prepared.request.baseline), front=front)


def _publish(store: Store, name: str) -> None:
    from tradespace.studies.publish import publish

    publish(store, name)


def _report(summary: Summary, front: Front, path: Path) -> None:
    from tradespace.reports.html import explained, write

    write(path, summary, explained(front, summary))

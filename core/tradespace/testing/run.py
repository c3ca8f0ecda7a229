"""Which kits to run on a registered name, on a whole plugin, or on any object."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace.errors import PluginError, TradespaceError
from tradespace.plugins import NOUNS, PluginStatus, Registry, foreign
from tradespace.testing.report import CheckResult, Kit, KitReport, fail, not_applicable

if TYPE_CHECKING:
    from tradespace.problem import Problem

PAIRS = 4
"""Pairs of workload and target that an evaluator factory is tried on at most; two of them are searched for faults."""
KINDS = ("optimizers", "evaluators", "device_models", "kernels", "precisions", "readers", "exporters")
"""Groups that have a kit of their own. All others are only imported."""

_MARKS: Mapping[str, tuple[str, ...]] = {
    "optimizers": ("ask", "tell"),
    "factories": ("accepts", "bind"),
    "device_models": ("constants", "runs", "table"),
    "kernels": ("inputs", "reference", "run"),
    "precisions": ("bits_per_element", "nmse", "encode"),
    "readers": ("recognises", "read"),
    "exporters": ("writes", "options", "export"),
    "evaluators": ("space", "metrics", "price"),
}


# -- plugins and names ------------------------------------------------------------------------------------------------


def check_plugin(status: PluginStatus, registry: Registry) -> Iterator[KitReport]:
    """Everything a plugin brings: its status, every name, its targets and workloads. Reports come as they are made."""
    yield PLUGIN_KIT.run(PluginSubject(status, registry), status.name)
    for group, names in status.names.items():
        for name in names:
            yield from check_name(group, name, registry)
    yield from check_catalogue(status.name, registry)


def check_name(group: str, name: str, registry: Registry) -> Iterator[KitReport]:
    """A registered name: that it imports, then the kit of its group."""
    report = NAME_KIT.run(NameSubject(group, name, registry), f"{NOUNS[group]} '{name}'")
    yield report
    broken = {check.name for check in report.failures}
    if group in KINDS and not broken & {"can_be_imported", "can_be_built"}:
        yield from check_object(registry.load(group, name), name, registry, group)


def check_target_name(ref: Any, registry: Registry) -> KitReport:
    """A target by name, path or mapping."""
    from tradespace.targets import load_target
    from tradespace.testing.targets import check_target

    return check_target(lambda: load_target(ref, registry), str(ref), models=registry.names("device_models"))


def check_workload_name(ref: Any, registry: Registry) -> KitReport:
    """A workload by name, path or mapping."""
    from tradespace.testing.workloads import check_workload
    from tradespace.workloads import load_workload

    return check_workload(lambda: load_workload(ref, registry), str(ref))


def check_rows(file: Path) -> KitReport:
    """A file of published rows."""
    return ROWS_KIT.run(file, file.parent.name)


def check_catalogue(plugin: str, registry: Registry) -> Iterator[KitReport]:
    """The targets, workloads and published rows in a plugin's catalogue."""
    for kind, check in (("targets", check_target_name), ("workloads", check_workload_name)):
        for owner, file in registry.catalogue_files(kind):
            if owner == plugin:
                yield check(file.stem, registry)
    for catalogue in registry.catalogues():
        if catalogue.plugin == plugin:
            for file in sorted((catalogue.folder / "studies").glob("*/published.yaml")):
                yield check_rows(file)


# -- objects ----------------------------------------------------------------------------------------------------------


def kind_of(subject: Any) -> str:
    """The kit that fits an object, by the members it has. Raises `PluginError` if none does."""
    for kind, members in _MARKS.items():
        if all(hasattr(subject, member) for member in members):
            return kind
    known = "; ".join(f"{kind}: {', '.join(members)}" for kind, members in _MARKS.items())
    raise PluginError("no kit fits this object", value=repr(subject)[:80], remedy=f"Kits look for {known}.")


def check_object(subject: Any, label: str, registry: Registry, kind: str | None = None) -> Iterator[KitReport]:
    """Run the kit of `kind` (default: the one that fits) on a class or an instance.

    Raises:
        PluginError: no kit fits.
    """
    kind = kind or kind_of(subject)
    if kind == "evaluators" and hasattr(subject, "bind"):
        kind = "factories"
    if kind not in ("optimizers", "device_models") and isinstance(subject, type):
        with foreign(f"building {label}"):
            subject = subject()
    if kind == "optimizers":
        from tradespace.testing.optimizers import check_optimizer

        problem, refusal = _problem_for(subject, registry)
        yield check_optimizer(subject, label, problem=problem) if not refusal else _refused(label, refusal)
    elif kind == "device_models":
        yield from _check_device_model(subject, label, registry)
    elif kind == "kernels":
        from tradespace.testing.kernels import check_kernel

        yield check_kernel(subject, label)
    elif kind == "precisions":
        from tradespace.testing.precisions import check_precision

        yield check_precision(subject, label)
    elif kind == "readers":
        from tradespace.testing.readers import check_reader

        yield check_reader(subject, label)
    elif kind == "exporters":
        from tradespace.testing.exporters import check_exporter

        yield check_exporter(subject, label, registry=registry)
    elif kind == "factories":
        yield from _check_factory(subject, label, registry)
    else:
        from tradespace.testing.evaluators import check_evaluator

        yield check_evaluator(subject, label)


def _problem_for(optimizer: Any, registry: Registry) -> tuple[Problem | None, str]:
    """The kit's own problem (None) or, if the optimizer refuses it, the first that it takes: distances from one point
    in a box, then the catalogue's. If it takes none, why it refused the kit's own."""
    from tradespace.designs import Real, Space
    from tradespace.testing.problems import Distances, ToyChain, problem_of

    refusal = _refusal(optimizer, problem_of(ToyChain()))
    if not refusal:
        return None, ""
    numbers = problem_of(Distances(Space(Real("a", 0.0, 1.0), Real("b", -5.0, 5.0, length=3)), 1))
    if not _refusal(optimizer, numbers):
        return numbers, ""
    for name in registry.names("evaluators"):
        try:
            factory = registry.load("evaluators", name)()
            for _, workload, target in _pairs(factory, registry)[0][:1]:
                problem = problem_of(factory.bind(workload, target, {}, registry))
                if not _refusal(optimizer, problem):
                    return problem, ""
        except Exception:  # that evaluator's own check says why
            continue
    return None, refusal


def _refusal(optimizer: Any, problem: Problem) -> str:
    """Why the optimizer does not take the problem; empty if it does, or fails in a way that its kit will tell."""
    from tradespace.testing.problems import view_of

    try:
        optimizer(view_of(problem), optimizer.Options())
    except TradespaceError as error:
        return str(error)
    except Exception:
        return ""
    return ""


def _refused(label: str, reason: str) -> KitReport:
    """An optimizer that cannot be tried here, say because its library is not installed."""
    return KitReport(
        "optimizer kit",
        label,
        (
            CheckResult("refuses_with_a_reason", "What it cannot search is refused by a sentence.", "passed", reason),
            CheckResult("everything_else", "The checks of the kit.", "not applicable", reason),
        ),
    )


def _check_device_model(model: Any, label: str, registry: Registry) -> Iterator[KitReport]:
    """On the devices of the catalogue that use it, or on a made-up one."""
    from tradespace.testing.device_models import check_device_model

    devices = [device for target in _targets(registry).values() for device in target.devices if device.model == label]
    yield check_device_model(model, label, devices=devices[:8])


def _check_factory(factory: Any, label: str, registry: Registry) -> Iterator[KitReport]:
    """On pairs of the catalogue that it accepts, of different targets first, and on one that it declines."""
    from tradespace.testing.evaluators import check_evaluator
    from tradespace.testing.factories import check_factory

    accepted, declined = _pairs(factory, registry)
    triples: list[tuple[Any, Any, Mapping[str, Any]]] = [
        (workload, target, {}) for _, workload, target in (*accepted, *declined)
    ]
    report = check_factory(factory, triples, label, registry=registry)
    yield report
    if report.passed:
        for name, workload, target in accepted[:2]:
            yield check_evaluator(factory.bind(workload, target, {}, registry), f"{label} ({name})")


def _pairs(factory: Any, registry: Registry) -> tuple[list[tuple[str, Any, Any]], list[tuple[str, Any, Any]]]:
    """(accepted, declined) pairs as (label, workload, target): each on another target, small jobs on large machines."""
    targets, workloads = _targets(registry), _workloads(registry)
    accepted: list[tuple[str, Any, Any]] = []
    declined: list[tuple[str, Any, Any]] = []
    for target_name, target in targets.items():
        for workload_name, workload in workloads.items():
            pair = (f"{workload_name} on {target_name}", workload, target)
            try:
                taken = factory.accepts(workload, target) is True
            except Exception:  # its kit says what is wrong with it
                taken = False
            if taken and len(accepted) < PAIRS:
                accepted.append(pair)
                break
            if not taken and not declined:
                declined.append(pair)
    return accepted, declined


def _targets(registry: Registry) -> dict[str, Any]:
    """Every target of the catalogue that loads, those with most devices first."""
    from tradespace.targets import load_target, target_names

    found = list(_loaded(target_names(registry), load_target, registry))
    return dict(sorted(found, key=lambda item: -len(item[1].devices)))


def _workloads(registry: Registry) -> dict[str, Any]:
    """Every workload of the catalogue that loads, the smallest first."""
    from tradespace.workloads import load_workload, workload_names

    found = list(_loaded(workload_names(registry), load_workload, registry))
    return dict(sorted(found, key=lambda item: getattr(item[1], "parameters", 0.0)))


def _loaded(names: Any, load: Any, registry: Registry) -> Iterator[tuple[str, Any]]:
    for name in names:
        try:
            yield name, load(name, registry)
        except TradespaceError:
            continue


# -- kits of the registry ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PluginSubject:
    """A plugin as the registry lists it."""

    status: PluginStatus
    registry: Registry


@dataclass(frozen=True)
class NameSubject:
    """A name of a group."""

    group: str
    name: str
    registry: Registry


def loads(subject: PluginSubject) -> None:
    """Loads: imports, speaks this contract, and its hooks return what they should."""
    if subject.status.error:
        fail(subject.status.error)


def claims_no_taken_name(subject: PluginSubject) -> None:
    """No other plugin claims one of its names for something else."""
    if subject.status.conflicts:
        fail(subject.status.conflicts[0])


def brings_something(subject: PluginSubject) -> None:
    """Brings at least one name or catalogue file."""
    files = itertools.chain.from_iterable(
        subject.registry.catalogue_files(kind) for kind in ("targets", "workloads", "studies", "conf")
    )
    if not subject.status.names and not any(owner == subject.status.name for owner, _ in files):
        fail("no hook returned anything, and its catalogue (if any) is empty")


def can_be_imported(subject: NameSubject) -> None:
    """Its path imports and has the attribute."""
    subject.registry.load(subject.group, subject.name)


def can_be_built(subject: NameSubject) -> None:
    """A class of which tradespace makes an instance needs no arguments for it."""
    if subject.group not in ("readers", "evaluators", "device_models", "kernels", "exporters"):
        not_applicable(f"{subject.group} are not built without arguments")
    try:
        found = subject.registry.load(subject.group, subject.name)
    except TradespaceError:
        not_applicable("cannot be imported")
    found()


def is_documented(subject: NameSubject) -> None:
    """What it stands for has a docstring (or, if it is a value, a `meaning`): `tradespace show` prints it."""
    try:
        found = subject.registry.load(subject.group, subject.name)
    except TradespaceError:
        not_applicable("cannot be imported")
    own = getattr(found, "meaning", None) or (found.__doc__ if isinstance(found, type) or callable(found) else None)
    if not str(own or "").strip():
        fail("no docstring")


def can_be_read(file: Path) -> None:
    """The file holds rows in the grammar of `tradespace reproduce --keys`."""
    from tradespace.studies.reproduction.document import read_published

    read_published(file)


def has_whole_rows(file: Path) -> None:
    """Every row alone is in the grammar, too."""
    from tradespace.studies.reproduction.document import BrokenRow, read_published

    try:
        rows = read_published(file).rows
    except TradespaceError:
        not_applicable("cannot be read")
    for row in rows:
        if isinstance(row, BrokenRow):
            fail(f"row '{row.id}': {row.error}")


PLUGIN_KIT: Kit[PluginSubject] = Kit("plugin kit", (loads, claims_no_taken_name, brings_something))
NAME_KIT: Kit[NameSubject] = Kit("registration kit", (can_be_imported, can_be_built, is_documented))
ROWS_KIT: Kit[Path] = Kit("rows kit", (can_be_read, has_whole_rows))

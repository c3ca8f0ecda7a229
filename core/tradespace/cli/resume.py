"""`tradespace resume`: continue a study that was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import current, json_wanted, print_json, registry_from_context
from tradespace.cli.studies import STORAGE, STORAGE_HELP

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.reports.summary import Summary
    from tradespace.studies.log import Store
    from tradespace.studies.record import StudyRecord


def resume(
    name: str = typer.Argument(metavar="STUDY", help="Name of the study ('tradespace studies' lists them)."),
    storage: str = typer.Option(STORAGE, help=STORAGE_HELP),
    take_over: bool = typer.Option(False, "--take-over", help="Although a process may still write it; that one stops."),
) -> int:
    """Continue an interrupted study to the end of its budget: bit-identical to a search that was never cut off."""
    from tradespace.studies import Store

    with Store.open(storage, create=False) as store:
        study = store.load(name)
        summary = _resumed(store, study, _registry(study), storage, take_over)
    if json_wanted():
        print_json(summary.to_json())
    else:
        from tradespace.reports.terminal import show

        show(summary)
    return 130 if summary.interrupted else int(not summary.rows)


def _resumed(store: Store, study: StudyRecord, registry: Registry, storage: str, take_over: bool) -> Summary:
    """Search on, then everything that ends a search: certify, publish, write the files."""
    from tradespace.reports.profile import Stopwatch
    from tradespace.reports.progress import SearchProgress
    from tradespace.studies.resume import check_resumable, resume
    from tradespace.studies.session import SearchRequest, conclude, prepare

    check_resumable(study, registry, store.shown)
    if study.spec.setting is None:
        resume(store, study.name, registry)  # says whose program can
    request = SearchRequest(study.spec, name=study.name, out=_folder(store), storage=storage)
    prepared = prepare(request, registry)
    with SearchProgress(study.spec.budget) as progress:
        front = resume(
            store,
            study.name,
            registry,
            problem=prepared.problem,
            observers=[progress],
            take_over=take_over,
        )
    return conclude(prepared, front, store, study.name, Stopwatch())


def _registry(study: StudyRecord) -> Registry:
    """With the plugin files the study was searched with, unless others are named."""
    if current().plugins or not study.spec.plugins:
        return registry_from_context()
    from tradespace.plugins import Registry

    return Registry.discover(study.spec.plugins)


def _folder(store: Store) -> Path:
    """Where a search writes its files: beside a SQLite database."""
    address = store.engine.url
    return Path(address.database or "out/x").parent if address.get_backend_name() == "sqlite" else Path("out")

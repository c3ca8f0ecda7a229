"""`tradespace check`: run the conformance kits on a plugin, a class or a name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from pathlib import Path

    from tradespace.plugins import Registry
    from tradespace.testing.report import KitReport

_KINDS = "optimizer, evaluator, device-model, kernel, target, workload, precision, ..."


def check(
    subject: str = typer.Argument(
        metavar="SUBJECT", help="A plugin (its name, distribution, package or file), module:Attribute, or a name."
    ),
    kind: str = typer.Option("", help=f"What the subject is, where a name has several meanings: {_KINDS}"),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Also list the checks that passed, with their rules."),
) -> int:
    """Run the conformance kits. Exit code 0: all passed; 1: a check failed; 2: there is no such subject."""
    found = []
    for report in resolve(subject, kind, registry_from_context()):
        found.append(report)
        if not json_wanted():
            _print(report, verbose)
    passed = bool(found) and all(report.passed for report in found)
    if json_wanted():
        print_json(document(subject, found, passed))
    else:
        typer.echo(_verdict(subject, found))
    return 0 if passed else 1


def _verdict(subject: str, reports: list[KitReport]) -> str:
    """The last line: how many kits and checks ran, and what came out."""
    results = [result for report in reports for result in report.checks]
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in ("passed", "failed")}
    other = len(results) - sum(counts.values())
    told = [f"{number} {outcome}" for outcome, number in counts.items()] + (
        [f"{other} not applicable"] if other else []
    )
    return f"{subject}: {len(reports)} kits, {len(results)} checks, {', '.join(told)}"


def document(subject: str, reports: list[KitReport], passed: bool) -> dict[str, Any]:
    """The JSON document: `{subject, passed, kits: [{kit, subject, passed, checks: [...]}]}`."""
    fields = ("name", "rule", "outcome", "reason")
    return {
        "subject": subject,
        "passed": passed,
        "kits": [
            {
                "kit": report.kit,
                "subject": report.subject,
                "passed": report.passed,
                "checks": [{key: getattr(check, key) for key in fields} for check in report.checks],
            }
            for report in reports
        ],
    }


def resolve(subject: str, kind: str, registry: Registry) -> Iterator[KitReport]:
    """What the words mean: a path, module:Attribute, a plugin, else a name. The kits run as the reports are taken.

    Raises:
        TradespaceError: nothing has this name, or several things do.
    """
    from pathlib import Path

    from tradespace.plugin_loading import import_path
    from tradespace.testing import run

    if kind:
        return _by_kind(kind, subject, registry)
    path = Path(subject).expanduser()
    if subject.endswith((".yaml", ".yml")) and path.is_file():
        return iter([_yaml(path, registry)])
    if path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").is_file()):
        return _file(path)
    if ":" in subject:
        return run.check_object(import_path(subject, "check"), subject, registry)
    statuses = _plugins(subject, registry)
    if statuses:
        return itertools.chain.from_iterable(run.check_plugin(status, registry) for status in statuses)
    return _by_name(subject, registry)


def _plugins(subject: str, registry: Registry) -> list[Any]:
    """Plugins with this name, distribution or package (``acme-tools`` and ``acme_tools`` are the same)."""

    def plain(text: str) -> str:
        return text.lower().replace("-", "_").replace(".", "_")

    named = [plugin for plugin in registry.plugins if plain(plugin.name) == plain(subject)]
    return named or [
        plugin
        for plugin in registry.plugins
        if plain(subject) in (plain(plugin.distribution), plain(plugin.module), plain(plugin.module.partition(".")[0]))
    ]


def _file(path: Any) -> Iterator[KitReport]:
    """An unpackaged plugin, with everything that is loaded already around it."""
    from tradespace.cli.context import current
    from tradespace.plugins import Registry as Found
    from tradespace.testing.run import check_plugin

    wider = Found.discover((*current().plugins, path))
    status = next(plugin for plugin in wider.plugins if plugin.distribution == str(path.absolute()))
    return check_plugin(status, wider)


def _yaml(path: Any, registry: Registry) -> KitReport:
    """A file with parts of a machine, or that extends a target, is a target; any other is a workload."""
    from tradespace.documents import read_document
    from tradespace.targets import target_names
    from tradespace.testing import run

    found = read_document(path)
    body = next(iter(found.values())) if len(found) == 1 else found
    body = body if isinstance(body, dict) else found
    parts = {str(key).partition(".")[0] for key in body}
    is_target = parts & {"devices", "memories", "links"} or body.get("extends") in target_names(registry)
    return (run.check_target_name if is_target else run.check_workload_name)(path, registry)


def _by_name(subject: str, registry: Registry) -> Iterator[KitReport]:
    from tradespace.cli import catalogue
    from tradespace.errors import UnknownName

    try:
        kind = catalogue.find_kind(subject, registry)
    except UnknownName as error:
        module = _module_with_hooks(subject)
        if module is not None:
            return _file(module)
        known = sorted({*error.known, *(plugin.name for plugin in registry.plugins)})
        raise UnknownName("plugin or name", subject, known, remedy=registry.hint(subject, known)) from None
    return _of_kind(kind, subject, registry)


def _module_with_hooks(name: str) -> Path | None:
    """The file or folder of an importable package that is no installed plugin but has hooks; None if there is none."""
    import importlib.util
    from pathlib import Path

    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        file = Path(spec.origin or "") if spec is not None else Path()
        if file.suffix != ".py" or "hookimpl" not in file.read_text(encoding="utf-8"):
            return None
    except (ImportError, OSError, ValueError):
        return None
    return file.parent if file.name == "__init__.py" else file


def _by_kind(kind: str, subject: str, registry: Registry) -> Iterator[KitReport]:
    """With a kind, the subject is a name of it, or module:Attribute to be checked as one."""
    from tradespace.cli import catalogue
    from tradespace.plugin_loading import import_path
    from tradespace.testing import run

    chosen = catalogue.kind_named(kind)
    group = catalogue.group_of(chosen)
    if ":" in subject and group in run.KINDS:
        return run.check_object(import_path(subject, "check"), subject, registry, group)
    return _of_kind(chosen, subject, registry)


def _of_kind(kind: str, name: str, registry: Registry) -> Iterator[KitReport]:
    from pathlib import Path

    from tradespace.cli import catalogue
    from tradespace.errors import TradespaceError, UnknownName
    from tradespace.testing import run

    group = catalogue.group_of(kind)
    if group is not None:
        registry.claim(group, name)
        return run.check_name(group, name, registry)
    checks = {"targets": run.check_target_name, "workloads": run.check_workload_name}
    if kind in checks:
        known = catalogue.names_of(kind, registry)
        if name not in known and not Path(name).exists():
            raise UnknownName(kind.removesuffix("s"), name, known, remedy=registry.hint(name, known))
        return iter([checks[kind](name, registry)])
    if kind == "studies":
        from tradespace.studies.catalogue import study_folders

        return iter([run.check_rows(study_folders(registry)[name] / "published.yaml")])
    raise TradespaceError(f"there is no kit for {kind}", value=name, where="check")


def _print(report: KitReport, verbose: bool) -> None:
    from tradespace.cli.printing import safe

    typer.echo(safe(report.summary))
    for one in report.checks:
        if verbose or one.outcome != "passed":
            typer.echo(safe(f"  {one.outcome}: {one.name}: {one.reason or one.rule}"))
            if one.outcome == "failed":
                typer.echo(safe(f"    rule: {one.rule}"))

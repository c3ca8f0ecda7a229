"""Run an exporter on a plan: options checked, infeasible plans refused, a stranger's faults named as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tradespace.errors import PluginError, TradespaceError, UnknownName
from tradespace.exporters.contract import CannotExport, Export, Exporter, Subject
from tradespace.plugins import Registry, foreign

if TYPE_CHECKING:
    from tradespace.reports.recall import Recalled

MAX_SETTINGS = 64


def export_plan(name: str, recalled: Recalled, options: Mapping[str, str], registry: Registry) -> Export:
    """The plan in the form of tool `name`.

    Raises:
        UnknownName: no such exporter or option.
        CannotExport: the plan breaks a limit, or the tool cannot express it.
        PluginError: the exporter broke its contract.
    """
    exporter = registry.load("exporters", name)()
    if not isinstance(exporter, Exporter):
        raise PluginError("an exporter has name, writes, options and export", where=f"exporter '{name}'")
    check_options(name, exporter, options)
    plan, bound = recalled.plan, recalled.bound
    if bound is None:
        raise CannotExport(
            "a plan is exported from the workload and target it was found for",
            value=f"plan {plan.id[:8]}",
            remedy="Its evaluator was an object of a program: export there with tradespace.exporters.",
        )
    broken = [f"{key} exceeded by {value:.1%}" for key, value in plan.violations.items() if value > 0]
    if broken:
        raise CannotExport("a plan is exported only if it is feasible", value="; ".join(broken), where=plan.id[:8])
    with foreign(f"exporter '{name}'"):
        found = exporter.export(Subject(plan, bound.workload, bound.target, registry), dict(options))
    if not isinstance(found, Export):
        raise PluginError("an exporter returns an Export", value=type(found).__name__, where=f"exporter '{name}'")
    return found


def check_options(name: str, exporter: Exporter, options: Mapping[str, str]) -> None:
    """Raises `UnknownName` for an option the exporter does not declare."""
    families = tuple(key.removesuffix("*") for key in exporter.options if key.endswith(".*"))
    for key in options:
        if key not in exporter.options and not (families and key.startswith(families)):
            raise UnknownName("option", key[:80], exporter.options, where=f"exporter '{name}'")


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """``["threads=8"]`` as a mapping. Raises `TradespaceError` for anything that is not NAME=VALUE, each once."""
    if len(pairs) > MAX_SETTINGS:
        raise TradespaceError(f"at most {MAX_SETTINGS} settings", value=len(pairs), where="--set")
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip() or not value or not value.isprintable() or len(value) > 4096:
            raise TradespaceError("a setting is NAME=VALUE", value=pair[:80], where="--set")
        if key in found:
            raise TradespaceError("a setting stands once", value=key[:80], where="--set")
        found[key] = value
    return found

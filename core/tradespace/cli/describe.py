"""What `tradespace show` says about a name: one JSON document, and the same as text."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tradespace.cli import catalogue
from tradespace.cli.printing import print_heading, print_pairs, print_table
from tradespace.errors import UnknownName
from tradespace.plugins import Registry

Document = dict[str, Any]


def document(
    kind: str, name: str, registry: Registry, workload: str | None = None, target: str | None = None
) -> Document:
    """The JSON document of a name.

    Raises:
        TradespaceError: the name is unknown, or what it stands for cannot be loaded.
    """
    if kind == "targets":
        return _target(name, registry)
    if kind == "workloads":
        return _workload(name, registry)
    if kind == "metrics":
        usual = catalogue.default_pair(registry)
        return _metric(name, workload or usual[0], target or usual[1], registry)
    if kind == "plugins":
        return _plugin(name, registry)
    if kind == "studies":
        return _study(name, registry)
    return _registered(kind, name, registry)


def print_document(found: Document) -> None:
    """The document as text: plain values as lines, lists of mappings as tables."""
    print_heading(f"{found['kind']} {found['name']}" + (f": {found['title']}" if found.get("title") else ""))
    rest = {key: value for key, value in found.items() if key not in ("kind", "name", "title")}
    lines = {key: value for key, value in rest.items() if not _is_table(value) and key != "supports"}
    print_pairs((key.replace("_", " "), _line(key, value)) for key, value in lines.items())
    for key, value in rest.items():
        if key == "supports" and value:
            print_heading("\nsupports")
            print_pairs((field, "" if item is None else _word(item)) for field, item in value.items())
        elif _is_table(value):
            print_heading(f"\n{key.replace('_', ' ')}")
            columns = list(dict.fromkeys(column for row in value for column in row))
            if "shown" in columns:  # the same number for people
                columns = [column for column in columns if column not in ("value", "unit")]
            print_table(columns, ([_cell(row.get(column)) for column in columns] for row in value))


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _line(key: str, value: Any) -> str:
    """A value on a line of its own; absent ones are empty, and so left out."""
    if key == "substitutes" and value:
        return f"{len(value)} numbers stand in for unknown ones (kind substitute)"
    if key == "description" and value:
        return "\n\n".join(" ".join(part.split()) for part in str(value).split("\n\n"))
    return "" if value is None else _cell(value)


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return "-" if value is None else str(value)


# -- kinds ------------------------------------------------------------------------------------------------------------


def _target(name: str, registry: Registry) -> Document:
    from tradespace.targets import load_target

    target = load_target(name, registry)
    return {
        "kind": "target",
        "name": target.name,
        "title": target.title,
        "devices": [
            {"device": d.name, "model": d.model, "memory": d.memory, "runs": list(d.runs)} for d in target.devices
        ],
        "links": [{"link": link.name, "between": " - ".join(link.between)} for link in target.links],
        "numbers": [
            {
                "path": entry.path,
                "value": entry.value,
                "unit": entry.unit,
                "shown": _shown(entry),
                "kind": entry.kind,
                "source": entry.source,
            }
            for entry in target.sources
        ],
        "substitutes": [entry.path for entry in target.substitutes],
    }


def _shown(entry: Any) -> str:
    """A sourced number for people. Temperatures are shown in degC, differences (leakage_scale) in K."""
    from tradespace import units

    if not isinstance(entry.value, float | int):
        return str(entry.value)
    is_point = entry.unit == "K" and entry.path.endswith(("ambient", "temperature"))
    return units.format(entry.value, "degC" if is_point else entry.unit)


def _workload(name: str, registry: Registry) -> Document:
    from tradespace.workloads import OperatorGraph, load_workload

    workload = load_workload(name, registry)
    head: Document = {
        "kind": "workload",
        "name": workload.name,
        "type": workload.kind,
        "sources": dict(workload.sources),
    }
    if not isinstance(workload, OperatorGraph):
        return head
    return head | {
        "title": str(workload.facts.get("title", "")),
        "facts": {key: value for key, value in workload.facts.items() if key != "title"},
        "parameters": workload.parameters,
        "tokens": workload.tokens,
        "native_precision": workload.native_precision,
        "operators": len(workload.operators),
        "distinct_operators": len(workload.distinct()[0]),
        "flop": float((workload.operators.flop * workload.operators.repeat).sum()),
        "blocks": list(workload.blocks),
        "substitutes": list(workload.substitutes),
        "more": f"tradespace inspect {name}",
    }


def _metric(name: str, workload: str, target: str, registry: Registry) -> Document:
    found, without = catalogue.metrics(workload, target, registry)
    known = {metric.name for metrics in found.values() for metric in metrics}
    if name not in known:
        raise UnknownName("metric", name, known, where=f"{workload} on {target}")
    return {
        "kind": "metric",
        "name": name,
        "workload": workload,
        "target": target,
        "evaluators": [
            {"evaluator": e, "unit": m.unit, "better": m.direction, "meaning": m.meaning}
            for e, metrics in found.items()
            for m in metrics
            if m.name == name
        ],
        "declined": without,
    }


def _plugin(name: str, registry: Registry) -> Document:
    from tradespace.cli.plugins import document as all_plugins

    listed = {plugin["name"]: plugin for plugin in all_plugins(registry)["plugins"]}
    if name not in listed:
        raise UnknownName("plugin", name, listed)
    return {"kind": "plugin", **listed[name]}


def _study(name: str, registry: Registry) -> Document:
    from tradespace.studies.catalogue import study_title

    found = {study: (plugin, path) for study, plugin, path in catalogue.located("studies", registry)}
    if name not in found:
        raise UnknownName("study", name, found, remedy=registry.hint(name, tuple(found)))
    commands = {"published.yaml": f"tradespace reproduce {name}", "study.yaml": f"tradespace search study={name}"}
    plugin, folder = found[name]
    return {
        "kind": "study",
        "name": name,
        "title": study_title(name, registry),
        "plugin": plugin,
        "path": str(folder),
        "commands": [command for file, command in commands.items() if (folder / file).is_file()],
    }


def _registered(kind: str, name: str, registry: Registry) -> Document:
    group = catalogue.group_of(kind)
    assert group is not None
    claim, found = registry.claim(group, name), registry.load(group, name)
    head: Document = {
        "kind": kind.removesuffix("s") if kind != "policies" else "policy",
        "name": name,
        "plugin": claim.plugin,
        "path": claim.path,
        "description": inspect.getdoc(found) if callable(found) else None,
    }
    more: Mapping[str, Callable[[Any], Document]] = {
        "optimizers": _optimizer,
        "device-models": _device_model,
        "precisions": _precision,
        "evaluators": lambda factory: {"fidelity": getattr(factory, "fidelity", None)},
        "readers": lambda reader: {"reads": getattr(reader, "reads", None)},
        "kernels": lambda kernel: {"tolerance": getattr(kernel, "tolerance", None)},
    }
    return head | (more[kind](found) if kind in more else {})


def _optimizer(found: Any) -> Document:
    from tradespace.search.abilities import declared

    supports, options = declared(found), getattr(found, "Options", None)
    fields = dataclasses.fields(options) if options is not None and dataclasses.is_dataclass(options) else ()
    return {
        "supports": None if supports is None else supports.document(),
        "options": [
            {
                "option": field.name,
                "type": field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type)),
                "default": None if field.default is dataclasses.MISSING else field.default,
            }
            for field in fields
        ],
    }


def _device_model(found: Any) -> Document:
    defaults = getattr(found, "defaults", {})
    return {
        "runs": list(found.runs),
        "constants": [
            {"constant": key, "unit": unit, "default": defaults.get(key)} for key, unit in found.constants.items()
        ],
    }


def _precision(found: Any) -> Document:
    fields = ("meaning", "source", "bits", "block", "scale_bits", "bits_per_element", "compute", "activation_bits")
    known = {key: getattr(found, key) for key in fields}
    return known | {"nmse": found.nmse if found.codec is not None else None}

"""Settings as mappings: checking their keys, merging ``over`` and ``each`` onto them, stepping a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tradespace.errors import InputError, suggestion
from tradespace.studies.reproduction.grammar import SEARCH, SETTING, check_keys

_MAX_STEPS = 200


def check_setting(raw: Any, where: str, *, partial: bool = False) -> dict[str, Any]:
    """A setting whose keys the grammar knows. ``partial``: an overlay, which may also say ``design: same``."""
    setting = check_keys(raw, SETTING, where)
    for key in ("workload", "target"):
        if key in setting and not isinstance(setting[key], str | Mapping):
            raise InputError(f"a {key} is a name, a path or a mapping", value=setting[key], where=f"{where}.{key}")
    if not isinstance(setting.get("options", {}), Mapping):
        raise InputError("options are a mapping", value=setting["options"], where=f"{where}.options")
    design = setting.get("design")
    if design == "same" and partial:
        return setting
    if design is not None and not isinstance(design, Mapping):
        raise InputError("a design is a mapping", value=repr(design)[:80], where=f"{where}.design")
    if design and "search" in design:
        check_keys(design, ("search",), f"{where}.design")
        _check_search(design["search"], f"{where}.design.search")
    return setting


def _check_search(raw: Any, where: str) -> None:
    search = check_keys(raw, SEARCH, where)
    for key in ("objectives", "subject_to"):
        if not isinstance(search.get(key, []), list):
            raise InputError(f"'{key}' is a list", value=search[key], where=where)
    if not isinstance(search.get("fix", {}), Mapping):
        raise InputError("'fix' is a mapping from variable to value", value=search["fix"], where=where)
    for key, default in (("seed", 0), ("evaluations", 1)):
        value = search.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not default <= value <= 10**8:
            raise InputError(f"'{key}' is a whole number from {default} to 1e8", value=value, where=where)


def check_sweep(raw: Any, where: str) -> dict[str, list[Any]]:
    """``{dotted.key: [values]}``; several keys step together. Keys start with a key of a setting."""
    if not isinstance(raw, Mapping) or not raw:
        raise InputError("a sweep is {dotted.key: [values]}", value=repr(raw)[:80], where=where)
    for key, values in raw.items():
        head, _, rest = str(key).partition(".")
        if head not in SETTING or not (rest or head in ("workload", "target", "evaluator")):
            hint = suggestion(head, SETTING)
            raise InputError(
                "a sweep key is a dotted key of a setting, like options.batch", value=key, where=where, remedy=hint
            )
        if not isinstance(values, list) or not 1 <= len(values) <= _MAX_STEPS:
            raise InputError(f"a sweep steps through a list of 1 to {_MAX_STEPS} values", value=key, where=where)
    return {str(key): list(values) for key, values in raw.items()}


def merge(setting: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """``overlay`` onto ``setting`` key by key; ``design`` is replaced whole.

    A mapping onto a name keeps the name as what it extends, unless the overlay extends something of its own.
    """
    merged = dict(setting)
    for key, value in overlay.items():
        if key in ("workload", "target") and isinstance(value, Mapping):
            base = merged.get(key, {})
            base = {"extends": base} if isinstance(base, str) else base
            merged[key] = (
                dict(value) if "extends" in value and value["extends"] != base.get("extends") else {**base, **value}
            )
        elif key == "options" and isinstance(value, Mapping):
            merged[key] = {**merged.get(key, {}), **value}
        else:
            merged[key] = value
    return merged


def step(setting: Mapping[str, Any], sweep: Mapping[str, Sequence[Any]], at: int) -> dict[str, Any]:
    """The setting at step ``at`` of a sweep."""
    for key, values in sweep.items():
        setting = put(setting, key, values[at])
    return dict(setting)


def put(setting: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """``setting`` with a dotted key set: ``target.devices.gpu.bandwidth`` stays one dotted key of the target."""
    head, _, rest = key.partition(".")
    if not rest:
        return merge(setting, {head: value})
    if head == "design":
        design = dict(setting.get("design") or {})
        name, _, deeper = rest.partition(".")
        if name == "search" and deeper:
            return {**setting, "design": {"search": {**design.get("search", {}), deeper: value}}}
        return {**setting, "design": {**design, rest: value}}
    return merge(setting, {head: {rest: value}})

"""From a composed configuration to a search request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace.errors import InputError

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.studies.session import SearchRequest
    from tradespace.verify.promotion import Ladder


def request_of(
    config: Any, registry: Registry, plugins: tuple[str, ...] = (), command: str | None = None
) -> SearchRequest:
    """A composed configuration as a request. Raises `InputError` for what is missing or of the wrong form."""
    from omegaconf import OmegaConf

    from tradespace.cli.optimizer_options import check_options
    from tradespace.settings import Setting
    from tradespace.studies.session import SearchRequest
    from tradespace.studies.spec import StudySpec

    values: dict[str, Any] = OmegaConf.to_container(config, resolve=False)
    optimizer = _flat(values.get("optimizer") or {})
    name = optimizer.pop("name", None)
    if not isinstance(name, str):
        raise InputError("an optimizer is named", value=name, where="search", remedy="Write it like optimizer=pgsam.")
    check_options(name, optimizer, registry)
    budget = values.get("budget") or {}
    steps, options = ladder_of(config, registry), values["options"] or {}
    evaluator = values.get("evaluator") if steps is None else steps.cheap
    options = {key: value for key, value in options.items() if steps is None or key not in steps.options}
    setting = Setting(_reference(values, "workload"), _reference(values, "target"), evaluator, options)
    spec = StudySpec(
        setting=setting,
        objectives=_texts(values, "objectives"),
        constraints=_texts(values, "constraints"),
        optimizer=name,
        optimizer_options=optimizer,
        evaluations=_whole(budget, "evaluations", low=1),
        seconds=_seconds(budget),
        stagnation=_whole(budget, "stagnation", low=1),
        seed=_whole(values, "seed") or 0,
        batch=_whole(values, "batch", low=1),
        plugins=plugins,
    )
    storage, baseline = values.get("storage") or {}, values.get("baseline")
    return SearchRequest(
        spec,
        name=None if values.get("name") is None else str(values["name"]),
        out=Path(str(values.get("out") or "out")),
        storage=storage.get("url"),
        keep_designs=bool(storage.get("keep_designs")),
        baseline=None if baseline is None else Path(str(baseline)),
        start=None if values.get("start") is None else str(values["start"]),
        command=command,
    )


def ladder_of(config: Any, registry: Registry) -> Ladder | None:
    """The rungs that a configuration names; None for a search on one. Raises `InputError` as `request_of`."""
    from omegaconf import OmegaConf

    values: dict[str, Any] = OmegaConf.to_container(config, resolve=False)
    names = _texts(values, "fidelity")
    if not names:
        return None
    from tradespace.verify.promotion import OWN, TABLE, ladder

    chosen = values.get("evaluator")
    if chosen is not None and names[0] in TABLE:
        names = (str(chosen), *names[1:])
    steps = ladder(names, _whole(values, "promote", low=1) or 1, registry.names("evaluators"))
    if chosen not in (None, steps.cheap):
        raise InputError("'evaluator' is the first rung, or not given", value=chosen, where="search")
    own = {key: value for key, value in (values.get("options") or {}).items() if key in OWN.get(steps.true, ())}
    return replace(steps, options=own)


def _reference(values: Mapping[str, Any], key: str) -> Any:
    """The name or path alone where nothing was changed, else ``{extends: name, dotted.key: value}``."""
    body = _flat(values.get(key) or {})
    if not body:
        example = "llama-3.2-1b" if key == "workload" else "laptop"
        raise InputError(
            f"a search needs a {key}", where="search", remedy=f"Write it like {key}={example}; see 'tradespace list'."
        )
    return body["extends"] if list(body) == ["extends"] else body


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys, but for named alternatives (`choices`) and numbers with a source."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        sourced = isinstance(value, Mapping) and {"value"} <= set(value) <= {"value", "source", "kind"}
        if isinstance(value, Mapping) and key != "choices" and not sourced:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = values.get(key) or []
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise InputError(f"'{key}' is a list of texts", value=found, where="search")
    return tuple(found)


def _seconds(budget: Mapping[str, Any]) -> float | None:
    from tradespace import units

    given = budget.get("seconds")
    seconds = None if given is None else units.parse(given, "s", where="budget.seconds", positive=True)
    if seconds is None and budget.get("evaluations") is None and budget.get("stagnation") is None:
        raise InputError(
            "a search needs a budget: evaluations, seconds or stagnation", where="budget", remedy="Try budget=quick."
        )
    return seconds


def _whole(values: Mapping[str, Any], key: str, low: int = 0) -> int | None:
    from tradespace import units

    if values.get(key) is None:
        return None
    number = units.parse(values[key], "1", where=key)
    if number != int(number) or number < low:
        raise InputError(f"'{key}' is a whole number of at least {low}", value=values[key], where="search")
    return int(number)

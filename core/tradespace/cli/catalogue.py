"""Everything that has a name, by kind, for `list`, `show` and `check`. Describing a name does not import it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace.errors import TradespaceError, UnknownName
from tradespace.plugins import NOUNS, Registry, foreign

if TYPE_CHECKING:
    from tradespace.problem import Metric

KINDS: Mapping[str, str] = {
    "targets": "machines of the catalogue",
    "workloads": "workloads of the catalogue",
    "metrics": "what the evaluators say about a workload on a target",
    "optimizers": "ways to search",
    "evaluators": "ways to price a design",
    "precisions": "number formats",
    "device-models": "how fast a kind of device runs operators",
    "readers": "file formats that become workloads",
    "workload-types": "what a workload file names with 'type:'",
    "policies": "schedulers, routers, admission",
    "kernels": "native code with a reference",
    "exporters": "plans as another tool's configuration",
    "studies": "published systems and presets of the catalogue",
}
DEFAULT_WORKLOAD = "llama-3.2-1b"
DEFAULT_TARGET = "laptop"


@dataclass(frozen=True)
class Entry:
    """One name: who provides it, where it is, one line of meaning, or why it cannot be used."""

    name: str
    plugin: str
    path: str
    meaning: str = ""
    error: str | None = None


def kind_named(text: str) -> str:
    """The kind for what a person writes: "target", "Targets", "device_model". Raises `UnknownName`."""
    plain = text.strip().lower().replace("_", "-")
    for kind in KINDS:
        if plain in (kind, kind.removesuffix("s"), kind.removesuffix("ies") + "y", kind.removesuffix("es")):
            return kind
    raise UnknownName("kind of name", text, KINDS)


def group_of(kind: str) -> str | None:
    """The registry group behind a kind; None for kinds that are files or metrics."""
    group = "workloads" if kind == "workload-types" else kind.replace("-", "_")
    return None if kind == "workloads" or group not in NOUNS else group


def names_of(kind: str, registry: Registry) -> tuple[str, ...]:
    """The sorted names of a kind. Metrics have no names of their own without a pair, so there are none here."""
    group = group_of(kind)
    if group is not None:
        return registry.names(group)
    if kind == "metrics":
        return ()
    return tuple(sorted({name for name, _, _ in located(kind, registry)}))


def located(kind: str, registry: Registry) -> list[tuple[str, str, Path]]:
    """(name, plugin, file) of what is kept in catalogue files, sorted. A study is a folder, and may be nobody's: those
    of the current folder and of the checkout come without a plugin."""
    if kind != "studies":
        return sorted((file.stem, plugin, file) for plugin, file in registry.catalogue_files(kind))
    from tradespace.studies.catalogue import study_folders

    owners = {catalogue.folder / "studies": catalogue.plugin for catalogue in registry.catalogues()}
    return [(name, owners.get(folder.parent, ""), folder) for name, folder in study_folders(registry).items()]


def kinds_with(name: str, registry: Registry) -> tuple[str, ...]:
    """The kinds that know a name."""
    return tuple(kind for kind in KINDS if name in names_of(kind, registry))


def find_kind(name: str, registry: Registry) -> str:
    """The only kind that knows a name.

    Raises:
        UnknownName: none does, or several do.
    """
    found = kinds_with(name, registry)
    if len(found) == 1:
        return found[0]
    if found:
        rule = f"'{name}' is a name in each of {', '.join(found)}"
        raise TradespaceError(rule, remedy=f"Say which, for example '{found[0]} {name}'.")
    known = sorted({other for kind in KINDS for other in names_of(kind, registry)})
    raise UnknownName("name", name, known, remedy=registry.hint(name, known))


def entries(kind: str, registry: Registry) -> Iterator[Entry]:
    """Every name of a kind (not metrics), sorted. A broken one comes with its error."""
    group = group_of(kind)
    if group is not None:
        for name in registry.names(group):
            yield _registered(group, name, registry)
        return
    for name, plugin, path in located(kind, registry):
        try:
            yield Entry(name, plugin, str(path), _title(kind, name, registry))
        except TradespaceError as error:
            yield Entry(name, plugin, str(path), error=str(error))


def _title(kind: str, name: str, registry: Registry) -> str:
    if kind == "targets":
        from tradespace.targets import load_target

        return load_target(name, registry).title
    if kind == "workloads":
        from tradespace.workloads import load_workload

        workload = load_workload(name, registry)
        return str(getattr(workload, "facts", {}).get("title", workload.kind))
    from tradespace.studies.catalogue import study_title

    return study_title(name, registry)


def _registered(group: str, name: str, registry: Registry) -> Entry:
    try:
        claim = registry.claim(group, name)
    except TradespaceError as error:
        return Entry(name, "", "", error=str(error))
    try:
        return Entry(name, claim.plugin, claim.path, _first_sentence(group, name, claim.path, registry))
    except TradespaceError as error:
        return Entry(name, claim.plugin, claim.path, error=str(error))


def _first_sentence(group: str, name: str, path: str, registry: Registry) -> str:
    """The first sentence of the docstring, read from the source file; only a plain value has to be imported."""
    module, _, attribute = path.partition(":")
    text = None if module in sys.modules else _docstring(module, attribute)
    if text is None:
        found = registry.load(group, name)
        text = getattr(found, "meaning", None) or (getattr(found, "__doc__", None) if callable(found) else "")
    first = " ".join(str(text or "").split("\n\n")[0].replace("`", "").split())
    return first.partition(". ")[0].rstrip(".")


def _docstring(module: str, attribute: str) -> str | None:
    """Without importing the module (its package is imported). None: look at the object itself."""
    try:
        spec = importlib.util.find_spec(module)
        source = spec.loader.get_source(module) if spec and spec.loader else None  # type: ignore[attr-defined]
        tree = ast.parse(source or "")
    except Exception:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
            return ast.get_docstring(node)
    return None


# -- metrics ----------------------------------------------------------------------------------------------------------


def default_pair(registry: Registry) -> tuple[str, str]:
    """The workload and target that metrics are shown for when nobody names one: the usual ones, or the first."""
    pair = []
    for kind, usual in (("workloads", DEFAULT_WORKLOAD), ("targets", DEFAULT_TARGET)):
        names = names_of(kind, registry)
        if not names:
            raise TradespaceError(f"the catalogue holds no {kind}", remedy="See `tradespace plugins`.")
        pair.append(usual if usual in names else names[0])
    return pair[0], pair[1]


def metrics(workload: Any, target: Any, registry: Registry) -> tuple[dict[str, tuple[Metric, ...]], dict[str, str]]:
    """(evaluator -> its metrics, evaluator -> why it has none) for a pair."""
    from tradespace.problem import Declined
    from tradespace.targets import load_target
    from tradespace.workloads import load_workload

    job, machine = load_workload(workload, registry), load_target(target, registry)
    found: dict[str, tuple[Metric, ...]] = {}
    without: dict[str, str] = {}
    for name in registry.names("evaluators"):
        try:
            with foreign(f"evaluator '{name}'"):
                factory = registry.load("evaluators", name)()
                answer = factory.accepts(job, machine)
                if isinstance(answer, Declined):
                    without[name] = answer.reason
                elif answer is True:
                    found[name] = tuple(factory.bind(job, machine, {}, registry).metrics)
                else:
                    without[name] = f"'accepts' answers {answer!r}, needs True or Declined"
        except TradespaceError as error:
            without[name] = str(error)
    return found, without

"""From what a user writes to a workload: a catalogue name, a file or folder, or a mapping that changes one of them."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradespace.documents import read_document
from tradespace.errors import InputError, PluginError, TradespaceError, UnknownName
from tradespace.plugins import Registry, foreign
from tradespace.workloads.readers import Reader, Workload, priority

MAX_EXTENDS = 16
FILE = "file"
"""The workload that is a file of the user: `workload=file workload.path=model.gguf`."""
_YAML = (".yaml", ".yml")
_MODELS = (".gguf", ".onnx", ".tflite", ".safetensors", ".pt", ".pth", ".bin", ".h5", ".keras", ".pb")
_SUFFIXES = (*_YAML, ".json", ".jsonl", ".csv", ".gz", *_MODELS)
_GLIMPSE = 4096


def load_workload(ref: str | Path | Mapping[str, Any], registry: Registry) -> Workload:
    """The workload that `ref` stands for.

    Args:
        ref: a catalogue name ("llama-3.2-1b"); a path (a YAML file of the catalogue's form, or anything a reader
            recognises: config.json or its folder, a GGUF file); or a mapping: `{type: decoder, ...}`,
            `{extends: name or path, phase: decode, context: 256, "dotted.key": value}` or `{extends: file, path: ...}`.
        registry: where names are looked up.

    Raises:
        UnknownName: an unknown workload, type or key, with suggestions.
        InputError: a file or value that cannot be used.
        PluginError: a plugin's workload type or reader failed.
    """
    return build_workload(*resolve(ref, registry), registry)


def build_workload(options: Mapping[str, Any], path: Path | None, registry: Registry) -> Workload:
    """The workload of resolved options, read from a file where ``path`` is one; raises as `load_workload`."""
    workload = _read(path, options, registry) if path else _build(options, registry)
    native = getattr(workload, "native_precision", None)
    if native is not None and native not in registry.names("precisions"):
        raise UnknownName("precision", native, registry.names("precisions"), where=f"workload {workload.name}")
    return workload


def workload_names(registry: Registry) -> tuple[str, ...]:
    """Sorted names of the catalogue; a file's name is its workload's."""
    return tuple(sorted({path.stem for _, path in registry.catalogue_files("workloads")}))


def resolve(ref: str | Path | Mapping[str, Any], registry: Registry) -> tuple[dict[str, Any], Path | None]:
    """Follow `extends` to the end: (merged options, file for a reader or None).

    Raises:
        UnknownName, InputError: as in `load_workload`.
    """
    layers: list[Mapping[str, Any]] = []
    seen: list[str] = []
    while True:
        if isinstance(ref, Mapping):
            layers.append({key: value for key, value in ref.items() if key != "extends"})
            if "extends" not in ref:
                return _merge_all(layers), None
            ref = ref["extends"]
            if ref == FILE:
                ref = _path_of(layers)
            if not isinstance(ref, str | Path):
                raise InputError("'extends' is a workload's name or path", value=type(ref).__name__, where="workload")
        if str(ref) in seen or len(seen) >= MAX_EXTENDS:
            raise InputError(f"'extends' ends, within {MAX_EXTENDS} steps", value=" -> ".join([*seen, str(ref)]))
        seen.append(str(ref))
        found = _find(ref, registry)
        if isinstance(found, Path):
            return _merge_all(layers), found
        ref = found


def _path_of(layers: list[Mapping[str, Any]]) -> Path:
    """`{extends: file, path: model.gguf}` is the file itself; the path set last counts."""
    found = next((layer["path"] for layer in layers if "path" in layer), None)
    if not isinstance(found, str | Path) or not str(found):
        raise InputError("the workload 'file' needs a 'path'", value=found, where="workload")
    layers[:] = [{key: value for key, value in layer.items() if key != "path"} for layer in layers]
    return Path(found)


def _find(ref: str | Path, registry: Registry) -> Mapping[str, Any] | Path:
    """The mapping of a catalogue entry or YAML file, or the path that a reader has to read."""
    if ref == FILE:
        _path_of([])  # nobody gave one: says so
    if isinstance(ref, str):
        files = [path for _, path in registry.catalogue_files("workloads") if path.stem == ref]
        if len(files) > 1:
            both = " and ".join(map(str, files))
            raise PluginError("a workload's name belongs to one file", value=both, where=ref)
        if files:
            return _entry(files[0], ref)
    path = Path(ref).expanduser()
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a name too long, or with a null byte
        exists = False
    if exists:
        return _entry(path, None) if path.suffix in _YAML and path.is_file() else path
    if isinstance(ref, Path) or looks_like_path(ref):
        remedy = "Check the path; `tradespace list workloads` shows the names that need no file."
        raise InputError("this file or folder does not exist", value=str(ref), where="workload", remedy=remedy)
    known = workload_names(registry)
    raise UnknownName("workload", ref[:80], known, remedy=registry.hint(ref[:80], known))


def _entry(path: Path, name: str | None) -> Mapping[str, Any]:
    """The mapping in a YAML file: `{<file name>: {...}}`, or, in a user's own file, the mapping itself."""
    content = read_document(path)
    key = path.stem
    if list(content) == [key]:
        if not isinstance(content[key], dict):
            raise InputError("a workload is a mapping", value=type(content[key]).__name__, where=f"{path}: {key}")
        return _beside(path, {"name": key, **content[key]})
    if name is not None:
        raise InputError(
            f"a catalogue file holds one key, its own name '{key}'", value=list(content)[:5], where=str(path)
        )
    return _beside(path, {"name": key, **content})


def _beside(path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """A relative path in a file's `extends` is meant from the file's folder."""
    base = entry.get("extends")
    if isinstance(base, str) and looks_like_path(base) and not Path(base).is_absolute():
        entry["extends"] = str(path.parent / base)
    return entry


def looks_like_path(ref: str) -> bool:
    """Whether a text is meant as a path: it has a separator, or ends like a model or data file, there or not."""
    return "/" in ref or os.sep in ref or Path(ref).suffix.lower() in _SUFFIXES


def _merge_all(layers: list[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        for key, value in layer.items():
            _put(merged, str(key), copy.deepcopy(value))
    return merged


def _put(target: dict[str, Any], key: str, value: object) -> None:
    """Set a dotted key, making mappings on the way; an open number (`choices`) takes the place of a number."""
    *parents, last = key.split(".")
    for depth, parent in enumerate(parents):
        below = target.setdefault(parent, {})
        if last == "choices" and depth == len(parents) - 1 and not isinstance(below, dict):
            below = target[parent] = {}
        if not isinstance(below, dict):
            where = ".".join(parents[: depth + 1])
            raise InputError(f"'{where}' is a mapping, so that '{key[:80]}' can be set", value=below, where="workload")
        target = below
    target[last] = value


def _build(options: Mapping[str, Any], registry: Registry) -> Workload:
    kind = options.get("type")
    if not isinstance(kind, str):
        known = ", ".join(registry.names("workloads"))
        raise InputError(
            "a workload names its 'type' or what it 'extends'", where="workload", remedy=f"Types: {known}."
        )
    build = registry.load("workloads", kind)
    return _guarded(build, f"workload type '{kind}'", {key: value for key, value in options.items() if key != "type"})


def _read(path: Path, options: Mapping[str, Any], registry: Registry) -> Workload:
    """The workload of the first reader, in the order of their priorities, that recognises the content."""
    readers, tried = find_readers(registry)
    for name, reader in readers:
        try:
            with foreign(f"reader '{name}'"):
                recognised = bool(reader.recognises(path))
        except TradespaceError as error:  # a stranger's reader must not stop the others from trying
            tried.append(f"{name} failed: {error}")
            continue
        if recognised:
            return _guarded(reader.read, f"reader '{name}'", path, options)
        tried.append(f"{name}: {reader.reads}")
    raise InputError(
        "a reader recognises the file",
        value=f"{path}{_glimpse(path)}",
        where="workload",
        remedy=f"Readers: {'; '.join(tried)}.",
    )


def find_readers(registry: Registry) -> tuple[list[tuple[str, Reader]], list[str]]:
    """All readers, highest `priority` first (then by name), and what to say of those that do not load."""
    found: list[tuple[str, Reader]] = []
    failed: list[str] = []
    for name in registry.names("readers"):
        try:
            with foreign(f"reader '{name}'"):
                found.append((name, registry.load("readers", name)()))
        except TradespaceError as error:
            failed.append(f"{name} failed: {error}")
    return sorted(found, key=lambda item: (-priority(item[1]), item[0])), failed


def _glimpse(path: Path) -> str:
    """What an unrecognised file holds, as far as its first bytes tell."""
    try:
        with path.open("rb") as file:
            head = file.read(_GLIMPSE)
    except OSError:
        return " (a folder)" if path.is_dir() else ""
    keys = list(dict.fromkeys(re.findall(rb'"(\w{1,40})"\s*:', head)))[:6]
    if keys and head.lstrip()[:1] in (b"{", b"["):
        return f" (JSON with {', '.join(key.decode('ascii', 'replace') for key in keys)})"
    return f" (starts with {head[:16]!r})" if head else " (empty)"


def _guarded(call: Any, where: str, *arguments: object) -> Workload:
    with foreign(where):
        workload = call(*arguments)
    if not isinstance(workload, Workload):
        raise PluginError("a workload has a name, a kind and sources", value=type(workload).__name__, where=where)
    return workload

"""What a study rests on besides its spec: versions, plugins, and digests of the files that describe it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace.errors import StudyError, TradespaceError
from tradespace.studies import jsontext

if TYPE_CHECKING:
    from tradespace.plugins import Registry
    from tradespace.settings import Setting

LIBRARIES = ("tradespace", "numpy", "numba", "moocore", "pymoo", "optuna")
"""Libraries whose numbers end up in a study."""
_HEAD = 1 << 24
_FILES = 64
_YAML = (".yaml", ".yml")
_KEYS: Mapping[str, type] = {"versions": dict, "plugins": dict, "files": dict}


@dataclass(frozen=True)
class Provenance:
    """``versions``: library -> version; ``plugins``: name -> "distribution version"; ``files``: file -> digest."""

    versions: Mapping[str, str]
    plugins: Mapping[str, str]
    files: Mapping[str, str]

    @classmethod
    def of(cls, setting: Setting | None, registry: Registry | None) -> Provenance:
        """Of this process: catalogue entries that the setting names and extends, files it gives by path."""
        versions = {name: _version(name) for name in LIBRARIES} | {"python": platform.python_version()}
        loaded = registry.plugins if registry is not None else ()
        plugins = {p.name: f"{p.distribution} {p.version}" for p in loaded if p.error is None}
        files: dict[str, str] = {}
        if setting is not None and registry is not None:
            for kind, ref in (("workloads", setting.workload), ("targets", setting.target)):
                files |= dict(_files(kind, ref, registry))
        return cls(versions, plugins, dict(sorted(files.items())))

    def to_json(self) -> str:
        return jsontext.dump({key: getattr(self, key) for key in _KEYS}, "provenance")

    @classmethod
    def from_json(cls, text: str, where: str) -> Provenance:
        """Raises `StudyError` naming an unknown, missing or misfitting key."""
        found = jsontext.fields(jsontext.load(text, where), _KEYS, where)
        for key, group in found.items():
            if not all(isinstance(value, str) for value in group.values()):
                raise StudyError("provenance holds text", value=group, where=f"{where}.{key}")
        return cls(**found)

    def changes(self, now: Provenance) -> tuple[str, ...]:
        """What differs now from this record, one sentence each. Plugins that came since do not count."""
        sentences = []
        for kind, old, new in (
            ("", self.versions, now.versions),
            ("plugin ", self.plugins, now.plugins),
            ("file ", self.files, now.files),
        ):
            for name, was in old.items():
                found = new.get(name, "not there")
                if found != was:
                    change = "is not there" if name not in new else f"was {was[:60]}, is {found[:60]}"
                    sentences.append(f"{kind}{name} {change}")
        sentences += [f"file {name} is new" for name in now.files if name not in self.files]
        return tuple(sentences)


def file_digest(path: Path) -> str:
    """blake2b (16 bytes) of a file's size and its first 16 MiB: weights beyond that are never read."""
    digest = hashlib.blake2b(str(path.stat().st_size).encode(), digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_HEAD))
    return digest.hexdigest()


def _files(kind: str, ref: Any, registry: Registry) -> Iterator[tuple[str, str]]:
    """(name, digest) of the files behind a reference, following ``extends``."""
    catalogue = {path.stem: (plugin, path) for plugin, path in registry.catalogue_files(kind)}
    folder = Path()
    for _ in range(_FILES):
        if isinstance(ref, Mapping):
            if not isinstance(ref.get("extends"), str | Path):
                return
            ref = ref["extends"]
            continue
        if isinstance(ref, str) and ref in catalogue:
            plugin, path = catalogue[ref]
            name = f"{plugin}: {kind}/{path.name}"
        else:
            path = Path(ref).expanduser()
            path = folder / path if (folder / path).exists() else path
            name = str(ref)
        yield from _digests(name, path)
        if path.suffix not in _YAML:
            return
        ref, folder = _body(path), path.parent


def _digests(name: str, path: Path) -> Iterator[tuple[str, str]]:
    try:
        if path.is_dir():
            for file in sorted(path.glob("*.json"))[:_FILES]:
                yield f"{name}/{file.name}", file_digest(file)
        elif path.is_file():
            yield name, file_digest(path)
    except OSError:
        return  # whoever reads the file says why it cannot be read


def _body(path: Path) -> Mapping[str, Any]:
    """The entry in a catalogue file, or a bare body."""
    from tradespace.documents import read_document

    try:
        content = read_document(path)
    except TradespaceError:
        return {}
    inner = next(iter(content.values())) if len(content) == 1 else None
    return inner if isinstance(inner, Mapping) else content


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
